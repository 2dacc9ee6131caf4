"""Reads a table of fixed keys into its struct, and shows the struct as such a table again.

The struct's own defaults are the defaults; which form a key has is said once, in a mapping, and serves both ways.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from broker.config.forms import Form
from broker.config.spot import LATER, Fault, Spot, nearest

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

Forms = Mapping[str, Form[Any]]


def take(spot: Spot, form: Form[T]) -> T | None:
    """The value, or None with its faults reported."""
    try:
        return form.read(spot)
    except Fault as fault:
        spot.add_fault(fault)
        return None


def read_struct(
    spot: Spot,
    cls: type[S],
    forms: Forms,
    *,
    later: Mapping[str, str] | None = None,
    others: Collection[str] | None = (),
    **known: Any,
) -> S:
    """The table at `spot` as a `cls`; defaults fill what is absent or faulty.

    `later`: keys of a later version, with what to do instead; `others`: keys that somebody else reads, None where
    it cannot be told which; `known`: fields that are not in the table. Raises Fault, all reported, where a field
    without a default has no value.
    """
    table = spot.table()
    check_names(spot, table, forms, later or {}, others)
    values = dict(known)
    is_whole = True
    for field in msgspec.structs.fields(cls):
        name = field.encode_name
        if name not in forms:
            continue
        if name in table:
            value = take(spot.child(name), forms[name])
            if value is not None:
                values[field.name] = value
        elif field.required and field.name not in values:
            add_missing(spot, name, forms[name].example)
        is_whole &= not field.required or field.name in values
    if not is_whole:
        raise Fault(None)
    return cls(**values)


def struct_of(cls: type[S], forms: Forms, later: Mapping[str, str] | None = None) -> Form[S]:
    """A table of fixed keys, as a form of its own."""
    return Form(lambda spot: read_struct(spot, cls, forms, later=later), lambda value: show_struct(value, forms))


def add_missing(spot: Spot, name: str, example: str) -> None:
    """Report that a key which must be there is not."""
    remedy = f"write {name} = {example}" if example else "write it"
    spot.report.add((*spot.path, name), f"is missing: {remedy}", spot.path)


def check_names(
    spot: Spot,
    table: Mapping[str, object],
    forms: Collection[str],
    later: Mapping[str, str],
    others: Collection[str] | None,
) -> None:
    """Report every key that is none of the known ones; nothing where it cannot be told."""
    for name in table:
        if name in later:
            spot.child(name).add(LATER + later[name])
        elif others is not None and name not in forms and name not in others:
            spot.child(name).add(f"unknown key: {nearest(name, [*forms, *others, *later])}")


def show_struct(value: msgspec.Struct, forms: Forms) -> dict[str, Any]:
    """The struct as a table: every default written out; what is off, and an empty table, is left away."""
    shown: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        form, held = forms.get(field.encode_name), getattr(value, field.name)
        if form is None or held is None:
            continue
        written = form.show(held)
        if written != {}:
            shown[field.encode_name] = written
    return shown
