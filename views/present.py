"""Presentation: stored bodies and accounts as clients see them. Pure functions; who may see what was decided before."""

from collections.abc import Iterable

from aviary.graph.v1 import graph_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.ids import ms_of
from views.ids import text_id
from views.items import Author, CachedTweet, Item, Page, State


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
    """A tweet with its author. The counters are true zeros."""
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


def tweet_frame(body: bytes, user: user_pb2.User) -> bytes:
    """A presented tweet as the bytes of a page that holds nothing else.

    Serialized messages put one behind the other are the serialized merged message, so that the bytes of a page are the
    frames of its tweets in a row. GetTweetResponse, ListTweetsResponse and both timelines have `tweet(s)` in one place.
    """
    tweet = tweet_view(tweet_pb2.TweetBody.FromString(body), user)
    return view_pb2.GetTweetResponse(tweet=tweet).SerializeToString()


def frame_tweet(frame: bytes) -> view_pb2.Tweet:
    """The tweet in a frame."""
    return view_pb2.GetTweetResponse.FromString(frame).tweet


def feed_view(items: list[Item], state: State) -> list[bytes]:
    """The frames of the items, in their order; every item has its tweet and its author."""
    tweets, authors = state.tweets, state.authors
    return [_framed(tweets[i[0]], authors[i[1]]) for i in items]


def home_page(page: Page) -> view_pb2.GetHomeTimelineResponse:
    """A page of a home."""
    tail = view_pb2.GetHomeTimelineResponse(next_max_id=_next(page), has_more=page.has_more)
    return view_pb2.GetHomeTimelineResponse.FromString(b"".join([*page.frames, tail.SerializeToString()]))


def author_page(page: Page) -> view_pb2.GetUserTimelineResponse:
    """A page of an author's timeline."""
    tail = view_pb2.GetUserTimelineResponse(next_max_id=_next(page), has_more=page.has_more)
    return view_pb2.GetUserTimelineResponse.FromString(b"".join([*page.frames, tail.SerializeToString()]))


def tweet_list(frames: Iterable[bytes], errors: Iterable[view_pb2.TweetError]) -> view_pb2.ListTweetsResponse:
    """Tweets that were asked for by id, and what could not be shown."""
    tail = view_pb2.ListTweetsResponse(errors=errors)
    return view_pb2.ListTweetsResponse.FromString(b"".join([*frames, tail.SerializeToString()]))


def user_view(user: user_pb2.User, relationship: graph_pb2.RelationshipEntry | None) -> user_pb2.User:
    """An account as a viewer sees it: without what belongs to its owner alone, with how the two stand if there is a viewer."""
    seen = user_pb2.User()
    seen.CopyFrom(user)
    for private in ("email", "role", "relationship"):
        seen.ClearField(private)
    if relationship is not None:
        seen.relationship.following = relationship.following
        seen.relationship.followed_by = relationship.followed_by
    return seen


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


def _framed(tweet: CachedTweet, author: Author) -> bytes:
    # Presenting costs as much as the rest of a warm page, so the result stays with the tweet until its author changes.
    if tweet.framed_for is not author:
        tweet.framed, tweet.framed_for = tweet_frame(tweet.body, author.user), author
    return tweet.framed


def _next(page: Page) -> str | None:
    return text_id(page.next_max_id) if page.next_max_id else None
