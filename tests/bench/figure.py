"""A figure of the bench: its values over the runs, what it must and should reach, how it is shown. Knows not how it was measured.

A figure says what this machine did. The column "at reference speed" is arithmetic on top, never a measurement, and is marked so.
"""

import json
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

REFERENCE_PARSE = 9.3
"""µs of `phonenumbers.parse('+886912345678')` on the reference machine (performance.md, B7)."""


class Figure(msgspec.Struct, kw_only=True):
    """`must` and `aim` are bounds of the median: from below where `is_more_better`, else from above; None: told for its own sake.

    `scales`: how the value goes with the machine's speed: 1 a rate, -1 a time, 0 neither. `ok` is given only where the bound is not
    a plain one. `parse` is the machine's calibration around the runs, `load` its load average before them.
    """

    name: str
    title: str
    unit: str
    values: list[float]
    must: float | None = None
    aim: float | None = None
    is_more_better: bool = True
    scales: int = 0
    ok: bool | None = None
    note: str = ""
    load: float = 0.0
    parse: float = REFERENCE_PARSE

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.values)

    def reaches(self, bound: float | None) -> bool | None:
        """True when the median is on the right side of the bound, None without one."""
        if bound is None:
            return None
        return self.value >= bound if self.is_more_better else self.value <= bound

    @property
    def is_ok(self) -> bool | None:
        """True when what it must reach is reached, None where there is no such thing."""
        return self.reaches(self.must) if self.ok is None else self.ok

    @property
    def scaled(self) -> float | None:
        """The value at the reference machine's speed, None where that makes no sense."""
        if not self.scales:
            return None
        slower = self.parse / REFERENCE_PARSE
        return self.value * slower if self.scales > 0 else self.value / slower


def show_json(figure: Figure, *, is_quick: bool) -> str:
    """The figure as one line."""
    scaled = figure.scaled
    return json.dumps(
        {
            "name": figure.name,
            "value": _round(figure.value),
            "unit": figure.unit,
            "must": figure.must,
            "aim": figure.aim,
            "ok": None if is_quick else figure.is_ok,
            "runs": len(figure.values),
            "min": _round(min(figure.values)),
            "max": _round(max(figure.values)),
            "better": "more" if figure.is_more_better else "less",
            "at_reference_speed": None if scaled is None else _round(scaled),
            "parse_us": _round(figure.parse),
            "load1": figure.load,
            "quick": is_quick,
            "note": figure.note,
        },
        ensure_ascii=False,
    )


def _round(value: float) -> float:
    return round(value, 4 if abs(value) < 10 else 1)


def _show(value: float | None) -> str:
    if value is None:
        return ""
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}" if size < 100 else f"{value:.0f}"


def _judge(figure: Figure, is_quick: bool) -> str:
    if is_quick or figure.is_ok is None:
        return ""
    if not figure.is_ok:
        return "MISSED"
    return "aim" if figure.reaches(figure.aim) else "must"


HEADS = ("figure", "median", "unit", "must", "aim", "reached", "min", "max", "runs", "at ref. speed*")


def make_table(figures: Iterable[Figure], *, is_quick: bool) -> str:
    """All figures, one line each, and below what the notes say."""
    rows: list[Sequence[str]] = [HEADS]
    notes = []
    for figure in figures:
        sign = ">= " if figure.is_more_better else "<= "
        bounds = [sign + _show(bound) if bound is not None else "" for bound in (figure.must, figure.aim)]
        values = [_show(value) for value in (min(figure.values), max(figure.values))]
        judged = _judge(figure, is_quick)
        rows.append(
            (figure.title, _show(figure.value), figure.unit, *bounds, judged, *values, str(len(figure.values)), _show(figure.scaled))
        )
        if figure.note:
            notes.append(f"  {figure.name}: {figure.note}")
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADS))]
    lines = ["  ".join(_pad(cell, width, at) for at, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    star = (
        f"* arithmetic, not measured: rates x, times / what phonenumbers.parse took around that figure over {REFERENCE_PARSE} µs.\n"
        "  That is pure Python's speed: it flatters what is mostly the kernel's work, another program's most of all."
    )
    return "\n".join([*lines, star, *notes])


def _pad(cell: str, width: int, at: int) -> str:
    return cell.ljust(width) if at in (0, 2, 5) else cell.rjust(width)
