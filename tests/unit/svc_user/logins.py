"""What tests of logins do again and again."""

import uuid
from typing import Any

import jwt
from aviary.user.v1.user_pb2 import (
    GetSessionsRequest,
    ListSessionsRequest,
    ListSessionsResponse,
    LoginRequest,
    LoginResponse,
    SessionState,
    SetAccountStateRequest,
    UserStatus,
)

from runtime.context import ALL_SCOPES, Caller, acting
from tests.unit.svc_user.world import PASSWORD, SERVICE, World


def owner(answer: Any, *scopes: str) -> Caller:
    """Whoever holds the access token of an answer, as the edge would say it."""
    claims = jwt.decode(answer.access_token, options={"verify_signature": False})
    user_id, session_id = (uuid.UUID(claims[name]).bytes for name in ("sub", "sid"))
    return Caller(user_id=user_id, session_id=session_id, scopes=scopes or ALL_SCOPES, service="edge")


def user_id_of(answer: Any) -> uuid.UUID:
    """The account of an answer that logged somebody in."""
    return uuid.UUID(answer.user.user_id)


async def log_in(world: World, username: str = "alice", **fields: Any) -> LoginResponse:
    """Log in with the password that `World.register` gives."""
    answer: LoginResponse = await world.users.Login(LoginRequest(login=username, **{"password": PASSWORD, **fields}))
    return answer


async def listed(world: World, caller: Caller, **fields: Any) -> ListSessionsResponse:
    """A page of the caller's logins."""
    with acting(caller):
        answer: ListSessionsResponse = await world.users.ListSessions(ListSessionsRequest(**fields))
    return answer


async def states(world: World, *answers: Any) -> list[SessionState]:
    """What the edge is told of the logins of these answers, in their order; of ended ones nothing."""
    ids = [owner(answer).session_id for answer in answers]
    with acting(SERVICE):
        found = (await world.users.GetSessions(GetSessionsRequest(session_ids=ids))).sessions
    return sorted(found, key=lambda state: ids.index(state.session_id))


async def set_status(world: World, answer: Any, status: "UserStatus.ValueType") -> None:
    """Give the account of an answer another status."""
    with acting(SERVICE):
        await world.users.SetAccountState(SetAccountStateRequest(user_id=user_id_of(answer).bytes, status=status))
