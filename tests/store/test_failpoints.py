"""Failpoints: read from the environment's text, and what cannot be read is said."""

import os
import signal

import pytest

from broker.store.failpoints import read_failpoints


def test_none() -> None:
    read_failpoints("")("commit.before")


def test_the_third_time(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: killed.append(number))
    reach = read_failpoints("commit.before=kill@3, commit.after=kill")
    reach("commit.before")
    reach("commit.before")
    reach("elsewhere")
    assert killed == []
    reach("commit.before")
    assert killed == [signal.SIGKILL]
    reach("commit.before")
    assert len(killed) == 1
    reach("commit.after")
    assert len(killed) == 2


@pytest.mark.parametrize("text", ["commit.before", "commit.before=sleep@1", "=kill@1", "a=kill@x", "a=kill@1,b"])
def test_unreadable(text: str) -> None:
    with pytest.raises(ValueError, match=r"BROKER_FAILPOINTS: .* is not of the form point=kill@N"):
        read_failpoints(text)
