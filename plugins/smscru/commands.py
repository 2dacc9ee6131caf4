"""SMSC.ru's commands: every channel but sms and flash is a text that begins with a word of the provider's.

Builds the text that goes out, and refuses a user's text that would say such a word itself: it would change product and price. Never
rewrites a text. The truth is the provider's page (see the plugin's MANUAL), "Отправка сообщения".
"""

import re
from collections.abc import Mapping

from broker.provider.contract import Send, Unsuitable

COMMENT = "\n~~~\n"
"""What follows it is not sent to the subscriber, not counted, and shown in the account's history; after a call it is its `param`."""

PREFIXES: Mapping[str, str] = {
    "email": "__MAIL__",
    "voice": "__CALL__",
    "viber": "__VIBER__",
    "social": "__SOC__",
    "telegram": "__TGM__",
    "bot": "__BOT__",
    "hlr": "__HLR__",
    "ping": "__PING__",
}
"""Channel → the word that its text begins with."""
BARE = frozenset({"hlr", "ping"})
"""Channels whose text is that word alone."""
OPTIONS = frozenset({"subject", "voice", "param", "bot"})
"""Keys of a message's `options` that this provider knows."""

_LINES: Mapping[str, tuple[str, str]] = {"email": ("subject", "subj"), "voice": ("voice", "voice"), "bot": ("bot", "bot")}
"""Channel → the option that its last line says, and how the line begins."""
_OF_CHANNEL: Mapping[str, frozenset[str]] = {
    "email": frozenset({"subject"}),
    "voice": frozenset({"voice", "param"}),
    "bot": frozenset({"bot"}),
}
# Any such word, not only those of today: the page has gained some over the years. The case is the provider's affair, so none is trusted.
_is_command = re.compile(r"\s*__[a-z]+__", re.IGNORECASE).match
_is_code = re.compile(r"[0-9]{4,8}", re.ASCII).fullmatch
_is_bot = re.compile(r"@?[A-Za-z0-9_]{3,64}", re.ASCII).fullmatch
_MOST_OPTION = 200


def write_text(send: Send, *, voice: str | None, bot: str | None, has_comment: bool) -> str:
    """The text to hand over for `send`; `voice` and `bot` are the account's own, used where the message says none.

    Raises Unsuitable for a text that is no text for this channel, and for an option that is none of it.
    """
    channel = send.via
    options = _read_options(send)
    if channel in BARE:
        return PREFIXES[channel]
    text = send.text
    _guard(channel, text)
    end = COMMENT + send.message.id if has_comment else ""
    if channel not in PREFIXES:
        return text + end
    if channel == "telegram" and not _is_code(text):
        raise Unsuitable("Telegram takes a code of 4 to 8 digits here, and no other text", "text")
    whole = f"{PREFIXES[channel]}: {text}"
    if channel in _LINES:
        option, word = _LINES[channel]
        value = options.get(option) or {"voice": voice, "bot": bot}.get(option)
        if option == "bot":
            value = _read_bot(value)
        if value:
            whole += f"\n{word}:{value}"
    if options.get("param"):
        return whole + COMMENT + options["param"]  # takes the comment's place
    return whole + end


def _guard(channel: str, text: str) -> None:
    if f"{COMMENT}" in f"{text}\n":
        raise Unsuitable("the text has a line of three tildes, behind which this provider sends nothing", "text")
    if channel not in PREFIXES:
        if _is_command(text):
            raise Unsuitable("the text begins with a command of this provider's, which would change the channel and the price", "text")
    elif channel in _LINES and f"\n{_LINES[channel][1]}:" in text.lower():
        raise Unsuitable(f'the text has a line that begins with "{_LINES[channel][1]}:", which is an option here', "text")


def _read_options(send: Send) -> dict[str, str]:
    """The message's options for this channel, as texts of one line; others mean nothing by it. Raises Unsuitable."""
    found: dict[str, str] = {}
    for key, value in (send.message.options or {}).items():
        if key not in _OF_CHANNEL.get(send.via, frozenset()):
            continue
        if not isinstance(value, str) or not value.isprintable() or len(value) > _MOST_OPTION:
            raise Unsuitable(f"must be a text of one line, at most {_MOST_OPTION} characters", f"options.{key}")
        found[key] = value
    return found


def _read_bot(value: str | None) -> str:
    if not value:
        raise Unsuitable("say which bot: options.bot in the message, or `bot` in the account", "options.bot")
    if not _is_bot(value):
        raise Unsuitable('is no name of a bot: letters, digits and _, such as "@name"', "options.bot")
    return value if value.startswith("@") else f"@{value}"
