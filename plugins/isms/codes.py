"""iSMS.gr's words and what each means: the lists of the vendor's page, one for each of its operations. Reads no answer."""

from typing import Final

from broker.words.outcome import OutcomeClass
from broker.words.receipt import ReceiptClass

REFUSALS: Final[dict[str, OutcomeClass]] = {
    "Authentication error.": "misconfigured",
    "No recipients.": "misconfigured",
    "Invalid sender identity.": "unsuitable",
    "Insufficient credits.": "no_credit",
    "Invalid scheduling date.": "unsuitable",
}
"""What refuses a send, by HTTP or SOAP, and a number lookup."""

FATES: Final[dict[str, ReceiptClass]] = {
    "Queued": "progress",
    "Pending": "progress",
    "Delivered": "delivered",
    "Failed": "undelivered",
    "Authentication error.": "query_error",
    "No message ID defined.": "query_error",
    "No mobile defined.": "query_error",
    "No such message or recipient.": "query_error",
}
"""What query.php and the SOAP query say."""

LOOKUPS: Final[dict[str, ReceiptClass]] = {
    "Queued": "progress",
    "Pending": "progress",
    "Delivered": "delivered",
    "Undelivered": "undelivered",
    "Failed": "undelivered",
    "Unknown": "undelivered",  # final, too: nothing more is found out of the number
    "Authentication error.": "query_error",
    "No message ID defined.": "query_error",
    "No mobile defined.": "query_error",
    "No such message ID or mobile.": "query_error",
}
"""What hlrquery.php says; its wording of an unknown id is another than query.php's."""

GONE: Final = frozenset({"No such message or recipient.", "No such message ID or mobile."})
"""The words of either that say that there is no such message, not that the query failed."""

CONTACTS: Final[dict[str, OutcomeClass]] = {
    "OK": "accepted",
    "FAILED": "unavailable",
    "Authentication error.": "misconfigured",
    "Mobile number is empty.": "misconfigured",
    "Invalid mobile number.": "rejected",
}
"""What savecontact.php and deletecontact.php say. On the page the OK is of two Greek capitals; either is taken."""
