"""Reads e-mail addresses: the recipients of the channel email.

Says whether an address has the form of one, never whether anybody reads it, and never shows it in an error. The truth is RFC 5321,
section 4.1.2, without its quoted local parts, address literals and comments: no provider's text field takes those whole.
"""

import re

LONGEST = 254
_is_address = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\uffff-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\uffff-]+)*"
    r"@(?:[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff-]{0,61}[A-Za-z0-9\u00a1-\uffff])?\.)+[A-Za-z\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff-]{1,62}"
).fullmatch


class AddressError(ValueError):
    """An address that cannot be read; the message names the reason and the remedy, never the address."""


def read_address(raw: str) -> str:
    """The address that `raw` means, its domain in small letters. Raises AddressError."""
    address = raw.strip(" ")
    local, _, domain = address.rpartition("@")
    if not _is_address(address) or not address.isprintable() or len(address) > LONGEST or len(local) > 64:
        raise AddressError("this is no e-mail address: write one as name@example.com")
    return f"{local}@{domain.lower()}"
