"""What the demo shows: its acts, a line for each event, a board of the providers on a terminal, and the tables at the end.

Numbers are masked, texts never shown. On a terminal rich draws; anywhere else the same lines come plain.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from broker.cli.demo_cast import TITLES
from broker.cli.demo_feed import Account, Chronicle
from broker.cli.output import Column, Columns, print_table, say, show, show_price, style_of
from broker.text import mask
from broker.words.status import STATUSES

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

WIDTH = 13
"""Of a status's column."""
_SKIPPED = ("message.sending", "message.receipt", "credit.updated", "node.started", "node.stopping")


class Stage:
    """Standard output for the length of the demo; the board stands at its foot while the stage is entered. `is_silent`: nothing shows."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self._began = time.monotonic()
        self._is_silent = is_silent
        self._live: Live | None = None
        self.is_over = False

    def __enter__(self) -> "Stage":
        if sys.stdout.isatty() and not self._is_silent:
            from rich.console import Console
            from rich.live import Live

            # No refreshing by itself: it would be a thread, and the board changes only with an event.
            self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def seconds(self) -> float:
        """Since the curtain rose."""
        return time.monotonic() - self._began

    def begin(self, title: str, *lines: str) -> None:
        """An act: its title and what to look at."""
        self._print("")
        self._print(title, "bold")
        for line in lines:
            self._print(line, "dim")

    def note(self, line: str) -> None:
        """What the demo itself has just done."""
        self._print(f"{self.seconds:5.1f}s  {line}", "bold magenta")

    def tell(self, event: Mapping[str, Any]) -> None:
        """An event of the feed, where it says something to a spectator."""
        what, facts = _describe(event)
        if what and not self.is_over:
            who = f"{mask(event['to']):<13} {event['country'] or '--'}" if "to" in event else f"{event['provider']:<16}"
            self._print(f"{self.seconds:5.1f}s  {who}  {what:<{WIDTH}}{facts}", style_of(what))

    def _print(self, line: str, style: str = "") -> None:
        if self._is_silent:
            return
        if self._live is None:
            say(line)
        else:
            from rich.text import Text

            self._live.console.print(Text(line, style=style))  # Text: square brackets are no markup

    def draw(self, chronicle: Chronicle) -> None:
        """The board as it stands now."""
        if self._live is not None:
            self._live.update(_make_board(chronicle, self.seconds), refresh=True)


def _describe(event: Mapping[str, Any]) -> tuple[str, str]:
    """What an event is called here, and what else there is to say; nothing for one that is not shown."""
    kind = event["type"]
    room, _, word = kind.partition(".")
    if kind in _SKIPPED or room not in ("message", "provider", "credit"):
        return "", ""
    if room == "provider":
        return word, show(event.get("reason"))
    if room == "credit":
        return word, "left out until its balance shows more" if word == "dry" else f"{show(event.get('usable'))} left"
    provider, class_ = event["provider"], event["class"]
    if word == "queued":
        if not class_ or class_ == "accepted":
            return "", ""
        return "refused", f"{provider}: {class_} ({show(event['code'])}), so the next one is asked"
    facts = [provider or ""]
    if word == "sent":
        facts.append(show_price(event["price"], event["currency"]))
    elif word != "delivered" and event["detail"]:
        facts.append(show(event["detail"]))
    return word, "  ".join(fact for fact in facts if fact)


def _make_board(chronicle: Chronicle, seconds: float) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = f"{seconds:.0f} s   {chronicle.count(STATUSES)}"
    board = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_style="bold", title_justify="left")
    for title in ("provider", "accepted", "delivered", "refused", "credit", "now"):
        board.add_column(title, justify="right" if title not in ("provider", "now") else "left", min_width=8)
    for name, account in chronicle.accounts.items():
        state = account.state or "up"
        cells = (name, str(account.accepted), str(account.ends["delivered"]), str(account.refused.total()), _show_credit(account))
        board.add_row(*cells, Text(state, style="red" if account.state else "green"))
    return board


def _show_credit(account: Account) -> str:
    return " ".join(account.credit.values()) or "-"


def print_accounts(chronicle: Chronicle, prices: Mapping[str, tuple[str, str]], total: str) -> None:
    """What each provider did and cost; `prices`: provider -> (sum in its currency, sum in euros)."""
    counts = [Column(title, is_number=True) for title in ("accepted", "delivered", "unconfirmed")]
    columns: Columns = ["provider", *counts, "refused", Column("price", is_number=True), Column("in EUR", is_number=True)]
    rows: list[Sequence[object]] = []
    for name, account in chronicle.accounts.items():
        refused = ", ".join(f"{count} {class_}" for class_, count in account.refused.items())
        own, euros = prices.get(name, ("", ""))
        ends = (account.ends[status] or "" for status in ("delivered", "unconfirmed"))
        rows.append((TITLES[name], account.accepted, *ends, refused, own, euros))
    sent = sum(account.accepted for account in chronicle.accounts.values())
    ended = (sum(account.ends[status] for account in chronicle.accounts.values()) for status in ("delivered", "unconfirmed"))
    rows.append(("all together", sent, *ended, "", "", total))
    say()
    print_table(columns, rows)


def show_end(
    chronicle: Chronicle, prices: Mapping[str, tuple[str, str]], total: str, checks: Sequence[tuple[bool, str]], seconds: float
) -> dict[str, Any]:
    """The same as one document: what each provider did and cost, each claim, and whether all of them hold."""
    providers = [
        {
            "provider": name,
            "accepted": account.accepted,
            "delivered": account.ends["delivered"],
            "unconfirmed": account.ends["unconfirmed"],
            "refused": dict(account.refused),
            "price": prices[name][0] if name in prices else None,
            "eur": prices[name][1] if name in prices else None,
        }
        for name, account in chronicle.accounts.items()
    ]
    return {
        "ok": all(holds for holds, _ in checks),
        "seconds": round(seconds, 1),
        "providers": providers,
        "total_eur": total,
        "checks": [{"holds": holds, "claim": claim} for holds, claim in checks],
    }


def print_checks(checks: Sequence[tuple[bool, str]]) -> None:
    """Each claim with whether it holds."""
    is_terminal = sys.stdout.isatty()
    say()
    for holds, claim in checks:
        word = "ok    " if holds else "FAILED"
        colour = 32 if holds else 31
        say(f"\x1b[{colour}m{word}\x1b[0m  {claim}" if is_terminal else f"{word}  {claim}")
