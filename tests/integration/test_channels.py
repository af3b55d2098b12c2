"""What channels and servers do about trouble: addresses that come and go, retries within a budget, deadlines, breakers, shedding."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from aviary.timeline.v1 import timeline_pb2
from aviary.timeline.v1.timeline_pb2_grpc import (
    TimelineServiceServicer,
    TimelineServiceStub,
    add_TimelineServiceServicer_to_server,
)
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import (
    TweetServiceServicer,
    TweetServiceStub,
    add_TweetServiceServicer_to_server,
)
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

import coalesced
from runtime import channel
from runtime.admission import SHED
from runtime.breaker import LEAST, REFUSED
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, acting, carried
from runtime.errors import Unavailable, from_rpc
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from tests.dns import names
from tests.ports import Port
from tests.proxy import proxy_before
from tests.waiting import until

SIGNER = CallerSigner(Secret(b"k" * 32), "tests", SystemClock())
ALICE = Caller(user_id=uuid.uuid4().bytes, session_id=b"s" * 16, scopes=ALL_SCOPES)
LIST = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)
HOME = timeline_pb2.GetHomeRequest(user_id=b"a" * 16)
CREATE = tweet_pb2.CreateTweetRequest(content="x")


OPEN: list[Callable[..., Any]] = []


def on_lines(*arguments: Any) -> aio.Channel:
    """A channel that looks often at who is there."""
    return coalesced.open_channel(*arguments, renew_s=0.3)


@pytest.fixture(params=[channel.open_channel, on_lines], ids=["one by one", "on lines"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every promise of a channel is that of the ordinary one, and of the one within the mesh."""
    OPEN[:] = [request.param]
    yield
    OPEN.clear()


class Server(TweetServiceServicer, TimelineServiceServicer):
    """Notes the time left of every call, then does what it is told to."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.then: Callable[[], Any] | None = None
        self.cancelled = 0

    async def _note(self) -> None:
        left = carried()[1]
        assert left is not None
        self.left.append(left)
        if self.then is not None:
            try:
                await self.then()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

    async def CreateTweet(self, request: Any, context: Any) -> tweet_pb2.CreateTweetResponse:
        await self._note()
        return tweet_pb2.CreateTweetResponse()

    async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
        await self._note()
        return tweet_pb2.ListAuthorTweetsResponse()

    async def GetHome(self, request: Any, context: Any) -> timeline_pb2.GetHomeResponse:
        await self._note()
        return timeline_pb2.GetHomeResponse()


class Failing(Server):
    """A server whose database is always away."""

    async def _note(self) -> None:
        await super()._note()
        raise Unavailable("the store is away")


@asynccontextmanager
async def serving(
    servicer: Server, address: str = "127.0.0.1:0", *, room: int = 100, age_ms: int = 0
) -> AsyncIterator[int]:
    """A servicer on an address, with its port; gone after the block."""
    options = [("grpc.max_connection_age_ms", age_ms)] if age_ms else []
    opened = Port(GuardInterceptor(Guard(SIGNER, room)), options)
    add_TweetServiceServicer_to_server(servicer, opened)
    add_TimelineServiceServicer_to_server(servicer, opened)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), opened)
    port = opened.server.add_insecure_port(address)
    await opened.server.start()
    try:
        yield port
    finally:
        await opened.server.stop(0)


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[tuple[Any, Any]]:
    """Stubs of both services over one channel to an address, used by a signed-in user for half a minute at most."""
    async with OPEN[0](address, SIGNER, tweet_pb2.DESCRIPTOR, timeline_pb2.DESCRIPTOR) as channel:
        with acting(ALICE, 30):
            yield TweetServiceStub(channel), TimelineServiceStub(channel)


async def refusal(call: Any) -> Any:
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value)


async def test_calls_are_spread_over_what_dns_answers_and_go_on_when_an_address_dies_and_another_comes() -> None:
    """The client is never restarted, and sees no error."""
    one, two, three = Server(), Server(), Server()
    async with names() as dns, serving(two, "127.0.0.2:0") as port, serving(three, f"127.0.0.3:{port}"):
        dns.addresses = ["127.0.0.1", "127.0.0.2"]
        async with calling(f"dns://127.0.0.1:{dns.port}/svc-tweet.test:{port}") as (tweets, _):

            async def heard(server: Server) -> bool:
                await tweets.ListAuthorTweets(LIST)
                return bool(server.left)

            async with serving(one, f"127.0.0.1:{port}"):
                await until(lambda: heard(one))
                await until(lambda: heard(two))
                dns.addresses = ["127.0.0.2", "127.0.0.3"]
            await until(lambda: heard(three))
            two.left.clear()
            await until(lambda: heard(two))


async def test_a_process_that_is_added_gets_its_share_although_no_other_ends() -> None:
    """Servers end connections after some time, and clients ask for the addresses then."""
    one, two = Server(), Server()
    async with names() as dns, serving(one, age_ms=300) as port, serving(two, f"127.0.0.2:{port}", age_ms=300):
        dns.addresses = ["127.0.0.1"]
        async with calling(f"dns://127.0.0.1:{dns.port}/svc-tweet.test:{port}") as (tweets, _):
            await tweets.ListAuthorTweets(LIST)
            dns.addresses = ["127.0.0.1", "127.0.0.2"]

            async def heard() -> bool:
                await tweets.ListAuthorTweets(LIST)
                return bool(two.left)

            await until(heard)


async def test_an_address_that_hangs_behind_a_name_with_others_is_left_after_a_few_calls() -> None:
    """Its connections stay open and say nothing: only pings that stay unanswered show it. Without them: calls of a minute."""
    well, hanging = Server(), Server()
    async with (
        serving(well) as port,
        serving(hanging) as behind,
        proxy_before(behind) as proxy,
        calling(f"ipv4:127.0.0.1:{port},127.0.0.1:{proxy.port}") as (tweets, _),
    ):

        async def both() -> bool:
            await tweets.ListAuthorTweets(LIST)
            return bool(well.left and hanging.left)

        await until(both)
        proxy.freeze()
        lost, in_a_row = 0, 0
        while in_a_row < 6:
            try:
                await tweets.ListAuthorTweets(LIST, timeout=1)
                in_a_row += 1
            except aio.AioRpcError:
                lost, in_a_row = lost + 1, 0
                assert lost < 12
        await proxy.mend()


async def test_retries_of_a_server_that_always_fails_stay_within_a_budget_and_creates_are_never_repeated() -> None:
    """P82: three attempts each would be 180."""
    server = Failing()
    async with serving(server) as port, calling(f"127.0.0.1:{port}") as (tweets, _):
        for _ in range(20):
            assert (await refusal(tweets.CreateTweet(CREATE))).reason == "DEPENDENCY_UNAVAILABLE"
        assert len(server.left) == 20
        server.left.clear()
        for _ in range(60):
            await refusal(tweets.ListAuthorTweets(LIST))
        assert 60 < len(server.left) <= 60 + 20


async def test_all_attempts_together_end_at_the_deadline_of_the_call() -> None:
    server, attempts = Server(), iter(range(3))

    async def fail_then_hang() -> None:
        if next(attempts) == 0:
            raise Unavailable("once")
        await asyncio.Event().wait()

    server.then = fail_then_hang
    async with serving(server) as port, calling(f"127.0.0.1:{port}") as (tweets, _):
        assert (await refusal(tweets.ListAuthorTweets(LIST, timeout=0.5))).status is grpc.StatusCode.DEADLINE_EXCEEDED
        first, second = server.left
        assert second < first < 0.5
        await until(lambda: server.cancelled == 1)


async def test_each_of_three_hops_has_less_time_than_the_one_before() -> None:
    """Whatever gRPC rounds: 10 ms up at these figures."""
    first, second, third = Server(), Server(), Server()
    async with (
        serving(third) as port_three,
        calling(f"127.0.0.1:{port_three}") as (to_third, _),
        serving(second) as port_two,
        calling(f"127.0.0.1:{port_two}") as (to_second, _),
        serving(first) as port_one,
        calling(f"127.0.0.1:{port_one}") as (to_first, _),
    ):
        first.then = lambda: to_second.ListAuthorTweets(LIST)
        second.then = lambda: to_third.ListAuthorTweets(LIST)
        for given in (0.7, 1.234, 1.9999, 60):
            with acting(ALICE, given):
                await to_first.ListAuthorTweets(LIST)
            assert given > first.left[-1] > second.left[-1] > third.left[-1] > 0


async def test_a_call_whose_time_is_over_is_not_sent() -> None:
    server = Server()
    async with serving(server) as port, calling(f"127.0.0.1:{port}") as (tweets, _):
        with acting(ALICE, 0):
            assert (await refusal(tweets.CreateTweet(CREATE))).reason == "DEADLINE_EXCEEDED"
        assert (await refusal(tweets.CreateTweet(CREATE, timeout=-1))).reason == "DEADLINE_EXCEEDED"
    assert not server.left


async def test_work_ends_when_its_time_is_over_or_its_caller_goes_away() -> None:
    server = Server()
    server.then = asyncio.Event().wait
    async with serving(server) as port, calling(f"127.0.0.1:{port}") as (tweets, _):
        await refusal(tweets.CreateTweet(CREATE, timeout=0.2))
        await until(lambda: server.cancelled == 1)
        gone = asyncio.ensure_future(tweets.CreateTweet(CREATE))
        await until(lambda: len(server.left) == 2)
        gone.cancel()
        await until(lambda: server.cancelled == 2)


async def test_a_peer_that_nobody_reaches_is_not_asked_and_found_again_by_itself() -> None:
    server = Server()
    async with serving(server) as port:
        pass
    async with calling(f"127.0.0.1:{port}") as (tweets, _):
        refused = REFUSED.labels("tweet")._value
        before = refused.get()
        for _ in range(LEAST):
            await refusal(tweets.CreateTweet(CREATE))
        assert refused.get() == before
        error = await refusal(tweets.CreateTweet(CREATE))
        assert (error.status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
        assert error.retry_after_s > 0
        assert refused.get() == before + 1
        async with serving(server, f"127.0.0.1:{port}"):

            async def found() -> bool:
                try:
                    await tweets.CreateTweet(CREATE)
                except aio.AioRpcError:
                    return False
                return True

            await until(found)
            await tweets.ListAuthorTweets(LIST)


async def test_a_peer_that_answers_that_its_database_is_away_is_still_asked() -> None:
    """It may have what others ask for: a warm home needs no database."""
    server = Failing()
    async with serving(server) as port, calling(f"127.0.0.1:{port}") as (tweets, _):
        for _ in range(2 * LEAST):
            await refusal(tweets.CreateTweet(CREATE))
        assert len(server.left) == 2 * LEAST


class Forwarding(Server):
    """A server that needs another one for every answer."""

    def __init__(self, tweets: Any) -> None:
        super().__init__()
        self._tweets = tweets

    async def _note(self) -> None:
        await super()._note()
        await self._tweets.CreateTweet(CREATE)


async def test_a_peer_whose_own_peer_is_overloaded_is_still_asked_but_once_for_each_call() -> None:
    """It is not overloaded itself, and may have what others ask for."""
    last, done = Server(), asyncio.Event()
    last.then = done.wait
    async with serving(last, room=1) as last_port, calling(f"127.0.0.1:{last_port}") as (far, _):
        work = asyncio.ensure_future(far.CreateTweet(CREATE))
        await until(lambda: len(last.left) == 1)
        near = Forwarding(far)
        async with serving(near) as port, calling(f"127.0.0.1:{port}") as (tweets, _):
            for _ in range(2 * LEAST):
                error = await refusal(tweets.ListAuthorTweets(LIST))
                assert (error.status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
            assert len(near.left) == 2 * LEAST
        done.set()
        await work


async def test_a_full_server_refuses_ordinary_calls_then_homes_and_never_health() -> None:
    server, done = Server(), asyncio.Event()
    server.then = done.wait
    shed = SHED.labels("ListAuthorTweets")._value
    before = shed.get()
    async with serving(server, room=5) as port, calling(f"127.0.0.1:{port}") as (tweets, timelines):
        work = [asyncio.ensure_future(tweets.CreateTweet(CREATE)) for _ in range(4)]
        await until(lambda: len(server.left) == 4)
        error = await refusal(tweets.ListAuthorTweets(LIST))
        assert (error.status, error.reason, error.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED", 1)
        assert shed.get() == before + 1, "a call that was refused was tried again"
        work.append(asyncio.ensure_future(timelines.GetHome(HOME)))
        await until(lambda: len(server.left) == 5)
        assert (await refusal(timelines.GetHome(HOME))).reason == "OVERLOADED"
        async with aio.insecure_channel(f"127.0.0.1:{port}") as anybody:
            asked: Any = health_pb2_grpc.HealthStub(anybody).Check(health_pb2.HealthCheckRequest())
            assert (await asked).status == health_pb2.HealthCheckResponse.SERVING
        done.set()
        await asyncio.gather(*work)
        await tweets.ListAuthorTweets(LIST)
