"""What holds for every test: no example of hypothesis is judged by how long it took, and no secret is left anywhere.

The canary: after each test, what it printed and logged, and every file that it or a daemon of its own left in its folder (stores with
their -wal, logs, copies), is searched for the secrets that the tests' accounts have, in each form that a wire has for them. Files that a
person would write secrets into are left out.
"""

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.canary import find_in, find_in_folder

settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that left a secret somewhere has failed, whatever else it says."""
    report = yield
    if report.when != "teardown":
        return report
    found = [f"in what the test printed or logged ({name})" for name, text in report.sections if find_in(text.encode("utf-8", "replace"))]
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if isinstance(folder, Path):
        found += [f"in the file {file.relative_to(folder)}" for file in find_in_folder(folder)]
    if found:
        report.outcome = "failed"
        report.longrepr = f"a secret of the tests' accounts is {', and '.join(found)}"
    return report
