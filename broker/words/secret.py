"""A secret that never prints: its repr, str, format and encoding are `***`; only `reveal()` gives the value."""

import re

PATH_FORM = "is no secret for a URL's path: write 22 to 128 letters, digits, '-' and '_'"
"""22 of 64 characters are the 128 bits that CONTRACT §7 asks for."""

_is_path_secret = re.compile(r"[A-Za-z0-9_-]{22,128}").fullmatch


def is_path_secret(text: str) -> bool:
    """True where `text` may stand in a URL's path as it is, and is long enough for a secret."""
    return _is_path_secret(text) is not None


class Secret:
    """A password, key or token. Equality is by value; hashing, printing and encoding never show it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that puts it on the wire."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return (Secret, ("***",))

    def __getstate__(self) -> None:
        """Nothing: what pickles by state gets no value."""

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self  # by __reduce__ a copied setting would hold three stars for its password
