"""Is a request meant for this listener, and does it come from its own pages? `Host` and `Origin` (CONTRACT §6).

Without this, any page in a browser on this machine could read the feed: by a foreign `Origin`, or by a name of its own that it lets
point to 127.0.0.1. An address that the connection itself came in by is as good as a listed name, since no foreign page can make
a browser send one.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

Place = tuple[str, int | None]


def split_host(text: str) -> Place | None:
    """(host in lower case without brackets, port or None) of a `Host` header; None where it is none."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    host = match[1].strip("[]").lower()
    if ":" in host:
        try:
            host = ipaddress.ip_address(host).compressed
        except ValueError:
            return None
    return host, None if match[2] is None else int(match[2])


def is_listed(host: Place, listen: str, address: str, port: int) -> bool:
    """True where `host` names the listener that took the connection: `listen`'s host, localhost, or the `address` it came to."""
    own = split_host(listen)
    names = _LOCAL | {address.partition("%")[0].removeprefix("::ffff:")} | ({own[0]} if own else set())
    return host[0] in names and (80 if host[1] is None else host[1]) == port


def is_foreign(origin: str, host: Place) -> bool:
    """True unless `origin` is the very host and port that the request names in `Host`."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return True
    usual = _PORTS.get(parts.scheme)
    own = split_host(parts.netloc)
    if usual is None or own is None:
        return True  # `null`, an extension, a file
    return own[0] != host[0] or (own[1] or usual) != (host[1] or usual)
