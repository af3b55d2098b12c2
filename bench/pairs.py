"""What it costs a reader's edge to know whether two people see each other, in one process: snapshots that svc_graph's signals vouch for."""

import asyncio
import time
from typing import Any

from aviary.graph.v1 import graph_pb2, graph_pb2_grpc
from aviary.graph.v1.events_pb2 import RelationSignal

from bench.figures import Ceiling, Row
from bench.stage import Stage
from in_process import InProcessChannel
from relations.viewers import Relations
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.guard import Guard
from runtime.ids import SystemClock
from signals.epochs import SILENCE_S

NAME = "Relationship check"
AIM_US = 2.0
_READERS, _FOLLOWED, _AT_ONCE = 200, 1_000, 50
_PUBLISHERS = [number.to_bytes(16) for number in range(1, 5)]
"""Processes of svc_graph, whose signals are all to be heard."""
_SOMEBODY = (500).to_bytes(16)
_BARE = "the same three look-ups in three sets"


class EverybodyFollowsMany:
    """What svc_graph says of viewers, here: each follows a thousand, mutes a hundred and is blocked by ten."""

    @staticmethod
    async def unary_unary(_: Any, __: Any) -> graph_pb2.GetViewerSnapshotResponse:
        """The same for all."""
        return graph_pb2.GetViewerSnapshotResponse(
            state=b"1",
            version=1,
            followee_ids=_ids(0, _FOLLOWED),
            muted_ids=_ids(2_000, 100),
            muted_until_ms=[0] * 100,
            blocked_by_ids=_ids(3_000, 10),
        )


async def run(stage: Stage) -> list[Row]:
    """CPU of one pair, as the stream spends it for each reader of a tweet."""
    relations = Relations(_graph(), SystemClock(), time.monotonic)
    readers = [number.to_bytes(16) for number in range(5_000, 5_000 + _READERS)]
    for _ in range(4):
        await _beat(relations)
        await asyncio.sleep(SILENCE_S / 3)
    for start in range(0, _READERS, _AT_ONCE):
        await _beat(relations)
        await asyncio.gather(*(relations.get(reader) for reader in readers[start : start + _AT_ONCE]))
    known = [await relations.ask_sight(reader) for reader in readers]
    pairs_s = bare_s = 0.0
    rounds = stage.sizes.token_rounds * 5
    for _ in range(rounds):
        await _beat(relations)
        started = time.process_time()
        for reader in readers:
            sight = relations.sight(reader)
            assert sight is not None and _SOMEBODY in sight.follows
            assert _SOMEBODY not in sight.muted and _SOMEBODY not in sight.apart
        pairs_s += time.process_time() - started
        started = time.process_time()
        for follows, apart, muted in known:
            assert _SOMEBODY in follows and _SOMEBODY not in muted and _SOMEBODY not in apart
        bare_s += time.process_time() - started
    each = 1e6 / (rounds * _READERS)
    return [
        Row(
            NAME,
            "a viewer and another, the snapshot vouched for",
            "us",
            pairs_s * each,
            Ceiling(_BARE, bare_s * each),
            AIM_US,
        )
    ]


async def _beat(relations: Relations) -> None:
    for publisher_id in _PUBLISHERS:
        await relations.heard(RelationSignal(publisher_id=publisher_id))


def _ids(first: int, count: int) -> bytes:
    return b"".join(number.to_bytes(16) for number in range(first, first + count))


def _graph() -> graph_pb2_grpc.GraphServiceAsyncStub:
    channel = InProcessChannel(Guard(CallerSigner(Secret(b"m" * 32), "edge", SystemClock())), "edge")
    service = graph_pb2.DESCRIPTOR.services_by_name["GraphService"].full_name
    channel.add_registered_method_handlers(service, {"GetViewerSnapshot": EverybodyFollowsMany})
    return graph_pb2_grpc.GraphServiceStub(channel)
