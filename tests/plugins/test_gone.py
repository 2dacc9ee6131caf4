"""Who answers that it knows no such message says so, apart from a query that failed: a table over the plugins that are asked."""

import pytest

from broker.provider.contract import Ask, Reply, Secret
from broker.provider.registry import load_plugin

ASK = Ask("m/1", ("77",), "+393351234567", "k", 0)
ANSWERS = [
    ("isms", b"Error: No such message or recipient.", True),
    ("isms", b"Error: Authentication error.", False),
    ("isms", b"Status: Delivered", False),
    ("isms", b"", False),
    ("mitake", b"88\t4\t20261121200000", True),
    ("mitake", b"77\t4\t20261121200000", False),
    ("mitake", b"statuscode=e\r\n", False),
    ("mitake", b"", False),
    ("subito", b'{"data":[{"id":"77","messages":[]}]}', True),
    ("subito", b'{"data":[]}', False),
    ("subito", b'{"error":{"message":"x","code":4}}', False),
]


@pytest.mark.parametrize(("name", "body", "is_gone"), ANSWERS)
def test_gone(name: str, body: bytes, is_gone: bool) -> None:
    plugin = load_plugin(name)
    config = plugin.config_type(username="demo", password=Secret("demo"))
    assert plugin.parse_query is not None
    [receipt] = plugin.parse_query(config, Reply(200, {}, body), [ASK])
    assert receipt.gone is is_gone
    assert receipt.class_ == "query_error" or not is_gone
