"""The forms a single value may have in the file: how each is read, how it is written back, what it looks like.

A form reads one Spot and raises Fault for a value that is not of it. CONTRACT §3 names the forms;
whole tables of them are `broker.config.tables`'.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from broker.config.countries import COUNTRIES, OFTEN_MEANT
from broker.config.spot import UNSHOWN, Fault, Later, Spot, nearest
from broker.text.senders import SenderError, check_sender
from broker.words import clock
from broker.words.clock import DAY, HOUR, MINUTE, SECOND, show_span
from broker.words.money import MICRO, MoneyError, read_micro, show_count, show_micro
from broker.words.secret import Secret
from broker.words.settings import Rate

T = TypeVar("T")

LONGEST = 3_650 * DAY

_PER = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_is_rate = re.compile(r"([0-9]{1,9})/(s|m|h|d)").fullmatch
_is_currency = re.compile(r"[A-Z]{3}").fullmatch
_is_prefix = re.compile(r"\+[1-9][0-9]{0,14}").fullmatch
_is_network = re.compile(r"[0-9]{5,6}").fullmatch
_is_mode = re.compile(r"0?[0-7]{3}").fullmatch


def _same(value: Any) -> Any:
    return value


class Form(msgspec.Struct, Generic[T], frozen=True):
    """How a value is read and written. `example` is what a person may write."""

    read: Callable[[Spot], T]
    show: Callable[[T], object] = _same
    example: str = ""


def plain(read: Callable[[Any], T], show: Callable[[T], object] = _same, example: str = "") -> Form[T]:
    """A form that needs only the value, not its place."""
    return Form(lambda spot: read(spot.value), show, example)


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise Fault('must be a string in quotes, "..."')
    if not value:
        raise Fault("is empty: write something, or leave the key out")
    if not value.isprintable():
        raise Fault("has a control character in it: take it out")
    return value


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Fault("must be true or false, without quotes")
    return value


def read_span(value: object) -> int:
    """A duration in milliseconds. Raises Fault."""
    try:
        milli = clock.read_span(value) if isinstance(value, str) else None
    except ValueError:
        milli = None
    if milli is None:
        raise Fault('is no duration: write it as "250ms", "5s", "10m", "24h" or "7d"')
    if milli > LONGEST:
        raise Fault('is longer than ten years: "3650d" is the most')
    return milli


def _read_some_span(value: object) -> int:
    milli = read_span(value)
    if milli == 0:
        raise Fault('must be longer than nothing, for example "10s"')
    return milli


def read_address(value: object) -> str:
    """An address that requests go to, never quoted where it is none: it may have a key in it. Raises Fault."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise Fault('is no address: write "https://…", in ASCII', UNSHOWN)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Fault('is no address: write "https://…"', UNSHOWN) from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or port == 0:
        raise Fault('is no address: write "https://…"', UNSHOWN)
    if parts.username is not None or parts.password is not None:
        raise Fault("has a name or a password in it: take it out, no request is sent with them", UNSHOWN)
    if parts.fragment:
        raise Fault("has a # in it, which is never sent: take it out", UNSHOWN)
    return value


def read_rate(value: object) -> Rate:
    """A rate. Raises Fault."""
    found = _is_rate(value) if isinstance(value, str) else None
    if found is None:
        raise Fault('is no rate: write it as "50/s", "300/m" or "5/h"')
    if int(found[1]) == 0:
        raise Fault('is a rate of nothing: write at least "1/h", or disable what it belongs to')
    return Rate(int(found[1]), _PER[found[2]])


def show_rate(rate: Rate) -> str:
    """A rate as the file writes it."""
    unit = next(unit for unit, per in _PER.items() if per == rate.per)
    return f"{rate.amount}/{unit}"


def _read_amount(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Fault('is no amount: write it as a string, for example "0.045"')
    try:
        return read_micro(value)
    except MoneyError as error:
        raise Fault(f"is no amount: {error}") from None


def _read_some_amount(value: object) -> int:
    micro = _read_amount(value)
    if micro == 0:
        raise Fault('must be more than nothing, for example "0.05"')
    return micro


def _show_amount(micro: int) -> object:
    return micro // MICRO if micro % MICRO == 0 else show_count(micro)


def _read_factor(value: object) -> Decimal:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise ArithmeticError
        factor = Decimal(value)
    except ArithmeticError:
        raise Fault('is no exchange rate: write what one unit is worth, for example "0.029"') from None
    if not factor.is_finite() or not Decimal("1e-9") <= factor <= Decimal("1e9"):
        raise Fault('is no exchange rate: it must be a number above zero, for example "0.029"')
    return factor


def read_currency(value: object) -> str:
    """`value` where it may be a currency's code. Raises Fault."""
    if not isinstance(value, str) or not _is_currency(value):
        meant = value.upper() if isinstance(value, str) and _is_currency(value.upper()) else "EUR"
        raise Fault(f'is no currency: write its three capital letters, for example "{meant}"')
    return value


def _read_country(value: object) -> str:
    return check_country(value)


def check_country(value: object, groups: Collection[str] = ()) -> str:
    """`value` where it is a country's code. Raises Fault, which tells the nearest of the countries or groups."""
    if not isinstance(value, str):
        raise Fault('is no country: write its two-letter code, for example "TW"')
    if value in COUNTRIES:
        return value
    meant = OFTEN_MEANT.get(value.upper(), value.upper())
    if meant in COUNTRIES:
        raise Fault(f'is no country: did you mean "{meant}"?')
    if groups:
        raise Fault(f"is neither a country's code nor one of [groups]: {nearest(value, groups)}")
    raise Fault('is no country: write its ISO 3166 two-letter code, for example "TW"')


def read_prefix(value: object) -> str:
    """`value` where it is a prefix of E.164 numbers. Raises Fault."""
    if not isinstance(value, str) or not _is_prefix(value):
        raise Fault('is no prefix: write it with + and the country\'s code, for example "+8869"')
    return value


def read_network(value: object) -> str:
    """`value` where it is a network's MCCMNC. Raises Fault."""
    if not isinstance(value, str) or not _is_network(value):
        raise Fault('is no network: write its MCC and MNC as five or six digits in quotes, for example "46601"')
    return value


def _read_sender(value: object) -> str:
    text = _read_text(value)
    try:
        check_sender(text)
    except SenderError as error:
        raise Fault(f"cannot be a sender: {error}") from None
    return text


def _read_mode(value: object) -> int:
    if not isinstance(value, str) or not _is_mode(value):
        raise Fault('is no file mode: write it in octal as a string, for example "0660"')
    return int(value, 8)


def _read_secret(value: object) -> Secret:
    if not isinstance(value, str) or not value:
        kinds = '{ env = "NAME" }, { file = "path" } or { credential = "NAME" }'
        raise Fault(f"is no secret: write {kinds}, or a string in quotes", UNSHOWN)
    return Secret(value)


TEXT = plain(_read_text)
FLAG = plain(_read_flag, example="true")
SPAN = plain(read_span, show_span, '"30s"')
SOME_SPAN = plain(_read_some_span, show_span, '"30s"')
RATE = plain(read_rate, show_rate, '"30/s"')
MONEY = plain(_read_amount, show_micro, '"0.045"')
SOME_MONEY = plain(_read_some_amount, show_micro, '"0.045"')
AMOUNT = plain(_read_amount, _show_amount, "50")
FACTOR = plain(_read_factor, lambda factor: format(factor, "f"), '"0.029"')
CURRENCY = plain(read_currency, example='"EUR"')
COUNTRY = plain(_read_country, example='"TW"')
PREFIX = plain(read_prefix, example='"+886"')
NETWORK = plain(read_network, example='"46601"')
SENDER = plain(_read_sender, example='"ACME"')
MODE = plain(_read_mode, lambda mode: f"{mode:04o}", '"0660"')
SECRET = plain(_read_secret, example='{ env = "NAME" }')


def whole(least: int, most: int = 10**12) -> Form[int]:
    """A whole number from `least` to `most`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Fault("must be a whole number, without quotes")
        if not least <= value <= most:
            limit = f"at least {least}" if value < least else f"at most {most}"
            raise Fault(f"is out of range: it must be {limit}")
        return value

    return plain(read, example=str(max(least, 1)))


def choice(words: Collection[str], what: str, later: Mapping[str, str] | None = None) -> Form[str]:
    """One of `words`; `what` names the thing in the fault; `later` are words of a later version, with what to do instead."""

    def read(spot: Spot) -> str:
        value = spot.value
        if not isinstance(value, str):
            raise Fault(f"is no {what}: {nearest('', words)}")
        if later and value in later:
            raise Later(later[value])
        if value not in words:
            raise Fault(f"is no {what}: {nearest(value, words)}")
        return value

    return Form(read, example=f'"{next(iter(words))}"')


def many(item: Form[T], least: int = 0) -> Form[tuple[T, ...]]:
    """A list of the item's form; every faulty item is reported, at its own line."""

    def read(spot: Spot) -> tuple[T, ...]:
        if not isinstance(spot.value, list):
            raise Fault(f"must be a list: [{item.example or '...'}]")
        return _read_items(spot, item, least)

    return Form(read, lambda values: [item.show(value) for value in values], f"[{item.example}]")


def any_of(item: Form[T]) -> Form[tuple[T, ...]]:
    """One value or a list of them, as `match` has it."""

    def read(spot: Spot) -> tuple[T, ...]:
        if isinstance(spot.value, list):
            return _read_items(spot, item, 1)
        return (item.read(spot),)

    return Form(read, lambda values: [item.show(value) for value in values], item.example)


def _read_items(spot: Spot, item: Form[T], least: int) -> tuple[T, ...]:
    assert isinstance(spot.value, list)
    values: list[T] = []
    for index, raw in enumerate(spot.value):
        here = spot.item(index, raw)
        try:
            values.append(item.read(here))
        except Fault as fault:
            here.add_fault(fault)
    if len(values) < len(spot.value):
        raise Fault(None)
    if len(values) < least:
        raise Fault(f"names nothing: write at least {item.example or 'one'}, or leave the key out", [])
    return tuple(values)


def as_set(form: Form[tuple[T, ...]]) -> Form[frozenset[T]]:
    """The same list as a set, written back in alphabetical order."""

    def show(values: Iterable[T]) -> object:
        return form.show(tuple(sorted(values, key=str)))

    return Form(lambda spot: frozenset(form.read(spot)), show, form.example)


def places_in(groups: Mapping[str, tuple[str, ...]], *, is_single: bool) -> Form[frozenset[str]]:
    """A list of countries and of [groups], resolved to countries; `is_single`: one name may stand without brackets."""

    def read_place(spot: Spot) -> tuple[str, ...]:
        name = spot.value
        if isinstance(name, str) and name in groups:
            return groups[name]
        return (check_country(name, groups),)

    place = Form(read_place, example='"TW"')
    names = any_of(place) if is_single else many(place)

    def read(spot: Spot) -> frozenset[str]:
        return frozenset(code for codes in names.read(spot) for code in codes)

    return Form(read, sorted, '["TW"]')


def table_of(item: Form[T], check_key: Callable[[str], object]) -> Form[dict[str, T]]:
    """A table whose keys are the user's own; `check_key` raises Fault for one that cannot be used."""

    def read(spot: Spot) -> dict[str, T]:
        values: dict[str, T] = {}
        table = spot.table()
        for name in table:
            here = spot.child(name)
            try:
                check_key(name)
            except Fault as fault:
                Spot(spot.report, here.path, name).add_fault(fault)  # it is the key that is quoted
                continue
            try:
                values[name] = item.read(here)
            except Fault as fault:
                here.add_fault(fault)
        if len(values) < len(table):
            raise Fault(None)
        return values

    return Form(read, lambda values: {name: item.show(value) for name, value in values.items()})
