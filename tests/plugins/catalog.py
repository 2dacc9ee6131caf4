"""Every shipped plugin that has build and parse, in every variant that its settings offer."""

import typing
from itertools import product
from typing import Any, Literal, NamedTuple

import msgspec

from broker.provider.contract import Secret
from broker.provider.registry import find_plugins, load_plugin
from broker.provider.smpp import SmppKeys

ORIGIN = "http://gateway.test"
DEMO = "demo"  # what every twin knows its account by


class Variant(NamedTuple):
    """One way to set a plugin up: each choice (a Literal among its settings) made."""

    name: str
    plugin: Any
    """A Plugin that has build and parse; what else it has is asked where it is used."""
    choices: dict[str, str]

    @property
    def label(self) -> str:
        return "-".join([self.name, *self.choices.values()])

    def make_config(self, secret: str = DEMO, origin: str = ORIGIN) -> Any:
        """Settings with every secret `secret`, every other text that must be given DEMO, every address at `origin`."""
        types = typing.get_type_hints(self.plugin.config_type)
        given: dict[str, Any] = dict(self.choices)
        for field in msgspec.structs.fields(self.plugin.config_type):
            if types[field.name] is Secret:
                given[field.name] = Secret(secret)
            elif field.name in ("url", "long_url"):
                given[field.name] = origin
            elif field.name == "soap_url":
                given[field.name] = f"{origin}/soap"
            elif field.required:
                given.setdefault(field.name, DEMO)
        return self.plugin.config_type(**given)


def find_variants(name: str) -> list[Variant]:
    plugin = load_plugin(name)
    types = typing.get_type_hints(plugin.config_type)
    choices = {
        key: typing.get_args(type_)
        for key, type_ in types.items()
        if typing.get_origin(type_) is Literal and key not in SmppKeys.__struct_fields__  # those change nothing of what goes by HTTP
    }
    variants = [Variant(name, plugin, dict(zip(choices, values, strict=True))) for values in product(*choices.values())]
    return [variant for variant in variants if is_http(variant)]


def is_http(variant: Variant) -> bool:
    """True where the account can be set up so, and sends by HTTP."""
    plugin, config = variant.plugin, variant.make_config()
    if plugin.check is not None and list(plugin.check(config)):
        return False
    return plugin.open_session is None or plugin.open_session(config, "a") is None


VARIANTS = [variant for name in sorted(find_plugins()) if load_plugin(name).build is not None for variant in find_variants(name)]
NAMES = list(dict.fromkeys(variant.name for variant in VARIANTS))
