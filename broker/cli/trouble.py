"""How a verb ends: the exit codes of CONTRACT §2, and the exception that carries a person's message to the exit.

Whatever a person has to read is said here in one form. Never a traceback.
"""

from collections.abc import Sequence
from typing import Any

DONE = 0
FAILED = 1
USAGE = 2
NOT_KNOWN = 3
NO_DAEMON = 69
BAD_CONFIG = 78


class Trouble(Exception):
    """The verb ends here. `message` says what, where and what to do; `code` is the daemon's error code or one of ours.

    `problems` are the configuration's, as (file, line, key, message) tables; `said` is the daemon's own error, where it is one.
    """

    def __init__(
        self,
        message: str,
        exit_code: int = FAILED,
        code: str = "failed",
        *,
        problems: Sequence[Any] = (),
        said: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.problems = list(problems)
        self.said = said

    def show(self) -> dict[str, Any]:
        """The same as the sockets write a refusal, for --json."""
        error: dict[str, Any] = {"code": self.code, "message": self.message} if self.said is None else self.said
        return {"ok": False, "error": {**error, "problems": self.problems} if self.problems else error}


def refusal_of(answer: dict[str, Any]) -> Trouble:
    """The trouble that a refusing answer of the daemon tells of."""
    error = answer.get("error")
    if not isinstance(error, dict):
        return Trouble("the broker refused and gave no reason")
    code, message, problems = str(error.get("code", "failed")), error.get("message"), error.get("problems")
    text = f"{code}: {message}" if message else code
    exit_code = BAD_CONFIG if code == "bad_config" else FAILED
    return Trouble(text, exit_code, code, problems=problems if isinstance(problems, list) else [], said=error)


def show_problem(problem: dict[str, Any]) -> str:
    """`file:line: key: message`, without what is not known."""
    line = problem.get("line")
    place = ":".join(str(part) for part in (problem.get("file"), line) if part not in (None, ""))
    key, message = problem.get("key"), problem.get("message", "")
    warning = "warning: " if problem.get("severity") == "warning" else ""
    return ": ".join(part for part in (place, key, f"{warning}{message}") if part)
