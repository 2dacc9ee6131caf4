"""Messages and attempts as rows of the SQLite store, and back. One place knows the order of the columns."""

import math
from typing import Any

import msgspec

from broker.store.contract import Change, Stray
from broker.words.attempt import Attempt, DoubtPolicy, Piece
from broker.words.event import Happening, MessageEvent
from broker.words.message import Message, Progress
from broker.words.receipt import Receipt

_encode = msgspec.json.Encoder().encode
_decode_progress = msgspec.json.Decoder(Progress).decode
_decode_list = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_table = msgspec.json.Decoder(dict[str, Any]).decode
_decode_doubt = msgspec.json.Decoder(DoubtPolicy).decode
_decode_pieces = msgspec.json.Decoder(tuple[Piece, ...]).decode
_decode_receipt = msgspec.json.Decoder(Receipt).decode

NULL = math.nan
"""What a None of a hot statement is bound as: SQLite stores NULL for what is not a number. Python's sqlite3 looks for an adapter at
every None, which costs more than writing the column."""

MESSAGE_COLUMNS = (
    "id, client, recipient, country, text, encoding, segments, accepted_at, valid_until, key, ref, network, sender, channel, "
    "priority, tags, send_at, max_price, pin, options, status, detail, lane, next_at, attempts, progress, rule"
)
INSERT_MESSAGE = f"INSERT INTO message ({MESSAGE_COLUMNS}, digest) VALUES ({', '.join('?' * 28)})"
INSERT_KEYED = INSERT_MESSAGE + " ON CONFLICT (client, key) WHERE key IS NOT NULL DO NOTHING"
ATTEMPT_COLUMNS = (
    "message, n, provider, token, opened_at, state, key, sender, closed_at, class, code, detail, refs, parts, price, currency, "
    "bucket, credit, receipt, doubt, channel"
)
INSERT_ATTEMPT = f"INSERT INTO attempt ({ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * 21)})"
ATTEMPT_COLUMNS += ", pieces"  # no attempt has any when it opens
STRAY_COLUMNS = "id, provider, seen_at, receipt"
INSERT_STRAY = f"INSERT INTO inbox ({STRAY_COLUMNS}) VALUES (?, ?, ?, ?)"


def pack(value: object) -> str:
    """Any plain value or struct as JSON text."""
    return _encode(value).decode()


def pack_message(m: Message, digest: bytes | None, opened: Change | None = None) -> tuple[Any, ...]:
    """The values of INSERT_MESSAGE. Of a new message's progress only its rule is written; `opened`: its first attempt comes along."""
    if opened is not None:
        status, lane, next_at, attempts, rule = opened.status, opened.lane, opened.next_at, opened.attempts, opened.rule
    else:
        status, lane, next_at, attempts, rule = m.status, m.lane, m.next_at, m.attempts, m.progress.rule
    tags, options = pack(m.tags) if m.tags else NULL, pack(m.options) if m.options else NULL
    values = (
        m.id, m.client, m.to, m.country, m.text, m.encoding, m.segments, m.accepted_at, m.valid_until, m.key, m.ref, m.network,
        m.sender, m.channel, m.priority, tags, m.send_at, m.max_price, m.pin, options, status, m.detail, lane, next_at, attempts,
        NULL, rule, digest,
    )  # fmt: skip
    return tuple([NULL if value is None else value for value in values])


def read_message(row: tuple[Any, ...]) -> Message:
    """The Message of a row of MESSAGE_COLUMNS."""
    tags, options, progress = row[15], row[19], row[25]
    known = Progress() if progress is None else _decode_progress(progress)
    if known.rule is None:
        known.rule = row[26]
    return Message(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12], row[13],
        row[14], () if tags is None else _decode_list(tags), row[16], row[17], row[18],
        None if options is None else _decode_table(options), row[20], row[21], row[22], row[23], row[24], known,
    )  # fmt: skip


_doubts: dict[DoubtPolicy, str] = {}


def pack_attempt(a: Attempt) -> tuple[Any, ...]:
    """The values of INSERT_ATTEMPT."""
    doubt = _doubts.get(a.doubt)
    if doubt is None:
        doubt = _doubts[a.doubt] = pack(a.doubt)  # a handful of policies serve all attempts
    values = (
        a.message, a.n, a.provider, a.token, a.opened_at, a.state, a.key, a.sender, a.closed_at, a.class_, a.code, a.detail,
        pack(a.refs) if a.refs else NULL, a.parts, a.price, a.currency, a.bucket, a.credit, a.receipt, doubt, a.channel,
    )  # fmt: skip
    return tuple([NULL if value is None else value for value in values])


def read_attempt(row: tuple[Any, ...]) -> Attempt:
    """The Attempt of a row of ATTEMPT_COLUMNS."""
    return Attempt(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11],
        () if row[12] is None else _decode_list(row[12]), row[13], row[14], row[15], row[16], row[17], row[18],
        _decode_doubt(row[19]), row[20], () if row[21] is None else _decode_pieces(row[21]),
    )  # fmt: skip


def pack_stray(stray: Stray) -> tuple[Any, ...]:
    """The values of INSERT_STRAY."""
    return (stray.id, stray.provider, stray.seen_at, pack(stray.receipt))


def read_stray(row: tuple[Any, ...]) -> Stray:
    """The Stray of a row of STRAY_COLUMNS."""
    return Stray(row[0], row[1], row[2], _decode_receipt(row[3]))


def pack_event(event: MessageEvent | Happening) -> bytes:
    """The event as a JSON object, still without its `seq`."""
    if event.__class__ is not Happening:
        return _encode(event)
    assert isinstance(event, Happening)
    return _encode({"at": event.at, "type": event.type, "node": event.node, **event.fields})
