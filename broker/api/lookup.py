"""`lookup`: what is known of a number here, and an HLR request to a provider where the operator asks for one (CONTRACT §2, §5)."""

from collections.abc import Callable
from typing import Any

from broker.delivery.accept import Accepted, Intake
from broker.delivery.lookups import find_network
from broker.delivery.submission import Refused, Submit
from broker.text import NumberError, number_type, read_number

Reply = Callable[[dict[str, Any]], None]


def look_up(intake: Intake, number: str | None, hlr: str | None, client: str, reply: Reply) -> None:
    """Answer with the number's country, type and known network; with `hlr`, once a lookup there is durable, its id too. Raises Refused."""
    ex = intake.ex
    if number is None:
        raise Refused("bad_request", "`number` is missing: for example +886912345678", "number")
    try:
        found = read_number(number, ex.book.settings.broker.default_country)
    except NumberError as error:
        raise Refused("invalid_recipient", str(error), "number") from None
    known = {
        "ok": True,
        "number": found.e164,
        "country": found.country,
        "type": number_type(found.e164),
        "network": find_network(ex, found.e164),
    }
    if hlr is None:
        reply(known)
        return

    def answer(taken: Accepted | Refused) -> None:
        if isinstance(taken, Refused):
            reply({"ok": False, "error": {"code": taken.code, "message": taken.message}})
        else:
            reply({**known, "id": taken.id, "status": taken.status})

    try:
        intake.submit(Submit(to=found.e164, channel="hlr", provider=hlr), client, answer)
    except Refused as refused:
        raise Refused(refused.code, refused.message, "hlr" if refused.field == "provider" else refused.field) from None
