"""List cursors: opaque to clients, signed, bound to route, viewer and list; what the position means is known to each rpc."""

import base64
import binascii
import hashlib
import hmac

from aviary.mesh.v1 import mesh_pb2
from google.protobuf.message import DecodeError

from runtime.config import Secret
from runtime.errors import FieldProblem, InvalidCursor
from runtime.ids import Clock

LIFETIME_MS = 24 * 3600 * 1000
_MAC = 16


class Cursors:
    """Seals and opens cursors. The first key seals, all of them open, so that keys can be rotated without breaking a reader."""

    def __init__(self, keys: dict[int, Secret], clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._sealing = next(iter(keys))

    def seal(self, route: str, viewer: bytes, subject: bytes, key: bytes) -> str:
        """A cursor for the list of `subject` that `route` gives to `viewer`, standing at `key`."""
        cursor = mesh_pb2.Cursor(route=route, viewer=viewer, subject=subject, key=key)
        cursor.issued_at.FromMilliseconds(self._clock.now_ms())
        packed = bytes([self._sealing]) + cursor.SerializeToString()
        return base64.urlsafe_b64encode(packed + self._mac(self._sealing, packed)).rstrip(b"=").decode()

    def open(self, text: str, route: str, viewer: bytes, subject: bytes) -> bytes:
        """The position in a cursor. Raises InvalidCursor for one that was changed, is of another list or viewer, or expired."""
        cursor = self._read(text)
        if (cursor.route, cursor.viewer, cursor.subject) != (route, viewer, subject):
            raise _invalid("belongs to another list or another viewer")
        if not 0 <= self._clock.now_ms() - cursor.issued_at.ToMilliseconds() + 60_000 <= LIFETIME_MS + 60_000:
            raise _invalid("is older than 24 hours")
        return cursor.key

    def _read(self, text: str) -> mesh_pb2.Cursor:
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid("is not one that this system gave") from None
        packed, mac = raw[:-_MAC], raw[-_MAC:]
        if not packed or packed[0] not in self._keys or not hmac.compare_digest(mac, self._mac(packed[0], packed)):
            raise _invalid("is not one that this system gave")
        try:
            return mesh_pb2.Cursor.FromString(packed[1:])
        except DecodeError:
            raise _invalid("is not one that this system gave") from None

    def _mac(self, key_id: int, packed: bytes) -> bytes:
        return hmac.digest(self._keys[key_id].value, b"cursor:" + packed, hashlib.sha256)[:_MAC]


def parse_keys(raw: str) -> dict[int, Secret]:
    """Keys from configuration, `1:<hex>[,2:<hex>]`. Raises ValueError."""
    keys: dict[int, Secret] = {}
    for part in raw.split(","):
        number, _, key = part.partition(":")
        value = bytes.fromhex(key)
        if not 0 < int(number) < 256 or len(value) < 32:
            raise ValueError("is not number:hex of at least 32 bytes, with numbers of 1 to 255")
        keys[int(number)] = Secret(value)
    return keys


def _invalid(why: str) -> InvalidCursor:
    return InvalidCursor(
        f"the cursor {why}", fields=[FieldProblem("cursor", f"{why}; read the list again from its start")]
    )
