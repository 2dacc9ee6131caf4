"""Reads telephone numbers: E.164 and its country on the hot path, anything else by phonenumbers, loaded late.

Never says whether a number is in service, never guesses a network, and never shows a number in an error. The
truth is ITU-T E.164 and the numbering plans in `prefixes`, which are made from phonenumbers' metadata.
"""

import re
from collections.abc import Iterator

import msgspec

from broker.text.prefixes import CODES, REGIONS


class NumberError(ValueError):
    """A number that cannot be read; the message names the reason and the remedy, never the number."""


class Number(msgspec.Struct, frozen=True, gc=False):
    """`e164` with its plus sign; `country` in ISO 3166 alpha-2, None where the code has none (+883).

    Its repr is masked: a whole number must not come into a log by accident.
    """

    e164: str
    country: str | None

    def __repr__(self) -> str:
        return f"Number({mask(self.e164)!r}, {self.country!r})"


# One country code: its first region; the lengths of a whole number with its plus sign; where a 0 can only be the
# national trunk prefix, or 0 (the plus sign) where numbers may begin with one; where the shortest prefix ends
# that tells regions apart, or 0. Plain tuples: unpacking one is twice as fast as a named one.
_Plan = tuple[str | None, frozenset[int], int, int]
# The digits up to there: their region, and where longer prefixes end that know better, the longest first.
_Area = tuple[str | None, tuple[int, ...]]


def _read_lengths(written: str) -> Iterator[int]:
    # "5 7-9" is 5, 7, 8 and 9
    for run in written.split():
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _read_plans() -> tuple[dict[str, _Plan], dict[str, _Area]]:
    # plans by the three digits after the plus sign: one look-up, however long the country code is
    plans: dict[str, _Plan] = {}
    areas: dict[str, _Area] = {}
    shared: dict[str, list[str]] = {}
    for prefix in REGIONS:
        shared.setdefault(next(prefix[:n] for n in (1, 2, 3) if prefix[:n] in CODES), []).append(prefix)
    for code, (country, written, has_zero) in CODES.items():
        before = 1 + len(code)
        lengths = frozenset(before + length for length in _read_lengths(written))
        prefixes = shared.get(code, [])
        shortest = min(map(len, prefixes), default=-1)
        plan = (country, lengths, 0 if has_zero else before, 1 + shortest)
        free = 3 - len(code)  # digits of the three that are not the code's
        plans.update((f"{code}{rest:0{free}d}" if free else code, plan) for rest in range(10**free))
        for near in {prefix[:shortest] for prefix in prefixes}:
            ends = {1 + len(p) for p in prefixes if p.startswith(near) and p != near}
            areas[near] = REGIONS.get(near, country), tuple(sorted(ends, reverse=True))
    return plans, areas


_PLANS, _AREAS = _read_plans()
_is_e164 = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch  # fullmatch: `$` would let a line end pass

# Blanks, dashes, dots, slashes and brackets as people and documents write them, from ASCII and from Unicode.
_PUNCTUATION = " \u00a0\u2007\u2009\u202f().\\-/\u2010-\u2015\u2212"
_foreign = re.compile(f"[^0-9+{_PUNCTUATION}]").search
_is_written = re.compile(f"[{_PUNCTUATION}]*\\+?[{_PUNCTUATION}]*[0-9][0-9{_PUNCTUATION}]*").fullmatch
_MOST_WRITTEN = 64
_LONGEST_E164 = 16

_HOW = "write +, the country code and the number"


def read_number(raw: str, default_country: str | None) -> Number:
    """The number that `raw` means.

    E.164 needs nothing else; blanks, dashes, dots, slashes and brackets may stand in it. A national number
    or one with an international prefix such as 00 is read as dialled in `default_country` (ISO 3166 alpha-2).
    Raises NumberError if it cannot be read, if nobody has its country code, or if no number there has its
    length.
    """
    if _is_e164(raw):
        number = _place(raw)
        if number is not None:
            return number
    e164 = _normalise(raw, default_country)
    if not _is_e164(e164):
        raise NumberError(f"the number is too {'long' if len(e164) > _LONGEST_E164 else 'short'}: {_HOW}")
    number = _place(e164)
    if number is None:
        raise NumberError(f"the number has a 0 where its country has none: {_HOW}")
    return number


def _place(e164: str) -> Number | None:
    # None: well-formed, but with the trunk prefix after the country code, as in +44 (0)20
    plan = _PLANS.get(e164[1:4])
    if plan is None:
        raise NumberError(f"no country has the number's country code: {_HOW}")
    country, lengths, trunk_at, near = plan
    if e164[trunk_at] == "0":
        return None
    if len(e164) not in lengths:
        where = country or "of no country"
        raise NumberError(f"no number of its country code ({where}) has {len(e164) - 1} digits: {_HOW}")
    if near:
        area = _AREAS.get(e164[1:near])
        if area is not None:
            country, ends = area
            for end in ends:
                region = REGIONS.get(e164[1:end])
                if region is not None:
                    return Number(e164, region)
    return Number(e164, country)


def _normalise(raw: str, default_country: str | None) -> str:
    """`raw` as E.164, or nearly so: the caller looks at its form and length."""
    _check_written(raw)
    is_international = "+" in raw
    if not is_international and default_country is None:
        raise NumberError(f"the number has no country code: {_HOW}, or set [broker].default_country")
    import phonenumbers  # here, not above: some 25 ms and 3 MB that clean E.164 never needs

    if not is_international and default_country not in phonenumbers.SUPPORTED_REGIONS:
        raise NumberError(f"[broker].default_country is no country with telephone numbers: mend it, or {_HOW}")
    try:
        parsed = phonenumbers.parse(raw, None if is_international else default_country)
    except phonenumbers.NumberParseException as problem:
        # phonenumbers' own words may change with its version, and do not say what to do
        if problem.error_type == problem.INVALID_COUNTRY_CODE:
            raise NumberError(f"no country has the number's country code: {_HOW}") from None
        wrong = "long" if problem.error_type == problem.TOO_LONG else "short"
        raise NumberError(f"the number is too {wrong}: {_HOW}") from None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _check_written(raw: str) -> None:
    if not raw or raw.isspace():
        raise NumberError(f"the number is empty: {_HOW}")
    if len(raw) > _MOST_WRITTEN:
        raise NumberError(f"the number is too long: {_HOW}")
    found = _foreign(raw)
    if found is not None:
        place = f"U+{ord(found[0]):04X} at position {found.start() + 1}"
        raise NumberError(f"the number has {place}, which stands in no telephone number: {_HOW}")
    if not _is_written(raw):
        raise NumberError(f"the number has no digits, or a + in the wrong place: {_HOW}")


def number_type(e164: str) -> str:
    """What kind of line a number is, as far as its plan says.

    One of mobile, fixed, mobile_or_fixed (the plan does not tell them apart), voip, toll_free, premium, other
    and unknown. Loads phonenumbers and takes some 30 us: only for rules that ask.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberType as Kind

    try:
        kind = phonenumbers.number_type(phonenumbers.parse(e164, None))
    except phonenumbers.NumberParseException:
        return "unknown"
    names = {
        Kind.MOBILE: "mobile",
        Kind.FIXED_LINE: "fixed",
        Kind.FIXED_LINE_OR_MOBILE: "mobile_or_fixed",
        Kind.VOIP: "voip",
        Kind.TOLL_FREE: "toll_free",
        Kind.PREMIUM_RATE: "premium",
        Kind.UNKNOWN: "unknown",
    }
    return names.get(kind, "other")


_HIDDEN = "•••"
_LONGEST_SENDER = 11


def mask(e164: str) -> str:
    """A number for eyes that may not see it: `+8869•••678`. At least three characters are always hidden.

    An alphanumeric sender id is no number and stays as it is; an address of an e-mail does not.
    """
    length = len(e164)
    if length <= _LONGEST_SENDER and "@" not in e164 and any(map(str.isalpha, e164)):
        return e164
    if length >= 11:
        return f"{e164[:5]}{_HIDDEN}{e164[-3:]}"
    if length >= 8:
        return f"{e164[:3]}{_HIDDEN}{e164[-2:]}"
    return f"{_HIDDEN}{e164[-2:]}" if length >= 5 else _HIDDEN
