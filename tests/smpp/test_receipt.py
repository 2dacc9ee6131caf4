"""Receipts: which deliver_sm is one, and what its parameters and its text say, in the forms that SMSCs really send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.smpp import receipt as receipts
from broker.smpp import tlv
from broker.smpp.pdu import DataSm, DeliverSm
from broker.smpp.receipt import is_receipt, read_date, read_fields, read_lookup, read_receipt, read_state
from broker.smpp.tlv import Tlv
from broker.words.receipt import RECEIPT_CLASSES

STANDARD = "id:0123456789 sub:001 dlvrd:001 submit date:2611211200 done date:2611211201 stat:DELIVRD err:000 text:Hello there, you"
HLR = (
    "id:855469 stat:DELIVRD err:000 imsi:250023012345678 msc:79232510066 mcc:250 mnc:02 "
    "cn:Russian+Federation net:MegaFON+open+Joint+Stock+Company rcn: rnet:"
)
NOON = 1_795_262_400_000  # 2026-11-21T12:00:00Z


def make_receipt(text: str = STANDARD, esm_class: int = 4, *tlvs: Tlv) -> DeliverSm:
    return DeliverSm(esm_class=esm_class, short_message=text.encode("latin-1"), tlvs=tlvs)


ID = Tlv(tlv.RECEIPTED_MESSAGE_ID, b"7A\0")


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        *((make_receipt("", esm_class), True) for esm_class in (0x04, 0x08, 0x20, 0x24, 0x44, 0x07)),
        *((make_receipt(STANDARD, esm_class), False) for esm_class in (0x10, 0x18)),  # a person's own words, and a talk broken off
        *((make_receipt("hi", esm_class), False) for esm_class in (0x00, 0x03, 0x40, 0x80)),
        (make_receipt("hi", 0, ID), True),
        (make_receipt("hi", 0, Tlv(tlv.RECEIPTED_MESSAGE_ID, b"\0")), False),
        (make_receipt(STANDARD, 0), True),
        (make_receipt(STANDARD.upper(), 0), True),
        (make_receipt("id:1 stat:DELIVRD", 0), False),  # too little
        (make_receipt("id: stat:DELIVRD err:0", 0), False),
        (make_receipt("id:1 stat:FINE err:0", 0), False),
        (make_receipt("my id:1 stat:DELIVRD err:0", 0), False),
        (make_receipt("id:1 text:stat:DELIVRD err:0", 0), False),
        (make_receipt("id:1 sub:001 text: stat:DELIVRD err:0", 0), False),
        (make_receipt("", 0), False),
        (DataSm(esm_class=4), True),
        (DataSm(tlvs=(ID,)), True),
        (DataSm(tlvs=(Tlv(tlv.MESSAGE_PAYLOAD, STANDARD.encode()),)), True),
        (DataSm(), False),
    ],
)
def test_which_one_is_a_receipt(pdu: DeliverSm | DataSm, expected: bool) -> None:
    assert is_receipt(pdu) == expected


def test_a_standard_receipt() -> None:
    report = read_receipt(make_receipt())
    assert (report.class_, report.ref, report.stat, report.err) == ("delivered", "0123456789", "DELIVRD", "000")
    assert (report.submitted_at, report.done_at) == (NOON, NOON + 60_000)
    assert report.fields["dlvrd"] == "001"
    assert "text" not in report.fields
    assert report.also is None


# (what, the text, what is read of it)
TEXTS: list[tuple[str, str, dict[str, str]]] = [
    ("standard", STANDARD, {"id": "0123456789", "sub": "001", "submit_date": "2611211200", "done_date": "2611211201", "err": "000"}),
    ("in any order", "stat:EXPIRED err:21 id:7A", {"stat": "EXPIRED", "err": "21", "id": "7A"}),
    ("in other cases", "ID:7a SUBMIT DATE:26 Done Date:27 Stat:DELIVRD Err:0 Text:x", {"id": "7a", "submit_date": "26", "done_date": "27"}),
    ("dates without their blank", "id:1 submitdate:26 donedate:27", {"submit_date": "26", "done_date": "27"}),
    ("dates with an underscore", "id:1 submit_date:26 done_date:27", {"submit_date": "26", "done_date": "27"}),
    ("blanks behind the colons", "id: 7A stat: DELIVRD err: 000", {"id": "7A", "stat": "DELIVRD", "err": "000"}),
    ("blanks in a value", "id:7A done date:2026-11-21 12:00:00 stat:DELIVRD", {"done_date": "2026-11-21 12:00:00"}),
    ("many blanks and lines", "id:7A\r\n  stat:DELIVRD\t err:0", {"id": "7A", "stat": "DELIVRD", "err": "0"}),
    ("empty values", "id: sub: stat: err:", {"id": "", "sub": "", "stat": "", "err": ""}),
    ("the text says stat", "id:7A stat:UNDELIV text:id:9 stat:DELIVRD err:0", {"id": "7A", "stat": "UNDELIV"}),
    ("the text says stat behind a blank", "id:7A stat:UNDELIV Text: x stat:DELIVRD done date:1", {"id": "7A", "stat": "UNDELIV"}),
    ("a key twice", "id:7A id:7B stat:DELIVRD stat:UNDELIV", {"id": "7A", "stat": "DELIVRD"}),
    ("an id with a colon", "id:a:b:c stat:DELIVRD", {"id": "a:b:c"}),
    ("an id that is a UUID", "id:01938e0c-7b1e-7000-8000-000000000000 err:0", {"id": "01938e0c-7b1e-7000-8000-000000000000"}),
    ("a vendor's key", "id:1 stat:DELIVRD op-code:77 x:1", {"op-code": "77", "x": "1"}),
    ("an error that is no number", "id:1 err:E/21 stat:REJECTD", {"err": "E/21", "stat": "REJECTD"}),
    ("HLR", HLR, {"mcc": "250", "mnc": "02", "cn": "Russian+Federation", "rcn": "", "rnet": ""}),
    ("nothing", "", {}),
    ("a person's words", "hello: how are you", {"hello": "how are you"}),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS])
def test_the_tokens_of_a_text(text: str, expected: dict[str, str]) -> None:
    fields = read_fields(text)
    assert {key: fields.get(key) for key in expected} == expected
    assert "text" not in fields


# (stat in the text, message_state, esm_class, class, word)
CLASSES: list[tuple[str, int | None, int, str, str | None]] = [
    ("DELIVRD", None, 4, "delivered", "DELIVRD"),
    ("delivrd", None, 4, "delivered", "DELIVRD"),
    ("UNDELIV", None, 4, "undelivered", "UNDELIV"),
    ("EXPIRED", None, 4, "expired", "EXPIRED"),
    ("DELETED", None, 4, "canceled", "DELETED"),
    ("ACCEPTD", None, 4, "progress", "ACCEPTD"),
    ("ENROUTE", None, 4, "progress", "ENROUTE"),
    ("REJECTD", None, 4, "undelivered", "REJECTD"),
    ("UNKNOWN", None, 4, "unrecognised", "UNKNOWN"),
    ("DELIVERED", None, 4, "delivered", "DELIVERED"),
    ("SOMETHING", None, 4, "unrecognised", "SOMETHING"),
    ("", None, 4, "unrecognised", None),
    ("", 2, 4, "delivered", "DELIVRD"),
    ("UNDELIV", 2, 4, "delivered", "DELIVRD"),  # the parameter wins
    ("DELIVRD", 5, 4, "undelivered", "UNDELIV"),
    ("DELIVRD", 99, 4, "delivered", "DELIVRD"),  # one that the manual does not know says nothing
    ("", 99, 4, "unrecognised", None),
    ("DELIVRD", 0, 4, "delivered", "DELIVRD"),
    ("ENROUTE", None, 0x20, "progress", "ENROUTE"),
    ("UNDELIV", None, 0x20, "progress", "UNDELIV"),  # an attempt failed, the SMSC goes on
    ("DELIVRD", None, 0x20, "delivered", "DELIVRD"),
    ("UNDELIV", None, 0x24, "undelivered", "UNDELIV"),
]


@pytest.mark.parametrize(("stat", "state", "esm_class", "class_", "word"), CLASSES)
def test_the_class_of_a_receipt(stat: str, state: int | None, esm_class: int, class_: str, word: str | None) -> None:
    tlvs = () if state is None else (tlv.make_number(tlv.MESSAGE_STATE, state),)
    report = read_receipt(make_receipt(f"id:1 stat:{stat} err:0", esm_class, *tlvs))
    assert (report.class_, report.stat) == (class_, word)


def test_parameters_win_over_the_text() -> None:
    tlvs = (ID, Tlv(tlv.MESSAGE_STATE, b"\x05"), Tlv(tlv.NETWORK_ERROR_CODE, b"\x03\x00\x15"))
    report = read_receipt(make_receipt("id:122 stat:DELIVRD", 4, *tlvs))
    assert (report.ref, report.also, report.class_, report.err, report.network_error) == ("7A", "122", "undelivered", "21", (3, 21))
    assert read_receipt(make_receipt("id:7A stat:DELIVRD", 4, ID)).also is None


def test_parameters_alone_are_enough() -> None:
    report = read_receipt(DeliverSm(tlvs=(Tlv(tlv.RECEIPTED_MESSAGE_ID, b"7A"), Tlv(tlv.MESSAGE_STATE, b"\x02"))))
    assert (report.ref, report.class_, report.err, report.done_at) == ("7A", "delivered", None, None)


@pytest.mark.parametrize(
    ("octets", "coding", "esm_class"),
    [
        (STANDARD.encode(), 0, 4),
        (STANDARD.encode(), 0xF1, 4),
        (STANDARD.encode("utf-16-be"), 8, 4),
        (STANDARD.encode("utf-16-be"), 0, 4),  # and data_coding does not say so
        (b"\x05\x00\x03\x01\x01\x01" + STANDARD.encode(), 0, 0x44),  # behind a user data header
        (STANDARD.encode() + b"\0", 0, 4),
    ],
)
def test_a_receipts_text_is_found_in_any_dress(octets: bytes, coding: int, esm_class: int) -> None:
    report = read_receipt(DeliverSm(data_coding=coding, esm_class=esm_class, short_message=octets))
    assert (report.ref, report.class_, report.err) == ("0123456789", "delivered", "000")
    assert read_receipt(DeliverSm(data_coding=coding, esm_class=esm_class, tlvs=(Tlv(tlv.MESSAGE_PAYLOAD, octets),))) == report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2611211200", NOON),
        ("261121120001", NOON + 1_000),
        ("202611211200", NOON),
        ("20261121120001", NOON + 1_000),
        ("261121120000000+", NOON),
        ("261121150000012+", NOON),
        ("261121090000012-", NOON),
        ("2026-11-21 12:00:00", NOON),
        ("2026-11-21T12:00:00", NOON),
        ("26/11/21 12:00", NOON),
        ("", None),
        ("0000000000", None),
        ("2613211200", None),
        ("000001000000000R", None),
        ("soon", None),
        ("²²²²²²²²²²", None),
        ("261121", None),
    ],
)
def test_dates(text: str, expected: int | None) -> None:
    assert read_date(text) == expected


def test_the_smscs_clock_has_a_zone() -> None:
    assert read_date("2611211500", zone=180) == NOON
    assert read_date("261121120000000+", zone=180) == NOON  # this one says its own
    assert read_receipt(make_receipt("id:1 done date:2611211500 stat:DELIVRD"), zone=180).done_at == NOON


def test_an_hlr_receipt() -> None:
    report = read_receipt(make_receipt(HLR))
    found = read_lookup(report)
    assert found is not None
    assert (found.status, found.network, found.country, found.operator) == (
        *("delivrd", "25002", "Russian Federation", "MegaFON open Joint Stock Company"),
    )
    assert (found.roaming, found.code) == (None, "000")
    assert "imsi" not in report.fields
    assert "msc" not in report.fields
    assert not any("250023012345678" in value for value in report.fields.values())


def test_an_hlr_receipt_of_a_roaming_subscriber() -> None:
    found = read_lookup(read_receipt(make_receipt(HLR.replace("rcn: rnet:", "rcn:Espa%C3%B1a rnet:Movistar"))))
    assert found is not None
    assert found.roaming == "Movistar"


def test_an_hlr_receipt_without_an_answer() -> None:
    empty = "id:1 stat:UNDELIV err:001 imsi: msc: mcc: mnc: cn: net: rcn: rnet:"
    found = read_lookup(read_receipt(make_receipt(empty)))
    assert found is not None
    assert (found.status, found.network, found.country, found.operator, found.code) == ("undeliv", None, None, None, "001")


def test_no_other_receipt_is_an_hlr_receipt() -> None:
    assert read_lookup(read_receipt(make_receipt())) is None


def test_the_states_of_a_query() -> None:
    assert read_state(2) == ("DELIVRD", "delivered")
    assert read_state(9) == ("STATE 9", "unrecognised")


def test_no_value_is_shown() -> None:
    assert repr(read_receipt(make_receipt())) == "Report(delivered)"


@given(st.binary(max_size=254), st.integers(0, 255), st.integers(0, 255), st.lists(st.binary(max_size=9), max_size=3))
def test_anything_is_read_without_an_error(octets: bytes, coding: int, esm_class: int, values: list[bytes]) -> None:
    tags = (tlv.RECEIPTED_MESSAGE_ID, tlv.MESSAGE_STATE, tlv.NETWORK_ERROR_CODE)
    tlvs = tuple(Tlv(tag, value) for tag, value in zip(tags, values, strict=False))
    pdu = DeliverSm(data_coding=coding, esm_class=esm_class, short_message=octets, tlvs=tlvs)
    is_receipt(pdu)
    report = read_receipt(pdu)
    read_lookup(report)
    assert report.class_ in RECEIPT_CLASSES


@given(st.dictionaries(st.sampled_from(["id", "sub", "dlvrd", "stat", "err", "x"]), st.text("09azAZ/.-", max_size=8)), st.text(max_size=30))
def test_whatever_the_text_says_the_fields_stay(fields: dict[str, str], tail: str) -> None:
    written = " ".join(f"{key}:{value}" for key, value in fields.items())
    assert read_fields(f"{written} text:{tail}") == fields


VALUES = st.text("0aZ:-_.\xe9id", max_size=5)


@given(
    *(st.lists(VALUES, min_size=7, max_size=7), st.sampled_from((" ", "  ", "\n", "\t", ": "))),
    *(st.sampled_from(("", " text:", " Text: x stat:FINE", " text:a\nerr:1", " imsi:1", "text:", " ")), st.booleans()),
)
def test_the_usual_text_is_read_as_token_by_token(values: list[str], blank: str, tail: str, is_upper: bool) -> None:
    keys = ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err")
    text = " ".join(f"{key.upper() if is_upper else key}:{value}" for key, value in zip(keys, values, strict=True)) + tail
    texts = (text, text.replace(" ", blank, 1), text.replace(" ", blank))
    found = [read_fields(each) for each in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receipts, "_is_usual", lambda text: None)
        assert found == [read_fields(each) for each in texts]
