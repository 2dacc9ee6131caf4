"""Idempotent submits (promise 3): one message for one key of one client, in one batch, side by side, after a restart. Over every store."""

import trio

from broker.store.contract import Accept, Answer, Change, Shut, Step
from broker.store.retention import drop_messages
from tests.store.rig import NOW, Sqlite, attempt, entry, message, sending

DONE, EXISTS = Answer.DONE, Answer.EXISTS
SAME, OTHER = b"same", b"other"


async def test_the_same_key_again(store: Sqlite) -> None:
    store.accept(message("m1", key="k", segments=2, encoding="ucs2"), SAME)
    await store.journal.wait_committed()
    store.accept(message("m2", key="k"), SAME)
    store.accept(message("m3", key="k"), OTHER)  # who compares the digests decides what that means
    await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [DONE, EXISTS, EXISTS]
    assert store.values["m2"] == store.values["m3"] == ("m1", SAME, 2, "ucs2", "TW", 0)
    assert store.query.find_key("unix:shop", "k") == ("m1", SAME, 2, "ucs2", "TW", 0)
    assert [store.status(id_) for id_ in ("m1", "m2", "m3")] == ["queued", None, None]
    assert store.events() == ["queued m1"]


async def test_the_same_key_in_one_batch(store: Sqlite) -> None:
    before = store.journal.commits
    for id_ in ("m1", "m2", "m3"):
        store.accept(message(id_, key="k"), SAME)
    store.accept(message("m4", key="l"), SAME)
    await store.journal.wait_committed()
    assert store.journal.commits == before + 1
    assert [answer for _, answer in store.answers] == [DONE, EXISTS, EXISTS, DONE]
    assert store.values["m2"][0] == store.values["m3"][0] == "m1"
    assert store.events() == ["queued m1", "queued m4"]


async def test_the_same_key_side_by_side(store: Sqlite) -> None:
    """Many tasks at once, each with its own id: one of them wins, all hear of that one."""
    heard: list[str] = []

    async def submit(number: int) -> None:
        for _ in range(number % 7):
            await trio.lowlevel.checkpoint()
        answered = trio.Event()

        def done(answer: Answer, value: object) -> None:
            heard.append(f"m{number}" if answer is DONE else value[0])  # type: ignore[index]  # the row of the first
            answered.set()

        store.journal.put(Accept(message(f"m{number}", key="k"), entry("queued"), done, SAME))
        await answered.wait()

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(submit, number)
    assert len(heard) == 40
    assert len(set(heard)) == 1
    assert store.query.count_statuses() == {"queued": 1}
    assert len(store.seqs()) == 1


async def test_another_clients_key_is_another(store: Sqlite) -> None:
    store.accept(message("m1", key="k"), SAME)
    store.accept(message("m2", key="k", client="shop"), SAME)
    store.accept(message("m3", key="K"), SAME)
    store.accept(message("m4"))
    store.accept(message("m5"))  # without a key nothing is the same
    await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [DONE] * 5
    assert store.query.find_key("unix:other", "k") is None


async def test_a_key_outlives_a_restart(store: Sqlite) -> None:
    store.accept(message("m1", key="k"), SAME)
    await store.journal.wait_committed()
    await store.reopen()
    store.accept(message("m2", key="k"), SAME)
    await store.journal.wait_committed()
    assert store.values["m2"][0] == "m1"


async def test_a_key_lives_as_long_as_its_message(store: Sqlite) -> None:

    store.accept(message("m1", key="k"), SAME)
    await store.journal.wait_committed()
    await store.do("end", Step("m1", ("queued",), Change("canceled", None, None, 0, final_at=NOW)))
    await store.journal.forget(lambda conn: bool(drop_messages(conn, NOW + 1, "n")))
    store.accept(message("m2", key="k"), OTHER)
    await store.journal.wait_committed()
    assert dict(store.answers)["m2"] is DONE


async def test_a_refused_neighbour_does_not_lose_a_key(store: Sqlite) -> None:
    """The batch is written again with care: the keys of its first try are not there twice."""

    await store.have_sending("m0")
    store.accept(message("m1", key="k"), SAME)
    store.put("half", Step("m0", ("sending",), sending(2), (), attempt("m0", 2), (Shut(1, ("open",), "open", None, code="x"),)))
    store.accept(message("m2", key="k"), SAME)
    await store.journal.wait_committed()
    assert [answer for _, answer in store.answers] == [DONE, Answer.STALE, EXISTS]
    assert store.values["m2"][0] == "m1"
