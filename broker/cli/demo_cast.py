"""The demo's cast: its configuration, its simulated providers, its messages. Values only: nothing here runs or prints.

The prices, senders and numbers are invented, and nothing leaves the machine.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from broker.provider.contract import Twin

PASSWORD = "only-for-the-demo"  # noqa: S105 - what the simulated accounts know; no account anywhere has it
QUERY = ["1s", "2s", "5s"]
EURO = {"EUR": Decimal(1), "TWD": Decimal("0.029"), "USD": Decimal("0.86")}
"""What one unit of each currency is worth in [broker].currency."""

TITLES = {"mitake": "Mitake, Taiwan", "tatango": "Tatango, USA", "isms": "iSMS, Greece", "subito": "SubitoSMS, Italy"}


class Order(NamedTuple):
    """One message of the batch, with the key that makes a second submit of it harmless."""

    key: str
    to: str
    country: str
    text: str


_NUMBERS = {
    "TW": [f"+8869120045{n}" for n in range(11, 22)],
    "GR": [f"+3069100045{n}" for n in range(11, 16)],
    "US": [f"+120255501{n}" for n in range(11, 16)],  # 555-01xx is kept for stories such as this one
    "IT": [f"+3934000045{n}" for n in range(11, 15)],
    "FR": [f"+336390045{n}" for n in range(11, 13)],
    "DE": ["+4915550004511"],
}
_FIRST_WAVE = "TW US GR IT TW US GR FR TW US GR IT TW US GR DE TW US GR IT TW FR IT TW"
_TEXTS = {
    "TW": "您的包裹已送達門市，請攜帶證件領取。",
    "GR": "Η παραγγελία σας είναι έτοιμη.",
    "IT": "Il suo ordine è pronto per il ritiro.",
    "FR": "Votre colis vous attend à notre comptoir. Vous pouvez le retirer du lundi au samedi, de 9 heures à 19 heures, sur"
    " présentation de ce message et d'une pièce d'identité à votre nom.",  # two segments
    "DE": "Ihre Bestellung ist abholbereit.",
}


def _make_orders(countries: Iterable[str]) -> list[Order]:
    left = {country: iter(numbers) for country, numbers in _NUMBERS.items()}
    orders = []
    for n, country in enumerate(countries, 1):
        text = _TEXTS.get(country, "Your order is ready.")
        orders.append(Order(f"order-{n}", next(left[country]), country, text))
    return orders


_ALL = _make_orders([*_FIRST_WAVE.split(), "TW", "TW", "TW", "TW"])
FIRST, SECOND = _ALL[:-4], _ALL[-4:]
"""The batch, and what is submitted once Mitake works again."""


def make_request(order: Order) -> dict[str, object]:
    """The line that submits it."""
    return {"to": order.to, "text": order.text, "key": order.key, "ref": order.key, "tags": ["demo"]}


def make_twins() -> dict[str, "Twin"]:
    """The four providers, simulated: each with credit for much more than the batch, and nothing wrong yet."""
    from broker.provider.registry import load_plugin

    account: dict[str, Any] = {"username": "demo", "password": PASSWORD}
    return {
        "mitake": load_plugin("mitake").twin_type(balance=100, **account),
        "tatango": load_plugin("tatango").twin_type(key="demo", password=PASSWORD),
        "isms": load_plugin("isms").twin_type(balance=100, **account),
        "subito": load_plugin("subito").twin_type(balance=100, **account),
    }


def begin_trouble(twins: Mapping[str, Any]) -> None:
    """What the providers are going to do to the batch."""
    twins["mitake"].answers = ["1", "1", "1", "r", "r", "r"]  # three taken, then `system out of service`
    twins["isms"].balance = Decimal(5)  # somebody else spends from the same account
    twins["tatango"].answers = ["200", "200", "late"]  # the third is taken, and its answer comes in ten minutes


def write_config(folder: Path, urls: Mapping[str, str]) -> Path:
    """A broker.toml in `folder`, with every provider at the address of its twin."""
    import tomli_w

    file = folder / "broker.toml"
    file.write_text(tomli_w.dumps(_make_config(urls)))
    return file


def _make_config(urls: Mapping[str, str]) -> dict[str, Any]:
    account = {"username": "demo", "password": PASSWORD, "receipt_wait": "12s", "query": QUERY}
    return {
        "broker": {"name": "demo", "data_dir": "./var", "drain": "2s"},
        "submit": {"socket": "./submit.sock"},
        "control": {"socket": "./control.sock"},
        "feed": {"listen": "unix:./feed.sock"},
        "currencies": {name: str(rate) for name, rate in EURO.items() if name != "EUR"},
        "providers": {
            "mitake": {
                **{"plugin": "mitake", "url": urls["mitake"], "api": "mtk", **account},
                **{"currency": "TWD", "prices": {"TW": "0.90"}, "rate": "3/s"},
                "breaker": {"failures": 3, "open": "5s"},
            },
            "tatango": {
                **{"plugin": "tatango", "url": urls["tatango"], "key": "demo", "password": PASSWORD},
                **{"currency": "USD", "prices": {"US": "0.0075"}, "rate": "1/s"},
            },
            "isms": {
                **{"plugin": "isms", "url": urls["isms"], **account},
                **{"sender": "DEMO", "prices": {"GR": "0.035", "*": "0.06"}, "rate": "4/s"},
            },
            "subito": {
                **{"plugin": "subito", "url": urls["subito"], **account},
                **{"sender": "DEMO", "prices": {"IT": "0.045", "*": "0.07"}, "rate": "2/s"},
            },
        },
        "rules": [
            {"name": "taiwan", "match": {"country": "TW"}, "use": ["mitake", "isms", "subito"], "on": {"unavailable": "next"}},
            {"name": "america", "match": {"country": "US"}, "use": ["tatango", "subito"]},
            {"name": "cheapest", "use": ["isms", "subito"], "order": "cheapest"},
        ],
    }


def count_copies(twins: Mapping[str, "Twin"], to: str) -> dict[str, int]:
    """How many messages for `to` (E.164) each provider's own books show, those with none left out."""
    # Each provider writes a number its own way (09…, ten digits); the last nine digits are in all of them, and differ here.
    found = {name: sum(number.endswith(to[-9:]) for number, _, _ in twin.sent) for name, twin in twins.items()}
    return {name: count for name, count in found.items() if count}
