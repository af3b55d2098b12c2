"""What the edge spends on knowing who asks, in one process: tokens that it has seen, of logins that svc_user's signals vouch for."""

import asyncio
import time
from typing import Any

from aviary.user.v1 import user_pb2, user_pb2_grpc
from aviary.user.v1.events_pb2 import AccountSignal
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.figures import Ceiling, Row
from bench.stage import Stage
from edge.auth import TokenVerifier, bearer
from edge.sessions import Sessions
from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.guard import Guard
from runtime.ids import SystemClock, Uuid7Ids
from signals.epochs import SILENCE_S
from svc_user.domain.logins import Session
from svc_user.tokens import TokenIssuer, key_id

NAME = "Token check"
AIM_US = 5.0
_LOGINS = 1_000
_AT_ONCE = 100
_PUBLISHERS = [number.to_bytes(16) for number in range(1, 5)]
"""Processes of svc_user, whose signals are all to be heard."""
_BARE = "the token looked up in a dict"


class EveryLoginStands:
    """What svc_user says of logins, here."""

    @staticmethod
    async def unary_unary(request: Any, _: Any) -> user_pb2.GetSessionsResponse:
        """All that are asked for, in use."""
        active = user_pb2.USER_STATUS_ACTIVE
        states = [user_pb2.SessionState(session_id=s, user_id=s, status=active) for s in request.session_ids]
        return user_pb2.GetSessionsResponse(sessions=states)


async def run(stage: Stage) -> list[Row]:
    """CPU from the Authorization header to the caller, as every request with a token spends it."""
    clock, key = SystemClock(), Ed25519PrivateKey.generate()
    ids, issuer = Uuid7Ids(clock), TokenIssuer(key, Secret(b"r" * 32), clock, 900)
    logins = [Session(ids.next(), ids.next(), 0, clock.now_ms()) for _ in range(_LOGINS)]
    headers = [f"Bearer {issuer.issue(login).access_token}".encode() for login in logins]
    tokens = TokenVerifier({key_id(key): key.public_key()}, clock)
    signature_s = _spent(lambda: [tokens.verify(bearer(header)) for header in headers])
    sessions = Sessions(tokens, _users(), time.monotonic)
    asking = asyncio.create_task(sessions.run())
    for _ in range(4):
        await _beat(sessions)
        await asyncio.sleep(SILENCE_S / 3)
    for start in range(0, _LOGINS, _AT_ONCE):
        await _beat(sessions)
        await asyncio.gather(*(sessions.admit(bearer(header)) for header in headers[start : start + _AT_ONCE]))
    seen_s, rounds = 0.0, stage.sizes.token_rounds
    for _ in range(rounds):
        await _beat(sessions)
        started = time.process_time()
        for header in headers:
            await sessions.admit(bearer(header))
        seen_s += time.process_time() - started
    asking.cancel()
    known = dict.fromkeys(headers)
    bare_s = _spent(lambda: [known[header] for _ in range(rounds) for header in headers])
    each = 1e6 / _LOGINS
    ceiling = Ceiling(_BARE, bare_s * each / rounds)
    return [
        Row(NAME, "seen before, its login vouched for", "us", seen_s * each / rounds, ceiling, AIM_US),
        Row(NAME, "never seen: the signature", "us", signature_s * each),
    ]


async def _beat(sessions: Sessions) -> None:
    for publisher_id in _PUBLISHERS:
        await sessions.heard(AccountSignal(publisher_id=publisher_id))


def _users() -> user_pb2_grpc.UserServiceAsyncStub:
    channel = InProcessChannel(Guard(CallerSigner(Secret(b"m" * 32), "edge", SystemClock())), "edge")
    service = user_pb2.DESCRIPTOR.services_by_name["UserService"].full_name
    channel.add_registered_method_handlers(service, {"GetSessions": EveryLoginStands})
    return user_pb2_grpc.UserServiceStub(channel)


def _spent(work: Any) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
