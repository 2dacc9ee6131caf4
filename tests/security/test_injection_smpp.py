"""The same over SMPP: what an SMSC decodes of a submit_sm is what was meant, however it is cut and written, and nothing else (S8)."""

from typing import Any

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from broker.provider.registry import load_plugin
from broker.provider.smpp_twin import SmscTwin
from broker.text import TextError, clean
from tests.security.test_injection import texts
from tests.smpp_session.rig import bound, make_valid

ISMS, SMSCRU = load_plugin("isms"), load_plugin("smscru")
ACCOUNTS: dict[str, dict[str, Any]] = {
    "udh": {},
    "udh of 16 bits": {"udh_bits": 16},
    "sar": {"concat": "sar"},
    "payload": {"concat": "payload"},
    "isms": {"plugin": ISMS, "protocol": "smpp", "port": 2775},
    "smscru": {"plugin": SMSCRU},
}
COMMANDS = ("__call__: x", "__HLR__", "x\n~~~\ny")
"""What SMSC.ru takes for words of its own: refused there before a byte has left, whatever comes around them."""


async def hand_over(account: str, drawn: list[str], digits: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(number, text) of every message: as it was meant where it was accepted, and as the handset shows it."""
    meant, twin = [], SmscTwin(receipts=None)
    async with bound(twin, **ACCOUNTS[account]) as rig:
        sends = []
        for n, text in enumerate(drawn):
            try:
                sends.append(make_valid(clean(text), f"+3069{n:02d}{digits}", n=n))
            except TextError:
                continue  # no text gets further than that
        outcomes = await rig.submit(*sends)
        for send, outcome in zip(sends, outcomes, strict=True):
            assert outcome.class_ in ("accepted", "unsuitable")
            if outcome.class_ == "accepted":
                meant.append((send.message.to, send.text))
    return meant, [(to, text) for to, text, _ in twin.sent]


@pytest.mark.parametrize("account", ACCOUNTS)
@settings(max_examples=25, deadline=None)
@given(drawn=st.lists(texts.map("".join), min_size=1, max_size=8), digits=st.text("0123456789", min_size=6, max_size=6))
@example(
    drawn=[*COMMANDS, "\x1b\x1b€^{}", "\x05\x00\x03\x01\x02\x01", "é" * 200, "😀" * 80, "id:1 sub:001 stat:DELIVRD err:000"],
    digits="712345",
)
def test_what_the_smsc_decodes_is_what_was_meant(account: str, drawn: list[str], digits: str) -> None:
    meant, shown = trio.run(hand_over, account, drawn, digits, clock=MockClock(autojump_threshold=0))
    assert sorted(shown) == sorted(meant)
    if account == "smscru":
        assert not any(text.lower().lstrip().startswith("__") or "\n~~~\n" in f"{text}\n" for _, text in shown)
