"""Every figure of the bench comes out, in tiny: the real daemon, its clients and sinks, in C and in Python. Says nothing of speed."""

import json
import math
from collections.abc import Iterator
from importlib import import_module

import pytest

from tests.bench import beside_kannel
from tests.bench.__main__ import MODULES, main
from tests.bench.bench import Bench
from tests.bench.figure import Figure, make_table, show_json
from tests.bench.machine import look_at_machine
from tests.bench.peers import Tools
from tests.bench.rig import Skip, Stage

# figure → what it yields in a quick run, and whether its peers are the Python ones: each kind of peer is seen in both languages
CASES = {
    "codec": (["codec", "codec.both", "codec.deliver", "codec.receipt"], True),
    "acks": (["acks"], True),
    "latency": (["latency", "latency.cpu"], False),
    "loopback": (["loopback", "loopback.cpu"], True),
    "http": (["http", "http.cpu"], True),
    "smpp": (["smpp", "smpp.cpu", "window", "window.25"], True),
    "backlog": (["backlog", "backlog.memory"], False),
    "isolation": (["isolation"], False),
    "feed": (["feed", "feed.late"], False),
    "callbacks": (["callbacks", "callbacks.cpu", "callbacks.p99"], False),
    "poller": (["poller.idle", "poller.asked", "poller.memory"], False),
    "idle": (["idle.memory", "idle.start", "idle.first"], False),
    "restart": (["restart"], False),
}
KEYS = {"name", "value", "unit", "must", "aim", "ok", "runs", "min", "max"}
BESIDE_KANNEL = [
    *("kannel.smpp", "kannel.smpp.file", "kannel.smpp.spool", "kannel.smpp.cpu", "kannel.smpp.cpu.ours"),
    *("kannel.smpp.file.rate", "kannel.smpp.spool.rate", "kannel.smpp.file.cpu"),
    *("kannel.http", "kannel.http.file", "kannel.http.cpu", "kannel.http.file.rate", "kannel.http.file.cpu"),
]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module")
def tools(stage: Stage) -> Tools:
    return Tools(stage)


def test_every_figure_is_tried() -> None:
    assert CASES.keys() == MODULES.keys()


@pytest.mark.parametrize("name", CASES)
def test_the_figure_comes_out(name: str, stage: Stage, tools: Tools) -> None:
    expected, is_python = CASES[name]
    bench = Bench(stage, Tools(stage, python=True) if is_python else tools, is_quick=True)
    figures = list(import_module(f"tests.bench.{MODULES[name]}").measure(bench))
    assert [figure.name for figure in figures] == expected
    table = make_table(figures, is_quick=True)
    for figure in figures:
        assert all(math.isfinite(value) for value in figure.values)
        line = json.loads(show_json(figure, is_quick=True))
        assert line.keys() >= KEYS
        assert line["ok"] is None
        assert line["min"] <= line["value"] <= line["max"]
        assert figure.title in table


def test_the_comparison_with_kannel_comes_out(stage: Stage, tools: Tools) -> None:
    try:
        figures = list(beside_kannel.measure(Bench(stage, tools, is_quick=True)))
    except Skip as skip:
        pytest.skip(str(skip))
    assert [figure.name for figure in figures] == BESIDE_KANNEL


def test_a_comparison_without_kannel_is_skipped_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["kannel", "--quick"]) == 0
    assert "SKIPPED kannel: bearerbox and smsbox (Kannel; on Debian `apt-get install kannel`) not on the path" in capsys.readouterr().err


def test_the_machine_is_looked_at(stage: Stage) -> None:
    machine = look_at_machine(stage.folder, "C")
    assert machine.parse > 0
    assert "9.3 µs on the reference" in str(machine)


# (values, is more better, must, aim, the bound's verdict given, JSON's ok, the table's word)
VERDICTS = [
    ([5.0, 9.0, 7.0], True, 6.0, 8.0, None, True, "must"),
    ([5.0, 9.0, 7.0], True, 6.0, 7.0, None, True, "aim"),
    ([5.0, 9.0, 7.0], True, 7.5, 8.0, None, False, "MISSED"),
    ([5.0, 9.0, 7.0], False, 7.0, 5.0, None, True, "must"),
    ([5.0, 9.0, 7.0], False, 6.0, 5.0, None, False, "MISSED"),
    ([5.0, 9.0, 7.0], False, 6.0, 5.0, True, True, "must"),  # the other half of an "or"
    ([5.0, 9.0, 7.0], True, None, None, None, None, ""),
]


@pytest.mark.parametrize(("values", "better", "must", "aim", "given", "ok", "word"), VERDICTS)
def test_the_median_is_judged(
    values: list[float], better: bool, must: float | None, aim: float | None, given: bool | None, ok: bool | None, word: str
) -> None:
    figure = Figure(name="x", title="x", unit="u", values=values, must=must, aim=aim, is_more_better=better, ok=given)
    line = json.loads(show_json(figure, is_quick=False))
    assert (line["ok"], line["value"], line["runs"]) == (ok, 7.0, 3)
    assert word in make_table([figure], is_quick=False).splitlines()[2]


def test_reference_speed_is_arithmetic_beside_the_figure() -> None:
    rate = Figure(name="x", title="x", unit="/s", values=[100.0], scales=1, parse=18.6)
    time = Figure(name="x", title="x", unit="ms", values=[100.0], scales=-1, parse=18.6)
    ratio = Figure(name="x", title="x", unit="x", values=[100.0], parse=18.6)
    assert [round(figure.scaled or 0) for figure in (rate, time, ratio)] == [200, 50, 0]
    assert json.loads(show_json(rate, is_quick=False))["value"] == 100.0
