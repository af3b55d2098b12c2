"""Blocks and mutes as people set them, and who is therefore hidden from whom; tweets and follows are in truth.py."""

from dataclasses import dataclass, field

from relations.viewers import OLD

VISIBLE_FOR_S = 1.0
"""How long after its acknowledgement what hides something may go unseen."""


@dataclass
class Stand:
    """What one person last did about another in one respect; in virtual seconds."""

    stands: bool
    began_at: float
    done_at: float | None = None

    @property
    def changed_at(self) -> float:
        """When it last may have changed; endless while that is under way."""
        return float("inf") if self.done_at is None else self.done_at

    def surely(self, at: float) -> bool:
        """Whether it stood, for everybody to see, at a time and ever since."""
        return self.stands and self.done_at is not None and self.done_at + VISIBLE_FOR_S < at


@dataclass
class Stands:
    """Who blocks and mutes whom."""

    blocks: dict[tuple[bytes, bytes], Stand] = field(default_factory=dict)
    mutes: dict[tuple[bytes, bytes], Stand] = field(default_factory=dict)

    def apart(self, one: bytes, other: bytes, at: float) -> bool:
        """Whether a block certainly stood between the two, seen by everybody."""
        return any(block.surely(at) for block in self._between(one, other))

    def may_be_apart(self, one: bytes, other: bytes, at: float) -> bool:
        """Whether a block stands between the two, or stood so lately that somebody may not know of its end."""
        return any(block.stands or block.changed_at + VISIBLE_FOR_S >= at for block in self._between(one, other))

    def disputed(self, one: bytes, other: bytes, since: float) -> bool:
        """Whether anybody of the two did anything about a block since then."""
        return any(block.changed_at >= since for block in self._between(one, other))

    def blocked_by_others(self, user: bytes, since: float) -> bool:
        """Whether anybody did anything about a block of the user since then."""
        return any(whom == user and block.changed_at >= since for (_, whom), block in self.blocks.items())

    def explain(self, reason: str, one: bytes, other: bytes, since: float) -> bool:
        """Whether a refusal is right because a block stands between the two, or stood at some time since then."""
        stood = self.blocked(one, other) or self.disputed(one, other, since - VISIBLE_FOR_S)
        return reason == "BLOCKED" and stood

    def blocked(self, one: bytes, other: bytes) -> bool:
        """Whether a block stands between the two, or is about to."""
        return any(block.stands for block in self._between(one, other))

    def about_to_block(self, one: bytes, other: bytes) -> bool:
        """Whether a block is under way between the two: it stands, or will."""
        return any(block.stands and block.done_at is None for block in self._between(one, other))

    def muted(self, viewer: bytes, author: bytes, at: float) -> bool:
        """Whether the viewer certainly mutes the author."""
        mute = self.mutes.get((viewer, author))
        return mute is not None and mute.surely(at)

    def muted_by(self, viewer: bytes) -> set[bytes]:
        """Whom the viewer mutes, once nothing is under way."""
        return {whom for (who, whom), mute in self.mutes.items() if who == viewer and mute.stands}

    def _between(self, one: bytes, other: bytes) -> list[Stand]:
        return [block for pair in ((one, other), (other, one)) if (block := self.blocks.get(pair)) is not None]


def excuses() -> float:
    """Rises whenever a page is made of relations that are old because svc_graph does not answer; such pages are not judged by them."""
    return float(OLD._value.get())
