"""What no provider says, at the real door and to the real plugins: queries and bodies at their limits, charsets that are wrong, NULs,
replays, guesses at tokens. Each is answered or dropped within its limits and counted, and no message has a trace of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker.api.callbacks import MOST_QUERY
from tests.api.web_rig import Client, get, post, send_anyway
from tests.daemon.conftest import MakeHouse
from tests.daemon.house import House, Toml, mitake, tatango
from tests.daemon.site import Site, with_callbacks
from tests.daemon.test_errands import MOBILE, isms

ACCOUNTS: dict[str, tuple[Toml, str]] = {
    "mitake": (mitake("a", query=["24h"]), "+886912345678"),
    "isms": (isms("a", query=["24h"]), MOBILE),
    "tatango": (tatango("a"), "+12025550100"),
}
GOOD = {
    "mitake": "msgid={ref}&dstaddr=0912345678&dlvtime=20261118190700&donetime=20261118190700&statuscode=0&statusstr=DELIVRD&StatusFlag=4",
    "isms": "mid={ref}&mobile=306912345678&status=Delivered",
}
LARGEST = 64 * 1024


def list_nonsense(path: str) -> Iterator[tuple[str, bytes]]:
    """Requests of one that has the URL: (what, octets)."""
    for what, octets in (
        ("NULs", b"msgid=%00&statusstr=%00DELIVRD&mid=%00&status=Delivered%00&mobile=%00"),
        ("Big5", b"msgid=%B1b%B8%B9&statusstr=%A1K&mid=%B1b&status=%B8%B9"),
        ("half a character", b"msgid=%E5%B8&statusstr=DELIVRD%F0%9F&StatusFlag=4&status=%C3"),
        ("surrogates", b"msgid=%ED%A0%80&mid=%ED%A0%80&status=%ED%A0%80"),
        ("no escapes", b"msgid=%zz&statusstr=%&status=%1"),
        ("many parameters", b"&".join(b"a=%d" % n for n in range(300))),
        ("one name again and again", b"&".join([b"statusstr=DELIVRD&status=Del&StatusFlag=4"] * 30)),
        ("numbers that are none", b"msgid=1e999&StatusFlag=99999999999999999999&donetime=99999999999999&dlvtime=0"),
        ("a query as long as it may be", b"msgid=" + b"9" * (MOST_QUERY - 6)),
        ("nothing", b""),
    ):
        yield f"{what}, asked", get(f"{path}?{octets.decode()}")
        yield f"{what}, posted", post(path, octets)
    raw = {"raw NULs": b"msgid=\0&\0=\0", "raw octets": bytes(range(256)) * 4, "XML": b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}
    for what, octets in raw.items():
        yield what, post(path, octets)
    yield "UTF-16", post(path, "<message><from>1</from></message>".encode("utf-16"))
    for filler in (b"x", b"%00", b"<", b"a=&"):
        yield f"64 KB of {filler!r}", post(path, (filler * LARGEST)[:LARGEST])
    yield "a query too long", get(f"{path}?{'x' * (MOST_QUERY + 1)}")
    yield "a body too large", post(path, b"x" * (LARGEST + 1))


async def have_sent(make_house: MakeHouse, tmp_path: Path, name: str) -> tuple[Site, str, str]:
    """A site with one account of this plugin and one message that it has: the site, the message, the path of its URL."""
    account, to = ACCOUNTS[name]
    house = await make_house(with_callbacks(str(tmp_path), providers={"a": account}), {"a": {"settle": 10**9} if name != "tatango" else {}})
    id_ = await house.take(to)
    await house.until(id_, "unconfirmed" if name == "tatango" else "sent")
    site = Site(house)
    token = house.query.find_attempts(id_)[0].token
    return site, id_, f"{await site.base()}/{token}" if token else await site.base()


def look(house: House, id_: str) -> Any:
    """Everything of a message that a receipt could change."""
    message = house.query.find_message(id_)
    assert message is not None
    return message.status, message.detail, [(each.state, each.receipt, each.refs) for each in house.query.find_attempts(id_)]


@pytest.mark.parametrize("name", ACCOUNTS)
async def test_nonsense_leaves_no_trace(
    name: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site, id_, path = await have_sent(make_house, tmp_path, name)
    before = look(site.house, id_)
    statuses = []
    for what, data in list_nonsense(path):
        client = Client(await trio.open_unix_socket(site.house.folder / "cb"))
        async with client.stream, trio.open_nursery() as nursery:
            nursery.start_soon(send_anyway, client, data)
            with trio.fail_after(15):
                said = await client.read()
            nursery.cancel_scope.cancel()
        assert said is not None, what
        assert said.status in (200, 400, 413, 414), (what, said.status)
        statuses.append(said.status)
        assert look(site.house, id_) == before, what
    counts = (await site.house.order("callbacks"))["counts"]  # what an operator sees
    assert counts["answered"] == statuses.count(200)
    assert counts["beyond"] == statuses.count(414) == 1
    assert counts["broken"] == statuses.count(413) == 1
    assert counts["unread"] == statuses.count(400)
    assert counts["failed"] == 0
    assert path.split("/")[3] not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", GOOD)
async def test_replays_and_guesses_are_counted(name: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    site, id_, path = await have_sent(make_house, tmp_path, name)
    ref = look(site.house, id_)[2][0][2][0]
    query = GOOD[name].format(ref=ref.replace("#", "%23"))
    base, token = path.rsplit("/", 1)
    guesses = [f"{int(token, 16) ^ 1 << n:040x}" for n in range(0, 128, 8)]
    for guess in guesses:
        assert (await site.call(f"{base}/{guess}?{query.replace(ref, 'nobody')}")).status == 200
    assert look(site.house, id_)[0] == "sent"
    counts = (await site.house.order("callbacks"))["counts"]
    assert (counts["unmatched"], counts["repeated"]) == (len(guesses), 0)
    if name == "mitake":  # what iSMS.gr calls with is asked about before it is believed
        for n in range(5):
            assert (await site.call(f"{path}?{query}")).status == 200
            assert look(site.house, id_)[0] == "delivered"
            assert (await site.house.order("callbacks"))["counts"]["repeated"] == n
    wrong = base[:-1] + ("0" if base[-1] != "0" else "1")
    for n in range(3):
        assert (await site.call(f"{wrong}/{token}?{query}")).status == 404
        assert (await site.house.order("callbacks"))["counts"]["refused"] == n + 1
