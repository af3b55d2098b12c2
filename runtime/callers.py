"""Signed caller values: who calls, packed into one metadata value that other processes of the mesh believe; not tokens of users."""

import hashlib
import hmac
from dataclasses import replace

from aviary.mesh.v1 import mesh_pb2

from runtime.config import Secret
from runtime.context import Caller
from runtime.errors import Unauthenticated
from runtime.ids import Clock

CALLER_KEY = "aviary-caller-bin"
TRACE_KEY = "traceparent"
LIFETIME_MS = 60_000
_MAC = 32
_RESIGN_MS = 20_000
_CACHED = 20_000


class CallerSigner:
    """Signs callers for outgoing calls and verifies those of incoming ones; both are remembered, an HMAC a call would be felt."""

    def __init__(self, mesh_key: Secret, service: str, clock: Clock) -> None:
        self._key = mesh_key.value
        self._service = service
        self._clock = clock
        self._signed: dict[Caller, tuple[int, bytes]] = {}
        self._verified: dict[bytes, tuple[int, Caller]] = {}

    def sign(self, caller: Caller) -> bytes:
        """The caller, asserted by this service, valid for at least another 40 seconds."""
        now = self._clock.now_ms()
        known = self._signed.get(caller)
        if known is not None and now - known[0] < _RESIGN_MS:
            return known[1]
        message = mesh_pb2.Caller(
            user_id=caller.user_id, session_id=caller.session_id, scopes=caller.scopes, service=self._service
        )
        message.issued_at.FromMilliseconds(now)
        packed = message.SerializeToString(deterministic=True)
        signed = packed + self._mac(packed)
        if len(self._signed) >= _CACHED:
            self._signed.clear()
        self._signed[caller] = (now, signed)
        return signed

    def verify(self, signed: bytes) -> Caller:
        """Who calls. Raises Unauthenticated for a value that nobody with the mesh key signed within 60 seconds."""
        now = self._clock.now_ms()
        known = self._verified.get(signed)
        if known is None:
            known = self._open(signed)
            if len(self._verified) >= _CACHED:
                self._verified.clear()
            self._verified[signed] = known
        if abs(now - known[0]) > LIFETIME_MS:
            raise Unauthenticated("the caller value has expired")
        return known[1]

    def asserted(self, caller: Caller) -> Caller:
        """The caller as another service sees it after a call from here."""
        return replace(caller, service=self._service)

    def _open(self, signed: bytes) -> tuple[int, Caller]:
        packed, mac = signed[:-_MAC], signed[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(packed)):
            raise Unauthenticated("the caller value is not signed with the mesh key")
        message = mesh_pb2.Caller.FromString(packed)
        caller = Caller(message.user_id, message.session_id, tuple(message.scopes), message.service)
        return message.issued_at.ToMilliseconds(), caller

    def _mac(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, b"caller:" + packed, hashlib.sha256)
