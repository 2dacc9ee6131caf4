"""Reads the octets of an inbound text by its data_coding.

Never raises, never joins parts, and writes nothing (see `parts`). The truth is SMPP 3.4, section 5.2.19, and for the values that
it leaves to GSM, 3GPP TS 23.038, section 4.
"""

from typing import Final

from broker.text.parts import DefaultAlphabet
from broker.text.septets import DEFAULT_TABLES, Tables, find_alphabet

# What people send as ISO-8859-1 has the quotes and dashes of Windows in its control range, and never a control.
_LATIN1: Final = "cp1252"
_DEFAULT: Final = ""
_UCS2: Final = "utf-16-be"

# Octets unspecified (2, 4) are text for whoever sends an SMS with them: SMSC.ru's 4 is ISO-8859-1.
_SMPP: Final = {
    1: _LATIN1,  # IA5, read with what may stand above it
    2: _LATIN1,
    3: _LATIN1,
    4: _LATIN1,
    5: "iso2022_jp",
    6: "iso8859_5",
    7: "iso8859_8",
    8: _UCS2,
    10: "iso2022_jp",
    13: "iso2022_jp_1",
    14: "euc_kr",
}
_GSM_ALPHABETS: Final = (_DEFAULT, _LATIN1, _UCS2, _DEFAULT)  # bits 3 and 2 of a general coding


def read_octets(octets: bytes, data_coding: int, *, alphabet: DefaultAlphabet = "gsm", tables: Tables = DEFAULT_TABLES) -> str:
    """The text of `octets`, the user data header taken off (`read_header`), the parts of one message joined before.

    `alphabet` is what data_coding 0 means at this SMSC; `tables` are the header's national ones. What cannot be read shows as
    U+FFFD; a data_coding that nobody has defined is read as 0.
    """
    charset = _find_charset(data_coding)
    if charset == _DEFAULT:
        if alphabet == "gsm":
            return find_alphabet(tables).read(octets)
        charset = _LATIN1
    if charset == _UCS2:
        # 23.038 wants big-endian without a mark; whoever sends a mark means it
        if octets[:2] == b"\xff\xfe":
            return octets[2:].decode("utf-16-le", "replace")
        return octets.removeprefix(b"\xfe\xff").decode(_UCS2, "replace")
    return octets.decode(charset, "replace")


def _find_charset(data_coding: int) -> str:
    if data_coding < 0x10:
        return _SMPP.get(data_coding, _DEFAULT)
    if data_coding < 0x80:  # general coding, and the same with automatic deletion: a class in the low bits
        return _GSM_ALPHABETS[data_coding >> 2 & 3]
    if data_coding & 0xF0 == 0xE0:  # message waiting, UCS-2
        return _UCS2
    if data_coding & 0xF4 == 0xF4:  # a message class, 8 bit data
        return _LATIN1
    return _DEFAULT
