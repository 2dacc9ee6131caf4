"""SMSC.ru: what each channel writes on the wire, what a text may not say, what receipts carry, and the HTTP side."""

from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from broker.provider.contract import Secret
from broker.provider.registry import load_plugin
from broker.words.receipt import Lookup
from tests.smpp_session.rig import bound, make_keys, make_valid

PLUGIN = load_plugin("smscru")
ID = "m1"  # the message's id in the samples


def make_twin(**script: Any) -> Any:
    return PLUGIN.twin_type(**script)


def make_config(**more: Any) -> Any:
    return make_keys(PLUGIN, **more)


def make(text: str = "hi", channel: str = "sms", options: dict[str, Any] | None = None, **more: Any) -> Any:
    send = make_valid(text, **more)
    return msgspec.structs.replace(send, message=msgspec.structs.replace(send.message, channel=channel, options=options))


def gsm(text: str) -> bytes:
    """The octets of GSM 03.38 for the few characters where it is not ASCII here."""
    return text.encode().replace(b"_", b"\x11").replace(b"~", b"\x1b\x3d").replace(b"@", b"\x00")


# --- channels, octet by octet

CHANNELS = [
    ("sms", "hello", {}, {}, "hello"),
    ("email", "Dear all", {"subject": "News"}, {}, "__MAIL__: Dear all\nsubj:News"),
    ("email", "Dear all", {}, {}, "__MAIL__: Dear all"),
    ("voice", "one two", {"voice": "w2"}, {}, "__CALL__: one two\nvoice:w2"),
    ("voice", "one two", {}, {"voice": "m"}, "__CALL__: one two\nvoice:m"),
    ("voice", "one two", {"param": "20,10,3", "voice": "m"}, {"comment": True}, "__CALL__: one two\nvoice:m\n~~~\n20,10,3"),
    ("viber", "hello", {}, {}, "__VIBER__: hello"),
    ("social", "hello", {}, {}, "__SOC__: hello"),
    ("telegram", "123456", {}, {}, "__TGM__: 123456"),
    ("bot", "hello", {"bot": "@acme_bot"}, {}, "__BOT__: hello\nbot:@acme_bot"),
    ("bot", "hello", {}, {"bot": "acme_bot"}, "__BOT__: hello\nbot:@acme_bot"),
    ("hlr", "", {}, {}, "__HLR__"),
    ("ping", "", {}, {}, "__PING__"),
    ("sms", "hello", {}, {"comment": True}, f"hello\n~~~\n{ID}"),
    ("viber", "hello", {}, {"comment": True}, f"__VIBER__: hello\n~~~\n{ID}"),
    ("sms", "hello", {"subject": "of another channel"}, {}, "hello"),
]


@pytest.mark.parametrize("system_type", ["", "ISO"])
@pytest.mark.parametrize(("channel", "text", "options", "keys", "wanted"), CHANNELS)
async def test_channels(
    channel: str, text: str, options: dict[str, Any], keys: dict[str, Any], wanted: str, system_type: str, autojump_clock: MockClock
) -> None:
    twin = make_twin()
    to = "a.b@example.org" if channel == "email" else "+79161234567"
    async with bound(twin, plugin=PLUGIN, system_type=system_type, **keys) as rig:
        [outcome] = await rig.submit(make(text, channel, options, to=to))
    assert outcome.class_ == "accepted", outcome
    [taken] = twin.taken.values()
    # The trap of the alphabet: _ and ~ are other octets in GSM 03.38, and ASCII in the alphabet of an ISO bind.
    assert taken.pdu.octets == (wanted.encode() if system_type else gsm(wanted))
    assert taken.pdu.data_coding == 0
    assert twin.sent[0][0] == to


async def test_every_channel_reaches_its_product(autojump_clock: MockClock) -> None:
    twin = make_twin()
    flags = {"sms": 0, "flash": 1, "hlr": 4, "ping": 5, "voice": 7, "email": 8, "viber": 10, "social": 12, "telegram": 13, "bot": 14}
    async with bound(twin, plugin=PLUGIN, bot="acme") as rig:
        for n, channel in enumerate(flags):
            text = "" if channel in ("hlr", "ping") else "4711"
            outcome = (await rig.submit(make(text, channel, to="a@b.c" if channel == "email" else "+79161234567"), first=n))[0]
            assert outcome.class_ == "accepted", (channel, outcome)
    assert [flag for flag, _, _ in twin.channels] == list(flags.values())


async def test_a_text_in_russian(autojump_clock: MockClock) -> None:
    twin = make_twin()
    async with bound(twin, plugin=PLUGIN, comment=True) as rig:
        assert (await rig.submit(make("Привет, " * 60, "viber")))[0].class_ == "accepted"
    [taken] = twin.taken.values()
    assert taken.pdu.short_message == b""  # the whole in message_payload
    assert taken.pdu.octets == ("__VIBER__: " + "Привет, " * 60 + "\n~~~\nm1").encode("utf-16-be")
    assert twin.sent[0][1].endswith("Привет, ")
    assert twin.channels == [(10, "Привет, " * 60, ID)]


# --- what a text may not say

COMMANDS = ["__MAIL__:", "__CALL__:", "__VIBER__:", "__SOC__:", "__TGM__:", "__BOT__:", "__HLR__", "__PING__", "__WHATSAPP__:"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("shape", ["{} x", "  {} x", "\n{} x", "{}"])
@pytest.mark.parametrize("channel", ["sms", "flash"])
def test_a_text_cannot_switch_the_channel(command: str, shape: str, channel: str) -> None:
    for text in (shape.format(command), shape.format(command.lower())):
        assert refuse(make(text, channel)) == "text"


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        ("sms", "hello\n~~~\nrest"),
        ("sms", "hello\n~~~"),  # with what follows it would be one
        ("viber", "hello\n~~~\nrest"),
        ("voice", "hello\n~~~"),
        ("voice", "hello\nvoice:w9"),
        ("voice", "hello\nVoice:w9"),
        ("email", "hello\nsubj:cheap"),
        ("bot", "hello\nbot:@other"),
        ("telegram", "123"),
        ("telegram", "123456789"),
        ("telegram", "12345a"),
        ("telegram", "１２３４"),
    ],
)
def test_texts_that_are_none_for_their_channel(channel: str, text: str) -> None:
    assert refuse(make(text, channel, {"bot": "acme"})) == "text"


@pytest.mark.parametrize("text", ["price is 5~~~6", "a_b__c", "see __init__ there", "x\n~~\ny", "voice: mine", "no\nbot in sms\nvoice:1"])
def test_texts_that_only_look_like_it(text: str) -> None:
    assert refuse(make(text)) is None


@pytest.mark.parametrize(
    ("channel", "options", "code"),
    [
        ("bot", {}, "options.bot"),
        ("bot", {"bot": "two words"}, "options.bot"),
        ("voice", {"voice": "m\nparam"}, "options.voice"),
        ("voice", {"voice": 3}, "options.voice"),
        ("voice", {"param": "1\n~~~\n2"}, "options.param"),
        ("email", {"subject": "x" * 201}, "options.subject"),
    ],
)
def test_options_are_looked_at(channel: str, options: dict[str, Any], code: str) -> None:
    assert refuse(make("4711", channel, options, to="a@b.c" if channel == "email" else "+79161234567")) == code


@pytest.mark.parametrize("to", ["very.long.name@example.org", "ä@b.c", "+79161234567"])
def test_addresses_that_do_not_fit(to: str) -> None:
    assert refuse(make("hi", "email", to=to)) == "recipient"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n_~:"), min_size=1, max_size=60))
def test_no_text_becomes_a_command(text: str) -> None:
    send = make(text)
    if refuse(send) is None:
        [pdu] = compose(send)
        plain = pdu.octets.replace(b"\x11", b"_").replace(b"\x1b\x3d", b"~").decode("latin-1")
        shown = pdu.octets.decode("utf-16-be") if pdu.data_coding == 8 else plain
        assert "\n~~~\n" not in shown
        assert not shown.upper().startswith(tuple(COMMANDS))


def compose(send: Any, **keys: Any) -> Any:
    module = __import__("sys").modules[PLUGIN.config_type.__module__]
    return module.compose(make_config(**keys), send, send.message.accepted_at, 1)


def refuse(send: Any, **keys: Any) -> str | None:
    """The code with which a message is refused before it is sent."""
    from broker.provider.contract import Unsuitable

    try:
        compose(send, **keys)
    except Unsuitable as refusal:
        return refusal.code
    return None


# --- the account's keys


@pytest.mark.parametrize(
    ("keys", "faults"),
    [
        ({}, []),
        ({"username": ""}, ["username"]),
        ({"api_key": Secret("k" * 40), "username": "", "password": Secret("")}, []),
        ({"api_key": Secret("k")}, ["api_key"]),
        ({"api_key": Secret("k" * 65), "username": "", "password": Secret("")}, ["api_key"]),
        ({"comment": True, "concat": "udh"}, ["comment"]),
        ({"comment": True}, []),
        ({"voice": "m\n"}, ["voice"]),
        ({"binds": 0, "data_coding": {"klingon": 1}}, ["binds", "data_coding.klingon"]),
    ],
)
def test_check(keys: dict[str, Any], faults: list[str]) -> None:
    assert PLUGIN.check is not None
    assert [key for key, _ in PLUGIN.check(make_config(**keys))] == faults


def test_traits_follow_from_the_keys() -> None:
    assert (PLUGIN.find_traits(make_config()).unit, PLUGIN.find_traits(make_config()).http) == (None, frozenset())
    traits = PLUGIN.find_traits(make_config(http_url="https://smsc.ru"))
    assert (traits.unit, traits.money, traits.http) == ("RUB", True, frozenset({"hlr"}))
    assert PLUGIN.find_traits(make_config(ask=False, registered_delivery=0)).receipts == ()
    assert PLUGIN.find_traits(make_config(concat="udh")).splits == "broker"
    # A repeat of parts with another reference is no identical request, so no refusal of one could prove the first.
    assert [PLUGIN.find_traits(make_config(concat=concat)).memory for concat in ("payload", "udh", "sar")] == [60_000, 0, 0]


async def test_a_key_binds_in_place_of_login_and_password(autojump_clock: MockClock) -> None:
    twin = make_twin(password="k" * 40)
    async with bound(twin, plugin=PLUGIN, username="", password=Secret(""), api_key=Secret("k" * 40)) as rig:
        assert (await rig.send()).class_ == "accepted"


# --- receipts


async def test_a_receipt_carries_cost_and_parts(autojump_clock: MockClock) -> None:
    async with bound(make_twin(cost="2.8812"), plugin=PLUGIN) as rig:
        await rig.send()
        await trio.sleep(1)
        [receipt] = rig.port.receipts
        assert (receipt.class_, receipt.cost, receipt.segments, receipt.lookup) == ("delivered", 2_881_200, 1, None)


async def test_an_hlr_request(autojump_clock: MockClock) -> None:
    async with bound(make_twin(), plugin=PLUGIN) as rig:
        await rig.submit(make("", "hlr", to="+79161234567"))
        await trio.sleep(1)
        [receipt] = rig.port.receipts
        operator = "MegaFON open Joint Stock Company"
        assert receipt.lookup == Lookup("delivrd", "Russian Federation", "25002", operator, None, "000")
        assert "250023012345678" not in str(msgspec.to_builtins(receipt))  # no IMSI anywhere


@pytest.mark.parametrize(
    ("error", "class_", "detail"),
    [
        ("0", "undelivered", None),
        ("1", "undelivered", "no such subscriber"),
        ("006", "undelivered", "the subscriber is not reachable"),
        ("11", "undelivered", "no SMS service on the number"),
        ("12", "undelivered", "an error in the subscriber's phone"),
        ("13", "undelivered", "the subscriber is barred"),
        ("21", "undelivered", "SMS is not supported"),
        ("219", "undelivered", "the SIM was changed within the last day"),
        ("220", "undelivered", "the operator's queue is full"),
        ("77", "undelivered", "err 77"),
    ],
)
async def test_reasons(error: str, class_: str, detail: str | None, autojump_clock: MockClock) -> None:
    async with bound(make_twin(error=error, receipts=["UNDELIV"]), plugin=PLUGIN) as rig:
        await rig.send()
        await trio.sleep(1)
        [receipt] = rig.port.receipts
        assert (receipt.class_, receipt.detail) == (class_, detail)
        assert rig.port.state == "up"


async def test_virtual_sending_is_told_loudly(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with bound(make_twin(error="200"), plugin=PLUGIN) as rig:
        await rig.send()
        await trio.sleep(1)
        assert rig.port.receipts[0].class_ == "unrecognised"
        assert rig.port.state == "misconfigured"
        assert "nothing is really delivered" in caplog.text


async def test_the_same_within_a_minute_is_refused(autojump_clock: MockClock) -> None:
    async with bound(make_twin(), plugin=PLUGIN) as rig:
        classes = []
        for n, wait in enumerate((0, 30, 31, 0)):
            await trio.sleep(wait)
            classes.append((await rig.submit(make(n=n), first=n))[0].class_)
        assert classes == ["accepted", "unavailable", "accepted", "unavailable"]


async def test_a_comment_makes_two_of_the_same_two(autojump_clock: MockClock) -> None:
    async with bound(make_twin(), plugin=PLUGIN, comment=True) as rig:
        assert [outcome.class_ for outcome in await rig.submit(make(n=1), make(n=2))] == ["accepted"] * 2
