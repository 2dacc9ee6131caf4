"""Signatures of Standard Webhooks: `webhook-signature: v1,BASE64(HMAC-SHA256(key, "id.timestamp.body"))`.

The truth is the specification at standardwebhooks.com (1.0); its own library is the oracle in the tests.
"""

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def read_key(secret: str) -> bytes:
    """The key of a secret: what stands in base64 behind `whsec_`, else the text itself. Raises ValueError where that is no base64."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:  # what is not ASCII raises no binascii.Error
        key = b""
    if not key:
        raise ValueError("not base64")  # and no word of the secret in it
    return key


def sign(key: bytes, id_: str, second: int, body: bytes) -> str:
    """The value of `webhook-signature`; `second` is what `webhook-timestamp` says."""
    digest = hmac.digest(key, f"{id_}.{second}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()
