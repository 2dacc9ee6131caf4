"""Every PDU of SMPP 3.4 as a frozen value with the manual's own field names. Holds no octets' layout but the order of the fields.

A field that only counts another (sm_length, number_of_dests, no_unsuccess) is no field here: the codec counts. Strings are C-octet
strings without their NUL; `short_message` is octets, for only data_coding says what they mean. Give the fields by keyword. No PDU
shows a value in its repr: there are texts, numbers and passwords in them. The truth is the manual, section 4.
"""

from typing import ClassVar

import msgspec

from broker.smpp import commands
from broker.smpp.tlv import MESSAGE_PAYLOAD, Tlv, find_value


class Pdu(msgspec.Struct, frozen=True, gc=False):
    """What all have: their command id, and whether there may be optional parameters."""

    COMMAND: ClassVar[int] = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Bind(Pdu, frozen=True, gc=False):
    """What the three bind requests are made of (4.1.1): `system_id` and `password` name the account."""

    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""


class BindReceiver(Bind, frozen=True, gc=False):
    """bind_receiver: a link to receive on."""

    COMMAND: ClassVar[int] = commands.BIND_RECEIVER


class BindTransmitter(Bind, frozen=True, gc=False):
    """bind_transmitter: a link to send on."""

    COMMAND: ClassVar[int] = commands.BIND_TRANSMITTER


class BindTransceiver(Bind, frozen=True, gc=False):
    """bind_transceiver: a link for both."""

    COMMAND: ClassVar[int] = commands.BIND_TRANSCEIVER


class BindResp(Pdu, frozen=True, gc=False):
    """What the three bind responses are made of: the SMSC's own name, and sc_interface_version among the parameters."""

    system_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class BindReceiverResp(BindResp, frozen=True, gc=False):
    """bind_receiver_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.BIND_RECEIVER


class BindTransmitterResp(BindResp, frozen=True, gc=False):
    """bind_transmitter_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.BIND_TRANSMITTER


class BindTransceiverResp(BindResp, frozen=True, gc=False):
    """bind_transceiver_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.BIND_TRANSCEIVER


class Outbind(Pdu, frozen=True, gc=False):
    """outbind (4.1.7): an SMSC asks the ESME that it has called to bind as a receiver. It has no response."""

    COMMAND: ClassVar[int] = commands.OUTBIND

    system_id: str = ""
    password: str = ""


class Unbind(Pdu, frozen=True, gc=False):
    """unbind (4.2): either side says that it leaves."""

    COMMAND: ClassVar[int] = commands.UNBIND


class UnbindResp(Pdu, frozen=True, gc=False):
    """unbind_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.UNBIND


class GenericNack(Pdu, frozen=True, gc=False):
    """generic_nack (4.3): the answer to what could not be read, its status says why."""

    COMMAND: ClassVar[int] = commands.GENERIC_NACK


class EnquireLink(Pdu, frozen=True, gc=False):
    """enquire_link (4.11): are you there?"""

    COMMAND: ClassVar[int] = commands.ENQUIRE_LINK


class EnquireLinkResp(Pdu, frozen=True, gc=False):
    """enquire_link_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.ENQUIRE_LINK


class ShortMessage(Pdu, frozen=True, gc=False):
    """What submit_sm and deliver_sm are made of (4.4.1, 4.6.1).

    The text stands in `short_message` (at most 254 octets) or in the parameter message_payload, never in both: `octets` reads either.
    """

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()

    @property
    def octets(self) -> bytes:
        """The message, a user data header included, wherever it stands."""
        return self.short_message or find_value(self.tlvs, MESSAGE_PAYLOAD) or b""


class SubmitSm(ShortMessage, frozen=True, gc=False):
    """submit_sm: a message to be sent."""

    COMMAND: ClassVar[int] = commands.SUBMIT_SM


class DeliverSm(ShortMessage, frozen=True, gc=False):
    """deliver_sm: a message from a handset, or a receipt."""

    COMMAND: ClassVar[int] = commands.DELIVER_SM


class SubmitSmResp(Pdu, frozen=True, gc=False):
    """submit_sm_resp: the SMSC's id of the message. 3.4 gives it no parameters; those of 5.0 and of vendors are kept."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.SUBMIT_SM

    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class DeliverSmResp(Pdu, frozen=True, gc=False):
    """deliver_sm_resp: its message_id is unused and empty (4.6.2)."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.DELIVER_SM

    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class DestAddress(msgspec.Struct, frozen=True, gc=False):
    """One recipient of a submit_multi: an address, or where `dl_name` is given a distribution list of the SMSC's."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    dl_name: str | None = None

    def __repr__(self) -> str:
        return "DestAddress(…)"


class SubmitMulti(Pdu, frozen=True, gc=False):
    """submit_multi (4.5.1): one message for many recipients. The broker never sends it."""

    COMMAND: ClassVar[int] = commands.SUBMIT_MULTI

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addresses: tuple[DestAddress, ...] = ()
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class UnsuccessSme(msgspec.Struct, frozen=True, gc=False):
    """One recipient of a submit_multi that the SMSC did not take, and the status that says why."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    error_status_code: int = 0

    def __repr__(self) -> str:
        return "UnsuccessSme(…)"


class SubmitMultiResp(Pdu, frozen=True, gc=False):
    """submit_multi_resp (4.5.2)."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.SUBMIT_MULTI

    message_id: str = ""
    unsuccess_smes: tuple[UnsuccessSme, ...] = ()
    tlvs: tuple[Tlv, ...] = ()


class DataSm(Pdu, frozen=True, gc=False):
    """data_sm (4.7.1): a message whose text is in message_payload; either side may send it. Addresses have up to 64 characters."""

    COMMAND: ClassVar[int] = commands.DATA_SM

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: tuple[Tlv, ...] = ()

    @property
    def octets(self) -> bytes:
        """The message, a user data header included."""
        return find_value(self.tlvs, MESSAGE_PAYLOAD) or b""


class DataSmResp(Pdu, frozen=True, gc=False):
    """data_sm_resp (4.7.2)."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.DATA_SM

    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class QuerySm(Pdu, frozen=True, gc=False):
    """query_sm (4.8.1): what became of a message; the source address must be the one that it was sent with."""

    COMMAND: ClassVar[int] = commands.QUERY_SM

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""


class QuerySmResp(Pdu, frozen=True, gc=False):
    """query_sm_resp (4.8.2): `message_state` as in `statuses.STATES`, `final_date` empty until there is one."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.QUERY_SM

    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0
    tlvs: tuple[Tlv, ...] = ()


class CancelSm(Pdu, frozen=True, gc=False):
    """cancel_sm (4.9.1): by `message_id`, or with an empty one all to that recipient from that source."""

    COMMAND: ClassVar[int] = commands.CANCEL_SM

    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


class CancelSmResp(Pdu, frozen=True, gc=False):
    """cancel_sm_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.CANCEL_SM


class ReplaceSm(Pdu, frozen=True, gc=False):
    """replace_sm (4.10.1): another text for a message that was not sent on yet."""

    COMMAND: ClassVar[int] = commands.REPLACE_SM

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""


class ReplaceSmResp(Pdu, frozen=True, gc=False):
    """replace_sm_resp."""

    COMMAND: ClassVar[int] = commands.RESPONSE | commands.REPLACE_SM


class AlertNotification(Pdu, frozen=True, gc=False):
    """alert_notification (4.12.1): a handset can be reached again. It has no response."""

    COMMAND: ClassVar[int] = commands.ALERT_NOTIFICATION

    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: tuple[Tlv, ...] = ()


class RawPdu(Pdu, frozen=True, gc=False):
    """A PDU whose command id is in no table here: its body as it came."""

    command: int = 0
    body: bytes = b""


RESPONSES: dict[type[Pdu], type[Pdu]] = {
    BindReceiver: BindReceiverResp,
    BindTransmitter: BindTransmitterResp,
    BindTransceiver: BindTransceiverResp,
    Unbind: UnbindResp,
    EnquireLink: EnquireLinkResp,
    SubmitSm: SubmitSmResp,
    DeliverSm: DeliverSmResp,
    SubmitMulti: SubmitMultiResp,
    DataSm: DataSmResp,
    QuerySm: QuerySmResp,
    CancelSm: CancelSmResp,
    ReplaceSm: ReplaceSmResp,
}
"""Request → its response."""
