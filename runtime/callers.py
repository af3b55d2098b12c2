"""Signed caller values: who calls, packed into one metadata value that other processes of the mesh believe; not tokens of users."""

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar, cast

from aviary.mesh.v1 import mesh_pb2, reason_pb2
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from runtime.config import Secret
from runtime.context import Caller
from runtime.errors import PermissionDenied, Unauthenticated, common
from runtime.ids import Clock

K = TypeVar("K")
V = TypeVar("V")

CALLER_KEY = "aviary-caller-bin"
TRACE_KEY = "traceparent"
LIFETIME_MS = 60_000
SKEW_MS = 5_000
_MAC = 32
_ID = 16
_RESIGN_MS = 20_000
_CACHED = 20_000


class CallerRefused(Unauthenticated):
    """A caller value that this process does not believe. No user is at fault, so callers see Unavailable (errors.from_rpc)."""

    reason = common(reason_pb2.REASON_CALLER_REFUSED)


class MayNotAssertUsers(PermissionDenied):
    """A service speaks for a user although it is not among those that may."""

    reason = common(reason_pb2.REASON_CALLER_REFUSED)


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
        # Neither an old value nor, after the clock was set back, one that others would find to be of the future.
        if known is not None and 0 <= now - known[0] < _RESIGN_MS:
            return known[1]
        packed = mesh_pb2.Caller(
            user_id=caller.user_id,
            session_id=caller.session_id,
            scopes=caller.scopes,
            service=self._service,
            role=cast("mesh_pb2.Role.ValueType", caller.role),
            issued_at=Timestamp(seconds=now // 1000, nanos=now % 1000 * 1_000_000),
        ).SerializeToString(deterministic=True)
        signed = packed + self._mac(packed)
        _keep(self._signed, caller, (now, signed))
        return signed

    def verify(self, signed: bytes) -> Caller:
        """Who calls. Raises CallerRefused for a value that nobody with the mesh key signed within 60 seconds."""
        now = self._clock.now_ms()
        known = self._verified.get(signed)
        if known is None:
            known = self._open(signed)
            _keep(self._verified, signed, known)
        age = now - known[0]
        if not -SKEW_MS <= age <= LIFETIME_MS:
            text = "compare the clocks of both machines"
            raise CallerRefused(f"the caller value of {known[1].service} is {age} ms old here: {text}")
        return known[1]

    def asserted(self, caller: Caller) -> Caller:
        """The caller as another service sees it after a call from here."""
        return replace(caller, service=self._service)

    def _open(self, signed: bytes) -> tuple[int, Caller]:
        packed, mac = signed[:-_MAC], signed[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(packed)):
            raise CallerRefused("the caller value is not signed with our AVIARY_MESH_KEY: is it the same everywhere?")
        try:
            said = mesh_pb2.Caller.FromString(packed)
        except DecodeError:
            raise CallerRefused("the caller value is signed, but is none") from None
        if not said.service or any(len(value) not in (0, _ID) for value in (said.user_id, said.session_id)):
            raise CallerRefused("the caller value names no service, or ids that are none")
        caller = Caller(said.user_id, said.session_id, tuple(said.scopes), said.service, said.role)
        return said.issued_at.seconds * 1000 + said.issued_at.nanos // 1_000_000, caller

    def _mac(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, b"caller:" + packed, hashlib.sha256)


def ensure_spoken_by(caller: Caller, peer: Collection[str], may_assert_users: Collection[str]) -> None:
    """Raise CallerRefused unless the services that the other end is certified to be speak for themselves.

    A value of another service is refused, wherever it was picked up; MayNotAssertUsers names a service that carries a user and may not.
    """
    if caller.service not in peer:
        names = ", ".join(sorted(peer)) or "no service"
        raise CallerRefused(f"{caller.service} is said to call, but the certificate of the other end names {names}")
    if caller.user_id and caller.service not in may_assert_users:
        raise MayNotAssertUsers(f"{caller.service} calls for a user: add it to AVIARY_MESH_MAY_ASSERT_USERS if it may")


def _keep(known: dict[K, V], key: K, value: V) -> None:
    """Remember a value as the newest; what came longest ago makes room."""
    known.pop(key, None)
    if len(known) >= _CACHED:
        del known[next(iter(known))]
    known[key] = value
