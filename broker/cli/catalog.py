"""The installed plugins as the configuration needs to see them. Loads a plugin only when it is asked for by name."""

from broker.config import PluginFacts
from broker.provider.registry import load_plugin


def read_facts(name: str, plugin_path: tuple[str, ...]) -> PluginFacts:
    """The facts of a plugin by its name or file. Raises PluginError where there is none, or it cannot be used."""
    plugin = load_plugin(name, plugin_path)
    return PluginFacts(plugin.config_type, plugin.traits, plugin.check, plugin.narrow, plugin.read_code)
