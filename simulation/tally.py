"""What people were promised of counts and flags: judges what they are shown meanwhile, and what must be so in the end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from readers.recent import KEPT_S
from simulation.truth import Truth

VAGUE_S = 15.0
"""How long an own write may be counted late when its place in the log is not known to whoever reads: it was not confirmed at the first
try, or the cache was emptied. So long the counting of a partition may stand still in bad weather."""
MANY = 1 << 31
"""No count of a run comes near it; one that went below zero is beyond it."""


@dataclass
class Wish:
    """What one person last wanted of one tweet."""

    liked: bool
    done_at: float | None = None
    """When it was answered."""
    certain: bool = True
    """False: the tweet was deleted before there was an answer, and perhaps an earlier try counts."""


class Tally:
    """Who likes what, as people were told."""

    def __init__(self, truth: Truth, unplaced: Mapping[bytes, float], stale: Set[bytes]) -> None:
        """`unplaced`: who made a write whose place nobody knew, and when the last of them. `stale`: whose counts the cache shows as
        they were, since whoever owed it the newer ones is dead.
        """
        self._truth = truth
        self._unplaced = unplaced
        self._stale = stale
        self.wishes: dict[bytes, dict[bytes, Wish]] = defaultdict(dict)
        """By tweet, by person."""
        self._ever: dict[bytes, set[bytes]] = defaultdict(set)
        self._vague_until: dict[bytes, float] = {}
        self._all_vague_until = 0.0

    def wants(self, user: bytes, tweet_id: bytes, liked: bool) -> Wish:
        """Somebody begins to like a tweet, or to like it no longer."""
        wish = self.wishes[tweet_id][user] = Wish(liked)
        if liked:
            self._ever[tweet_id].add(user)
        return wish

    def unsure(self, user: bytes, now: float) -> None:
        """An own write of somebody was not answered at the first try."""
        self._vague_until[user] = now + VAGUE_S

    def forgotten(self, until: float) -> None:
        """The cache was emptied, or is away until then: what anybody did lately is known to the log alone."""
        self._all_vague_until = max(self._all_vague_until, until + VAGUE_S)

    def liked_by(self, user: bytes) -> list[bytes]:
        """What somebody likes."""
        return [tweet_id for tweet_id, wishes in self.wishes.items() if user in wishes and wishes[user].liked]

    def see(self, viewer: bytes, tweets: Iterable[Any], now: float) -> None:
        """Tweets with counts that are not marked as old, read while the viewer did nothing else."""
        for tweet in tweets:
            key = bytes.fromhex(tweet.tweet_id.replace("-", ""))
            if key in self.wishes:
                self._see_one(viewer, key, tweet, now)
            elif tweet.likes_count or tweet.liked:
                self._truth.breaks("counts: a like that nobody gave", viewer, key)

    def see_profile(self, user: bytes, profile: Any, now: float) -> None:
        """The own profile, read while its owner did nothing else: what its owner did is counted at once."""
        truth = self._truth
        if profile.followers_count > len(truth.names):
            truth.breaks("counts: more followers than people", user)
        own = truth.of(user)
        if user in self._stale or user in truth.unrecorded or any(tweet.tweet_id in truth.unrecorded for tweet in own):
            return
        if now < max(
            self._all_vague_until, self._vague_until.get(user, 0.0), self._unplaced.get(user, -KEPT_S) + KEPT_S
        ):
            return
        # Who ends a follow by a block is somebody else, whose doings are counted when they are.
        cut = truth.stands.blocked_by_others(user, now - VAGUE_S)
        if not cut and profile.following_count != len(truth.followees(user)):
            truth.breaks("counts: an own follow is not counted at once", user)
        if profile.tweets_count != sum(tweet.deleted_at is None for tweet in own):
            truth.breaks("counts: an own tweet is not counted at once", user)

    def must_be(self, tweet_id: bytes) -> tuple[int, int]:
        """How many likes a tweet has in the end: at least, at most."""
        wishes = self.wishes.get(tweet_id, {}).values()
        certain = sum(wish.liked for wish in wishes if wish.certain)
        return certain, certain + sum(not wish.certain for wish in wishes)

    def flag_of(self, user: bytes, tweet_id: bytes) -> bool | None:
        """Whether somebody likes a tweet in the end; None when nobody knows."""
        wish = self.wishes.get(tweet_id, {}).get(user, Wish(False))
        return wish.liked if wish.certain else None

    def _see_one(self, viewer: bytes, key: bytes, tweet: Any, now: float) -> None:
        truth, vague = self._truth, now < self._vague_until.get(viewer, 0.0)
        if tweet.likes_count >= MANY:
            truth.breaks("counts: a count below zero", viewer, key)
        # Whose first try was not confirmed is shown it beside the second until both are counted.
        elif tweet.likes_count > len(self._ever[key]) + vague and key not in self._stale:
            truth.breaks("counts: more likes than people who ever liked it", viewer, key)
        wish = self.wishes[key].get(viewer)
        if wish is None:
            if tweet.liked:
                truth.breaks("counts: a like that its owner never gave", viewer, key)
        elif wish.done_at is not None and wish.certain and viewer + key not in truth.unrecorded:
            if tweet.liked != wish.liked:
                truth.breaks("counts: an own like, or its end, is not shown at once", viewer, key)
            if wish.liked and not tweet.likes_count and not vague:
                truth.breaks("counts: an own like is not counted at once", viewer, key)
