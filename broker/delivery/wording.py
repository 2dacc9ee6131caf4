"""The text that a rule sends: as it came, or spelled in the GSM alphabet where the rule has `transliterate` and that saves segments.

Decided once, at acceptance: a message keeps its text through every later round, whatever a reload says. How a text is spelled is
`broker.text`'s matter.
"""

import msgspec

from broker.routing import Book, Rule
from broker.text import best_form
from broker.words.channel import SMS
from broker.words.message import Message


def word(message: Message, rule: Rule) -> None:
    """Give a new message the text that `rule` sends, and what that costs."""
    if not rule.settings.transliterate or message.encoding == "gsm7" or message.text is None or message.channel not in SMS:
        return
    found = best_form(message.text)
    if found is None:
        return
    message.text, message.encoding, message.segments = found.text, found.after.encoding, found.after.segments
    # Under this rule from now on: its `match` may be of the text as it came, or of what that cost.
    message.progress = msgspec.structs.replace(message.progress, rule=rule.name)


def may_fit(text: str, most: int, book: Book) -> bool:
    """True where some rule may bring a text that is too long down to `most` segments. Which rule takes it is not known yet."""
    found = best_form(text) if any(rule.settings.transliterate for rule in book.rules) else None
    return found is not None and found.after.segments <= most
