"""An account that splits texts itself is priced, capped and limited by what it sends, not by the plain count."""

from functools import partial

from broker.routing import Candidate
from broker.text import Verdict, measure, verdict
from broker.words.message import Message
from broker.words.money import MICRO
from broker.words.settings import RuleSettings
from tests.routing.desk import Traits, make_book, message, prices, provider, rank_all, reasons

TURKISH = "İğşığ " * 20  # 120 characters: two segments of UCS-2, one under the Turkish tables
KEPT_WHOLE = "您" * 66 + "e\u0301" + "您" * 66  # two by the plain count; three where the accent stays with its letter


def written(text: str, **keys: object) -> Message:
    found = verdict(text)
    return message(text=text, encoding=found.encoding, segments=found.segments, **keys)


def weigh(text: str, *, use: tuple[str, ...] = ("own", "theirs"), **rule: object) -> dict[str, Candidate]:
    """The candidates for a text, of an account that splits itself with Turkish tables, and one that does not."""
    accounts = [provider(name, prices=prices(TW="1")) for name in ("own", "theirs")]
    rules = (RuleSettings(name="all", use=use, **rule),)  # type: ignore[arg-type]  # keys vary
    traits = dict.fromkeys(("own", "theirs"), Traits(channels=frozenset({"sms", "flash", "viber"}), max_segments=2))
    book = make_book(*accounts, rules=rules, traits=traits, measures={"own": partial(measure, national=(1,))})
    route = rank_all(book, written(text))
    return {each.name: each for each in route.candidates}


def test_the_price_follows_what_is_sent() -> None:
    found = weigh(TURKISH)
    assert {name: (each.segments, each.price) for name, each in found.items()} == {"own": (1, MICRO), "theirs": (2, 2 * MICRO)}


def test_a_grapheme_that_costs_a_segment_is_paid_for() -> None:
    assert set(weigh(KEPT_WHOLE)) == {"theirs"}  # three segments are over the account's two


def test_another_channel_with_its_own_text_is_measured_so_too() -> None:
    found = weigh(TURKISH, use=("own:flash", "theirs:flash"), texts={"flash": "İ: {text}" + "ş" * 30})
    assert {name: each.segments for name, each in found.items()} == {"own:flash": 1}
    found = weigh(TURKISH, use=("own:flash", "theirs:flash"))
    assert {name: each.segments for name, each in found.items()} == {"own:flash": 1, "theirs:flash": 2}
    assert weigh(TURKISH, use=("own:viber",), texts={"viber": "{text}" * 9})["own:viber"].segments == 1


def test_the_encoding_is_the_one_on_the_air() -> None:
    traits = {"own": Traits(encodings=frozenset({"gsm7"}))}
    national = make_book(provider("own"), traits=traits, measures={"own": partial(measure, national=(1,), encodings={"gsm7"})})
    assert rank_all(national, written(TURKISH)).candidates
    assert reasons(rank_all(national, written("您好"))) == {"own": "encoding ucs2 is not its"}
    plain = make_book(provider("own"), traits=traits)
    assert reasons(rank_all(plain, written(TURKISH))) == {"own": "encoding ucs2 is not its"}


def test_a_text_that_was_erased_keeps_its_count() -> None:
    book = make_book(provider("own"), measures={"own": measure})
    assert [each.segments for each in rank_all(book, message(text=None, segments=3)).candidates] == [3]


def test_what_cannot_go_out_has_the_plain_count() -> None:
    assert measure("a" * 153 * 300) == verdict("a" * 153 * 300) == Verdict("gsm7", 153 * 300, 300)
