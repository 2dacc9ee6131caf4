"""The way in: help of every verb, unknown and later ones, usage, exits, and what a start may load."""

import subprocess
import sys

import pytest

from broker import __version__
from broker.cli import entry
from broker.cli.verbs import GROUPS, LATER, VERBS
from tests.cli.office import Desk, staffed

CONTRACT = [
    *(
        "run",
        "demo",
        "check",
        "init",
        "send",
        "import",
        "status",
        "explain",
        "tail",
        "queue",
        "held",
        "in-doubt",
        "cancel",
        "release",
    ),
    *(
        "retry",
        "resolve",
        "providers",
        "pause",
        "resume",
        "drain",
        "balance",
        "suppress",
        "lookup",
        "contacts",
        "callbacks",
        "reload",
    ),
    *("replay", "twins", "plugins", "export", "backup", "verify", "log-level"),
]


def test_every_verb_of_the_contract_is_known() -> None:
    assert sorted({*VERBS, *LATER} - {"erase", "audit"}) == sorted(CONTRACT)  # these are named by no contract: they were added


def test_help_lists_the_verbs_in_groups(desk: Desk) -> None:
    ran = desk.run("--help")
    assert (ran.code, ran.err) == (0, "")
    for group in GROUPS:
        assert f"\n{group}:\n" in ran.out
    for verb in VERBS.values():
        assert f"  {verb.shape:<20} {verb.line}\n" in ran.out
    assert not any(f"\n  {verb}" in ran.out for verb in LATER)
    assert max(map(len, ran.out.splitlines())) <= 110


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(desk: Desk, verb: str) -> None:
    ran = desk.run(verb, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"usage: broker {verb}")
    paragraph, _, examples = ran.out.partition("\nexample:\n")
    assert len(paragraph.split("\n\n")[1]) > 40
    assert examples.count("broker") >= 1
    assert f"broker {verb}" in examples
    assert "--config FILE" in paragraph
    assert desk.run("help", verb).out == ran.out


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("run", "demo")])
def test_every_verb_that_prints_takes_json(verb: str) -> None:
    parser = entry.make_parser(verb, entry.load_command(verb))
    assert "--json" in parser.format_help()


@pytest.mark.parametrize("verb", sorted(LATER))
def test_a_later_verb_says_so(desk: Desk, verb: str) -> None:
    for words in ([verb], [verb, "--help"], [verb, "x", "--what"]):
        ran = desk.run(*words)
        assert (ran.code, ran.out, ran.err) == (1, "", f"broker: not in this version: broker {verb}\n")


def test_a_later_verb_says_so_in_json(desk: Desk) -> None:
    ran = desk.run("import", "--json", "x.csv")
    assert ran.code == 1
    assert ran.json == {"ok": False, "error": {"code": "not_in_this_version", "message": "not in this version: broker import"}}


# (the command line, what it must say)
USAGE: list[tuple[str, str]] = [
    ("", "which verb?"),
    ("stauts", 'unknown verb "stauts"; did you mean status'),
    ("provider", "did you mean providers"),
    ("zzzzzz", 'unknown verb "zzzzzz"; see `broker --help`'),
    ("--twins run", "--twins is no option of `broker` itself"),
    ("--config", "--config needs a FILE"),
    ("send", "TO"),
    ("send +886912345678", "the text is missing"),
    ("send +886912345678 hi there", '"there" is one word too many'),
    ("send +886912345678 hi --prvider x", "unknown option --prvider; did you mean --provider"),
    ("send +886912345678 hi --prov x", "unknown option --prov; did you mean --provider"),
    ("send +886912345678 -yes", 'unknown option -yes (words that begin with "-" go after "--")'),
    ("send +886912345678 -hi", 'unknown option (words that begin with "-" go after "--")'),
    ("send +886912345678 hi --priority urgent", "'urgent'"),
    ("send +886912345678 hi --wait --timeout soon", '"soon" is no duration'),
    ("send +886912345678 hi --timeout 9999d", "longer than a year"),
    ("status", "ID"),
    ("resolve x maybe", "'maybe'"),
    ("suppress", "ACTION"),
    ("suppress lst", "'lst'"),
    ("suppress add", "which number? write: broker suppress add +886912345678"),
    ("cancel", "give an ID, or --provider, --tag, --cause or --all"),
    ("cancel x --all", "an ID or filters, not both"),
    ("release", "see `broker release --help`"),
    ("pause", "NAME"),
    ("tail --from yesterday", '"yesterday" is no event\'s seq'),
    ("twins --port 99999", '"99999" is no port'),
    ("run --fast", "unknown option --fast"),
]


@pytest.mark.parametrize(("line", "word"), USAGE, ids=[line or "nothing" for line, _ in USAGE])
def test_usage(desk: Desk, line: str, word: str) -> None:
    ran = desk.run(*line.split())
    assert (ran.code, ran.out) == (2, "")
    assert word in ran.err
    assert ran.err.startswith("broker")
    assert ran.err.count("\n") == 1


def test_version(desk: Desk) -> None:
    assert desk.run("--version").out == f"broker {__version__}\n"


def test_no_verb_says_where_help_is(desk: Desk) -> None:
    assert desk.run().err == "broker: which verb?; see `broker --help`\n"


@pytest.mark.parametrize("words", [("--config=f.toml", "--json", "queue"), ("queue", "--json", "--config", "f.toml")])
def test_config_and_json_may_stand_before_the_verb(desk: Desk, words: tuple[str, ...]) -> None:
    desk.write('[control]\nsocket = "there.sock"\n', "f.toml")
    with staffed(desk.home / "var" / "there.sock", queue={"ok": True, "queue": [], "total": 0}):
        ran = desk.run(*words)
    assert ran.json["total"] == 0


def test_a_fault_of_ours_is_one_line_without_its_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_args: object) -> int:
        raise ExceptionGroup("many", [ExceptionGroup("few", [ValueError("hush")])])

    command = entry.load_command("queue")
    monkeypatch.setattr(entry, "load_command", lambda _verb: command._replace(run=fail))
    ran = desk.run("queue", "--json")
    assert ran.code == 1
    assert "a fault of the broker itself: ValueError" in ran.err
    assert "Traceback" not in ran.err
    assert "hush" not in ran.err + ran.out
    assert ran.json["error"]["code"] == "fault"


def test_a_fault_names_its_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    command = entry.load_command("queue")
    monkeypatch.setattr(entry, "load_command", lambda _verb: command._replace(run=lambda _args: [][1]))
    assert __file__ in desk.run("queue").err


def test_interrupted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_args: object) -> int:
        raise KeyboardInterrupt

    command = entry.load_command("queue")
    monkeypatch.setattr(entry, "load_command", lambda _verb: command._replace(run=interrupt))
    assert desk.run("queue") == (130, "", "")


def test_a_reader_that_has_gone_is_no_traceback(desk: Desk) -> None:
    answer = {"ok": True, "queue": [{"lane": "x" * 100, "priority": "high", "count": 1}] * 2_000, "total": 1}
    with desk.control(queue=answer):
        line = f"{sys.executable} -m broker queue | head -1; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_is_told(desk: Desk) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "broker", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("broker: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


HEAVY = ("trio", "httpx", "phonenumbers", "sqlite3", "sqlite_utils", "rich", "msgspec", "tomllib", "asyncio", "pathlib", "broker.config")


@pytest.mark.skipif("coverage" in sys.modules, reason="coverage itself loads sqlite3 into every process that is measured")
def test_send_loads_nothing_heavy(desk: Desk) -> None:
    """Also with a broker.toml: a script may call it a thousand times."""
    desk.write('[broker]\ndefault_country = "TW"\n')
    script = (
        "import sys; from broker.cli import main; code = main(sys.argv[1:]);"
        f"print(code, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    with desk.submit(submit={"ok": True, "id": "m1", "status": "queued", "segments": 1, "encoding": "gsm7", "country": "TW"}):
        words = [sys.executable, "-c", script, "send", "+886912345678", "hi"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == "0 []\n"
    assert done.stdout.startswith("m1")
