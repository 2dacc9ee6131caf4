"""Secrets: where they may come from, what is refused, and that they appear nowhere."""

import os
from pathlib import Path

import msgspec
import pytest
from rich.pretty import pretty_repr

from broker.config import ConfigError, changes, check_settings, effective, read_settings
from broker.words.secret import Secret
from broker.words.settings import Settings
from tests.config.desk import CANARY, faults, find_plugin, read, write

HEAD = '[providers.a]\nplugin = "post"\nusername = "u"\n'


def password_of(settings: Settings) -> str:
    secret = settings.providers["a"].config.password
    assert isinstance(secret, Secret)
    return secret.reveal()


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def test_from_the_environment(tmp_path: Path) -> None:
    assert password_of(read(tmp_path, HEAD + 'password = { env = "PW" }\n', environ={"PW": " s "})) == " s "


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n"])
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o400, 0o440])
def test_from_a_file_beside_the_configuration(tmp_path: Path, content: bytes, mode: int) -> None:
    put(tmp_path / "pw", content, mode)
    assert password_of(read(tmp_path, HEAD + 'password = { file = "pw" }\n')) == "s3cret"


def test_only_one_line_end_is_taken_off(tmp_path: Path) -> None:
    put(tmp_path / "pw", b" s3cret \n\n")
    assert password_of(read(tmp_path, HEAD + 'password = { file = "pw" }\n')) == " s3cret \n"


def test_from_systemds_credentials(tmp_path: Path) -> None:
    (tmp_path / "cred").mkdir()
    put(tmp_path / "cred" / "pw", b"s3cret\n", 0o444)
    text = HEAD + 'password = { credential = "pw" }\n'
    assert password_of(read(tmp_path, text, environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "cred")})) == "s3cret"


def make_unreadable(folder: Path) -> None:
    put(folder / "wide", b"s3cret\n", 0o644)
    put(folder / "run", b"s3cret\n", 0o700)
    put(folder / "empty", b"\n")
    put(folder / "binary", b"\xff\xfe")
    put(folder / "huge", b"x" * 70_000)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe", 0o600)


UNREADABLE = [
    ('{ env = "NOPE" }', ["NOPE", "not set"]),
    ('{ env = "EMPTY" }', ["EMPTY", "empty"]),
    ('{ file = "none" }', ["/none", "No such file"]),
    ('{ file = "wide" }', ["0644", "chmod 0640"]),
    ('{ file = "run" }', ["0700", "chmod 0640"]),
    ('{ file = "empty" }', ["empty"]),
    ('{ file = "binary" }', ["not UTF-8"]),
    ('{ file = "huge" }', ["larger"]),
    ('{ file = "folder" }', ["no regular file"]),
    ('{ file = "pipe" }', ["no regular file"]),
    ('{ file = "a\\u0000b" }', ["no path"]),
    ('{ credential = "pw" }', ["$CREDENTIALS_DIRECTORY", "LoadCredential=pw"]),
]


@pytest.mark.parametrize(("source", "words"), UNREADABLE)
def test_one_that_cannot_be_read_is_a_problem_except_for_twins(tmp_path: Path, source: str, words: list[str]) -> None:
    make_unreadable(tmp_path)
    text = HEAD + f"password = {source}\n"
    (problem,) = faults(tmp_path, text, environ={"EMPTY": ""})
    assert (problem.key, problem.line) == ("providers.a.password", 4)
    for word in words:
        assert word in problem.message
    assert "s3cret" not in problem.message
    assert password_of(read(tmp_path, text, twins=True, environ={"EMPTY": ""})) == "twin"


def test_a_credential_is_no_way_out_of_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "pw", b"s3cret")
    (tmp_path / "cred").mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "cred")}
    (problem,) = faults(tmp_path, HEAD + 'password = { credential = "../pw" }\n', environ=environ)
    assert "bare name" in problem.message


def test_twins_need_a_secret_to_be_there_all_the_same(tmp_path: Path) -> None:
    assert [problem.key for problem in faults(tmp_path, HEAD, twins=True)] == ["providers.a.password"]


def test_any_key_may_come_from_outside_and_twins_do_without_it(tmp_path: Path) -> None:
    text = (
        HEAD.replace('"u"', '{ env = "U" }')
        + 'password = "p"\nurl = { env = "URL" }\napi = { env = "API" }\nport = { env = "PORT" }\nsender = { env = "SENDER" }\n'
        + 'rate = { env = "RATE" }\nheaders = { auth = { env = "U" } }\nkeys = [{ env = "U" }]\n'
    )
    environ = {"U": "me", "URL": "https://x", "API": "old", "PORT": "8080", "SENDER": "ACME", "RATE": "5/s"}
    provider = read(tmp_path, text, environ=environ).providers["a"]
    assert (provider.config.username, provider.config.api, provider.config.port) == ("me", "old", 8080)
    assert (provider.config.headers, provider.config.keys) == ({"auth": "me"}, (Secret("me"),))
    assert (provider.sender, provider.rate is not None) == ("ACME", True)
    twin = read(tmp_path, text, twins=True).providers["a"]
    assert (twin.config.username, twin.config.api, twin.config.port, twin.rate) == ("twin", "new", None, None)
    assert {problem.key for problem in faults(tmp_path, text)} == {
        *(f"providers.a.{key}" for key in ("username", "url", "api", "port", "sender", "rate", "headers.auth", "keys[0]")),
    }


def test_secrets_of_files_are_read_again_and_their_change_is_a_change(tmp_path: Path) -> None:
    text = HEAD + 'password = { file = "pw" }\n'
    put(tmp_path / "pw", b"one")
    old = read(tmp_path, text)
    put(tmp_path / "pw", b"two")
    new = read(tmp_path, text)
    assert changes(old, new) == ["providers.a.password"]
    assert old.hash == new.hash


# ---- nowhere


EVERYWHERE = f"""
[broker]
name = {{ env = "C" }}
[tokens.t]
sha256 = {{ env = "H" }}
[clients.t]
senders = [{{ env = "S" }}]
[providers.a]
plugin = "post"
username = {{ env = "C" }}
password = "{CANARY}"
headers = {{ Authorization = {{ env = "C" }} }}
keys = ["{CANARY}", {{ env = "C" }}]
class = {{ env = "C" }}
sender = {{ env = "S" }}
callback_secret = {{ env = "C" }}
[[rules]]
name = {{ env = "C" }}
match = {{ tag = {{ env = "C" }}, text = [{{ env = "C" }}] }}
use = ["a"]
"""
ENVIRON = {"C": CANARY, "H": "c4" * 32, "S": "c4n4ry"}


def test_a_canary_is_in_no_repr_and_no_effective_output(tmp_path: Path) -> None:
    settings = read(tmp_path, EVERYWHERE, environ=ENVIRON)
    assert settings.providers["a"].config.username == CANARY
    told = [
        effective(settings),
        repr(settings),
        str(settings),
        pretty_repr(settings),
        repr(settings.providers),
        *map(str, check_settings(settings, find_plugin)),
        *changes(settings, read(tmp_path, "")),
    ]
    for text in told:
        assert CANARY not in text
        assert "c4n4ry" not in text
        assert "c4c4" not in text
    assert effective(settings).count("***") == 14
    assert CANARY.encode() not in msgspec.json.encode(settings.providers["a"].callback_secret, enc_hook=str)


C = '{ env = "C" }'
WRONG = [
    HEAD + f"password = {C}\nunknown_key = {C}\n",
    HEAD + f"password = {C}\napi = {C}\nport = {C}\npause = {C}\nspeed = {C}\nheaders = {C}\nkeys = {C}\n",
    HEAD + f"password = {C}\nurl = {C}\n",  # the plugin's own message quotes it
    HEAD + f'password = "{CANARY}"\nurl = "http://x"\n',
    HEAD + f'password = ["{CANARY}"]\n',
    HEAD + f'password = {{ env = "C", file = "{CANARY}" }}\n',
    HEAD + f'password = {{ value = "{CANARY}" }}\n',
    HEAD + f'pasword = "{CANARY}"\n',
    HEAD + f'password = "x"\nmodes = ["{CANARY}"]\n',
    HEAD + f'password = "x"\nport = "{CANARY}"\nheaders = "{CANARY}"\n',
    HEAD + f'password = "x"\nheaders = {{ a = ["{CANARY}"] }}\n',
    HEAD + f'password = "{CANARY}\n',
    HEAD + f'password = "{CANARY}" "{CANARY}"\n',
    HEAD + f'password = "{CANARY}"\npassword = "{CANARY}"\n',
    HEAD + f'callback_secret = ["{CANARY}"]\n',
    f'[tokens.t]\nsha256 = "{CANARY}"\n',
    f'[store]\nurl = "postgresql://me:{CANARY}@db/x"\n',
    f'[store]\nurl = "mysql://me:{CANARY}@db/x"\n',
    f'[clients.x]\nwebhook_secret = ["{CANARY}"]\nwebhook = "http://x/{CANARY}"\n',
    f'[inbound]\nsecret = "{CANARY}"\n',
    f'[[inbound]]\nsecret = "{CANARY}"\nexec = "{CANARY}"\n',
    f'[[inbound]]\nto = "https://x:y/{CANARY}"\n',
    f'[[inbound]]\nto = "http://x/?{CANARY}"\nsecret = "whsec_{CANARY}!"\n',
    f"[providers.x]\nplugin = {C}\n",
    *(
        f"[broker]\n{key} = {C}\n" for key in ("default_country", "currency", "plugin_path", "drain", "log")
    ),
    *(f"[submit]\n{key} = {C}\n" for key in ("mode", "max_segments", "max_queued")),
    *(f"[store]\n{key} = {C}\n" for key in ("url", "keep")),
    f'[feed]\nlisten = {C}\nkeep = {C}\nrequire_token = {C}\n[suppress]\nscope = {C}\n',
    f"[currencies]\nUSD = {C}\n[groups]\nx = [{C}]\n[clients.x]\nrate = {C}\nsenders = [{C}]\ncountries = [{C}]\n",
    *(
        f'[providers.x]\nplugin = "free"\n{key} = {C}\n'
        for key in ("rate", "sender", "batch", "timeout", "query", "currency", "prices.TW", "credit.low", "spend.max", "codes.a")
    ),
    *(
        f'[providers.x]\nplugin = "free"\n[[rules]]\nuse = ["x"]\n{key} = {C}\n'
        for key in ("order", "max_price", "validity", "on.rejected", "else", "match.country", "match.time", "match.type")
    ),
    f'[providers.x]\nplugin = "free"\n[[rules]]\nuse = ["x", {C}]\n',
    f'[providers.x]\nplugin = "free"\n[[rules]]\nuse = ["x"]\nmatch = {{ text = [{C}] }}\n',
]


@pytest.mark.parametrize("text", WRONG)
def test_a_canary_is_in_no_problem(tmp_path: Path, text: str) -> None:
    environ = {"C": f"({CANARY}"}  # no regular expression either
    with pytest.raises(ConfigError) as refused:
        read_settings(write(tmp_path, text), plugins=find_plugin, environ=environ)
    told = str(refused.value) + repr(refused.value.problems)
    assert CANARY not in told
    assert refused.value.__cause__ is None


def test_a_number_where_a_secret_belongs_is_not_quoted(tmp_path: Path) -> None:
    for key in ("password", "callback_secret"):
        assert "918273" not in str(faults(tmp_path, HEAD + f"{key} = 918273\n"))
