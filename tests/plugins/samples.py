"""What plugins' tests build their rows from: messages to hand over, asks, and the two ends joined in memory."""

from typing import Any
from urllib.parse import urlsplit

from broker.provider.contract import Ask, Call, Reply, Send, Twin, TwinRequest
from broker.text import verdict
from broker.words.message import Message


def make_send(text: str = "hi", to: str = "+306912345678", sender: str | None = "ACME", *, n: int = 1, **more: Any) -> Send:
    """One message to hand over, its encoding and segments as the broker counts them; `n` tells several apart."""
    seen = verdict(text)
    message = Message(
        id=f"m{n}",
        client="unix:shop",
        to=to,
        country=None,
        text=text,
        encoding=seen.encoding,
        segments=seen.segments,
        accepted_at=0,
        valid_until=86_400_000,
    )
    return Send(message=message, attempt=f"m{n}/1", n=1, sender=sender, key=f"k{n}", **more)


def make_ask(ref: str, recipient: str, n: int = 1) -> Ask:
    """One accepted attempt whose fate is asked for."""
    return Ask(attempt=f"m{n}/1", refs=(ref,), recipient=recipient, key=f"k{n}", sent_at=0)


def reach(twin: Twin, call: Call, now: int = 0) -> Reply:
    """The twin's answer to a call, without a wire between them; the account's `url` is http://127.0.0.1:1/x."""
    assert call.url.startswith("http://127.0.0.1:1/x/")
    url = urlsplit(call.url)
    request = TwinRequest(
        call.method, url.path.removeprefix("/x"), url.query, {name.lower(): value for name, value in call.headers}, call.body
    )
    answer = twin.answer(request, now)
    return Reply(answer.status, {name.lower(): value for name, value in answer.headers}, answer.body)
