"""Our signatures are those of Standard Webhooks: their own library is the oracle."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Oracle

from broker.words.signature import read_key, sign

IDS = st.from_regex(r"[0-9a-f-]{1,60}", fullmatch=True)
BODIES = st.text(st.characters(codec="utf-8"), max_size=200)
SECONDS = st.integers(0, 4_000_000_000)


@given(st.binary(min_size=1, max_size=80), IDS, SECONDS, BODIES)
def test_as_the_oracle(key: bytes, id_: str, second: int, body: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    oracle = Oracle(secret).sign(id_, datetime.fromtimestamp(second, UTC), body)
    assert sign(read_key(secret), id_, second, body.encode()) == oracle


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), IDS, SECONDS, BODIES)
def test_a_plain_secret_is_its_own_bytes(secret: str, id_: str, second: int, body: str) -> None:
    if secret.startswith("whsec_"):
        return
    encoded = base64.b64encode(secret.encode()).decode()
    oracle = Oracle(encoded).sign(id_, datetime.fromtimestamp(second, UTC), body)
    assert sign(read_key(secret), id_, second, body.encode()) == oracle


def test_the_example_of_the_specification() -> None:
    key = read_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    shown = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert shown == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["whsec_", "whsec_?", "whsec_abc", "whsec_a b=", "whsec_é"])
def test_no_base64(secret: str) -> None:
    with pytest.raises(ValueError, match="base64") as refused:
        read_key(secret)
    assert secret not in str(refused.value)
