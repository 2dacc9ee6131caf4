"""Money and credit as integer micro-units: 1_000_000 is one unit. Never float.

Reading goes through Decimal; showing gives the shortest decimal string.
"""

from decimal import Decimal, InvalidOperation

MICRO = 1_000_000

_LARGEST = Decimal(10**12)
_SMALLEST = Decimal("0.000001")


class MoneyError(ValueError):
    """The value cannot be read as an amount of money; the text says why, without the value's secret context."""


def read_micro(value: str | int | Decimal) -> int:
    """The amount in micro-units. Raises MoneyError for what is no finite, non-negative decimal, or finer than a millionth."""
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        raise MoneyError('not a decimal number; write it as a string, for example "0.045"') from None
    if not number.is_finite() or number < 0:
        raise MoneyError("must be a finite number, zero or more")
    if number > _LARGEST:
        raise MoneyError("larger than a million million units")
    # Bounded first and quantized, not multiplied: a product is rounded to the context's digits, or overflows, before it is looked at.
    exact = number.quantize(_SMALLEST)
    if exact != number:
        raise MoneyError("finer than a millionth of a unit")
    return int(exact * MICRO)


def show_micro(micro: int) -> str:
    """The shortest decimal string with at least the cents: 900000 -> "0.90", 45000 -> "0.045", -1500000 -> "-1.50"."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO)
    digits = f"{rest:06d}".rstrip("0")
    return f"{sign}{whole}.{digits:0<2}"


def show_count(micro: int) -> str:
    """A count of credit units as people write it: 96000000 -> "96", 3948470000 -> "3948.47"."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO)
    digits = f"{rest:06d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def convert(micro: int, rate: Decimal) -> int:
    """`micro` in another currency at `rate`, rounded up: a cap in that currency is never passed by rounding."""
    above, below = rate.as_integer_ratio()  # a product of decimals is rounded to 28 digits, perhaps down
    return -(-micro * above // below)
