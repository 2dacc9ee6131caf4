"""The secrets in callback URLs: made, given, changed and kept; and accounts that come and go."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from trio.testing import MockClock

from broker.delivery.callbacks import OVERLAP
from tests.api.web_rig import Client, get
from tests.daemon.conftest import MakeHouse, MakeSite
from tests.daemon.house import loopback, rule
from tests.daemon.site import GIVEN, PUBLIC, Site, path_of, pushy, with_callbacks


async def test_the_url_for_the_panel(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site(providers={"a": pushy(), "b": pushy(callback_secret=GIVEN), "deaf": loopback()})
    urls = await site.find_urls()
    assert urls == {"a": urls["a"], "b": f"{PUBLIC}/cb/b/{GIVEN}"}
    made = urls["a"].rpartition("/")[2]
    assert len(made) == 32
    id_, _ = await site.sent()
    for ref, status in (("P2", "sent"), ("P1", "delivered")):  # as a panel's URL is called: the provider's id is all that there is
        said = await site.call(f"{path_of(urls['a'])}?status=delivered&ref={ref}")
        assert said.status == 200
        assert site.house.find(id_) == status


async def test_a_made_secret_outlives_a_restart(make_site: MakeSite, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    site = await make_site()
    id_, path = await site.sent()
    before = await site.find_urls()
    await site.house.stop()
    await site.house.start(nursery)
    assert await site.find_urls() == before
    assert (await site.call(f"{path}?status=delivered")).status == 200
    await site.house.until(id_, "delivered", within=0)


async def test_a_secret_is_rotated_with_an_overlap(make_site: MakeSite, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    site = await make_site()
    id_, path = await site.sent()
    old = await site.base()
    answer = await site.house.order("callbacks", action="rotate", name="a")
    new = path_of(answer["callbacks"]["a"])
    assert new != old
    assert set(answer["former_until"]) == {"a"}
    for base in (old, new):
        assert (await site.call(f"{base}?status=progress")).status == 200
    await site.house.stop()
    await site.house.start(nursery)
    assert (await site.call(f"{path}?status=delivered")).status == 200  # a call under way still names the old one
    await site.house.until(id_, "delivered", within=0)
    _, later = await site.sent()
    assert later.startswith(new)
    site.house._zero -= OVERLAP  # a week later
    assert [(await site.call(f"{base}?status=progress")).status for base in (old, new)] == [404, 200]
    assert (await site.house.order("callbacks"))["former_until"] == {}


async def test_of_three_secrets_the_first_is_dead(make_site: MakeSite, autojump_clock: MockClock) -> None:
    site = await make_site()
    bases = [await site.base()]
    for _ in range(2):
        await site.house.order("callbacks", action="rotate", name="a")
        bases.append(await site.base())
    assert [(await site.call(f"{base}?status=progress")).status for base in bases] == [404, 200, 200]


UNTURNED = [("b", "bad_request", "callback_secret"), ("x", "not_found", "a, b"), (None, "not_found", "a, b")]


@pytest.mark.parametrize(("name", "code", "word"), UNTURNED)
async def test_what_cannot_be_rotated(make_site: MakeSite, autojump_clock: MockClock, name: str | None, code: str, word: str) -> None:
    site = await make_site(providers={"a": pushy(), "b": pushy(callback_secret=GIVEN), "deaf": loopback()})
    answer = await site.house.order("callbacks", action="rotate", name=name)
    assert answer["error"]["code"] == code
    assert word in answer["error"]["message"]


async def test_a_secret_changed_in_the_file(make_site: MakeSite, autojump_clock: MockClock, tmp_path: Path, nursery: trio.Nursery) -> None:
    site = await make_site()
    house = site.house

    def accept(*secrets: str) -> Any:
        return [site.call(f"/cb/a/{secret}?status=progress") for secret in secrets]

    made = (await site.base()).rpartition("/")[2]
    other = "other-secret-0123456789abcdef"
    for given, expected in [(GIVEN, [200, 200, 404]), (other, [404, 200, 200])]:
        house.write(with_callbacks(str(tmp_path), providers={"a": pushy(callback_secret=given)}))
        assert (await house.order("reload"))["ok"]
        assert await site.base() == f"/cb/a/{given}"
        assert [(await each).status for each in accept(made, GIVEN, other)] == expected
        await house.order("reload")  # the same once more changes nothing
        assert [(await each).status for each in accept(made, GIVEN, other)] == expected
    await house.stop()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.name.startswith("broker.db"))
    assert GIVEN.encode() not in stored  # what stands in the file is known by its digest
    await house.start(nursery)
    assert [(await each).status for each in accept(made, GIVEN, other)] == [404, 200, 200]


async def test_one_that_is_gone_is_heard_until_its_attempts_are_final(
    make_site: MakeSite, autojump_clock: MockClock, tmp_path: Path
) -> None:
    site = await make_site(names=("a", "b"))
    house = site.house
    id_, path = await site.sent(provider="a")
    house.write(with_callbacks(str(tmp_path), names=("b",)))
    assert (await house.order("reload"))["ok"]
    assert set(await site.find_urls()) == {"b"}
    assert (await site.call(f"{path}?status=progress")).status == 200
    assert (await site.call(f"{path}?status=delivered")).status == 200
    await house.until(id_, "delivered", within=0)
    assert (await site.call(f"{path}?status=delivered")).status == 404
    house.write(with_callbacks(str(tmp_path), names=("a", "b")))
    assert (await house.order("reload"))["ok"]
    assert path.startswith(await site.base())  # back again, it is the same account with the same URL
    assert (await site.call(f"{path}?status=delivered")).status == 200


async def test_a_new_account_is_told_its_url_from_the_first_message_on(
    make_site: MakeSite, autojump_clock: MockClock, tmp_path: Path
) -> None:
    site = await make_site()
    house = site.house
    house.write(with_callbacks(str(tmp_path), names=("a", "c"), rules=[rule("c")]))
    assert (await house.order("reload"))["ok"]
    id_ = await house.take()
    await house.until(id_, "sent")
    path = path_of(site.sends("c")[0].callback_url)
    assert (await site.call(f"{path}?status=delivered")).status == 200
    await house.until(id_, "delivered", within=0)


async def test_an_address_of_its_own_where_none_is_given(make_house: MakeHouse, autojump_clock: MockClock) -> None:
    house = await make_house({"callbacks": {"listen": "127.0.0.1:0"}, "providers": {"a": pushy()}, "rules": [rule("a")]})
    site = Site(house)
    url = urlsplit((await site.find_urls())["a"])
    assert url.hostname == "127.0.0.1"
    assert f"{url.hostname}:{url.port}" == house.daemon.callback_addresses[0]
    client = Client(await trio.open_tcp_stream("127.0.0.1", url.port or 0))
    async with client.stream:
        said = await client.ask(get(f"{url.path}?status=progress"))
        assert said is not None
        assert said.status == 200
