"""The command `broker`: one verb a module or a few, loaded only when asked for (`broker send` may run a thousand times).

Talks to the daemon over its sockets and decides nothing of its own. The truth of the verbs and exit codes is CONTRACT §2.
"""

from broker.cli.entry import main

__all__ = ["main"]
