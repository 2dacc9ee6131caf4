"""SMSC.ru's side: its SMSC, which knows the commands, the duplicate rule and its own parameters, and a little of its HTTP API.

Never shares code with the plugin: what one writes the other must read. The truth is the provider's pages (see the plugin's MANUAL).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from broker.provider.contract import TwinReply, TwinRequest
from broker.provider.smpp_twin import SmscTwin, Taken
from broker.smpp.pdu import DeliverSm, SubmitSm
from broker.smpp.tlv import Tlv
from broker.text import verdict
from broker.words.clock import MINUTE

TYPES: Final = {
    "__MAIL__": 8,
    "__CALL__": 7,
    "__VIBER__": 10,
    "__SOC__": 12,
    "__TGM__": 13,
    "__BOT__": 14,
    "__HLR__": 4,
    "__PING__": 5,
}
"""A command → the receipt's type flag (0x2001); an SMS is 0, a flash 1. (13 and 14 are this twin's own: the pages have none.)"""
ERRORS: Final = {"1": "parameters error", "2": "authorise error", "3": "no money", "4": "ip blocked", "9": "duplicate request"}
HLR: Final = "imsi:250023012345678 msc:79232510066 mcc:250 mnc:02 cn:Russian+Federation net:MegaFON+open+Joint+Stock+Company rcn: rnet:"
_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)


class Twin(SmscTwin):
    """As SmscTwin, and: `balance` in roubles, of which a message takes `cost`; `api_key` in place of login and password;
    `http_faults`: error codes of the next HTTP requests, in order; `error`: the `err` of receipts; `duplicate`: the status for the same
    request within a minute, None to take it. `channels` lists (type flag, text without command and comment, comment) of what it took.
    """

    def __init__(
        self,
        *,
        balance: str = "1000",
        cost: str = "1.44",
        api_key: str = "",
        http_faults: Sequence[str] = (),
        error: str = "000",
        duplicate: str | None = "0x45",
        latin1: bool = False,
        **script: Any,
    ) -> None:
        super().__init__(latin1=latin1, **script)
        self.balance = Decimal(balance)
        self.cost = Decimal(cost)
        self.api_key = api_key
        self.http_faults = list(http_faults)
        self.error = error
        self.duplicate = duplicate
        self.channels: list[tuple[int, str, str]] = []
        self.lookups: dict[str, str] = {}
        self._flags: dict[str, int] = {}
        self._seen: dict[tuple[str, bytes, int], int] = {}

    # --- SMPP

    def hear_system_type(self, system_type: str) -> None:
        """What the bind's system_type means."""
        self.latin1 = system_type.upper() == "ISO"

    def find_answer(self, pdu: SubmitSm, now: int) -> str:
        """The code of a submit: the script's, unless it is the same request again."""
        code = super().find_answer(pdu, now)
        key = (pdu.destination_addr, pdu.octets, pdu.data_coding)
        last = self._seen.get(key)
        if code == "0x00" and self.duplicate is not None and last is not None and now - last < MINUTE:
            return self.duplicate
        if code not in ("cut", "garbage") and not code.startswith("0x4"):
            self._seen[key] = now
        return code

    def ring(self, to: str, text: str, ref: str, pdu: SubmitSm) -> None:
        """A whole message: the subscriber sees no command and no comment."""
        text, _, comment = text.partition("\n~~~\n")
        flag = 1 if pdu.data_coding & 0x10 else 0
        for command, type_ in TYPES.items():
            if text == command or text.startswith(f"{command}: "):
                flag, text = type_, text.removeprefix(command).removeprefix(": ")
        self.channels.append((flag, text, comment))
        self._flags[ref] = flag
        self.balance -= self.cost
        super().ring(to, text, ref, pdu)

    def make_receipt(self, taken: Taken, stat: str, now: int, err: str = "000", more: str = "", tlvs: tuple[Tlv, ...] = ()) -> DeliverSm:
        """A receipt with the provider's own parameters; of an HLR request with what it found."""
        flag = self._flags.get(self.write_id(taken.ref, 0), 0)
        own = (Tlv(0x2000, f"{self.cost:.4f}".encode() + b"\0"), Tlv(0x2001, b"%d\0" % flag), Tlv(0x2002, b"1\0"))
        found = super().make_receipt(taken, stat, now, self.error if err == "000" else err, more, (*own, *tlvs))
        if flag != TYPES["__HLR__"]:
            return found
        text = f"id:{self.write_id(taken.ref, 1)} stat:{stat} err:{self.error} {HLR}"
        return msgspec.structs.replace(found, short_message=text.encode())

    # --- HTTP

    def answer(self, request: TwinRequest, now: int) -> TwinReply:
        """`/sys/balance.php`, `/sys/send.php` with cost=1 or hlr=1, `/sys/status.php`."""
        said = dict(parse_qsl(request.body.decode() or request.query, keep_blank_values=True))
        page = request.path.rpartition("/")[2]
        if self.http_faults:
            return self._refuse(self.http_faults.pop(0))
        if not self._knows(said):
            return self._refuse("2")
        if page == "balance.php":
            return _say({"balance": f"{self.balance:.2f}"})
        if page == "send.php" and said.get("cost") == "1":
            count = verdict(said.get("mes", "")).segments
            return _say({"cost": f"{self.cost * count}", "cnt": count})
        if page == "send.php" and said.get("hlr") == "1":
            ref = str(855_469 + len(self.lookups))
            self.lookups[ref] = said.get("phones", "")
            return _say({"id": int(ref), "cnt": 1})
        if page == "status.php" and said.get("id") in self.lookups:
            found = dict(part.split(":", 1) for part in HLR.split())
            return _say({"status": 1, "err": 0, **{key: value.replace("+", " ") for key, value in found.items()}})
        return _say({"status": -3}) if page == "status.php" else self._refuse("1")

    def _knows(self, said: dict[str, str]) -> bool:
        if self.api_key:
            return said.get("apikey") == self.api_key
        return said.get("login") == (self.username or said.get("login")) and said.get("psw") == (self.password or said.get("psw"))

    @staticmethod
    def _refuse(code: str) -> TwinReply:
        return _say({"error": ERRORS.get(code, "error"), "error_code": int(code)})


def _say(found: dict[str, object]) -> TwinReply:
    return TwinReply(200, _JSON, msgspec.json.encode(found))
