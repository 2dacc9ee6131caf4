"""Texts, numbers and senders: pure functions of strings. Nothing here waits, sends or remembers.

The rooms: `clean` (what may be in a text), `gsm` and `segments` (what it costs), `septets`, `header`, `graphemes` and `parts`
(how it goes out), `codings` (how an inbound one reads), `transliteration` (how it would fit a smaller alphabet), `numbers` with
its generated `prefixes`, `addresses`, `senders`, `zones`, `form` (of requests), `words` (of inbound texts).
"""

from broker.text.addresses import AddressError, read_address
from broker.text.clean import TextError, clean
from broker.text.codings import read_octets
from broker.text.form import write_form
from broker.text.gsm import Encoding, encoding_of
from broker.text.header import Concat, Header, read_header
from broker.text.numbers import Number, NumberError, mask, number_type, read_number
from broker.text.parts import Part, Plan, Unplannable, measure, plan
from broker.text.segments import Verdict, verdict
from broker.text.senders import SenderError, SenderForm, check_sender, sender_form
from broker.text.septets import LANGUAGES
from broker.text.transliteration import Transliterated, best_form, transliterate
from broker.text.words import first_word, fold, fold_whole
from broker.text.zones import find_zones

__all__ = [
    "LANGUAGES",
    "AddressError",
    "Concat",
    "Encoding",
    "Header",
    "Number",
    "NumberError",
    "Part",
    "Plan",
    "SenderError",
    "SenderForm",
    "TextError",
    "Transliterated",
    "Unplannable",
    "Verdict",
    "best_form",
    "check_sender",
    "clean",
    "encoding_of",
    "find_zones",
    "first_word",
    "fold",
    "fold_whole",
    "mask",
    "measure",
    "number_type",
    "plan",
    "read_address",
    "read_header",
    "read_number",
    "read_octets",
    "sender_form",
    "transliterate",
    "verdict",
    "write_form",
]
