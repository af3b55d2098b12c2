"""What a viewer did lately, laid over counts that may not include it yet, and over remembered marks. No I/O."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from readers.recent import Own, OwnFollow, OwnLike
from svc_engage.domain.relations import TWEET_CREATED, TWEET_DELETED


class OwnState(NamedTuple):
    """One state that the viewer set of one member: a like of theirs, a tweet of theirs, a follow of theirs."""

    present: bool
    before: bool | None
    """The state before, as the writer saw it; None when nobody wrote down which that was, or where it stands."""
    place: int
    """Of its event in the log; 0 when it is not known."""
    version: int
    """Orders the states of this member as the counting does."""
    since: int = 0
    """Place of the state before; 0 when there was none."""


class Stated(NamedTuple):
    """A like or a bookmark: the state, and what orders it; 0 for never."""

    present: bool = False
    at: int = 0


class Both(NamedTuple):
    """What a user did with one tweet."""

    like: Stated = Stated()
    bookmark: Stated = Stated()


UNTOUCHED = Both()


@dataclass(frozen=True, slots=True)
class OwnRecent:
    """What a viewer did in the last minute."""

    likes: Mapping[bytes, Sequence[OwnState]] = field(default_factory=dict)
    """By tweet."""
    bookmarks: Mapping[bytes, Stated] = field(default_factory=dict)
    """The latest, by tweet."""
    tweets: Mapping[bytes, Sequence[OwnState]] = field(default_factory=dict)
    """By tweet."""
    following: Mapping[bytes, Sequence[OwnState]] = field(default_factory=dict)
    """By followee, with places in the log that counts whom the viewer follows."""
    followers: Mapping[bytes, Sequence[OwnState]] = field(default_factory=dict)
    """By followee, with places in the log that counts the followee's followers."""
    trying: Collection[bytes] = ()
    """Tweets of which more likes were begun than set: a try is under way or was given up, and may stand anywhere in the log."""
    graph_version: int = 0
    """Of how the viewer stands to others, if that changed."""


NOTHING_RECENT = OwnRecent()


def own_recent(writes: Iterable[tuple[bytes, bytes]]) -> OwnRecent:
    """What a user wrote lately, as (kind, value) pairs, newest first."""
    own = Own.of(writes)
    likes: dict[bytes, list[OwnState]] = defaultdict(list)
    tweets: dict[bytes, list[OwnState]] = defaultdict(list)
    following: dict[bytes, list[OwnState]] = defaultdict(list)
    followers: dict[bytes, list[OwnState]] = defaultdict(list)
    bookmarks: dict[bytes, Stated] = {}
    for like in own.likes:
        before = bool(like.liked - like.delta)
        likes[like.tweet_id].append(OwnState(like.liked, before, like.place, like.place, like.before_place))
    trying = {tweet_id for tweet_id, begun in own.liking.items() if begun > len(likes.get(tweet_id, ()))}
    for tweet_id in trying & likes.keys():
        # What the others followed is not certain.
        likes[tweet_id] = [one._replace(before=None) for one in likes[tweet_id]]
    for mark in own.bookmarks:
        stated = Stated(mark.bookmarked, mark.version)
        bookmarks[mark.tweet_id] = max(stated, bookmarks.get(mark.tweet_id, stated), key=_at)
    for tweet_id, place in own.tweets.items():
        tweets[tweet_id].append(OwnState(True, False, place, TWEET_CREATED))
    for tweet_id, place in own.deleted.items():
        created = own.tweets.get(tweet_id, 0)
        tweets[tweet_id].append(OwnState(False, True if created else None, place, TWEET_DELETED, created))
    for edge in sorted(own.follows, key=_edge_version):
        present, followee = edge.delta > 0, edge.followee_id
        for states, place in ((following, edge.following_place), (followers, edge.follower_place)):
            states[followee].append(_next(states[followee], present, place, edge.version))
    return OwnRecent(likes, bookmarks, tweets, following, followers, trying, own.graph_version)


def latest_likes(recent: OwnRecent) -> dict[bytes, int]:
    """By tweet, the place of the viewer's latest like or its end."""
    return {tweet_id: latest(own).place for tweet_id, own in recent.likes.items()}


def _next(earlier: Sequence[OwnState], present: bool, place: int, version: int) -> OwnState:
    """A change behind earlier ones. What was before the first of those that are known may itself not be counted."""
    if not earlier or earlier[-1].present == present or not earlier[-1].place:
        return OwnState(present, None, place, version)
    return OwnState(present, not present, place, version, earlier[-1].place)


def with_like(recent: OwnRecent, like: OwnLike) -> Sequence[OwnState]:
    """The own likes of a tweet together with one that was begun and set since."""
    before = None if like.tweet_id in recent.trying else bool(like.liked - like.delta)
    mine = OwnState(like.liked, before, like.place, like.place, like.before_place)
    return [mine, *recent.likes.get(like.tweet_id, ())]


def with_mark(own: Sequence[OwnState], mark: Stated) -> Sequence[OwnState]:
    """The likes of one tweet together with the mark that is remembered of it: writing down what was done lately may have failed."""
    if mark.at == 0 or any(one.place == mark.at for one in own):
        return own
    return [*own, OwnState(mark.present, None, mark.at, mark.at)]


def missing_in(as_of: int, own: Sequence[OwnState]) -> int | None:
    """What a count that goes up to `as_of` lacks of the viewer's own states of one member: -1, 0 or 1.

    The viewer is to see the state with the greatest version. The count has another while the first one behind it is not that,
    and what that one followed is in it. None when that cannot be told: a place is not known, or it followed a state that the
    count does not have either and that nobody remembers.
    """
    seen = latest(own)
    if seen.place and seen.place <= as_of:
        return 0
    if not all(one.place for one in own):
        return None
    first = min((one for one in own if one.place > as_of), key=_version)
    if first.before is None or first.since > as_of:
        return None
    # Of two that were set at once neither saw the other: what the count has of the first is not what the second followed.
    counted = [one for one in own if one.place <= as_of]
    told = any(one.place >= first.since for one in counted)
    return seen.present - (latest(counted).present if told else first.before)


def counted_of(as_of: int, own: Sequence[OwnState], counted: bool, version: int) -> bool:
    """What a count that goes up to `as_of` has of a member whose row was last counted at `version`.

    A row may not be written yet; own states up to there are counted all the same.
    """
    later = [one for one in own if 0 < one.place <= as_of and one.version > version]
    return latest(later).present if later else counted


def latest(own: Sequence[OwnState]) -> OwnState:
    """The state that the viewer is to see."""
    return max(own, key=_version)


def later_of(one: Both, other: Both) -> Both:
    """The later like and the later bookmark."""
    return Both(max(one.like, other.like, key=_at), max(one.bookmark, other.bookmark, key=_at))


def _version(own: OwnState) -> int:
    return own.version


def _at(stated: Stated) -> int:
    return stated.at


def _edge_version(edge: OwnFollow) -> int:
    return edge.version
