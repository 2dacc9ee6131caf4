"""Which messages a rule's `match` can take at all: countries, and whether an earlier rule takes them all.

Judges settings only, never a message (that is routing's), and errs on the silent side: what it cannot prove it does not claim.
"""

import re
from functools import cache

from broker.text.prefixes import CODES, REGIONS
from broker.words.settings import Match

NOWHERE = ""
"""Stands for the numbers that belong to no country (+800 and such)."""


@cache
def countries_of(prefix: str) -> frozenset[str]:
    """The countries of the numbers that begin with `prefix` (+digits)."""
    digits = prefix.removeprefix("+")
    plans = {**{code: plan[0] or NOWHERE for code, plan in CODES.items()}, **REGIONS}
    found = {country for code, country in plans.items() if code.startswith(digits)}
    for length in range(len(digits), 0, -1):
        if digits[:length] in plans:
            found.add(plans[digits[:length]])
            break
    return frozenset(found)


def reach_of(match: Match) -> frozenset[str] | None:
    """The countries that `match` lets through by its country and prefix; None: any."""
    if match.prefix is None:
        return match.country
    countries = frozenset[str]().union(*map(countries_of, match.prefix))
    return countries if match.country is None else countries & match.country


def find_never(match: Match, most_segments: int, has_lookups: bool = True) -> tuple[str, str] | None:
    """The key by which `match` can never hold, and why; None where it may. `has_lookups`: some provider looks numbers up."""
    if match.network is not None and not has_lookups:
        return "network", "a number's network is known from lookups, and no provider here takes any; match by prefix or country"
    if match.channel == frozenset({"email"}) and (match.country or match.prefix or match.network):
        key = "country" if match.country else "prefix" if match.prefix else "network"
        return key, f"an e-mail address has no {key}; take one of the two keys out"
    if reach_of(match) == frozenset():
        if match.country is None:
            return "prefix", "no country's numbers begin so; mend the prefix"
        return "country", "no number of these countries begins with one of the prefixes; take one of the two keys out"
    if match.segments is not None and _counts(match.segments).isdisjoint(range(1, most_segments + 1)):
        return "segments", f"[submit].max_segments lets at most {most_segments} through; lower the number"
    return None


def covers(early: Match, late: Match) -> bool:
    """True where every message that `late` matches is matched by `early` too."""
    for name in ("type", "sender", "client", "tag", "channel", "encoding", "text", "time", "network"):
        wide, narrow = getattr(early, name), getattr(late, name)
        if wide is not None and (narrow is None or not set(narrow) <= set(wide)):
            return False
    if early.segments is not None and (late.segments is None or not _counts(late.segments) <= _counts(early.segments)):
        return False
    if early.country is not None:
        reach = reach_of(late)
        if reach is None or not reach <= early.country:
            return False
    if early.prefix is None:
        return True
    return late.prefix is not None and all(prefix.startswith(early.prefix) for prefix in late.prefix)


def _counts(forms: tuple[str, ...]) -> set[int]:
    """The numbers of segments that one of `forms` allows; 1,000 stands for all above."""
    allowed: set[int] = set()
    for form in forms:
        sign, count = form.rstrip("0123456789"), int(re.sub(r"\D", "", form))
        tests = {">": range(count + 1, 1001), ">=": range(count, 1001), "<": range(count), "<=": range(count + 1)}
        allowed.update(tests.get(sign, range(count, count + 1)))
    return allowed - {0}
