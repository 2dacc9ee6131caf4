"""The generated module is what its script makes, and holds together."""

import phonenumbers
import pytest

from broker.text.prefixes import CODES, REGIONS
from tests.tools import make_prefixes
from tests.tools.make_prefixes import after, ends, language_of


def test_the_committed_module_is_what_the_script_makes() -> None:
    remedy = "run `python -m tests.tools.make_prefixes` and commit the result"
    assert make_prefixes.TARGET.read_text(encoding="utf-8") == make_prefixes.module(), remedy


def test_every_country_code_is_there_and_none_begins_another() -> None:
    assert {int(code) for code in CODES} == set(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    assert not [(a, b) for a in CODES for b in CODES if a != b and a.startswith(b)]


def test_every_prefix_adds_something() -> None:
    for prefix, region in REGIONS.items():
        shorter = (prefix[:n] for n in range(len(prefix) - 1, 0, -1))
        inherited = next(REGIONS.get(p) or CODES[p][0] for p in shorter if p in REGIONS or p in CODES)
        assert region != inherited, prefix


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"7\d{2}", ["700", "799"], ["70", "7000", "800", ""]),
        (r"[2-46]\d?", ["2", "45", "60"], ["5", "222", ""]),
        (r"(?:1|23?){2}", ["11", "123", "2323", "21"], ["1", "13", "2", "111"]),
        (r"4(?:[01]|8{1,3})|9", ["40", "48", "4888", "9"], ["4", "48888", "49", "99"]),
        (r"(?:12?)?3", ["3", "13", "123"], ["12", "23", ""]),
    ],
)
def test_the_scripts_reader_of_patterns(pattern: str, good: list[str], bad: list[str]) -> None:
    def accepts(digits: str) -> bool:
        language = language_of(pattern)
        for digit in digits:
            language = after(language, digit)
        return ends(language)

    assert [d for d in good if not accepts(d)] == []
    assert [d for d in bad if accepts(d)] == []


@pytest.mark.parametrize("pattern", [r"1+", r"1*", r"[^1]", r"(?=1)", r"1.", "(1", "1)", r"\w"])
def test_a_pattern_that_it_does_not_know_stops_the_script(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"not known|not read|no closing|invalid literal"):
        language_of(pattern)
