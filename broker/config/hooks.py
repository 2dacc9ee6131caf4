"""Where statuses and inbound messages are handed on: [[inbound]], and the webhook of a client. What each key may be, and what is odd.

An address is never quoted: it may have a key in it.
"""

import ipaddress
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from broker.config.forms import FLAG, TEXT, Form, any_of, many, plain, read_address
from broker.config.places import Places
from broker.config.problem import Path
from broker.config.spot import UNSHOWN, Fault, Spot, nearest
from broker.config.tables import Forms, add_missing, read_struct, show_struct, struct_of
from broker.text import fold, fold_whole
from broker.words.secret import Secret
from broker.words.settings import InboundMatch, InboundSettings, Settings
from broker.words.signature import read_key


def host_of(url: str) -> str | None:
    """The host that an address names, None where it names none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def is_loopback(host: str | None) -> bool:
    """True for a name or address of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_in_clear(url: str) -> bool:
    """True where whoever is on the way could read what is sent there."""
    return url.lower().startswith("http://") and not is_loopback(host_of(url))


def _read_secret(value: object) -> Secret:
    if not isinstance(value, str) or not value:
        kinds = '{ env = "NAME" }, { file = "path" } or { credential = "NAME" }'
        raise Fault(f"is no secret: write {kinds}, or a string in quotes", UNSHOWN)
    try:
        read_key(value)
    except ValueError:
        raise Fault("begins with whsec_, and no base64 follows: write the whole secret as it was made", UNSHOWN) from None
    return Secret(value)


def _read_keyword(value: object) -> str:
    if not isinstance(value, str) or not fold(value) or " " in fold(value):
        raise Fault('is no keyword: write one word, for example "INFO"')
    return value


def _read_stop(value: object) -> str:
    if not isinstance(value, str) or not fold_whole(value):
        raise Fault('is no word: write what people send, for example "STOP"')
    return value


ADDRESS = plain(read_address, example='"https://…"')
SIGNING = plain(_read_secret, example='{ env = "NAME" }')
WORDS = many(plain(_read_stop, example='"STOP"'))

CLIENT_HOOK: Forms = {"webhook": ADDRESS, "webhook_secret": SIGNING, "webhook_cleartext": FLAG}


def _command(places: Places) -> Form[tuple[str, ...]]:
    """A program and its arguments; a program with a slash in it starts at the file, any other is found by PATH."""

    def read_word(value: object) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise Fault("must be a string in quotes", UNSHOWN)
        return value

    words = many(plain(read_word), least=1)

    def read(spot: Spot) -> tuple[str, ...]:
        if isinstance(spot.value, str):
            raise Fault('must be a list, as no shell takes it apart: ["program", "argument"]', UNSHOWN)
        program, *arguments = words.read(spot)
        if not program or program.startswith("~"):
            raise Fault("names no program: write its whole path first", program)
        return (places.resolve(program) if "/" in program else program, *arguments)

    return Form(read, list, '["/usr/local/bin/program"]')


def _provider(names: Collection[str]) -> Form[str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or (names and value not in names):
            raise Fault(f"is none of [providers]: {nearest(str(value), names)}")
        return value

    return plain(read, example='"tatango"')


def inbound_match_forms(providers: Collection[str]) -> Forms:
    """`match` of [[inbound]]."""
    return {
        "to": any_of(TEXT),
        "from": any_of(TEXT),
        "keyword": any_of(plain(_read_keyword, example='"INFO"')),
        "provider": any_of(_provider(providers)),
    }


def inbound_forms(places: Places, providers: Collection[str]) -> Forms:
    """One of [[inbound]]; `providers` are the names that it may use."""
    return {
        "match": struct_of(InboundMatch, inbound_match_forms(providers)),
        "to": ADDRESS,
        "exec": _command(places),
        "secret": SIGNING,
        "cleartext": FLAG,
    }


def read_inbound(spot: Spot, places: Places, providers: Collection[str]) -> InboundSettings | None:
    """The rule at `spot`, or None with every fault reported."""
    try:
        table = spot.table()
        rule = read_struct(spot, InboundSettings, inbound_forms(places, providers))
    except Fault as fault:
        spot.add_fault(fault)
        return None
    if "to" in table and "exec" in table:
        spot.child("exec").add("stands beside `to`: one rule hands on to one place; write two rules, or take one out")
    elif "to" not in table and "exec" not in table:
        add_missing(spot, "to", f"{ADDRESS.example}, or exec = {_command(places).example}")
    return rule


def show_inbound(rule: InboundSettings) -> dict[str, object]:
    """The rule as the file would say it."""
    return show_struct(rule, inbound_forms(Places(), ()))


def find_faults(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Faults that no single value shows."""
    for path, url, may in _addresses(settings):
        if is_in_clear(url) and not may:
            key = "webhook_cleartext" if path[0] == "clients" else "cleartext"
            yield path, f"would send texts and numbers in clear to another machine: write https://, or {key} = true beside it"
    start = set(map(fold_whole, settings.suppress.start))
    for word in settings.suppress.stop:
        if fold_whole(word) in start:
            yield ("suppress", "start"), f'has "{word}", which is in stop as well: take it out of one'


def _addresses(settings: Settings) -> Iterator[tuple[Path, str, bool]]:
    for index, rule in enumerate(settings.inbound):
        if rule.to is not None:
            yield ("inbound", index, "to"), rule.to, rule.cleartext
    for name, client in settings.clients.items():
        if client.webhook is not None:
            yield ("clients", name, "webhook"), client.webhook, client.webhook_cleartext


def keep_local(settings: Settings) -> Settings:
    """The settings without the addresses on other machines: nothing leaves this one while twins stand in for the providers.

    Such a rule of [[inbound]] still matches; what it takes is stored and told, and handed to nobody. Twins call back on this machine.
    """
    callbacks = settings.callbacks and msgspec.structs.replace(settings.callbacks, public_url=None)
    inbound = [
        rule if rule.to is None or is_loopback(host_of(rule.to)) else msgspec.structs.replace(rule, to=None) for rule in settings.inbound
    ]
    clients = {
        name: client if client.webhook is None or is_loopback(host_of(client.webhook)) else msgspec.structs.replace(client, webhook=None)
        for name, client in settings.clients.items()
    }
    return msgspec.structs.replace(settings, inbound=tuple(inbound), clients=clients, callbacks=callbacks)


def find_oddities(settings: Settings) -> Iterator[tuple[Path, str]]:
    """What is readable and probably not meant."""
    unsigned = "nobody there can tell that it comes from this broker: write {}"
    for name, client in settings.clients.items():
        if client.webhook is None and client.webhook_secret is not None:
            yield ("clients", name, "webhook_secret"), "has no effect without webhook: write it, or take this out"
        elif client.webhook is not None and client.webhook_secret is None:
            yield ("clients", name, "webhook"), unsigned.format("webhook_secret")
    for index, rule in enumerate(settings.inbound):
        here: Path = ("inbound", index)
        early = next((n for n, other in enumerate(settings.inbound[:index]) if _takes_all(other.match, rule.match)), None)
        if early is not None:
            yield (
                (*here, "match"),
                f"this rule can never match: inbound[{early}] comes first and takes all that it would; move it up, or narrow the other one",
            )
        if rule.exec is not None:
            if rule.secret is not None:
                yield (*here, "secret"), "has no effect with exec: only what is sent to an address is signed"
            if shutil.which(rule.exec[0]) is None:
                yield (*here, "exec"), "there is no such program here that this user may run: install it, or mend the path"
        elif rule.to is not None and rule.secret is None:
            yield (*here, "to"), unsigned.format("secret")


def _takes_all(early: InboundMatch, late: InboundMatch) -> bool:
    numbers = ((early.to, late.to), (early.from_, late.from_))
    if not all(_covers(one, other, lambda number: number.removeprefix("+")) for one, other in numbers):
        return False
    return _covers(early.keyword, late.keyword, fold) and _covers(early.provider, late.provider, str)


def _covers(early: Sequence[str] | None, late: Sequence[str] | None, form: Callable[[str], str]) -> bool:
    return early is None or (late is not None and set(map(form, late)) <= set(map(form, early)))
