"""Kannel 1.4.5 as a peer: bearerbox and smsbox as processes of the bench, fed over their own HTTP API. Measures nothing by itself.

As in performance.md: 32 connections that submit one request at a time, logs at errors only, receipts in memory. It is never fetched or
built here: where `bearerbox` and `smsbox` are on the path they are used, elsewhere whoever asks is told what is missing.
"""

import json
import shutil
import socket
from functools import partial
from urllib.parse import quote

from tests.bench.peers import Tools, read_end
from tests.bench.rig import Stage, Trouble, find_port, read_cpu, wait_until

CONNECTIONS = 32
_CORE = """group = core
admin-port = {admin}
admin-password = bench
admin-interface = 127.0.0.1
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
log-level = 3
dlr-storage = internal
store-type = {store}
store-location = "{folder}/store"
{core}

group = smsc
smsc-id = bench
{smsc}
group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-port = {submits}
sendsms-interface = 127.0.0.1
global-sender = 13013
log-file = "{folder}/smsbox.log"
log-level = 3

group = sendsms-user
username = bench
password = bench
{user}
"""


def find_missing(tools: Tools) -> str | None:
    """What of Kannel or for it is not on this machine, None where all is."""
    lacking = [name for name in ("bearerbox", "smsbox") if shutil.which(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} (Kannel; on Debian `apt-get install kannel`) not on the path"
    return None if tools.language == "C" else "its client here is in C alone"


class Kannel:
    """Both processes, started. `smsc` says whom it is bound to; `store` is `file` or `spool`; `more` are further groups, `core` and `user`
    more of the daemon's and of the one who submits.
    """

    def __init__(self, stage: Stage, smsc: str, *, store: str = "file", core: str = "", user: str = "", more: str = "") -> None:
        folder, self.submits = stage.make_folder(), find_port()
        (folder / "store").mkdir() if store == "spool" else None
        config = folder / "kannel.conf"
        ports = {"admin": find_port(), "boxes": find_port(), "submits": self.submits}
        config.write_text(_CORE.format(folder=folder, store=store, smsc=smsc, core=core, user=user, **ports) + more)
        self._stage = stage
        self._boxes = []
        for name, port in (("bearerbox", ports["boxes"]), ("smsbox", self.submits)):
            with (folder / f"{name}.out").open("w") as errors:
                self._boxes.append(stage.start(name, "-v", "4", config, errors=errors))
            wait_until(partial(_answers, port), f"{name} to listen", seconds=20)

    @property
    def cpu(self) -> float:
        """Seconds of CPU of both so far."""
        return sum(read_cpu(box) for box in self._boxes)

    def submit(self, tools: Tools, count: int, to: str, digits: int, report_to: str = "") -> int:
        """Submit `count` messages, their receipts called back to the URL `report_to` where there is one; the time of the first request."""
        extra = f"&dlr-mask=1&dlr-url={quote(report_to, safe='')}" if report_to else ""
        words = map(str, (self.submits, count, min(CONNECTIONS, count), to, digits, extra))
        found = json.loads(read_end(self._stage.start(*tools.find("asker"), *words), "Kannel's client", 60 + count / 200))
        if found["refused"]:
            raise Trouble(f"Kannel refused {found['refused']} submits")
        return int(found["first"])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
