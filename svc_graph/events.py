"""What the graph announces; it reacts to nothing."""

from collections.abc import Sequence

from aviary.graph.v1.events_pb2 import BlockSet, FollowerSet, FollowSet

from runtime.ids import derived
from svc_graph.domain import Change, Edge
from svc_graph.stances import Stance

Announcement = FollowSet | FollowerSet | BlockSet


def follow_set(edge: Edge) -> FollowSet:
    """The announcement of a state. The same state gives the same message, event id included."""
    follower, followee = edge.pair.follower_id.bytes, edge.pair.followee_id.bytes
    event = FollowSet(
        event_id=derived(FollowSet.DESCRIPTOR.full_name, follower, followee, edge.version.to_bytes(8)),
        follower_id=follower,
        followee_id=followee,
        following=edge.following,
        version=edge.version,
    )
    event.occurred_at.FromMicroseconds(edge.version)
    return event


def follower_set(edge: Edge) -> FollowerSet:
    """The same announcement in the partition of the followee, for whoever counts followers."""
    follower, followee = edge.pair.follower_id.bytes, edge.pair.followee_id.bytes
    event = FollowerSet(
        event_id=derived(FollowerSet.DESCRIPTOR.full_name, follower, followee, edge.version.to_bytes(8)),
        followee_id=followee,
        follower_id=follower,
        following=edge.following,
        version=edge.version,
    )
    event.occurred_at.FromMicroseconds(edge.version)
    return event


def block_set(block: Stance) -> BlockSet:
    """The announcement of a state of a block. The same state gives the same message, event id included."""
    blocker, blocked = block.user_id.bytes, block.other_id.bytes
    event = BlockSet(
        event_id=derived(BlockSet.DESCRIPTOR.full_name, blocker, blocked, block.version.to_bytes(8)),
        blocker_id=blocker,
        blocked_id=blocked,
        blocking=block.stands,
        version=block.version,
    )
    event.occurred_at.FromMicroseconds(block.version)
    return event


def announcements(changes: Sequence[Change]) -> list[Announcement]:
    """What is announced of changes, in their order: each in the follower's and in the followee's partition."""
    return [announce(change.after) for change in changes for announce in (follow_set, follower_set)]
