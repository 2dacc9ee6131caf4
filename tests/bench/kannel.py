"""Kannel 1.4.5 for the comparison over HTTP: bearerbox and smsbox with `store=file`, towards the same sink, fed over its own HTTP API.

As in performance.md: a generic HTTP provider, 32 connections that submit one request at a time, logs at errors only. It is never fetched
or built here: where `bearerbox` and `smsbox` are on the path it is used, elsewhere its figures are left out.
"""

import json
import shutil
import socket
import subprocess
from functools import partial
from pathlib import Path

from tests.bench.bench import Bench
from tests.bench.peers import US, US_DIGITS, Sink, read_end
from tests.bench.rig import Trouble, find_port, read_cpu, wait_until

CONNECTIONS = 32
IN_FLIGHT = 64
CORE = """group = core
admin-port = {admin}
admin-password = bench
admin-interface = 127.0.0.1
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
log-level = 3
store-type = file
store-location = "{folder}/store"

group = smsc
smsc = http
smsc-id = bench
system-type = generic
send-url = "http://127.0.0.1:{sink}/messages?recipient=%P&message=%b"
status-success-regex = "ok"
max-pending-submits = {in_flight}

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
"""


def find_missing(bench: Bench) -> str | None:
    """What of Kannel or for it is not on this machine, None where all is."""
    lacking = [name for name in ("bearerbox", "smsbox") if shutil.which(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} (Kannel) not on the path"
    return None if bench.tools.language == "C" else "its client here is in C alone"


def run_kannel(bench: Bench, count: int, warm: int) -> tuple[float, float]:
    """(messages a second from the first submit to the last at the sink, CPU µs per message of both processes)"""
    bench.stage.clear()
    sink = Sink(bench.stage, bench.tools, 2 * (count + warm), body="ok")
    folder, submits = bench.stage.make_folder(), find_port()
    boxes = _start(bench, folder, submits, sink.port)
    _ask(bench, submits, warm)
    sink.wait(warm)
    cpu = sum(read_cpu(box) for box in boxes)
    first = _ask(bench, submits, count)
    sink.wait(warm + count)
    used = (sum(read_cpu(box) for box in boxes) - cpu) / count * 1e6
    arrivals = sink.read(warm)
    if len(arrivals) != count or len({stamp for _, stamp in arrivals}) != count:
        raise Trouble(f"{len(arrivals)} requests of Kannel came for {count} messages")
    rate = count / (arrivals[-1][0] - first) * 1e9
    bench.say(f"Kannel: {rate:,.0f} msg/s, {used:.0f} µs CPU")
    return rate, used


def _start(bench: Bench, folder: Path, submits: int, sink: int) -> "list[subprocess.Popen[str]]":
    config = folder / "kannel.conf"
    ports = {"admin": find_port(), "boxes": find_port(), "submits": submits, "sink": sink}
    config.write_text(CORE.format(folder=folder, in_flight=IN_FLIGHT, **ports))
    boxes = []
    for name, port in (("bearerbox", ports["boxes"]), ("smsbox", submits)):
        with (folder / f"{name}.out").open("w") as errors:
            boxes.append(bench.stage.start(name, "-v", "4", config, errors=errors))
        wait_until(partial(_answers, port), f"{name} to listen", seconds=20)
    return boxes


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ask(bench: Bench, port: int, count: int) -> int:
    """Submit; the time of the first request."""
    words = (port, count, min(CONNECTIONS, count), US, US_DIGITS)
    found = json.loads(read_end(bench.stage.start(*bench.tools.find("asker"), *map(str, words)), "Kannel's client", 300))
    if found["refused"]:
        raise Trouble(f"Kannel refused {found['refused']} submits")
    return int(found["first"])
