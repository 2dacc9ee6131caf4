"""Every status and state has the class that PROVIDERS.md, "SMPP codes", gives it; every name is the manual's."""

import pytest
from smpplib import consts

from broker.smpp import statuses
from broker.smpp.statuses import judge_nack, judge_status, name_status, read_status, show_status
from broker.words.outcome import CLASSES
from broker.words.receipt import RECEIPT_CLASSES

# As the page has them, row by row.
ROWS: list[tuple[str, str]] = [
    ("00", "accepted"),
    ("45", "unavailable"),
    ("01 43 15 06 07 61 62 63 42 54 C1 C4", "unsuitable"),
    ("58 14", "throttled"),
    ("0A 48 49", "unsuitable"),
    ("08 64 FE FF", "unavailable"),
    ("0B 50 51", "rejected"),
    ("65 66", "unsuitable"),
    ("02 03 C0 C2 C3", "misconfigured"),
    ("04", "unreachable"),
    ("05 0D 0E 0F 53", "misconfigured"),
    ("33 34 40 44 55", "misconfigured"),
    ("400 401 40A 4FF", "unavailable"),
    ("09 10 12 99 100 3FF 500 FFFFFFFF", "unavailable"),
    ("0C 67 11 13", "unavailable"),  # a query's; to a submit they are a refusal without a known reason
]
CASES = [(int(code, 16), class_) for codes, class_ in ROWS for code in codes.split()]


@pytest.mark.parametrize(("status", "class_"), CASES, ids=[show_status(status) for status, _ in CASES])
def test_a_status_has_its_class(status: int, class_: str) -> None:
    assert judge_status(status) == class_


def test_every_status_of_the_manual_is_in_a_row() -> None:
    assert set(statuses.NAMES) <= {status for status, _ in CASES}
    assert set(statuses.CODES.values()) <= set(CLASSES)
    assert not statuses.CODES.keys() & statuses.QUERY_FAULTS


def test_the_names_are_those_of_another_implementation() -> None:
    theirs = {getattr(consts, name): name.removeprefix("SMPP_") for name in dir(consts) if name.startswith("SMPP_ESME_R")}
    assert theirs == statuses.NAMES


@pytest.mark.parametrize(
    ("status", "class_"),
    [
        *((0x00, "misconfigured"), (0x03, "misconfigured"), (0x02, "misconfigured"), (0x0B, "misconfigured"), (0x400, "misconfigured")),
        *((0x58, "throttled"), (0x14, "throttled"), (0x08, "unavailable"), (0x04, "unreachable")),
    ],
)
def test_a_nack_is_never_accepted(status: int, class_: str) -> None:
    assert judge_nack(status) == class_


@pytest.mark.parametrize(
    ("status", "shown", "name"),
    [
        (0, "0x00", "ESME_ROK"),
        (0x0B, "0x0B", "ESME_RINVDSTADR"),
        (0x58, "0x58", "ESME_RTHROTTLED"),
        (0x40A, "0x40A", "vendor status 0x40A"),
        (0x4FF, "0x4FF", "vendor status 0x4FF"),
        (0x500, "0x500", "reserved status 0x500"),
        (0x99, "0x99", "reserved status 0x99"),
    ],
)
def test_a_status_is_shown_and_read_again(status: int, shown: str, name: str) -> None:
    assert show_status(status) == shown
    assert name_status(status) == name
    assert read_status(shown) == status
    assert statuses.is_known(status) == name.startswith("ESME")


@pytest.mark.parametrize("text", ["0x58", "0X58", "0x00000058", "ESME_RTHROTTLED", "rthrottled", " RTHROTTLED "])
def test_an_operator_may_write_a_status_as_he_knows_it(text: str) -> None:
    assert read_status(text) == 0x58


@pytest.mark.parametrize("text", ["58", "88", "0x", "0x123456789", "throttled", "", "0x-1"])
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="0x58"):
        read_status(text)


def test_the_states_have_their_classes() -> None:
    words = ["ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD"]
    classes = ["progress", "delivered", "expired", "canceled", "undelivered", "progress", "unrecognised", "undelivered"]
    assert [statuses.STATES[state] for state in range(1, 9)] == list(zip(words, classes, strict=True))
    assert set(statuses.STATS.values()) <= set(RECEIPT_CLASSES)
    assert all(word == word.upper() for word in statuses.STATS)


def test_smscrus_errors_refine() -> None:
    assert {code for code, (class_, _) in statuses.SMSCRU_ERRORS.items() if class_} == {200}
    assert set(statuses.SMSCRU_ERRORS) == {0, 1, 6, 11, 12, 13, 21, 200, 219, 220}
