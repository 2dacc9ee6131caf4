"""Reading, placing and masking numbers: by table, and against phonenumbers over every region."""

import random
import re
import subprocess
import sys
from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from broker.text.numbers import Number, NumberError, mask, number_type, read_number
from broker.text.prefixes import REGIONS

CLEAN = re.compile(r"\+[1-9][0-9]{6,14}")


def region_of(e164: str) -> str | None:
    """phonenumbers' answer; its 001 is our None."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse(e164))
    return None if region == "001" else region


def is_certain(e164: str) -> bool:
    """Whether phonenumbers reads exactly these digits, as a whole number that it knows to be valid.

    Only then does it promise the region. "Possible" without its reason, and "valid" too, would let pass what
    can only be dialled inside the country, such as Canada's 310-xxxx.
    """
    if not CLEAN.fullmatch(e164):
        return False
    number = phonenumbers.parse(e164)
    return (
        phonenumbers.is_valid_number(number)
        and phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
        and phonenumbers.format_number(number, PhoneNumberFormat.E164) == e164
    )


def find_examples() -> Iterator[phonenumbers.PhoneNumber]:
    """phonenumbers' example of every kind of number of every region and every code without one."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                yield example
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        example = phonenumbers.example_number_for_non_geo_entity(code)
        assert example is not None
        yield example


EXAMPLES = [
    number
    for number in find_examples()
    if is_certain(phonenumbers.format_number(number, PhoneNumberFormat.E164))
]


@pytest.mark.parametrize(
    ("e164", "country"),
    [
        ("+886912345678", "TW"),
        ("+306912345678", "GR"),
        ("+4915112345678", "DE"),
        ("+12025550100", "US"),
        ("+14165550100", "CA"),
        ("+12425550100", "BS"),
        ("+18765550100", "JM"),
        ("+18095550100", "DO"),
        ("+17875550100", "PR"),
        ("+16715550100", "GU"),
        ("+79121234567", "RU"),
        ("+77011234567", "KZ"),
        ("+447400123456", "GB"),
        ("+447911123456", "GG"),  # "a British mobile" in many examples, and Guernsey's
        ("+447911234567", "GB"),  # the next block is British
        ("+447797123456", "JE"),
        ("+447624123456", "IM"),
        ("+390612345678", "IT"),
        ("+390669812345", "VA"),
        ("+393351234567", "IT"),
        ("+4740612345", "NO"),
        ("+4779123456", "SJ"),
        ("+61412345678", "AU"),
        ("+61891641234", "CX"),
        ("+212650123456", "MA"),
        ("+262639123456", "YT"),
        ("+29021234", "SH"),
        ("+2908999", "TA"),
        ("+358181234567", "AX"),
        ("+590690001234", "GP"),
        ("+590590271234", "BL"),
        ("+5993181234", "BQ"),
        ("+883510012345", None),
        ("+80012345678", None),
        ("+12005550100", "US"),  # an area code that nobody has: the code's first region
    ],
)
def test_clean_e164(e164: str, country: str | None) -> None:
    assert read_number(e164, None) == Number(e164, country)
    assert read_number(e164, "TW") == Number(e164, country)


@pytest.mark.parametrize(
    ("raw", "default_country", "e164", "country"),
    [
        ("0912345678", "TW", "+886912345678", "TW"),
        ("0912-345-678", "TW", "+886912345678", "TW"),
        ("912345678", "TW", "+886912345678", "TW"),
        ("886912345678", "TW", "+886912345678", "TW"),
        ("002306912345678", "TW", "+306912345678", "GR"),  # 002 is Taiwan's way out
        ("6912345678", "GR", "+306912345678", "GR"),
        ("00306912345678", "GR", "+306912345678", "GR"),
        ("00 886 912 345 678", "GR", "+886912345678", "TW"),
        ("011 44 7400 123456", "US", "+447400123456", "GB"),
        ("(202) 555-0100", "US", "+12025550100", "US"),
        ("06 698 12345", "IT", "+390669812345", "VA"),
        ("89121234567", "RU", "+79121234567", "RU"),
        ("+886 912 345 678", None, "+886912345678", "TW"),
        ("+886-912-345-678", None, "+886912345678", "TW"),
        ("(+886) 912.345/678", None, "+886912345678", "TW"),
        (" +886912345678 ", None, "+886912345678", "TW"),
        ("+886\u00a0912\u2011345\u2011678", None, "+886912345678", "TW"),
        ("+44 (0)20 7946 0000", None, "+442079460000", "GB"),
        ("+4402079460000", None, "+442079460000", "GB"),
        ("+8860912345678", None, "+886912345678", "TW"),  # E.164 in form, with the trunk 0 left in
        ("+886 0912 345 678", "GR", "+886912345678", "TW"),
    ],
)
def test_other_forms(raw: str, default_country: str | None, e164: str, country: str) -> None:
    assert read_number(raw, default_country) == Number(e164, country)


@pytest.mark.parametrize(
    ("raw", "default_country", "reason"),
    [
        ("", None, "empty"),
        ("   ", "TW", "empty"),
        ("12", None, r"\[broker\].default_country"),
        ("12", "TW", "too short"),
        ("1", "TW", "too short"),
        ("110", "TW", "too short"),
        ("0912345678", None, r"\[broker\].default_country"),
        ("886912345678", None, r"write \+, the country code"),
        ("00886912345678", None, r"\[broker\].default_country"),
        ("00", "GR", "too short"),
        ("5550100", "US", r"code .US. has 8 digits"),
        ("0912345678", "XX", r"\[broker\].default_country is no country"),
        ("0912345678", "tw", r"\[broker\].default_country is no country"),
        ("+", "TW", "no digits"),
        ("++886912345678", None, r"a \+ in the wrong place"),
        ("886+912345678", "TW", r"a \+ in the wrong place"),
        ("--", "TW", "no digits"),
        ("+0912345678", "TW", "no country has"),
        ("+999123456789", None, "no country has"),
        ("+21012345678", None, "no country has"),
        ("00999123456789", "GR", "no country has"),
        ("+00306912345678", "GR", "no country has"),  # after a + the default country says nothing
        ("+88691234", None, r"code .TW. has 8 digits"),
        ("+886912345678901", None, r"code .TW. has 15 digits"),
        ("+1202555010", None, r"code .US. has 10 digits"),
        ("+120255501000", None, r"code .US. has 12 digits"),
        ("+80012345", None, r"code .of no country. has 8 digits"),
        ("+787628647492", None, r"code .RU. has 12 digits"),  # its trunk 8 left in
        ("+49123", None, "too short"),
        ("+8869123456789012", None, "too long"),
        ("0030691234567", "TW", "a 0 where its country has none"),  # 003 is no way out of Taiwan
        ("+886912345678\n", None, r"U\+000A at position 14"),
        ("+886912345678 ext 5", None, r"U\+0065 at position 15"),
        ("+1-800-FLOWERS", None, r"U\+0046 at position 8"),
        ("+８８６912345678", None, r"U\+FF18 at position 2"),
        ("tel:+886912345678", None, r"U\+0074 at position 1"),
        ("+886912345678,+886912345679", None, r"U\+002C"),
        ("+886912345678 / +886912345679", None, r"a \+ in the wrong place"),
        ("a@example.org", "TW", r"U\+0061"),
        ("\x00", "TW", r"U\+0000"),
        ("\ud800", "TW", r"U\+D800"),
        ("1" * 64, "DE", "too long"),
        ("1" * 65, "DE", "too long"),
        (" " * 60 + "+886912345678", None, "too long"),
    ],
)
def test_refused(raw: str, default_country: str | None, reason: str) -> None:
    with pytest.raises(NumberError, match=reason) as caught:
        read_number(raw, default_country)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_every_kind_of_every_region_as_phonenumbers_has_it() -> None:
    assert len(EXAMPLES) > 1000
    wrong = []
    for example in EXAMPLES:
        e164 = phonenumbers.format_number(example, PhoneNumberFormat.E164)
        if read_number(e164, None) != Number(e164, region_of(e164)):
            wrong.append(e164)
    assert wrong == []


def test_what_people_write_is_read_as_the_same_number() -> None:
    """In the international form as phonenumbers writes it; in the national one as it reads it itself."""
    wrong = []
    for example in EXAMPLES:
        number = read_number(phonenumbers.format_number(example, PhoneNumberFormat.E164), None)
        written = phonenumbers.format_number(example, PhoneNumberFormat.INTERNATIONAL)
        if read_number(written, None) != number:
            wrong.append(written)
    assert wrong == []


def find_patterns() -> list[tuple[int, str]]:
    """Country code and the pattern of one kind of number, for every region that shares its code."""
    found = set()
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions if len(regions) > 1 else ():
            metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
            for kind in ("fixed_line", "mobile", "toll_free", "premium_rate", "voip", "shared_cost", "uan"):
                described = getattr(metadata, kind)
                if described is not None and described.national_number_pattern:
                    found.add((code, described.national_number_pattern))
    return sorted(found)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_shared_codes_are_told_apart_as_phonenumbers_does(data: st.DataObject) -> None:
    code, pattern = data.draw(st.sampled_from(find_patterns()))
    e164 = f"+{code}{data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))}"
    assume(is_certain(e164))
    assert read_number(e164, None) == Number(e164, region_of(e164))


def test_the_prefixes_and_their_neighbours_belong_where_phonenumbers_says() -> None:
    """Random numbers that begin with each prefix of the table, and with its last digit changed."""
    chance = random.Random(20261121)
    known, wrong = 0, []
    for prefix in REGIONS:
        for end in (prefix[-1], prefix[-1], *"0123456789"):
            for length in (8, 9, 10, 11, 12):
                rest = "".join(chance.choices("0123456789", k=length - len(prefix)))
                e164 = f"+{prefix[:-1]}{end}{rest}"
                if is_certain(e164):
                    known += 1
                    if read_number(e164, None) != Number(e164, region_of(e164)):
                        wrong.append(e164)
    assert wrong == []
    assert known > 500


written = st.text(st.sampled_from("0123456789+ -().xé\n"), max_size=20)


@settings(deadline=None)
@given(st.one_of(written, st.text()), st.sampled_from([None, "TW", "GR", "US", "IT"]))
def test_anything_is_read_whole_or_refused_without_showing_it(raw: str, default_country: str | None) -> None:
    refusal, number = "", None
    try:
        number = read_number(raw, default_country)
    except NumberError as problem:
        refusal = re.sub("[^0-9]", "", str(problem))
    digits = re.sub("[^0-9]", "", raw)
    assert len(digits) < 5 or digits not in refusal
    if number is not None:
        assert CLEAN.fullmatch(number.e164)
        assert read_number(number.e164, None) == number
        assert number.country is None or re.fullmatch("[A-Z]{2}", number.country)


def test_clean_numbers_need_no_phonenumbers_and_others_no_geocoder() -> None:
    program = """
import sys
from broker.text import NumberError, mask, read_number
read_number("+886912345678", None), read_number("+12425550100", "TW"), mask("+886912345678")
for bad in ("+999123456789", "+88691234", "12", "", "x"):
    try:
        read_number(bad, None)
    except NumberError:
        pass
print("phonenumbers" in sys.modules)
read_number("0912345678", "TW")
print("phonenumbers" in sys.modules, [m for m in sys.modules if "geocoder" in m or "carrier" in m])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "True []"]


@pytest.mark.parametrize(
    ("e164", "kind"),
    [
        ("+886912345678", "mobile"),
        ("+886221234567", "fixed"),
        ("+12025550100", "mobile_or_fixed"),
        ("+445612345678", "voip"),
        ("+18002345678", "toll_free"),
        ("+19002345678", "premium"),
        ("+447012345678", "other"),
        ("+12005550100", "unknown"),
        ("+999123456789", "unknown"),
        ("", "unknown"),
    ],
)
def test_number_type(e164: str, kind: str) -> None:
    assert number_type(e164) == kind


@pytest.mark.parametrize(
    ("whole", "masked"),
    [
        ("+886912345678", "+8869•••678"),
        ("+306912345678", "+3069•••678"),
        ("+1202555010", "+1202•••010"),
        ("+123456789", "+12•••89"),
        ("+1234567", "+12•••67"),
        ("886912345678", "88691•••678"),
        ("2025550100", "202•••00"),
        ("1234567", "•••67"),
        ("12345", "•••45"),
        ("1234", "•••"),
        ("110", "•••"),
        ("", "•••"),
        ("ACME", "ACME"),
        ("My Shop 24", "My Shop 24"),
        ("ΩMEGA", "ΩMEGA"),
        ("a@b.example", "a@b.e•••ple"),
        ("+886912345678x", "+8869•••78x"),
    ],
)
def test_mask(whole: str, masked: str) -> None:
    assert mask(whole) == masked


def test_a_repr_is_masked() -> None:
    assert repr(read_number("+886912345678", None)) == "Number('+8869•••678', 'TW')"


@settings(deadline=None)
@given(st.from_regex(r"\+?[0-9]{1,15}", fullmatch=True))
def test_a_mask_hides_at_least_three_digits_or_all(number: str) -> None:
    shown = mask(number)
    assert "•••" in shown
    assert len(shown) - 3 <= max(len(number) - 3, 0)
    head, tail = shown.split("•••")
    assert number.startswith(head)
    assert number.endswith(tail)
