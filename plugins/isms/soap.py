"""iSMS.gr's SOAP: the envelopes of its two operations, and their answers as the lines that HTTP would have given.

The page names the parameters, neither WSDL nor namespace, and its list forgets the message. Hence rpc style, typed as PHP's own
client types it, the operations in a namespace that the account can set, a `message` element between `to` and `coding`.
"""

from collections.abc import Iterable, Iterator

from broker.text.markup import Element, MarkupError, escape_markup, read_markup

_SCHEMA = "http://www.w3.org/2001/XMLSchema"
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" xmlns:ns1="{namespace}"'
    f' xmlns:xsd="{_SCHEMA}" xmlns:xsi="{_SCHEMA}-instance" xmlns:SOAP-ENC="{_ENCODING}" SOAP-ENV:encodingStyle="{_ENCODING}">'
    "<SOAP-ENV:Body><ns1:{operation}>{parts}</ns1:{operation}></SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
)


def write_part(name: str, value: str | bool) -> str:
    """One parameter. Raises MarkupError for characters that no XML can hold."""
    kind, text = ("boolean", "true" if value else "false") if isinstance(value, bool) else ("string", escape_markup(value))
    return f'<{name} xsi:type="xsd:{kind}">{text}</{name}>'


def write_recipients(mobiles: Iterable[str]) -> str:
    """The object `to`, whose one property `recipients` is an array of strings."""
    items = [write_part("item", mobile) for mobile in mobiles]
    array = f'SOAP-ENC:arrayType="xsd:string[{len(items)}]" xsi:type="SOAP-ENC:Array"'
    return f'<to xsi:type="SOAP-ENC:Struct"><recipients {array}>{"".join(items)}</recipients></to>'


def write_envelope(namespace: str, operation: str, parts: Iterable[str]) -> bytes:
    """The whole request."""
    namespace = escape_markup(namespace).replace('"', "&quot;")
    return _ENVELOPE.format(namespace=namespace, operation=operation, parts="".join(parts)).encode()


def write_headers(namespace: str, operation: str) -> tuple[tuple[str, str], ...]:
    """The headers that go with it."""
    return (("Content-Type", "text/xml; charset=utf-8"), ("SOAPAction", f'"{namespace}#{operation}"'))


def read_answer(status: int, body: bytes, prefix: str) -> list[str]:
    """The one line that says the same over HTTP: `prefix` and the value returned, or `Error: ` and the fault's text.

    None for what is no envelope, and for a status other than 200 without a fault: it proves nothing.
    """
    try:
        envelope = read_markup(body)
    except MarkupError:
        return []
    part = envelope.find("Body")
    answer = part.children[0] if envelope.name == "Envelope" and part is not None and len(part.children) == 1 else None
    if answer is None:
        return []
    if answer.name == "Fault":
        text = " ".join(_find_fault(answer).split()).removeprefix("Error:").strip()
        return [f"Error: {text}"] if text else []
    values = [text for text in _find_texts(answer) if text]
    if status != 200 or len(values) != 1:
        return []
    (value,) = values
    return [value if value.startswith(("Error:", prefix)) else f"{prefix}{value}"]


def _find_fault(fault: Element) -> str:
    """`faultstring` of SOAP 1.1, `Reason` `Text` of 1.2."""
    reason = fault.find("Reason")
    found = fault.find("faultstring") or (reason.find("Text") if reason is not None else None)
    return found.text if found is not None else ""


def _find_texts(element: Element) -> Iterator[str]:
    yield element.text.strip()
    for child in element.children:
        yield from _find_texts(child)
