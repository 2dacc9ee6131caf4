"""A provider that says what its document says: a `Page` writes down what it is asked, and answers with the document's own bytes.

The tests of the documents (test_document_*) go example by example, typed from the pages in providers/ and from nothing else. Where a page
shows a request, ours is held against it parameter by parameter; what comes back is followed to the message's fate.
"""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from broker.provider.contract import TwinReply, TwinRequest
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import House, Toml, rule
from tests.daemon.site import Site, with_callbacks

Fields = dict[str, str]


class Page:
    """A provider that answers the next requests with these bodies, in order; `asked` is what came, but for balances."""

    def __init__(self, *answers: bytes | str | int, balance: bytes | str = b"") -> None:
        self.answers = [each.encode() if isinstance(each, str) else each for each in answers]
        self.balance = balance.encode() if isinstance(balance, str) else balance
        self.asked: list[TwinRequest] = []

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        whole = f"{request.path}?{request.query}"
        if "credit" in whole or (request.path == "/SmQueryGet.asp" and "msgid" not in whole):
            return TwinReply(200, body=self.balance)
        self.asked.append(request)
        said = self.answers.pop(0)
        return TwinReply(said) if isinstance(said, int) else TwinReply(200, (("Content-Type", "text/html"),), said)


async def open_page(make_house: MakeHouse, folder: Path, account: Toml, page: Page, **more: Any) -> Site:
    """A broker whose one provider is `page`, after it has asked for the balance."""
    settings = with_callbacks(str(folder), providers={"a": account}, **more)
    settings["rules"] = [rule("a", name="all")]
    site = Site(await make_house(settings))
    site.house.twins["a"] = page
    await site.house.order("balance", name="a", refresh=True)
    return site


def query_of(request: TwinRequest) -> Fields:
    return dict(parse_qsl(request.query, keep_blank_values=True, strict_parsing=True))


def usable(house: House, bucket: str) -> int | None:
    return house.ex.lanes["a"].ledger.find_bucket(bucket).usable


async def see(house: House, id_: str, *statuses: str, within: float = 70) -> dict[str, Any]:
    return await house.until(id_, *statuses, within=within)
