"""The price of a segment: network (MCCMNC), then longest prefix, then country, then `*` (CONTRACT §3, prices).

All amounts are integer micro-units; a table answers None where no price is known.
"""

from collections.abc import Mapping


class PriceTable:
    """One account's prices per segment, compiled for lookup by recipient."""

    __slots__ = ("_countries", "_lengths", "_networks", "_other", "_prefixes")

    def __init__(self, prices: Mapping[str, int]) -> None:
        self._networks: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._countries: dict[str, int] = {}
        self._other: int | None = None
        for key, micro in prices.items():
            if key == "*":
                self._other = micro
            elif key.startswith("+"):
                self._prefixes[key] = micro
            elif key.isdigit():
                self._networks[key] = micro
            else:
                self._countries[key] = micro
        self._lengths = sorted({len(prefix) for prefix in self._prefixes}, reverse=True)

    def find(self, to: str, country: str | None, network: str | None = None) -> int | None:
        """Micro-units per segment for recipient `to` (E.164), or None."""
        if network is not None and network in self._networks:
            return self._networks[network]
        for length in self._lengths:
            price = self._prefixes.get(to[:length])
            if price is not None:
                return price
        if country is not None:
            price = self._countries.get(country)
            if price is not None:
                return price
        return self._other
