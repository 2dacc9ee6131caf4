"""Golden: the plugins' tables are those of PROVIDERS.md row for row, and every row is said by a twin and read by its plugin.

Each game below is one conversation with a twin; what it brought to light is held against the whole table, so that a row which no
twin speaks, or no plugin reads as it should, is a difference: the share of rows exercised is 100 %, or this fails.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from broker.provider.contract import Ask, Call, CallbackRequest, ContactChange, Reply, Secret, Send, TwinRequest
from plugins.isms import plugin as isms
from plugins.isms.codes import CONTACTS, LOOKUPS
from plugins.isms.twin import Twin as IsmsTwin
from plugins.mitake import plugin as mitake
from plugins.mitake.codes import CALLBACKS
from plugins.mitake.twin import Twin as MitakeTwin
from plugins.subito import plugin as subito
from plugins.subito.twin import Twin as SubitoTwin
from plugins.tatango import plugin as tatango
from plugins.tatango.twin import Twin as TatangoTwin
from tests.plugins import golden
from tests.plugins.samples import make_ask, make_send, reach

URL = "http://127.0.0.1:1/x"
TAIWAN, GREECE, ITALY, AMERICA = "+886912345678", "+306912345678", "+393351234567", "+12025550100"
DEMO: dict[str, Any] = {"username": "demo", "password": Secret("demo"), "url": URL}
APIS = [mitake.Config(api="smexpress", **DEMO), mitake.Config(api="mtk", **DEMO)]
ISMS = [isms.Config(**DEMO), isms.Config(protocol="soap", soap_url=f"{URL}/soap", **DEMO)]
SUBITO = [subito.Config(**DEMO), subito.Config(auth_form="list", **DEMO)]
TATANGO = tatango.Config(key=Secret("demo"), password=Secret("demo"), url=URL)

Seen = dict[str, str]


def submit(plugin: Any, config: Any, twin: Any, send: Send, now: int = 0) -> Any:
    (outcome,) = plugin.parse(config, reach(twin, plugin.build(config, [send], now), now), [send])
    return outcome


def ask(plugin: Any, config: Any, twin: Any, one: Ask, now: int = 0, change: Callable[[Call], Call] = lambda call: call) -> Any:
    (receipt,) = plugin.parse_query(config, reach(twin, change(plugin.query(config, [one], now)), now), [one])
    return receipt


# --- Mitake ---


def send_at_mitake(config: Any) -> Seen:
    """Each code to a send; where it comes with an id, the id makes it accepted whatever it says, so those rows come without."""
    seen = {}
    for code in golden.MITAKE_SEND:
        outcome = submit(mitake, config, MitakeTwin(answers=[code]), make_send(to=TAIWAN))
        assert outcome.code == code
        seen[code] = outcome.class_
    return seen


def ask_at_mitake(config: Any) -> Seen:
    seen = {}
    for code in golden.MITAKE_FATES:
        twin = MitakeTwin(fates={TAIWAN: code}, settle=1)
        receipt = ask(mitake, config, twin, make_ask(submit(mitake, config, twin, make_send(to=TAIWAN)).refs[0], TAIWAN), 1)
        seen[str(receipt.code)] = receipt.class_
    return seen


def trouble_mitake(config: Any) -> Seen:
    seen = {}
    for code in golden.MITAKE_TROUBLE:
        receipt = ask(mitake, config, MitakeTwin(questions=[code]), make_ask("0939137671", TAIWAN))
        seen[str(receipt.code)] = receipt.class_
    return seen


def cancel_at_mitake(config: Any) -> Seen:
    """What is kept for later is given up; what is not says what it is; what it never had is `?`."""
    seen: Seen = {}
    for code in golden.MITAKE_FATES:
        twin = MitakeTwin(fates={TAIWAN: code}, settle=1)
        later = make_send(to=TAIWAN)
        later.message.options = {"schedule": "1970-01-01T01:00:00Z"} if code == "9" else None
        asked = [make_ask(submit(mitake, config, twin, later).refs[0], TAIWAN), make_ask("X1", TAIWAN, 2)]
        reply = reach(twin, mitake.cancel(config, asked, 5), 5)
        for receipt in mitake.parse_cancel(config, reply, asked):
            seen[str(receipt.code)] = receipt.class_
    return seen


def call_from_mitake(config: Any) -> dict[str, set[tuple[str, str]]]:
    """statusstr → the (StatusFlag, class) that it was seen with."""
    seen: dict[str, set[tuple[str, str]]] = {}
    for code in (*golden.MITAKE_FATES, "REJECTD", "UNKNOWN"):
        twin = MitakeTwin(fates={TAIWAN: code}, settle=1)
        send = replace(make_send(to=TAIWAN), callback_url="https://x/t")
        submit(mitake, config, twin, send)
        for call in twin.calls(1, everything=True):
            query = urlsplit(call.url).query
            (receipt,) = mitake.receipts(config, CallbackRequest("GET", query, {}, b"", "t"), 1).receipts
            flag = dict(pair.split("=") for pair in query.split("&"))["StatusFlag"]
            seen.setdefault(str(receipt.code), set()).add((flag, receipt.class_))
    return seen


@pytest.mark.parametrize("config", APIS, ids=["smexpress", "mtk"])
def test_mitake(config: Any) -> None:
    assert golden.MITAKE_SEND == mitake.CODES == send_at_mitake(config)
    trouble = dict.fromkeys(golden.MITAKE_TROUBLE, "query_error")
    assert golden.MITAKE_FATES | trouble == mitake.QUERY_CODES
    assert ask_at_mitake(config) == golden.MITAKE_FATES
    assert trouble_mitake(config) == trouble
    words = {word: (set(flags.split()) or {""}, class_) for word, (flags, class_) in golden.MITAKE_WORDS.items()}
    assert {word: (set(flags) or {""}, class_) for word, (flags, class_) in CALLBACKS.items()} == words
    seen = call_from_mitake(config)
    assert seen == {word: {(flag, class_) for flag in flags} for word, (flags, class_) in words.items()}


def test_mitake_s_cancel() -> None:
    assert cancel_at_mitake(APIS[1]) == golden.MITAKE_FATES | {"?": "query_error"}


# --- Tatango ---


def send_at_tatango() -> Seen:
    seen: Seen = {}
    for code in golden.TATANGO_SEND:
        outcome = submit(tatango, TATANGO, TatangoTwin(answers=[code]), make_send(to=AMERICA))
        seen[str(outcome.code)] = outcome.class_
    return seen


def test_tatango() -> None:
    assert golden.TATANGO_SEND == tatango.CODES == send_at_tatango()
    assert submit(tatango, TATANGO, TatangoTwin(answers=["401"]), make_send("ñ", AMERICA)).class_ == "unsuitable"
    assert submit(tatango, TATANGO, TatangoTwin(answers=["202"]), make_send(to=AMERICA)).detail == "opt-in pending"


# --- iSMS.gr ---


def send_at_isms(config: Any) -> Seen:
    seen: Seen = {}
    for code in golden.ISMS_SEND:
        outcome = submit(isms, config, IsmsTwin(answers=[code]), make_send(to=GREECE))
        seen[str(outcome.code)] = outcome.class_
    return seen


@pytest.mark.parametrize("config", ISMS, ids=["http", "soap"])
def test_isms_sends(config: Any) -> None:
    assert golden.ISMS_SEND == isms.CODES == send_at_isms(config)
    wrong = replace(config, password=Secret("no"))  # and each that a request can earn by itself
    assert submit(isms, wrong, IsmsTwin(), make_send(to=GREECE)).code == "Authentication error."
    assert submit(isms, config, IsmsTwin(), make_send(to=GREECE, sender="much too long a name")).code == "Invalid sender identity."
    assert submit(isms, config, IsmsTwin(balance=0), make_send(to=GREECE)).code == "Insufficient credits."


def ask_at_isms(config: Any, channel: str) -> Seen:
    seen: Seen = {}
    words = [word for word in (golden.ISMS_LOOKUP if channel == "hlr" else golden.ISMS_QUERY) if not word.endswith(".")]
    for word in words[2:]:
        twin = IsmsTwin(fates={GREECE: word}, settle=10)
        send = make_send("" if channel == "hlr" else "hi", GREECE, channel=channel)
        one = replace(make_ask(submit(isms, config, twin, send).refs[0], GREECE), channel=channel)
        for now in (0, 5, 10):
            receipt = ask(isms, config, twin, one, now)
            seen[str(receipt.code)] = receipt.class_
    one = replace(make_ask("NONE", GREECE), channel=channel)
    nobody = one.recipient.removeprefix("+").encode()

    def leave_out(call: Call) -> Call:
        return replace(call, url=call.url.replace(f"mobile={nobody.decode()}", "mobile="), body=call.body.replace(nobody, b""))

    for receipt in (
        ask(isms, config, IsmsTwin(), one),
        ask(isms, config, IsmsTwin(), replace(one, refs=("",))),
        ask(isms, config, IsmsTwin(), one, change=leave_out),
        ask(isms, replace(config, password=Secret("no")), IsmsTwin(), one),
    ):
        seen[str(receipt.code)] = receipt.class_
    return seen


@pytest.mark.parametrize("config", ISMS, ids=["http", "soap"])
def test_isms_asks(config: Any) -> None:
    assert golden.ISMS_QUERY == isms.QUERY_CODES == ask_at_isms(config, "sms")
    assert golden.ISMS_LOOKUP == LOOKUPS == ask_at_isms(config, "hlr")


def change_contacts_at_isms() -> Seen:
    twin, config, seen = IsmsTwin(), ISMS[0], Seen()
    for mobile, action, password in (
        (GREECE, "add", "demo"),
        (GREECE, "delete", "demo"),
        (GREECE, "delete", "demo"),
        ("+1", "add", "demo"),
        (GREECE, "add", "no"),
        ("", "add", "demo"),
    ):
        account = replace(config, password=Secret(password))
        call = isms.contact(account, ContactChange(action, mobile or GREECE), 0)
        call = call if mobile else replace(call, url=call.url.replace(GREECE[1:], ""))
        outcome = isms.parse_contact(account, reach(twin, call))
        seen[str(outcome.code)] = outcome.class_
    return seen


def test_isms_keeps_contacts() -> None:
    assert change_contacts_at_isms() == golden.ISMS_CONTACT == CONTACTS


# --- SubitoSMS ---


def send_at_subito(config: Any) -> Seen:
    seen: Seen = {}
    for code in golden.SUBITO_SEND:
        outcome = submit(subito, config, SubitoTwin(answers=[code]), make_send(to=ITALY))
        seen[str(outcome.code)] = outcome.class_
    return seen


def ask_at_subito(config: Any) -> Seen:
    seen: Seen = {}
    for code in golden.SUBITO_FATES:
        twin = SubitoTwin(fates={ITALY: code}, settle=0)
        receipt = ask(subito, config, twin, make_ask(submit(subito, config, twin, make_send(to=ITALY)).refs[0], ITALY))
        seen[str(receipt.code)] = receipt.class_
    return seen


@pytest.mark.parametrize("config", SUBITO, ids=["object", "list"])
def test_subito(config: Any) -> None:
    assert golden.SUBITO_SEND == subito.CODES == send_at_subito(config)
    assert golden.SUBITO_FATES == subito.QUERY_CODES == ask_at_subito(config)
    receipt = ask(subito, config, SubitoTwin(), replace(make_ask("", ITALY), refs=("",)))
    assert (receipt.class_, receipt.code) == ("query_error", "6")
    assert ask(subito, config, SubitoTwin(), make_ask("404", ITALY)).class_ == "query_error"  # an empty `messages`
    example = Reply(200, {}, b'{"error":{"message":"Wrong username or password","code":3}}')  # the document's own, which is its 4
    (outcome,) = subito.parse(config, example, [make_send(to=ITALY)])
    assert (outcome.class_, outcome.code, outcome.detail) == ("misconfigured", "3", "wrong username or password")


def test_subito_s_own_refusals() -> None:
    """What a request earns by itself, without a script."""
    config, good = SUBITO[0], make_send(to=ITALY)
    wrong: list[tuple[str, Any]] = [
        ("2", replace(config, username="")),
        ("3", replace(config, password=Secret(""))),
        ("4", replace(config, password=Secret("no"))),
    ]
    assert [submit(subito, each, SubitoTwin(), good).code for _, each in wrong] == [code for code, _ in wrong]
    call = subito.build(config, [good], 0)
    for code, change in (("1", replace(call, body=b"[]")), ("7", replace(call, url=call.url.replace("=send", "=sned")))):
        (outcome,) = subito.parse(config, reach(SubitoTwin(), change), [good])
        assert (outcome.code, outcome.class_) == (code, golden.SUBITO_SEND[code])
    assert submit(subito, config, SubitoTwin(balance=0), good).code == "5"


# --- rows that are no codes ---


def test_an_id_beats_a_code_everywhere() -> None:
    answers: list[tuple[Any, Any, bytes]] = [
        (mitake, APIS[0], b"[1]\r\nmsgid=A1\r\nstatuscode=v\r\n"),
        (isms, ISMS[0], b"ID:A1\nError: No recipients."),
        (subito, SUBITO[0], b'{"data":{"id":"7"},"error":{"message":"x","code":4}}'),
    ]
    for plugin, config, body in answers:
        (outcome,) = plugin.parse(config, Reply(200, {}, body), [make_send(to=TAIWAN)])
        assert (outcome.class_, outcome.evidence, len(outcome.refs)) == ("accepted", "anomaly", 1)


def test_a_repeat_with_a_clientid_is_the_first_answer_again() -> None:
    twin, send = MitakeTwin(answers=["cut"]), make_send(to=TAIWAN)
    send = replace(send, key="01938e0c7a5b70008000000000000001n1")
    call = mitake.build(APIS[1], [send], 0)
    url = urlsplit(call.url)
    lost = twin.answer(TwinRequest(call.method, url.path.removeprefix("/x"), url.query, {}, call.body), 0)
    assert lost.cut == 0  # nobody hears the first answer
    again = submit(mitake, APIS[1], twin, send, 11 * 3_600_000)
    assert (again.class_, again.evidence, again.refs) == ("accepted", "duplicate", (twin.sent[0][2],))
    assert len(twin.sent) == 1
