"""`twins`: the providers' local twins, served alone, to try programs and plugins against. Nothing leaves the machine.

A twin keeps no message beyond its own process, and is meant for one machine, not for the network.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from broker.cli.command import Command
from broker.cli.output import Column, print_json, print_table, say
from broker.cli.plugins import find_plugin_path
from broker.cli.times import now
from broker.cli.trouble import DONE, FAILED, Trouble

if TYPE_CHECKING:
    from broker.provider.contract import Twin

Served = tuple[str, str | None, str | None, str]
"""A twin that is being served: plugin, address of its HTTP side, of its SMPP side, the plugin's title."""


def _read_port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise ArgumentTypeError(f'"{text}" is no port')
    return int(text)


def _add(parser: ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="plugins; without any, all that have a twin")
    parser.add_argument("--port", metavar="PORT", type=_read_port, default=0, help="the first one's port, the next take the next")


def twins(args: Namespace) -> int:
    """Serve until interrupted."""
    found = find_twins(args.names, find_plugin_path(args.config))

    def announce(served: Sequence[Served]) -> None:
        if args.json:
            print_json({"ok": True, "twins": [{"name": name, "url": url, "smpp": smpp} for name, url, smpp, _ in served]}, is_line=True)
            return
        print_table(["plugin", Column("url"), "title"], [(name, url or smpp, title) for name, url, smpp, title in served])
        if any(url and smpp for _, url, smpp, _ in served):
            print_table(["plugin", Column("smpp")], [(name, smpp) for name, url, smpp, _ in served if url and smpp])
        say("Write such an address as the `url` of a provider, or its parts as `host` and `port`. Ctrl-C ends this.")

    try:
        serve_twins(found, announce, first_port=args.port)
    except KeyboardInterrupt:
        pass  # the way to end it
    return DONE


def find_twins(names: Sequence[str], plugin_path: Sequence[str]) -> dict[str, tuple[str, "Twin"]]:
    """A twin, as new, of each named plugin, or of all that have one: name -> (title, twin). Raises Trouble."""
    from broker.provider.registry import PluginError, find_plugins, load_plugin

    found: dict[str, tuple[str, Twin]] = {}
    try:
        for name in names or sorted(find_plugins(plugin_path)):
            plugin = load_plugin(name, plugin_path)
            if not names and not plugin.has_twin:
                continue  # such as loopback, which is its own twin
            found[name] = (plugin.title, plugin.twin_type())
    except PluginError as error:
        raise Trouble(str(error), FAILED, "plugin") from None
    if not found:
        raise Trouble("no plugin with a twin is installed", FAILED, "plugin")
    return found


def serve_twins(twins: dict[str, tuple[str, "Twin"]], announce: Callable[[Sequence[Served]], None], *, first_port: int = 0) -> None:
    """Serve the twins, each on its own port of the loopback address, until KeyboardInterrupt; `announce` is told when all listen.

    Raises Trouble where a port is taken.
    """
    import trio

    from broker.cli.loop import run_loop
    from broker.provider.twin import place_twin

    async def serve() -> None:
        served: list[Served] = []
        async with trio.open_nursery() as nursery:
            for n, (name, (title, twin)) in enumerate(twins.items()):
                wanted = first_port + n if first_port else 0
                try:
                    place = await place_twin(nursery, twin, now, wanted)
                except OSError as error:
                    message = f"port {wanted} cannot be had for {name}: {error.strerror}; choose another with --port"
                    raise Trouble(message, FAILED, "port") from None
                smpp = None if place.port is None else f"smpp://127.0.0.1:{place.port}"
                served.append((name, place.url, smpp, title))
            announce(served)

    run_loop(serve)


COMMANDS = {
    "twins": Command(
        "Serve the simulated side of the providers, each on an address of this machine, until Ctrl-C. A twin takes messages,"
        " counts credit and answers as the provider's manual says.",
        ("broker twins mitake --port 9001", "broker run --twins   # the broker with all its providers replaced by twins"),
        twins,
        _add,
    ),
}
