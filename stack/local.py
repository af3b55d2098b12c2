"""Starts and stops the servers as children of this process, for tests. Restarting them is the supervisor's part."""

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from stack import cassandra, nats, redis
from stack.nodes import nodes
from stack.ports import HOST, pick_free
from stack.process import Child, Program

CQL_VARIABLE = "AVIARY_CQL_CONTACT_POINTS"
REDIS_VARIABLE = "AVIARY_REDIS_URL"
NATS_VARIABLE = "AVIARY_NATS_URL"
CQL_REPLICATION_VARIABLE = "AVIARY_CQL_REPLICATION"
NATS_REPLICAS_VARIABLE = "AVIARY_NATS_REPLICAS"

PROFILES = {
    "run": cassandra.Settings(heap_mb=512),
    "test": cassandra.Settings(heap_mb=384, quick_compiler=True, skip_sync=True),
}
NODE_HEAP_MB = 256
"""Of each Cassandra of a cluster; the process takes about 100 MB more."""


@dataclass(frozen=True)
class Addresses:
    """Where the three servers are, in the form the services read from their environment."""

    cql: str
    redis: str
    nats: str
    copies: Mapping[str, str] = field(default_factory=dict)
    """How many nodes of our own keep a row and a message, as variables; empty where one does."""

    def environment(self) -> dict[str, str]:
        """As environment variables."""
        return {CQL_VARIABLE: self.cql, REDIS_VARIABLE: self.redis, NATS_VARIABLE: self.nats, **self.copies}


@dataclass(frozen=True)
class ServerPorts:
    """The ports of the servers, on the address of each of their nodes."""

    cql: int
    storage: int
    redis: int
    nats: int
    nats_http: int
    nats_route: int = 0
    """Between the nodes of NATS; unused when it is alone."""

    @classmethod
    def free(cls, count: int = 1) -> "ServerPorts":
        """Ports nobody listens on now, for `count` nodes."""
        return cls(*pick_free(6, hosts=[node.host for node in nodes(count)]))

    def addresses(self, count: int = 1) -> Addresses:
        """Where servers on these ports are reached; Cassandra and NATS have `count` nodes."""
        hosts = [node.host for node in nodes(count)]
        return Addresses(
            cql=",".join(f"{host}:{self.cql}" for host in hosts),
            redis=f"redis://{HOST}:{self.redis}/0",
            nats=",".join(f"nats://{host}:{self.nats}" for host in hosts),
            copies={} if count == 1 else {CQL_REPLICATION_VARIABLE: str(count), NATS_REPLICAS_VARIABLE: str(count)},
        )


def programs(
    home: Path, ports: ServerPorts, settings: cassandra.Settings, without: Collection[str] = (), count: int = 1
) -> dict[str, tuple[Program, ...]]:
    """The nodes of each server by its name, in the order in which they are started; stopping goes the other way.

    Cassandra and NATS have `count` nodes, Redis one.
    """
    # The slowest first: the others come up while the JVM starts.
    makers: dict[str, Callable[[], tuple[Program, ...]]] = {
        cassandra.NAME: lambda: tuple(
            cassandra.program(home, ports.cql, ports.storage, settings, node) for node in nodes(count)
        ),
        nats.NAME: lambda: tuple(
            nats.program(home, ports.nats, ports.nats_http, ports.nats_route, node) for node in nodes(count)
        ),
        redis.NAME: lambda: (redis.program(home, ports.redis),),
    }
    return {name: make() for name, make in makers.items() if name not in without}


@dataclass
class LocalStack:
    """The three servers under one folder, on free ports unless given; the children die with this process.

        with LocalStack(tmp_path / "stack") as addresses: ...

    With `count=3` Cassandra and NATS are clusters of that many nodes, called `cassandra-1`, `cassandra-2` …; Redis stays one.

    A server whose address the environment gives is not started, unless `respect_environment` is off.
    """

    home: Path
    profile: Literal["run", "test"] = "test"
    ports: ServerPorts | None = None
    settings: cassandra.Settings | None = None
    respect_environment: bool = True
    count: int = 1
    children: dict[str, Child] = field(default_factory=dict)
    _programs: dict[str, Program] = field(default_factory=dict)

    def start(self) -> Addresses:
        """Start all, wait until each is ready, and say where they are. After an error nothing is left running."""
        self.ports = self.ports or ServerPorts.free(self.count)
        self.home.mkdir(parents=True, exist_ok=True)
        given = given_addresses(os.environ) if self.respect_environment else {}
        settings = self.settings or sized(PROFILES[self.profile], self.count)
        servers = programs(self.home.resolve(), self.ports, settings, given, self.count)
        self._programs = {program.name: program for of_one in servers.values() for program in of_one}
        try:
            for name, program in self._programs.items():
                self.children[name] = Child.start(program)
            for child in self.children.values():
                child.wait_ready()
        except BaseException:
            self.stop()
            raise
        return merge(self.ports.addresses(self.count), given)

    def stop(self) -> None:
        """Stop all; returns when they are gone."""
        for child in reversed(self.children.values()):
            child.stop()
        self.children.clear()

    def kill(self, name: str) -> None:
        """SIGKILL one server or node (`cassandra`, `redis`, `nats-2` …), as a crash would."""
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


def sized(settings: cassandra.Settings, count: int) -> cassandra.Settings:
    """The settings for each of `count` nodes: several on one machine get a smaller heap."""
    return settings if count == 1 else replace(settings, heap_mb=NODE_HEAP_MB)


def given_addresses(env: Mapping[str, str]) -> dict[str, str]:
    """The servers that the environment already names, with their addresses: those are not ours to start."""
    variables = {cassandra.NAME: CQL_VARIABLE, redis.NAME: REDIS_VARIABLE, nats.NAME: NATS_VARIABLE}
    return {name: env[variable] for name, variable in variables.items() if env.get(variable)}


def merge(own: Addresses, given: dict[str, str]) -> Addresses:
    """Our addresses with the given ones in their place; how many copies a given one keeps is its owner's to say."""
    owners = {CQL_REPLICATION_VARIABLE: cassandra.NAME, NATS_REPLICAS_VARIABLE: nats.NAME}
    return Addresses(
        cql=given.get(cassandra.NAME, own.cql),
        redis=given.get(redis.NAME, own.redis),
        nats=given.get(nats.NAME, own.nats),
        copies={name: value for name, value in own.copies.items() if owners[name] not in given},
    )
