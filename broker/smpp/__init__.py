"""SMPP 3.4 as values and rules: the codec, the meaning of statuses and receipts, the state of one link. No I/O, no clock.

`codec` turns octets into PDUs and back, `frames` cuts a stream into frames; `pdu`, `tlv`, `commands` and `statuses` are the manual's
tables; `receipt` and `ids` read what an SMSC says later; `link` is one connection, either side of it, with `now` as an argument. The
truth is the "Short Message Peer to Peer Protocol Specification v3.4, issue 1.2"; sections are given where a fact comes from it.
"""
