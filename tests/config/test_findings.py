"""What `check` warns of: each finding where it belongs, none where it does not, and never a refusal."""

from pathlib import Path

import pytest

from broker.config import PluginFacts, Problem, check_settings, read_settings
from broker.config.reach import countries_of, covers, find_never
from broker.provider.contract import Traits
from broker.words.settings import Match
from tests.config.desk import FREE, FreeConfig, PostConfig, write

KINDS = {
    "free": FREE,
    "post": PluginFacts(PostConfig, Traits(batch=10, unit="points")),
    "cash": PluginFacts(FreeConfig, Traits(unit="EUR", money=True)),
    "wide": PluginFacts(FreeConfig, Traits(), None, lambda config: Traits(batch=5 if config.answers else 1)),
    "many": PluginFacts(FreeConfig, Traits(channels=frozenset({"sms", "voice", "hlr"}))),
    "calls": PluginFacts(FreeConfig, Traits(channels=frozenset({"voice", "viber"}))),
    "local": PluginFacts(FreeConfig, Traits(countries=frozenset({"US"}))),
}


def find(name: str, path: tuple[str, ...]) -> PluginFacts:
    return KINDS[name]


def warn(folder: Path, text: str) -> list[Problem]:
    settings = read_settings(write(folder, text), plugins=find, environ={})
    found = check_settings(settings, find)
    assert all(problem.severity == "warning" and problem.file == settings.file for problem in found)
    return found


MANY = '[providers.a]\nplugin = "many"\n'
A = '[providers.a]\nplugin = "free"\n'
AB = A + '[providers.b]\nplugin = "free"\n'
POST = '[providers.a]\nplugin = "post"\nusername = "u"\npassword = "p"\n'


HOOK = "[[inbound]]\nto = 'https://example.org/x'\nsecret = 's'\n"


def rules(*lines: str) -> str:
    return "".join(f"[[rules]]\nuse = ['a']\n{line}\n" for line in lines)


QUIET = [
    A,
    AB,
    A + rules("match = { country = 'TW' }", ""),
    A + rules("match = { country = 'TW' }\nelse = 'next-rule'", "match = { country = 'TW' }\nname = 'x'", ""),
    A + rules("match = { country = 'TW', tag = 'a' }", "match = { country = 'TW' }", ""),
    A + rules("match = { prefix = '+8869' }", "match = { prefix = '+886' }", ""),
    A + rules("match = { country = 'SE' }", "match = { prefix = '+886' }", ""),
    A + rules("match = { segments = '>2' }", "match = { segments = '>1' }", ""),
    A + "prices = { TW = '0.05' }\n" + rules("max_price = '0.05'"),
    A + "currency = 'TWD'\nprices = { TW = '1' }\n[currencies]\nTWD = '0.03'\n" + rules("max_price = '0.03'"),
    POST + "batch = 10\ncredit = { low = 5, stop = 5 }\n" + rules("min_credit = 5"),
    POST + 'url = "http://127.0.0.1:8080"\n',
    POST + 'url = "http://localhost"\n',
    POST + 'url = "http://[::1]:80/"\n',
    '[providers.a]\nplugin = "cash"\nprices = { "*" = 1 }\n',
    A + "[feed]\nlisten = '127.0.0.1:1'\nrequire_token = true\n[tokens.x]\nsha256 = '" + "0" * 64 + "'\n[clients.x]\n",
    AB + "enabled = false\n" + rules(""),
    '[providers.a]\nplugin = "wide"\nbatch = 5\nanswers = ["x"]\n',
    MANY + rules("match = { network = '46601' }", ""),
    MANY + "[[rules]]\nuse = ['a', 'a:voice']\ntexts = { voice = 'x {text}' }\n",
    MANY + "[[rules]]\nmatch = { channel = ['hlr', 'voice'] }\nuse = ['a:hlr', 'a:voice']\n[[rules]]\nuse = ['a']\n",
    MANY + "channel_prices = { sms = '0.04', voice = '0.05' }\n[[rules]]\nuse = ['a', 'a:voice']\nmax_price = '0.05'\n",
    A + HOOK + "match = { keyword = 'A' }\n" + HOOK + "match = { keyword = ['A', 'B'] }\n" + HOOK,
    A + HOOK + "match = { to = '1', keyword = 'A' }\n" + HOOK + "match = { to = '1', provider = 'a' }\n",
    A + "[[inbound]]\nexec = ['sh', '-c', 'no such thing']\n",
    A + "[clients.'unix:x']\nwebhook = 'https://x'\nwebhook_secret = 's'\n",
]


@pytest.mark.parametrize("text", QUIET)
def test_nothing_is_said_of_what_may_be_meant(tmp_path: Path, text: str) -> None:
    assert warn(tmp_path, text) == []


LONG = "/" + "x" * 107

# text, then every finding: key, line, words
TABLE: list[tuple[str, list[tuple[str, int | None, str]]]] = [
    ("", [("providers", None, "no provider is enabled")]),
    (A + "enabled = false\n", [("providers", 1, "no provider is enabled")]),
    # rules that can never match
    (A + rules("", ""), [("rules[1].match", 6, 'rules[0] "rule-1"')]),
    (
        A + rules("match = { country = ['TW', 'SE'] }", "\nmatch = { country = 'SE', tag = 'x' }", ""),
        [("rules[1].match", 9, "can never match")],
    ),
    (A + rules("match = { country = 'TW' }", "match = { prefix = '+8869' }", ""), [("rules[1].match", 8, "can never match")]),
    (A + rules("match = { prefix = '+88' }", "match = { prefix = ['+886', '+8869'] }", ""), [("rules[1].match", 8, "never")]),
    (A + rules("match = { segments = '>=2' }", "match = { segments = '3' }", ""), [("rules[1].match", 8, "can never match")]),
    (A + rules("match = { tag = ['a', 'b'] }", "match = { tag = 'b' }", ""), [("rules[1].match", 8, "can never match")]),
    (A + rules("match = { network = '46601' }", ""), [("rules[0].match.network", 5, "known from lookups")]),
    (A + rules("match = { segments = '>6' }", ""), [("rules[0].match.segments", 5, "max_segments")]),
    (A + rules("match = { country = 'SE', prefix = '+886' }", ""), [("rules[0].match.country", 5, "take one of the two")]),
    (A + rules("match = { prefix = '+999' }", ""), [("rules[0].match.prefix", 5, "mend the prefix")]),
    (
        A + rules("match = { channel = 'email', country = 'TW' }", ""),
        [("rules[0].match.country", 5, "no country"), ("rules[0].match.channel", 5, "no provider of this rule")],
    ),
    # channels
    (A + "[[rules]]\nuse = ['a', 'a:voice']\n", [("rules[0].use", 4, '"a:voice" can never serve: the provider sends by sms')]),
    (MANY + "[[rules]]\nuse = ['a', 'a:hlr']\n", [("rules[0].use", 4, "only what is submitted as hlr")]),
    (A + rules("match = { channel = 'voice' }", ""), [("rules[0].match.channel", 5, "no provider of this rule takes")]),
    (
        MANY + "channel_prices = { sms = '0.04', voice = '0.3' }\n[[rules]]\nuse = ['a', 'a:voice']\nmax_price = '0.05'\n",
        [("rules[0].max_price", 6, '"a:voice" can never serve here: it costs at least 0.30')],
    ),
    (
        MANY + "prices = { '*' = '0.04' }\n[[rules]]\nuse = ['a:voice', 'a']\nmax_price = '0.05'\n",
        [("rules[0].max_price", 6, '"a:voice" can never serve here: it has no price')],
    ),
    # providers
    (AB + rules(""), [("providers.b", 3, "no rule uses this provider")]),
    (
        AB + "enabled = false\n[[rules]]\nuse = ['b']\nmatch = { tag = 'x' }\n" + rules(""),
        [("rules[0].use", 7, "every provider here is disabled")],
    ),
    (A + rules("weights = { a = 2 }"), [("rules[0].weights", 5, 'order = "weighted"')]),
    (A + "batch = 2\n", [("providers.a.batch", 3, "at most 1")]),
    ('[providers.a]\nplugin = "wide"\nbatch = 5\n', [("providers.a.batch", 3, "at most 1")]),
    (A + "credit = { stop = 5 }\n", [("providers.a.credit", 3, "tells no credit")]),
    (POST + "credit = { low = 5, stop = 50 }\n", [("providers.a.credit.low", 5, "below stop")]),
    ('[providers.a]\nplugin = "cash"\n', [("providers.a.prices", 1, "write prices")]),
    ('[providers.a]\nplugin = "calls"\nprices = { TW = "1" }\n', [("providers.a.prices", 3, "channel_prices = { viber")]),
    (A + rules("min_credit = 5"), [("rules[0].min_credit", 5, "always passes")]),
    (A + rules("order = 'most_credit'"), [("rules[0].order", 5, "comes last")]),
    (POST + 'url = "http://sms.example.org/x"\n', [("providers.a.url", 5, "to sms.example.org in clear")]),
    (POST + 'url = "HTTP://10.0.0.1"\n', [("providers.a.url", 5, "to 10.0.0.1")]),
    # prices
    (A + rules("max_price = '0.05'"), [("rules[0].max_price", 5, '"a" can never serve here: it has no price')]),
    (
        A + "prices = { TW = '0.06', SE = '0.01' }\n" + rules("match = { country = 'TW' }\nmax_price = '0.05'", ""),
        [("rules[0].max_price", 7, "costs at least 0.06 EUR")],
    ),
    (
        A + "currency = 'TWD'\nprices = { '*' = '2' }\n[currencies]\nTWD = '0.03'\n" + rules("max_price = '0.05'"),
        [("rules[0].max_price", 9, "costs at least 0.06 EUR")],
    ),
    (
        A + "prices = { '+4670' = '0.01', TW = '1' }\n" + rules("match = { country = 'TW' }\nmax_price = '0.05'", ""),
        [("rules[0].max_price", 7, "costs at least 1.00 EUR")],
    ),
    # countries
    (
        "[broker]\ndefault_country = 'GR'\n[groups]\nnordics = ['SE', 'NO']\n"
        + A
        + "prices = { TW = 1, '+1416' = 1, US = 1 }\nsenders = { DE = 'X' }\n"
        + rules("match = { country = ['SE'] }", "match = { prefix = '+886' }"),
        [
            ("broker.default_country", 2, "GR has no route"),
            ("groups.nordics", 4, "NO has no route"),
            ('providers.a.prices."+1416"', 7, "CA has no route"),
            ("providers.a.prices.US", 7, "US has no route"),
            ("providers.a.senders.DE", 8, "DE has no route"),
            ("rules", 9, "any other country than SE, TW has no route"),
        ],
    ),
    (
        '[providers.a]\nplugin = "local"\n[clients."unix:x"]\ncountries = ["TW", "US"]\n' + rules(""),
        [('clients."unix:x".countries', 4, "TW has no route"), ("rules", 5, "any other country than US")],
    ),
    # listeners
    (A + "[feed]\nlisten = '127.0.0.1:1'\nrequire_token = true\n", [("feed.require_token", 5, "nobody can read")]),
    (A + "[callbacks]\nlisten = '127.0.0.1:1'\n", [("callbacks.listen", 4, "write public_url")]),
    (A + "[callbacks]\nlisten = '127.0.0.1:1'\npublic_url = 'http://x.org/'\n", [("callbacks.public_url", 5, "let a proxy speak TLS")]),
    (A + "[clients.x]\n", [("clients.x", 3, "no token has this name")]),
    # what is handed on
    (A + HOOK + HOOK, [("inbound[1].match", 6, "inbound[0] comes first")]),
    (
        A + HOOK + "match = { to = ['+1', '2'], keyword = 'a' }\n" + HOOK + "match = { to = '1', keyword = 'A!', provider = 'a' }\n",
        [("inbound[1].match", 10, "inbound[0] comes first")],
    ),
    (A + "[[inbound]]\nto = 'https://x'\n", [("inbound[0].to", 4, "nobody there can tell")]),
    (A + "[[inbound]]\nexec = ['/nowhere/x']\n", [("inbound[0].exec", 4, "no such program")]),
    (A + "[[inbound]]\nexec = ['sh']\nsecret = 's'\n", [("inbound[0].secret", 5, "no effect with exec")]),
    (A + "[clients.'unix:x']\nwebhook = 'https://x'\n", [('clients."unix:x".webhook', 4, "webhook_secret")]),
    (A + "[clients.'unix:x']\nwebhook_secret = 'x'\n", [('clients."unix:x".webhook_secret', 4, "without webhook")]),
    (A + "[submit]\ngroup = 'no-such-group'\n", [("submit.group", 4, "groupadd --system no-such-group")]),
    (A + f"[control]\nsocket = '{LONG}'\n", [("control.socket", 4, "longer than the 107 bytes")]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=[f"{row[1][0][0]}-{n}" for n, row in enumerate(TABLE)])
def test_a_finding_names_key_line_and_remedy(tmp_path: Path, text: str, expected: list[tuple[str, int | None, str]]) -> None:
    found = warn(tmp_path, text)
    assert [(problem.key, problem.line) for problem in found] == [row[:2] for row in expected], found
    for problem, (_, _, words) in zip(found, expected, strict=True):
        assert words in problem.message


def test_who_else_can_read_or_change_the_file(tmp_path: Path) -> None:
    hook = "[clients.'unix:x']\nwebhook = 'https://x'\nwebhook_secret = { env = 'S' }\n" + HOOK
    settings = read_settings(write(tmp_path, POST + 'keys = ["q"]\n' + hook), plugins=find, environ={"S": "s"})
    (tmp_path / "broker.toml").chmod(0o646)
    assert [(problem.key, problem.line, problem.message[:20]) for problem in check_settings(settings, find)] == [
        ("", None, "anybody can change t"),
        ("providers.a.password", 4, "the value is written"),
        ("providers.a.keys", 5, "the value is written"),
        ("inbound[0].secret", 11, "the value is written"),
    ]
    (tmp_path / "broker.toml").chmod(0o660)
    assert check_settings(settings, find) == []


def test_a_file_that_has_changed_since_gives_no_lines(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, AB + rules("")), plugins=find, environ={})
    write(tmp_path, "# new\n" + AB + rules(""))
    (problem,) = check_settings(settings, find)
    assert (problem.key, problem.line) == ("providers.b", None)


@pytest.mark.parametrize(
    ("prefix", "countries"),
    [("+886", {"TW"}), ("+8869", {"TW"}), ("+1416", {"CA"}), ("+12", {"US"}), ("+800", {""}), ("+999", set()), ("+4477", {"GB"})],
)
def test_which_countries_a_prefix_may_mean(prefix: str, countries: set[str]) -> None:
    assert countries <= countries_of(prefix)
    if prefix not in ("+12", "+4477"):
        assert countries == countries_of(prefix)


def test_the_whole_of_a_shared_code_is_several_countries() -> None:
    assert {"US", "CA", "JM", "PR"} <= countries_of("+1")
    assert countries_of("+1416") == {"CA"}


def test_covering_is_not_claimed_across_different_keys() -> None:
    assert not covers(Match(tag=frozenset({"a"})), Match(client=frozenset({"a"})))
    assert not covers(Match(text=("a",)), Match(text=("aa",)))
    assert covers(Match(), Match(text=("a",)))
    assert not covers(Match(text=("a",)), Match())
    assert find_never(Match(text=("a",)), 6) is None
