"""The table of verbs, in the order and the groups of `broker --help`: each with its line there and the module that has it.

Imports none of them: a verb's module is loaded when the verb is used.
"""

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb's place in the help, and the module of broker.cli whose COMMANDS has it."""

    group: str
    shape: str
    line: str
    module: str


VERBS: dict[str, Verb] = {
    "send": Verb("Sending", "send TO TEXT", "hand a message to the broker; --wait for its end", "send"),
    "explain": Verb("Sending", "explain TO TEXT", "what would happen to it now; sends nothing", "send"),
    "status": Verb("Looking", "status ID", "a message's timeline, attempts and receipts", "status"),
    "tail": Verb("Looking", "tail", "follow the feed of events", "tail"),
    "queue": Verb("Looking", "queue", "what waits, by provider and priority", "waiting"),
    "held": Verb("Looking", "held", "what is held, and for what cause", "waiting"),
    "in-doubt": Verb("Looking", "in-doubt", "what was sent without an answer, and what is done about it", "waiting"),
    "providers": Verb("Looking", "providers", "state, rate, breaker, credit of every provider", "accounts"),
    "balance": Verb("Looking", "balance [NAME]", "credit, burn rate, when it runs dry", "accounts"),
    "lookup": Verb("Looking", "lookup NUMBER", "country, type and network; --hlr NAME asks a provider", "lookup"),
    "cancel": Verb("Deciding", "cancel [ID]", "stop messages that have not left", "waiting"),
    "release": Verb("Deciding", "release [ID]", "let held messages go on", "waiting"),
    "retry": Verb("Deciding", "retry [ID]", "let messages that wait for a time be tried now", "waiting"),
    "resolve": Verb("Deciding", "resolve ID OUTCOME", "say what became of an attempt in doubt", "waiting"),
    "callbacks": Verb("Looking", "callbacks", "the URL to enter in each provider's panel", "callbacks"),
    "pause": Verb("Deciding", "pause NAME", "give a provider nothing until `resume`", "accounts"),
    "resume": Verb("Deciding", "resume NAME", "let a provider work again", "accounts"),
    "drain": Verb("Deciding", "drain NAME", "give a provider nothing new, move its queue away", "accounts"),
    "contacts": Verb("Deciding", "contacts ACTION", "a provider's own address book: add, delete", "contacts"),
    "suppress": Verb("Deciding", "suppress ACTION", "who is never written to: list, add, remove", "suppress"),
    "erase": Verb("Deciding", "erase NUMBER", "forget all that was sent to a number or came from it", "erase"),
    "run": Verb("Running", "run", "the broker, in the foreground; --twins: nothing leaves", "start"),
    "demo": Verb("Running", "demo", "the whole story in a minute, on simulated providers", "start"),
    "check": Verb("Running", "check", "every problem of broker.toml, with line and remedy", "settings"),
    "reload": Verb("Running", "reload", "apply broker.toml to the running broker, or nothing", "settings"),
    "log-level": Verb("Running", "log-level LEVEL", "how much the running broker logs", "settings"),
    "backup": Verb("Running", "backup DEST", "copy the store, with the broker running", "keeping"),
    "verify": Verb("Running", "verify", "whether the store is whole", "keeping"),
    "audit": Verb("Running", "audit", "who ordered what, and what came of it", "keeping"),
    "plugins": Verb("Running", "plugins", "the installed plugins and what they can do", "plugins"),
    "twins": Verb("Running", "twins [NAME…]", "serve the simulated providers alone", "twins"),
}

GROUPS = ("Sending", "Looking", "Deciding", "Running")

LATER = frozenset({"init", "import", "replay", "export"})
"""Verbs that CONTRACT §2 names and this version has not."""


def make_help(version: str) -> str:
    """What `broker --help` prints."""
    lines = [f"broker {version}: takes messages from programs, sends them through many providers, says what became of each.", ""]
    lines.append("usage: broker [--config FILE] [--json] VERB …")
    for group in GROUPS:
        lines += ["", f"{group}:"]
        lines += [f"  {verb.shape:<20} {verb.line}" for verb in VERBS.values() if verb.group == group]
    lines += [
        "",
        "`broker VERB --help` has the options and an example of each.",
        "--config FILE, else $BROKER_CONFIG, else ./broker.toml, else /etc/broker/broker.toml.",
        "Exit: 0 done, 1 it failed, 2 usage, 3 not known yet, 69 no broker answers, 78 the configuration is bad.",
    ]
    return "\n".join(lines) + "\n"
