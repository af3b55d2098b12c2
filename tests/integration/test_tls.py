"""A mesh under mutual TLS: who is certified is believed, everything else is refused with a reason; real certificates, real sockets."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from aviary.mesh.v1 import line_pb2
from aviary.mesh.v1.line_pb2_grpc import LineServiceStub
from aviary.tweet.v1 import tweet_pb2, tweet_pb2_grpc
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

import coalesced
from runtime.bus.consumers import is_infrastructure
from runtime.callers import CALLER_KEY, CallerSigner
from runtime.channel import open_channel
from runtime.config import ConfigError, Secret, TlsConfig
from runtime.context import ALL_SCOPES, Caller, acting, current_caller
from runtime.errors import Unavailable, from_rpc
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from runtime.service import check_peer
from runtime.tls import Tls
from tests.integration.certificates import Authority, believing
from tests.ports import Port

KEY = Secret(b"k" * 32)
USER = Caller(user_id=uuid.uuid4().bytes, session_id=b"s" * 16, scopes=ALL_SCOPES)
CREATE = tweet_pb2.CreateTweetRequest(content="hi")
OPEN: list[Callable[..., aio.Channel]] = []
LIST = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)


class Tweets(tweet_pb2_grpc.TweetServiceServicer):
    """Remembers who called."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []

    async def CreateTweet(self, request: Any, context: Any) -> tweet_pb2.CreateTweetResponse:
        self.callers.append(current_caller())
        return tweet_pb2.CreateTweetResponse(content=request.content)

    async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
        self.callers.append(current_caller())
        return tweet_pb2.ListAuthorTweetsResponse()


def signer(service: str) -> CallerSigner:
    return CallerSigner(KEY, service, SystemClock())


@asynccontextmanager
async def serving(config: TlsConfig, service: str = "tweet") -> AsyncIterator[tuple[Tweets, int]]:
    """svc_tweet's port as a process opens it, with this certificate."""
    tweets, tls = Tweets(), Tls(config, service)
    opened = Port(GuardInterceptor(Guard(signer(service)), tls))
    tweet_pb2_grpc.add_TweetServiceServicer_to_server(tweets, opened)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), opened)
    port = opened.server.add_secure_port("127.0.0.1:0", tls.server_credentials())
    await opened.server.start()
    try:
        yield tweets, port
    finally:
        await opened.server.stop(0)


@asynccontextmanager
async def channel(
    where: int | str, config: TlsConfig | None, service: str = "edge", says: str = ""
) -> AsyncIterator[aio.Channel]:
    """A channel of a service, which may say that it is another one."""
    address = where if isinstance(where, str) else f"127.0.0.1:{where}"
    tls = None if config is None else Tls(config, service)
    opened = OPEN[0](address, signer(says or service), tweet_pb2.DESCRIPTOR, tls=tls)
    try:
        yield opened
    finally:
        await opened.close()


async def refused(opened: aio.Channel, caller: Caller = USER) -> aio.AioRpcError:
    """The failure of a call."""
    with acting(caller, deadline_s=20), pytest.raises(aio.AioRpcError) as raised:
        await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(CREATE)
    return raised.value


async def bare_failure(port: int, credentials: grpc.ChannelCredentials) -> aio.AioRpcError:
    """The failure of a call that carries what edge signed, from somebody with these credentials."""
    options = [("grpc.default_authority", "tweet.aviary.internal")]
    async with aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as opened:
        with pytest.raises(aio.AioRpcError) as raised:
            await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(
                CREATE, metadata=((CALLER_KEY, signer("edge").sign(USER)),), timeout=20
            )
    return raised.value


async def logged(logs: list[Any], event: str) -> dict[str, Any]:
    """The line of the log, once it is there."""
    async with asyncio.timeout(20):
        while True:
            for line in logs:
                if line["event"] == event:
                    return dict(line)
            await asyncio.sleep(0.01)


@pytest.fixture(params=[open_channel, coalesced.open_channel], ids=["one by one", "on lines"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    OPEN[:] = [request.param]
    yield
    OPEN.clear()


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    (tmp_path / "foreign").mkdir()
    return Authority(tmp_path / "foreign")


async def test_a_certified_service_is_served_and_its_user_arrives(ca: Authority) -> None:
    async with serving(ca.certify("tweet")) as (tweets, port), channel(port, ca.certify("edge", "view")) as opened:
        await check_peer(opened)
        with acting(USER):
            await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(CREATE)
    assert [(seen.user_id, seen.service) for seen in tweets.callers] == [(USER.user_id, "edge")]


async def test_calls_under_tls_are_spread_over_the_addresses_of_a_name(ca: Authority) -> None:
    async with AsyncExitStack() as stack:
        (one, first), (two, second) = [await stack.enter_async_context(serving(ca.certify("tweet"))) for _ in range(2)]
        both = f"ipv4:127.0.0.1:{first},127.0.0.1:{second}"
        opened = await stack.enter_async_context(channel(both, ca.certify("timeline"), "timeline"))
        with acting(Caller(), deadline_s=30):
            while not (one.callers and two.callers):
                await tweet_pb2_grpc.TweetServiceStub(opened).ListAuthorTweets(LIST)


async def test_a_client_without_tls_is_refused_and_its_log_says_where_to_look(ca: Authority) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(ca.certify("tweet")) as (tweets, port), channel(port, None) as opened:
            assert (await refused(opened)).code() is grpc.StatusCode.UNAVAILABLE
            assert "AVIARY_TLS_* set at one end only" in (await logged(logs, "peer_unreachable"))["hint"]
    assert not tweets.callers


async def test_a_client_without_a_certificate_is_refused(ca: Authority) -> None:
    async with serving(ca.certify("tweet")) as (tweets, port):
        failure = await bare_failure(port, grpc.ssl_channel_credentials(ca.root.read_bytes()))
    assert failure.code() is grpc.StatusCode.UNAVAILABLE
    assert not tweets.callers


async def test_a_certificate_of_another_ca_is_refused_by_either_end(ca: Authority, foreign: Authority) -> None:
    theirs = foreign.certify("edge")
    with structlog.testing.capture_logs() as logs:
        async with serving(ca.certify("tweet")) as (tweets, port):
            # It believes us, we do not believe it.
            both = ca.root.parent / "both.pem"
            both.write_bytes(ca.root.read_bytes() + foreign.root.read_bytes())
            async with channel(port, believing(theirs, both)) as opened:
                assert (await refused(opened)).code() is grpc.StatusCode.UNAVAILABLE
            # It does not believe us.
            async with channel(port, theirs) as opened:
                assert (await refused(opened)).code() is grpc.StatusCode.UNAVAILABLE
        assert "tweet.aviary.internal" in (await logged(logs, "peer_unreachable"))["peer"]
    assert not tweets.callers


async def test_a_certificate_that_has_ended_is_refused(ca: Authority) -> None:
    ended = ca.certify("edge", ended=True)
    async with serving(ca.certify("tweet")) as (tweets, port):
        cert, key, root = (path.read_bytes() for path in (ended.cert, ended.key, ended.ca))
        failure = await bare_failure(port, grpc.ssl_channel_credentials(root, key, cert))
    assert failure.code() is grpc.StatusCode.UNAVAILABLE
    assert not tweets.callers


async def test_a_server_that_is_another_service_is_not_asked(ca: Authority) -> None:
    async with serving(ca.certify("user"), "user") as (tweets, port), channel(port, ca.certify("edge")) as opened:
        failure = await refused(opened)
        assert failure.code() is grpc.StatusCode.UNAVAILABLE
        assert "Hostname Verification" in (failure.details() or "")
    assert not tweets.callers


async def test_no_service_speaks_as_another_although_it_has_the_mesh_key(ca: Authority) -> None:
    with structlog.testing.capture_logs() as logs:
        async with (
            serving(ca.certify("tweet")) as (tweets, port),
            channel(port, ca.certify("graph"), "graph", says="edge") as opened,
        ):
            failure = await refused(opened)
            assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "edge is said to call" in (failure.details() or "")
            # Nobody has to log in again for it, and no consumer gives an event up.
            assert isinstance(from_rpc(failure), Unavailable)
            assert is_infrastructure(failure)
            assert "graph" in (await logged(logs, "caller_refused"))["why"]
    assert not tweets.callers


async def test_no_call_on_a_stream_speaks_as_another_service_than_the_one_that_began_it(ca: Authority) -> None:
    signed = signer("edge").sign(USER)
    async with serving(ca.certify("tweet")) as (tweets, port):
        options = [("grpc.default_authority", "tweet.aviary.internal")]
        credentials = Tls(ca.certify("user"), "user").channel_credentials()
        async with aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as opened:
            stream: Any = LineServiceStub(opened).Carry(metadata=((CALLER_KEY, signer("user").sign(Caller())),))
            call = line_pb2.LineCall(
                number=1,
                path="/aviary.tweet.v1.TweetService/CreateTweet",
                request=CREATE.SerializeToString(),
                caller=signed,
                left_us=20_000_000,
            )
            await stream.write(line_pb2.CarryRequest(calls=[call]))
            [answer] = (await stream.read()).answers
            assert answer.failure.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
            stream.cancel()
    assert not tweets.callers


async def test_a_value_that_was_picked_up_elsewhere_is_of_no_use(ca: Authority) -> None:
    """svc_user, which edge calls for Alice, cannot pass the value on to svc_tweet and write as Alice."""
    async with serving(ca.certify("tweet")) as (tweets, port):
        failure = await bare_failure(port, Tls(ca.certify("user"), "user").channel_credentials())
    assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not tweets.callers


async def test_a_service_that_may_not_speak_for_users_is_refused_when_it_does_and_told_how_it_may(
    ca: Authority,
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with (
            serving(ca.certify("tweet")) as (tweets, port),
            channel(port, ca.certify("user"), "user") as opened,
        ):
            failure = await refused(opened)
            assert failure.code() is grpc.StatusCode.PERMISSION_DENIED
            assert "AVIARY_MESH_MAY_ASSERT_USERS" in (await logged(logs, "caller_refused"))["why"]
            # For itself it may.
            with acting(Caller()):
                await tweet_pb2_grpc.TweetServiceStub(opened).ListAuthorTweets(LIST)
        may = replace(ca.certify("tweet"), may_assert_users=frozenset({"user"}))
        async with serving(may) as (believed, port), channel(port, ca.certify("user"), "user") as opened:
            with acting(USER):
                await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(CREATE)
    assert [seen.user_id for seen in tweets.callers] == [b""]
    assert [seen.user_id for seen in believed.callers] == [USER.user_id]


async def test_a_call_without_a_caller_value_is_nobodys(ca: Authority) -> None:
    tls = Tls(ca.certify("edge"), "edge")
    async with serving(ca.certify("tweet")) as (tweets, port):
        options = [("grpc.default_authority", "tweet.aviary.internal")]
        async with aio.secure_channel(f"127.0.0.1:{port}", tls.channel_credentials(), options) as opened:
            stub = tweet_pb2_grpc.TweetServiceStub(opened)
            for call, request in ((stub.CreateTweet, CREATE), (stub.ListAuthorTweets, LIST)):
                with pytest.raises(aio.AioRpcError) as raised:
                    await call(request, timeout=20)
                assert raised.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    assert not tweets.callers


async def test_a_server_takes_new_files_without_a_restart_and_keeps_the_old_ones_while_they_do_not_fit(
    ca: Authority, foreign: Authority
) -> None:
    mine, edge = ca.certify("tweet"), ca.certify("edge")
    async with serving(mine) as (tweets, port):
        async with channel(port, edge) as opened:
            with acting(USER):
                await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(CREATE)
        with structlog.testing.capture_logs() as logs:
            ca.root.write_bytes(ca.root.read_bytes() + foreign.root.read_bytes())
            whole = mine.cert.read_bytes()
            mine.cert.write_bytes(b"half a certificate")
            async with channel(port, edge) as opened:
                with acting(USER):
                    await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(CREATE)
            assert "AVIARY_TLS_CERT" in (await logged(logs, "certificate_not_renewed"))["why"]
            mine.cert.write_bytes(whole)
            # The new CA is believed from now on.
            async with channel(port, believing(foreign.certify("edge"), ca.root)) as opened:
                with acting(USER):
                    await tweet_pb2_grpc.TweetServiceStub(opened).CreateTweet(CREATE)
            await logged(logs, "certificate_renewed")
    assert len(tweets.callers) == 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda ca, foreign: ca.certify("user"), "must be for tweet.aviary.internal"),
        (lambda ca, foreign: ca.certify("tweet", ended=True), "make a new one"),
        (lambda ca, foreign: replace(foreign.certify("tweet"), ca=ca.root), "of another CA"),
        (lambda ca, foreign: replace(ca.certify("tweet"), key=foreign.certify("tweet").key), "KEY_VALUES_MISMATCH"),
        (lambda ca, foreign: replace(ca.certify("tweet"), cert=Path(os.devnull)), "AVIARY_TLS_CERT"),
    ],
    ids=["for another name", "ended", "of another CA", "of another key", "empty"],
)
def test_a_process_does_not_start_with_a_certificate_that_nobody_would_believe(
    ca: Authority, foreign: Authority, spoil: Callable[[Authority, Authority], TlsConfig], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Tls(spoil(ca, foreign), "tweet")
