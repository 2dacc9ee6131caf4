"""What a process may do for its own secrecy: no core file, and no other process that looks into its memory (S6).

Both hold without systemd too. Neither is worth ending for: where the kernel has no such call, the broker runs as it would have.
"""

import ctypes
import resource

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4


def shield_memory() -> None:
    """From now on this process leaves no core file, and only root may trace it or read its /proc/PID/mem and environ."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(PR_SET_DUMPABLE, 0)


def is_shielded() -> bool:
    """True where both hold."""
    return resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) and _prctl(PR_GET_DUMPABLE, 0) == 0


def _prctl(option: int, value: int) -> int:
    try:
        return int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0))
    except (OSError, AttributeError):
        return -1
