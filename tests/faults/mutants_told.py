"""Mutants of what is told and kept: promises 8 to 11 and 15 to 17, each with one protection off."""

import fcntl
from typing import Any

import msgspec
import trio

from broker.api import control
from broker.delivery import receipts, recover, ruling
from broker.delivery.arrival import Match
from broker.delivery.callbacks import Callbacks
from broker.delivery.hooks import Stream
from broker.ops.log import Line
from broker.policy.receipts import Verdict
from broker.provider.smpp_inbox import Inbox
from broker.store.contract import Change, Shut, Step
from broker.store.ring import Ring
from broker.store.sqlite import Writer
from broker.words.receipt import FINAL_RECEIPTS
from broker.words.secret import Secret
from tests.faults.mutation import Reach, after, guarded, instead, swap


@guarded(8, "tests/daemon/test_receipts.py::test_a_contradiction_is_told_once")
def let_the_last_word_win(reach: Reach) -> None:
    """Whatever receipt comes last decides, whatever its rank."""

    def judge(_status: str, class_: str | None, before: str | None, *_rest: Any) -> Verdict:
        reach()
        return Verdict(class_ or before, class_ if class_ in FINAL_RECEIPTS else None)

    swap(ruling, "judge_receipt", lambda _was: judge)


@guarded(8, "tests/daemon/test_doubt.py::test_a_person_says_accepted")
def tell_no_event(reach: Reach) -> None:
    """What closes an attempt is written without its event."""

    def make(write: Any) -> Any:
        def forget(self: Writer, batch: Any, *args: Any, **named: Any) -> Any:
            for op in batch:
                if isinstance(op, Step) and op.shut:
                    reach()
                    op.entries = ()
            return write(self, batch, *args, **named)

        return forget

    swap(Writer, "write", make)


@guarded(9, "tests/daemon/test_receipts.py::test_a_full_disk_takes_none")
def acknowledge_at_once(reach: Reach) -> None:
    """Receipts are acknowledged before they are durable."""

    async def wait(_self: Any) -> None:
        reach()
        await trio.lowlevel.checkpoint()

    swap(receipts.Acks, "wait", lambda _was: wait)


@guarded(9, "tests/smpp_session/test_inbox.py::test_nothing_is_acknowledged_before_it_is_durable")
def acknowledge_deliveries_at_once(reach: Reach) -> None:
    """The deliver_sm_resp leaves before the commit."""

    def make(add: Any) -> Any:
        def early(self: Inbox, wire: Any, request: Any) -> None:
            reach()
            wire.link.answer(request.sequence, 0)
            wire.wake()
            add(self, wire, request)

        return early

    swap(Inbox, "add", make)


@guarded(9, "tests/daemon/test_receipts.py::test_an_early_one_waits_for_the_answer")
def keep_no_stray(reach: Reach) -> None:
    """A receipt without its attempt is acknowledged and forgotten."""

    def forget(_ex: Any, _lane: Any, _receipt: Any, _message: Any, ack: Any) -> None:
        reach()
        if ack is not None:
            ack(True)

    swap(receipts, "_keep", lambda _was: forget)


@guarded(10, "tests/daemon/test_callbacks.py::test_a_token_picks_nothing_of_another_account")
def believe_any_account(reach: Reach) -> None:
    """A receipt moves the attempt that it names, whosever account it came in by."""

    def make_apply(was: Any) -> Any:
        def apply(ex: Any, arrival: Any) -> bool:
            live = ex.query.find_live(arrival.match.message)
            for attempt in live.attempts if live is not None else ():
                if attempt.n == arrival.match.n and attempt.provider != arrival.lane.name:
                    reach()
                    arrival.lane = ex.lanes[attempt.provider]
            return bool(was(ex, arrival))

        return apply

    def find(self: Callbacks, _lane: Any, token: str, _heard: str | None) -> Match | None:
        rows = self.ex.query.read_call(token, 1)
        return Match(rows[0][0], rows[0][1]) if rows else None

    swap(receipts, "_apply", make_apply)
    swap(Callbacks, "_find_attempt", lambda _was: find)
    swap(Callbacks, "_search_call", lambda _was: find)


@guarded(10, "tests/daemon/test_callbacks.py::test_whoever_is_nobody_gets_one_answer")
def take_any_secret(reach: Reach) -> None:
    """Whoever knows an account's name may speak for it."""

    def find(self: Callbacks, name: str, _secret: str) -> Any:
        reach()
        return self.ex.lanes.get(name)

    swap(Callbacks, "find_lane", lambda _was: find)


@guarded(11, "tests/store/test_contract.py::test_seq_goes_on_after_a_restart")
def begin_again_at_one(reach: Reach) -> None:
    """`seq` begins anew with each start."""

    def make(init: Any) -> Any:
        def begin(self: Writer, conn: Any) -> None:
            reach()
            init(self, conn)
            conn.execute("UPDATE event SET seq = seq + 1000000")  # or the table's own key would refuse it
            self.seq = 0

        return begin

    swap(Writer, "__init__", make)


@guarded(11, "tests/store/test_ring.py::test_one_cursor_over_ring_and_table")
def skip_what_the_ring_lost(reach: Reach) -> None:
    """Who is behind the ring goes on where it begins."""

    def make(read: Any) -> Any:
        def skip(self: Ring, cursor: int, limit: int) -> Any:
            if cursor < self._floor:
                reach()
                cursor = self._floor
            return read(self, cursor, limit)

        return skip

    swap(Ring, "read_after", make)


@guarded(11, "tests/daemon/test_hooks.py::test_it_comes_again_until_it_is_taken")
def forget_hooks(reach: Reach) -> None:
    """What an endpoint did not take is dropped."""

    def make(_was: Any) -> Any:
        def drop(self: Stream, item: Any, verdict: Any) -> None:
            reach()
            self._drop([item], verdict.reason)

        return drop

    swap(Stream, "_put_off", make)


@guarded(15, "tests/store/test_opening.py::test_the_second_holder_hears_the_firsts_number")
def lock_nothing(reach: Reach) -> None:
    """A second daemon may run on the same folder."""
    swap(fcntl, "flock", instead(reach))


@guarded(16, "tests/words/test_secret.py::test_never_shown")
def show_secrets(reach: Reach) -> None:
    """A secret prints itself."""

    def show(self: Secret, *_spec: str) -> str:
        reach()
        return self.reveal()

    for name in ("__repr__", "__str__", "__format__"):
        swap(Secret, name, lambda _was: show)


@guarded(16, "tests/daemon/test_audit.py::test_nothing_that_was_written_in_the_wrong_place_is_kept")
def write_down_every_word(reach: Reach) -> None:
    """The audit keeps whatever an operator wrote."""

    def keep(order: Any, _providers: Any, _numbers: Any) -> dict[str, Any]:
        reach()
        return {name: value for name, value in msgspec.structs.asdict(order).items() if value is not None and name != "op"}

    swap(control, "describe", lambda _was: keep)


@guarded(16, "tests/ops/test_notify.py::test_a_logged_exception_shows_its_type_and_never_its_text")
def log_what_exceptions_say(reach: Reach) -> None:
    """An exception's own text goes into the log."""

    def make(was: Any) -> Any:
        def whole(self: Line, record: Any) -> str:
            reach()
            return f"{was(self, record)} {record.exc_info[1] if record.exc_info else ''}"

        return whole

    swap(Line, "format", make)


@guarded(16, "tests/api/test_feed_access.py::test_no_number_and_no_text_leaves_for_who_may_not_see_them")
def show_everybody_everything(reach: Reach) -> None:
    """No scope leaves anything out of the feed."""
    from broker.api import feed_pages

    swap(
        feed_pages.Forms,
        "pick",
        lambda _was: lambda _self, _numbers, _text: lambda seq, body: after(reach, feed_pages.show_event(seq, body)),
    )


@guarded(17, "tests/daemon/test_promises.py::test_recovery_killed_at_every_commit_ends_as_a_clean_one")
def recover_by_halves(reach: Reach) -> None:
    """The attempt and its message change in two transactions."""

    def halve(ex: Any, attempt: Any) -> None:
        reach()
        now, id_ = ex.now(), attempt.message
        message = ex.query.find_message(id_)
        ex.journal.put(Step(id_, ("sending",), None, (), None, (Shut(attempt.n, ("open",), "in_doubt", now, "in_doubt"),)))
        entry = ex.teller.tell(message, "in_doubt", now, attempt)
        ex.journal.put(Step(id_, ("sending",), Change("in_doubt", None, None, now + attempt.doubt.deadline), (entry,)))

    swap(recover, "_doubt", lambda _was: halve)
