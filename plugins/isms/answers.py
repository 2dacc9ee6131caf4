"""Reads iSMS.gr's answers: one line of plain text, whatever was asked. Raises nothing for an answer.

What the page does not list proves nothing, and of an answer nothing is repeated that may be our own text, number or password.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from broker.provider.contract import Lookup, Outcome, Receipt
from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

from .codes import GONE, LOOKUPS

ERROR = "Error:"
STATUS = "Status:"

_LONGEST_CODE = 80
_LONGEST_NAME = 64
_has_number = re.compile(r"[0-9]{6}").search
_is_id = re.compile(r"ID: ?([0-9A-Za-z]{1,64})").fullmatch
_GREEK = str.maketrans("ΟΚ", "OK")


def read_lines(status: int, body: bytes) -> list[str]:
    """The lines of an answer that are not blank; none where the HTTP status says that it is no answer of the API's."""
    if not 200 <= status < 300:
        return []
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_send(lines: Sequence[str], codes: Mapping[str, OutcomeClass], hidden: Iterable[str]) -> Outcome:
    """`ID:…` or `Error: …`; with both the id holds, as an anomaly."""
    ids = [match[1] for line in lines if (match := _is_id(line))]
    errors = [line for line in lines if line.startswith(ERROR)]
    if len(ids) == 1 and len(errors) <= 1 and len(lines) == 1 + len(errors):
        code = keep_code(read_error(errors[0]), hidden) if errors else None
        return Outcome("accepted", code, refs=(ids[0],), evidence="anomaly" if errors else None)
    return read_refusal(lines, codes, hidden)


def read_refusal(lines: Sequence[str], codes: Mapping[str, OutcomeClass], hidden: Iterable[str]) -> Outcome:
    """`Error: …` of `codes`; anything else proves nothing."""
    if len(lines) != 1:
        return Outcome("in_doubt", detail="the answer is not one line of text", evidence="unreadable")
    (line,) = lines
    code = read_error(line)
    if line.startswith(ERROR) and code in codes:
        return Outcome(codes[code], code)
    return Outcome("in_doubt", keep_code(code, hidden), "the manual has no such answer to this request")


def read_error(line: str) -> str:
    """What stands behind `Error:`."""
    return line.removeprefix(ERROR).strip()


def keep_code(code: str, hidden: Iterable[str]) -> str | None:
    """`code` where it may be shown: it goes into events and logs, and an answer that nobody has seen may repeat what we sent."""
    if not code or len(code) > _LONGEST_CODE or not code.isprintable() or _has_number(code):
        return None
    return None if any(value and value in code for value in hidden) else code


def read_fate(lines: Sequence[str], codes: Mapping[str, ReceiptClass], hidden: Iterable[str]) -> Receipt:
    """`Status: …` of `codes`; `Error: …` and anything else is the query's own trouble."""
    line = lines[0] if len(lines) == 1 else ""
    class_: ReceiptClass = "query_error"
    code = read_error(line)
    if line.startswith(STATUS):
        code = line.removeprefix(STATUS).strip()
        class_ = codes.get(code, "unrecognised")
    return Receipt(class_, code=keep_code(code, hidden), gone=code in GONE)


def read_lookup(lines: Sequence[str], hidden: Iterable[str]) -> Receipt:
    """`Pending`, or `Status;Country;Operator;IMSI;ServingMSC;ErrorCode`. IMSI and serving centre tell of a person: they are left."""
    line = lines[0].removeprefix(STATUS) if len(lines) == 1 else ""
    word, *rest = (field.strip() for field in line.split(";"))
    class_ = LOOKUPS.get(word)
    if class_ is None or class_ == "query_error":
        code = None if rest else keep_code(read_error(line), hidden)
        return Receipt("unrecognised" if rest else "query_error", code=code, gone=code in GONE)
    if class_ == "progress":
        return Receipt(class_, code=word)
    country, operator, error = (rest[0], rest[1], rest[4]) if len(rest) == 5 else ("", "", "")
    found = Lookup(word.lower(), _keep_name(country), operator=_keep_name(operator), code=_keep_name(error))
    return Receipt(class_, code=word, lookup=found)


def _keep_name(text: str) -> str | None:
    return text if 0 < len(text) <= _LONGEST_NAME and text.isprintable() and not _has_number(text) else None


def read_contact(lines: Sequence[str], codes: Mapping[str, OutcomeClass], hidden: Iterable[str]) -> Outcome:
    """The page's OK, `FAILED`, or `Error: …` of `codes`."""
    word = lines[0].translate(_GREEK) if len(lines) == 1 else ""
    if word in codes and not word.endswith("."):  # the two words that come without `Error:`
        return Outcome(codes[word], word, None if word == "OK" else "the provider did not change its address book, and says no more")
    return read_refusal(lines, {code: class_ for code, class_ in codes.items() if code.endswith(".")}, hidden)
