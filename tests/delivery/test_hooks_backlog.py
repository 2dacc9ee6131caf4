"""The backlog of an endpoint: held to a plain model of it, whatever happens in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from broker.delivery.backlog import Backlog, Item
from broker.store.contract import Hook

STEPS = st.lists(st.tuples(st.sampled_from(["add", "take", "fail", "done", "age", "refused", "hurry"]), st.integers(0, 5)), max_size=80)


def count_stuck(waiting: list[Hook], tries: dict[int, int]) -> int:
    firsts = {hook.chain: hook.n for hook in reversed(waiting)}
    return sum(tries[firsts[hook.chain]] > 0 for hook in waiting)


@given(STEPS)
def test_as_the_model(steps: list[tuple[str, int]]) -> None:
    backlog, n = Backlog(), 0
    waiting: list[Hook] = []  # in order
    tries: dict[int, int] = {}
    out: list[Item] = []
    for what, which in steps:
        if what == "add":
            n += 1
            hook = Hook("s", str(n), f"chain {which}", n, n)
            waiting.append(hook)
            tries[n] = 0
            backlog.add(hook)
        elif what == "take" and backlog.find_due() is not None:
            item = backlog.take()
            first = next(hook for hook in waiting if hook.chain == item.hook.chain)
            assert first is item.hook, "nothing overtakes its own chain"
            assert item.hook not in [each.hook for each in out]
            out.append(item)
        elif what in ("fail", "done") and out:
            item = out.pop(which % len(out))
            if what == "fail":
                backlog.put_off(item, 1 + which)
                tries[item.hook.n] += 1
            else:
                backlog.drop([item])
                waiting.remove(item.hook)
        elif what in ("age", "refused"):
            gone = backlog.find_older(n // 2) if what == "age" else backlog.find_refused(which)
            held = {item.hook.n for item in out}
            if what == "age":
                assert [item.hook.n for item in sorted(gone, key=lambda item: item.hook.n)] == [
                    hook.n for hook in waiting if hook.since <= n // 2 and hook.n not in held
                ]
            assert all(item.hook.n not in held for item in gone)
            backlog.drop(gone)
            waiting = [hook for hook in waiting if hook not in [item.hook for item in gone]]
        elif what == "hurry":
            backlog.hurry()
            assert backlog.find_due() in (0, None)
        assert backlog.size == len(waiting)
        assert backlog.stuck == count_stuck(waiting, tries)
    while backlog.find_due() is not None:
        backlog.drop([backlog.take()])
    chains = {item.hook.chain for item in out}
    assert backlog.size == sum(hook.chain in chains for hook in waiting), "only what is behind something under way is left"
