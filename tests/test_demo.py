"""The demo, played once as a stranger would: it ends by itself, well, and tells no number and no password.

That its verdict can also be bad is shown on made-up ends.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from broker.cli.demo_broker import Broker, DemoFailed
from broker.cli.demo_cast import FIRST, PASSWORD, SECOND, Order, count_copies
from broker.cli.demo_check import check, sum_up
from broker.cli.demo_feed import Chronicle
from broker.cli.demo_stage import show_end

ROOT = Path(__file__).parent.parent
MOST_S = 35
DEMO = [sys.executable, "-m", "broker", "demo"]


@pytest.fixture
def folder() -> Iterator[Path]:
    place = Path(mkdtemp(prefix="t-"))  # pytest's folders are too deep for a socket's path
    yield place
    place.rmdir()  # fails where the demo has left anything behind


def environ_of(folder: Path) -> dict[str, str]:
    # What would lead a daemon astray must not lead this one.
    astray = {"RUNTIME_DIRECTORY": "/nowhere", "STATE_DIRECTORY": "/nowhere", "BROKER_CONFIG": "/nowhere/broker.toml"}
    return {**os.environ, **astray, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}


FACTS = (
    r"TW +refused +mitake: unavailable \(r\)",
    r"mitake +down ",
    r"refused +isms: no_credit \(Insufficient credits\.\)",
    r"isms +dry ",
    r"kill -9",
    r"the broker is dead, with .*queued.*[1-4] sending",
    r"US +in_doubt +tatango",
    r"broker resolve [0-9a-f]{8}… accepted",
    r"TW +delivered +mitake",
    r"GR +delivered +isms",
    r"IT +delivered +subito",
    r"US +unconfirmed +tatango  this provider gives no receipts",
    r"28 of 28 known by their keys",
    r"ok +28 messages: 2[0-3] delivered, [5-8] unconfirmed",
    r"ok +nothing lost",
    r"ok +nothing sent twice",
    r"ok +the feed told \d+ changes across the kill",
    r"Every message ended as it should\.",
)


# One test, not one for each fact: with several workers the demo would be played by each of them.
def test_the_demo(folder: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(DEMO, cwd=folder, env=environ_of(folder), capture_output=True, text=True, timeout=MOST_S, check=False)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert seconds < MOST_S
    assert done.stderr == ""
    assert "FAILED" not in done.stdout
    assert [fact for fact in FACTS if not re.search(fact, done.stdout)] == [], done.stdout
    assert list(folder.iterdir()) == []
    check_prices(done.stdout)
    check_secrecy(done.stdout)


def check_prices(told: str) -> None:
    rows = re.findall(r"^(.*?) {2,}.* ([0-9.]+)$", told.partition("in EUR\n")[2], re.MULTILINE)
    euros = {name: Decimal(amount) for name, amount in rows}
    total = euros.pop("all together")
    assert len(euros) == 4
    assert sum(euros.values()) == total
    assert re.search(r"Mitake, Taiwan .* 7\.20 TWD +0\.2088$", told, re.MULTILINE)  # 8 x 0.90 x 0.029


def check_secrecy(told: str) -> None:
    digits = re.sub(r"[^0-9\n]", "", told)
    assert "•" in told
    assert PASSWORD not in told
    for order in [*FIRST, *SECOND]:
        assert order.to[-8:] not in digits
        assert order.text not in told


def test_an_interruption_ends_it_cleanly(folder: Path) -> None:
    process = subprocess.Popen(DEMO, cwd=folder, env=environ_of(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = (re.search(r"the broker runs \(pid (\d+)\)", line) for line in process.stdout)
    daemon = int(next(found for found in pids if found)[1])
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == ""
    assert list(folder.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)


async def test_a_broker_that_does_not_start_says_why(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("[brokr]\n")
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await Broker(file).start(nursery)
    (failed,) = caught.value.exceptions
    assert isinstance(failed, DemoFailed)
    assert "brokr: unknown key" in str(failed)


# ---- the verdict


def make_end(**changes: Any) -> dict[str, Any]:
    """The arguments of `check` for a story of the whole batch that went well, with `changes`."""
    orders = {order.key: order for order in [*FIRST, *SECOND]}
    twins = {"subito": SimpleNamespace(sent=[(order.to, "", "") for order in orders.values()])}
    found = [make_answer(key, n) for n, key in enumerate(orders, 1)]
    found[0]["attempts"].insert(0, make_attempt("mitake", "refused", "unavailable"))
    found[1]["attempts"].insert(0, make_attempt("isms", "refused", "no_credit"))
    chronicle = Chronicle(["subito"], lambda event: None)
    for answer in found:
        chronicle.note(answer["events"][0])
    repeated = [{"ok": True, "id": key, "duplicate": True} for key in orders]
    return {
        **{"chronicle": chronicle, "twins": twins, "orders": orders, "found": found, "repeated": repeated, "by_hand": {"order-3"}},
        **changes,
    }


def make_attempt(provider: str, state: str, class_: str, price: str = "0.05") -> dict[str, Any]:
    return {"provider": provider, "state": state, "class": class_, "price": price, "currency": "EUR"}


def make_answer(key: str, seq: int, status: str = "delivered") -> dict[str, Any]:
    event = {"seq": seq, "type": f"message.{status}", "id": key, "status": status, "provider": "subito", "class": None}
    return {
        "message": {"id": key, "status": status},
        "attempts": [make_attempt("subito", "accepted", "accepted")],
        "events": [event],
    }


def find_bad(end: dict[str, Any]) -> list[str]:
    return [claim for holds, claim in check(**end) if not holds]


def test_a_good_end_is_good() -> None:
    assert find_bad(make_end()) == []


def test_the_end_as_one_document() -> None:
    end = make_end()
    lose_one(end)
    found = show_end(end["chronicle"], {"subito": ("1.40 EUR", "1.40")}, "1.40", check(**end), 8.04)
    (row,) = found["providers"]
    assert (found["ok"], found["seconds"], found["total_eur"]) == (False, 8.0, "1.40")
    assert {key: row[key] for key in ("provider", "delivered", "price", "eur")} == {
        "provider": "subito", "delivered": 28, "price": "1.40 EUR", "eur": "1.40",
    }  # fmt: skip
    assert [each["claim"][:12] for each in found["checks"] if not each["holds"]] == ["nothing lost"]


def lose_one(end: dict[str, Any]) -> None:
    end["twins"]["subito"].sent.pop()


def send_one_twice(end: dict[str, Any]) -> None:
    end["twins"]["isms"] = SimpleNamespace(sent=[(FIRST[0].to.removeprefix("+"), "", "")])


def fail_one(end: dict[str, Any]) -> None:
    end["found"][4]["message"]["status"] = "failed"


def doubt_one_of_a_provider_with_receipts(end: dict[str, Any]) -> None:
    end["found"][4]["message"]["status"] = "unconfirmed"


def accept_one_at_two_providers(end: dict[str, Any]) -> None:
    end["found"][4]["attempts"].append(make_attempt("isms", "accepted", "accepted"))


def take_a_repetition_for_new(end: dict[str, Any]) -> None:
    end["repeated"][7] = {"ok": True, "id": "another", "duplicate": False}


def keep_mitake_well(end: dict[str, Any]) -> None:
    del end["found"][0]["attempts"][0]


def leave_one_where_credit_was_out(end: dict[str, Any]) -> None:
    end["found"][1]["attempts"].pop()


def tell_an_event_twice(end: dict[str, Any]) -> None:
    end["chronicle"].note(end["found"][0]["events"][0])


def leave_an_event_out(end: dict[str, Any]) -> None:
    end["found"][0]["events"].append({**end["found"][0]["events"][0], "seq": 999})


@pytest.mark.parametrize(
    ("spoil", "claim"),
    [
        (lose_one, "nothing lost"),
        (send_one_twice, "nothing sent twice"),
        (fail_one, "28 messages"),
        (doubt_one_of_a_provider_with_receipts, "28 messages"),
        (accept_one_at_two_providers, "28 messages"),
        (take_a_repetition_for_new, "the same 27"),
        (keep_mitake_well, "Mitake was out of service"),
        (leave_one_where_credit_was_out, "iSMS was out of credit"),
        (tell_an_event_twice, "the feed told"),
        (leave_an_event_out, "the feed told"),
    ],
)
def test_a_bad_end_is_told(spoil: Any, claim: str) -> None:
    end = make_end()
    spoil(end)
    assert any(bad.startswith(claim) for bad in find_bad(end))


def test_without_anything_in_doubt_there_was_no_kill_to_speak_of() -> None:
    assert any(bad.startswith("kill -9") for bad in find_bad(make_end(by_hand=set())))


def test_copies_are_found_however_a_provider_writes_a_number() -> None:
    order = Order("k", "+12025550111", "US", "")
    twins: Any = {"a": SimpleNamespace(sent=[("2025550111", "", "")]), "b": SimpleNamespace(sent=[("+12025550112", "", "")])}
    assert count_copies(twins, order.to) == {"a": 1}


def test_only_what_was_accepted_is_paid_for() -> None:
    taiwan = {**make_attempt("mitake", "accepted", "accepted", "0.90"), "currency": "TWD"}
    found = [
        {"attempts": [make_attempt("isms", "refused", "no_credit"), make_attempt("subito", "accepted", "accepted", "0.07")]},
        {"attempts": [taiwan]},
    ]
    assert sum_up(found) == ({"subito": ("0.07 EUR", "0.07"), "mitake": ("0.90 TWD", "0.0261")}, "0.0961")
