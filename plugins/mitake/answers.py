"""Reads Mitake's answers: sections of `key=value` lines after a send, tab-separated rows after a query, `id=code` after a cancel.

Raises nothing for an answer and believes no half of one: what is not proven is in doubt, what may be another message's is nobody's.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from broker.provider.contract import Outcome

from .callback import read_stamp
from .codes import FATES, find_meaning

is_ref = re.compile(r"[#$]?[0-9A-Za-z-]{1,40}").fullmatch

_is_label = re.compile(r"\[([^\[\]]{1,64})\]").fullmatch
_is_points = re.compile(r"-?[0-9]{1,12}").fullmatch
_is_code = re.compile(r"[0-9A-Za-z*?-]{1,4}").fullmatch  # short, lest an answer bring a text or a secret along


class Block(NamedTuple):
    """One section of an answer; `label` is None for what stands before the first one."""

    label: str | None
    fields: dict[str, str]

    @property
    def code(self) -> str | None:
        """Its `statuscode`, or the one that its error's text stands for."""
        code = self.fields.get("statuscode")
        if code is None:
            return "e" if self.fields.get("Error") == "帳號、密碼錯誤" else None
        return code if _is_code(code) else None

    @property
    def ref(self) -> str | None:
        """Its `msgid`."""
        ref = self.fields.get("msgid", "")
        return ref if is_ref(ref) and ref.strip("#$0") else None


class Row(NamedTuple):
    """What a query or a cancel said of one id: its code, and since when (milliseconds UTC)."""

    code: str | None
    at: int | None = None


def read_blocks(body: bytes) -> tuple[list[Block], int | None]:
    """The sections that speak of a message, in order, and the points left where the answer says so."""
    blocks = [Block(None, {})]
    points = None
    for line in _lines(body):
        label = _is_label(line)
        key, has_value, value = line.partition("=")
        if label is not None:
            blocks.append(Block(label[1], {}))
        elif key == "AccountPoint":
            points = int(value) if _is_points(value) else None  # empty is not zero
        elif has_value:
            blocks[-1].fields.setdefault(key, value)
    telling = {"msgid", "statuscode", "Error"}
    return [block for block in blocks if block.label is not None or block.fields.keys() & telling], points


def _lines(body: bytes) -> list[str]:
    # Split before decoding: no line's end is part of a Big5 character, so a broken one spoils its line alone.
    lines = body.split(b"\n")
    if lines[-1].startswith(b"msgid="):
        lines.pop()  # the line has no end: its id may be cut, and half an id is another message's
    return [line.decode("big5", "replace").strip() for line in lines]


def match_blocks(blocks: Sequence[Block], labels: Sequence[str]) -> dict[int, Block]:
    """Which message each section answers, by place; `labels` are their clientids. A section that may be another's answers none."""
    count = len(labels)
    if len(blocks) == 1 and (count == 1 or _is_whole_call(blocks[0])):
        return dict.fromkeys(range(count), blocks[0])
    seen = Counter(block.label for block in blocks)
    places = {label: n for n, label in enumerate(labels)}
    if not places.keys() & seen.keys():
        # Labels count from 1 in the manual, from 0 in its failures. The first one tells: a cut takes the end.
        first = blocks[0].label if blocks else None
        places = {str(int(first) + n): n for n in range(count)} if first in ("0", "1") else {}
    once = {block.label: block for block in blocks if seen[block.label] == 1}
    return {place: once[label] for label, place in places.items() if label in once}


def _is_whole_call(block: Block) -> bool:
    """True where a lone refusal answers for every message: the manual's `[0]`, `statuscode=e`, `Error=…`."""
    class_, _ = find_meaning(block.code)
    is_general = block.label in (None, "0") and class_ in ("unavailable", "throttled", "no_credit")
    return (is_general or class_ == "misconfigured") and block.ref is None


def judge_block(block: Block) -> Outcome:
    """What a section says of its message."""
    code, ref = block.code, block.ref
    class_, detail = find_meaning(code)
    if ref is None:
        if class_ == "accepted":
            return Outcome("in_doubt", code=code, evidence="no_id")
        return Outcome(class_, code=code, detail=detail)
    if code is None:
        return Outcome("in_doubt", refs=(ref,), evidence="no_code")
    if class_ != "accepted":  # an id beats a code
        return Outcome("accepted", code=code, detail=detail, refs=(ref,), evidence="anomaly")
    is_repeat = block.fields.get("Duplicate") == "Y"  # the first answer again; nothing was sent twice
    return Outcome("accepted", code=code, refs=(ref,), evidence="duplicate" if is_repeat else None)


def read_refusal(body: bytes) -> str | None:
    """The code with which a question was refused: `statuscode=e`, or the letter alone."""
    alone = body.strip().decode("ascii", "replace")
    if FATES.get(alone) == "query_error":
        return alone
    blocks, _ = read_blocks(body)
    return blocks[0].code if len(blocks) == 1 else None


def read_rows(body: bytes, zone: tzinfo) -> dict[str, Row]:
    """The rows of a query's answer, by id: `msgid TAB statuscode TAB statustime`, in any order."""
    rows = {}
    for line in _lines(body):
        ref, *rest = (field.strip() for field in line.split("\t"))
        if rest:
            rows[ref] = Row(_read_code(rest[0]), read_stamp(rest[1], zone) if rest[1:] else None)
    return rows


def read_cancels(body: bytes) -> dict[str, Row]:
    """The lines of a cancel's answer, by id: `msgid=9` canceled, another digit what it is instead, `?` no such id."""
    rows = {}
    for line in _lines(body):
        ref, has_code, code = line.partition("=")
        if has_code and is_ref(ref) and ref not in ("statuscode", "Error"):
            rows[ref] = Row(_read_code(code))
    return rows


def _read_code(text: str) -> str | None:
    return text if _is_code(text) else None


def find_row(rows: dict[str, Row], ref: str | None, asked: set[str]) -> Row | None:
    """The row of an id, also where it came back with or without its prefix; but never that of another attempt asked for."""
    if ref is None:
        return None
    other = ref[1:] if ref.startswith("#") else f"#{ref}"
    return rows.get(ref) or (None if other in asked else rows.get(other))
