"""Every row of every table of the five providers, typed from providers/PROVIDERS.md by hand: what a word of theirs means.

Imports no plugin: a row that a plugin has by mistake, or lacks, shows as a difference. `send` tables are outcome classes, all others
receipt classes, but for contacts. `test_rows` counts them: each is said by a twin and read by its plugin.
"""

Table = dict[str, str]

MITAKE_SEND: Table = {
    "*": "in_doubt",
    "-": "in_doubt",
    "a": "unavailable",
    "b": "unavailable",
    "c": "misconfigured",
    "d": "misconfigured",
    "e": "misconfigured",
    "f": "misconfigured",
    "h": "misconfigured",
    "k": "misconfigured",
    "m": "misconfigured",
    "n": "misconfigured",
    "p": "misconfigured",
    "r": "unavailable",
    "s": "no_credit",
    "t": "expired",
    "u": "rejected",
    "v": "rejected",
    "l": "throttled",
    "0": "accepted",
    "1": "accepted",
    "2": "accepted",
    "3": "accepted",
    "4": "accepted",
    "5": "rejected",
    "6": "rejected",
    "7": "unsuitable",
    "8": "expired",
    "9": "unsuitable",
}

MITAKE_FATES: Table = {
    "0": "progress",
    "1": "progress",
    "2": "progress",
    "3": "progress",
    "4": "delivered",
    "5": "undelivered",
    "6": "undelivered",
    "7": "undelivered",
    "8": "expired",
    "9": "canceled",
}

MITAKE_TROUBLE = ["*", "-", "a", "b", "c", "d", "e", "f", "h", "k", "l", "m", "n", "p", "r", "s", "t", "u", "v", "w", "x", "y", "z", "?"]
"""What a question is answered with that is no statuscode of a message: the poller's own trouble, never the message's."""

MITAKE_WORDS: dict[str, tuple[str, str]] = {
    "ACCEPTD": ("0 1 2 3", "progress"),
    "DELIVRD": ("4", "delivered"),
    "EXPIRED": ("8", "expired"),
    "DELETED": ("9", "canceled"),
    "UNDELIV": ("6 7", "undelivered"),
    "SYNTAXE": ("5", "undelivered"),
    "REJECTD": ("", "undelivered"),
    "UNKNOWN": ("", "unrecognised"),
}

TATANGO_SEND: Table = {
    "200": "accepted",
    "202": "accepted",
    "400": "rejected",
    "401": "misconfigured",
    "403": "blocked",
    "409": "retry_later",
    "500": "in_doubt",
    "501": "misconfigured",
    "503": "unavailable",
}

ISMS_SEND: Table = {
    "Authentication error.": "misconfigured",
    "No recipients.": "misconfigured",
    "Invalid sender identity.": "unsuitable",
    "Insufficient credits.": "no_credit",
    "Invalid scheduling date.": "unsuitable",
}

ISMS_QUERY: Table = {
    "Queued": "progress",
    "Pending": "progress",
    "Delivered": "delivered",
    "Failed": "undelivered",
    "Authentication error.": "query_error",
    "No message ID defined.": "query_error",
    "No mobile defined.": "query_error",
    "No such message or recipient.": "query_error",
}

ISMS_LOOKUP: Table = {
    "Queued": "progress",
    "Pending": "progress",
    "Delivered": "delivered",
    "Undelivered": "undelivered",
    "Failed": "undelivered",
    "Unknown": "undelivered",
    "Authentication error.": "query_error",
    "No message ID defined.": "query_error",
    "No mobile defined.": "query_error",
    "No such message ID or mobile.": "query_error",
}

ISMS_CONTACT: Table = {
    "OK": "accepted",
    "FAILED": "unavailable",
    "Authentication error.": "misconfigured",
    "Mobile number is empty.": "misconfigured",
    "Invalid mobile number.": "rejected",
}

SUBITO_SEND: Table = {
    "1": "misconfigured",
    "2": "misconfigured",
    "3": "misconfigured",
    "4": "misconfigured",
    "5": "no_credit",
    "7": "misconfigured",
}

SUBITO_FATES: Table = {
    "-100": "undelivered",
    "-50": "blocked",
    "-2": "progress",
    "-1": "progress",
    "0": "progress",
    "1": "delivered",
    "2": "undelivered",
    "4": "progress",
    "8": "progress",
    "16": "undelivered",
}


def _spread(rows: Table) -> Table:
    return {f"0x{code}": class_ for codes, class_ in rows.items() for code in codes.split()}


SMPP_SEND: Table = _spread(
    {
        "00": "accepted",
        "01 43 15 06 07 61 62 63 42 54 C1 C4 0A 48 49 65 66": "unsuitable",
        "0B 50 51": "rejected",
        "02 03 C0 C2 C3 05 0D 0E 0F 53 33 34 40 44 55": "misconfigured",
        "45 08 64 FE FF 400 4FF": "unavailable",
        "58 14": "throttled",
        "04": "unreachable",
    }
)
"""Of SMPP 3.4, for SMSC.ru, iSMS.gr and any SMSC; 0x400 and 0x4FF stand for the vendor's."""

SMPP_STATES: Table = {
    "ENROUTE": "progress",
    "DELIVRD": "delivered",
    "EXPIRED": "expired",
    "DELETED": "canceled",
    "UNDELIV": "undelivered",
    "ACCEPTD": "progress",
    "UNKNOWN": "unrecognised",
    "REJECTD": "undelivered",
}

SMSCRU_REASONS: Table = dict.fromkeys(("0", "1", "6", "11", "12", "13", "21", "219", "220"), "undelivered") | {"200": "unrecognised"}
"""The `err` of a receipt whose `stat` is UNDELIV."""

SMSCRU_WEB: Table = {
    "1": "misconfigured",
    "2": "misconfigured",
    "3": "no_credit",
    "4": "misconfigured",
    "5": "unsuitable",
    "6": "unsuitable",
    "7": "rejected",
    "8": "rejected",
    "9": "duplicate",
}
"""error_code of SMSC.ru's HTTP side."""
