"""Who owns which partition: a document in JetStream KV for each durable, changed by compare-and-set. Reading is partitions.py.

Each process counts a beat up in it, and is dead to another that has seen the same beat for long by its own clock: no clock
is compared with another's. Each takes free partitions up to its fair share, and gives back what is over it.
"""

import asyncio
import json
import math
import random
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from nats.js.errors import (
    BadRequestError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoStreamResponseError,
)
from nats.js.kv import KeyValue

from runtime.bus.envelope import PARTITIONS
from runtime.bus.streams import Streams, created_us

TTL_S = 10.0
"""Within it a dead owner's partitions are another's. The owner itself stops at 0.65 of it, others take over at 0.75."""
TICK, RENEW, EXPIRED, DEAD = 0.1, 1 / 3, 0.65, 0.75
_AGAIN_S = 0.05


@dataclass
class Roll:
    """The document: the beat of each process, and what it owns."""

    beats: dict[str, int] = field(default_factory=dict)
    owners: dict[str, list[int]] = field(default_factory=dict)

    def share(self) -> int:
        """How many partitions are fair for one process."""
        return -(-PARTITIONS // max(1, len(self.beats)))

    def surplus(self, me: str) -> list[int]:
        """What a process owns beyond its share."""
        return self.owners.get(me, [])[self.share() :]

    def without(self, dead: Iterable[str]) -> "Roll":
        """The roll when some have died."""
        gone = set(dead)
        beats = {name: beat for name, beat in self.beats.items() if name not in gone}
        return Roll(beats, {name: owned for name, owned in self.owners.items() if name not in gone})

    def claimed(self, me: str, given_up: Iterable[int]) -> "Roll":
        """The roll in which a process is alive, has given some up and has taken what is free, up to its share."""
        beats, ended = {**self.beats, me: self.beats.get(me, 0) + 1}, set(given_up)
        kept = [p for p in self.owners.get(me, []) if p not in ended]
        taken = {p for name, owned in self.owners.items() if name != me for p in owned} | {*kept, *ended}
        free = [p for p in range(PARTITIONS) if p not in taken]
        room = max(0, Roll(beats).share() - len(kept))
        return Roll(beats, {**self.owners, me: kept + free[:room]})


class Leases:
    """The partitions of one durable that this process owns."""

    def __init__(self, streams: Streams, durable: str, me: str, ttl_s: float) -> None:
        self.held: dict[int, int] = {}
        """Epoch by partition: the place in the leases' stream at which it was taken."""
        self.surplus: list[int] = []
        """Held partitions to finish and give up."""
        self._streams, self._durable, self._me = streams, durable, me
        self._ttl_s = ttl_s
        self._kv: KeyValue | None = None
        self._created_us = 0
        self._beat = 0
        self._known: tuple[bytes, int, Roll] = (b"", 0, Roll())
        """The roll as it was read or written last: in most looks it is the same."""
        self._followed: Roll | None = None
        """The roll that `held` and `surplus` follow from."""
        self._beats: dict[str, tuple[int, float]] = {}
        self._looked_at = self._renewed_at = float("-inf")

    def left_s(self) -> float:
        """For how long what is held may still be worked on without another renewal."""
        return self._renewed_at + EXPIRED * self._ttl_s - time.monotonic() if self.held else math.inf

    def expire(self) -> None:
        """Let go of everything when the own beat could not be renewed for too long: others take over soon."""
        if self.left_s() <= 0:
            self.held, self.surplus = {}, []

    async def look(self, given_up: Collection[int]) -> None:
        """Read the roll and do what is to be done: renew, take, give up what is finished. Raises errors of NATS."""
        began = time.monotonic()
        known, revision = await self._read()
        dead, due = self._dead(known, began), began - self._renewed_at >= RENEW * self._ttl_s
        if known is self._followed and not (dead or due or given_up):
            # As in most looks. What expired is due.
            return
        roll, owned = known.without(dead), set(known.owners.get(self._me, ()))
        mine = {p: epoch for p, epoch in self.held.items() if p in owned}
        # Once taken for dead, begun at one again: others would see the beat that was there when it stopped, and nothing new.
        roll.beats.setdefault(self._me, self._beat)
        claimed = roll.claimed(self._me, given_up)
        changed = claimed.owners != known.owners or claimed.beats.keys() != known.beats.keys()
        # A write that we gave up waiting for may have been done: what the roll says is ours is taken with an epoch of now.
        if changed or due or len(mine) < len(owned):
            revision = await self._write(claimed, revision)
            epoch = self._created_us + revision
            mine = {p: mine.get(p, epoch) for p in claimed.owners[self._me]}
            known, self._renewed_at, self._beat = claimed, began, claimed.beats[self._me]
        self.held, self.surplus, self._followed = mine, known.surplus(self._me), known

    async def leave(self) -> None:
        """Give up everything at once. Raises errors of NATS."""
        self.held, self.surplus = {}, []
        left = False
        while not left:
            roll, revision = await self._read()
            try:
                left = await self._write(roll.without([self._me]), revision) > 0
            except KeyWrongLastSequenceError:
                # Processes of a service often leave together; what is not given up waits until it expires.
                await asyncio.sleep(random.uniform(0, _AGAIN_S))

    def _dead(self, roll: Roll, now: float) -> list[str]:
        # Who did not look for a while, frozen or cut off, has not seen beats that were there: all count from now.
        blind = now - self._looked_at > 4 * TICK * self._ttl_s
        self._looked_at = now
        known = {} if blind else self._beats
        self._beats = {
            name: known[name] if name in known and known[name][0] == beat else (beat, now)
            for name, beat in roll.beats.items()
        }
        limit = now - DEAD * self._ttl_s
        return [name for name, (_, seen) in self._beats.items() if seen <= limit and name != self._me]

    async def _read(self) -> tuple[Roll, int]:
        kv = await self._opened()
        try:
            entry = await kv.get(self._durable)
        except KeyNotFoundError:
            return Roll(), 0
        value, revision = entry.value or b"{}", entry.revision or 0
        # Both: a bucket that was made again counts its revisions anew.
        if self._known[:2] != (value, revision):
            self._known = value, revision, Roll(**json.loads(value))
        return self._known[2], revision

    async def _write(self, roll: Roll, revision: int) -> int:
        kv = await self._opened()
        value = json.dumps({"beats": roll.beats, "owners": roll.owners}).encode()
        try:
            revision = await kv.update(self._durable, value, last=revision)
        except NoStreamResponseError:
            # A broker that lost its store: the next look makes the bucket again.
            self._kv = None
            raise
        self._known = value, revision, roll
        return revision

    async def _opened(self) -> KeyValue:
        if self._kv is None:
            bucket, js = f"{self._streams.namespace}_leases", self._streams.js
            try:
                kv = await js.key_value(bucket)
            except BucketNotFoundError:
                try:
                    kv = await js.create_key_value(bucket=bucket, replicas=self._streams.replicas)
                except BadRequestError:
                    # Another process made it between our look and our try.
                    kv = await js.key_value(bucket)
            self._created_us, self._kv = created_us(await js.stream_info(f"KV_{bucket}")), kv
        return self._kv
