"""Writes broker/text/prefixes.py: what the hot path knows of the world's numbering plans.

Run by hand after an upgrade of phonenumbers: `.venv/bin/python -m tests.tools.make_prefixes`; with `--check`
it writes nothing and exits 1 where the committed module differs. Never imported by the broker. The truth is
phonenumbers' metadata; this script only asks it, for every shared country code, which first digits are enough
to say the region.

A region's valid national numbers are a regular language (lengths and patterns in the metadata). We follow the
languages of all regions of one code digit by digit (Brzozowski's derivatives) and stop at a prefix as soon as
every number that begins with it belongs to one region, so nothing is sampled and nothing is missed.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberDesc

DIGITS = "0123456789"
LONGEST = 15
TARGET = Path(__file__).parents[2] / "broker" / "text" / "prefixes.py"
NOT_GEOGRAPHIC = "001"  # phonenumbers' name for codes that belong to no country: satellites, freephone, +883
# The order does not matter: a number that matches any of these has a type.
KINDS = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)

# A language is an int that names its expression in _shapes: equal expressions get equal names, so that states
# can be compared and remembered cheaply.
_names: dict[tuple[str | int, ...], int] = {}
_shapes: list[tuple[str, tuple[int, ...]]] = []


def _name(kind: str, *parts: int) -> int:
    key: tuple[str | int, ...] = (kind, *parts)
    if key not in _names:
        _names[key] = len(_shapes)
        _shapes.append((kind, parts))
    return _names[key]


NOTHING = _name("nothing")
EMPTY = _name("empty")


def one_of(digits: Iterable[str]) -> int:
    """One digit out of these."""
    return _name("digit", *sorted(int(d) for d in set(digits)))


def then(first: int, second: int) -> int:
    """The first, then the second."""
    if NOTHING in (first, second):
        return NOTHING
    if first == EMPTY:
        return second
    return first if second == EMPTY else _name("then", first, second)


def either(parts: Iterable[int]) -> int:
    """Any of these."""
    flat: set[int] = set()
    for part in parts:
        kind, inner = _shapes[part]
        flat.update(inner if kind == "either" else (part,))
    flat.discard(NOTHING)
    if not flat:
        return NOTHING
    return flat.pop() if len(flat) == 1 else _name("either", *sorted(flat))


def both(first: int, second: int) -> int:
    """What is in the first and in the second."""
    if NOTHING in (first, second):
        return NOTHING
    return first if first == second else _name("both", *sorted((first, second)))


def times(part: int, least: int, most: int) -> int:
    """The part `least` to `most` times."""
    if most == 0 or part == EMPTY:
        return EMPTY
    if part == NOTHING:
        return EMPTY if least == 0 else NOTHING
    return part if least == most == 1 else _name("times", part, least, most)


@cache
def ends(language: int) -> bool:
    """Whether the number may end here."""
    kind, parts = _shapes[language]
    if kind == "times":
        return parts[1] == 0 or ends(parts[0])
    if kind == "either":
        return any(map(ends, parts))
    return kind == "empty" or (kind in ("then", "both") and all(map(ends, parts)))


@cache
def after(language: int, digit: str) -> int:
    """What may follow once this digit has been read."""
    kind, parts = _shapes[language]
    if kind == "digit":
        return EMPTY if int(digit) in parts else NOTHING
    if kind == "either":
        return either(after(p, digit) for p in parts)
    if kind == "both":
        return both(after(parts[0], digit), after(parts[1], digit))
    if kind == "then":
        first, second = parts
        rest = then(after(first, digit), second)
        return either((rest, after(second, digit))) if ends(first) else rest
    if kind == "times":
        part, least, most = parts
        return then(after(part, digit), times(part, max(least - 1, 0), most - 1))
    return NOTHING


ANY = one_of(DIGITS)


class _Pattern:
    """Reads the small part of regular expressions that the metadata is written in."""

    def __init__(self, source: str) -> None:
        self.left = source

    def take(self, text: str) -> bool:
        found = self.left.startswith(text)
        if found:
            self.left = self.left[len(text) :]
        return found

    def alternatives(self) -> int:
        options = [self.sequence()]
        while self.take("|"):
            options.append(self.sequence())
        return either(options)

    def sequence(self) -> int:
        language = EMPTY
        while self.left and self.left[0] not in "|)":
            language = then(language, self.repeated(self.single()))
        return language

    def single(self) -> int:
        if self.take("\\d"):
            return ANY
        if self.take("("):
            self.take("?:")
            inside = self.alternatives()
            if not self.take(")"):
                raise ValueError(f"no closing bracket before {self.left!r}")
            return inside
        if self.take("["):
            inside_text, _, self.left = self.left.partition("]")
            return one_of(_spread(inside_text))
        digit, self.left = self.left[0], self.left[1:]
        if digit not in DIGITS:
            raise ValueError(f"{digit!r} is not known to this reader; teach it")
        return one_of(digit)

    def repeated(self, part: int) -> int:
        if self.take("?"):
            return times(part, 0, 1)
        if not self.take("{"):
            return part
        bounds, _, self.left = self.left.partition("}")
        least, _, most = bounds.partition(",")
        return times(part, int(least), int(most or least))


def _spread(inside: str) -> Iterator[str]:
    while inside:
        if inside[1:2] == "-":
            yield from DIGITS[int(inside[0]) : int(inside[2]) + 1]
            inside = inside[3:]
        else:
            yield inside[0]
            inside = inside[1:]


@cache
def language_of(pattern: str) -> int:
    """The digits that a pattern of the metadata matches whole."""
    reader = _Pattern(pattern)
    language = reader.alternatives()
    if reader.left:
        raise ValueError(f"not read to its end: {reader.left!r}")
    return language


def _described(desc: PhoneNumberDesc | None) -> int:
    if desc is None or not desc.national_number_pattern:
        return NOTHING
    language = language_of(desc.national_number_pattern)
    lengths = [n for n in desc.possible_length if n > 0]
    return both(language, either(times(ANY, n, n) for n in lengths)) if lengths else language


def metadata_of(code: int, region: str) -> PhoneMetadata:
    """The metadata of a region, or of a code that belongs to no region."""
    found = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if found is None:
        raise ValueError(f"no metadata for +{code} {region}")
    return found


def numbers_of(metadata: PhoneMetadata) -> int:
    """The national numbers that have a type in this region (number_type_helper of phonenumbers)."""
    general = _described(metadata.general_desc)
    return either(both(general, _described(getattr(metadata, kind))) for kind in KINDS)


def possible_lengths(code: int, regions: tuple[str, ...]) -> tuple[int, ...]:
    """The lengths of a national number; of a shared code its first region's, as in is_possible_number."""
    general = metadata_of(code, regions[0]).general_desc
    if general is None:
        raise ValueError(f"no general description of +{code}")
    return general.possible_length


def claimed_by(metadata: PhoneMetadata) -> int:
    """The national numbers for which region_code_for_number stops at this region when it comes to it."""
    if metadata.leading_digits is None:
        return numbers_of(metadata)
    return then(language_of(metadata.leading_digits), times(ANY, 0, LONGEST))


@cache
def outcomes(state: tuple[int, ...]) -> frozenset[int]:
    """Which regions are still possible, by their place in phonenumbers' order: the first that claims wins."""
    found = {place for place, language in enumerate(state) if ends(language)}
    found = {min(found)} if found else found
    later = (step(state, digit) for digit in DIGITS)
    return frozenset(found.union(*(outcomes(s) for s in later if set(s) != {NOTHING})))


def step(state: tuple[int, ...], digit: str) -> tuple[int, ...]:
    """The state after one more digit."""
    return tuple(after(language, digit) for language in state)


def prefixes_of(code: int, regions: tuple[str, ...]) -> dict[str, str]:
    """Prefix (country code included) to region, where it is not the code's first region."""
    table: dict[str, str] = {}

    def walk(prefix: str, state: tuple[int, ...]) -> None:
        left = sorted(outcomes(state))
        if len(left) > 1 and len(prefix) < LONGEST:
            for digit in DIGITS:
                walk(prefix + digit, step(state, digit))
        elif left and left[0]:
            table[prefix] = regions[left[0]]

    possible = either(times(ANY, n, n) for n in possible_lengths(code, regions))
    walk(str(code), tuple(both(claimed_by(metadata_of(code, region)), possible) for region in regions))
    return table


def runs_of(lengths: Iterable[int]) -> Iterator[str]:
    """Lengths as a person would write them: 5, 7, 8, 9 are `5 7-9`."""
    for _, grouped in groupby(enumerate(sorted(lengths)), lambda pair: pair[1] - pair[0]):
        run = [length for _, length in grouped]
        yield f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0])


def plan_of(code: int, regions: tuple[str, ...]) -> tuple[str | None, str, bool]:
    """The code's first region, the lengths of its national numbers, and whether one may begin with 0."""
    lengths = " ".join(runs_of(possible_lengths(code, regions)))
    has_zero = any(after(numbers_of(metadata_of(code, region)), "0") != NOTHING for region in regions)
    main = None if regions[0] == NOT_GEOGRAPHIC else regions[0]
    return main, lengths, has_zero


def lines_of(entries: Iterable[str], width: int = 106) -> Iterator[str]:
    """The entries of a dict, as many to a line as fit."""
    line = ""
    for entry in entries:
        if line and len(line) + len(entry) + 2 > width:
            yield f"    {line}\n"
            line = ""
        line += f"{' ' if line else ''}{entry},"
    yield f"    {line}\n"


def literal(value: object) -> str:
    """As Python writes it, with the quotes of this repository."""
    return repr(value).replace("'", '"')


def module() -> str:
    """The whole text of broker/text/prefixes.py."""
    codes = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items(), key=lambda item: str(item[0]))
    plans = (f'"{code}": {literal(plan_of(code, regions))}' for code, regions in codes)
    prefixes = {
        p: r for code, regions in codes if len(regions) > 1 for p, r in prefixes_of(code, regions).items()
    }
    return HEAD.format(version=phonenumbers.__version__) + "".join(
        (
            "CODES: dict[str, tuple[str | None, str, bool]] = {\n",
            *lines_of(plans),
            "}\n\nREGIONS: dict[str, str] = {\n",
            *lines_of(f'"{prefix}": "{region}"' for prefix, region in sorted(prefixes.items())),
            "}\n",
        )
    )


HEAD = '''"""The world's numbering plans, as far as the hot path needs them. Generated: never edited by hand.

Made by tests/tools/make_prefixes.py from the metadata of phonenumbers {version}, where the truth lives.

CODES: country code -> (the code's first region, ISO 3166 alpha-2, or None where it belongs to no country;
the lengths that a national number can have, in digits; whether a national number may begin with 0).
REGIONS: prefix, country code included -> region, where it is another than the code's first: the longest
prefix decides. Digits that no region has given out yet count as the first region's.
"""

# fmt: off
'''


def main(arguments: list[str]) -> int:
    """Writes the module; with --check only compares."""
    text = module()
    if arguments == ["--check"]:
        return int(TARGET.read_text(encoding="utf-8") != text)
    if arguments:
        sys.stderr.write("usage: python -m tests.tools.make_prefixes [--check]\n")
        return 2
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
