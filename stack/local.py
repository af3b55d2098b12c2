"""Starts and stops the servers as children of this process, for tests. Restarting them is the supervisor's part."""

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stack import cassandra, nats, redis
from stack.ports import HOST, pick_free
from stack.process import Child, Program

CQL_VARIABLE = "AVIARY_CQL_CONTACT_POINTS"
REDIS_VARIABLE = "AVIARY_REDIS_URL"
NATS_VARIABLE = "AVIARY_NATS_URL"

PROFILES = {
    "run": cassandra.Settings(heap_mb=512),
    "test": cassandra.Settings(heap_mb=384, quick_compiler=True, skip_sync=True),
}


@dataclass(frozen=True)
class Addresses:
    """Where the three servers are, in the form the services read from their environment."""

    cql: str
    redis: str
    nats: str

    def environment(self) -> dict[str, str]:
        """As environment variables."""
        return {CQL_VARIABLE: self.cql, REDIS_VARIABLE: self.redis, NATS_VARIABLE: self.nats}


@dataclass(frozen=True)
class ServerPorts:
    """The ports of the servers on 127.0.0.1."""

    cql: int
    storage: int
    redis: int
    nats: int
    nats_http: int

    @classmethod
    def free(cls) -> "ServerPorts":
        """Ports nobody listens on now."""
        return cls(*pick_free(5))

    def addresses(self) -> Addresses:
        """Where servers on these ports are reached."""
        return Addresses(f"{HOST}:{self.cql}", f"redis://{HOST}:{self.redis}/0", f"nats://{HOST}:{self.nats}")


def programs(
    home: Path, ports: ServerPorts, settings: cassandra.Settings, without: Collection[str] = ()
) -> dict[str, Program]:
    """The servers by name, in the order in which they are started; stopping goes the other way."""
    # The slowest first: the others come up while the JVM starts.
    makers: dict[str, Callable[[], Program]] = {
        cassandra.NAME: lambda: cassandra.program(home, ports.cql, ports.storage, settings),
        nats.NAME: lambda: nats.program(home, ports.nats, ports.nats_http),
        redis.NAME: lambda: redis.program(home, ports.redis),
    }
    return {name: make() for name, make in makers.items() if name not in without}


@dataclass
class LocalStack:
    """The three servers under one folder, on free ports unless given; the children die with this process.

        with LocalStack(tmp_path / "stack") as addresses: ...

    A server whose address the environment gives is not started, unless `respect_environment` is off.
    """

    home: Path
    profile: Literal["run", "test"] = "test"
    ports: ServerPorts | None = None
    settings: cassandra.Settings | None = None
    respect_environment: bool = True
    children: dict[str, Child] = field(default_factory=dict)
    _programs: dict[str, Program] = field(default_factory=dict)

    def start(self) -> Addresses:
        """Start all, wait until each is ready, and say where they are. After an error nothing is left running."""
        self.ports = self.ports or ServerPorts.free()
        self.home.mkdir(parents=True, exist_ok=True)
        given = given_addresses(os.environ) if self.respect_environment else {}
        settings = self.settings or PROFILES[self.profile]
        self._programs = programs(self.home.resolve(), self.ports, settings, without=given)
        try:
            for name, program in self._programs.items():
                self.children[name] = Child.start(program)
            for child in self.children.values():
                child.wait_ready()
        except BaseException:
            self.stop()
            raise
        return merge(self.ports.addresses(), given)

    def stop(self) -> None:
        """Stop all; returns when they are gone."""
        for child in reversed(self.children.values()):
            child.stop()
        self.children.clear()

    def kill(self, name: str) -> None:
        """SIGKILL one server (`cassandra`, `redis` or `nats`), as a crash would."""
        self.children[name].kill()

    def restart(self, name: str) -> None:
        """Start a killed or running server again on the same port with its own data, and wait until it is ready."""
        with contextlib.suppress(KeyError):
            self.children[name].stop()
        self.children[name] = Child.start(self._programs[name])
        self.children[name].wait_ready()

    def __enter__(self) -> Addresses:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()


def given_addresses(env: Mapping[str, str]) -> dict[str, str]:
    """The servers that the environment already names, with their addresses: those are not ours to start."""
    variables = {cassandra.NAME: CQL_VARIABLE, redis.NAME: REDIS_VARIABLE, nats.NAME: NATS_VARIABLE}
    return {name: env[variable] for name, variable in variables.items() if env.get(variable)}


def merge(own: Addresses, given: dict[str, str]) -> Addresses:
    """Our addresses with the given ones in their place."""
    return Addresses(
        cql=given.get(cassandra.NAME, own.cql),
        redis=given.get(redis.NAME, own.redis),
        nats=given.get(nats.NAME, own.nats),
    )
