"""One message as the submit_sm PDUs of its parts: addresses, alphabet, parts, validity, receipt wanted. Pure; sends nothing.

How a text is encoded and cut is `broker.text.plan`'s; what the account's SMSC wants is said by its keys. The truth is SMPP 3.4,
sections 4.4.1 and 5.2, and 3GPP TS 23.038, section 4, for the data_coding of a flash message.
"""

from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from broker.provider.contract import Send, Unsuitable
from broker.provider.smpp_keys import SmppKeys
from broker.smpp.pdu import QuerySm, SubmitSm
from broker.smpp.tlv import DEST_ADDR_SUBUNIT, MESSAGE_PAYLOAD, Sar, Tlv, make_number, make_sar
from broker.text import LANGUAGES, Plan, Unplannable, Verdict, plan, verdict
from broker.text import measure as measure_text
from broker.text.parts import BOTH, DefaultAlphabet, Way
from broker.words.clock import DAY, SECOND

UDHI = 0x40
"""esm_class: the message begins with a user data header (5.2.12)."""
FLASH = 0x10
"""data_coding: the message has a class, and it is 0 (23.038, section 4)."""
MOST_SHORT = 254
"""Octets that fit short_message (5.2.22)."""
_MOST_ACCOUNTS = 64
_MOST_SENDERS = 1_000
_DISPLAY = make_number(DEST_ADDR_SUBUNIT, 1)


Address = tuple[int, int, str]
"""TON, NPI and the address itself."""


def compose(keys: SmppKeys, send: Send, now: int, reference: int) -> list[SubmitSm]:
    """The PDUs of `send`, in order; `reference` is for its parts alone. Raises Unsuitable for what this SMSC cannot take."""
    return compose_text(keys, send, send.text, now, reference)


def compose_text(
    keys: SmppKeys, send: Send, text: str, now: int, reference: int, *, concat: Way | None = None, dest: Address | None = None
) -> list[SubmitSm]:
    """As `compose`, with another text than the message's own, such as one that begins with a command of the SMSC's, or to another
    recipient than a telephone.
    """
    ways = _settle_ways(keys)
    found = _plan(text, ways, reference, concat)
    coding = ways.codings[found.encoding]
    tlvs: tuple[Tlv, ...] = ()
    if send.via == "flash":
        if keys.flash == "subunit":
            tlvs = (_DISPLAY,)
        else:
            coding |= FLASH
    ton, npi, source = ways.sources.get(send.sender) or _add_source(keys, ways, send.sender)
    dest_ton, dest_npi, to = dest or find_dest(keys, send.message.to)
    validity = write_validity(keys, send.message.valid_until - now)
    pdus = []
    for part in found.parts:
        octets, extra = part.short_message, tlvs
        if part.sar is not None:
            extra += make_sar(Sar(*part.sar))
        if len(octets) > MOST_SHORT:
            octets, extra = b"", (*extra, Tlv(MESSAGE_PAYLOAD, octets))
        pdu = SubmitSm(
            service_type=keys.service_type,
            source_addr_ton=ton,
            source_addr_npi=npi,
            source_addr=source,
            dest_addr_ton=dest_ton,
            dest_addr_npi=dest_npi,
            destination_addr=to,
            esm_class=UDHI if part.udh else 0,
            validity_period=validity,
            registered_delivery=keys.registered_delivery,
            data_coding=coding,
            short_message=octets,
            tlvs=extra,
        )
        pdus.append(pdu)
    return pdus


class _Ways(NamedTuple):
    """What follows from an account's keys alone: how texts are planned, the data_coding of each encoding, senders' addresses so far.

    `has_both`: the SMSC is told how either encoding is marked.
    """

    encodings: Set[str]
    alphabet: DefaultAlphabet
    national: Sequence[int]
    concat: Way
    codings: Mapping[str, int]
    has_both: bool
    sources: dict[str | None, Address]


_settled: dict[int, tuple[SmppKeys, _Ways]] = {}


def _settle_ways(keys: SmppKeys) -> _Ways:
    """Found once for each account's keys, by which object they are: they cannot change, and hashing them would cost as much."""
    known = _settled.get(id(keys))
    if known is not None:
        return known[1]
    own = keys.data_coding
    plain = "gsm7" if "gsm7" in own else "latin1"
    codings = {"ucs2": own["ucs2"]} if "ucs2" in own else {}
    if plain in own:
        codings["gsm7"] = own[plain]
    national = tuple(LANGUAGES[language] for language in keys.national)
    ways = _Ways(frozenset(codings), "gsm" if plain == "gsm7" else "latin1", national, find_way(keys), codings, own.keys() >= BOTH, {})
    if len(_settled) >= _MOST_ACCOUNTS:
        _settled.clear()
    _settled[id(keys)] = (keys, ways)  # with the keys themselves, so that nothing else gets their id meanwhile
    return ways


def _add_source(keys: SmppKeys, ways: _Ways, sender: str | None) -> Address:
    if len(ways.sources) >= _MOST_SENDERS:
        ways.sources.clear()
    ways.sources[sender] = address = find_source(keys, sender)
    return address


def _plan(text: str, ways: _Ways, reference: int, concat: Way | None) -> Plan:
    try:
        return plan(
            text,
            encodings=ways.encodings,
            national=ways.national,
            concat=concat or ways.concat,
            alphabet=ways.alphabet,
            reference=reference,
        )
    except Unplannable as error:
        raise Unsuitable(str(error), error.code) from None


def make_query(keys: SmppKeys, ref: str, sender: str | None) -> QuerySm:
    """The question what became of a message: the sender's address must be the one that it went with (4.8.1)."""
    ton, npi, source = find_source(keys, sender)
    return QuerySm(message_id=ref, source_addr_ton=ton, source_addr_npi=npi, source_addr=source)


def measure(keys: SmppKeys, text: str) -> Verdict:
    """What `text` becomes at this account, to price it by (`contract`)."""
    plain, ways = verdict(text), _settle_ways(keys)
    if keys.concat == "payload" or (plain.segments == 1 and ways.has_both):
        return plain  # cut by the SMSC, or as short as can be
    return measure_text(text, encodings=ways.encodings, national=ways.national, concat=ways.concat, alphabet=ways.alphabet)


def find_way(keys: SmppKeys) -> Way:
    """How the parts of a long text say that they belong together."""
    if keys.concat == "udh":
        return "udh16" if keys.udh_bits == 16 else "udh8"
    return keys.concat


def find_source(keys: SmppKeys, sender: str | None) -> Address:
    """The sender's address: international digits without their +, a short code, or letters. Raises Unsuitable."""
    if not sender:
        return _number(keys.source_ton, 0), _number(keys.source_npi, 0), ""
    if not sender.isascii() or len(sender) > 20:
        raise Unsuitable("SMPP takes a sender of at most 20 ASCII characters: give this account another one (`senders`)", "sender")
    if sender.startswith("+") and sender[1:].isdigit():
        ton, npi, sender = 1, 1, sender[1:]
    elif sender.isdigit():
        ton, npi = 3, 0  # a short code is the network's own
    else:
        ton, npi = 5, 0
    return _number(keys.source_ton, ton), _number(keys.source_npi, npi), sender


def find_dest(keys: SmppKeys, to: str) -> Address:
    """The recipient's address. Raises Unsuitable where it is no number: nothing else may get into an address."""
    digits = to.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise Unsuitable("the recipient is no telephone number", "recipient")
    return _number(keys.dest_ton, 1), _number(keys.dest_npi, 1), digits


def _number(given: int | str, auto: int) -> int:
    return auto if isinstance(given, str) else given


def write_validity(keys: SmppKeys, left: int) -> str:
    """`left` milliseconds as a relative time (7.1.1.2): days, hours, minutes, seconds. At most a month, which SMSCs cut anyway."""
    if not keys.validity:
        return ""
    return _show_relative(max(min(left, keys.longest_validity, 30 * DAY) // SECOND, 1))


@lru_cache(maxsize=1024)  # most messages have one of a few validities, and leave within the second
def _show_relative(seconds: int) -> str:
    days, seconds = divmod(seconds, 86_400)
    return f"0000{days:02d}{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}000R"
