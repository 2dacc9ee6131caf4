"""One suite over every HTTP plugin: its form, its settings, its traits, its answers to nonsense, its silence.

What one provider's answers mean stands in that plugin's own tests; what a failing wire means, in test_matrix.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.provider.contract import Ask, Balance, Call, Outcome, Reply, Secret, Send, Traits, TwinReply, TwinRequest
from broker.provider.registry import find_plugins, load_plugin
from broker.provider.smpp import SmppKeys
from broker.words.channel import CHANNELS
from broker.words.outcome import CLASSES
from broker.words.receipt import FINAL_RECEIPTS, RECEIPT_CLASSES
from broker.words.settings import Url
from tests.plugins.catalog import NAMES, VARIANTS, Variant
from tests.plugins.samples import make_ask, make_send

each_plugin = pytest.mark.parametrize("name", NAMES)
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.label)

# Where the HTTP status is the whole answer, nonsense has to come with one that proves nothing.
NOISE_STATUS = {"tatango": 500}
NUMBERS = {"mitake": "+886912345678", "tatango": "+12025550100", "isms": "+306912345678", "subito": "+393351234567"}
CANARY = "canary 5&é\"'%+<$$"


def sends_for(variant: Variant, count: int = 1) -> list[Send]:
    """As many messages as one request may carry: of different texts, unless the provider takes one text for all."""
    number = NUMBERS.get(variant.name, "+4915112345678")
    sends = [make_send(f"ciao {n}", number[:-1] + str(n), n=n) for n in range(1, count + 1)]
    plugin, config = variant.plugin, variant.make_config()
    if plugin.shape is None or len({plugin.shape(config, send) for send in sends}) == 1:
        return sends
    return [make_send("ciao 1", send.message.to, n=n) for n, send in enumerate(sends, 1)]


def asks_for(variant: Variant, count: int = 1) -> list[Ask]:
    return [make_ask(f"12345{n}", send.message.to, n) for n, send in enumerate(sends_for(variant, count), 1)]


def calls_of(variant: Variant, config: Any) -> list[Call]:
    plugin = variant.plugin
    batch = min(variant.plugin.find_traits(config).batch, 3)
    calls = [plugin.build(config, sends_for(variant), 0), plugin.build(config, sends_for(variant, batch), 0)]
    if plugin.query is not None:
        calls.append(plugin.query(config, asks_for(variant, min(variant.plugin.find_traits(config).ask_batch, 3)), 0))
    if plugin.balance is not None:
        calls.append(plugin.balance(config, 0))
    return calls


# --- form ---

NAMES_IN_ORDER = (
    *("TITLE", "MANUAL", "Config", "check", "TRAITS", "CODES", "QUERY_CODES", "build", "parse", "query"),
    *("parse_query", "balance", "parse_balance", "cancel", "parse_cancel", "contact", "parse_contact"),
    *("receipts", "buckets", "shape", "measure", "read_code", "open_session", "traits"),
)
ALWAYS = {"TITLE", "MANUAL", "Config", "TRAITS", "CODES", "build", "parse"}


def read_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def find_public_names(tree: ast.Module) -> list[str]:
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


@each_plugin
def test_public_names_stand_in_the_fixed_order(name: str) -> None:
    names = find_public_names(read_tree(load_plugin(name).path))
    assert names == [each for each in NAMES_IN_ORDER if each in names]
    assert set(names) >= ALWAYS


@each_plugin
def test_every_module_and_public_name_says_what_it_is(name: str) -> None:
    for file in ("plugin.py", "twin.py"):
        tree = read_tree(load_plugin(name).path.with_name(file))
        assert ast.get_docstring(tree), file
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{file}: {node.name}"


@pytest.mark.parametrize("name", sorted(find_plugins()))
def test_every_address_is_typed_as_one_so_that_check_refuses_what_is_none(name: str) -> None:
    for field in msgspec.structs.fields(load_plugin(name).config_type):
        if field.name.endswith("url"):
            assert field.type in (Url, Url | None), field.name


@each_variant
def test_pairs_come_whole(variant: Variant) -> None:
    plugin, traits = variant.plugin, variant.plugin.find_traits(variant.make_config())
    assert (plugin.query is not None) == (plugin.parse_query is not None) == bool(plugin.query_codes)
    assert (plugin.query is not None) == ("poll" in traits.receipts)
    assert (plugin.balance is not None) == (plugin.parse_balance is not None) == (plugin.buckets is not None)
    assert (plugin.balance is not None) == (traits.unit is not None)


@each_plugin
def test_title_and_manual_are_one_line(name: str) -> None:
    plugin = load_plugin(name)
    for line in (plugin.title, plugin.manual):
        assert line == line.strip()
        assert line.isprintable()
        assert 5 < len(line) < 120


@each_plugin
def test_every_setting_is_documented_and_every_secret_is_secret(name: str) -> None:
    config = load_plugin(name).config_type
    fields = msgspec.structs.fields(config)
    assert config.__struct_config__.frozen
    told = (config.__doc__ or "") + (SmppKeys.__doc__ or "" if issubclass(config, SmppKeys) else "")
    assert [field.name for field in fields if f"`{field.name}`" not in told] == []
    secrets = {field.name for field in fields if field.type is Secret}
    assert secrets >= {field.name for field in fields if re.search("password|secret|token|key", field.name)}
    assert secrets


@each_variant
def test_traits_are_sane(variant: Variant) -> None:
    traits = variant.plugin.find_traits(variant.make_config())
    assert isinstance(traits, Traits)
    assert "sms" in traits.channels <= set(CHANNELS)
    assert traits.encodings <= {"gsm7", "ucs2"}
    assert traits.splits in ("provider", "broker")
    assert traits.max_segments is None or traits.max_segments >= 1
    assert traits.senders <= {"alphanumeric", "numeric", "shortcode", "none"}
    assert traits.batch >= 1 <= traits.ask_batch
    assert set(traits.receipts) <= {"callback", "poll"}
    assert min(traits.idempotency, traits.duplicate_window) >= 0
    assert all(200 <= status < 600 for status in traits.statuses)
    assert traits.doubt <= {"token", "key", "query", "duplicate"}
    assert traits.unit is not None or not traits.money


@each_variant
def test_codes_lead_to_known_classes(variant: Variant) -> None:
    plugin = variant.plugin
    assert set(plugin.codes.values()) <= set(CLASSES)
    assert set(plugin.query_codes.values()) <= set(RECEIPT_CLASSES)
    assert all(isinstance(code, str) for code in [*plugin.codes, *plugin.query_codes])


# --- nonsense: nothing of it is an answer of any of these providers ---

NOISE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t\r\n",
    "nul": b"\x00\x00\x00",
    "not utf-8": b"\xff\xfe\xfd\x80",
    "utf-16": "ID:7".encode("utf-16"),
    "cut character": "帳號".encode()[:-1],
    "byte order mark": b"\xef\xbb\xbf",
    "words": b"Service is tired, come back later",
    "a warning": b"Warning: mysql_connect() failed in /var/www/api.php on line 7",
    "long": b"x" * 200_000,
    "many lines": b"=\n" * 50_000,
    "json null": b"null",
    "json list": b"[]",
    "json object": b"{}",
    "json number": b"7e7",
    "json string": b'"7"',
    "json deep": b"[" * 60_000,
    "json deep and closed": b"[" * 30_000 + b"]" * 30_000,
    "json cut": b'{"data":{"id":"12293682"',
    "json wrong types": b'{"data":{"id":[7]},"error":{"code":{},"message":[]}}',
    "json no id": b'{"data":{"id":null}}',
    "json huge id": b'{"data":{"id":' + b"9" * 400 + b"}}",
    "json huge code": b'{"error":{"code":' + b"9" * 400 + b"}}",
    "json unknown code": b'{"error":{"message":"no","code":424242}}',
    "json statuses of another": b'[{"id":1,"messages":[{"dest":"+390000000","status":"1"}]}]',
    "line no id": b"ID:",
    "line two ids": b"ID:A1\nID:A2",
    "line unknown error": b"Error: Something new.",
    "line empty error": b"Error:",
    "line unknown status": b"Status: Lost",
    "line no status": b"Status:",
    "line credits not a number": b"Credits:nan",
    "line negative credits": b"Credits:-1",
    "line huge credits": b"Credits:" + b"9" * 400,
    "block without anything": b"[1]\r\n",
    "block no id": b"[1]\r\nmsgid=\r\nstatuscode=1\r\n",
    "block unknown code": b"[1]\r\nstatuscode=?\r\n",
    "block huge code": b"[1]\r\nstatuscode=" + b"9" * 400 + b"\r\n",
    "block cut": b"[1]\r\nmsgid=09391",
    "points no number": b"AccountPoint=many\r\n",
    "huge points": b"AccountPoint=" + b"9" * 400 + b"\r\n",
    "empty points": b"AccountPoint=\r\n",
    "row of another": b"999999\t4\t20261121200000\r\n",
    "xml": b"<?xml version='1.0'?><fault>no</fault>",
}
each_noise = pytest.mark.parametrize("body", NOISE.values(), ids=list(NOISE))


def read_noise(variant: Variant, body: bytes, count: int = 1) -> tuple[list[Any], list[Any], Any]:
    """What the plugin makes of `body` as an answer to a send, a query and a balance; its form is checked."""
    plugin, config = variant.plugin, variant.make_config(CANARY)
    reply = Reply(NOISE_STATUS.get(variant.name, 200), {"content-type": "text/plain"}, body)
    sends, asks = sends_for(variant, count), asks_for(variant, count)
    outcomes = plugin.parse(config, reply, sends)
    assert len(outcomes) == count
    assert all(isinstance(each, Outcome) and each.class_ in CLASSES for each in outcomes)
    receipts = plugin.parse_query(config, reply, asks) if plugin.parse_query is not None else []
    assert [each.ref for each in receipts] == [ask.refs[0] for ask in asks[: len(receipts)]]
    assert all(each.class_ in RECEIPT_CLASSES for each in receipts)
    found = plugin.parse_balance(config, reply) if plugin.parse_balance is not None else None
    assert found is None or isinstance(found, Outcome) or all(isinstance(each, Balance) for each in found)
    return outcomes, receipts, found


@each_variant
@each_noise
def test_nonsense_proves_nothing(variant: Variant, body: bytes) -> None:
    for count in (1, 3):
        outcomes, receipts, found = read_noise(variant, body, count)
        assert {(each.class_, each.refs) for each in outcomes} == {("in_doubt", ())}
        assert {each.class_ for each in receipts}.isdisjoint(FINAL_RECEIPTS)
        assert found is None or (isinstance(found, Outcome) and found.class_ == "in_doubt")


@each_variant
@given(body=st.binary(max_size=200) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
@settings(max_examples=40)
def test_no_bytes_make_it_raise(variant: Variant, body: bytes) -> None:
    outcomes, _, _ = read_noise(variant, body, 2)
    assert all(each.refs for each in outcomes if each.class_ == "accepted")


# --- silence ---


def forms_of(secret: str) -> set[str]:
    """The secret as it may stand in an address, a form or JSON."""
    written = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return written | {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}


@each_variant
def test_a_call_names_every_form_of_its_secrets(variant: Variant) -> None:
    for call in calls_of(variant, variant.make_config(CANARY)):
        wire = "\n".join([call.url, call.body.decode(), *(value for _, value in call.headers)])
        assert all(call.secrets)
        for secret in sorted(call.secrets, key=len, reverse=True):
            wire = wire.replace(secret, "***")
        assert [form for form in forms_of(CANARY) if form in wire] == []


@each_variant
def test_a_call_prints_nothing(variant: Variant) -> None:
    config = variant.make_config(CANARY)
    assert CANARY not in repr(config)
    for call in calls_of(variant, config):
        for shown in (repr(call), str(call), f"{call}"):
            assert "canary" not in shown
            assert "ciao" not in shown
            assert NUMBERS.get(variant.name, "4915")[-8:-2] not in shown


ECHOES = (
    *("{}", "ID:{}", "Error: {}", "Status: {}", "Credits:{}", "AccountPoint={}", "[1]\r\nmsgid={}\r\nstatuscode={}\r\n"),
    *("statuscode={}\r\nError={}", "123451\t{}\t{}", '{{"error":{{"code":"{}","message":"{}"}}}}'),
    *('{{"data":{{"id":"{}"}}}}', '[{{"id":123451,"messages":[{{"dest":"{}","status":"{}","text":"{}"}}]}}]'),
)


@each_variant
@pytest.mark.parametrize("echo", ECHOES)
def test_an_answer_that_repeats_what_was_sent_is_not_repeated(variant: Variant, echo: str) -> None:
    number = sends_for(variant)[0].message.to
    for value in (CANARY, "ciao 1", number, f"no route to {number[1:]}"):
        outcomes, receipts, found = read_noise(variant, echo.format(value, value, value).encode(), 1)
        shown = repr([(each.code, each.detail, each.evidence) for each in outcomes])
        assert "ciao" not in shown  # a query and a balance do not know the text, so only a send can tell it
        shown += repr([(each.code, each.detail) for each in receipts]) + repr(found)
        assert "canary" not in shown
        assert number[1:] not in shown


# --- the twin ---


def request_of(call: Call) -> TwinRequest:
    url = urlsplit(call.url)
    return TwinRequest(call.method, url.path, url.query, {name.lower(): value for name, value in call.headers}, call.body)


def read_reply(answer: TwinReply) -> Reply:
    return Reply(answer.status, {name.lower(): value for name, value in answer.headers}, answer.body)


@each_variant
def test_the_twin_serves_what_the_plugin_asks(variant: Variant) -> None:
    twin, config, plugin = variant.plugin.twin_type(), variant.make_config(), variant.plugin
    assert all(path.startswith("/") for path in twin.paths)
    (send,) = sends_for(variant)
    call = plugin.build(config, [send], 0)
    assert urlsplit(call.url).path.startswith(twin.paths)
    (outcome,) = plugin.parse(config, read_reply(twin.answer(request_of(call), 0)), [send])
    assert outcome.class_ == "accepted"
    ((recipient, text, ref),) = twin.sent
    assert send.message.to.endswith(recipient.lstrip("0+"))
    assert (text, (ref,) if ref else ()) == (send.message.text, outcome.refs)
    if plugin.query is not None:
        ask = make_ask(ref, send.message.to)
        classes = []
        for now in (0, 3_600_000):
            answer = twin.answer(request_of(plugin.query(config, [ask], now)), now)
            classes += [each.class_ for each in plugin.parse_query(config, read_reply(answer), [ask])]
        assert classes == ["progress", "delivered"]


@each_variant
def test_the_twin_takes_a_whole_batch(variant: Variant) -> None:
    twin, config, plugin = variant.plugin.twin_type(), variant.make_config(), variant.plugin
    sends = sends_for(variant, min(variant.plugin.find_traits(config).batch, 3))
    answer = twin.answer(request_of(plugin.build(config, sends, 0)), 0)
    assert {each.class_ for each in plugin.parse(config, read_reply(answer), sends)} == {"accepted"}
    assert [text for _, text, _ in twin.sent] == [send.message.text for send in sends]


@each_variant
def test_the_twin_counts_its_credit(variant: Variant) -> None:
    plugin, config = variant.plugin, variant.make_config()
    if plugin.balance is None:
        return
    twin = variant.plugin.twin_type(balance=2)
    seen = []
    for send in sends_for(variant, 3):
        buckets = plugin.buckets(config, send.message, send.sender)
        found = plugin.parse_balance(config, read_reply(twin.answer(request_of(plugin.balance(config, 0)), 0)))
        assert {each.unit for each in found} == {variant.plugin.find_traits(config).unit}
        seen.append({each.bucket: each.amount for each in found}[buckets[0]])
        answer = twin.answer(request_of(plugin.build(config, [send], 0)), 0)
        (outcome,) = plugin.parse(config, read_reply(answer), [send])
    assert seen == [2_000_000, 1_000_000, 0]
    assert outcome.class_ == "no_credit"
    assert len(twin.sent) == 2


@each_variant
@given(
    method=st.sampled_from(["GET", "POST", "PUT", ""]),
    path=st.integers(0, 9),
    query=st.text(max_size=40),
    body=st.binary(max_size=60),
)
@settings(max_examples=40)
def test_no_request_makes_the_twin_raise(variant: Variant, method: str, path: int, query: str, body: bytes) -> None:
    twin = variant.plugin.twin_type()
    paths = [*twin.paths, *(f"{each}x" for each in twin.paths), "", "/"]
    for each in (query, "action=send", "action=status"):
        answer = twin.answer(TwinRequest(method, paths[path % len(paths)], each, {}, body), 0)
        assert isinstance(answer, TwinReply)
    assert twin.sent == []
