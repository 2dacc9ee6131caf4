"""Poison: a message on which a plugin fails, never returns, or takes the process with it (reliability F16; DESIGN, promise 14).

The daemon is started again whenever it ends, as systemd would. Everybody else's messages go on; the poison ends, or waits for a person.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import STDOUT

import tomli_w
import trio

from broker.words.status import FINAL
from tests.crash.verdict import Tally
from tests.crash.worlds import ROOT
from tests.daemon.house import Wire, loopback, rule
from tests.machine.trial import Size, require

QUICK = ("raise", "memory", "recursion", "exit", "cpu")
DEADLY = ("loop", "regex")
NAMES = ("a", "b", "c", "d")
MOST_STARTS = 12
VENOM = str(Path(__file__).with_name("venom.py"))


class Ward:
    """A daemon with an account for poison and one for everybody else; `starts` counts how often it was started."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self.folder = folder
        self.tally = tally
        self.log = folder / "daemon.log"
        self.config = folder / "broker.toml"
        self.starts = 0
        bad = {name: {"plugin": VENOM} for name in NAMES}
        more = {"in_doubt": "resend", "doubt_wait": "1s", "max_copies": 9}
        own = {
            "broker": {"name": "ward", "data_dir": "data", "drain": "1s"},
            "submit": {"socket": f"{folder}/s"},
            "control": {"socket": f"{folder}/c"},
            "providers": {**bad, "well": loopback()},
            "rules": [rule(*NAMES, match={"tag": "poison"}, **more), rule("well", name="rest")],
        }
        self.config.write_text(tomli_w.dumps(own))

    async def run(self) -> None:
        """Keep it running until cancelled."""
        command = [sys.executable, "-m", "tests.machine.hurried", str(self.config)]
        while self.starts < MOST_STARTS:
            self.starts += 1
            with self.log.open("ab") as log:
                process = await trio.lowlevel.open_process(command, stdout=log, stderr=STDOUT, cwd=ROOT)
            try:
                await process.wait()
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        self.tally.find("stuck", f"the daemon ended {MOST_STARTS} times")

    async def ask(self, line: Mapping[str, object], door: str = "s") -> dict[str, object]:
        """A line and its answer, from whichever daemon runs by then."""
        while True:
            try:
                async with Wire(await trio.open_unix_socket(self.folder / door)) as wire:
                    return await wire.ask(line)
            except (OSError, EOFError, trio.BrokenResourceError):
                await trio.sleep(0.05)

    async def find(self, id_: str) -> tuple[str, str | None]:
        """(status, detail) of a message."""
        answer = await self.ask({"op": "status", "id": id_})
        message = answer["message"]
        assert isinstance(message, dict)
        return message["status"], message["detail"]


async def poison(folder: Path, seed: int, size: Size) -> Tally:
    """One kind of poison after the other, among messages that are none."""
    tally = Tally()
    kinds = (*QUICK, *DEADLY[: size.rounds])
    ward = Ward(folder, tally)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ward.run)
        await ward.ask({"op": "ping"})
        for kind in kinds:
            with trio.move_on_after(120) as scope:
                await give(ward, tally, kind, seed, size)
                tally.trials += 1
            if scope.cancelled_caught:
                tally.find("stuck", f"{kind}: not all had ended after two minutes")
        if DEADLY[: size.rounds]:
            require(tally, "File " in ward.log.read_text(), "the watchdog does not say where it was")
        nursery.cancel_scope.cancel()
    return tally


async def give(ward: Ward, tally: Tally, kind: str, seed: int, size: Size) -> None:
    before = ward.starts
    ids = {}
    for n in range(11):
        is_bad = n == 5
        text = f"{kind} {seed}" if is_bad else f"well {n}"
        line = {"to": "+12025550143", "text": text, "key": f"{kind}-{n}", "tags": ["poison"] if is_bad else []}
        answer = await ward.ask(line)
        tally.msgs += 1
        if not answer["ok"]:
            tally.find("illegal", f"{kind}: {json.dumps(answer)}")
            continue
        tally.acked += 1
        ids[str(answer["id"])] = is_bad
    for id_, is_bad in ids.items():
        while True:
            status, detail = await ward.find(id_)
            if status in FINAL or (is_bad and (status, detail) == ("held", "poison")):
                break
            if kind in DEADLY and not is_bad and status == "in_doubt":
                break  # it was open when the process ended: it is held in doubt for its quarter of an hour, as it should
            await trio.sleep(0.05)
        if not is_bad and status == "in_doubt":
            tally.unknown += 1
        elif not is_bad:
            require(tally, status == "unconfirmed", f"{kind}: a message beside it ended {status}")
            tally.delivered += 1
        elif kind == "cpu":
            require(tally, status == "failed", f"{kind}: ended {status}")
        else:
            require(tally, (status, detail) == ("held", "poison"), f"{kind}: ended {status} ({detail})")
            await ward.ask({"op": "cancel", "id": id_}, "c")
    starts = ward.starts - before
    is_exact = size.is_timed  # where the machine is busy, the hurried watchdog may take that for a loop
    require(tally, not is_exact or starts == (3 if kind in DEADLY else 0), f"{kind}: the daemon was started {starts} times again")
