"""The transport's tables: every status, every page, every wait, every word of evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.provider.answers import BEFORE, judge, judge_fault
from broker.provider.contract import Reply
from broker.words.outcome import CLASSES

NOW = 1_800_000_000_000  # Fri, 15 Jan 2027 08:00:00 GMT
NONE: frozenset[int] = frozenset()
HTML = {"content-type": "text/html; charset=utf-8"}
QUARTER = 900_000

STATUSES = {
    "misconfigured": [
        *(100, 101, 102, 103, 199),
        *(301, 302, 307, 308),
        *(401, 403, 404, 405, 406, 407, 410, 415, 426, 451),
        *(501, 505, 511),
    ],
    "in_doubt": [
        *(200, 201, 202, 203, 204, 206, 226, 299),
        *(300, 303, 304, 305, 399),
        *(408, 409, 411, 417, 418, 421, 423, 425, 428, 444, 499),
        *(500, 502, 504, 506, 520, 521, 522, 523, 524, 525, 526, 527, 599),
        *(600, 999),
    ],
    "unsuitable": [400, 413, 414, 422, 431],
    "no_credit": [402],
    "throttled": [429],
    "unavailable": [503],
}


@pytest.mark.parametrize(("class_", "status"), [(c, s) for c, row in STATUSES.items() for s in row])
def test_status_without_the_plugin(class_: str, status: int) -> None:
    outcome = judge(Reply(status), NONE, NOW)
    assert outcome is not None
    assert (outcome.class_, outcome.code, outcome.evidence) == (class_, str(status), None)


@given(st.integers(100, 999), st.booleans())
def test_every_status_has_a_class_and_never_accepted(status: int, is_page: bool) -> None:
    outcome = judge(Reply(status, HTML if is_page else {}), NONE, NOW)
    assert outcome is not None
    assert outcome.class_ in CLASSES
    assert outcome.class_ not in ("accepted", "rejected", "blocked")
    assert outcome.code == str(status)


@pytest.mark.parametrize("status", [200, 202, 303, 403, 409, 429, 500, 503])
def test_the_plugin_decides_what_it_declares(status: int) -> None:
    assert judge(Reply(status, {"content-type": "text/plain"}, b"x"), frozenset({status}), NOW) is None


@pytest.mark.parametrize(
    ("status", "class_", "evidence"),
    [
        *((status, "in_doubt", "html") for status in (200, 201, 202, 204, 299)),
        *((status, "misconfigured", "html") for status in (400, 401, 403, 404, 409, 413, 422, 425, 451, 499)),
        (402, "no_credit", None),
        (408, "in_doubt", None),
        (429, "throttled", None),
        (302, "misconfigured", None),
        (303, "in_doubt", None),
        (500, "in_doubt", None),
        (502, "in_doubt", None),
        (503, "unavailable", None),
    ],
)
@pytest.mark.parametrize(
    ("headers", "body"),
    [(HTML, b"<p>Denied</p>"), ({"content-type": "text/plain"}, b"\r\n <!DOCTYPE html><html>")],
    ids=["type", "body"],
)
def test_a_page_is_never_the_plugins(status: int, class_: str, evidence: str | None, headers: dict[str, str], body: bytes) -> None:
    outcome = judge(Reply(status, headers, body), frozenset(range(100, 600)), NOW)
    assert outcome is not None
    assert (outcome.class_, outcome.code, outcome.evidence) == (class_, str(status), evidence)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("0", 0),
        ("5", 5_000),
        (" 120 ", 120_000),
        ("900", QUARTER),
        ("901", QUARTER),
        ("9" * 5_000, QUARTER),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        ("soon", None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30_000),
        ("Fri Jan 15 08:00:30 2027", 30_000),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30_000),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 15 Jan 2038 07:00:00 GMT", QUARTER),
        ("Fri, 99 Jan 2027 07:00:00 GMT", None),
    ],
)
def test_retry_after(status: int, value: str | None, wait: int | None) -> None:
    outcome = judge(Reply(status, {} if value is None else {"retry-after": value}), NONE, NOW)
    assert outcome is not None
    assert outcome.retry_after == wait


@given(st.text())
def test_retry_after_takes_any_text(value: str) -> None:
    outcome = judge(Reply(429, {"retry-after": value}), NONE, NOW)
    assert outcome is not None
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= QUARTER


@pytest.mark.parametrize("status", [200, 400, 500, 302])
def test_retry_after_only_where_it_means_us(status: int) -> None:
    outcome = judge(Reply(status, {"retry-after": "5"}), NONE, NOW)
    assert outcome is not None
    assert outcome.retry_after is None


def test_before_a_byte_the_evidence_decides() -> None:
    for evidence in ("dns", "refused", "connect", "pool", "tls", "anything else"):
        outcome = judge_fault(evidence, False)
        assert (outcome.class_, outcome.evidence) == ("unreachable", evidence)
        assert outcome.detail
    for evidence in ("certificate", "url", "request"):
        assert judge_fault(evidence, False).class_ == "misconfigured"


@pytest.mark.parametrize(
    "evidence", [*BEFORE, "timeout", "reset", "cut", "protocol", "encoding", "too large", "write", "anything else"]
)
def test_after_a_byte_nothing_is_proven(evidence: str) -> None:
    outcome = judge_fault(evidence, True)
    assert (outcome.class_, outcome.evidence) == ("in_doubt", evidence)
    assert outcome.detail
