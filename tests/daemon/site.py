"""A house whose providers call back: what the tests of callbacks share."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

from tests.api.web_rig import Client, Said, get
from tests.daemon.house import House, Toml, rule

PUSHY = str(Path(__file__).with_name("pushy.py"))
GIVEN = "given-secret-0123456789abcdef"
PUBLIC = "https://sms.example.org/in"
Names = tuple[str, ...]


def pushy(**more: Any) -> Toml:
    return {"plugin": PUSHY, **more}


def with_callbacks(tmp: str, *, names: Names = ("a",), providers: Toml | None = None, **more: Any) -> Toml:
    found = providers if providers is not None else {name: pushy() for name in names}
    return {
        "callbacks": {"listen": f"unix:{tmp}/cb", "public_url": PUBLIC},
        "providers": found,
        "rules": [rule(*found)] if found else [],
        **more,
    }


class Site:
    """A house whose providers call back."""

    def __init__(self, house: House) -> None:
        self.house = house

    def sends(self, name: str = "a") -> list[Any]:
        session: Any = self.house.ex.lanes[name].carrier.session
        return list(session.sends)

    async def find_urls(self) -> dict[str, str]:
        answer = await self.house.order("callbacks")
        assert answer["ok"], answer
        urls: dict[str, str] = answer["callbacks"]
        return urls

    async def base(self, name: str = "a") -> str:
        """The path of an account's URL as it comes in here: the proxy at the public address takes its own part away."""
        return path_of((await self.find_urls())[name])

    async def call(self, target: str, data: bytes | None = None) -> Said:
        """One request to the door on a connection of its own."""
        client = Client(await trio.open_unix_socket(self.house.folder / "cb"))
        async with client.stream:
            said = await client.ask(get(target) if data is None else data)
            assert said is not None
            return said

    async def sent(self, **more: Any) -> tuple[str, str]:
        """A message that its provider has: its id, and the path of the URL that the provider was told."""
        id_ = await self.house.take(**more)
        await self.house.until(id_, "sent")
        url = next(send.callback_url for send in self.sends() if send.message.id == id_)
        return id_, path_of(url)


def path_of(url: str) -> str:
    assert url.startswith(f"{PUBLIC}/cb/")
    return urlsplit(url.removeprefix(PUBLIC)).path
