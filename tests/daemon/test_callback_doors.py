"""Where the callbacks' listener comes from and how long it stays: systemd's socket, a Unix socket, a section that goes."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from trio.testing import MockClock

from tests.api.web_rig import Client, get
from tests.daemon.conftest import MakeHouse, MakeSite
from tests.daemon.house import rule
from tests.daemon.site import Site, pushy, with_callbacks


async def test_an_inherited_socket_is_served(
    make_house: MakeHouse, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = socket.socket()
    inherited.bind(("127.0.0.1", 0))
    inherited.listen()
    port = inherited.getsockname()[1]
    monkeypatch.setattr("broker.daemon.inherit_sockets", lambda: {"callbacks": inherited})
    house = await make_house({"callbacks": {"listen": "192.0.2.1:1"}, "providers": {"a": pushy()}, "rules": [rule("a")]})
    url = urlsplit((await Site(house).find_urls())["a"])
    assert (url.hostname, url.port) == ("127.0.0.1", port)
    client = Client(await trio.open_tcp_stream("127.0.0.1", port))
    async with client.stream:
        said = await client.ask(get(f"{url.path}?status=progress"))
        assert said is not None
        assert said.status == 200


async def test_its_file_goes_with_it(make_site: MakeSite, autojump_clock: MockClock, tmp_path: Path) -> None:
    site = await make_site()
    path = tmp_path / "cb"
    assert path.stat().st_mode & 0o777 == 0o660
    await site.house.stop()
    assert not path.exists()


async def test_a_section_that_goes_ends_the_telling_and_not_the_hearing(
    make_site: MakeSite, autojump_clock: MockClock, tmp_path: Path
) -> None:
    site = await make_site()
    house = site.house
    id_, path = await site.sent()
    settings = with_callbacks(str(tmp_path))
    del settings["callbacks"]
    house.write(settings)
    answer = await house.order("reload")
    assert "callbacks.listen" in answer["restart"]
    late = await house.take(text="another")
    await house.until(late, "sent")
    assert [send.callback_url is None for send in site.sends()] == [False, True]
    answer = await house.order("callbacks")
    assert (answer["ok"], answer["error"]["code"]) == (False, "not_found")
    assert (await site.call(f"{path}?status=delivered")).status == 200  # whoever was told of it before is still heard
    await house.until(id_, "delivered", within=0)
    house.write(with_callbacks(str(tmp_path)))
    assert (await house.order("reload"))["ok"]
    assert path.startswith(await site.base())
