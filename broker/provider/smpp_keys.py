"""The keys of an account that is bound by SMPP, shared by every plugin that speaks it, and what may be wrong with them.

A plugin's Config inherits `SmppKeys`, gives other defaults, adds its own. Opens nothing; CONTRACT §3 fixes the names.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from broker.provider.contract import Traits
from broker.text import LANGUAGES
from broker.words.clock import DAY, SECOND, show_span
from broker.words.secret import Secret
from broker.words.settings import Duration

Auto = Literal["auto"]

ALPHABETS = ("gsm7", "latin1", "ucs2")
"""What a text may be written in: GSM 03.38 one character in an octet, ISO 8859-1, UCS-2 (UTF-16, most significant octet first)."""


class SmppKeys(msgspec.Struct, frozen=True, kw_only=True):
    """One account's keys.

    Where: `host`, `port` of the SMSC; `tls`: TLS from the first octet, its certificate verified against `tls_ca` (a PEM file) or the
    system's own.
    Who: `username` (system_id), `password`, `system_type`; `long_login`: this SMSC takes a password of more than the 8 characters
    that SMPP 3.4 has room for.
    Links: `bind`: `transceiver`, or `pair`, a transmitter and a receiver; `binds`: how many of them; `window`: submits of one link
    that wait for their answer; `enquire_every`: silence after which enquire_link asks; `response_timer`: how long an answer may take,
    then its message is in doubt; less than the provider's `timeout`.
    Messages: `data_coding`: the alphabets that the SMSC takes, with the data_coding that names each; `concat`: how a long text goes:
    `udh` or `sar`, in parts that we cut, or `payload`, whole in message_payload; `udh_bits`: 8 or 16, the size of the reference in the
    header; `national`: languages whose GSM tables may be used where that saves a part (the handset must know them); `source_ton`
    `source_npi` `dest_ton` `dest_npi`: a number, or `auto` by the form of the address; `service_type`; `registered_delivery`: 1 asks for
    a receipt, 0 for none, 17 also on the way; `validity`: tell the SMSC until when a message is worth sending, at most
    `longest_validity` from now; `flash`: how the channel flash is asked for, by message class (`class`) or by dest_addr_subunit
    (`subunit`).
    Receipts: `id_form`: how a receipt writes the id that submit_sm_resp gave: `text` alike, `hex` or `decimal` where it writes the
    other's number, `auto`: learnt; `ask`: query_sm is understood, so a fate can be asked for; `join_wait`: how long the parts of a long
    inbound message wait for each other.
    """

    host: str = ""
    port: int = 2775
    username: str = ""
    password: Secret = Secret("")
    long_login: bool = False
    tls: bool = False
    tls_ca: str | None = None
    system_type: str = ""
    bind: Literal["transceiver", "pair"] = "transceiver"
    binds: int = 1
    window: int = 10
    enquire_every: Duration = Duration(30 * SECOND)
    response_timer: Duration = Duration(20 * SECOND)
    data_coding: dict[str, int] = msgspec.field(default_factory=lambda: {"gsm7": 0, "ucs2": 8})
    concat: Literal["payload", "udh", "sar"] = "udh"
    udh_bits: int = 8
    national: tuple[str, ...] = ()
    source_ton: int | Auto = "auto"
    source_npi: int | Auto = "auto"
    dest_ton: int | Auto = "auto"
    dest_npi: int | Auto = "auto"
    service_type: str = ""
    registered_delivery: int = 1
    validity: bool = True
    longest_validity: Duration = Duration(7 * DAY)
    flash: Literal["class", "subunit"] = "class"
    id_form: Literal["auto", "hex", "decimal", "text"] = "auto"
    ask: bool = False
    join_wait: Duration = Duration(120 * SECOND)


def narrow(traits: Traits, keys: SmppKeys) -> Traits:
    """A plugin's traits as these keys leave them: how final statuses come, in what a text can be written, and who cuts it."""
    return msgspec.structs.replace(
        traits,
        receipts=("callback",) * (keys.registered_delivery & 3 > 0) + ("poll",) * keys.ask,
        by_ref=True,
        encodings=frozenset("gsm7" if alphabet == "latin1" else alphabet for alphabet in keys.data_coding),
        splits="provider" if keys.concat == "payload" else "broker",
    )


_BOUNDS = {
    "port": (1, 65_535),
    "binds": (1, 32),
    "window": (1, 10_000),
    "source_ton": (0, 255),
    "source_npi": (0, 255),
    "dest_ton": (0, 255),
    "dest_npi": (0, 255),
    "registered_delivery": (0, 255),
}
MOST_PASSWORD = 64
"""Characters that the codec writes: keys of vendors that stand in a password's place are as long."""
_TEXTS = {"username": 15, "system_type": 12, "service_type": 5}
_SHORTEST = {"enquire_every": SECOND, "response_timer": SECOND, "longest_validity": 60 * SECOND}


def check_keys(keys: SmppKeys) -> Iterator[tuple[str, str]]:
    """Each fault: (key, problem and remedy). The sizes are those of SMPP 3.4, sections 4.1.1 and 5.2."""
    if not keys.host:
        yield "host", "is missing: write the name or address of the SMSC"
    for key, (least, most) in _BOUNDS.items():
        value = getattr(keys, key)
        if value != "auto" and not least <= value <= most:
            yield key, f"must be {least} to {most}"
    for key, most in _TEXTS.items():
        value = getattr(keys, key)
        if not value.isascii() or "\0" in value or len(value) > most:
            yield key, f"must be at most {most} ASCII characters: SMPP has no room for more"
    yield from _check_password(keys)
    for key, shortest in _SHORTEST.items():
        if getattr(keys, key) < shortest:
            yield key, f"is too short: at least {show_span(shortest)}"
    if keys.udh_bits not in (8, 16):
        yield "udh_bits", "must be 8 or 16"
    unknown = [language for language in keys.national if language not in LANGUAGES]
    if unknown:
        yield "national", f"has no GSM table: {unknown[0]}; there are {', '.join(LANGUAGES)}"
    yield from _check_alphabets(keys)


def _check_password(keys: SmppKeys) -> Iterator[tuple[str, str]]:
    password = keys.password.reveal()
    if not password.isascii() or "\0" in password:
        yield "password", "must be ASCII characters: SMPP has no others"
    elif len(password) > MOST_PASSWORD:
        yield "password", f"is longer than {MOST_PASSWORD} characters, and no SMSC takes that"
    elif len(password) > 8 and not keys.long_login:
        yield (
            "password",
            "is longer than the 8 characters that SMPP 3.4 has room for: where the provider gave it so, say `long_login = true`; "
            "some SMSCs answer what is too long by closing the link, and lock the account when it comes again and again",
        )


def _check_alphabets(keys: SmppKeys) -> Iterator[tuple[str, str]]:
    if not keys.data_coding:
        yield "data_coding", "names no alphabet: write for example { gsm7 = 0, ucs2 = 8 }"
    for alphabet, value in keys.data_coding.items():
        if alphabet not in ALPHABETS:
            yield f"data_coding.{alphabet}", f"is no alphabet: there are {', '.join(ALPHABETS)}"
        elif not 0 <= value <= 255:
            yield f"data_coding.{alphabet}", "must be 0 to 255"
    if len(set(keys.data_coding.values())) < len(keys.data_coding):
        yield "data_coding", "gives two alphabets the same number: only one can be meant by it"
