"""A secret prints nowhere: not by repr, str, format, logging, encoding, copying to disk, nor in what holds it (promise 16)."""

import copy
import io
import json
import logging
import pickle
import traceback

import msgspec
import pytest

from broker.words.secret import Secret

CANARY = "c4n4ry-hunter2"


class Config(msgspec.Struct, frozen=True):
    """As a plugin's Config holds one."""

    username: str
    password: Secret


SECRET = Secret(CANARY)
HELD = Config("me", SECRET)

SHOWN = {
    "repr": lambda: repr(SECRET),
    "str": lambda: str(SECRET),
    "format": lambda: f"{SECRET}",
    "format with a width": lambda: f"{SECRET:>40}",
    "format by conversion": lambda: f"{SECRET!r} {SECRET!s} {SECRET!a}",
    "percent": lambda: "%s %r" % (SECRET, SECRET),  # noqa: UP031  # the old form is what logging uses
    "join": lambda: repr([SECRET, {"password": SECRET}, (SECRET,)]),
    "the struct that holds it": lambda: repr(HELD),
    "asdict": lambda: repr(msgspec.structs.asdict(HELD)),
    "pickle": lambda: repr(pickle.dumps(SECRET)),
    "pickle of the struct": lambda: repr(pickle.dumps(HELD)),
    "state": lambda: repr(SECRET.__getstate__()),  # type: ignore[func-returns-value]  # that there is none is the point
    "json with repr": lambda: json.dumps({"password": SECRET}, default=repr),
    "msgspec with str": lambda: msgspec.json.encode(HELD, enc_hook=str).decode(),
}


@pytest.mark.parametrize("how", SHOWN)
def test_never_shown(how: str) -> None:
    assert CANARY not in SHOWN[how]()


def test_encoders_refuse_it() -> None:
    for encode in (json.dumps, msgspec.json.encode, msgspec.msgpack.encode):
        with pytest.raises(TypeError) as raised:
            encode(SECRET)
        assert CANARY not in "".join(traceback.format_exception(raised.value))


def test_never_logged() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("canary")  # one of its own, that no other test hears
    logger.addHandler(handler)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("password=%s %r", SECRET, HELD)
    assert "***" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_the_value_is_there_for_the_wire() -> None:
    assert SECRET.reveal() == CANARY
    assert Secret(CANARY) == SECRET
    assert SECRET != CANARY
    assert len({SECRET, Secret(CANARY), Secret("other")}) == 2
    assert not Secret("")


def test_a_copy_is_the_secret_itself() -> None:
    assert copy.copy(SECRET).reveal() == CANARY
    assert copy.deepcopy(HELD).password.reveal() == CANARY
    assert pickle.loads(pickle.dumps(SECRET)).reveal() == "***"  # noqa: S301  # made one line above
