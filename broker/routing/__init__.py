"""Floor 1: which provider may take a message now, in which order and why; pure functions of values.

`rank` gives one Route for the dispatcher, for `explain` and for the tests alike. No I/O, no clock, no randomness.
"""

from broker.routing.account import Account
from broker.routing.book import Book, Rule, compile_book
from broker.routing.prices import PriceTable
from broker.routing.quotes import Quote, Quotes
from broker.routing.rank import Candidate, LeftOut, Route, find_rule, rank
from broker.routing.standing import Standing

__all__ = [
    "Account",
    "Book",
    "Candidate",
    "LeftOut",
    "PriceTable",
    "Quote",
    "Quotes",
    "Route",
    "Rule",
    "Standing",
    "compile_book",
    "find_rule",
    "rank",
]
