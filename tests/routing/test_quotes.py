"""The table of live prices: what is wanted, what is old, what is let go."""

from broker.routing import Quote, Quotes

PLACE = ("+79161234567", "sms", "gsm7", 1)


def make() -> tuple[Quotes, list[int]]:
    quotes, rung = Quotes(frozenset({"sms"})), []
    quotes.on_wanted = lambda: rung.append(1)
    return quotes, rung


def test_what_is_not_known_is_wanted_once() -> None:
    quotes, rung = make()
    for to in ("+79161234567", "+79161299999", "+79165234567"):
        assert quotes.find(to, *PLACE[1:]) is None
    assert [(place.prefix, place.length) for place in quotes.wanted] == [("+791612", 12), ("+791652", 12)]
    assert rung == [1]
    quotes.learn(next(iter(quotes.wanted)), Quote(5, 100))
    assert quotes.find("+79161200001", *PLACE[1:]) == Quote(5, 100)
    assert quotes.find("+79161200001", "sms", "gsm7", 2) is None
    assert quotes.find("+7916120000", *PLACE[1:]) is None  # a number of another length is of another plan


def test_what_is_used_and_old_is_wanted_again() -> None:
    quotes, _ = make()
    quotes.find(*PLACE)
    [place] = quotes.wanted
    quotes.learn(place, Quote(5, 100))
    quotes.review(fresh=101, good=0)
    assert not quotes.wanted  # nobody used it
    quotes.find(*PLACE)
    quotes.review(fresh=100, good=0)
    assert not quotes.wanted  # it is new
    quotes.find(*PLACE)
    quotes.review(fresh=101, good=0)
    assert list(quotes.wanted) == [place]
    assert quotes.find(*PLACE) == Quote(5, 100)  # and counts until then
    quotes.review(fresh=101, good=101)
    assert quotes.find(*PLACE) is None


def test_what_the_provider_does_not_say_is_not_asked_for_at_every_look() -> None:
    quotes, _ = make()
    quotes.find(*PLACE)
    quotes.learn(next(iter(quotes.wanted)), Quote(None, 100))
    assert quotes.find(*PLACE) == Quote(None, 100)
    assert not quotes.wanted
