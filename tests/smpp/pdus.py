"""PDUs made at random, each within what the manual allows."""

from typing import Any

from hypothesis import strategies as st

from broker.smpp import pdu as pdus
from broker.smpp import tlv
from broker.smpp.fields import BODIES, LAYOUTS, Field
from broker.smpp.pdu import DestAddress, Pdu, UnsuccessSme
from broker.smpp.tlv import Tlv

OCTET = st.integers(0, 255)
ASCII = "".join(map(chr, range(1, 128)))


def make_texts(most: int) -> st.SearchStrategy[str]:
    """C-octet strings of a field of `most` octets."""
    return st.text(ASCII, max_size=most - 1)


TIMES = st.one_of(st.just(""), st.builds("{:015d}{}".format, st.integers(0, 10**15 - 1), st.sampled_from("+-R")))


@st.composite
def make_tlvs(draw: st.DrawFn, *, is_payload_allowed: bool = True) -> Tlv:
    """One parameter, of the manual's or of a vendor's."""
    tag = draw(st.one_of(st.sampled_from(sorted(tlv.TAGS)), st.integers(0, 0xFFFF)))
    if tag == tlv.MESSAGE_PAYLOAD and not is_payload_allowed:
        tag = 0x1400
    _, least, most = tlv.TAGS.get(tag, ("", 0, 40))
    return Tlv(tag, draw(st.binary(min_size=least, max_size=min(most, 300))))


RECIPIENTS = st.one_of(
    st.builds(DestAddress, OCTET, OCTET, make_texts(21)),
    st.builds(DestAddress, dl_name=make_texts(21)),
)
REFUSED = st.builds(UnsuccessSme, OCTET, OCTET, make_texts(21), st.integers(0, 0xFFFF_FFFF))


def make_values(field: Field, *, is_payload_allowed: bool) -> st.SearchStrategy[Any]:
    """Values of one field."""
    match field.kind:
        case "octet":
            return OCTET
        case "text":
            return make_texts(field.most)
        case "time":
            return TIMES
        case "message":
            return st.binary(max_size=field.most)
        case "recipients":
            return st.lists(RECIPIENTS, max_size=5).map(tuple)
        case "refused":
            return st.lists(REFUSED, max_size=5).map(tuple)
        case _:
            return st.lists(make_tlvs(is_payload_allowed=is_payload_allowed), max_size=5).map(tuple)


@st.composite
def make_pdus(draw: st.DrawFn, kinds: tuple[type[Pdu], ...] = tuple(LAYOUTS.values())) -> Pdu:
    """One PDU of these kinds, by default of all."""
    kind = draw(st.sampled_from(kinds))
    values: dict[str, Any] = {}
    for field in BODIES[kind]:
        allowed = not values.get("short_message") or kind is pdus.DataSm
        values[field.name] = draw(make_values(field, is_payload_allowed=allowed))
    return kind(**values)
