"""Every row of every table of the four HTTP providers, typed from providers/PROVIDERS.md by hand: what a word of theirs means.

Imports no plugin: a row that a plugin has by mistake, or lacks, shows as a difference. `send` tables are outcome classes, all others
receipt classes, but for contacts.
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
