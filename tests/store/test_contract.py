"""What a store is (broker.store.contract): every operation whole or not at all, answered in order, in one order of events.

Runs over every store of `rig.STORES`.
"""

from typing import Any

import pytest

from broker.store.contract import Accept, Answer, Change, Move, Put, Shut, Step
from broker.words.attempt import DoubtPolicy
from broker.words.message import Progress
from tests.store.rig import DAY, NOW, Sqlite, attempt, entry, message, sending

DONE, STALE, EXISTS = Answer.DONE, Answer.STALE, Answer.EXISTS


def change(status: str, **keys: Any) -> Change:
    given: dict[str, Any] = {"detail": None, "lane": None, "next_at": NOW}
    return Change(status, **(given | keys))


async def test_a_message_comes_back_as_it_was(store: Sqlite) -> None:
    m = message(
        "m1", key="k", ref="r", network="46601", sender="ACME", channel="voice", priority=2, tags=("a", "b"), send_at=NOW + 1,
        max_price=45_000, pin="a", options={"voice": "w", "deep": [1, {"x": None}]}, text="grüße \U0001f600\nx", country=None, segments=3,
    )  # fmt: skip
    store.accept(m, b"digest")
    await store.journal.wait_committed()
    assert store.query.find_message("m1") == m
    assert store.query.find_message("m2") is None


async def test_an_attempt_comes_back_as_it_was(store: Sqlite) -> None:
    await store.have("m1")
    opened = attempt(
        "m1", key="k", sender="ACME", parts=2, price=10**15, currency="TWD", bucket="prepaid", credit=2_000_000,
        doubt=DoubtPolicy("failover", 1, 2, 3),
    )  # fmt: skip
    step = Step("m1", ("queued",), sending(), (entry("sending", "m1"),), opened)
    assert await store.do("open", step) is DONE
    assert store.query.find_attempts("m1") == [opened]
    shut = Shut(1, ("open",), "accepted", NOW + 5, "accepted", "1", "fine", ("ref-1", "ref-2"), "progress")
    assert await store.do("close", Step("m1", ("sending",), change("sent", lane="a"), shut=(shut,))) is DONE
    (closed,) = store.query.find_attempts("m1")
    assert (closed.state, closed.closed_at, closed.class_, closed.code) == ("accepted", NOW + 5, "accepted", "1")
    assert (closed.detail, closed.refs, closed.receipt, closed.price) == ("fine", ("ref-1", "ref-2"), "progress", 10**15)
    live = store.query.find_live("m1")
    assert live is not None
    assert (live.message.status, live.message.attempts, live.message.progress.rule) == ("sent", 1, "all")


async def test_what_a_change_leaves_out_stays(store: Sqlite) -> None:
    await store.have_sending("m1")
    progress = Progress(rule="all", visited={"a": "unavailable"}, later={"a": NOW + 1}, passed=("x",), counted=2)
    close = Step("m1", ("sending",), change("queued", progress=progress), shut=(Shut(1, ("open",), "refused", NOW, "unavailable"),))
    assert await store.do("close", close) is DONE
    assert await store.do("open", Step("m1", ("queued",), sending(2), open=attempt("m1", 2))) is DONE
    kept = Shut(2, ("open",), "open", None, receipt="progress")
    assert await store.do("receipt", Step("m1", ("sending",), None, shut=(kept,))) is DONE
    assert await store.do("close 2", Step("m1", ("sending",), change("sent"), shut=(Shut(2, ("open",), "accepted", NOW),))) is DONE
    found = store.query.find_message("m1")
    assert found is not None
    assert (found.attempts, found.progress) == (2, progress)
    assert [each.receipt for each in store.query.find_attempts("m1")] == [None, "progress"]


@pytest.mark.parametrize("status", ["queued", "canceled"])
async def test_an_opening_may_carry_progress(store: Sqlite, status: str) -> None:
    """Whatever a change names is written, in one statement or another."""
    await store.have("m1")
    given = change(status, attempts=3, rule="r", progress=Progress(rule="r", counted=1), final_at=NOW if status == "canceled" else None)
    assert await store.do("x", Step("m1", ("queued",), given)) is DONE
    found = store.query.find_message("m1")
    assert found is not None
    assert (found.attempts, found.progress.rule, found.progress.counted) == (3, "r", 1)
    assert store.query.find_times("m1") == (given.final_at, "r")


async def test_a_step_needs_its_status(store: Sqlite) -> None:
    await store.have("m1")
    step = Step("m1", ("held", "sent"), change("canceled"), (entry("canceled", "m1"),))
    assert await store.do("cancel", step) is STALE
    assert store.status("m1") == "queued"
    assert store.events() == ["queued m1"]
    assert await store.do("either", Step("m1", ("held", "queued"), change("canceled"))) is DONE
    assert await store.do("nobody", Step("m9", ("queued",), change("canceled"))) is STALE


async def test_a_step_without_a_change_needs_its_status_too(store: Sqlite) -> None:
    await store.have_sending("m1")
    shut = (Shut(1, ("open",), "open", None, receipt="progress"),)
    assert await store.do("judged before", Step("m1", ("sent",), None, (entry("receipt", "m1"),), shut=shut)) is STALE
    assert [each.receipt for each in store.query.find_attempts("m1")] == [None]
    assert await store.do("judged again", Step("m1", ("sending",), None, (entry("receipt", "m1"),), shut=shut)) is DONE
    assert store.events()[-1] == "receipt"


async def test_a_step_needs_its_attempts(store: Sqlite) -> None:
    await store.have_sending("m1")
    step = Step("m1", ("sending",), change("sent"), (entry("sent", "m1"),), shut=(Shut(1, ("in_doubt",), "accepted", NOW),))
    assert await store.do("close", step) is STALE
    assert (store.status("m1"), store.states("m1")) == ("sending", ["open"])
    assert "sent" not in store.events()


async def test_one_attempt_is_open_or_in_doubt(store: Sqlite) -> None:
    """Promise 5, whatever the caller thinks: the message has to wait, and so has its status."""
    await store.have_sending("m1")
    second = Step("m1", ("sending",), sending(2), (entry("second", "m1"),), attempt("m1", 2))
    assert await store.do("second", second) is STALE
    doubt = Step("m1", ("sending",), change("in_doubt"), shut=(Shut(1, ("open",), "in_doubt", NOW),))
    assert await store.do("doubt", doubt) is DONE
    assert await store.do("third", Step("m1", ("in_doubt",), sending(2), open=attempt("m1", 2))) is STALE
    assert store.status("m1") == "in_doubt"
    failover = Step("m1", ("in_doubt",), sending(2), (), attempt("m1", 2), (Shut(1, ("in_doubt",), "abandoned", None),))
    assert await store.do("failover", failover) is DONE  # abandoned and the next opened, in one transaction
    assert store.states("m1") == ["abandoned", "open"]
    assert "second" not in store.events()


async def test_a_refused_operation_never_undoes_its_neighbours(store: Sqlite) -> None:
    """One batch: good ones before and behind one that is found out only when it is half written."""
    await store.have("m1", "m2", "m3")
    await store.have_sending("m1")
    start = store.journal.commits
    store.put("before", Step("m2", ("queued",), change("held", detail="rule"), (entry("held m2", "m2"),)))
    store.accept(message("new"))
    # Its shut and its change are good, but its attempt may not open: all of it goes, and nothing else.
    half = Step("m1", ("sending",), sending(2), (entry("half", "m1"),), attempt("m1", 2), (Shut(1, ("open",), "open", None, code="x"),))
    store.put("half", half)
    store.put("behind", Step("m3", ("queued",), change("canceled"), (entry("canceled m3", "m3"),)))
    store.put("fact", Put(facts=(("kind", "name", {"x": 1}),), entries=(entry("fact"),)))
    store.put("move", Move([("new", "b", NOW + 5)]))
    await store.journal.wait_committed()
    assert store.journal.commits == start + 1
    assert [answer for _, answer in store.answers] == [DONE, DONE, STALE, DONE, DONE, DONE]
    assert [store.status(id_) for id_ in ("m1", "m2", "m3", "new")] == ["sending", "held", "canceled", "queued"]
    assert [each.code for each in store.query.find_attempts("m1")] == [None]
    assert store.events()[-4:] == ["held m2", "queued new", "canceled m3", "fact"]
    moved = store.query.find_message("new")
    assert moved is not None
    assert (moved.lane, moved.next_at) == ("b", NOW + 5)
    seqs = store.seqs()
    assert seqs == sorted(set(seqs))


async def test_a_refused_half_of_shuts(store: Sqlite) -> None:
    await store.have_sending("m1")
    shuts = (Shut(1, ("open",), "refused", NOW, "rejected"), Shut(2, ("open",), "refused", NOW))  # there is no second
    assert await store.do("both", Step("m1", ("sending",), change("failed"), shut=shuts)) is STALE
    assert (store.status("m1"), store.states("m1")) == ("sending", ["open"])


async def test_a_step_that_comes_too_late_leaves_no_half(store: Sqlite) -> None:
    """Its attempt is as expected and its status is not: a cancellation was faster."""
    await store.have_sending("m1")
    late = Step("m1", ("queued", "held"), change("failed"), (entry("late", "m1"),), shut=(Shut(1, ("open",), "refused", NOW, "rejected"),))
    assert await store.do("late", late) is STALE
    assert (store.status("m1"), store.states("m1")) == ("sending", ["open"])


async def test_a_batch_done_again_opens_its_attempts_all_the_same(store: Sqlite) -> None:
    await store.have_sending("m0")
    store.accept(message("m1"))
    store.put("open", Step("m1", ("queued",), sending(), (entry("sending m1", "m1"),), attempt("m1")))
    store.put("half", Step("m0", ("sending",), sending(2), (), attempt("m0", 2), (Shut(1, ("open",), "open", None, code="x"),)))
    await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [DONE, DONE, STALE]
    assert (store.status("m1"), store.states("m1")) == ("sending", ["open"])
    assert store.events()[-2:] == ["queued m1", "sending m1"]


@pytest.mark.parametrize("name", ["text", "number"])
async def test_what_cannot_be_written_fails_alone(store: Sqlite, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A lone surrogate, a number beyond 64 bits: no other operation and not the daemon pays for it."""
    bad = message("bad", text="canary \ud800") if name == "text" else message("bad", max_price=1 << 70)
    store.accept(message("before"))
    store.accept(bad)
    store.accept(message("behind"))
    store.accept(message("keyed", key="k"), b"d")
    await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [DONE, Answer.FAILED, DONE, DONE]
    assert [store.status(id_) for id_ in ("before", "bad", "behind", "keyed")] == ["queued", None, "queued", "queued"]
    assert store.events() == ["queued before", "queued behind", "queued keyed"]
    assert "cannot be written" in caplog.text
    assert "canary" not in caplog.text


async def test_answers_come_in_order_and_after_the_commit(store: Sqlite) -> None:
    seen: list[tuple[str, str | None]] = []

    def done_of(id_: str) -> Any:
        return lambda _answer, _value: seen.append((id_, store.status(id_)))

    for number in range(20):
        store.journal.put(Accept(message(f"m{number}"), entry("queued"), done_of(f"m{number}")))
    assert seen == []
    await store.journal.wait_committed()
    assert seen == [(f"m{number}", "queued") for number in range(20)]


async def test_a_new_message_may_be_sent_in_the_batch_that_took_it(store: Sqlite) -> None:
    store.accept(message("m1"))
    store.put("open", Step("m1", ("queued",), sending(), (entry("sending m1", "m1"),), attempt("m1")))
    store.accept(message("m2"))
    store.put("held", Step("m2", ("queued",), change("held", detail="rule"), (entry("held m2", "m2"),)))
    await store.journal.wait_committed()
    assert {answer for _, answer in store.answers} == {DONE}
    first, second = store.query.find_message("m1"), store.query.find_message("m2")
    assert first is not None
    assert second is not None
    assert (first.status, first.attempts, first.lane, first.next_at, first.progress.rule) == ("sending", 1, "a", NOW + 30_000, "all")
    assert (second.status, second.detail) == ("held", "rule")
    assert store.states("m1") == ["open"]
    assert store.events() == ["queued m1", "sending m1", "queued m2", "held m2"]


async def test_seq_is_commit_order(store: Sqlite) -> None:
    """Over batches, refusals and a restart: rising, the table's order, and the ring's."""
    for number in range(30):
        store.accept(message(f"m{number}"))
        if number % 7 == 3:
            store.put("stale", Step("m0", ("held",), change("canceled"), (entry("never", "m0"),)))
        if number % 5 == 4:
            await store.journal.wait_committed()
    await store.journal.wait_committed()
    assert store.events() == [f"queued m{number}" for number in range(30)]
    seqs = store.seqs()
    assert seqs == sorted(set(seqs))
    in_ring = store.ring.read_after(0, 1_000)
    assert in_ring is not None
    assert [(each.seq, each.body) for each in in_ring] == store.query.read_events(0, 1_000)


async def test_seq_goes_on_after_a_restart(store: Sqlite) -> None:
    await store.have("m1", "m2")
    before = store.seqs()
    await store.reopen()
    await store.have("m3")
    assert store.seqs()[:2] == before
    assert store.seqs()[2] > before[-1]
    assert store.status("m1") == "queued"


async def test_facts(store: Sqlite) -> None:
    await store.do("1", Put(facts=(("provider", "a", {"paused": "paused"}), ("provider", "b", {"x": [1, None]}), ("secret", "a", {}))))
    await store.do("2", Put(facts=(("provider", "a", {"paused": None}), ("provider", "b", None), ("provider", "never", None))))
    assert store.query.read_facts("provider") == {"a": {"paused": None}}
    assert store.query.read_facts("secret") == {"a": {}}


async def test_suppression(store: Sqlite) -> None:
    await store.do("1", Put(suppress=(("+1", "all", "stop", 5), ("+1", "sender:X", "stop", 6), ("+2", "all", "stop", 7))))
    await store.do("2", Put(suppress=(("+2", "all", "again", 99),)))  # the first reason stays
    assert store.query.read_suppressions() == [("+1", "all", "stop", 5), ("+1", "sender:X", "stop", 6), ("+2", "all", "stop", 7)]
    await store.do("3", Put(unsuppress=(("+1", "sender:X"), ("+2", None), ("+3", None))))
    assert store.query.read_suppressions() == [("+1", "all", "stop", 5)]


async def test_a_move_moves_only_what_is_queued(store: Sqlite) -> None:
    await store.have("m1")
    await store.have_sending("m2")
    before = store.seqs()
    assert await store.do("move", Move([("m1", None, NOW + 9), ("m2", None, NOW + 9), ("m9", "b", NOW)])) is DONE
    first, second = store.query.find_message("m1"), store.query.find_message("m2")
    assert first is not None
    assert second is not None
    assert (first.lane, first.next_at) == (None, NOW + 9)
    assert (second.lane, second.next_at) == ("a", NOW + 30_000)
    assert store.seqs() == before  # a change of lane is no event


async def test_recovery_reads_open_attempts_in_pages(store: Sqlite) -> None:
    for number in range(520):
        store.accept(message(f"m{number:04}"))
        store.put("open", Step(f"m{number:04}", ("queued",), sending(), (), attempt(f"m{number:04}")))
    await store.journal.wait_committed()
    doubt = Shut(1, ("open",), "in_doubt", NOW)
    await store.do("doubt", Step("m0007", ("sending",), change("in_doubt"), shut=(doubt,)))
    await store.do("done", Step("m0008", ("sending",), change("sent"), shut=(Shut(1, ("open",), "accepted", NOW),)))
    pages = list(store.query.read_open_attempts(("open",)))
    assert [len(page) for page in pages] == [500, 18]
    assert [each.message for page in pages for each in page] == [f"m{n:04}" for n in range(520) if n not in (7, 8)]
    assert [[each.message for each in page] for page in store.query.read_open_attempts(("in_doubt",))] == [["m0007"]]


async def test_counts(store: Sqlite) -> None:
    await store.have("m1", "m2", lane="a")
    await store.have("m3", lane=None, priority=0)
    await store.have("m4", "m5", lane="b")
    await store.do("h", Step("m4", ("queued",), change("held", detail="no_credit")))
    await store.do("f", Step("m5", ("queued",), change("failed", final_at=NOW)))
    assert store.query.count_statuses() == {"queued": 3, "held": 1, "failed": 1}
    assert store.query.count_queued() == 4
    assert store.query.count_lane("a") == 2
    assert sorted(store.query.count_due(), key=str) == [("a", 1, 2, NOW), (None, 0, 1, NOW)]
    assert (store.query.count_held(None), store.query.count_held("no_credit"), store.query.count_held("rule")) == (1, 1, 0)


async def test_an_operators_filters(store: Sqlite) -> None:
    await store.have("m1", tags=("x", "y"), lane="a")
    await store.have("m2", tags=("y",), lane="b")
    await store.have("m3", lane="b")
    await store.do("h", Step("m3", ("queued",), change("held", detail="no_credit", lane=None)))

    def find(*statuses: str, **keys: Any) -> list[str]:
        given: dict[str, Any] = {"provider": None, "tag": None, "cause": None, "after": "", "limit": 10}
        return [m.id for m in store.query.find_messages(statuses or ("queued", "held"), **(given | keys))]

    assert find() == ["m1", "m2", "m3"]
    assert find("held") == ["m3"]
    assert find(tag="y") == ["m1", "m2"]
    assert find(tag="x' OR 1") == []
    assert find(provider="b") == ["m2"]
    assert find(cause="no_credit") == ["m3"]
    assert find(after="m1", limit=1) == ["m2"]
    await store.do("open", Step("m1", ("queued",), sending(), open=attempt("m1", provider="c")))
    assert find("sending", provider="c") == ["m1"]


async def test_what_was_spent(store: Sqlite) -> None:
    await store.have("m1", "m2", "m3")
    for id_, price in (("m1", 5), ("m2", None), ("m3", 7)):
        await store.do(id_, Step(id_, ("queued",), sending(), open=attempt(id_, price=price)))
    refuse = Shut(1, ("open",), "refused", NOW)
    await store.do("refused", Step("m3", ("sending",), change("queued"), shut=(refuse,)))
    assert await store.query.sum_spent("a", NOW - 1) == [(NOW, 5)]
    assert await store.query.sum_spent("a", NOW) == []
    assert await store.query.sum_spent("b", 0) == []


async def test_the_queue_outlives_a_restart_as_it_is(store: Sqlite) -> None:
    await store.have("m1", "m2", valid_until=NOW + DAY)
    await store.have_sending("m1")
    await store.reopen()
    assert (store.status("m1"), store.states("m1"), store.status("m2")) == ("sending", ["open"], "queued")
    assert await store.do("x", Step("m1", ("sending",), change("sent"), shut=(Shut(1, ("open",), "accepted", NOW),))) is DONE
