"""svc_graph as a real process: it starts, is killed between batch and publish, and the relay of the next one makes it good."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.graph_pb2 import FollowRequest, GetFollowSnapshotRequest, ListFollowersByTimeRequest
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.mesh.v1 import mesh_pb2
from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceStub
from aviary.user.v1.user_pb2_grpc import add_UserServiceServicer_to_server
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

from runtime.bus import NatsBus
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import MeshConfig
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from runtime.service import check_peer
from stack.ports import pick_free
from tests.integration.graph_mesh import Everybody, seen_by, until
from tests.ports import Port

ROOT = Path(__file__).parents[2]


@contextmanager
def running(env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, until the block ends."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "svc_graph.server"], cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


async def ready(process: subprocess.Popen[bytes], channel: aio.Channel, log: Path) -> None:
    """Wait until the process serves."""

    async def serves() -> bool:
        assert process.poll() is None, f"it ended, see {log}"
        try:
            await check_peer(channel)
        except (aio.AioRpcError, RuntimeError):
            return False
        return True

    await until(serves)


@pytest.fixture
async def users(mesh_config: MeshConfig) -> AsyncIterator[tuple[Everybody, int]]:
    """A svc_user that knows the accounts it made, and its port."""
    everybody = Everybody()
    guard = Guard(CallerSigner(mesh_config.mesh_key, "user", SystemClock()))
    opened = Port(GuardInterceptor(guard))
    add_UserServiceServicer_to_server(everybody, opened)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), opened)
    port = opened.server.add_insecure_port("127.0.0.1:0")
    await opened.server.start()
    yield everybody, port
    await opened.server.stop(None)


async def test_a_follow_killed_between_batch_and_publish_is_there_and_is_announced_once(
    mesh_env: dict[str, str], mesh_config: MeshConfig, users: tuple[Everybody, int], tmp_path: Path
) -> None:
    """P50: the batch is whole, the relay of the restarted process publishes, and the client's retry changes nothing more."""
    everybody, user_port = users
    port, metrics_port = pick_free(2)
    env = {
        **os.environ,
        **mesh_env,
        "AVIARY_GRAPH_PORT": str(port),
        "AVIARY_GRAPH_METRICS_PORT": str(metrics_port),
        "AVIARY_USER_ADDRESS": f"127.0.0.1:{user_port}",
        "AVIARY_FAULT_DIR": str(tmp_path),
        "AVIARY_OUTBOX_RELAY_AGES_S": "0.5,1,2",
    }
    alice, bob = everybody.account(), everybody.account()
    caller = Caller(user_id=alice.bytes, scopes=ALL_SCOPES)
    request = FollowRequest(followee_id=str(bob))
    signer = CallerSigner(mesh_config.mesh_key, "edge", SystemClock())
    log = tmp_path / "graph.log"
    async with open_channel(f"127.0.0.1:{port}", signer, graph_pb2.DESCRIPTOR) as channel:
        stub, mesh = GraphServiceStub(channel), MeshServiceStub(channel)
        with running(env, log) as process:
            await ready(process, channel, log)
            (tmp_path / "graph.follow.after_batch").write_text("")
            with acting(caller), pytest.raises(aio.AioRpcError) as raised:
                await stub.Follow(request)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            assert process.wait(60) == -signal.SIGKILL
        with running(env, log) as process:
            await ready(process, channel, log)
            stored = await stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=alice.bytes))
            with acting(caller):
                answer = await stub.Follow(request)
            assert answer.following
            snapshot = await stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=alice.bytes))
            followers = await stub.ListFollowersByTime(ListFollowersByTimeRequest(user_id=bob.bytes))
            # A retry that comes late makes it another state of the same follows.
            assert snapshot.followee_ids == stored.followee_ids == bob.bytes
            assert snapshot.version >= stored.version
            assert [entry.user_id for entry in followers.entries] == [alice.bytes]

            async def backlog_is_empty() -> bool:
                backlog = await mesh.GetBacklog(mesh_pb2.GetBacklogRequest())
                return bool(backlog.outbox_rows == 0)

            await until(backlog_is_empty)
            bus = await NatsBus.connect(mesh_config)
            seen, consumers = seen_by(bus, "graph-process-test")
            task = asyncio.create_task(consumers.run())
            await until(lambda: bool(seen.of(alice)))
            [event] = seen.of(alice)
            assert (event.following, event.version) == (True, stored.version)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await bus.close()
