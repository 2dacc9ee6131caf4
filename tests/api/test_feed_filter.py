"""What may be asked of the feed, and what is said of a parameter that cannot be obeyed (CONTRACT §6, 4400)."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.api.feed_filter import Ask, BadAsk, Filter, read_ask, read_facts

GOOD = [
    ("", Ask()),
    ("from=0", Ask(0)),
    ("from=0004711", Ask(4711)),
    (f"from={2**63 - 1}", Ask(2**63 - 1)),
    ("batch=1", Ask(batch=True)),
    ("batch=0", Ask()),
    ("type=&provider=&client=&tag=&id=", Ask()),
    ("type=message.sent", Ask(filter=Filter(types=frozenset({"message.sent"})))),
    ("type=message.*&type=credit.low&type=lookup.*", Ask(filter=Filter(frozenset({"credit.low"}), ("lookup.", "message.")))),
    ("provider=a&provider=b&client=unix%3Ashop", Ask(filter=Filter(provider=frozenset("ab"), client=frozenset({"unix:shop"})))),
    ("tag=%E2%82%AC&tag=a+b&id=1", Ask(filter=Filter(tag=frozenset({"€", "a b"}), id=frozenset({"1"})))),
]


@pytest.mark.parametrize(("query", "ask"), GOOD)
def test_good_ones(query: str, ask: Ask) -> None:
    assert read_ask(query) == ask


# (query, what the reason names)
BAD = [
    ("from=", "`from`"),
    ("from", "`from`"),
    ("from=-1", "`from`"),
    ("from=1.5", "`from`"),
    ("from=1e3", "`from`"),
    ("from=0x10", "`from`"),
    ("from=latest", "`from`"),
    ("from=%D9%A3", "`from`"),  # a digit, but not one of ours
    ("from=%202", "`from`"),
    (f"from={2**63}", "`from`"),
    ("from=" + "9" * 5000, "`from`"),
    ("from=1&from=1", "`from`"),
    ("batch=yes", "`batch`"),
    ("batch=", "`batch`"),
    ("batch=1&batch=1", "`batch`"),
    ("type=sent", "`type`"),
    ("type=*", "`type`"),
    ("type=message.s*", "`type`"),
    ("type=message.", "`type`"),
    ("type=.*", "`type`"),
    ("type=Message.sent", "`type`"),
    ("type=message.sent&type=message.*.*", "`type`"),
    ("type=bogus.*", "`type`"),  # nothing would ever come
    ("type=message.sned", "`type`"),
    ("type=messages.*&type=message.sent", "`type`"),
    ("type=credit.lo", "`type`"),
    ("since=1", "`since`"),
    ("From=1", "unknown"),
    ("token=hunter2", "`token`"),
    ("access_token=hunter2&from=0", "`access_token`"),
    ("from=0&=x", "unknown"),
    ("hunter2hunter2hunter2hunter2hunter2", "unknown"),
    ("tag=%FF", "UTF-8"),
    ("&".join(["tag=x"] * 300), "200"),
]


@pytest.mark.parametrize(("query", "word"), BAD)
def test_bad_ones_are_named_and_no_value_is_shown(query: str, word: str) -> None:
    with pytest.raises(BadAsk) as bad:
        read_ask(query)
    reason = str(bad.value)
    assert word in reason
    assert len(reason.encode()) <= 123  # what a close frame holds: RFC 6455 §5.5
    assert "hunter2" not in reason


@given(st.text(max_size=80))
def test_any_text_is_an_ask_or_a_bad_one(query: str) -> None:
    with suppress(BadAsk):
        read_ask(query)


# (event, filter, is it taken)
TAKES = [
    ({"type": "message.sent"}, Filter(types=frozenset({"message.sent"})), True),
    ({"type": "message.sent_late"}, Filter(types=frozenset({"message.sent"})), False),
    ({"type": "message.sent"}, Filter(families=("message.",)), True),
    ({"type": "messages.sent"}, Filter(families=("message.",)), False),
    ({"type": "a.b", "provider": None}, Filter(provider=frozenset({"x"})), False),
    ({"type": "a.b"}, Filter(provider=frozenset({"x"})), False),
    ({"type": "a.b", "tags": ["x", "y"]}, Filter(tag=frozenset({"y"})), True),
    ({"type": "a.b", "tags": []}, Filter(tag=frozenset({"y"})), False),
    ({"type": "a.b", "tags": None}, Filter(tag=frozenset({"y"})), False),
    ({"type": "a.b", "id": 7}, Filter(id=frozenset({"7"})), False),
    ({"type": "a.b", "id": "7", "client": "c"}, Filter(id=frozenset({"7"}), client=frozenset({"c"})), True),
    ({"type": "a.b", "id": "7", "client": "d"}, Filter(id=frozenset({"7"}), client=frozenset({"c"})), False),
    ({"type": "a.b", "tags": "xy"}, Filter(tag=frozenset({"x"})), False),
]


@pytest.mark.parametrize(("event", "wanted", "is_taken"), TAKES)
def test_any_of_a_key_and_all_of_the_keys(event: dict[str, object], wanted: Filter, is_taken: bool) -> None:
    assert wanted.takes(read_facts(msgspec.json.encode(event))) is is_taken
