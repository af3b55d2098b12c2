"""Two real processes under mutual TLS: one asks the other on behalf of a user; without certificates nobody gets in."""

import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.graph_pb2 import FollowRequest
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2 import RegisterRequest
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from google.protobuf.descriptor import FileDescriptor
from grpc import aio

from ops import secrets
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import MeshConfig, TlsConfig
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import RemoteError, from_rpc
from runtime.ids import SystemClock
from runtime.service import EXIT_CONFIGURATION, check_peer
from runtime.tls import Tls
from stack.ports import pick_free
from tests.integration.certificates import Authority, environment
from tests.integration.graph_mesh import until

ROOT = Path(__file__).parents[2]


@contextmanager
def running(service: str, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the service, until the block ends."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{service}.server"], cwd=ROOT, env=env, stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def serves(channel: aio.Channel, process: subprocess.Popen[bytes], log: Path) -> Callable[[], Awaitable[bool]]:
    """Whether the process at the other end is ready."""

    async def probe() -> bool:
        assert process.poll() is None, f"it ended, see {log}"
        try:
            await check_peer(channel)
        except (aio.AioRpcError, RuntimeError):
            return False
        return True

    return probe


async def test_one_process_asks_another_for_a_user_under_tls_and_who_has_no_certificate_is_refused_by_both(
    mesh_env: dict[str, str], mesh_config: MeshConfig, tmp_path: Path
) -> None:
    ca = Authority(tmp_path)
    user_port, user_metrics, graph_port, graph_metrics = pick_free(4)
    shared = {**os.environ, **secrets.load_or_make(tmp_path, {}), **mesh_env}
    user_env = {
        **shared,
        **environment(ca.certify("user")),
        "AVIARY_USER_PORT": str(user_port),
        "AVIARY_USER_METRICS_PORT": str(user_metrics),
    }
    graph_env = {
        **shared,
        **environment(ca.certify("graph")),
        "AVIARY_GRAPH_PORT": str(graph_port),
        "AVIARY_GRAPH_METRICS_PORT": str(graph_metrics),
        "AVIARY_USER_ADDRESS": f"127.0.0.1:{user_port}",
    }
    signer = CallerSigner(mesh_config.mesh_key, "edge", SystemClock())
    edge = ca.certify("edge", "view")

    def opened(port: int, contract: FileDescriptor, tls: TlsConfig | None) -> aio.Channel:
        return open_channel(f"127.0.0.1:{port}", signer, contract, tls=tls and Tls(tls, "edge"))

    user_log, graph_log = tmp_path / "user.log", tmp_path / "graph.log"
    async with (
        opened(user_port, user_pb2.DESCRIPTOR, edge) as users,
        opened(graph_port, graph_pb2.DESCRIPTOR, edge) as graph,
        opened(graph_port, graph_pb2.DESCRIPTOR, None) as plain,
    ):
        with running("svc_user", user_env, user_log) as first, running("svc_graph", graph_env, graph_log) as second:
            await until(serves(users, first, user_log))
            # svc_graph is ready only once it has reached svc_user.
            await until(serves(graph, second, graph_log))
            bob = await UserServiceStub(users).Register(
                RegisterRequest(username=f"bob{os.getpid()}", email="bob@example.org", password="correct horse battery")
            )
            alice = Caller(user_id=uuid.uuid4().bytes, scopes=ALL_SCOPES)
            with acting(alice):
                answer = await GraphServiceStub(graph).Follow(FollowRequest(followee_id=bob.user.user_id))
                assert answer.following
                # It was asked, and knew better.
                with pytest.raises(aio.AioRpcError) as raised:
                    await GraphServiceStub(graph).Follow(FollowRequest(followee_id=str(uuid.uuid4())))
            assert isinstance(from_rpc(raised.value), RemoteError)
            with pytest.raises(aio.AioRpcError):
                await check_peer(plain)


def test_a_process_with_another_ones_certificate_says_so_in_one_line_and_exits(
    mesh_env: dict[str, str], tmp_path: Path
) -> None:
    env = {
        **os.environ,
        **mesh_env,
        **environment(Authority(tmp_path).certify("tweet")),
        "AVIARY_GRAPH_PORT": "1",
        "AVIARY_GRAPH_METRICS_PORT": "2",
        "AVIARY_USER_ADDRESS": "127.0.0.1:3",
    }
    command = [sys.executable, "-m", "svc_graph.server"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == EXIT_CONFIGURATION
    [line] = ended.stderr.splitlines()
    assert line.startswith("configuration: AVIARY_TLS_CERT=")
    assert "must be for graph.aviary.internal" in line
