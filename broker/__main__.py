"""`python -m broker`: the same as the command `broker`. Holds nothing of its own; see broker/cli."""

import sys

from broker.cli import main

if __name__ == "__main__":
    sys.exit(main())
