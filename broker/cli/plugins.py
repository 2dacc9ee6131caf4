"""`plugins`: the installed plugins and what each can do.

A plugin that cannot be loaded is a row too, with the reason: the others are no worse for it.
"""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from broker.cli.command import Command
from broker.cli.output import Column, Columns, print_json, print_table, say
from broker.cli.places import find_places
from broker.cli.trouble import DONE, FAILED, Trouble

if TYPE_CHECKING:
    from broker.provider.contract import Traits


def find_plugin_path(config: str | None) -> list[str]:
    """[broker].plugin_path of the file to go by; a relative entry starts at the file."""
    places = find_places(config, is_whole=True)
    section = places.tree.get("broker")
    entries = section.get("plugin_path") if isinstance(section, dict) else None
    return [places.resolve(f"./{entry}" if "/" not in entry else entry)[0] for entry in entries or [] if isinstance(entry, str)]


def plugins(args: Namespace) -> int:
    """Print a table of the plugins."""
    from broker.provider.registry import PluginError, find_plugins, load_plugin

    entries = find_plugin_path(args.config)
    try:
        known = find_plugins(entries)
    except PluginError as error:
        raise Trouble(str(error), FAILED, "plugin") from None
    rows: list[dict[str, Any]] = []
    for name, path in sorted(known.items()):
        try:
            plugin = load_plugin(name, entries)
        except PluginError as error:
            rows.append({"name": name, "path": str(path), "error": str(error)})
            continue
        facts = {"name": name, "title": plugin.title, "manual": plugin.manual, "path": str(path)}
        rows.append(facts | {"traits": show_traits(plugin.traits), "codes": len(plugin.codes)})
    if args.json:
        print_json({"ok": True, "plugins": rows})
    else:
        _print_rows(rows)
    return FAILED if any("error" in row for row in rows) else DONE


def show_traits(traits: "Traits") -> dict[str, Any]:
    """The traits as plain values."""
    import msgspec

    shown = msgspec.to_builtins(traits)
    return {name: sorted(value) if isinstance(getattr(traits, name), frozenset) else value for name, value in shown.items()}


def _print_rows(rows: list[dict[str, Any]]) -> None:
    columns: Columns = [
        "plugin",
        "title",
        "channels",
        "receipts",
        "senders",
        Column("batch", is_number=True),
        "credit",
        "countries",
    ]
    good = [row for row in rows if "error" not in row]
    table = [
        (
            row["name"],
            row["title"],
            row["traits"]["channels"],
            row["traits"]["receipts"] or "none",
            ["its own"] if row["traits"]["senders"] == ["none"] else [form for form in row["traits"]["senders"] if form != "none"],
            row["traits"]["batch"],
            row["traits"]["unit"],
            row["traits"]["countries"] or "any",
        )
        for row in good
    ]
    print_table(columns, table)
    for row in rows:
        if "error" in row:
            say(f"{row['name']}: {row['error']}")


COMMANDS = {
    "plugins": Command(
        "The installed plugins and their traits: channels, how receipts come, the sender forms a provider takes, messages a"
        " request may carry, the unit of its credit, the countries it serves. More come from [broker].plugin_path and from"
        " packages with an entry point broker.plugins.",
        ("broker plugins", "broker plugins --json | jq '.plugins[].manual'"),
        plugins,
    ),
}
