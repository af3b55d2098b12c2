"""Every served call passes the guard, on the ordinary port, on lines and in process alike; calls are balanced and retried."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from aviary.graph.v1 import graph_pb2, graph_pb2_grpc
from aviary.tweet.v1 import tweet_pb2, tweet_pb2_grpc
from grpc import aio

import coalesced
from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import Secret
from runtime.context import ALL_SCOPES, NOBODY, Caller, acting, carried, current_caller
from runtime.errors import FailedPrecondition, Unavailable, from_rpc
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from tests.ports import Port

KEY = Secret(b"k" * 32)
ALICE = Caller(user_id=uuid.uuid4().bytes, session_id=b"s" * 16, scopes=ALL_SCOPES)
SERVICE = Caller(service="tests")


class TooLate(FailedPrecondition):
    reason = "TOO_LATE"


class Tweets(tweet_pb2_grpc.TweetServiceServicer):
    """Answers what it was asked and by whom."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Caller, float | None]] = []

    async def CreateTweet(self, request: Any, context: Any) -> tweet_pb2.CreateTweetResponse:
        self.seen.append((request, current_caller(), carried()[1]))
        if request.content == "rule":
            raise TooLate("the rule says no", tweet_id=7)
        if request.content == "defect":
            raise ZeroDivisionError("secret detail")
        if request.content == "down":
            raise Unavailable("the store is away", retry_after_s=1.5)
        if request.content == "slow":
            await asyncio.Event().wait()
        return tweet_pb2.CreateTweetResponse(content=request.content)

    async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
        self.seen.append((request, current_caller(), carried()[1]))
        return tweet_pb2.ListAuthorTweetsResponse()


@pytest.fixture(params=["in_process", "one by one", "on lines"])
async def channel(request: pytest.FixtureRequest) -> AsyncIterator[tuple[aio.Channel, Tweets]]:
    servicer, signer = Tweets(), CallerSigner(KEY, "tests", SystemClock())
    if request.param == "in_process":
        local = InProcessChannel(Guard(signer))
        local.register(tweet_pb2_grpc.add_TweetServiceServicer_to_server, servicer)
        yield local, servicer
        return
    server, port = await served(servicer, signer)
    opened = coalesced.open_channel if request.param == "on lines" else open_channel
    remote = opened(f"127.0.0.1:{port}", signer, tweet_pb2.DESCRIPTOR)
    yield remote, servicer
    await remote.close()
    await server.stop(0)


async def failure(channel: aio.Channel, caller: Caller, **fields: Any) -> Any:
    with acting(caller, deadline_s=fields.pop("deadline_s", None)), pytest.raises(aio.AioRpcError) as raised:
        await tweet_pb2_grpc.TweetServiceStub(channel).CreateTweet(tweet_pb2.CreateTweetRequest(**fields))
    return from_rpc(raised.value)


async def test_a_call_carries_the_caller_and_the_time_left(channel: tuple[aio.Channel, Tweets]) -> None:
    stub = tweet_pb2_grpc.TweetServiceStub(channel[0])
    with acting(ALICE, deadline_s=2):
        answer = await stub.CreateTweet(tweet_pb2.CreateTweetRequest(content="hello"))
    _, caller, left = channel[1].seen[0]
    assert answer.content == "hello"
    assert (caller.user_id, caller.scopes) == (ALICE.user_id, ALL_SCOPES)
    assert left is not None
    assert 0 < left <= 2


async def test_nobody_is_refused_where_a_user_is_needed(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], NOBODY, content="x")
    assert (error.status, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    assert not channel[1].seen


async def test_a_token_without_the_scope_is_refused(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], Caller(user_id=ALICE.user_id, scopes=("read",)), content="x")
    assert error.reason == "INSUFFICIENT_SCOPE"


async def test_another_users_id_is_refused_and_named(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], ALICE, content="x", user_id=str(uuid.uuid4()))
    assert (error.status, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_USER_ID")
    assert [f.field for f in error.fields] == ["user_id"]


async def test_every_invalid_field_is_named_with_what_is_allowed(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], ALICE, content="x" * 5000, idempotency_key="é")
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert {f.field for f in error.fields} == {"content", "idempotency_key"}
    assert any("4096" in f.message for f in error.fields)


async def test_absent_limits_get_the_contracts_default_and_the_callers_message_stays(
    channel: tuple[aio.Channel, Tweets],
) -> None:
    request = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)
    with acting(SERVICE):
        stub = tweet_pb2_grpc.TweetServiceStub(channel[0])
        await stub.ListAuthorTweets(request)
    assert channel[1].seen[0][0].limit == 200
    assert not request.HasField("limit")


async def test_a_rule_keeps_its_reason_text_and_values(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], ALICE, content="rule")
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_LATE")
    assert error.detail == "the rule says no"


async def test_an_unexpected_error_is_internal_and_tells_nothing(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], ALICE, content="defect")
    assert (error.status, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in error.detail


async def test_a_dependency_that_is_down_says_when_to_come_back(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], ALICE, content="down")
    assert (error.status, error.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, 1.5)


async def test_a_call_ends_at_its_deadline(channel: tuple[aio.Channel, Tweets]) -> None:
    error = await failure(channel[0], ALICE, content="slow", deadline_s=0.2)
    assert (error.status, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_an_rpc_for_services_is_refused_to_a_user_without_one() -> None:
    channel = InProcessChannel(Guard(CallerSigner(KEY, "tests", SystemClock())))
    channel.register(tweet_pb2_grpc.add_TweetServiceServicer_to_server, Tweets())
    request = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)
    with acting(ALICE), pytest.raises(aio.AioRpcError) as raised:
        await tweet_pb2_grpc.TweetServiceStub(channel).ListAuthorTweets(request)
    assert from_rpc(raised.value).reason == "NOT_ALLOWED"


async def test_an_rpc_that_is_not_registered_is_unimplemented() -> None:
    channel = InProcessChannel(Guard(CallerSigner(KEY, "tests", SystemClock())))
    with pytest.raises(aio.AioRpcError) as raised:
        await graph_pb2_grpc.GraphServiceStub(channel).Follow(graph_pb2.FollowRequest())
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_service_that_is_not_there_is_unavailable_within_the_deadline() -> None:
    signer = CallerSigner(KEY, "tests", SystemClock())
    channel = open_channel("127.0.0.1:1", signer, tweet_pb2.DESCRIPTOR)
    error = await failure(channel, ALICE, content="x", deadline_s=3)
    assert error.status is grpc.StatusCode.UNAVAILABLE
    await channel.close()


async def served(servicer: Tweets, signer: CallerSigner) -> tuple[aio.Server, int]:
    opened = Port(GuardInterceptor(Guard(signer)))
    tweet_pb2_grpc.add_TweetServiceServicer_to_server(servicer, opened)
    port = opened.server.add_insecure_port("127.0.0.1:0")
    await opened.server.start()
    return opened.server, port


async def test_calls_are_spread_over_the_addresses_of_a_name_and_go_on_when_one_is_gone() -> None:
    signer = CallerSigner(KEY, "tests", SystemClock())
    one, two = Tweets(), Tweets()
    (first, port_one), (second, port_two) = await served(one, signer), await served(two, signer)
    channel = open_channel(f"ipv4:127.0.0.1:{port_one},127.0.0.1:{port_two}", signer, tweet_pb2.DESCRIPTOR)
    stub = tweet_pb2_grpc.TweetServiceStub(channel)
    request = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)
    with acting(SERVICE, deadline_s=30):
        while not (one.seen and two.seen):
            await stub.ListAuthorTweets(request)
        await first.stop(0)
        seen = len(two.seen)
        for _ in range(10):
            await stub.ListAuthorTweets(request)
    assert len(two.seen) == seen + 10
    await channel.close()
    await second.stop(0)


async def test_what_may_be_repeated_is_retried_and_a_create_is_not() -> None:
    signer = CallerSigner(KEY, "tests", SystemClock())

    class Flaky(Tweets):
        async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
            await super().ListAuthorTweets(request, context)
            if len(self.seen) == 1:
                raise Unavailable("not yet")
            return tweet_pb2.ListAuthorTweetsResponse()

    servicer = Flaky()
    server, port = await served(servicer, signer)
    channel = open_channel(f"127.0.0.1:{port}", signer, tweet_pb2.DESCRIPTOR)
    with acting(SERVICE, deadline_s=30):
        request = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)
        await tweet_pb2_grpc.TweetServiceStub(channel).ListAuthorTweets(request)
    assert len(servicer.seen) == 2
    servicer.seen.clear()
    assert (await failure(channel, ALICE, content="down")).status is grpc.StatusCode.UNAVAILABLE
    assert len(servicer.seen) == 1
    await channel.close()
    await server.stop(0)
