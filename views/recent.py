"""What a viewer did within the last minute, and how pages take account of it. Where it is remembered is readers/."""

from collections.abc import Collection
from dataclasses import dataclass

from relations.snapshot import Sight
from relations.viewers import Relations


@dataclass(frozen=True, slots=True)
class Recent:
    """What the viewer did within the last minute, which caches may not know yet."""

    graph_version: int = 0
    profile_version: int = 0
    deleted_ids: Collection[bytes] = ()
    unknown: bool = False


NOTHING_RECENT = Recent()


async def with_own_writes(
    sight: Sight, recent: Recent, viewer: bytes, others: Collection[bytes], relations: Relations
) -> Sight:
    """The sight, read again unless it holds all that the viewer did to others, on whichever process. Raises AioRpcError."""
    if not recent.graph_version and not recent.unknown:
        return sight
    held = None if recent.unknown else relations.sight(viewer, others, recent.graph_version)
    return held or await relations.ask_sight(viewer, others, recent.graph_version, fresh=recent.unknown)
