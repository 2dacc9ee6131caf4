"""What was just sent, at hand for the receipts that mostly follow at once: neither message nor attempt need be read back.

Bounded, and only a copy: a step made from it is stale where the store knows better, and then the store is asked.
"""

from collections import OrderedDict

from broker.store.contract import LiveMessage
from broker.words.attempt import Attempt
from broker.words.message import Message

SIZE = 2000
REFS = 4 * SIZE
"""Ids outlive the messages: a second receipt of a message need not ask the store whose it is."""


class Recent:
    """The last messages that one account accepted at their first attempt, and their ids."""

    __slots__ = ("_messages", "_refs")

    def __init__(self) -> None:
        # Ordered ones let go of their oldest at once: a dict looks for it through the places of all that went before it.
        self._messages: OrderedDict[str, tuple[Message, Attempt]] = OrderedDict()
        self._refs: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def add(self, message: Message, attempt: Attempt, *, by_ref: bool) -> None:
        """Keep a message just sent, its values as the store is about to have them."""
        messages = self._messages
        if len(messages) >= SIZE:
            messages.popitem(last=False)
        messages[message.id] = (message, attempt)
        if by_ref:
            self.add_refs(attempt.refs, message.id, attempt.n)

    def add_refs(self, refs: tuple[str, ...], id_: str, n: int) -> None:
        """Keep whose ids these are."""
        known = self._refs
        for ref in refs:
            if ref in known:
                known.move_to_end(ref)  # used again: the newest stands last
            elif len(known) >= REFS:
                known.popitem(last=False)
            known[ref] = (id_, n)

    def find_ref(self, ref: str) -> tuple[str, int] | None:
        """(message, n) of the attempt with this id."""
        return self._refs.get(ref)

    def find_recipient(self, id_: str) -> str | None:
        """The recipient of a message, where it is at hand."""
        found = self._messages.get(id_)
        return None if found is None else found[0].to

    def take(self, id_: str) -> LiveMessage | None:
        """The message, no longer kept: whoever takes it may change it."""
        found = self._messages.pop(id_, None)
        return None if found is None else LiveMessage(found[0], [found[1]])
