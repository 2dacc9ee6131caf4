"""Every plugin that speaks SMPP, over its own twin: `smpp`, `smscru`, and `isms` with that protocol. What all have in common."""

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from broker.provider.contract import Ask, Reply, Secret, TwinRequest
from broker.provider.registry import Plugin, load_plugin
from broker.provider.smpp import SmppKeys
from broker.smpp.statuses import STATES
from tests.plugins.samples import make_send
from tests.smpp_session.rig import bound, make_keys

KEYS: dict[str, dict[str, Any]] = {"smpp": {}, "smscru": {}, "isms": {"protocol": "smpp"}}
each = pytest.mark.parametrize("name", KEYS)


def prepare(name: str) -> tuple[Plugin, Any]:
    """The plugin and its twin's SMPP side."""
    plugin = load_plugin(name)
    return plugin, plugin.twin_type()


@each
async def test_a_message_and_its_receipt(name: str, autojump_clock: MockClock) -> None:
    plugin, twin = prepare(name)
    async with bound(twin, plugin=plugin, **KEYS[name]) as rig:
        assert (await rig.send("Καλημέρα")).class_ == "accepted"
        await trio.sleep(1)
        assert [receipt.class_ for receipt in rig.port.receipts] == ["delivered"]
        assert twin.sent == [("+306912345678", "Καλημέρα", "1000001")]


@each
async def test_a_flash_message(name: str, autojump_clock: MockClock) -> None:
    plugin, twin = prepare(name)
    async with bound(twin, plugin=plugin, **KEYS[name]) as rig:
        for text, coding in (("hi", 0x10), ("Ω щ", 0x18)):
            assert (await rig.submit(make_valid(text, channel="flash")))[0].class_ == "accepted"
            smsc = getattr(twin, "smsc", twin)
            assert list(smsc.taken.values())[-1].pdu.data_coding == coding


def make_valid(text: str, channel: str) -> Any:
    send = make_send(text)
    return msgspec.structs.replace(send, message=msgspec.structs.replace(send.message, channel=channel, valid_until=1_900_000_000_000))


@each
def test_the_keys_of_all(name: str) -> None:
    """Every key of SmppKeys is there, documented, and kept from what it cannot be."""
    plugin, _ = prepare(name)
    assert issubclass(plugin.config_type, SmppKeys)
    assert plugin.check is not None
    bad: dict[str, Any] = {
        "port": 0,
        "binds": 33,
        "window": 0,
        "source_ton": 256,
        "registered_delivery": -1,
        "username": "a" * 16,
        "system_type": "ü",
        "service_type": "sixsix",
        "enquire_every": 10,
        "response_timer": 10,
        "udh_bits": 12,
        "national": ("klingon",),
        "data_coding": {},
    }
    assert list(plugin.check(make_keys(plugin, **KEYS[name]))) == []
    for key, value in bad.items():
        assert [told for told, _ in plugin.check(make_keys(plugin, **KEYS[name], **{key: value}))] == [key], key
    assert "hunter2" not in str(list(plugin.check(make_keys(plugin, **KEYS[name], password=Secret("hunter2" * 20)))))
    told = (SmppKeys.__doc__ or "") + (plugin.config_type.__doc__ or "")
    assert [field.name for field in msgspec.structs.fields(plugin.config_type) if f"`{field.name}`" not in told] == []


@each
@pytest.mark.parametrize(
    ("password", "is_long", "faults"),
    [
        ("eightcha", False, []),
        ("ninechars", False, ["password"]),
        ("ninechars", True, []),
        ("k" * 64, True, []),
        ("k" * 65, True, ["password"]),
        ("ü", True, ["password"]),
    ],
)
def test_a_password_is_as_long_as_smpp_says(name: str, password: str, is_long: bool, faults: list[str]) -> None:
    """reliability.md, S13: eight characters at most, unless the operator says that this SMSC takes more."""
    plugin, _ = prepare(name)
    assert plugin.check is not None
    keys = {**KEYS[name], "password": Secret(password), "long_login": is_long}
    told = list(plugin.check(make_keys(plugin, **keys)))
    assert [key for key, _ in told] == faults
    assert password not in str(told)
    assert not faults or is_long or "long_login" in told[0][1]


@each
def test_traits_follow_from_the_keys(name: str) -> None:
    plugin, _ = prepare(name)
    for concat, splits in (("udh", "broker"), ("sar", "broker"), ("payload", "provider")):
        assert plugin.find_traits(make_keys(plugin, **KEYS[name], concat=concat)).splits == splits
    for ask, wanted, receipts in ((False, 1, ("callback",)), (True, 1, ("callback", "poll")), (True, 0, ("poll",)), (False, 0, ())):
        traits = plugin.find_traits(make_keys(plugin, **KEYS[name], ask=ask, registered_delivery=wanted))
        assert (traits.receipts, traits.by_ref) == (receipts, True)


@each
def test_what_a_text_becomes(name: str) -> None:
    plugin, _ = prepare(name)
    assert plugin.measure is not None
    for text, segments in (("a" * 160, 1), ("a" * 161, 2), ("щ" * 70, 1), ("щ" * 71, 2)):
        assert plugin.measure(make_keys(plugin, **KEYS[name]), text).segments == segments
    turkish = make_keys(plugin, **KEYS[name], concat="udh", national=("turkish",))
    assert plugin.measure(turkish, "ğ" * 100).encoding == "gsm7"


@each
def test_codes_are_those_of_the_page(name: str) -> None:
    """PROVIDERS.md, "SMPP codes": tests/smpp holds the table itself to it; here, that the plugin has it."""
    plugin, _ = prepare(name)
    if name == "isms":
        return  # its own table is that of its words; statuses have the session's
    assert (plugin.codes["0x58"], plugin.codes["0x0B"], plugin.codes["0x45"]) == ("throttled", "rejected", "unavailable")
    assert all(plugin.query_codes[word] == class_ for word, class_ in STATES.values())


async def test_a_lookup_goes_by_http_beside_the_session(autojump_clock: MockClock) -> None:
    plugin, twin = prepare("isms")
    config = make_keys(plugin, protocol="smpp")
    assert plugin.find_traits(config).http == {"hlr"}
    assert plugin.build
    assert plugin.parse
    send = make_valid("", channel="hlr")
    call = plugin.build(config, [send], 0)
    assert "/hlr.php?" in call.url
    request = TwinRequest(call.method, "/api/http/hlr.php", call.url.partition("?")[2], {}, call.body)
    answer = twin.answer(request, 0)
    [outcome] = plugin.parse(config, Reply(answer.status, {}, answer.body), [send])
    assert outcome.class_ == "accepted"
    assert plugin.query
    assert "/hlrquery.php?" in plugin.query(config, [Ask("m1/1", outcome.refs, "+306912345678", "k", 0, "hlr")], 0).url


def test_other_protocols_have_no_session() -> None:
    plugin, _ = prepare("isms")
    assert plugin.open_session is not None
    for protocol in ("http", "soap"):
        assert plugin.open_session(make_keys(plugin, protocol=protocol, host=""), "a") is None
