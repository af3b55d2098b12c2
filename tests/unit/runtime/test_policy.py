"""One function judges every rpc and route: each kind of access against each kind of caller."""

from dataclasses import dataclass

import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.options.v1 import options_pb2

from runtime.context import NOBODY, Caller
from runtime.errors import PermissionDenied, Unauthenticated
from runtime.policy import InsufficientScope, ensure_may_call

USER = Caller(user_id=b"u" * 16, scopes=("read",))
CALLERS = {
    "nobody": NOBODY,
    "user": USER,
    "moderator": Caller(user_id=b"u" * 16, role=mesh_pb2.ROLE_MODERATOR),
    "admin": Caller(user_id=b"u" * 16, role=mesh_pb2.ROLE_ADMIN),
    "service": Caller(service="audit"),
    "service with a role": Caller(service="audit", role=mesh_pb2.ROLE_ADMIN),
    "service for a user": Caller(user_id=b"u" * 16, service="edge"),
}
LET_IN = {
    options_pb2.ACCESS_UNSPECIFIED: set(),
    options_pb2.ACCESS_ANONYMOUS: set(CALLERS),
    options_pb2.ACCESS_USER: {"user", "moderator", "admin", "service for a user"},
    options_pb2.ACCESS_SERVICE: {"service", "service with a role", "service for a user"},
    options_pb2.ACCESS_MODERATOR: {"moderator", "admin"},
    options_pb2.ACCESS_ADMIN: {"admin"},
    99: set(),
}


@dataclass(frozen=True)
class Stated:
    access: int
    scope: str = ""
    name: str = "Rpc"


@pytest.mark.parametrize("access", LET_IN)
@pytest.mark.parametrize("who", CALLERS)
def test_each_access_lets_in_whom_it_names_and_nobody_else(access: int, who: str) -> None:
    if who in LET_IN[access]:
        ensure_may_call(Stated(access), CALLERS[who])
    else:
        with pytest.raises((Unauthenticated, PermissionDenied)):
            ensure_may_call(Stated(access), CALLERS[who])


def test_every_access_of_the_contract_is_judged_here() -> None:
    assert set(options_pb2.Access.values()) | {99} == set(LET_IN)


def test_who_could_be_let_in_with_a_token_is_told_so() -> None:
    for access in (options_pb2.ACCESS_USER, options_pb2.ACCESS_MODERATOR, options_pb2.ACCESS_ADMIN):
        with pytest.raises(Unauthenticated):
            ensure_may_call(Stated(access), NOBODY)


def test_a_scope_is_asked_of_users_and_not_of_nobody_or_services() -> None:
    open_to_all = Stated(options_pb2.ACCESS_ANONYMOUS, "write")
    ensure_may_call(open_to_all, NOBODY)
    ensure_may_call(Stated(options_pb2.ACCESS_SERVICE, "write"), Caller(service="audit"))
    with pytest.raises(InsufficientScope):
        ensure_may_call(open_to_all, USER)
