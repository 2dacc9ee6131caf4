"""SubitoSMS, "Check status": every status of PROVIDERS.md, matched by group and recipient."""

import json
from typing import Any

import pytest

from broker.provider.contract import Ask, Reply, Secret
from plugins.subito import plugin
from tests.plugins import samples

CONFIG = plugin.Config(username="mickey", password=Secret("foobar"))


def make_ask(group: str = "12293682", recipient: str = "+393351234567") -> Ask:
    return samples.make_ask(group, recipient)


def reply(answer: Any) -> Reply:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Reply(200, {"content-type": "application/json"}, body)


# PROVIDERS.md, SubitoSMS, "Codes": status -> class
STATUSES: list[tuple[int, str]] = [
    (-100, "undelivered"),
    (-50, "blocked"),
    (-2, "progress"),
    (-1, "progress"),
    (0, "progress"),
    (1, "delivered"),
    (2, "undelivered"),
    (4, "progress"),
    (8, "progress"),
    (16, "undelivered"),
    (3, "unrecognised"),
    (99, "unrecognised"),
]


def group_of(*rows: dict[str, Any], group: Any = 12293682) -> dict[str, Any]:
    return {"id": group, "messages": list(rows)}


def row_of(status: Any, dest: Any = "+393351234567") -> dict[str, Any]:
    return {"sender": "Example1", "dest": dest, "text": "First message", "status": status, "code": 1803322}


@pytest.mark.parametrize(("status", "class_"), STATUSES)
def test_a_status_is_of_this_class(status: int, class_: str) -> None:
    for written in (status, str(status)):
        for answer in ([group_of(row_of(written))], {"data": [group_of(row_of(written), group="12293682")]}):
            (receipt,) = plugin.parse_query(CONFIG, reply(answer), [make_ask()])
            assert (receipt.class_, receipt.code) == (class_, str(status))
            assert (receipt.ref, receipt.recipient) == ("12293682", "+393351234567")


@pytest.mark.parametrize("status", [None, "", "delivered", 1.0, True, [1], "1 1", 10**30, 1234567])
def test_a_status_that_is_no_code_is_not_recognised(status: Any) -> None:
    (receipt,) = plugin.parse_query(CONFIG, reply([group_of(row_of(status))]), [make_ask()])
    assert (receipt.class_, receipt.code) == ("unrecognised", None)


@pytest.mark.parametrize("dest", ["+393351234567", "393351234567", "00393351234567", "3351234567", "+39 335-1234567", 393351234567])
def test_a_recipient_is_found_in_every_form(dest: Any) -> None:
    answer = [group_of(row_of(2, "+393470000000"), row_of(1, dest))]
    (receipt,) = plugin.parse_query(CONFIG, reply(answer), [make_ask()])
    assert receipt.class_ == "delivered"


def test_a_number_that_reads_both_ways_is_first_itself() -> None:
    # 3931234567 is an Italian mobile written nationally, and 39 31234567 written in full
    answer = [group_of(row_of(2, "3931234567"), row_of(1, "+393931234567"))]
    asks = [make_ask(recipient="+393931234567"), make_ask(recipient="+3931234567")]
    assert [each.class_ for each in plugin.parse_query(CONFIG, reply(answer), asks)] == ["delivered", "undelivered"]


@pytest.mark.parametrize("dest", ["+393351234568", "351234567", "", None, "1" * 500, ["+393351234567", 2]])
def test_another_recipient_says_nothing(dest: Any) -> None:
    (receipt,) = plugin.parse_query(CONFIG, reply([group_of(row_of(1, dest))]), [make_ask()])
    assert (receipt.class_, receipt.code) == ("query_error", None)


def test_every_ask_finds_its_own_row() -> None:
    answer = [
        group_of(row_of(16, "+393470000000"), row_of(8), group="12279076"),
        group_of(row_of(1)),
        group_of(row_of(2), group=5),
    ]
    asks = [
        make_ask(),
        make_ask("12279076", "+393470000000"),
        make_ask("404"),
        make_ask("12279076"),
        make_ask("12293682", "+393470000000"),
    ]
    receipts = plugin.parse_query(CONFIG, reply(answer), asks)
    assert [each.class_ for each in receipts] == ["delivered", "undelivered", "query_error", "progress", "query_error"]
    assert [each.ref for each in receipts] == [ask.refs[0] for ask in asks]


@pytest.mark.parametrize(
    ("statuses", "class_"),
    [
        ((1, 1), "delivered"),
        ((1, 8), "progress"),
        ((1, 2), "undelivered"),
        ((-50, 1, 2), "undelivered"),
        ((1, 99), "unrecognised"),
    ],
)
def test_several_rows_of_one_recipient_are_their_least(statuses: tuple[int, ...], class_: str) -> None:
    answer = [group_of(*(row_of(status) for status in statuses))]
    (receipt,) = plugin.parse_query(CONFIG, reply(answer), [make_ask()])
    assert receipt.class_ == class_


@pytest.mark.parametrize(
    "answer",
    [
        [group_of()],
        [[]],
        [],
        [{"id": 12293682}],
        [{"id": 12293682, "messages": None}],
        [{"id": 12293682, "messages": [None, [], 1]}],
        [{"messages": [row_of(1)]}],
        {"data": {"id": "12293682"}},
        row_of(1),
        None,
        b"",
        b"[{",
    ],
)
def test_an_unknown_id_is_the_query_s_own_trouble(answer: Any) -> None:
    for receipt in plugin.parse_query(CONFIG, reply(answer), [make_ask()] * 3):
        assert (receipt.class_, receipt.code) == ("query_error", None)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 8, -100])
def test_an_error_is_the_query_s_own_trouble(code: int) -> None:
    (receipt,) = plugin.parse_query(CONFIG, reply({"error": {"message": "no", "code": code}}), [make_ask()])
    assert (receipt.class_, receipt.code) == ("query_error", str(code))
