"""The tokens of the feed: compared alike, whichever it is, and never taken from a query (S2)."""

import hmac
from hashlib import sha256

import pytest

from broker.api import tokens
from broker.api.feed_filter import BadAsk, read_ask
from broker.api.tokens import Credential
from broker.words.settings import TokenSettings

KNOWN = {name: TokenSettings(sha256=sha256(name.encode()).hexdigest(), scopes=frozenset({"read"})) for name in ("a", "b", "c")}


@pytest.mark.parametrize("token", ["a", "c", "unknown"])
def test_every_token_is_compared_in_constant_time(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(other)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(tokens, "hmac", type("hmac", (), {"compare_digest": staticmethod(compare)}))
    access = Credential(token, is_local=True).find_access(KNOWN, require_token=False)
    assert (access and access.name) == (token if token in KNOWN else None)
    assert compared == [known.sha256 for known in KNOWN.values()]  # all of them, the first as the last


@pytest.mark.parametrize("name", ["token", "access_token", "bearer"])
def test_a_token_in_the_query_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(BadAsk) as refused:
        read_ask(f"from=0&{name}=s3cret-value")
    assert "s3cret" not in str(refused.value)
