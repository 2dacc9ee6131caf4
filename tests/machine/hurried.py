"""`python -m tests.machine.hurried CONFIG`: the daemon, with a watchdog that waits for three seconds and not for a minute."""

import sys
from pathlib import Path

from broker.daemon import run_daemon
from broker.ops import watchdog

watchdog.STUCK = 3.0

if __name__ == "__main__":
    sys.exit(run_daemon(Path(sys.argv[1])))
