"""Tells the three forms of a sender apart and refuses what no network takes.

Never says whether a provider or a country allows a sender: that is for its traits and settings. The truth is
3GPP TS 23.040, section 9.1.2.5 (an alphanumeric address holds 11 septets) and ITU-T E.164.
"""

import re
from typing import Literal

from broker.text.gsm import widths_of
from broker.text.segments import verdict

SenderForm = Literal["alphanumeric", "numeric", "shortcode"]

LONGEST_ALPHANUMERIC = 11  # septets
_has_only_digits = re.compile(r"\+?[0-9]+").fullmatch
_is_shortcode = re.compile(r"[0-9]{3,8}").fullmatch
_is_number = re.compile(r"\+[1-9][0-9]{6,14}|[1-9][0-9]{8,14}").fullmatch


class SenderError(ValueError):
    """A sender that no network takes; the message names the reason and the remedy, never the sender."""


def sender_form(sender: str) -> SenderForm:
    """What `sender` is written as: 3 to 8 digits are a short code, other digits (or +digits) a number.

    Anything else counts as alphanumeric. Says nothing of its validity: see check_sender.
    """
    if not _has_only_digits(sender):
        return "alphanumeric"
    return "shortcode" if _is_shortcode(sender) else "numeric"


def check_sender(sender: str) -> None:
    """Raises SenderError unless `sender` is a short code, an E.164 number (the + may be missing) or up to 11
    septets of the GSM alphabet with a letter among them."""
    if not sender:
        raise SenderError("the sender is empty: leave it out, or give a name, a number or a short code")
    if sender_form(sender) == "alphanumeric":
        _check_alphanumeric(sender)
    elif not _is_shortcode(sender) and not _is_number(sender):
        raise SenderError(
            "the sender is neither a short code (3 to 8 digits) nor a number of at most 15 digits that begins"
            " with its country code: mend it"
        )


def _check_alphanumeric(sender: str) -> None:
    if not sender.isprintable() or widths_of(sender) is None:
        raise SenderError("the sender has a character outside the GSM alphabet: use plain letters and digits")
    if not any(map(str.isalpha, sender)):
        raise SenderError("the sender has no letter and is no number: a name needs at least one letter")
    if verdict(sender).units > LONGEST_ALPHANUMERIC:
        raise SenderError(
            "the sender is too long: a name has at most 11 characters ([ ] { } ^ ~ | \\ and € count twice)"
        )
