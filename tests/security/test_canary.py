"""The canary itself: a leak put in is found, wherever it is, and that of a daemon of its own process too."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.canary import SECRETS, find_in, find_in_folder, spell

SECRET = SECRETS[0]

LEAKS = {
    "prints": f"print({SECRET!r})",
    "prints it encoded": "print('password=%63%34%6E%34%72%79%2D%39%66%33%31%2D%68%75%6E%74%65%72%32')",
    "logs": f"import logging; logging.getLogger('httpx').warning('GET https://x/?password=%s', {SECRET!r})",
    "a process prints": f"import subprocess; subprocess.run(['echo', {SECRET!r}], check=True)",
    "a process logs": f"import subprocess; subprocess.run('echo {SECRET} > run.log', shell=True, check=True, cwd=tmp_path)",
    "a store keeps": f"from tests.security.test_canary import keep; keep(tmp_path / 'broker.db', {SECRET!r})",
}


def keep(file: Path, text: str) -> None:
    """A store that is closed again, with `text` in it."""
    store = sqlite3.connect(file, isolation_level=None)
    store.execute("CREATE TABLE event (body)")
    store.execute("INSERT INTO event VALUES (?)", (text,))
    store.close()


CONFTEST = f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\nfrom tests.conftest import pytest_runtest_makereport\n"
DOES_NOT = "def test_does_not(tmp_path):\n    print('c4n4r')\n"


def test_a_leak_fails_the_test_that_has_it() -> None:
    tests = [f"def test_{name.replace(' ', '_')}(tmp_path):\n    {leak.strip()}\n" for name, leak in LEAKS.items()]
    with TemporaryDirectory() as folder:  # not tmp_path, where the leaks would be this test's own
        Path(folder, "conftest.py").write_text(CONFTEST)
        Path(folder, "test_it.py").write_text("\n\n".join([*tests, DOES_NOT]))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-n", "0", "-rE", f"--basetemp={folder}/t", folder]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert f"{len(LEAKS) + 1} passed, {len(LEAKS)} errors" in ran.stdout
    for name in LEAKS:
        assert f"::test_{name.replace(' ', '_')} - a secret" in ran.stdout


def test_the_forms_of_a_secret() -> None:
    secret = "p&ss wörd/1"
    for form in (b"p%26ss%20w%C3%B6rd%2F1", b"p%26ss+w%C3%B6rd%2F1", secret.encode().hex().encode()):
        assert form in spell(secret)
    assert not find_in(b"c4n4ry")


def test_a_store_that_is_open_is_searched_with_its_wal(tmp_path: Path) -> None:
    store = sqlite3.connect(tmp_path / "broker.db", isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("CREATE TABLE event (body)")
    store.execute("INSERT INTO event VALUES (?)", (SECRET,))
    assert [file.name for file in find_in_folder(tmp_path)] == ["broker.db-wal"]
    store.close()
    for file in tmp_path.iterdir():
        file.unlink()  # this test's own leak
