"""Mutants of what takes and sends: promises 1 to 7 and 12 to 14, each with one protection off."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from broker.delivery import carry as carrying
from broker.delivery import dispatch, doubt, recover, settle, sweep
from broker.delivery.carrier import Carrier
from broker.delivery.dispatch import Dispatcher
from broker.delivery.flight import Flight
from broker.delivery.health import Health
from broker.delivery.lane import Lane
from broker.delivery.ledger import Ledger
from broker.provider.contract import Outcome, Send, Settle
from broker.store import sqlite, steps
from broker.store.contract import Accept, Answer, Change, Shut, Step
from broker.store.journal import SqliteJournal
from broker.store.query import SqliteQuery
from broker.store.rows import INSERT_MESSAGE, pack_message
from broker.store.sqlite import Writer
from tests.faults.mutation import Reach, after, guarded, instead, swap

FAR = 10**15


@guarded(1, "tests/store/test_contract.py::test_answers_come_in_order_and_after_the_commit")
def answer_before_commit(reach: Reach) -> None:
    """`ok` at once, the commit later."""

    def make(put: Any) -> Any:
        def put_early(self: SqliteJournal, operation: Any) -> None:
            if isinstance(operation, Accept):
                reach()
                operation.done(Answer.DONE, None)
                operation.done = lambda _answer, _value: None
            put(self, operation)

        return put_early

    swap(SqliteJournal, "put", make)


@guarded(1, "tests/store/test_opening.py::test_a_new_store")
def commit_without_sync(reach: Reach) -> None:
    """The store as it opens by default: a commit is not on the disk when it returns."""

    def make(migrate: Any) -> Any:
        def loosen(conn: Any) -> None:
            reach()
            migrate(conn)
            conn.execute("PRAGMA synchronous = NORMAL")

        return loosen

    swap(sqlite, "migrate", make)


@guarded(1, "tests/power/test_power.py::test_nothing_acknowledged_is_lost")
def trial_without_sync(reach: Reach) -> None:
    """The same under the power trials' own binding."""
    from tests.power.trial import Binding

    def make(init: Any) -> Any:
        def loosely(self: Any, disk: Any, _synchronous: str) -> None:
            reach()
            init(self, disk, "NORMAL")

        return loosely

    swap(Binding, "__init__", make)


@guarded(2, "tests/daemon/test_doubt.py::test_a_doubt_outlives_a_restart")
def never_end_a_doubt(reach: Reach) -> None:
    """Nobody ends what is in doubt."""
    sweep.WAITING["in_doubt"] = _look_away(reach, "in_doubt")


@guarded(2, "tests/daemon/test_orders.py::test_held_ends_with_its_validity")
def never_end_a_hold(reach: Reach) -> None:
    """Nobody ends what is held past its validity."""
    sweep.WAITING["held"] = _look_away(reach, "held")


def _look_away(reach: Reach, status: str) -> Callable[[Any, Any, int], None]:
    def look(ex: Any, message: Any, now: int) -> None:
        reach()
        ex.journal.put(Step(message.id, (status,), Change(status, message.detail, None, now + 3_600_000), hurry=False))

    return look


@guarded(3, "tests/store/test_keys.py::test_the_same_key_side_by_side")
def know_no_key(reach: Reach) -> None:
    """A submit's key is stored, and no other one is compared with it."""

    def write(self: Writer, op: Accept) -> Any:
        reach()
        message = msgspec.structs.replace(op.message, key=None)
        self.conn.execute(INSERT_MESSAGE, pack_message(message, op.digest))
        return Answer.DONE, None

    swap(Writer, "_write_keyed", lambda _was: write)


@guarded(3, "tests/daemon/test_keys.py::test_fifty_at_once_make_one_message")
def trust_the_look_alone(reach: Reach) -> None:
    """The same key side by side: who looked before anybody wrote is taken for new."""
    swap(SqliteQuery, "find_key", instead(reach))
    know_no_key(reach)


@guarded(4, "tests/daemon/test_promises.py::test_no_byte_leaves_before_its_attempt_is_durable")
def send_before_commit(reach: Reach) -> None:
    """The bytes leave first, the attempt's row is written once the answer is there."""
    launch, submit = Dispatcher._launch, Carrier.submit
    known: dict[str, Outcome] = {}

    async def submit_once(self: Carrier, sends: Sequence[Send], now: Callable[[], int], tell: Settle) -> None:
        for index, send in enumerate(sends):
            tell(index, known.pop(send.attempt))

    async def send(self: Dispatcher, batch: list[Flight]) -> None:
        reach()
        sends = [Send(each.message, each.attempt.id, each.attempt.n, each.attempt.sender, each.attempt.key) for each in batch]
        await submit(self.lane.carrier, sends, self.ex.now, lambda index, outcome: known.update({sends[index].attempt: outcome}))
        launch(self, batch)

    swap(Carrier, "submit", lambda _was: submit_once)
    swap(Dispatcher, "_launch", lambda _was: lambda self, batch: self.lane.start_soon(send, self, batch))


@guarded(5, "tests/daemon/test_doubt.py::test_an_attempt_open_at_the_end_is_in_doubt_at_the_start")
def requeue_at_recovery(reach: Reach) -> None:
    """What a crash left open goes back to the queue, as if nothing had been sent."""

    def requeue(ex: Any, attempt: Any) -> None:
        reach()
        message = ex.query.find_message(attempt.message)
        shut = Shut(attempt.n, ("open",), "refused", ex.now(), "unreachable")
        entry = ex.teller.tell(message, "queued", ex.now(), attempt)
        ex.journal.put(Step(attempt.message, ("sending",), Change("queued", None, None, ex.now()), (entry,), None, (shut,)))

    swap(recover, "_doubt", lambda _was: requeue)


@guarded(5, "tests/store/test_contract.py::test_one_attempt_is_open_or_in_doubt")
def let_several_be_open(reach: Reach) -> None:
    """The store allows any number of open attempts of one message."""

    def make(init: Any) -> Any:
        def drop(self: Writer, conn: Any) -> None:
            reach()
            sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'attempt' AND sql LIKE '%UNIQUE%in_doubt%'"
            for (name,) in conn.execute(sql).fetchall():
                conn.execute(f"DROP INDEX {name}")
            init(self, conn)

        return drop

    swap(Writer, "__init__", make)


@guarded(5, "tests/store/test_contract.py::test_a_step_needs_its_status")
def write_whatever_it_is_now(reach: Reach) -> None:
    """A change is written without a look at the status that it expects."""

    def make(bind: Any) -> Any:
        def bind_blindly(*args: Any) -> tuple[str, Any]:
            reach()
            sql, values = bind(*args)
            return sql.replace("AND status = ?", "AND ? IS NOT NULL"), values

        return bind_blindly

    swap(steps, "_bind_change", make)


@guarded(6, "tests/daemon/test_doubt.py::test_never_more_copies_than_the_rule_allows")
def count_no_copies(reach: Reach) -> None:
    """Whatever copies there are, one more is allowed."""

    def make(look: Any) -> Any:
        def as_the_first(attempt: Any, _copies: int, memory: int, at: int) -> Any:
            reach()
            return look(attempt, 0, memory, at)

        return as_the_first

    swap(doubt, "find_due", make)
    swap(doubt, "plan_doubt", make)


@guarded(7, "tests/daemon/test_failover.py::test_what_is_not_proven_is_in_doubt")
def take_silence_for_a_refusal(reach: Reach) -> None:
    """What is not proven counts as proven not to have been sent."""

    def make(was: Any) -> Any:
        def refuse(ex: Any, flight: Flight, outcome: Outcome) -> None:
            if outcome.class_ == "in_doubt":
                reach()
                outcome = msgspec.structs.replace(outcome, class_="unreachable")
            was(ex, flight, outcome)

        return refuse

    swap(carrying, "settle", make)


@guarded(7, "tests/daemon/test_doubt.py::test_the_policy_is_the_one_of_the_opening")
def repeat_a_doubt_at_once(reach: Reach) -> None:
    """A doubt is copied whatever the rule's policy is."""

    def make(_look: Any) -> Any:
        def copy(_attempt: Any, copies: int, _memory: int, _now: int) -> Any:
            reach()
            return "copy" if copies < 2 else "end"

        return copy

    swap(doubt, "find_due", make)


@guarded(12, "tests/daemon/test_promises.py::test_no_byte_leaves_after_validity_however_late_the_disk")
def forget_validity(reach: Reach) -> None:
    """Nobody looks at the clock right before the write."""

    def make(carry: Any) -> Any:
        async def late(ex: Any, carrier: Carrier, flights: list[Flight]) -> None:
            for flight in flights:
                reach()
                flight.message = msgspec.structs.replace(flight.message, valid_until=FAR)
            await carry(ex, carrier, flights)

        return late

    swap(dispatch, "carry", make)


@guarded(13, "tests/delivery/test_ledger.py::test_open_reserves_accepted_debits_refused_returns")
def debit_nothing(reach: Reach) -> None:
    """What was accepted returns its reservation, as if it had been refused."""

    def make(was: Any) -> Any:
        def give_back(self: Ledger, attempt: Any, *, debit: bool) -> None:
            reach()
            was(self, attempt, debit=False)

        return give_back

    swap(Ledger, "settle", make)


@guarded(13, "tests/daemon/test_doubt.py::test_the_credit_of_a_doubt_stays_reserved")
def reserve_nothing(reach: Reach) -> None:
    """What is open, or in doubt, holds no credit."""
    swap(Ledger, "reserve", instead(reach))


@guarded(13, "tests/daemon/test_failover.py::test_refused_for_credit_is_dry_until_a_better_report")
def never_dry(reach: Reach) -> None:
    """A refusal for want of credit says nothing of the next message."""
    swap(Ledger, "dry", instead(reach, False))


@guarded(13, "tests/daemon/test_routes.py::test_a_spend_cap_holds")
def spend_without_end(reach: Reach) -> None:
    """No cap holds."""
    swap(Ledger, "find_spend_end", instead(reach))


@guarded(13, "tests/delivery/test_ledger.py::test_a_report_that_was_followed_by_a_refusal_is_not_believed_again_at_once")
def believe_every_report(reach: Reach) -> None:
    """A balance that is told as before is believed at once, however often a refusal followed."""

    def make(was: Any) -> Any:
        def forget(self: Ledger, name: str, now: int) -> bool:
            reach()
            news: bool = was(self, name, now)
            self.find_bucket(name).rests_until = 0
            return news

        return forget

    swap(Ledger, "dry", make)


@guarded(14, "tests/delivery/test_health.py::test_a_good_answer_of_before_does_not_close_it")
def close_for_whoever_answers(reach: Reach) -> None:
    """A breaker is closed by an answer to what left before it opened."""
    swap(Health, "note_good", lambda was: lambda self, now=None: after(reach, was(self)))


@guarded(14, "tests/daemon/test_failover.py::test_a_plugin_that_fails_holds_its_message_as_poison")
def forgive_poison(reach: Reach) -> None:
    """However often plugins fail on a message, it goes on."""
    swap(settle, "_guard_poison", lambda _was: lambda _flight, _outcome, decision: after(reach, decision))


@guarded(6, "tests/daemon/test_promises.py::test_it_gets_no_further_copy_either")
def forget_crashes(reach: Reach) -> None:
    """However often a message was open at a crash, it is sent again."""

    def make(was: Any) -> Any:
        def forget(ex: Any, message: Any, *args: Any) -> None:
            reach()
            was(ex, msgspec.structs.replace(message, progress=msgspec.structs.replace(message.progress, crashes=0)), *args)

        return forget

    swap(doubt, "send_copy", make)


@guarded(14, "tests/daemon/test_failover.py::test_the_breaker_opens_and_one_message_closes_it")
def never_break(reach: Reach) -> None:
    """No failure opens a breaker."""
    swap(Health, "note_fault", instead(reach, False))


@guarded(14, "tests/daemon/test_failover.py::test_one_dead_provider_delays_nobody_else")
def wait_for_one_another(reach: Reach) -> None:
    """All lanes share one window: whoever waits for a dead provider keeps it."""
    taken = [0]
    window: Any = Lane.__dict__["window"]
    release, open_ = Lane.release, Dispatcher._open

    def find(self: Lane) -> int:
        return int(window.fget(self)) if taken[0] < 4 else self.in_flight

    def give_back(self: Lane, id_: str) -> None:
        taken[0] -= 1
        release(self, id_)

    def begin(self: Dispatcher, *args: Any) -> Flight:
        reach()
        taken[0] += 1
        return open_(self, *args)

    swap(Lane, "window", lambda _was: property(find))
    swap(Lane, "release", lambda _was: give_back)
    swap(Dispatcher, "_open", lambda _was: begin)


@guarded(14, "tests/daemon/test_guards.py::test_a_row_of_blocked_is_the_accounts_trouble")
def believe_every_blocked(reach: Reach) -> None:
    """An account that says `blocked` of everybody is believed."""
    swap(settle, "judge_blocked", lambda _was: lambda _ex, _lane, outcome, _message, _now: after(reach, outcome))


@guarded(6, "tests/faults/test_faults.py::test_replies_that_get_lost")
def resend_under_another_key(reach: Reach) -> None:
    """A copy to the same account has a key of its own."""

    def make(open_: Any) -> Any:
        def anew(self: Dispatcher, message: Any, *args: Any) -> Flight:
            is_copy = message.id in self.lane.replaced
            flight: Flight = open_(self, message, *args)
            if is_copy:
                reach()
                flight.attempt.key = f"{message.id.replace('-', '')}n{flight.attempt.n}"
            return flight

        return anew

    swap(Dispatcher, "_open", make)


@guarded(2, "tests/daemon/test_doubt.py::test_a_repeat_of_a_key_at_the_provider_is_proof_and_no_second_copy")
def learn_nothing_from_a_repeat(reach: Reach) -> None:
    """What a provider says of a request that it knows proves nothing."""
    swap(doubt, "judge_replay", instead(reach))
