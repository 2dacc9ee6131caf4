"""A command as an endpoint: real programs, in real time, each of them short."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from broker.delivery import endpoints
from broker.delivery.endpoints import TAKEN, Command, Verdict

BODY = json.dumps({"type": "inbound.received", "data": {"text": "c4n4ry $(touch /tmp/no) `x`"}}).encode()


def python(script: str, *more: str) -> Command:
    return Command([sys.executable, "-c", script, *more])


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["true"], TAKEN),
        (["false"], Verdict("failed", "exit 1")),
        (["sh", "-c", "exit 75"], Verdict("failed", "exit 75")),
        (["sh", "-c", "kill -9 $$"], Verdict("failed", "signal 9")),
        (["/nowhere/program"], Verdict("failed", "cannot start: No such file or directory")),
        (["/"], Verdict("failed", "cannot start: Permission denied")),
        (["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 0"], TAKEN),  # its output goes nowhere
    ],
)
async def test_how_it_ends(words: list[str], verdict: Verdict) -> None:
    with trio.fail_after(20):
        assert await Command(words).hand_over("id", BODY, 0) == verdict


async def test_the_message_comes_on_its_standard_input(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = "import os, sys; open(sys.argv[1], 'w').write(repr((sys.stdin.read(), sys.argv[2:], sorted(os.environ), os.getcwd())))"
    assert await python(script, str(seen), "a b", "$HOME; x").hand_over("id", BODY, 0) == TAKEN
    given, arguments, environ, folder = eval(seen.read_text())  # noqa: S307  # written by the line above
    assert given == BODY.decode() + "\n"
    assert arguments == ["a b", "$HOME; x"], "no shell takes it apart"
    assert set(environ) - {"LC_CTYPE"} == {"LANG", "PATH"}
    assert folder == "/"


async def test_what_reads_nothing_is_taken_all_the_same() -> None:
    assert await Command(["true"]).hand_over("id", BODY * 100_000, 0) == TAKEN


async def test_one_that_lasts_too_long_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "COMMAND_DEADLINE", 500)
    monkeypatch.setattr(endpoints, "KILL_AFTER", 0.1)
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; wait; wait"
    with trio.fail_after(10):
        assert await Command(["sh", "-c", script]).hand_over("id", BODY, 0) == Verdict("failed", "timeout")
    for pid in map(int, pids.read_text().split()):
        with trio.fail_after(5):
            while is_alive(pid):  # noqa: ASYNC110  # another process gives no event
                await trio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_only_so_many_run_at_once(tmp_path: Path) -> None:
    script = "import os, sys, time; p = sys.argv[1]; open(f'{p}/{os.getpid()}', 'w'); time.sleep(0.05); n = len(os.listdir(p)); "
    script += "os.unlink(f'{p}/{os.getpid()}'); sys.exit(n > 8)"
    verdicts: list[Verdict] = []

    async def run() -> None:
        verdicts.append(await python(script, str(tmp_path)).hand_over("id", BODY, 0))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(run)
    assert set(verdicts) == {TAKEN}


async def test_a_stop_of_the_broker_ends_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Command(["sh", "-c", f"echo $$ > {pid}; exec sleep 60"]).hand_over, "id", BODY, 0)
        with trio.fail_after(10):
            while not pid.exists() or not pid.read_text():  # noqa: ASYNC110  # as above
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert not is_alive(int(pid.read_text()))


async def test_it_never_ends_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal goes to the command's own session, whatever process group the broker is in."""
    ended: list[tuple[int, int]] = []
    killpg = os.killpg

    def note(group: int, number: int) -> None:
        ended.append((group, number))
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", note)
    monkeypatch.setattr(endpoints, "COMMAND_DEADLINE", 100)
    assert (await Command(["sleep", "60"]).hand_over("id", BODY, 0)).kind == "failed"
    assert ended[0][1] == signal.SIGTERM
    assert ended[0][0] not in (os.getpgid(0), os.getpid())
