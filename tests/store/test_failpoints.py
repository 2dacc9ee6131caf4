"""Failpoints: read from the environment's text, what cannot be read is said, and the table is what the code has."""

import os
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from broker import daemon
from broker.store import failpoints, journal
from broker.store.contract import Accept, Operation, Put, Receive, Shut, Step, Stray
from broker.store.failpoints import _FAILING, POINTS, name_kinds, read_failpoints
from broker.store.journal import StoreBroken
from broker.words.inbound import Received
from broker.words.receipt import Receipt
from tests.store.rig import NOW, Sqlite, attempt, entry, message

ROOT = Path(__file__).parents[2]


def test_none() -> None:
    read_failpoints("")("commit.before")


def test_the_third_time(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: killed.append(number))
    reach = read_failpoints("commit.before=kill@3, commit.after=kill")
    reach("commit.before")
    reach("commit.before")
    reach("commit.told")
    assert killed == []
    reach("commit.before")
    assert killed == [signal.SIGKILL]
    assert capfd.readouterr().err == "failpoint commit.before\n"
    reach("commit.before")
    assert len(killed) == 1
    reach("commit.after")
    assert len(killed) == 2


def test_an_error_is_of_the_point() -> None:
    reach = read_failpoints("outcome.commit=error@2,hook.sending=error")
    reach("outcome.commit")
    with pytest.raises(sqlite3.OperationalError) as disk:
        reach("outcome.commit")
    assert disk.value.sqlite_errorname == "SQLITE_IOERR_FSYNC"
    with pytest.raises(OSError, match="failpoint"):
        reach("hook.sending")


@pytest.mark.parametrize(
    "text", ["commit.told", "commit.told=sleep@1", "commit.told=kill@x", "commit.told=kill@0", "commit.told=kill@", "commit.told=kill,b"]
)
def test_unreadable(text: str) -> None:
    with pytest.raises(ValueError, match=r"BROKER_FAILPOINTS: .* is not of the form .* an action of: kill, error"):
        read_failpoints(text)


@pytest.mark.parametrize(("text", "says"), [("comit.before=kill", "did you mean commit.before"), ("=kill@1", "points are: start.opened, ")])
def test_an_unknown_point(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="there is no point") as error:
        read_failpoints(text)
    assert says in str(error.value)
    assert str(error.value).endswith(", ".join(POINTS))


def test_what_cannot_fail() -> None:
    with pytest.raises(ValueError, match=r'nothing can fail at "attempt\.opened"'):
        read_failpoints("attempt.opened=error")


def test_the_daemon_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(daemon, "TROUBLE", failpoints._read("nowhere=kill")[1])
    assert daemon.run_daemon(tmp_path / "broker.toml") == 78
    assert capsys.readouterr().err.startswith('broker: BROKER_FAILPOINTS: there is no point "nowhere"')


def test_the_table_is_what_the_code_has() -> None:
    """Every point that the code passes, and no other, but for those of a batch, which are named by what it holds."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "broker").rglob("*.py")) if path.name != "failpoints.py")
    calls = re.findall(r"[^_]failpoint\((.*)\)\n", text)
    named = {name for call in calls for name in re.findall(r'"([a-z]+\.[a-z]+)"', call)}
    kinds = {f"{kind}.{when}" for when in re.findall(r'batch_point\(batch, "([a-z]+)"\)', text) for kind in KINDS}
    assert named | kinds == set(POINTS)
    assert not named & kinds
    assert set(_FAILING) <= set(POINTS)


ONE = message("m1")
SHUT = Shut(1, ("open",), "accepted", NOW)
KINDS: dict[str, Operation] = {
    "accept": Accept(ONE, entry("queued"), lambda _answer, _value: None),
    "attempt": Step("m1", ("queued",), None, open=attempt("m1")),
    "outcome": Step("m1", ("sending",), None, shut=(SHUT,)),
    "doubt": Step("m1", ("in_doubt",), None, shut=(Shut(1, ("in_doubt",), "abandoned", NOW),)),
    "receipt": Step("m1", ("sent",), None, from_outside=True),
    "inbound": Receive(Received("i1", "a", "+886912345678", None, "hello", None, NOW, None, 1, "TW"), b"", 0, Put()),
    "hook": Put(unhook=(1,)),
}


def test_what_a_batch_holds() -> None:
    for kind, operation in KINDS.items():
        assert name_kinds([operation]) == {kind}
    assert name_kinds(list(KINDS.values())) == set(KINDS)
    assert name_kinds([Put(), Step("m1", ("queued",), None)]) == set()
    assert name_kinds([Put(strays=(Stray(1, "a", NOW, Receipt("delivered", "r")),))]) == {"receipt"}


async def test_a_sync_that_fails_in_retention_stops_the_journal(store: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at any other commit: it is never tried again (reliability, M3)."""
    monkeypatch.setattr(journal, "failpoint", read_failpoints("retention.commit=error"))
    with pytest.raises(StoreBroken, match="SQLITE_IOERR_FSYNC"):
        await store.journal.forget(lambda _conn: False)
