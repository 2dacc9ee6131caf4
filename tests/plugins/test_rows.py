"""The counter of rows: each row of each table in `golden` is said by a twin and read by its plugin; how many are is counted and shown.

Fails where a table has no game that plays it, and where a row of it does not come to light as it stands there.
"""

from collections.abc import Callable
from typing import Any

import trio
from trio.testing import MockClock

from broker.provider.smpp_twin import SmscTwin
from tests.plugins import golden
from tests.plugins import test_golden as games
from tests.plugins.test_smscru import PLUGIN, make, make_config, make_twin
from tests.plugins.test_smscru_web import URL as SMSCRU_URL
from tests.plugins.test_smscru_web import reach as reach_smscru
from tests.smpp_session.rig import bound, make_valid

Seen = dict[str, str]


def trouble() -> Seen:
    return {code: class_ for config in games.APIS for code, class_ in games.trouble_mitake(config).items()}


def words() -> dict[str, tuple[str, str]]:
    """statusstr → (the flags it came with, its one class)."""
    found = games.call_from_mitake(games.APIS[0])
    return {word: (" ".join(sorted(flag for flag, _ in pairs)), max(class_ for _, class_ in pairs)) for word, pairs in found.items()}


# each table's games, one for each of the provider's protocols
GAMES: dict[str, list[Callable[[], dict[str, Any]]]] = {
    "MITAKE_SEND": [lambda: games.send_at_mitake(games.APIS[0]), lambda: games.send_at_mitake(games.APIS[1])],
    "MITAKE_FATES": [lambda: games.ask_at_mitake(games.APIS[0]), lambda: games.ask_at_mitake(games.APIS[1])],
    "MITAKE_TROUBLE": [trouble],
    "MITAKE_WORDS": [words],
    "TATANGO_SEND": [games.send_at_tatango],
    "ISMS_SEND": [lambda: games.send_at_isms(games.ISMS[0]), lambda: games.send_at_isms(games.ISMS[1])],
    "ISMS_QUERY": [lambda: games.ask_at_isms(games.ISMS[0], "sms"), lambda: games.ask_at_isms(games.ISMS[1], "sms")],
    "ISMS_LOOKUP": [lambda: games.ask_at_isms(games.ISMS[0], "hlr"), lambda: games.ask_at_isms(games.ISMS[1], "hlr")],
    "ISMS_CONTACT": [games.change_contacts_at_isms],
    "SUBITO_SEND": [lambda: games.send_at_subito(games.SUBITO[0]), lambda: games.send_at_subito(games.SUBITO[1])],
    "SUBITO_FATES": [lambda: games.ask_at_subito(games.SUBITO[0]), lambda: games.ask_at_subito(games.SUBITO[1])],
    "SMSCRU_WEB": [lambda: refuse_at_smscru()],
}


def refuse_at_smscru() -> Seen:
    assert PLUGIN.build
    assert PLUGIN.parse
    seen, config, send = Seen(), make_config(http_url=SMSCRU_URL), make("", "hlr", to="+79161234567")
    for code in golden.SMSCRU_WEB:
        (outcome,) = PLUGIN.parse(config, reach_smscru(make_twin(http_faults=[code]), PLUGIN.build(config, [send], 0)), [send])
        seen[str(outcome.code)] = outcome.class_
    return seen


async def send_over_smpp(plugin: Any) -> Seen:
    """Each status alone: one of them says that we are not bound, and the link goes."""
    seen: Seen = {}
    for code in golden.SMPP_SEND:
        async with bound(SmscTwin(answers=[code]), plugin=plugin) as rig:
            (outcome,) = await rig.submit(make_valid())
            seen[outcome.code or "0x00"] = outcome.class_
    return seen


async def hear_over_smpp(stat: str, **script: Any) -> str:
    """The class of the receipt with this `stat`."""
    async with bound(make_twin(receipts=[stat], **script), plugin=PLUGIN) as rig:
        await rig.send()
        await trio.sleep(1)
        (receipt,) = rig.port.receipts
        return str(receipt.class_)


def list_tables() -> dict[str, dict[str, Any]]:
    """Every table of `golden`, by its name."""
    tables = {name: table for name, table in vars(golden).items() if name.isupper() and isinstance(table, dict)}
    return tables | {"MITAKE_TROUBLE": dict.fromkeys(golden.MITAKE_TROUBLE, "query_error")}


async def play_smpp() -> dict[str, list[dict[str, Any]]]:
    """The games that need a session."""
    return {
        "SMPP_SEND": [await send_over_smpp(PLUGIN)],
        "SMPP_STATES": [{stat: await hear_over_smpp(stat) for stat in golden.SMPP_STATES}],
        "SMSCRU_REASONS": [{error: await hear_over_smpp("UNDELIV", error=error) for error in golden.SMSCRU_REASONS}],
    }


async def test_every_row_of_every_table_is_exercised(autojump_clock: MockClock, record_property: Callable[[str, object], None]) -> None:
    tables = list_tables()
    played = {name: [play() for play in plays] for name, plays in GAMES.items()} | await play_smpp()
    assert played.keys() == tables.keys(), "a table without a game, or a game without a table"
    missing = [
        (name, row)
        for name, table in tables.items()
        for seen in played[name]
        for row, class_ in table.items()
        if seen.get(row) != class_
    ]
    count = sum(map(len, tables.values()))
    share = 100 * (count - len({*missing})) / count
    record_property("rows", f"{count - len({*missing})} of {count}")
    print(f"rows exercised: {share:.0f} % of {count}")
    assert share == 100, missing
