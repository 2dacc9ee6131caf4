"""A plain request that came whole in one piece, as nearly all do, read at once: a third of the server's time otherwise.

Takes only what h11 would read the same way; for anything else it says nothing, and h11 reads it from its first byte. The rules are
RFC 9112's: §3 for the first line, §5 for the fields, §6.2 for the length.
"""

import re
from functools import lru_cache

import msgspec

_read_line = re.compile(rb"(GET|POST) (/[\x21-\x7e]*) HTTP/1\.1\r\n").match
_FIELD = rb"([!#-'*+.^_`|~0-9A-Za-z-]+):[ \t]*+([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[ \t]*+\r\n"
_is_fields = re.compile(rb"(?:" + _FIELD + rb")+").fullmatch
_find_fields = re.compile(_FIELD).findall
_is_length = re.compile(rb"[0-9]{1,9}").fullmatch
_ODD = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A request with its body: header names in lower case. `is_kept`: its connection may carry another."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_kept: bool


def read_whole(data: bytes) -> Whole | None:
    """The one request that `data` is, None where it is not exactly that, or not a plain one."""
    line, end = _read_line(data), data.find(b"\r\n\r\n")
    if line is None or end < line.end():
        return None
    read = _read_fields(data[line.end() : end + 2])
    body = data[end + 4 :]
    if read is None or len(body) != read[1]:
        return None
    headers, _, is_kept = read
    return Whole(line[1], line[2], headers, body, is_kept)


@lru_cache(64)
def _read_fields(block: bytes) -> tuple[list[tuple[bytes, bytes]], int, bool] | None:
    """The fields, the body's length, and whether the connection goes on; kept, since one client's differ in little but the length."""
    if _is_fields(block) is None:
        return None
    headers = [(name.lower(), value) for name, value in _find_fields(block)]
    names = [name for name, _ in headers]
    if names.count(b"host") != 1 or not _ODD.isdisjoint(names):
        return None
    lengths = [value for name, value in headers if name == b"content-length"]
    if len(lengths) > 1 or (lengths and _is_length(lengths[0]) is None):
        return None
    wanted = [value.lower() for name, value in headers if name == b"connection"]
    if wanted not in ([], [b"close"], [b"keep-alive"]):
        return None
    return headers, int(lengths[0]) if lengths else 0, wanted != [b"close"]
