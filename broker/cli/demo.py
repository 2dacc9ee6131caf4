"""`demo`: the whole story in under a minute, on simulated providers. Nothing is installed, configured or sent anywhere.

The daemon is the real one, a process of its own that is killed in the middle; the providers live here and keep their own books, so
that what the broker says can be checked against what they took. The demo decides nothing for the broker but what an operator would.
"""

import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import trio

from broker.cli.demo_broker import Broker, DemoFailed
from broker.cli.demo_cast import FIRST, SECOND, TITLES, Order, begin_trouble, count_copies, make_request, make_twins, write_config
from broker.cli.demo_check import check, sum_up
from broker.cli.demo_feed import Chronicle
from broker.cli.demo_stage import Stage, print_accounts, print_checks, show_end
from broker.cli.output import print_json, say, show_count
from broker.cli.times import now
from broker.cli.trouble import DONE, FAILED
from broker.provider.twin import serve_twin
from broker.words.status import LIVE

INTERRUPTED = 130
LONGEST_FOLDER = 80
"""Bytes that leave room for a socket's name within unix(7)'s 107."""
MOST_S = 45.0


def run_demo(keep: bool, *, as_json: bool = False) -> int:
    """Play the story; 0 only if every message ended as it should. `keep`: stay until Ctrl-C; `as_json`: show the end alone."""
    place = tempfile.gettempdir()
    if len(os.fsencode(place)) > LONGEST_FOLDER:
        place = "/tmp"  # noqa: S108 - a private folder is made in it
    with tempfile.TemporaryDirectory(prefix="broker-demo-", dir=place) as folder:
        return trio.run(_play, Path(folder), keep, as_json)


async def _play(folder: Path, keep: bool, as_json: bool) -> int:
    """The story, which a signal may end at any time."""
    code = INTERRUPTED
    async with trio.open_nursery() as nursery:
        await nursery.start(_end_on_signal, nursery.cancel_scope)
        try:
            async with trio.open_nursery() as running:
                demo = Demo(folder, running, as_json=as_json)
                code = await demo.play()
                if keep:
                    await demo.stay()
                running.cancel_scope.cancel()
        except* DemoFailed as failures:
            sys.stderr.write(f"demo: {_find_first(failures)}\n")
            if as_json:
                print_json({"ok": False, "error": {"code": "failed", "message": str(_find_first(failures))}})
            code = FAILED
        nursery.cancel_scope.cancel()
    return code


async def _end_on_signal(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return


def _find_first(failures: BaseException) -> BaseException:
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures


class Demo:
    """One performance: the twins, the broker, what its feed told, and the messages by the ids that it gave them."""

    def __init__(self, folder: Path, nursery: trio.Nursery, *, as_json: bool = False) -> None:
        self._folder = folder
        self._nursery = nursery
        self._as_json = as_json
        self._twins: dict[str, Any] = make_twins()
        self._stage = Stage(is_silent=as_json)
        self._chronicle = Chronicle(list(TITLES), self._tell)
        self._orders: dict[str, Order] = {}
        self._repeated: list[dict[str, Any]] = []
        self._by_hand: set[str] = set()

    def _tell(self, event: dict[str, Any]) -> None:
        self._stage.tell(event)
        self._stage.draw(self._chronicle)

    async def play(self) -> int:
        """All acts; the exit code. Raises DemoFailed where the story cannot go on."""
        with self._stage, trio.move_on_after(MOST_S):
            await self._open()
            await self._send_first()
            await self._kill()
            await self._send_second()
            await self._chronicle.wait(lambda: not self._chronicle.open_ids, MOST_S)
        self._stage.is_over = True
        if not self._repeated:
            raise DemoFailed(f"the story was not over after {MOST_S:g} s")
        return await self._judge()

    async def _open(self) -> None:
        """The providers, then the broker over them."""
        self._stage.begin("1. The broker starts, with four simulated providers:", f"   {'; '.join(TITLES.values())}.")
        urls = {}
        for name, twin in self._twins.items():
            port: int = await self._nursery.start(partial(serve_twin, twin, clock=now))
            urls[name] = f"http://127.0.0.1:{port}"
        self._broker = Broker(write_config(self._folder, urls))
        await self._start_broker()
        polled = [self._chronicle.accounts[name] for name in ("mitake", "isms", "subito")]
        if not await self._chronicle.wait(lambda: all(account.credit for account in polled), 10):
            raise DemoFailed("the broker did not learn the providers' balances")

    async def _start_broker(self) -> None:
        await self._broker.start(self._nursery)
        await self._nursery.start(self._chronicle.follow, str(self._folder / "feed.sock"))
        self._stage.note(f"the broker runs (pid {self._broker.pid}), and its feed is read")

    async def _send_first(self) -> None:
        begin_trouble(self._twins)
        self._stage.begin(
            f"2. {len(FIRST)} messages to {len({order.country for order in FIRST})} countries, in one batch:",
            "   Mitake takes three and is then out of service; somebody else has spent iSMS's credit but for five;",
            "   Tatango takes its third message and does not answer.",
        )
        await self._submit(FIRST)

    async def _submit(self, orders: list[Order]) -> None:
        answers = await self._broker.ask("submit", *map(make_request, orders))
        for order, answer in zip(orders, answers, strict=True):
            if not answer["ok"]:
                raise DemoFailed(f"{order.key} was refused: {answer['error']['code']}: {answer['error']['message']}")
            self._orders[answer["id"]] = order
        self._stage.note(f"{show_count(len(orders), 'message')} acknowledged: each is on disk")

    async def _kill(self) -> None:
        """Kill the daemon while an answer is outstanding and messages wait, start it again, and look at what is in doubt."""
        chronicle, tatango, subito = self._chronicle, self._twins["tatango"], self._chronicle.accounts["subito"]
        if not await chronicle.wait(lambda: len(tatango.sent) == 3, 20):
            raise DemoFailed("Tatango was not given three messages")
        # Just behind a message through SubitoSMS its next is half a second away: one attempt is open, and no other.
        seen = subito.accepted
        await chronicle.wait(lambda: subito.accepted > seen, 2)
        await self._broker.kill()
        self._stage.begin("3. kill -9, with messages waiting and one answer outstanding")
        self._stage.note(f"the broker is dead, with {chronicle.count(sorted(LIVE))}; it starts again")
        await self._start_broker()
        await self._resolve()

    async def _resolve(self) -> None:
        """What an operator does about a message in doubt: look into the provider's books, and say what they show."""
        answers = await self._broker.ask("control", *({"op": "status", "id": id_} for id_ in self._orders))
        for id_, answer in zip(self._orders, answers, strict=True):
            if answer["message"]["status"] != "in_doubt":
                continue
            provider = answer["attempts"][-1]["provider"]
            outcome = "accepted" if provider in count_copies(self._twins, self._orders[id_].to) else "not-sent"
            self._stage.note(f"what is in doubt is never sent again; {provider}'s books say: broker resolve {id_[:8]}… {outcome}")
            (done,) = await self._broker.ask("control", {"op": "resolve", "id": id_, "outcome": outcome})
            if done["ok"]:
                self._by_hand.add(id_)

    async def _send_second(self) -> None:
        self._stage.begin(
            f"4. Mitake works again: {len(SECOND)} more messages, then the whole batch a second time with the same keys:",
            "   each is delivered once the provider says so; unconfirmed: where there are no receipts.",
        )
        await self._submit(SECOND)
        self._repeated = await self._broker.ask("submit", *map(make_request, [*FIRST, *SECOND]))
        same = sum(answer.get("duplicate") is True for answer in self._repeated)
        self._stage.note(f"{same} of {len(self._repeated)} known by their keys: nothing is sent for them")

    async def _judge(self) -> int:
        """Print the summary, and whether what has to hold holds."""
        found = await self._broker.ask("control", *({"op": "status", "id": id_} for id_ in self._orders))
        checks = check(self._chronicle, self._twins, self._orders, found, self._repeated, self._by_hand)
        is_good = all(holds for holds, _ in checks)
        if self._as_json:
            print_json(show_end(self._chronicle, *sum_up(found), checks, self._stage.seconds))
            return DONE if is_good else FAILED
        self._stage.begin("5. What became of it")
        print_accounts(self._chronicle, *sum_up(found))
        print_checks(checks)
        verdict = "Every message ended as it should." if is_good else "Not everything went as it should: see FAILED."
        say()
        say(f"{self._stage.seconds:.0f} s. {verdict}")
        return DONE if is_good else FAILED

    async def stay(self) -> None:
        """Leave all of it running, and say how to look at it."""
        if self._as_json:
            await trio.sleep_forever()
        option = f"--config {self._broker.file}"
        id_ = next(iter(self._by_hand), next(iter(self._orders)))
        say()
        say("All of it goes on until Ctrl-C. In another window:")
        for verb in ("providers", "balance", "tail --from 0", f"status {id_}"):
            say(f"  broker {verb} {option}")
        say(f'  broker explain +886912345678 "hello" {option}')
        say(f'  broker send +886912345678 "hello" --wait {option}')
        say(f'  echo \'{{"to":"+886912345678","text":"hello"}}\' | nc -NU {self._folder}/submit.sock')
        say(f"Configuration, log and sockets: {self._folder}")
        await trio.sleep_forever()
