"""iSMS.gr's calls to our `dlr-url`: a GET or POST whose parameters no page names. Raises nothing for a call.

`status`, `mid` and `mobile` are believed where they are there and are what the page calls so elsewhere; any other call only says
that there is news of the attempt whose token stands in the address, and query.php tells what it is.
"""

import re
from urllib.parse import parse_qsl

from broker.provider.contract import CallbackAnswer, CallbackRequest, Parsed, Receipt

from .codes import FATES

_MOST_FIELDS = 100
_is_id = re.compile(r"[0-9A-Za-z]{1,64}").fullmatch
_is_mobile = re.compile(r"\+?([1-9][0-9]{6,14})").fullmatch
_WORDS = {word.lower(): word for word, class_ in FATES.items() if class_ != "query_error"}


def read_callback(request: CallbackRequest) -> Parsed:
    """One receipt, `unrecognised` where the call does not say which; none where nothing says of what message it speaks."""
    fields = _read_fields(request)
    mid, mobile = fields.get("mid", ""), _is_mobile(fields.get("mobile", ""))
    ref = mid if _is_id(mid) else None
    answer = CallbackAnswer(200, body=b"OK\n")
    if ref is None and request.token is None:
        return Parsed(answer=answer)
    word = _WORDS.get(fields.get("status", "").lower())
    receipt = Receipt(
        "unrecognised" if word is None else FATES[word],
        ref=ref,
        token=request.token,
        recipient=None if mobile is None else f"+{mobile[1]}",
        code=word,
        detail="the call does not say what: query.php is asked" if word is None else None,
    )
    return Parsed((receipt,), answer=answer)


def _read_fields(request: CallbackRequest) -> dict[str, str]:
    """The parameters of query and body by their name in lower case, the first of each; empty for what are none."""
    text = f"{request.query}&{request.body.decode('utf-8', 'replace')}"
    try:
        pairs = parse_qsl(text, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name.strip().lower(), value.strip())
    return fields
