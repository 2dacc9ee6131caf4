"""`broker audit` shows what was ordered, from the store, and `broker verify` what was changed in it afterwards (S17)."""

import sqlite3

import pytest

from broker.store.audit import add_record
from broker.store.sqlite import open_connection
from tests.cli.office import Desk

ORDER = {"at": "2026-12-01T08:30:00.125Z", "user": "unix:ann", "uid": 1001, "pid": 4711, "op": "cancel", "provider": "mitake", "all": True}


@pytest.fixture
def kept(desk: Desk) -> Desk:
    """A desk with a store in which two orders stand, the second without its end."""
    (desk.home / "var").mkdir()
    conn = open_connection(desk.home / "var" / "broker.db")
    add_record(conn, {**ORDER, "config": "abc"})
    add_record(conn, {"at": "2026-12-01T08:30:01.000Z", "of": 1, "result": "done", "count": 1234, "config": "def"})
    add_record(conn, {"at": "2026-12-01T08:31:00.000Z", "user": "signal", "uid": None, "pid": None, "op": "stop", "config": "def"})
    conn.close()
    return desk


def test_the_table(kept: Desk) -> None:
    ran = kept.run("audit")
    assert ran.code == 0
    head, first, second, last = ran.out.splitlines()
    assert head.split() == ["n", "when", "(UTC)", "user", "process", "order", "of", "what", "result", "configuration"]
    cells = [cell for cell in first.split("  ") if cell]
    assert [cell.strip() for cell in cells] == [
        *("1", "2026-12-01 08:30:00.125", "unix:ann", "4711 (uid 1001)", "cancel", "provider=mitake all", "done (1,234)", "abc, then def")
    ]
    assert second.split() == ["3", "2026-12-01", "08:31:00", "signal", "-", "stop", "-", "-", "def"]
    assert last.startswith("the chain ends with record 3, link ")


def test_as_json(kept: Desk) -> None:
    found = kept.run("audit", "--last", "1", "--json").json
    assert (found["ok"], [row["op"] for row in found["audit"]], found["head"]["n"]) == (True, ["stop"], 3)
    assert found["audit"][0]["link"] == found["head"]["link"]


def test_a_forged_order_is_told_by_verify(kept: Desk) -> None:
    assert kept.run("verify").code == 0
    assert "3 records of the audit" in kept.run("verify").out
    conn = sqlite3.connect(kept.home / "var" / "broker.db")
    (guard,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = 'audit_no_update'").fetchone()
    conn.executescript("DROP TRIGGER audit_no_update; UPDATE audit SET body = replace(body, 'ann', 'bob')")
    conn.execute(guard)
    conn.close()
    ran = kept.run("verify")
    assert ran.code == 1
    assert "record 1 is not what was written" in ran.out


def test_without_orders_and_without_a_store(desk: Desk) -> None:
    assert desk.run("audit").code == 1
    assert desk.run("audit", "--last", "none").code == 2
    (desk.home / "var").mkdir()
    open_connection(desk.home / "var" / "broker.db").close()
    assert desk.run("audit").out == "nothing was ever ordered\n"
