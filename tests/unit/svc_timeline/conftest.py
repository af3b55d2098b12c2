"""Fixtures of svc_timeline's unit tests; what they are made of is world.py."""

import pytest
from aviary.graph.v1.events_pb2 import FollowSet
from aviary.timeline.v1.events_pb2 import FanoutChunk, ReaderSeen
from aviary.tweet.v1.events_pb2 import TweetCreated

from svc_timeline.config import Limits
from tests.unit.svc_timeline.world import MemoryWorld


@pytest.fixture
async def world() -> MemoryWorld:
    """Small limits, so that few tweets reach every border: windows of 8 entries, chunks of 3 followers."""
    world = MemoryWorld(Limits(window=8, chunk=3, rows_at_once=1, backfill=5))
    await world.bus.declare([TweetCreated, FollowSet, FanoutChunk, ReaderSeen])
    return world
