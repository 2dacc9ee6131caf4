"""Reading and checking broker.toml: from a file to Settings, or to every problem in it with its line and remedy.

Never applies or writes anything, and imports no plugin: a table of plugins is handed in. The truth of the file is CONTRACT §3.
"""

from broker.config.effective import changes, effective, needs_restart
from broker.config.findings import check_settings
from broker.config.hooks import keep_local
from broker.config.places import find_config, store_path
from broker.config.plugin import PluginFacts, PluginTable
from broker.config.problem import ConfigError, Problem
from broker.config.reader import read_settings

__all__ = [
    "ConfigError",
    "PluginFacts",
    "PluginTable",
    "Problem",
    "changes",
    "check_settings",
    "effective",
    "find_config",
    "keep_local",
    "needs_restart",
    "read_settings",
    "store_path",
]
