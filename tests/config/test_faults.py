"""Every fault of a file is told with its key, its line and what to do; all of them in one pass."""

from pathlib import Path

import msgspec
import pytest

from broker.config import ConfigError, PluginFacts, read_settings
from tests.config.desk import CANARY, FREE, faults, find_plugin, write

P = '[providers.a]\nplugin = "free"\n'
POST = '[providers.a]\nplugin = "post"\nusername = "u"\npassword = "p"\n'
R = P + '[[rules]]\nname = "r"\nuse = ["a"]\n'

# text, dotted key, line, words that the message has (the first begins it where it ends in "…")
TABLE: list[tuple[str, str, int | None, list[str]]] = [
    # the file
    ('[broker]\nname = "a\n', "", 2, ["no TOML", "column", "mend this line"]),
    ("[broker]\n[broker]\n", "", 2, ["twice"]),
    ("a = { b = 1,\n c = 2 }\n", "", 1, ["no TOML", "on one line"]),
    ("[broker]\ndrain = 20s\n", "", 2, ["no TOML", "in quotes"]),
    ("[broker]\nlog = info\n", "", 2, ["no TOML", "in quotes"]),
    ("[submit]\nmode = 0660\n", "", 2, ["no TOML", "in quotes"]),
    ("[broker]\nname =", "", 2, ["no TOML", "at the end"]),
    ("x = " + "[" * 5000, "", None, ["no TOML that can be read"]),
    ("[submit]\nmax_queued = " + "9" * 5000, "", None, ["no TOML that can be read"]),
    # sections
    ("[brokr]\n", "brokr", 1, ["unknown key", 'did you mean "broker"']),
    ("\nname = 1\n", "name", 2, ["unknown key"]),
    ("broker = 5\n", "broker", 1, ["5 must be a table"]),
    ("providers = []\n", "providers", 1, ["[providers.NAME]"]),
    ("providers.a = 1\n", "providers.a", 1, ["must be a table"]),
    ('clients = "x"\n', "clients", 1, ["[clients.NAME]"]),
    ("[rules]\n", "rules", 1, ["[[rules]]"]),
    ("rules = [1]\n", "rules[0]", 1, ["must be a table"]),
    # [broker]
    ('[broker]\nnam = "x"\n', "broker.nam", 2, ["unknown key", 'did you mean "name"']),
    ('[broker]\nname = "a b"\n', "broker.name", 2, ["is no name", "letters, digits"]),
    ("[broker]\nname = 5\n", "broker.name", 2, ["is no name"]),
    ("[broker]\ndata_dir = 5\n", "broker.data_dir", 2, ["is no path"]),
    ('[broker]\ndata_dir = "~/x"\n', "broker.data_dir", 2, ["~", "whole path"]),
    ('[broker]\ndefault_country = "UK"\n', "broker.default_country", 2, ["is no country", '"GB"']),
    ('[broker]\ndefault_country = "tw"\n', "broker.default_country", 2, ['did you mean "TW"']),
    ('[broker]\ndefault_country = "QQ"\n', "broker.default_country", 2, ["ISO 3166"]),
    ('[broker]\ncurrency = "euro"\n', "broker.currency", 2, ["three capital letters"]),
    ('[broker]\nplugin_path = "x"\n', "broker.plugin_path", 2, ["must be a list"]),
    ("[broker]\nplugin_path = [\n 'a',\n 5]\n", "broker.plugin_path", 4, ["5 is no path"]),
    ('[broker]\ndata_dir = "x"\nplugin_path = ["more",\n "x/y"]\n', "broker.plugin_path", 4, ['"x/y" is in', "the broker itself writes"]),
    ('[broker]\ndata_dir = "own"\n[providers.a]\nplugin = "own/x.py"\n', "providers.a.plugin", 4, ["own/x.py", "itself writes"]),
    ("[broker]\ndrain = 20\n", "broker.drain", 2, ["20 is no duration", '"5s"']),
    ('[broker]\ndrain = "20"\n', "broker.drain", 2, ["is no duration"]),
    ('[broker]\ndrain = "1.5h"\n', "broker.drain", 2, ["is no duration"]),
    ('[broker]\ndrain = "-5s"\n', "broker.drain", 2, ["is no duration"]),
    ('[broker]\ndrain = "99999999d"\n', "broker.drain", 2, ["ten years"]),
    ('[broker]\nlog = "infos"\n', "broker.log", 2, ['did you mean "info"']),
    # [store] [submit] [control]
    ('[store]\nurl = "postgresql://h/x"\n', "store.url", 2, ["not in this version: …", "sqlite:broker.db"]),
    ('[store]\nurl = "mysql:x"\n', "store.url", 2, ["is no store"]),
    ('[store]\nurl = "sqlite:"\n', "store.url", 2, ["is no store"]),
    ('[store]\nurl = "sqlite::memory:"\n', "store.url", 2, ["would lose"]),
    ('[store]\nkeep = "0d"\n', "store.keep", 2, ["longer than nothing"]),
    ("[submit]\nmode = 660\n", "submit.mode", 2, ["octal", '"0660"']),
    ('[submit]\nmode = "0680"\n', "submit.mode", 2, ["octal"]),
    ("[submit]\nmax_segments = 0\n", "submit.max_segments", 2, ["at least 1"]),
    ('[submit]\nmax_segments = "6"\n', "submit.max_segments", 2, ["whole number"]),
    ("[submit]\nmax_queued = true\n", "submit.max_queued", 2, ["whole number"]),
    ('[submit]\ngroup = ""\n', "submit.group", 2, ["is empty"]),
    ('[submit]\nsocket="/x"\n[control]\nsocket = "/x"\n', "control.socket", 4, ["same as [submit].socket"]),
    # [feed] [tokens] [clients] [suppress]
    (POST + 'url = "https://u:p@x.org"\n', "providers.a.url", 5, ["a password in it"]),
    (POST + 'url = "sms.example.org"\n', "providers.a.url", 5, ["is no address", '"https://…"']),
    ("\n[feed]\n", "feed.listen", 2, ["is missing", '"127.0.0.1:8781"']),
    ('[feed]\nlisten = "8781"\n', "feed.listen", 2, ["is no address"]),
    ('[feed]\nlisten = "127.0.0.1:99999"\n', "feed.listen", 2, ["is no address"]),
    ('[feed]\nlisten = "127.0.0.1:1"\nrequire_token = "yes"\n', "feed.require_token", 3, ["true or false"]),
    ("\n[callbacks]\n", "callbacks.listen", 2, ["is missing", '"127.0.0.1:8782"']),
    ('[callbacks]\nlisten = "x"\n', "callbacks.listen", 2, ["is no address"]),
    ('[callbacks]\nlisten = "unix:cb.sock"\n', "callbacks.public_url", 1, ["is missing", '"https://sms.example.org"']),
    ('[callbacks]\nlisten = "127.0.0.1:1"\npublic_url = "sms.example.org"\n', "callbacks.public_url", 3, ["https://sms.example.org"]),
    ('[callbacks]\nlisten = "127.0.0.1:1"\npublic_url = "https://x.org/?a=b"\n', "callbacks.public_url", 3, ["without ? and #"]),
    ('[callbacks]\nlisten = "127.0.0.1:1"\npublic_url = "https://u:p@x.org"\n', "callbacks.public_url", 3, ["is no address"]),
    ('[callbacks]\nlisten = "127.0.0.1:1"\npublic_url = "https://x.org:70000"\n', "callbacks.public_url", 3, ["is no address"]),
    ('[callbacks]\nlisten = "127.0.0.1:1"\npublc_url = "https://x.org"\n', "callbacks.publc_url", 3, ['did you mean "public_url"']),
    ("[tokens.shop]\n", "tokens.shop.sha256", 1, ["is missing"]),
    ('[tokens.shop]\nsha256 = "ab"\n', "tokens.shop.sha256", 2, ["64 hex digits", "sha256sum"]),
    ('[tokens."a b"]\nsha256 = "ab"\n', 'tokens."a b"', 1, ["is no name"]),
    ('[tokens.x]\nscopes = ["raed"]\n', "tokens.x.scopes", 2, ['did you mean "read"']),
    ('[clients."unix:shop"]\nrate = "fast"\n', 'clients."unix:shop".rate', 2, ['"fast" is no rate', '"50/s"']),
    ('[clients.x]\nrate = "0/s"\n', "clients.x.rate", 2, ["rate of nothing"]),
    ('[clients.x]\ncountries = ["TW", "ZZ"]\n', "clients.x.countries", 2, ['"ZZ" is no country']),
    ('[clients."unix:"]\n', 'clients."unix:"', 1, ["is no client"]),
    ('[clients.x]\nsenders = ["ABCDEFGHIJKLMNOP"]\n', "clients.x.senders", 2, ["at most 11"]),
    ('[clients.x]\nwebhook = "ftp://x"\n', "clients.x.webhook", 2, ["the value is no address", 'write "https://']),
    ('[clients.x]\nwebhook = "https://"\n', "clients.x.webhook", 2, ["is no address"]),
    ('[clients.x]\nwebhook = "https://x:99999"\n', "clients.x.webhook", 2, ["is no address"]),
    ('[clients.x]\nwebhook = "https://x/a b"\n', "clients.x.webhook", 2, ["is no address"]),
    ('[clients.x]\nwebhook = "https://é"\n', "clients.x.webhook", 2, ["in ASCII"]),
    ('[clients.x]\nwebhook = "https://u:p@x"\n', "clients.x.webhook", 2, ["a name or a password", "take it out"]),
    ('[clients.x]\nwebhook = "https://x/#a"\n', "clients.x.webhook", 2, ["has a #"]),
    ('[clients.x]\nwebhook = "http://x"\n', "clients.x.webhook", 2, ["in clear", "webhook_cleartext = true"]),
    ('[clients.x]\nwebhook_secret = ""\n', "clients.x.webhook_secret", 2, ["the value is no secret"]),
    ('[clients.x]\nwebhook_secret = "whsec_?"\n', "clients.x.webhook_secret", 2, ["no base64"]),
    ('[clients.x]\nwebhook_secret = "whsec_"\n', "clients.x.webhook_secret", 2, ["no base64"]),
    ('[clients.x]\nwebhook_url = "https://x"\n', "clients.x.webhook_url", 2, ["unknown key", "webhook"]),
    ('[suppress]\nscope = "none"\n', "suppress.scope", 2, ["sender, all"]),
    ('[suppress]\nstop = "STOP"\n', "suppress.stop", 2, ["must be a list", '"STOP"']),
    ('[suppress]\nstop = ["..."]\n', "suppress.stop", 2, ["is no word"]),
    ('[suppress]\nstart = ["YES", 5]\n', "suppress.start", 2, ["5 is no word"]),
    ('[suppress]\nstart = ["stop!"]\n', "suppress.start", 2, ['has "STOP"', "stop as well"]),
    # [[inbound]]
    ('[inbound]\nto = "https://x"\n', "inbound", 1, ["[[inbound]]"]),
    ("[[inbound]]\n", "inbound[0].to", 1, ["is missing", "https://", "exec = ["]),
    ("inbound = [5]\n", "inbound[0]", 1, ["must be a table"]),
    ('[[inbound]]\nurl = "https://x"\nto = "https://x"\n', "inbound[0].url", 2, ["unknown key"]),
    ('[[inbound]]\nto = "https://x"\nexec = ["/bin/true"]\n', "inbound[0].exec", 3, ["beside `to`"]),
    ('[[inbound]]\nto = "http://example.org/x"\n', "inbound[0].to", 2, ["in clear", "cleartext = true"]),
    ('[[inbound]]\nexec = "/bin/true"\n', "inbound[0].exec", 2, ["must be a list", "no shell"]),
    ("[[inbound]]\nexec = []\n", "inbound[0].exec", 2, ["names nothing"]),
    ('[[inbound]]\nexec = ["~/x"]\n', "inbound[0].exec", 2, ["names no program", "whole path"]),
    ("[[inbound]]\nexec = ['x', 5]\n", "inbound[0].exec", 2, ["in quotes"]),
    ('[[inbound]]\nto = "https://x"\nsecret = 5\n', "inbound[0].secret", 3, ["is no secret"]),
    ('[[inbound]]\nto = "https://x"\nmatch = { key = "A" }\n', "inbound[0].match.key", 3, ["unknown key", "keyword"]),
    ('[[inbound]]\nto = "https://x"\nmatch = { keyword = "A B" }\n', "inbound[0].match.keyword", 3, ["is no keyword", "one word"]),
    (P + '[[inbound]]\nto = "https://x"\nmatch = { provider = "b" }\n', "inbound[0].match.provider", 5, ["none of [providers]", "a"]),
    # sections of a later version
    ("[api]\n", "api", 1, ["not in this version: …"]),
    ('[guard]\nper_prefix = "x"\n', "guard.per_prefix", 2, ["is no rate"]),
    ("[guard]\nprefix = 0\n", "guard.prefix", 2, ["1"]),
    ('[guard]\nper_sender = "5/s"\n', "guard.per_sender", 2, ["unknown key"]),
    # [currencies] [groups]
    ('[currencies]\nusd = "1"\n', "currencies.usd", 2, ['"USD"']),
    ('[currencies]\nUSD = "0"\n', "currencies.USD", 2, ["exchange rate"]),
    ('[currencies]\nUSD = "x"\n', "currencies.USD", 2, ["exchange rate"]),
    ("[currencies]\nUSD = nan\n", "currencies.USD", 2, ["exchange rate"]),
    ('[currencies]\nEUR = "2"\n', "currencies.EUR", 2, ["always 1"]),
    ('[groups]\nSE = ["SE"]\n', "groups.SE", 2, ["another name"]),
    ("[groups]\nx = []\n", "groups.x", 2, ["names nothing"]),
    ('[groups]\nx = "SE"\n', "groups.x", 2, ["must be a list"]),
    ('[groups]\nx = ["SE",\n"NO", "XX"]\n', "groups.x", 3, ['"XX" is no country']),
    # providers
    ('[providers."a:b"]\nplugin = "free"\n', 'providers."a:b"', 1, ["is no name"]),
    ("[providers.a]\n", "providers.a.plugin", 1, ["is missing"]),
    ('[providers.a]\nplugin = "fre"\n', "providers.a.plugin", 2, ["no such plugin as fre", 'did you mean "free"']),
    ("[providers.a]\nplugin = 5\n", "providers.a.plugin", 2, ["must be a string"]),
    ('[providers.a]\nplugin = "http"\n', "providers.a.plugin", 2, ["not in this version: …"]),
    (P + "ratee = 1\n", "providers.a.ratee", 3, ["unknown key", 'did you mean "rate"']),
    (P + "answer = []\n", "providers.a.answer", 3, ['did you mean "answers"']),
    (P + 'rate = "30"\n', "providers.a.rate", 3, ["is no rate"]),
    (P + 'enabled = "no"\n', "providers.a.enabled", 3, ["true or false"]),
    (P + "max_in_flight = 0\n", "providers.a.max_in_flight", 3, ["at least 1"]),
    (P + 'timeout = "0s"\n', "providers.a.timeout", 3, ["longer than nothing"]),
    (P + 'query = ["5m", "1m"]\n', "providers.a.query", 3, ["must rise"]),
    (P + 'currency = "twd"\n', "providers.a.currency", 3, ['"TWD"']),
    (P + 'sender = "' + "x" * 12 + '"\n', "providers.a.sender", 3, ["at most 11"]),
    (P + 'senders = { XX = "A" }\n', "providers.a.senders.XX", 3, ["is no country"]),
    (P + 'prices = "a.csv"\n', "providers.a.prices", 3, ["not in this version: …", "write them here"]),
    (P + 'prices = { "886" = "1" }\n', "providers.a.prices.886", 3, ["is no network"]),
    (P + 'prices = { "+0" = "1" }\n', 'providers.a.prices."+0"', 3, ["is no prefix"]),
    (P + 'prices = { Tw = "1" }\n', "providers.a.prices.Tw", 3, ['did you mean "TW"']),
    (P + 'prices = { TW = "x" }\n', "providers.a.prices.TW", 3, ["is no amount"]),
    (P + "prices = { TW = inf }\n", "providers.a.prices.TW", 3, ["is no amount"]),
    (P + "prices = { TW = -1 }\n", "providers.a.prices.TW", 3, ["zero or more"]),
    (P + 'prices = { TW = "0.0000001" }\n', "providers.a.prices.TW", 3, ["millionth"]),
    (P + 'channel_prices = { voic = "1" }\n', "providers.a.channel_prices.voic", 3, ['did you mean "voice"']),
    (P + "credit = { lo = 1 }\n", "providers.a.credit.lo", 3, ['did you mean "low"']),
    (P + 'breaker = { open = "1h" }\n', "providers.a.breaker", 3, ["max_open"]),
    (P + 'spend = { max = "5" }\n', "providers.a.spend.per", 3, ["is missing"]),
    (P + 'spend = { max = "0", per = "1h" }\n', "providers.a.spend.max", 3, ["more than nothing"]),
    (P + 'codes = { "16" = "unavailabel" }\n', "providers.a.codes.16", 3, ['did you mean "unavailable"']),
    (P + "callback_secret = 5\n", "providers.a.callback_secret", 3, ["is no secret"]),
    (P + 'callback_secret = "tooshort"\n', "providers.a.callback_secret", 3, ["22 to 128", "openssl rand -hex 16"]),
    (P + 'callback_secret = "0123456789/123456789?123"\n', "providers.a.callback_secret", 3, ["22 to 128"]),
    (P + 'currency = "TWD"\nprices = { TW = "1" }\n', "providers.a.currency", 3, ["TWD has no rate", "[currencies]"]),
    # rules
    (P + "[[rules]]\n", "rules[0].use", 3, ["is missing"]),
    (P + "[[rules]]\nuse = []\n", "rules[0].use", 4, ["names nothing"]),
    (P + '[[rules]]\nuse = ["b"]\n', "rules[0].use", 4, ['"b" is none of [providers]']),
    (P + '[[rules]]\nuse = ["a",\n "a"]\n', "rules[0].use", 4, ["more than once"]),
    (P + '[[rules]]\nuse = ["a:voic"]\n', "rules[0].use", 4, ['did you mean "voice"']),
    (P + '[[rules]]\nuse = ["a:"]\n', "rules[0].use", 4, ["names no channel after its colon"]),
    (P + '[[rules]]\nuse = ["b:voice"]\n', "rules[0].use", 4, ['"b" is none of [providers]']),
    (P + '[[rules]]\nuse = ["a:voice", "a", "a:voice"]\n', "rules[0].use", 4, ['"a:voice" is there more than once']),
    (R + '[[rules]]\nuse = ["a"]\nname = "r"\n', "rules[1].name", 8, ["already rules[0]"]),
    (R + 'ordr = "x"\n', "rules[0].ordr", 6, ['did you mean "order"']),
    (R + 'order = "cheepest"\n', "rules[0].order", 6, ['did you mean "cheapest"']),
    (R + "weights = { b = 1 }\n", "rules[0].weights.b", 6, ["not in this rule's use"]),
    (R + "weights = { a = 1.5 }\n", "rules[0].weights.a", 6, ["whole number"]),
    (R + 'max_price = "0"\n', "rules[0].max_price", 6, ["more than nothing"]),
    (R + 'min_credit = "5"\n', "rules[0].min_credit", 6, ["whole number"]),
    (R + 'window = "x"\n', "rules[0].window", 6, ["is no window", "08:00-20:00 local"]),
    (R + 'window = "08:00-20:00 Mars/Base"\n', "rules[0].window", 6, ["Mars/Base", "Asia/Taipei"]),
    (R + 'window = "20:00-20:00 local"\n', "rules[0].window", 6, ["lasts no time"]),
    (R + 'window = 8\n', "rules[0].window", 6, ["is no window"]),
    (R + 'texts = { voice = "{text}" }\n', "rules[0].texts.voice", 6, ["by voice: write PROVIDER:voice there"]),
    (R + 'texts = { voice = "x" }\n', "rules[0].texts.voice", 6, ["has no {text} in it"]),
    (R + 'texts = { voice = "{Text} {{text}" }\n', "rules[0].texts.voice", 6, ["by voice"]),
    (R + 'texts = { voice = "{text} \\u0007" }\n', "rules[0].texts.voice", 6, ["U+0007 at position 8"]),
    (R + 'texts = { voic = "{text}" }\n', "rules[0].texts.voic", 6, ['did you mean "voice"']),
    (R + 'texts = { hlr = "{text}" }\n', "rules[0].texts.hlr", 6, ["cannot carry an SMS"]),
    (R + 'receipt_within = "0s"\n', "rules[0].receipt_within", 6, ["longer than nothing"]),
    (R + 'in_doubt = "again"\n', "rules[0].in_doubt", 6, ["resend", "failover"]),
    (R + 'in_doubt = "drop"\n', "rules[0].in_doubt", 6, ["known are hold, resend, failover"]),
    (R + 'on = { accepted = "fail" }\n', "rules[0].on.accepted", 6, ["`on` may name"]),
    (R + 'on = { rejectd = "fail" }\n', "rules[0].on.rejectd", 6, ['did you mean "rejected"']),
    (R + 'on = { rejected = "drop" }\n', "rules[0].on.rejected", 6, ["known are fail, next, hold, retry"]),
    (R + 'on = { rejected = { retry = 1, then = "retry" } }\n', "rules[0].on.rejected.then", 6, ["is no action"]),
    (R + 'else = "stop"\n', "rules[0].else", 6, ["next-rule"]),
    # match
    (R + 'match = { contry = "TW" }\n', "rules[0].match.contry", 6, ['did you mean "country"']),
    (R + 'match = { country = "nordic" }\n[groups]\nnordics = ["SE"]\n', "rules[0].match.country", 6, ['"nordics"']),
    (R + "match = { tag = [] }\n", "rules[0].match.tag", 6, ["names nothing"]),
    (R + 'match = { prefix = "886" }\n', "rules[0].match.prefix", 6, ["is no prefix"]),
    (R + 'match = { network = "TW" }\n', "rules[0].match.network", 6, ["is no network"]),
    (R + 'match = { type = "mobil" }\n', "rules[0].match.type", 6, ['did you mean "mobile"']),
    (R + 'match = { channel = "smss" }\n', "rules[0].match.channel", 6, ["is no channel"]),
    (R + 'match = { encoding = "utf8" }\n', "rules[0].match.encoding", 6, ["is no encoding"]),
    (R + 'match = { segments = "2-3" }\n', "rules[0].match.segments", 6, ["number of segments"]),
    (R + 'match = { text = "(" }\n', "rules[0].match.text", 6, ["regular expression"]),
    (R + 'match = { time = "08:00-20:00" }\n', "rules[0].match.time", 6, ["is no time"]),
    (R + 'match = { time = "Mon-Fri 08:00-24:01 UTC" }\n', "rules[0].match.time", 6, ["no clock shows"]),
    (R + 'match = { time = "Mon 08:00-08:00 UTC" }\n', "rules[0].match.time", 6, ["no time at all"]),
    (R + 'match = { time = "Mon 08:00-09:00 Asia/Taipeh" }\n', "rules[0].match.time", 6, ["time zone"]),
    (R + 'match = { time = "Mon 08:00-09:00 ../passwd" }\n', "rules[0].match.time", 6, ["time zone"]),
]


@pytest.mark.parametrize(("text", "key", "line", "words"), TABLE, ids=[f"{row[1] or 'file'}-{n}" for n, row in enumerate(TABLE)])
def test_a_fault_names_key_line_and_remedy(tmp_path: Path, text: str, key: str, line: int | None, words: list[str]) -> None:
    found = faults(tmp_path, text)
    at = [problem for problem in found if problem.key == key]
    assert at, found
    assert at[0].line == line
    assert at[0].file == str(tmp_path / "broker.toml")
    assert at[0].severity == "error"
    for word in words:
        assert at[0].message.startswith(word[:-1]) if word.endswith("…") else word in at[0].message, at[0].message


SINGLE = [row for row in TABLE if row[1] not in ('tokens."a b"', "tokens.x.scopes")]  # these have no sha256 either


@pytest.mark.parametrize(("text", "key"), [row[:2] for row in SINGLE])
def test_one_fault_is_told_once(tmp_path: Path, text: str, key: str) -> None:
    """No fault drags others along that are not there."""
    assert [problem.key for problem in faults(tmp_path, text)] == [key]


# a plugin's own keys
Q = '[providers.a]\nplugin = "post"\n'
OWN: list[tuple[str, str, int, str]] = [
    (Q + 'password = "x"\n', "providers.a.username", 1, "is missing"),
    (Q + 'username = "x"\n', "providers.a.password", 1, '{ env = "NAME" }'),
    (Q + 'username = 5\npassword = "x"\n', "providers.a.username", 3, "a string in quotes"),
    (Q + 'username = "x"\npassword = 5\n', "providers.a.password", 4, "is no secret"),
    (Q + 'username = "x"\npassword = ""\n', "providers.a.password", 4, "is no secret"),
    (Q + 'username = "x"\npassword = { evn = "X" }\n', "providers.a.password", 4, "is no secret"),
    (Q + 'username = "x"\npassword = "x"\napi = "nwe"\n', "providers.a.api", 5, 'did you mean "new"'),
    (Q + 'username = "x"\npassword = "x"\nport = "80"\n', "providers.a.port", 5, "whole number"),
    (Q + 'username = "x"\npassword = "x"\nport = 0\n', "providers.a.port", 5, ">= 1"),
    (Q + 'username = "x"\npassword = "x"\npause = 5\n', "providers.a.pause", 5, "is no duration"),
    (Q + 'username = "x"\npassword = "x"\nspeed = "5"\n', "providers.a.speed", 5, "is no rate"),
    (Q + 'username = "x"\npassword = "x"\nheaders = { x = 1 }\n', "providers.a.headers", 5, "inside it"),
    (Q + 'username = "x"\npassword = "x"\nurl = "http://x"\n', "providers.a.url", 5, "must be https"),
    (Q + 'usrname = "x"\nusername="x"\npassword = "x"\n', "providers.a.usrname", 3, 'did you mean "username"'),
]


@pytest.mark.parametrize(("text", "key", "line", "word"), OWN)
def test_a_plugins_own_keys_are_checked_by_its_config(tmp_path: Path, text: str, key: str, line: int, word: str) -> None:
    (problem,) = faults(tmp_path, text)
    assert (problem.key, problem.line) == (key, line)
    assert word in problem.message


def test_all_faults_in_one_pass_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        '[broker]\nnam = "x"\ndrain = 5\n[providers.a]\nplugin = "post"\napi = "x"\nrate = "x"\n'
        '[providers.b]\nplugin = "no"\nrate = "y"\nwhatever = 1\n'
        '[[rules]]\nuse = ["a", "c", "d"]\non = { rejected = "x" }\n[guard]\nper_client = 5\n'
    )
    assert [(problem.key, problem.line) for problem in faults(tmp_path, text)] == [
        ("broker.nam", 2),
        ("broker.drain", 3),
        ("providers.a.username", 4),
        ("providers.a.password", 4),
        ("providers.a.api", 6),
        ("providers.a.rate", 7),
        ("providers.b.plugin", 9),
        ("providers.b.rate", 10),  # `whatever` may be the missing plugin's own
        ("rules[0].use", 13),
        ("rules[0].use", 13),
        ("rules[0].on.rejected", 14),
        ("guard.per_client", 16),
    ]


def test_the_whole_table_at_once_has_every_key(tmp_path: Path) -> None:
    """Files cannot simply be joined; providers and rules can be numbered apart."""
    pieces, keys = [], []
    for number, (text, key, _, _) in enumerate(OWN):
        pieces.append(text.replace("[providers.a]", f"[providers.p{number}]"))
        keys.append(key.replace("providers.a", f"providers.p{number}"))
    assert [problem.key for problem in faults(tmp_path, "".join(pieces))] == keys


def test_lines_count_right_with_windows_line_ends(tmp_path: Path) -> None:
    (problem,) = faults(tmp_path, '[broker]\r\nname = "a"\r\n\r\ndrain = 5\r\n')
    assert problem.line == 4


@pytest.mark.parametrize("header", ["[[rules]]", "[[ rules ]]", '[["rules"]]'])
def test_a_rule_without_keys_has_the_line_of_its_header(tmp_path: Path, header: str) -> None:
    text = P + f'[[rules]]\nuse = ["a"]\n{header}\n[[rules]]\nuse = ["a"]\n'
    (problem,) = faults(tmp_path, text)
    assert (problem.key, problem.line) == ("rules[1].use", 5)


def test_rules_in_one_line_have_it(tmp_path: Path) -> None:
    text = 'rules = [{ use = ["a"] },\n  { use = ["b"] }]\n' + P
    (problem,) = faults(tmp_path, text)
    assert (problem.key, problem.line) == ("rules[1].use", 2)


def test_failing_positions_cost_only_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_text: str) -> None:
        raise RuntimeError("no positions today")

    monkeypatch.setattr("spanned_toml.loads", fail)
    (problem,) = faults(tmp_path, "[broker]\ndrain = 5\n")
    assert (problem.key, problem.line) == ("broker.drain", None)
    assert "is no duration" in problem.message


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "broker.toml"
    file.write_bytes(b"[broker]\nname = '\xff'\n")
    with pytest.raises(ConfigError) as refused:
        read_settings(file, plugins=find_plugin)
    assert (refused.value.problems[0].line, "UTF-8" in str(refused.value)) == (2, True)
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as refused:
            read_settings(path, plugins=find_plugin)
        assert str(path) in str(refused.value)


def test_a_plugin_that_raises_anything_is_a_problem(tmp_path: Path) -> None:
    class Picky(msgspec.Struct, frozen=True):
        token: str = ""

        def __post_init__(self) -> None:
            raise RuntimeError(f"cannot live with {self.token}")

    def crash(name: str, path: tuple[str, ...]) -> PluginFacts:
        if name == "picky":
            return PluginFacts(Picky, FREE.traits)
        raise ZeroDivisionError

    text = '[providers.a]\nplugin = "x"\n[providers.b]\nplugin = "picky"\ntoken = { env = "T" }\n'
    with pytest.raises(ConfigError) as refused:
        read_settings(write(tmp_path, text), plugins=crash, environ={"T": CANARY})
    first, second = refused.value.problems
    assert (first.key, "ZeroDivisionError" in first.message) == ("providers.a.plugin", True)
    assert (second.key, second.message) == ("providers.b", "the plugin refuses these keys: cannot live with ***")


def test_a_plugin_table_that_lists_its_names_is_not_echoed(tmp_path: Path) -> None:
    class Unknown(Exception):
        known = ("free", "post")

    def find(name: str, path: tuple[str, ...]) -> PluginFacts:
        raise Unknown("there are: free, post")

    for name, words in (("zzz", "there are: free, post"), ("pos", 'there are: free, post; did you mean "post"?')):
        with pytest.raises(ConfigError) as refused:
            read_settings(write(tmp_path, f'[providers.a]\nplugin = "{name}"\n'), plugins=find)
        assert refused.value.problems[0].message == f'the plugin "{name}" cannot be used: {words}'


def test_a_problem_reads_as_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings(write(tmp_path, '[broker]\ndrain = "x"\n'), plugins=find_plugin)
    assert str(refused.value) == (
        f'{tmp_path}/broker.toml:2: broker.drain: "x" is no duration: write it as "250ms", "5s", "10m", "24h" or "7d"'
    )


def test_what_a_plugin_says_is_told_beside_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    text = POST + 'url = "http://x.example.org"\nport = "x"\n'
    assert [problem.key for problem in faults(tmp_path, text)] == ["providers.a.url", "providers.a.port"]


def test_what_a_plugin_says_of_a_default_in_place_of_an_unreadable_key_is_no_fault(tmp_path: Path) -> None:
    text = POST + 'url = "ftp://x.example.org"\nport = "x"\n'
    found = faults(tmp_path, text)
    assert [problem.key for problem in found] == ["providers.a.url", "providers.a.port"]
    assert "must be https" not in found[0].message  # the plugin saw only the default
