"""placeholder until the feed's author lands it"""
import os
import socket

import trio


class DoorError(Exception): pass
async def open_unix(path: str, mode: int, group: str | None) -> trio.SocketListener:
    try: os.unlink(path)
    except OSError: pass
    os.makedirs(os.path.dirname(path), exist_ok=True)
    s = trio.socket.socket(socket.AF_UNIX); await s.bind(path); os.chmod(path, mode); s.listen(100)
    return trio.SocketListener(s)
