"""A rule's walk over channels: visits go by the candidate, lanes by its account (CONTRACT §3, `use`)."""

import pytest

from broker.words.outcome import PASSING
from broker.words.settings import Action
from tests.policy.scene import Scene, rule, tell
from tests.routing.desk import message, standing

LAST_RESORT = ("isms", "smscru", "smscru:viber", "smscru:voice")
ON = dict.fromkeys(("unavailable", "unsuitable"), Action(0, "next"))


def test_who_refused_an_sms_is_asked_to_call() -> None:
    scene = Scene(rule(*LAST_RESORT, on=ON))
    assert [tell(scene.decide("unsuitable", name)) for name in LAST_RESORT] == ["next smscru", "next smscru", "next smscru", "failed"]
    assert scene.message.progress.visited == dict.fromkeys(LAST_RESORT, "unsuitable")


def test_what_the_account_suffers_from_leaves_all_its_channels_out() -> None:
    scene = Scene(rule(*LAST_RESORT, on=ON))
    scene.standings["smscru"] = standing("smscru", out=("suspended: key", scene.now + 300_000))
    assert tell(scene.decide("unsuitable", "isms")) == "held misconfigured"


def test_a_new_round_asks_those_whose_trouble_passes() -> None:
    scene = Scene(rule(*LAST_RESORT, on=ON))
    for name, class_ in zip(LAST_RESORT, ("unsuitable", "unavailable", "unsuitable", "unavailable"), strict=True):
        decision = scene.decide(class_, name)
    assert (decision.kind, decision.lane) == ("new_round", None)
    again = scene.place()
    assert tell(again, scene.now) == "next smscru"
    assert again.progress.visited == {"isms": "unsuitable", "smscru:viber": "unsuitable"}
    assert tell(scene.decide("unavailable", "smscru")) == "next smscru"  # by voice now
    assert scene.message.progress.visited["smscru"] == "unavailable"


def test_a_retry_stays_with_its_channel() -> None:
    scene = Scene(rule("a", "a:voice", on={"unavailable": Action(1, "next")}))
    scene.decide("unsuitable", "a")
    decision = scene.decide("unavailable", "a:voice")
    assert (tell(decision), decision.progress.provider) == ("retry a +2500", "a:voice")
    scene.standings["a"].out = ("breaker open", scene.now + 9_000)
    assert scene.place().kind == "new_round"
    assert scene.message.progress.provider is None
    scene.standings["a"].out = None
    assert tell(scene.place(), scene.now) == "next a"


@pytest.mark.parametrize("class_", sorted(PASSING))
def test_another_account_is_asked_first_where_it_stands_first(class_: str) -> None:
    scene = Scene(rule("a:voice", "b", "a", on={class_: Action(0, "next")}))
    assert tell(scene.decide(class_, "a:voice")) == "next b"
    assert tell(scene.decide(class_, "b")) == "next a"


def test_a_message_of_that_channel_is_visited_once() -> None:
    scene = Scene(rule("a", "a:voice", "b:voice"), m=message(channel="voice"))
    assert tell(scene.decide("unsuitable", "a")) == "next b"
    assert tell(scene.decide("unsuitable", "b")) == "failed"
