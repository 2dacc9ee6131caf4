"""Values made safe, tables on a terminal and in a pipe, JSON, and times as people read them."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.cli.output import Column, Columns, print_json, print_table, show, show_count, show_price, show_status
from broker.cli.times import show_age, show_clock, show_moment, show_rough, show_took
from broker.words.clock import read_time


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (True, "yes"),
        (["a", None, 3], "a, -, 3"),
        ("多謝 ñ", "多謝 ñ"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_show(value: object, shown: str) -> None:
    assert show(value) == shown


@given(st.text())
def test_nothing_that_a_terminal_obeys(text: str) -> None:
    assert show(text).isprintable()


ROWS = [("mitake", 5, "[red]up[/red]", None), ("a", 12_345, "多", None)]
COLUMNS: Columns = ["name", Column("count", is_number=True), "state", "empty"]


def test_a_table_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out == "name    count  state\nmitake      5  [red]up[/red]\na       12345  多\n"


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(["name", "state"], [("mitake", "up"), ("[b]", "suspended, again in 4m")])
    out = capsys.readouterr().out
    assert "\x1b[32mup" in out
    assert "\x1b[31msuspended, again in 4m" in out
    assert "[b]" in out  # no markup
    assert "──" in out


def test_a_status_has_a_colour_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert show_status("failed") == "failed"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert show_status("failed") == "\x1b[31mfailed\x1b[0m"
    assert show_status("queued") == "queued"
    monkeypatch.setenv("NO_COLOR", "1")
    assert show_status("failed") == "failed"


def test_json_for_a_terminal_is_spread(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_json({"a": 1})
    print_json({"a": 1}, is_line=True)
    assert capsys.readouterr().out == '{\n  "a": 1\n}\n{"a": 1}\n'


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_can_be_read_whatever_the_terminal_writes(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"text": "多謝 🦉 é \ud800 \x1b"}
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace"))
    print_json(document)
    assert json.loads(raw.getvalue()) == document


@pytest.mark.parametrize(("count", "shown"), [(0, "0 messages"), (1, "1 message"), (1_234, "1,234 messages")])
def test_show_count(count: int, shown: str) -> None:
    assert show_count(count, "message") == shown


@pytest.mark.parametrize(("price", "currency", "shown"), [("0.90", "TWD", "0.90 TWD"), (None, "EUR", "-"), ("1.00", None, "1.00")])
def test_show_price(price: str | None, currency: str | None, shown: str) -> None:
    assert show_price(price, currency) == shown


AT = read_time("2026-11-21T12:00:00Z")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-21T11:56:00Z", "4m ago"),
        ("2026-11-22T00:30:05Z", "in 12h 30m"),
        ("2026-11-21T12:00:00.400Z", "now"),
        ("2026-11-19T12:00:30Z", "1d 23h ago"),
        ("soon\x07", "soon\\x07"),
        (None, "-"),
        ("", "-"),
        (17, "-"),
    ],
)
def test_show_age(text: object, shown: str) -> None:
    assert show_age(text, AT) == shown


@pytest.mark.parametrize(
    ("milli", "shown"),
    [(0, "0ms"), (999, "999ms"), (1_000, "1s"), (61_000, "1m 1s"), (3_600_000, "1h"), (3_601_000, "1h"), (93_784_000, "1d 2h")],
)
def test_show_rough(milli: int, shown: str) -> None:
    assert show_rough(milli) == shown


def test_moments() -> None:
    assert show_moment("2026-11-21T12:00:00.000Z") == "2026-11-21 12:00:00"
    assert show_clock("2026-11-21T12:00:00.120Z", "2026-11-21") == "12:00:00.120"
    assert show_clock("2026-11-22T12:00:00.120Z", "2026-11-21") == "2026-11-22 12:00:00.120"
    assert show_took("2026-11-21T12:00:00.120Z", "2026-11-21T12:00:00.402Z") == "282ms"
    assert show_took("2026-11-21T12:00:00.120Z", None) == "-"
    assert show_took("x", "y") == "-"
