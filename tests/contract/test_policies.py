"""Promise 10: every rpc and every route has a policy, one function judges it, and no way of serving goes round it."""

import re
import time
import uuid
from typing import Any

import httpx
import pytest
from aviary.options.v1 import options_pb2
from aviary.user.v1.apps_pb2_grpc import AppServiceStub
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from grpc import StatusCode, aio

from coalesced.lines import CARRY
from edge.api import build_app, endpoints_of, public_encoder, public_routes
from edge.auth import TokenVerifier
from edge.oauth.build import oauth_pages
from edge.pages import Page
from edge.policies import STREAM
from edge.sessions import Sessions
from edge.transcoder import Endpoint
from in_process import InProcessChannel
from runtime import contract
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, APP_SCOPES, Caller, acting
from runtime.contract import Method
from runtime.guard import Guard
from runtime.http import OpsApp
from runtime.ids import SystemClock
from tests.contract.contracts import ROOT, files, services, sources

# All packages of ours but those that only test, build or measure.
PRODUCTION = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "tools", "bench", "simulation"}
RPCS = [rpc for service in services() for rpc in contract.methods(service.full_name)]
KNOWN = {number for number in options_pb2.Access.values() if number != options_pb2.ACCESS_UNSPECIFIED}


class Reached(Exception):
    """The rpc's own code ran."""


def behind_the_guard() -> InProcessChannel:
    """A channel on which every rpc of every service tells that it was reached."""
    channel = InProcessChannel(Guard(CallerSigner(Secret(b"k" * 32), "tests", SystemClock())))

    async def reached(request: Any, context: Any) -> Any:
        raise Reached

    class Handler:
        unary_unary = staticmethod(reached)

    for service in services():
        channel.add_registered_method_handlers(service.full_name, {method.name: Handler for method in service.methods})
    return channel


CHANNEL = behind_the_guard()
SESSIONS = Sessions(TokenVerifier({}, SystemClock()), UserServiceStub(CHANNEL), time.monotonic)
ENDPOINTS = endpoints_of([(file, CHANNEL) for file in files()], SESSIONS, public_encoder())
OPS = OpsApp(lambda: {})
OAUTH = oauth_pages("https://aviary.example", AppServiceStub(CHANNEL), TokenVerifier({}, SystemClock()), {})
ROUTES = list(public_routes(ENDPOINTS, OPS, OAUTH))
OF_PEOPLE = (options_pb2.ACCESS_USER, options_pb2.ACCESS_MODERATOR, options_pb2.ACCESS_ADMIN)
BY_PEOPLE = [rpc for rpc in RPCS if rpc.access in OF_PEOPLE]


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
async def test_nobody_reaches_an_rpc_that_is_not_open_to_all(rpc: Method) -> None:
    with pytest.raises(aio.AioRpcError) as raised:
        await CHANNEL.unary_unary(rpc.path)(rpc.request())
    refused = raised.value.code() in (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED)
    assert refused == (rpc.access != options_pb2.ACCESS_ANONYMOUS)


@pytest.mark.parametrize("rpc", BY_PEOPLE, ids=lambda rpc: rpc.path)
def test_an_rpc_for_people_states_the_scope_that_their_tokens_need(rpc: Method) -> None:
    """One without a scope would be open to every app that was let in for anything."""
    assert rpc.scope in ALL_SCOPES
    if rpc.access != options_pb2.ACCESS_USER:
        assert rpc.scope not in APP_SCOPES, "an app acts for its user, not with the user's office"


@pytest.mark.parametrize("rpc", BY_PEOPLE, ids=lambda rpc: rpc.path)
async def test_an_app_reaches_nothing_beyond_its_scopes(rpc: Method) -> None:
    others = tuple(scope for scope in ALL_SCOPES if scope != rpc.scope)
    with (
        acting(Caller(user_id=b"u" * 16, session_id=b"s" * 16, scopes=others)),
        pytest.raises(aio.AioRpcError) as raised,
    ):
        await CHANNEL.unary_unary(rpc.path)(rpc.request())
    assert raised.value.code() == StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(("verb", "path", "target"), ROUTES, ids=[f"{verb} {path}" for verb, path, _ in ROUTES])
async def test_every_route_has_a_policy_and_nobody_passes_one_that_is_not_open_to_all(
    verb: str, path: str, target: Any
) -> None:
    assert isinstance(target, Endpoint | Page)
    assert target.policy.access in KNOWN
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(build_app(ENDPOINTS, OPS, OAUTH)), base_url="http://edge"
    ) as client:
        body = {"json": {}} if verb in ("POST", "PUT", "PATCH") else {}
        answer = await client.request(verb, path.replace("{}", str(uuid.uuid4())), **body)
    assert (answer.status_code == 401) == (target.policy.access != options_pb2.ACCESS_ANONYMOUS)


def test_the_stream_asks_for_a_user_who_may_read() -> None:
    assert (STREAM.access, STREAM.scope) == (options_pb2.ACCESS_USER, "read")


@pytest.mark.parametrize("rpc", [rpc for rpc in RPCS if rpc.path != CARRY], ids=lambda rpc: rpc.path)
def test_no_rpc_streams_but_the_one_that_carries_the_others(rpc: Method) -> None:
    """The guard judges who begins a stream; what comes on it needs somebody to judge it, as each call on a line is judged."""
    [described] = [m for s in services() if s.full_name == rpc.service for m in s.methods if m.name == rpc.name]
    assert not (described.client_streaming or described.server_streaming)


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        (r"aio\.server\(", ["runtime/service.py"]),
        (r"aio\.(insecure|secure)_channel\(", ["runtime/channel.py"]),
        (r"add_(insecure|secure)_port\(", ["runtime/service.py"]),
        (r"(?<!def )ensure_may_call\(", ["edge/pages.py", "edge/stream/doorkeeper.py", "runtime/guard.py"]),
    ],
)
def test_what_policy_rests_on_is_done_in_one_place(pattern: str, where: list[str]) -> None:
    assert [path for path, text in sources(*PRODUCTION).items() if re.search(pattern, text)] == where
