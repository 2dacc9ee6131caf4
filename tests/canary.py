"""The secrets that the tests' accounts have, and the search for them in octets and files.

Which of a test's own words are secrets is its own matter; these are those of the rigs, wherever they are used.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

SECRETS = (
    "c4n4ry-9f31-hunter2",  # of the house's accounts (tests.daemon.house), of a configuration (tests.config.desk)
    "c4n4ry-9",  # the same for SMPP, which has room for eight
    "canary5eCr3t",  # of a call on the wire (tests.provider.wire)
    "c4n4ry00000000000000000000000000",  # in a callback's URL (tests.crash.pusher)
)
WRITTEN = frozenset({".toml", ".py", ".secret"})
"""Files that a person, or the test in his place, writes."""
MOST = 64 * 1024 * 1024


def spell(secret: str) -> set[bytes]:
    """The secret as it may stand in a text, an address, a form, in hexadecimal or in base64 at any place of it."""
    plain = {secret, quote(secret, safe=""), quote_plus(secret), secret.encode().hex(), "".join(f"%{byte:02X}" for byte in secret.encode())}
    padded = (base64.b64encode(b"\0" * at + secret.encode())[4 if at else 0 : -4] for at in range(3))
    return {form.encode() for form in plain} | {form for form in padded if len(form) > 8}


FORMS = frozenset().union(*map(spell, SECRETS))


def find_in(data: bytes) -> bool:
    """True where one of the secrets is in `data`, in any form."""
    return any(form in data for form in FORMS)


def find_in_folder(folder: Path) -> Iterator[Path]:
    """The files under `folder` that a secret is in, those left out that it is written into."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in WRITTEN or not file.is_file() or file.is_symlink():
            continue
        if file.name == "ballast" or file.stat().st_size > MOST:
            continue
        if find_in(file.read_bytes()):
            yield file
