"""What a running process lets others see of its memory."""

import subprocess
import sys

SHOW = "from broker.ops.shield import is_shielded, shield_memory; print(is_shielded()); {} print(is_shielded())"


def ask(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", SHOW.format(code)], capture_output=True, text=True, check=True).stdout.split()


def test_no_core_file_and_no_look_into_its_memory() -> None:
    assert ask("shield_memory();") == ["False", "True"]
    assert ask("") == ["False", "False"]  # so it is the call that does it
