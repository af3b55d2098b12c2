"""Counts and marks as a viewer is to see them: from the cache, from the store where that does not know, with the viewer's own states.

What is shown is always the count at some place of the log and, of the viewer's own states, all. How rows become counts is counting/.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flights import Flights
from readers.recent import OwnLike
from runtime.bus.envelope import partition_of
from runtime.errors import Unavailable
from svc_engage import metrics
from svc_engage.cache import CountCache, Glance, Marks
from svc_engage.counting.changes import LOGS
from svc_engage.domain.families import NOBODY_COUNTED, Family, Slots, is_whole, later, unknown
from svc_engage.domain.marks import UNMARKED, Mark, MarkKind
from svc_engage.domain.overlay import (
    UNTOUCHED,
    Both,
    OwnState,
    Stated,
    counted_of,
    later_of,
    latest,
    missing_in,
    with_like,
    with_mark,
)
from svc_engage.domain.relations import NEVER, NOTHING, Count, Kind, Row, Subject
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.store import EngageStore

# Between the writing of counts and of their rows lie some milliseconds, unless an owner died just then.
_ATTEMPTS = 5
_PAUSE_S = 0.01
_LEVEL_S = 1.0
# Of a tweet that is far from being split: nobody is liked by 40,000 in ten seconds.
_SMALL, _SMALL_LEVEL_S = 10_000, 10.0
_LEVELS_KEPT = 10_000
_LEVELS_A_QUERY = 100


@dataclass(frozen=True, slots=True)
class TweetsSeen:
    """Counts of tweets and what the viewer did with them."""

    counts: Sequence[Slots]
    """In the order in which they were asked for."""
    liked: Collection[bytes] = ()
    bookmarked: Collection[bytes] = ()
    graph_version: int = 0
    """Of how the viewer stands to others, if that was changed by the viewer within the last minute."""
    recent_unknown: bool = False
    """Nobody can tell what the viewer did within the last minute."""


class Reads:
    """Reads of many tweets or users at once. Without the cache the store answers; Unavailable is raised when that is away, too."""

    def __init__(self, store: EngageStore, cache: CountCache, builds: MarkBuilds, rows: LikeRows) -> None:
        self._store = store
        self._cache = cache
        self._builds = builds
        self._rows = rows
        self._levels: dict[bytes, tuple[int, float]] = {}
        self._asking = Flights(self._stored_levels, _LEVELS_A_QUERY)

    async def tweets(self, viewer_id: bytes, tweet_ids: Sequence[bytes]) -> TweetsSeen:
        """Counts and flags of different tweets; without a viewer no flags.

        P53: a like that was answered is in flag and count, whichever process is asked, for it was put into the cache, or if that
        was away into the store, before it was answered. Where the cache forgot it within the moment in which its rows were on
        their way, the process that writes them still knows.
        """
        glance, reachable = await self._look(Family.TWEET, viewer_id, tweet_ids)
        counts, states = await self._known(Family.TWEET, viewer_id, tweet_ids, glance, reachable)
        recent = glance.recent
        likes = {one for one, both in states.items() if both.like.present}
        bookmarks = {one for one, both in states.items() if both.bookmark.present}
        for one, stated in recent.bookmarks.items():
            if stated.at >= states.get(one, UNTOUCHED).bookmark.at:
                (bookmarks.add if stated.present else bookmarks.discard)(one)
        late: dict[Subject, _Late] = {}
        for one, slots in zip(tweet_ids, counts, strict=True):
            both, mine = states.get(one), recent.likes.get(one, ())
            # Most were never liked by the viewer, or so long ago that the count has it.
            if mine or (both is not None and both.like.at > slots[1]):
                mine = with_mark(mine, (both or UNTOUCHED).like)
                (likes.add if latest(mine).present else likes.discard)(one)
                late[Subject(one, Kind.LIKES)] = _Late(slots[0], slots[1], {viewer_id: mine})
        shown = await self._shown(viewer_id, late)
        if shown:
            pairs = zip(tweet_ids, counts, strict=True)
            counts = [(shown.get(Subject(one, Kind.LIKES), slots[0]), *slots[1:]) for one, slots in pairs]
        return TweetsSeen(counts, likes, bookmarks, recent.graph_version, bool(viewer_id) and not reachable)

    async def before_like(self, user_id: bytes, tweet_id: bytes) -> Glance | None:
        """What the cache knows before a like is announced, for `likes_with` and `like_at`; None while it is away."""
        glance, reachable = await self._look(Family.TWEET, user_id, [tweet_id])
        if not reachable:
            return None
        if glance.marks.floor is None:
            # Who likes something likes more, and looks at what they liked.
            self._builds.start(user_id)
        return glance

    def like_at(self, glance: Glance | None, tweet_id: bytes) -> int | None:
        """At which place the user's like of the tweet got the state that it has, as the cache knows; 0: it never was set, nor begun
        lately. None when the cache does not know.

        A like whose process died before it told the cache is not known after a minute. Then the next one takes itself for the
        one behind the state before, and which of the two began the state is all that is different: the later beginning stays, and
        what is left in lists is seen to be of no use.
        """
        if glance is None or _unsure([tweet_id], glance.marks) or tweet_id in glance.recent.trying:
            return None
        marked = glance.marks.states.get(tweet_id, UNTOUCHED).like.at
        # Of one whose rows are on their way only this is known.
        return max(marked, *(one.place for one in glance.recent.likes.get(tweet_id, ())), 0)

    def likes_with(self, glance: Glance | None, own: OwnLike, before: Mark) -> int | None:
        """How many like the tweet, as `tweets` tells it once `own` is recorded; None when that has to be read.

        A like of the same pair that the count in the glance holds and `before` does not is in the glance, too, at least as begun.
        """
        slots = glance.counts[0] if glance is not None else None
        if glance is None or slots is None or not slots[1]:
            return None
        mine = with_mark(with_like(glance.recent, own), Stated(before.present, before.at))
        lacks = missing_in(slots[1], mine)
        return None if lacks is None else max(0, slots[0] + lacks)

    async def level(self, tweet_id: bytes) -> int:
        """How far the rows of a tweet's likes are split, or were within the last second, of a small one ten; levels never fall."""
        now = asyncio.get_running_loop().time()
        level, until = self._levels.get(tweet_id, (0, now))
        return level if until > now else (await self._asking.load([tweet_id]))[tweet_id]

    async def _stored_levels(self, tweet_ids: Sequence[bytes]) -> Mapping[bytes, int]:
        """Those of the store, remembered from when they were asked for."""
        now = asyncio.get_running_loop().time()
        subjects = {one: Subject(one, Kind.LIKES) for one in tweet_ids}
        stored = await self._store.counts(list(subjects.values()))
        counts = {one: stored.get(subject, NOTHING) for one, subject in subjects.items()}
        if len(self._levels) >= _LEVELS_KEPT:
            self._levels.clear()
        for one, count in counts.items():
            small = not count.level and count.count < _SMALL
            self._levels[one] = count.level, now + (_SMALL_LEVEL_S if small else _LEVEL_S)
        return {one: count.level for one, count in counts.items()}

    async def users(self, viewer_id: bytes, user_ids: Sequence[bytes]) -> Sequence[Slots]:
        """Counts of different users, in their order. The viewer's own follows and tweets of the last minute are in them."""
        glance, reachable = await self._look(Family.USER, viewer_id, user_ids)
        counts, _ = await self._known(Family.USER, b"", user_ids, glance, reachable)
        recent = glance.recent
        late: dict[Subject, _Late] = {}
        for one, (followers, followers_as_of, *rest) in zip(user_ids, counts, strict=True):
            if mine := recent.followers.get(one):
                late[Subject(one, Kind.FOLLOWERS)] = _Late(followers, followers_as_of, {viewer_id: mine})
            if one == viewer_id:
                following, following_as_of, tweets, tweets_as_of = rest
                late[Subject(one, Kind.FOLLOWING)] = _Late(following, following_as_of, recent.following)
                late[Subject(one, Kind.TWEETS)] = _Late(tweets, tweets_as_of, recent.tweets)
        if not late:
            return counts
        shown = await self._shown(viewer_id, late)
        return [_with(shown, one, slots) for one, slots in zip(user_ids, counts, strict=True)]

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
        counts = _whole(glance.counts)
        unsure = _unsure(ids, glance.marks) if viewer_id else ()
        if counts is not None and not unsure:
            return counts, glance.marks.states
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
        await self._rows.of(viewer_id)
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

    async def _shown(self, viewer_id: bytes, late: Mapping[Subject, "_Late"]) -> dict[Subject, int]:
        """The counts with the viewer's own states of their members."""
        shown: dict[Subject, int] = {}
        unclear: dict[Subject, Mapping[bytes, Sequence[OwnState]]] = {}
        for subject, (known, as_of, own) in late.items():
            lacking = [missing_in(as_of, mine) for mine in own.values()]
            if None in lacking:
                unclear[subject] = own
            else:
                shown[subject] = max(0, known + sum(filter(None, lacking)))
        if unclear:
            if any(subject.kind is Kind.LIKES for subject in unclear):
                await self._rows.of(viewer_id)
            shown |= await self._settled(unclear)
        return shown

    async def _settled(self, unclear: Mapping[Subject, Mapping[bytes, Sequence[OwnState]]]) -> dict[Subject, int]:
        """The same from the store, whose rows tell what is counted of a member where the cache does not.

        The rows of a batch are written after its counts, and its position after both: until then count and rows may tell of
        different moments, and are read again. While an owner cannot tell Redis its counts it stores no position; then the rows
        are believed after 40 ms.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE_S)
            counts = await self._store.counts(list(unclear))
            ends = {subject: counts.get(subject, NOTHING) for subject in unclear}
            wanted = {
                subject: [member for member, mine in own.items() if missing_in(ends[subject].as_of, mine) is None]
                for subject, own in unclear.items()
            }
            # Asked before the rows: those that are written between the two are not missed then.
            written = all(await asyncio.gather(*(self._written(one, ends[one].as_of) for one in unclear)))
            rows = await self._store.rows(wanted, {subject: count.level for subject, count in ends.items()})
            further = any(row.counted_at > ends[one].as_of for one, found in rows.items() for row in found.values())
            if written and not further:
                break
        return {subject: _settled(ends[subject], own, rows[subject]) for subject, own in unclear.items()}

    async def _written(self, subject: Subject, as_of: int) -> bool:
        """Whether all rows that are counted up to a place are stored."""
        log = next(log for log in LOGS if subject.kind in log.kinds)
        return await self._store.position(log.durable, partition_of(subject.subject_id)) >= as_of


class _Late(NamedTuple):
    """A count that may lack what the viewer did lately."""

    shown: int
    as_of: int
    own: Mapping[bytes, Sequence[OwnState]]
    """The viewer's states by member."""


def _settled(count: Count, own: Mapping[bytes, Sequence[OwnState]], rows: Mapping[bytes, Row]) -> int:
    shown = count.count
    for member, mine in own.items():
        lacks = missing_in(count.as_of, mine)
        if lacks is None:
            row = rows.get(member, NEVER)
            lacks = latest(mine).present - counted_of(count.as_of, mine, row.counted, row.version)
        shown += lacks
    return max(0, shown)


def _with(shown: Mapping[Subject, int], user_id: bytes, slots: Slots) -> Slots:
    numbers = []
    for number, kind in enumerate(Family.USER.value):
        numbers += [shown.get(Subject(user_id, kind), slots[2 * number]), slots[2 * number + 1]]
    return tuple(numbers)


def _whole(counts: Sequence[Slots | None]) -> Sequence[Slots] | None:
    """The counts, if all of them are known."""
    known = [slots for slots in counts if slots is not None and is_whole(slots)]
    return known if len(known) == len(counts) else None


def _unsure(ids: Sequence[bytes], marks: Marks) -> Sequence[bytes]:
    """Of which tweets the cache does not know all marks."""
    floor = marks.floor
    if floor is None or not ids:
        return ids
    return [one for one in ids if one < floor] if min(ids) < floor else ()
