"""Calls between simulated processes end as they would over gRPC: answered, refused, lost, or late."""

import grpc
import pytest
from aviary.user.v1 import user_pb2
from grpc import aio

from runtime.context import NOBODY, acting
from simulation.loop import pause
from tests.unit.simulation.rig import Rig

ASK = user_pb2.GetUsersRequest(user_ids=[bytes(16)])
REGISTER = user_pb2.RegisterRequest(username="alice", email="a@example.org", password="correct horse")


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def code_of(call: object) -> grpc.StatusCode:
    with pytest.raises(aio.AioRpcError) as raised:
        await call  # type: ignore[misc]
    return raised.value.code()


def test_a_call_is_answered_after_a_while(rig: Rig) -> None:
    async def main() -> None:
        rig.serving()
        await rig.stub.GetUsers(ASK)
        assert 0 < rig.loop.time() < 4

    rig.run(main)


def test_a_request_that_breaks_its_contract_is_refused_by_the_guard(rig: Rig) -> None:
    async def main() -> None:
        rig.serving()
        bad = user_pb2.GetUsersRequest(user_ids=[b"short"])
        assert await code_of(rig.stub.GetUsers(bad)) is grpc.StatusCode.INVALID_ARGUMENT
        assert rig.users.calls == 0

    rig.run(main)


def test_without_a_process_a_call_is_unavailable_after_its_retries(rig: Rig) -> None:
    async def main() -> None:
        assert await code_of(rig.stub.GetUsers(ASK)) is grpc.StatusCode.UNAVAILABLE

    rig.run(main)


def test_a_read_that_met_a_dying_process_is_tried_again_at_another(rig: Rig) -> None:
    async def main() -> None:
        first = rig.serving()

        async def die() -> None:
            rig.users.before = None
            rig.serving("user#2")
            first.kill("test")
            await pause(1)

        rig.users.before = die
        try:
            await rig.stub.GetUsers(ASK)
        except aio.AioRpcError as error:
            # Its machine vanished with it: then nobody says anything.
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert rig.users.calls == 1
        else:
            assert rig.users.calls == 2

    for seed in range(20):
        Rig.__init__(rig, seed)
        rig.run(main)


def test_what_creates_something_is_never_tried_again_by_the_channel(rig: Rig) -> None:
    async def main() -> None:
        node = rig.serving()

        async def die() -> None:
            node.kill("test")
            await pause(1)

        rig.users.before = die
        code = await code_of(rig.stub.Register(REGISTER))
        assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert rig.users.calls == 1

    rig.run(main)


def test_the_time_left_ends_a_call_and_the_work_at_the_other_end(rig: Rig) -> None:
    async def main() -> None:
        rig.serving()
        ended: list[float] = []

        async def slow() -> None:
            try:
                await pause(100)
            finally:
                ended.append(rig.loop.time())

        rig.users.before = slow
        with acting(NOBODY, 0.5):
            assert await code_of(rig.stub.GetUsers(ASK)) is grpc.StatusCode.DEADLINE_EXCEEDED
        assert rig.loop.time() == 0.5
        await pause(5)
        assert len(ended) == 1

    rig.run(main)
