"""Presentation: stored bodies and accounts as clients see them. Pure functions; who may see what was decided before."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from aviary.graph.v1 import graph_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from accounts import Account
from runtime.ids import ms_of
from views.engagement import BOOKMARKED, LIKED, RETWEETED, UNTOUCHED, Engaged, Standing
from views.ids import text_id
from views.items import CachedTweet, Item, Page, State

ENGAGEMENT = "engagement"
"""What an answer names as degraded when its counts and flags are not from their owner."""
_TWEET_TAG = view_pb2.GetTweetResponse(tweet=view_pb2.Tweet()).SerializeToString()[:1]


def degraded(away: bool) -> Sequence[str]:
    """What an answer says about counts that are not from their owner."""
    return (ENGAGEMENT,) if away else ()


def user_short(user: user_pb2.User) -> view_pb2.UserShort:
    """An account as it stands inside a tweet."""
    return view_pb2.UserShort(
        user_id=user.user_id,
        username=user.username,
        display_name=user.display_name,
        verified=user.verified,
        profile_image_url=user.profile_image_url if user.HasField("profile_image_url") else None,
    )


def tweet_view(body: tweet_pb2.TweetBody, user: user_pb2.User) -> view_pb2.Tweet:
    """A tweet with its author, without what changes: counts, and what a viewer did with it."""
    tweet = view_pb2.Tweet(
        tweet_id=text_id(body.tweet_id),
        user_id=user.user_id,
        tweet_type=body.tweet_type,
        user=user_short(user),
        content=body.content,
        hashtags=[h.tag for h in body.entities.hashtags],
        mentions=list(dict.fromkeys(m.user_id for m in body.entities.mentions)),
        entities=body.entities,
    )
    posted = ms_of(body.tweet_id)
    tweet.created_at.FromMilliseconds(posted)
    tweet.updated_at.FromMilliseconds(posted)
    return tweet


def tweet_frame(presented: bytes, engaged: Engaged) -> bytes:
    """A presented tweet (serialized `tweet_view`) and what changes of it, as the bytes of a page that holds nothing else.

    Serialized messages put one behind the other are the serialized merged message: so the fields that change are put behind
    those that do not, and the bytes of a page are the frames of its tweets in a row. Every answer with tweets has them in field 1.
    """
    tail = _tail(engaged)
    return b"%b%b%b%b" % (_TWEET_TAG, _varint(len(presented) + len(tail)), presented, tail)


def frame_tweet(frame: bytes) -> view_pb2.Tweet:
    """The tweet in a frame."""
    return view_pb2.GetTweetResponse.FromString(frame).tweet


def feed_view(items: list[Item], state: State) -> list[bytes]:
    """The frames of the items, in their order; every item has its tweet and its author."""
    tweets, authors, engaged = state.tweets, state.authors, state.engaged
    return [tweet_frame(_presented(tweets[i[0]], authors[i[1]]), engaged.get(i[0], UNTOUCHED)) for i in items]


def home_page(page: Page) -> view_pb2.GetHomeTimelineResponse:
    """A page of a home."""
    tail = view_pb2.GetHomeTimelineResponse(
        next_max_id=_next(page), has_more=page.has_more, degraded=degraded(page.away)
    )
    return view_pb2.GetHomeTimelineResponse.FromString(b"".join([*page.frames, tail.SerializeToString()]))


def author_page(page: Page) -> view_pb2.GetUserTimelineResponse:
    """A page of an author's timeline."""
    tail = view_pb2.GetUserTimelineResponse(
        next_max_id=_next(page), has_more=page.has_more, degraded=degraded(page.away)
    )
    return view_pb2.GetUserTimelineResponse.FromString(b"".join([*page.frames, tail.SerializeToString()]))


def likes_page(page: Page) -> view_pb2.ListUserLikesResponse:
    """A page of what somebody likes."""
    tail = view_pb2.ListUserLikesResponse(
        next_cursor=page.next_cursor or None, has_more=page.has_more, degraded=degraded(page.away)
    )
    return view_pb2.ListUserLikesResponse.FromString(b"".join([*page.frames, tail.SerializeToString()]))


def bookmarks_page(page: Page) -> view_pb2.ListBookmarksResponse:
    """A page of bookmarks."""
    tail = view_pb2.ListBookmarksResponse(
        next_cursor=page.next_cursor or None, has_more=page.has_more, degraded=degraded(page.away)
    )
    return view_pb2.ListBookmarksResponse.FromString(b"".join([*page.frames, tail.SerializeToString()]))


def tweet_list(
    frames: Iterable[bytes], errors: Iterable[view_pb2.TweetError], away: bool = False
) -> view_pb2.ListTweetsResponse:
    """Tweets that were asked for by id, and what could not be shown."""
    tail = view_pb2.ListTweetsResponse(errors=errors, degraded=degraded(away))
    return view_pb2.ListTweetsResponse.FromString(b"".join([*frames, tail.SerializeToString()]))


def counted(user: user_pb2.User, standing: Standing) -> user_pb2.User:
    """The account with its counts."""
    user.followers_count, user.following_count, user.tweets_count = standing
    return user


def user_view(account: Account, relationship: graph_pb2.RelationshipEntry | None) -> user_pb2.User:
    """An account as a viewer sees it: without what belongs to its owner alone, with how the two stand if there is a viewer.

    Of one that is suspended nothing is shown that it said or looked like.
    """
    seen = user_pb2.User()
    seen.CopyFrom(account.user)
    for private in ("email", "role", "relationship"):
        seen.ClearField(private)
    if account.hidden:
        seen.status = user_pb2.USER_STATUS_SUSPENDED
        for said in ("bio", "profile_image_url", "banner_image_url"):
            seen.ClearField(said)
    if relationship is not None:
        seen.relationship.CopyFrom(relationship_view(relationship))
    return seen


def relationship_view(entry: graph_pb2.RelationshipEntry) -> user_pb2.Relationship:
    """How a viewer stands to an account."""
    return user_pb2.Relationship(
        following=entry.following,
        followed_by=entry.followed_by,
        blocking=entry.blocking,
        blocked_by=entry.blocked_by,
        muting=entry.muting,
    )


def follow_view(user: user_pb2.User, entry: graph_pb2.FollowEntry) -> view_pb2.FollowView:
    """One end of a follow."""
    return view_pb2.FollowView(
        user_id=user.user_id,
        username=user.username,
        display_name=user.display_name,
        verified=user.verified,
        profile_image_url=user.profile_image_url if user.HasField("profile_image_url") else None,
        followed_at=entry.followed_at,
    )


def _presented(tweet: CachedTweet, author: Account) -> bytes:
    # Presenting costs as much as the rest of a warm page, so the result stays with the tweet until its author changes.
    if tweet.framed_for is not author:
        shown = tweet_view(tweet_pb2.TweetBody.FromString(tweet.body), author.user)
        tweet.framed, tweet.framed_for = shown.SerializeToString(), author
    return tweet.framed


def _next(page: Page) -> str | None:
    return text_id(page.next_max_id) if page.next_max_id else None


@lru_cache(maxsize=65_536)
def _tail(engaged: Engaged) -> bytes:
    """The fields of a tweet that change, serialized."""
    return view_pb2.Tweet(
        likes_count=engaged.likes,
        retweets_count=engaged.retweets,
        replies_count=engaged.replies,
        quote_tweets_count=engaged.quotes,
        liked=bool(engaged.flags & LIKED),
        retweeted=bool(engaged.flags & RETWEETED),
        bookmarked=bool(engaged.flags & BOOKMARKED),
    ).SerializeToString()


@lru_cache(maxsize=16_384)
def _varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])
