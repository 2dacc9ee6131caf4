"""Whatever stands in a text, a number or a sender, the provider decodes what was meant, and nothing else (S8)."""

from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from broker.provider.contract import Unsuitable
from broker.text import TextError, clean
from plugins.isms import plugin as isms
from plugins.isms.twin import Twin as IsmsTwin
from plugins.mitake import plugin as mitake
from plugins.mitake.twin import Twin as MitakeTwin
from plugins.subito import plugin as subito
from plugins.subito.twin import Twin as SubitoTwin
from plugins.tatango import plugin as tatango
from plugins.tatango.twin import Twin as TatangoTwin
from tests.plugins.samples import make_send, reach
from tests.plugins.test_golden import APIS, ISMS, SUBITO, TATANGO

ROWS: list[tuple[Any, Any, Any, str]] = [
    *((mitake, config, MitakeTwin, "+8869") for config in APIS),
    *((isms, config, IsmsTwin, "+3069") for config in ISMS),
    *((subito, config, SubitoTwin, "+39335") for config in SUBITO),
    (tatango, TATANGO, TatangoTwin, "+1202"),
]
SIGNS = "&=%+;#?/\\<>\"'[]{}|\n €é你😀\u2028aB0"
texts = st.lists(st.sampled_from(SIGNS) | st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)


@pytest.mark.parametrize(("plugin", "config", "twin_type", "prefix"), ROWS, ids=[row[0].__name__.split(".")[1] for row in ROWS])
@settings(max_examples=60)
@given(drawn=texts.map("".join), digits=st.text("0123456789", min_size=8, max_size=8))
@example(drawn="a&dstaddr=0900000000&smbody=b\r\n[2]\r\ndstaddr=0911111111", digits="12345678")
@example(drawn="</text><to>1</to>]]><!--", digits="12345678")
@example(drawn='","to":"+39335","x":"', digits="12345678")
@example(drawn="%26%0d%0a+%2B", digits="12345678")
def test_what_the_twin_decodes_is_what_was_meant(plugin: Any, config: Any, twin_type: Any, prefix: str, drawn: str, digits: str) -> None:
    try:
        text = clean(drawn)
    except TextError:
        assume(False)
    to = (prefix + digits)[: {"+8869": 13, "+3069": 13, "+39335": 13, "+1202": 12}[prefix]]
    send, twin = make_send(text, to), twin_type()
    try:
        call = plugin.build(config, [send], 0)
    except Unsuitable:
        return  # said before a byte has left
    outcomes = plugin.parse(config, reach(twin, call), [send])
    if outcomes[0].class_ == "accepted":
        ((number, decoded, *_),) = twin.sent
        assert to.endswith(number.lstrip("+0"))  # as the provider writes it: with no +, or as in its own country
        assert len(number) > 9
        assert decoded == text
    else:
        assert twin.sent == []
