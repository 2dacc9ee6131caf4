"""One value of a plugin's Config, by the type of its field: from the file, and back to what the file would say.

Types: whatever msgspec converts, and Secret, Duration, Rate, Url and Decimal in the forms of broker.toml.
"""

import re
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from broker.config.forms import SECRET, read_address, read_rate, read_span, show_rate
from broker.config.spot import UNSHOWN, Fault, Given, Spot, nearest
from broker.words.clock import show_span
from broker.words.secret import Secret
from broker.words.settings import Duration, Rate, Url

_KINDS = {
    "str": "a string in quotes",
    "int": "a whole number without quotes",
    "float": "a number without quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
_is_other_type = re.compile(r"Expected `([a-z |]+)`, got `[^`]+`(?: - at `\$(.*)`)?").fullmatch
_enum_value = re.compile(r"Invalid enum value .*?(?= - at `|$)", re.DOTALL)


def core_type(kind: Any) -> Any:
    """The type without Annotated and without `| None`."""
    if get_origin(kind) is Annotated:
        return core_type(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        others = [arm for arm in get_args(kind) if arm is not NoneType]
        return core_type(others[0]) if len(others) == 1 else kind
    return kind


def _is_url(kind: Any) -> bool:
    return kind == Url or any(arm == Url for arm in get_args(kind))


def read_field(spot: Spot, kind: Any) -> Any:
    """The value at `spot` as a field of type `kind`. Raises Fault."""
    core = core_type(kind)
    if core is Secret:
        return SECRET.read(spot)
    if core is Duration:
        return Duration(read_span(spot.value))
    if core is Rate:
        return read_rate(spot.value)
    if core is str and _is_url(kind):
        return read_address(spot.value)
    if get_origin(core) is Literal and isinstance(spot.value, str) and spot.value not in get_args(core):
        raise Fault(f"is none of its words: {nearest(spot.value, map(str, get_args(core)))}")
    try:
        return msgspec.convert(_open(spot.value), kind, strict=spot.given is None, dec_hook=_read_nested)
    except msgspec.ValidationError as error:
        # A text may hold a password, as in https://user:password@host, whatever its key.
        raise Fault(_reword(str(error)), UNSHOWN if isinstance(spot.value, str) else spot.value) from None


def _open(value: object) -> object:
    """The value with the secrets inside it opened, for msgspec to read."""
    match value:
        case Given():
            return value.text.reveal()
        case dict():
            return {name: _open(item) for name, item in value.items()}
        case list():
            return [_open(item) for item in value]
    return value


def _read_nested(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Duration:
        try:
            return Duration(read_span(value))
        except Fault as fault:
            raise ValueError(f"a value {fault.phrase}") from None
    raise ValueError(f"a value cannot be read as {kind.__name__}")


def _reword(text: str) -> str:
    """msgspec's message as a phrase after the value, without any value in it."""
    found = _is_other_type(text)
    if found is None:
        return "cannot be used: " + _enum_value.sub("none of the words that it may be", text)
    kinds = [_KINDS.get(kind, kind) for kind in found[1].split(" | ") if kind != "null"]
    where = f" (inside it, at {found[2].lstrip('.')})" if found[2] else ""
    return f"must be {' or '.join(kinds)}{where}"


def show_value(value: Any) -> Any:
    """A Config, or a value of one, as the file would say it; a Secret stays what it is, and what is None is left out."""
    match value:
        case Secret() | bool():
            return value
        case Duration():
            return show_span(value)
        case Rate():
            return show_rate(value)
        case Decimal():
            return format(value, "f")
        case Enum():
            return value.value
        case msgspec.Struct():
            fields = msgspec.structs.fields(value)
            shown = {field.encode_name: show_value(getattr(value, field.name)) for field in fields}
            return {name: item for name, item in shown.items() if item is not None}
        case dict():
            return {str(name): show_value(item) for name, item in value.items() if item is not None}
        case set() | frozenset():
            return sorted((show_value(item) for item in value), key=str)
        case list() | tuple():
            return [show_value(item) for item in value]
    return value


def find_secrets(value: Any) -> list[str]:
    """The secret values anywhere in a Config, or in a value of one."""
    match value:
        case Secret():
            return [value.reveal()]
        case msgspec.Struct():
            return [found for name in value.__struct_fields__ for found in find_secrets(getattr(value, name))]
        case dict():
            return [found for item in value.values() for found in find_secrets(item)]
        case list() | tuple() | set() | frozenset():
            return [found for item in value for found in find_secrets(item)]
    return []
