"""Counts and marks as a viewer is to see them: from the cache, from the store where that does not know, with the viewer's own states.

What is shown is always the count at some place of the log and, of the viewer's own states, all. How rows become counts is counting/.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from runtime.errors import Unavailable
from svc_engage import metrics
from svc_engage.cache import CountCache, Glance, Marks
from svc_engage.domain.families import NOBODY_COUNTED, Family, Slots, is_whole, later, unknown
from svc_engage.domain.marks import UNMARKED, MarkKind
from svc_engage.domain.overlay import (
    UNTOUCHED,
    Both,
    OwnRecent,
    OwnState,
    Stated,
    later_of,
    latest,
    liked,
    missing_in,
    with_mark,
)
from svc_engage.domain.relations import NEVER, NOTHING, Count, Kind, Row, Subject
from svc_engage.marks import MarkBuilds
from svc_engage.store import EngageStore

# The rows of a count are written after it. Whoever reads rows of a later count than the one just read reads that again.
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class TweetsSeen:
    """Counts of tweets and what the viewer did with them."""

    counts: Sequence[Slots]
    """In the order in which they were asked for."""
    liked: Collection[bytes] = ()
    bookmarked: Collection[bytes] = ()


class Reads:
    """Reads of many tweets or users at once. Without the cache the store answers; Unavailable is raised when that is away, too."""

    def __init__(self, store: EngageStore, cache: CountCache, builds: MarkBuilds) -> None:
        self._store = store
        self._cache = cache
        self._builds = builds

    async def tweets(self, viewer_id: bytes, tweet_ids: Sequence[bytes]) -> TweetsSeen:
        """Counts and flags of different tweets; without a viewer no flags.

        P53: a like that was answered is in flag and count, whichever process is asked, for it was put into the cache, or if that
        was away into the store, before it was answered.
        """
        glance, reachable = await self._look(Family.TWEET, viewer_id, tweet_ids)
        counts, states = await self._known(Family.TWEET, viewer_id, tweet_ids, glance, reachable)
        recent = glance.recent
        if not (states or recent.likes or recent.bookmarks):
            return TweetsSeen(counts)
        own = _own_likes(tweet_ids, states, recent)
        likes = {one for one, mine in own.items() if liked(mine).present}
        bookmarks = {one for one in tweet_ids if _bookmarked(states.get(one, UNTOUCHED), recent.bookmarks.get(one))}
        return TweetsSeen(await self._with_likes(viewer_id, tweet_ids, counts, own), likes, bookmarks)

    async def users(self, viewer_id: bytes, user_ids: Sequence[bytes]) -> Sequence[Slots]:
        """Counts of different users, in their order. The viewer's own follows and tweets of the last minute are in them."""
        glance, reachable = await self._look(Family.USER, viewer_id, user_ids)
        counts, _ = await self._known(Family.USER, b"", user_ids, glance, reachable)
        recent = glance.recent
        if not (recent.following or recent.tweets):
            return counts
        return [
            await self._with_follows(viewer_id, one, slots, recent) for one, slots in zip(user_ids, counts, strict=True)
        ]

    async def _look(self, family: Family, viewer_id: bytes, ids: Sequence[bytes]) -> tuple[Glance, bool]:
        try:
            return await self._cache.look(family, viewer_id, ids), True
        except Unavailable:
            metrics.READS.labels("no_cache").inc()
            return Glance([None] * len(ids)), False

    async def _known(
        self, family: Family, viewer_id: bytes, ids: Sequence[bytes], glance: Glance, reachable: bool
    ) -> tuple[Sequence[Slots], Mapping[bytes, Both]]:
        """Counts and marks, those that the cache does not know from the store."""
        whole = None not in glance.counts and all(map(is_whole, glance.counts))  # type: ignore[arg-type]
        unsure = _unsure(ids, glance.marks) if viewer_id else ()
        if whole and not unsure:
            return glance.counts, glance.marks.states  # type: ignore[return-value]
        if viewer_id and reachable and glance.marks.floor is None:
            self._builds.start(viewer_id)
        if reachable:
            metrics.READS.labels("partly").inc()
        async with asyncio.TaskGroup() as reads:
            counting = reads.create_task(self._counts(family, ids, glance.counts, reachable))
            marking = reads.create_task(self._marks(viewer_id, unsure, glance.marks.states))
        return counting.result(), marking.result()

    async def _counts(
        self, family: Family, ids: Sequence[bytes], cached: Sequence[Slots | None], reachable: bool
    ) -> Sequence[Slots]:
        lacking = [one for one, slots in zip(ids, cached, strict=True) if slots is None or not is_whole(slots)]
        if not lacking:
            return [slots or unknown(family) for slots in cached]
        tokens: Sequence[bytes] = ()
        if reachable:
            try:
                tokens = await self._cache.reserve(family, lacking)
            except Unavailable:
                reachable = False
        stored = await self._stored(family, lacking)
        if reachable:
            try:
                await self._cache.fill(
                    family, {one: (token, stored[one]) for one, token in zip(lacking, tokens, strict=True)}
                )
            except Unavailable:
                metrics.READS.labels("not_filled").inc()
        # The owner may have put one count of a subject that the cache knew nothing else of.
        return [
            later(slots or unknown(family), stored[one]) if one in stored else slots or unknown(family)
            for one, slots in zip(ids, cached, strict=True)
        ]

    async def _stored(self, family: Family, ids: Sequence[bytes]) -> dict[bytes, Slots]:
        kinds = family.value
        counts = await self._store.counts([Subject(one, kind) for one in ids for kind in kinds])
        nothing = Count(as_of=NOBODY_COUNTED)
        found = {}
        for one in ids:
            known = (counts.get(Subject(one, kind), nothing) for kind in kinds)
            found[one] = tuple(number for count in known for number in (count.count, count.as_of))
        return found

    async def _marks(
        self, viewer_id: bytes, unsure: Sequence[bytes], cached: Mapping[bytes, Both]
    ) -> Mapping[bytes, Both]:
        if not unsure:
            return cached
        async with asyncio.TaskGroup() as reads:
            liking = reads.create_task(self._store.marks(viewer_id, MarkKind.LIKE, unsure))
            bookmarking = reads.create_task(self._store.marks(viewer_id, MarkKind.BOOKMARK, unsure))
        likes, bookmarks = liking.result(), bookmarking.result()
        states = dict(cached)
        for one in unsure:
            like, bookmark = likes.get(one, UNMARKED), bookmarks.get(one, UNMARKED)
            stored = Both(Stated(like.present, like.at), Stated(bookmark.present, bookmark.at))
            if stored != UNTOUCHED:
                states[one] = later_of(stored, states.get(one, UNTOUCHED))
        return states

    async def _with_likes(
        self,
        viewer_id: bytes,
        tweet_ids: Sequence[bytes],
        counts: Sequence[Slots],
        own: Mapping[bytes, Sequence[OwnState]],
    ) -> Sequence[Slots]:
        shown = list(counts)
        for number, one in enumerate(tweet_ids):
            if mine := own.get(one):
                likes, as_of, *rest = counts[number]
                likes = await self._shown(Subject(one, Kind.LIKES), likes, as_of, {viewer_id: mine})
                shown[number] = (likes, as_of, *rest)
        return shown

    async def _with_follows(self, viewer_id: bytes, user_id: bytes, slots: Slots, recent: OwnRecent) -> Slots:
        followers, following, tweets = slots[0::2]
        if mine := recent.followers.get(user_id):
            followers = await self._shown(Subject(user_id, Kind.FOLLOWERS), followers, slots[1], {viewer_id: mine})
        if user_id == viewer_id:
            following = await self._shown(Subject(user_id, Kind.FOLLOWING), following, slots[3], recent.following)
            tweets = await self._shown(Subject(user_id, Kind.TWEETS), tweets, slots[5], recent.tweets)
        return (followers, slots[1], following, slots[3], tweets, slots[5])

    async def _shown(self, subject: Subject, count: int, as_of: int, own: Mapping[bytes, Sequence[OwnState]]) -> int:
        """A count with the viewer's own states of its members."""
        lacking = 0
        for mine in own.values():
            lacks = missing_in(as_of, mine)
            if lacks is None:
                return await self._settled(subject, own)
            lacking += lacks
        return max(0, count + lacking)

    async def _settled(self, subject: Subject, own: Mapping[bytes, Sequence[OwnState]]) -> int:
        """The same from the store, whose rows tell what is counted of a member where the cache does not."""
        for _ in range(_ATTEMPTS):
            count = (await self._store.counts([subject])).get(subject, NOTHING)
            unclear = [member for member, mine in own.items() if missing_in(count.as_of, mine) is None]
            rows: Mapping[bytes, Row] = {}
            if unclear:
                rows = (await self._store.rows({subject: unclear}, {subject: count.level}))[subject]
            if all(row.counted_at <= count.as_of for row in rows.values()):
                break
        lacking = 0
        for member, mine in own.items():
            lacks = missing_in(count.as_of, mine)
            lacking += latest(mine).present - rows.get(member, NEVER).counted if lacks is None else lacks
        return max(0, count.count + lacking)


def _unsure(ids: Sequence[bytes], marks: Marks) -> Sequence[bytes]:
    """Of which tweets the cache does not know all marks."""
    floor = marks.floor
    if floor is None or not ids:
        return ids
    return [one for one in ids if one < floor] if min(ids) < floor else ()


def _own_likes(
    tweet_ids: Sequence[bytes], states: Mapping[bytes, Both], recent: OwnRecent
) -> dict[bytes, Sequence[OwnState]]:
    own = {}
    for one in tweet_ids:
        if one in states or one in recent.likes:
            own[one] = with_mark(recent.likes.get(one, ()), states.get(one, UNTOUCHED).like)
    return own


def _bookmarked(both: Both, lately: Stated | None) -> bool:
    if lately is None or lately.at <= both.bookmark.at:
        return both.bookmark.present
    return lately.present
