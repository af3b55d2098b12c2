"""The whole path under mutual TLS, on the servers of the other tests: every service proves to every other who it is."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from grpc import aio

from ops.mesh import Mesh
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import Secret
from runtime.context import Caller, acting
from runtime.ids import SystemClock
from stack.errors import StackError
from tests.e2e.aviary import Aviary

SERVERS = ("AVIARY_CQL_CONTACT_POINTS", "AVIARY_REDIS_URL", "AVIARY_NATS_URL")


@pytest.fixture(scope="module")
def certified(aviary: Aviary) -> Iterator[Aviary]:
    """The services alone, with certificates."""
    servers = {name: aviary.running.addresses[name] for name in SERVERS}
    with tempfile.TemporaryDirectory(prefix="av") as home:
        stack = Aviary(Path(home), {"AVIARY_NAMESPACE": "e2e_tls", "AVIARY_STACK_TLS": "1", **servers})
        stack.up()
        try:
            yield stack
        finally:
            stack.down()


async def test_a_tweet_goes_its_whole_way_between_services_that_prove_who_they_are(certified: Aviary) -> None:
    async with certified.people(2) as (alice, bob):
        await bob.follow(alice)
        tweet = await alice.post(f"for @{bob.username}")
        async with bob.stream() as stream:
            second = await alice.post("live")
            # The first one may still be on its way to the stream.
            while (heard := (await stream.next("tweet"))["data"]["tweet_id"]) != second:
                assert heard == tweet
        assert await alice.home() == [second, tweet]
    audit = certified.command("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


async def test_who_has_the_mesh_key_and_no_certificate_does_not_get_in(certified: Aviary) -> None:
    env = certified.running.environment()
    signer = CallerSigner(Secret(bytes.fromhex(env["AVIARY_MESH_KEY"])), "edge", SystemClock())
    async with open_channel(env["AVIARY_TWEET_ADDRESS"], signer, tweet_pb2.DESCRIPTOR) as channel:
        with acting(Caller(), deadline_s=10), pytest.raises(aio.AioRpcError) as raised:
            await TweetServiceStub(channel).ListAuthorTweets(tweet_pb2.ListAuthorTweetsRequest(author_id=b"a" * 16))
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_command_that_the_certificate_does_not_name_is_told_so(certified: Aviary) -> None:
    with pytest.raises(StackError, match=r"must be for somebody\.aviary\.internal"):
        Mesh(certified.running.environment(), "somebody")
