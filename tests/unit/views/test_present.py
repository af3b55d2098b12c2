"""Presentation: what a tweet looks like, and that frames joined are pages."""

from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.ids import uuid7_of
from views.engagement import BOOKMARKED, LIKED, RETWEETED, Engaged
from views.items import Page
from views.present import (
    author_page,
    bookmarks_page,
    frame_tweet,
    home_page,
    likes_page,
    tweet_frame,
    tweet_list,
    tweet_view,
)

AUTHOR = user_pb2.User(user_id="0192f4a0-0000-7000-8000-00000000000a", username="a", profile_image_url="https://x/p")


def body(n: int = 1) -> tweet_pb2.TweetBody:
    entities = tweet_pb2.Entities(
        hashtags=[tweet_pb2.HashtagEntity(tag="A", indices=[0, 2]), tweet_pb2.HashtagEntity(tag="a", indices=[3, 5])],
        mentions=[tweet_pb2.MentionEntity(user_id="u1", username="x", indices=[6, 8])] * 2,
    )
    return tweet_pb2.TweetBody(
        tweet_id=uuid7_of(1_700_000_000_123, n).bytes, author_id=b"a" * 16, content="#A #a @x @x", entities=entities
    )


def test_a_tweet_has_its_time_its_author_and_what_is_marked_in_it() -> None:
    shown = tweet_view(body(), AUTHOR)
    assert shown.created_at.ToMilliseconds() == shown.updated_at.ToMilliseconds() == 1_700_000_000_123
    assert list(shown.hashtags) == ["A", "a"] and list(shown.mentions) == ["u1"]
    assert shown.user.profile_image_url == "https://x/p" and shown.user_id == AUTHOR.user_id
    assert shown.entities == body().entities


def test_what_a_stored_tweet_and_a_shown_one_both_have_is_shown() -> None:
    """A field that is added to both is copied, too: text, kind and marks are what they have in common today."""
    stored = body()
    stored.tweet_type = tweet_pb2.TWEET_TYPE_TWEET
    for field in stored.DESCRIPTOR.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated and not getattr(stored, field.name):
            setattr(stored, field.name, "x")
    shown = tweet_view(stored, AUTHOR)
    both = {f.name for f in stored.DESCRIPTOR.fields} & {f.name for f in shown.DESCRIPTOR.fields} - {"tweet_id"}
    assert both >= {"content", "tweet_type", "entities"}
    for name in both:
        assert getattr(shown, name) == getattr(stored, name), f"views/present.py does not copy {name}"


def test_frames_in_a_row_are_a_page_of_every_list() -> None:
    engaged = [Engaged(), Engaged(300, 2, 1, 70_000, LIKED), Engaged(1, 0, 0, 0, RETWEETED + BOOKMARKED)]
    tweets = [tweet_view(body(n), AUTHOR) for n in range(3)]
    frames = [tweet_frame(t.SerializeToString(), e) for t, e in zip(tweets, engaged, strict=True)]
    for tweet, e in zip(tweets, engaged, strict=True):
        tweet.likes_count, tweet.retweets_count, tweet.replies_count, tweet.quote_tweets_count = e[:4]
        tweet.liked, tweet.retweeted, tweet.bookmarked = (bool(e.flags & f) for f in (LIKED, RETWEETED, BOOKMARKED))
    page = Page(frames, body(2).tweet_id, True, "c", away=True)
    for whole in (home_page(page), author_page(page)):
        assert list(whole.tweets) == tweets and whole.has_more and whole.next_max_id == tweets[2].tweet_id
        assert list(whole.degraded) == ["engagement"]
    for marked in (likes_page(page), bookmarks_page(page)):
        assert list(marked.tweets) == tweets and marked.has_more and marked.next_cursor == "c"
        assert list(marked.degraded) == ["engagement"]
    error = view_pb2.TweetError(tweet_id="x", reason="r")
    listed = tweet_list(frames, [error])
    assert list(listed.tweets) == tweets and list(listed.errors) == [error]
    assert [frame_tweet(f) for f in frames] == tweets


def test_the_end_has_no_next_page() -> None:
    last = Page([], b"", False)
    assert not home_page(last).HasField("next_max_id") and not home_page(last).degraded
    assert not likes_page(last).HasField("next_cursor") and not bookmarks_page(last).HasField("next_cursor")
