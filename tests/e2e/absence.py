"""Readers who were away for long, in a running stack: how they come to be, how they read, and what fan-out is told of them."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aviary.graph.v1 import graph_pb2
from aviary.timeline.v1 import timeline_pb2

from cql_client import Cql
from ops.mesh import Mesh
from runtime.config import Env, MeshConfig
from runtime.context import NOBODY, acting
from runtime.ids import SystemClock, split_ids, uuid7_of
from svc_graph.away import DAY_MS
from svc_graph.days import CqlReaderDays
from svc_graph.store import SCHEMA
from tests.e2e.aviary import Aviary

LONG_AGO = 15_000
"""A day, since 1970."""


def from_long_ago() -> bytes:
    """The id of somebody who registered long ago and has not been seen since."""
    return uuid7_of((LONG_AGO + 1) * DAY_MS, uuid.uuid4().int).bytes


@asynccontextmanager
async def days_of(aviary: Aviary) -> AsyncIterator[CqlReaderDays]:
    """What svc_graph keeps of readers."""
    cql = await Cql.connect(MeshConfig.read("graph", Env(aviary.running.environment())), SCHEMA)
    try:
        yield CqlReaderDays(cql, SystemClock(), kept_days=40)
    finally:
        await cql.close()


async def kept_for_long(aviary: Aviary) -> None:
    """Let svc_graph take it that the days of readers have been kept for years."""
    async with days_of(aviary) as days:
        await days.begin(LONG_AGO)


@asynccontextmanager
async def followed_by(aviary: Aviary, followee: bytes, *followers: bytes) -> AsyncIterator[Mesh]:
    """Follows, as an import sets them, and the services to ask."""
    async with aviary.mesh() as mesh:
        with acting(NOBODY):
            await mesh.graph.ImportFollows(
                graph_pb2.ImportFollowsRequest(pairs=[follower + followee for follower in followers])
            )
        yield mesh


async def away(mesh: Mesh, followee: bytes) -> set[bytes]:
    """Whom fan-out is told to be away."""
    request = graph_pb2.GetFollowerPageRequest(user_id=followee, shard=graph_pb2.FollowerShard(), limit=1000)
    with acting(NOBODY):
        answer = await mesh.graph.GetFollowerPage(request)
    ids, bits = split_ids(answer.follower_ids), answer.active
    return {one for at, one in enumerate(ids) if bits and not bits[at // 8] & (0x80 >> at % 8)}


async def read_home(mesh: Mesh, reader: bytes) -> list[bytes]:
    """Their home, read as the edge reads it for them."""
    with acting(replace(mesh.acting_for(reader), session_id=uuid.uuid4().bytes)):
        answer = await mesh.timelines.GetHome(timeline_pb2.GetHomeRequest(user_id=reader, limit=50))
    return split_ids(answer.tweet_ids)
