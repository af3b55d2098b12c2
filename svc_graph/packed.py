"""Pages of followers as the contract carries them: ids without separators; no I/O here."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, weakref_slot=True)
class PackedPage:
    """Followers in ascending order, 16 bytes each, and whether more come after them.

    `as_of` names the state of their partition, if it has a name; whoever followed before somebody saw that name is on the page.
    """

    follower_ids: bytes
    has_more: bool
    as_of: bytes = b""


def packed(found: Sequence[uuid.UUID], limit: int, as_of: bytes = b"") -> PackedPage:
    """A page of what was found for one more than the page takes."""
    return PackedPage(b"".join([one.bytes for one in found[:limit]]), len(found) > limit, as_of)
