"""Calls that share a stream: each is one of its own, whatever becomes of the others, of the stream, or of the process at its end."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from aviary.mesh.v1 import line_pb2
from aviary.mesh.v1.line_pb2_grpc import LineServiceStub
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import (
    TweetServiceServicer,
    TweetServiceStub,
    add_TweetServiceServicer_to_server,
)
from grpc import aio

import coalesced
from coalesced.lines import CARRY, PROCESS_KEY
from coalesced.outbox import LARGEST_BYTES
from coalesced.serving import _UNREAD_BYTES
from runtime.callers import CALLER_KEY, CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, NOBODY, Caller, acting, current_caller, current_trace, new_trace
from runtime.errors import from_rpc
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from runtime.telemetry import SERVED
from tests.ports import Port
from tests.proxy import proxy_before
from tests.waiting import until

KEY = Secret(b"k" * 32)
SIGNER = CallerSigner(KEY, "tests", SystemClock())
ALICE = Caller(user_id=uuid.uuid4().bytes, session_id=b"s" * 16, scopes=ALL_SCOPES)
LIST = tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16)
CREATE = "/aviary.tweet.v1.TweetService/CreateTweet"


def create(content: str) -> tweet_pb2.CreateTweetRequest:
    return tweet_pb2.CreateTweetRequest(content=content)


@dataclass
class Server(TweetServiceServicer):
    """Answers with what was said to it, by whom, and in which trace; waits where the text says so."""

    begun: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    lists: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    large: int = 0
    port: Port | None = None

    async def CreateTweet(self, request: Any, context: Any) -> tweet_pb2.CreateTweetResponse:
        self.begun[request.content] += 1
        if request.content == "ended":
            raise asyncio.CancelledError
        if request.content == "open":
            self.gate.set()
        if request.content.startswith("wait"):
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        said = f"{request.content} {current_caller().user_id.hex()} {current_trace()}"
        return tweet_pb2.CreateTweetResponse(content=said + "." * self.large)

    async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
        self.lists += 1
        return tweet_pb2.ListAuthorTweetsResponse()

    @property
    def lines(self) -> int:
        """How many lines it serves."""
        assert self.port is not None
        return len(self.port.lines._lines)


@asynccontextmanager
async def serving(server: Server, room: int = 2000, address: str = "127.0.0.1:0") -> AsyncIterator[int]:
    """Its port; gone after the block."""
    server.port = Port(GuardInterceptor(Guard(SIGNER, room)))
    add_TweetServiceServicer_to_server(server, server.port)
    port = server.port.server.add_insecure_port(address)
    await server.port.server.start()
    try:
        yield port
    finally:
        await server.port.server.stop(0)


@asynccontextmanager
async def calling(address: str, renew_s: float = 30) -> AsyncIterator[Any]:
    """A stub, used by a signed-in user for half a minute at most."""
    async with coalesced.open_channel(address, SIGNER, tweet_pb2.DESCRIPTOR, renew_s=renew_s) as channel:
        with acting(ALICE, 30):
            yield TweetServiceStub(channel)


@asynccontextmanager
async def pair(room: int = 2000, renew_s: float = 30) -> AsyncIterator[tuple[Server, Any]]:
    """A server and a stub to it."""
    server = Server()
    async with serving(server, room) as port, calling(f"127.0.0.1:{port}", renew_s) as stub:
        yield server, stub


async def failed(call: Any) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return raised.value


async def test_a_thousand_calls_at_once_are_one_stream_and_each_has_its_own_caller_trace_and_answer() -> None:
    async def one(stub: Any, number: int) -> None:
        person, trace = Caller(user_id=uuid.uuid4().bytes, scopes=ALL_SCOPES), new_trace()
        with acting(person, 30, trace):
            answer = await stub.CreateTweet(create(f"wait {number}"))
        assert answer.content == f"wait {number} {person.user_id.hex()} {trace}"

    async with pair() as (server, stub):
        calls = [asyncio.ensure_future(one(stub, number)) for number in range(1000)]
        await until(lambda: len(server.begun) == 1000)
        assert 1 <= server.lines <= 2, "the one that is used, and perhaps a look at who else is there"
        server.gate.set()
        await asyncio.gather(*calls)
    assert set(server.begun.values()) == {1}


async def test_a_handler_that_hangs_holds_up_nobody_and_each_ends_by_its_own_deadline() -> None:
    async with pair() as (server, stub):
        hanging = asyncio.ensure_future(stub.CreateTweet(create("wait")))
        await until(lambda: server.begun["wait"] == 1)
        # The one is answered only because the other is.
        await stub.CreateTweet(create("open"))
        await hanging
        server.gate.clear()
        late = await failed(stub.CreateTweet(create("wait"), timeout=0.2))
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: server.cancelled == 1)


async def test_a_call_that_is_cancelled_ends_at_the_server_and_no_other_does() -> None:
    async with pair() as (server, stub):
        gone = asyncio.ensure_future(stub.CreateTweet(create("wait gone")))
        stays = asyncio.ensure_future(stub.CreateTweet(create("wait stays")))
        await until(lambda: len(server.begun) == 2)
        gone.cancel()
        await until(lambda: server.cancelled == 1)
        server.gate.set()
        assert (await stays).content.startswith("wait stays")
        with pytest.raises(asyncio.CancelledError):
            await gone


async def test_a_call_whose_work_was_cancelled_from_within_is_answered_on_both_ways() -> None:
    """A future that the handler waited for was cancelled by somebody else: the caller need not wait until its time is over."""
    async with (
        serving(Server()) as port,
        calling(f"127.0.0.1:{port}") as stub,
        aio.insecure_channel(f"127.0.0.1:{port}") as bare,
    ):
        here = await failed(stub.CreateTweet(create("ended")))
        metadata = ((CALLER_KEY, SIGNER.sign(ALICE)),)
        there = await failed(TweetServiceStub(bare).CreateTweet(create("ended"), metadata=metadata, timeout=20))
        assert here.code() is there.code() is grpc.StatusCode.INTERNAL


async def test_each_call_on_a_stream_is_judged_by_its_own_caller() -> None:
    """Whoever began the stream, and whoever called on it before, opens nothing to others."""
    reader = Caller(user_id=ALICE.user_id, scopes=("read",))
    async with pair() as (server, stub):
        await stub.CreateTweet(create("mine"))
        for caller, reason in ((NOBODY, "TOKEN_MISSING"), (reader, "INSUFFICIENT_SCOPE")):
            with acting(caller):
                assert from_rpc(await failed(stub.CreateTweet(create("x")))).reason == reason
        error = from_rpc(await failed(stub.CreateTweet(create("x" * 5000))))
        assert (error.reason, [f.field for f in error.fields]) == ("INVALID_REQUEST", ["content"])
    assert server.begun == {"mine": 1}


async def test_a_refusal_tells_on_a_stream_what_it_tells_on_the_ordinary_port() -> None:
    server = Server()
    async with (
        serving(server, room=1) as port,
        calling(f"127.0.0.1:{port}") as stub,
        aio.insecure_channel(f"127.0.0.1:{port}") as bare,
    ):
        work = asyncio.ensure_future(stub.CreateTweet(create("wait")))
        await until(lambda: server.begun["wait"] == 1)
        metadata = ((CALLER_KEY, SIGNER.sign(ALICE)),)
        for request in (create("full"), create("x" * 5000)):
            here = await failed(stub.CreateTweet(request))
            there = await failed(TweetServiceStub(bare).CreateTweet(request, metadata=metadata, timeout=20))
            assert (here.code(), here.details()) == (there.code(), there.details())
            assert sorted(here.trailing_metadata() or ()) == sorted(there.trailing_metadata() or ())
            server.gate.set()
            await work


async def test_when_the_stream_breaks_a_create_is_unavailable_and_not_repeated_and_what_may_be_is() -> None:
    async with AsyncExitStack() as stack:
        server = Server()
        proxy = await stack.enter_async_context(proxy_before(await stack.enter_async_context(serving(server))))
        stub = await stack.enter_async_context(calling(f"127.0.0.1:{proxy.port}"))
        creating = asyncio.ensure_future(failed(stub.CreateTweet(create("wait"))))
        await until(lambda: server.begun["wait"] == 1)
        await proxy.cut()
        await proxy.mend()
        error = await creating
        assert (error.code(), error.trailing_metadata()) == (grpc.StatusCode.UNAVAILABLE, aio.Metadata())
        # The handler was told, and nobody asked again.
        await until(lambda: server.cancelled == 1)

        async def found() -> bool:
            try:
                await stub.ListAuthorTweets(LIST)
            except aio.AioRpcError:
                return False
            return True

        await until(found)
        assert server.begun == {"wait": 1}


async def test_a_server_that_stops_finishes_what_it_has_and_no_caller_sees_an_error() -> None:
    """Creates, too, which nobody repeats."""
    one, two = Server(), Server()
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(serving(server)) for server in (one, two)]
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        stub = await stack.enter_async_context(calling(f"ipv4:{addresses}", renew_s=0.3))
        done = False
        made = 0

        async def posting() -> None:
            nonlocal made
            while not done:
                await stub.CreateTweet(create("post"))
                made += 1

        posts = [asyncio.ensure_future(posting()) for _ in range(8)]
        await until(lambda: one.begun["post"] > 0 and two.begun["post"] > 0)
        waiting = []
        while len(one.begun) < 4:
            waiting.append(asyncio.ensure_future(stub.CreateTweet(create(f"wait {len(waiting)}"))))
            await until(lambda: len(one.begun) + len(two.begun) == 2 + len(waiting))
        assert one.port is not None
        stopping = asyncio.ensure_future(one.port.server.stop(30))
        await asyncio.sleep(0)
        one.port.lines.leave()
        # What is new goes to the other one, while what was begun here is still at work.
        posted = two.begun["post"]
        await until(lambda: two.begun["post"] > posted + 100)
        assert not stopping.done()
        one.gate.set()
        two.gate.set()
        await asyncio.gather(*waiting)
        await stopping
        posted = two.begun["post"]
        await until(lambda: two.begun["post"] > posted + 100)
        done = True
        await asyncio.gather(*posts)
    assert one.cancelled == two.cancelled == 0
    assert one.begun["post"] + two.begun["post"] == made


async def test_who_comes_to_a_server_that_leaves_is_given_to_another_one() -> None:
    one, two = Server(), Server()
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(serving(server)) for server in (one, two)]
        assert one.port is not None
        one.port.lines.leave()
        for _ in range(20):
            # gRPC begins with either.
            async with calling(f"ipv4:127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}") as stub:
                await stub.CreateTweet(create("post"))
    assert (one.begun, two.begun["post"]) == ({}, 20)


async def test_a_server_that_leaves_says_so_at_once_and_answers_what_it_has_when_nobody_asks_for_more() -> None:
    server = Server()
    async with serving(server) as port, aio.insecure_channel(f"127.0.0.1:{port}") as bare:
        stream = asked(bare)
        await stream.write(line_pb2.CarryRequest(calls=[raw_call(1, "wait")]))
        await until(lambda: server.begun["wait"] == 1)
        assert server.port is not None
        server.port.lines.leave()
        assert (await stream.read()).leaving
        refused = asked(bare)
        assert await refused.code() is grpc.StatusCode.UNAVAILABLE
        await stream.done_writing()
        # Two calls later the server has seen that, too.
        for _ in range(2):
            await TweetServiceStub(bare).ListAuthorTweets(LIST, metadata=((CALLER_KEY, SIGNER.sign(ALICE)),))
        server.gate.set()
        [answer] = (await stream.read()).answers
        assert answer.number == 1
        assert await stream.read() is aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


def asked(bare: aio.Channel) -> Any:
    """A stream that a client of the test's own begins."""
    return LineServiceStub(bare).Carry(metadata=((CALLER_KEY, SIGNER.sign(ALICE)),))


def raw_call(number: int, content: str) -> line_pb2.LineCall:
    request = create(content).SerializeToString()
    return line_pb2.LineCall(number=number, path=CREATE, request=request, caller=SIGNER.sign(ALICE), left_us=20_000_000)


async def test_lines_are_renewed_all_the_time_and_old_ones_end_when_their_last_call_has() -> None:
    """None is on a connection that the server ends for its age."""
    async with pair(renew_s=0.05) as (server, stub):
        slow = asyncio.ensure_future(stub.CreateTweet(create("wait")))
        await until(lambda: server.begun["wait"] == 1)
        assert server.port is not None
        [first] = [line for line in server.port.lines._lines if line._at_work]
        seen = set()

        async def renewed() -> bool:
            await stub.CreateTweet(create("now"))
            assert server.port is not None
            seen.update(map(id, server.port.lines._lines))
            return len(seen) > 10

        await until(renewed)
        assert first in server.port.lines._lines, "a call is at work on it"
        server.gate.set()
        await slow
        await until(lambda: server.port is not None and first not in server.port.lines._lines)
        await until(lambda: server.lines <= 2)


async def test_nothing_is_sent_to_a_port_that_serves_no_lines() -> None:
    server = aio.server()
    add_TweetServiceServicer_to_server(Server(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with calling(f"127.0.0.1:{port}") as stub:
        assert (await failed(stub.CreateTweet(create("x")))).code() is grpc.StatusCode.UNIMPLEMENTED
    await server.stop(0)


async def test_a_request_and_an_answer_of_megabytes_arrive_whole_and_one_beyond_the_bound_is_refused() -> None:
    async with coalescing_raw() as (server, channel):
        # Unknown fields of a request are kept out of what is validated.
        padded = padded_to(3_000_000, "hi")
        call = channel.unary_unary(CREATE, lambda data: data, tweet_pb2.CreateTweetResponse.FromString)
        server.large = LARGEST_BYTES - 1000
        small = asyncio.ensure_future(call(create("wait").SerializeToString()))
        assert len((await call(padded)).content) > server.large
        server.large = LARGEST_BYTES
        assert (await failed(call(padded))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        server.large = 0
        refused = await failed(call(padded_to(LARGEST_BYTES, "more")))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "more" not in server.begun
        # The others on the stream have not noticed.
        server.gate.set()
        assert (await small).content.startswith("wait")


def padded_to(size: int, content: str) -> bytes:
    return create(content).SerializeToString() + b"\xfa\x3e" + varint(size) + bytes(size)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@asynccontextmanager
async def coalescing_raw() -> AsyncIterator[tuple[Server, aio.Channel]]:
    """A server, and a channel to it for bytes of a test's own making."""
    server = Server()
    async with (
        serving(server) as port,
        coalesced.open_channel(f"127.0.0.1:{port}", SIGNER, tweet_pb2.DESCRIPTOR) as channel,
    ):
        with acting(ALICE, 30):
            yield server, channel


async def test_what_cannot_be_read_is_internal_at_either_end_and_says_so() -> None:
    async with coalescing_raw() as (server, channel):
        bytes_in = channel.unary_unary(CREATE, lambda data: data, tweet_pb2.CreateTweetResponse.FromString)
        assert (await failed(bytes_in(b"\xff"))).code() is grpc.StatusCode.INTERNAL
        bytes_out = channel.unary_unary(
            CREATE, tweet_pb2.CreateTweetRequest.SerializeToString, lambda _: line_pb2.LineCall.FromString(b"\xff")
        )
        assert (await failed(bytes_out(create("x")))).code() is grpc.StatusCode.INTERNAL
        assert server.begun == {"x": 1}


async def test_an_rpc_that_the_process_does_not_serve_is_unimplemented_and_a_line_carries_no_line() -> None:
    async with coalescing_raw() as (_, channel):
        for path in ("/aviary.mesh.v1.MeshService/GetBacklog", CARRY):
            call = channel.unary_unary(path, lambda data: data, lambda data: data)
            assert (await failed(call(b""))).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, grpc.StatusCode.PERMISSION_DENIED),
        (b"x" * 80, grpc.StatusCode.UNAUTHENTICATED),
        (CallerSigner(Secret(b"o" * 32), "tests", SystemClock()).sign(ALICE), grpc.StatusCode.UNAUTHENTICATED),
    ],
    ids=["nobody", "rubbish", "another key"],
)
async def test_only_a_service_of_the_mesh_begins_a_stream(value: bytes | None, code: grpc.StatusCode) -> None:
    server = Server()
    async with serving(server) as port, aio.insecure_channel(f"127.0.0.1:{port}") as bare:
        metadata = ((CALLER_KEY, value),) if value else ()
        stream: Any = LineServiceStub(bare).Carry(metadata=metadata)
        assert await stream.code() is code
        assert PROCESS_KEY not in await stream.initial_metadata()


async def test_who_asks_and_does_not_listen_is_not_heard_any_more() -> None:
    """P60: what waits for a slow reader is bounded."""
    server = Server(large=1_000_000)
    async with serving(server) as port, aio.insecure_channel(f"127.0.0.1:{port}") as bare:
        stream = asked(bare)
        await stream.initial_metadata()

        async def asking() -> None:
            for number in range(1, 201):
                await stream.write(line_pb2.CarryRequest(calls=[raw_call(number, "much")]))

        work = asyncio.ensure_future(asking())
        assert server.port is not None
        [line] = server.port.lines._lines
        await until(lambda: line._out.waiting_bytes >= _UNREAD_BYTES)
        # Whoever listens goes on being served.
        async with calling(f"127.0.0.1:{port}") as stub:
            for _ in range(20):
                await stub.ListAuthorTweets(LIST)
        assert server.begun["much"] < 100
        answered = 0
        while answered < 200:
            answered += len((await stream.read()).answers)
        await work
        stream.cancel()


async def test_a_channel_that_is_closed_ends_what_is_at_work_and_takes_nothing_more() -> None:
    server = Server()
    async with serving(server) as port:
        channel = coalesced.open_channel(f"127.0.0.1:{port}", SIGNER, tweet_pb2.DESCRIPTOR)
        with acting(ALICE, 30):
            stub = TweetServiceStub(channel)
            call = asyncio.ensure_future(failed(stub.CreateTweet(create("wait"))))
            await until(lambda: server.begun["wait"] == 1)
            ended = SERVED._calls["CreateTweet", "CANCELLED"]
            await channel.close()
            assert (await call).code() is grpc.StatusCode.UNAVAILABLE
            await until(lambda: server.cancelled == 1)
            assert SERVED._calls["CreateTweet", "CANCELLED"] == ended + 1, "it ended by its deadline"
            assert (await failed(stub.CreateTweet(create("late")))).code() is grpc.StatusCode.UNAVAILABLE
        await until(lambda: server.lines == 0)
    assert server.begun == {"wait": 1}
