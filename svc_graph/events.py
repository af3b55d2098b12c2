"""What the graph announces; it reacts to nothing."""

from aviary.graph.v1.events_pb2 import FollowSet

from runtime.ids import derived
from svc_graph.domain import Edge


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
