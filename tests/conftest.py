"""Fixtures of every layer: real servers once per run, a namespace of one's own, a clock and ids; fixtures of one layer lie beside it."""

import tempfile
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from runtime.config import Env, MeshConfig
from stack import Addresses, LocalStack

# How long an example takes depends on what else the machine does.
settings.register_profile("aviary", deadline=None)
settings.load_profile("aviary")

STACKS = ("chaos", "e2e", "faults")
"""Folders whose tests share a running Aviary."""

TEST_SECRETS = {
    "AVIARY_MESH_KEY": "11" * 32,
    "AVIARY_CURSOR_KEYS": "1:" + "22" * 32,
}


class ByStack(LoadScopeScheduling):
    """Which tests are done by one process: those that share a stack, else those of a file. The matrix of kills is done by two."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.split("/")[1]
        if folder not in STACKS:
            return path
        half = zlib.crc32(nodeid.encode()) % 2 if path.endswith("/test_matrix.py") else 1
        return f"{folder} {half}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByStack:
    return ByStack(config, log)


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """Real Cassandra, Redis and NATS: those of the environment, else started for this run on free ports."""
    with (
        tempfile.TemporaryDirectory(prefix="av") as home,
        LocalStack(Path(home), profile="test", respect_environment=True) as addresses,
    ):
        yield addresses


@pytest.fixture(scope="session")
def namespace() -> str:
    """A namespace that no other run uses, so that runs share servers without meeting."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def mesh_env(servers: Addresses, namespace: str) -> dict[str, str]:
    """The environment of a process that uses the servers under the namespace."""
    return {**servers.environment(), **TEST_SECRETS, "AVIARY_NAMESPACE": namespace}


@pytest.fixture(scope="session")
def mesh_config(mesh_env: dict[str, str]) -> MeshConfig:
    """The configuration of a process called `test`, with ports that nobody listens on."""
    env = Env({**mesh_env, "AVIARY_TEST_PORT": "0", "AVIARY_TEST_METRICS_PORT": "0"})
    config = MeshConfig.read("test", env)
    env.done()
    return config
