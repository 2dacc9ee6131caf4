"""`tail`: follows the feed and prints each event on a line (CONTRACT §6).

Comes back by itself when the broker restarts, from the last event seen: nothing is shown twice, nothing retained is left out.
"""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from broker.cli.command import Command
from broker.cli.loop import find_cause, run_loop
from broker.cli.output import NONE, name_candidate, print_json, say, show, show_price, show_status
from broker.cli.places import Places, find_places
from broker.cli.times import show_moment
from broker.cli.trouble import BAD_CONFIG, DONE, FAILED, NO_DAEMON, Trouble, show_problem

if TYPE_CHECKING:
    import trio
    from trio_websocket import ConnectionClosed, WebSocketConnection

FILTERS = ("type", "provider", "client", "tag", "id")
CONNECT_S = 5
RETRY_S = 1
GIVE_UP_S = 60
"""How long a feed that was there may be away before tail ends."""
MOST_BYTES = 16 * 1024 * 1024
"""Of one frame."""

NO_FEED = """there is no [feed] in {file}, so the broker tells nobody. Add

[feed]
listen = "127.0.0.1:8781"

and restart the broker"""


class Gone(Exception):
    """The feed cannot be reached, or ended the connection; it may come back. The text says why."""


class Feed:
    """Where the feed is and what is wanted of it. `after`: the last event seen; `is_open` now, or `was_there` before."""

    def __init__(self, listen: str, unix_paths: list[str], token: str | None, wanted: list[tuple[str, str]], after: int | None) -> None:
        self.listen = listen
        self.unix_paths = unix_paths
        self.token = token
        self._wanted = wanted
        self.after = after
        self.was_there = self.is_open = False

    @property
    def resource(self) -> str:
        """The request's path with its parameters."""
        cursor = [] if self.after is None else [("from", str(self.after))]
        return f"/v1/events?{urlencode([*cursor, *self._wanted, ('batch', '1')])}"


def _read_seq(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise ArgumentTypeError(f'"{text}" is no event\'s seq: write its number, 0 for all that are kept')
    return int(text)


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("--from", dest="after", metavar="SEQ", type=_read_seq, help="begin after this event; 0: all that are kept")
    parser.add_argument("--type", metavar="TYPE", action="append", default=[], help="message.*, message.failed, provider.*, …")
    for name, whose in (("provider", "of this provider"), ("client", "of this client"), ("tag", "with this tag"), ("id", "of one")):
        parser.add_argument(f"--{name}", metavar=name.upper(), action="append", default=[], help=f"{whose}; may be repeated")
    parser.add_argument("--token", metavar="TOKEN", help="one of [tokens]; better in $BROKER_TOKEN, where `ps` does not show it")


def tail(args: Namespace) -> int:
    """Follow the feed until interrupted."""
    feed = find_feed(args)
    try:
        run_loop(follow, feed, print_event if not args.json else print_frame)
    except KeyboardInterrupt:
        pass  # the way to end it
    return DONE


def find_feed(args: Namespace) -> Feed:
    """The feed that broker.toml names. Raises Trouble where there is none."""
    places = find_places(args.config, is_whole=True)
    listen = _find_listen(places)
    token = args.token or os.environ.get("BROKER_TOKEN") or None
    wanted = [(name, value) for name in FILTERS for value in getattr(args, name)]
    paths = places.resolve(listen.removeprefix("unix:")) if listen.startswith("unix:") else []
    return Feed(listen, paths, token, wanted, args.after)


def _find_listen(places: Places) -> str:
    if places.file is None:
        message = "no broker.toml was found, and it says where the feed is; name it with --config FILE"
        raise Trouble(message, BAD_CONFIG, "bad_config")
    if places.note:
        raise Trouble(places.note.partition(", so")[0] + "; see `broker check`", BAD_CONFIG, "bad_config")
    section = places.tree.get("feed")
    listen = section.get("listen") if isinstance(section, dict) else None
    if not isinstance(listen, str) or not (listen.startswith("unix:") or listen.rpartition(":")[2].isdecimal()):
        raise Trouble(NO_FEED.format(file=places.file), FAILED, "no_feed")
    return listen


async def follow(feed: Feed, tell: Callable[[dict[str, Any]], None]) -> None:
    """Tell every event as it comes. Raises Trouble where the feed refuses us, or is away for GIVE_UP_S."""
    import trio

    away_since: float | None = None
    while True:
        feed.is_open = False
        try:
            await _visit(feed, tell)
        except Gone as gone:
            if feed.is_open:
                away_since = None
            away_since = _judge_absence(feed, gone, away_since, trio.current_time())
        await trio.sleep(RETRY_S)


async def _visit(feed: Feed, tell: Callable[[dict[str, Any]], None]) -> None:
    """One connection, from its beginning to its end. Raises Gone or Trouble."""
    import trio

    stream = await _open_stream(feed)
    try:
        async with trio.open_nursery() as nursery:
            frames = await _shake_hands(feed, stream, nursery)
            feed.is_open = feed.was_there = True
            await _read(feed, frames, tell)
    except BaseExceptionGroup as group:
        raise _judge_fault(find_cause(group), is_open=feed.is_open) from None
    finally:
        await trio.aclose_forcefully(stream)


def _judge_fault(error: BaseException, *, is_open: bool) -> BaseException:
    """What the websocket's reader or our own reading ended with, as Gone or Trouble where it is the feed's."""
    from trio_websocket import ConnectionRejected

    if isinstance(error, ConnectionRejected):
        return _judge_rejection(error.status_code, error.body)
    if is_open or isinstance(error, Gone | Trouble) or not isinstance(error, Exception):
        return error
    return Gone("what answers there is no websocket")  # the handshake's many ways to fail


def _judge_absence(feed: Feed, gone: Gone, away_since: float | None, at: float) -> float:
    """Since when the feed is away, where another try is worth it; else Trouble."""
    if not feed.was_there:
        raise Trouble(_explain_absence(feed, str(gone)), NO_DAEMON, "no_daemon")
    if away_since is None:
        sys.stderr.write(f"broker: the feed has ended ({gone}); trying again for {GIVE_UP_S} s\n")
        return at
    if at - away_since >= GIVE_UP_S:
        seq = f"; go on later with --from {feed.after}" if feed.after is not None else ""
        raise Trouble(f"the feed did not come back: {gone}{seq}", NO_DAEMON, "no_daemon")
    return away_since


def _explain_absence(feed: Feed, why: str) -> str:
    return f"no feed answers on {feed.listen} ({why}); is the broker running, and was it started with this [feed]?"


async def _read(feed: Feed, frames: "WebSocketConnection", tell: Callable[[dict[str, Any]], None]) -> None:
    from trio_websocket import ConnectionClosed

    while True:
        try:
            raw = await frames.get_message()
        except ConnectionClosed as closed:
            raise _judge_end(closed) from None
        frame = json.loads(raw)
        for event in frame if isinstance(frame, list) else [frame]:
            if event.get("type") == "hello":
                if feed.after is None:
                    feed.after = event.get("seq")  # what comes next is what a second connection has to begin after
                continue
            tell(event)
            if isinstance(event.get("seq"), int):
                feed.after = event["seq"]


def _judge_end(closed: "ConnectionClosed") -> Exception:
    """A refusal, which a second try would meet again, or an end that passes."""
    code, reason = (closed.reason.code, closed.reason.reason or "") if closed.reason is not None else (1006, "")
    said = f": {show(reason)}" if reason else ""
    if code == 4400:
        return Trouble(f"the feed does not take these filters or this --from{said}", FAILED, "bad_request")
    if code == 4401:
        return Trouble(f"the feed wants a good token in $BROKER_TOKEN{said}", FAILED, "forbidden")
    return Gone("we read too slowly" if code == 4408 else f"closed with {code}{said}")


async def _shake_hands(feed: Feed, stream: "trio.SocketStream", nursery: "trio.Nursery") -> "WebSocketConnection":
    """A websocket over the stream. A refusal is raised by its reader, in the nursery. Raises Gone where no answer comes."""
    import trio
    from trio_websocket import wrap_client_stream

    headers = [(b"Authorization", f"Bearer {feed.token}".encode())] if feed.token else []
    host = "localhost" if feed.unix_paths else ":".join(find_address(feed.listen))
    with trio.move_on_after(CONNECT_S):
        return await wrap_client_stream(
            nursery, stream, host, feed.resource, extra_headers=headers, message_queue_size=64, max_message_size=MOST_BYTES
        )
    raise Gone(f"no answer within {CONNECT_S} s")


def _judge_rejection(status: int, body: bytes | None) -> Exception:
    said = f": {show(body.decode(errors='replace').strip())}" if body else ""
    if status == 503:
        return Gone(f"no room{said}")
    return Trouble(f"the feed refused the connection with HTTP status {status}{said}", FAILED, "refused")


async def _open_stream(feed: Feed) -> "trio.SocketStream":
    import trio

    why = ""
    for path in feed.unix_paths:
        try:
            return await trio.open_unix_socket(path)
        except OSError as error:
            why = f"{path}: {error.strerror}"
    if feed.unix_paths:
        raise Gone(why)
    host, port = find_address(feed.listen)
    try:
        return await trio.open_tcp_stream(host.strip("[]"), int(port))
    except OSError as error:
        raise Gone(error.strerror or "nobody listens there") from None


def find_address(listen: str) -> tuple[str, str]:
    """Host and port to connect to: a daemon that listens everywhere is asked on this machine."""
    host, _, port = listen.rpartition(":")
    everywhere = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - where the daemon listens; we connect
    return everywhere.get(host, host), port


def print_frame(frame: dict[str, Any]) -> None:
    """The event as it came, on a line."""
    print_json(frame, is_line=True)


def print_event(event: dict[str, Any]) -> None:
    """The event as a person reads it: seq, time, what, whose, by whom, and why."""
    kind = show(event.get("type"))
    if kind == "gap":
        say(f"(events before {show(event.get('first'))} are no longer kept)")
        return
    room, _, name = kind.partition(".")
    what = show_status(name) + " " * max(12 - len(name), 0) if room == "message" else kind
    facts = [str(event.get("seq")), show_moment(event.get("at")), what]
    if room == "message":
        facts += [show(event.get("id")), show(event.get("to")), *_show_attempt(event)]
    else:
        skipped = ("seq", "at", "type", "node")
        fields = [(key, value) for key, value in event.items() if key not in (*skipped, "result")]
        fields += (event.get("result") or {}).items()
        fields = [(key, list(map(show_problem, value)) if key == "problems" else value) for key, value in fields]
        facts += [f"{key}={show(value)}" for key, value in fields if value not in (None, [])]
    say("  ".join(fact for fact in facts if fact != NONE))


def _show_attempt(event: dict[str, Any]) -> list[str]:
    provider = name_candidate(event)
    attempt = f"{provider}#{event['attempt']}" if event.get("attempt") else provider
    facts = [attempt, *(show(event.get(name)) for name in ("class", "code", "detail"))]
    facts.append(show_price(event.get("price"), event.get("currency")) if event.get("class") == "accepted" else NONE)
    facts.append(f"ref {show(event['ref'])}" if event.get("ref") else NONE)
    return facts


COMMANDS = {
    "tail": Command(
        "Follow the feed: every change of every message, of the providers, the credit and the configuration, each on a line, until"
        " Ctrl-C. With --json one object per line, as the feed sends it. Needs a [feed] in broker.toml. If the broker restarts,"
        " tail comes back and goes on after the last event seen.",
        ("broker tail --type 'message.*' --tag otp", "broker tail --json --from 0 | jq -c 'select(.type == \"message.failed\")'"),
        tail,
        _add,
    ),
}
