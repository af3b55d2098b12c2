"""Messages become the JSON that api.md asks for, and JSON becomes messages or names what does not fit."""

from typing import Any

import orjson
import pytest
from aviary.timeline.v1 import timeline_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.json_codec import times
from edge.json_codec.decode import Decoder
from edge.json_codec.encode import TIMESTAMP, Cached, Encoder, Fragments
from edge.json_codec.parse import parse
from runtime.contract import field_options
from runtime.errors import FieldProblem, InvalidArgument

PUBLIC = (
    view_pb2.GetHomeTimelineResponse,
    view_pb2.ListFollowersResponse,
    view_pb2.ListTweetsResponse,
    user_pb2.RegisterResponse,
    tweet_pb2.CreateTweetResponse,
)
VOLATILE = tuple(field.name for field in view_pb2.Tweet.DESCRIPTOR.fields if field.number >= 11)
# From year 1 to year 9999, in milliseconds.
MILLISECONDS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
WHOLE = {
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Any value that one item of a field may have."""
    if field.message_type is not None and field.message_type.full_name == TIMESTAMP:
        return MILLISECONDS.map(timestamp)
    if field.message_type is not None:
        return messages(field.message_type._concrete_class)
    if field.enum_type is not None:
        return st.sampled_from([v.number for v in field.enum_type.values if v.number])
    if field.cpp_type in WHOLE:
        return WHOLE[field.cpp_type]
    return st.booleans() if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else st.text(max_size=8)


def timestamp(ms: int) -> Any:
    seconds, rest = divmod(ms, 1000)
    return times.Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def messages(kind: type[Message]) -> st.SearchStrategy[Any]:
    """Any message of a type."""
    fields = {
        f.name: st.lists(values(f), max_size=2)
        if f.is_repeated
        else (values(f) | st.none() if f.has_presence else values(f))
        for f in kind.DESCRIPTOR.fields
        if not field_options(f).header
    }
    return st.fixed_dictionaries(fields).map(lambda given: kind(**{k: v for k, v in given.items() if v is not None}))


def encode(message: Message, **cached: int) -> Any:
    return Encoder({name: Cached(capacity) for name, capacity in cached.items()}).of(message.DESCRIPTOR)(message)


def decode(kind: type[Message], value: object) -> tuple[Message, list[FieldProblem]]:
    message, problems = kind(), list[FieldProblem]()
    Decoder(kind.DESCRIPTOR).fill(message, value, "", problems)
    return message, problems


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.DESCRIPTOR.name)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_encoded_decodes_to_the_same_message(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(kind))
    text = orjson.dumps(encode(message))
    assert decode(kind, parse(text)) == (message, [])


@given(message=messages(view_pb2.GetHomeTimelineResponse))
@settings(max_examples=60, deadline=None)
def test_cached_fragments_give_the_same_bytes(message: view_pb2.GetHomeTimelineResponse) -> None:
    plain = orjson.dumps(encode(message))
    for cached in (Cached(1), Cached(1, VOLATILE)):
        encoder = Encoder({view_pb2.Tweet.DESCRIPTOR.full_name: cached}).of(message.DESCRIPTOR)
        assert [orjson.dumps(encoder(message)) for _ in range(3)] == [plain] * 3


def test_a_tweet_whose_counts_change_is_rendered_once() -> None:
    """Otherwise every like of a popular tweet, and every viewer's own flags, would cost a rendering."""
    rendered = 0

    def plain(tweet: view_pb2.Tweet) -> Any:
        nonlocal rendered
        rendered += 1
        return encode(tweet)

    keep = Fragments(view_pb2.Tweet.DESCRIPTOR, plain, Cached(10, VOLATILE))
    tweet = view_pb2.Tweet(tweet_id="1", content="hi")
    for likes in range(300):
        tweet.likes_count, tweet.bookmarked = likes, likes % 2 == 1
        shown = orjson.loads(orjson.dumps(keep(tweet)))
        assert shown == encode(tweet) and list(shown) == list(encode(tweet))
    assert rendered == 1


def test_fields_that_this_edge_does_not_know_do_not_spoil_the_text() -> None:
    encoder = Encoder({view_pb2.Tweet.DESCRIPTOR.full_name: Cached(10, VOLATILE)}).of(view_pb2.Tweet.DESCRIPTOR)
    newer = view_pb2.Tweet.FromString(view_pb2.Tweet(tweet_id="1", likes_count=3).SerializeToString() + b"\xf8\x7f\x01")
    assert orjson.loads(orjson.dumps(encoder(newer))) == encode(newer)


def test_what_travels_in_a_header_is_not_in_the_body() -> None:
    assert "degraded" not in encode(view_pb2.GetHomeTimelineResponse(degraded=["engagement"]))


def test_a_changed_tweet_is_not_answered_from_the_cache() -> None:
    encoder = Encoder({view_pb2.Tweet.DESCRIPTOR.full_name: Cached(10)}).of(view_pb2.Tweet.DESCRIPTOR)
    tweet = view_pb2.Tweet(tweet_id="1", liked=False)
    before = orjson.dumps(encoder(tweet))
    tweet.liked = True
    assert b'"liked":false' in before
    assert b'"liked":true' in orjson.dumps(encoder(tweet))


def test_every_field_is_there_and_an_absent_one_is_null() -> None:
    user = encode(user_pb2.User(user_id="u", followers_count=2**64 - 1))
    assert set(user) == {field.name for field in user_pb2.User.DESCRIPTOR.fields}
    assert (user["email"], user["relationship"], user["created_at"]) == (None, None, None)
    assert (user["bio"], user["verified"], user["followers_count"]) == ("", False, 2**64 - 1)


def test_an_optional_field_that_is_set_to_nothing_is_not_null() -> None:
    assert encode(user_pb2.User(email=""))["email"] == ""


def test_enums_print_without_their_prefix_and_unknown_ones_as_unspecified() -> None:
    tweet = view_pb2.Tweet(tweet_type=tweet_pb2.TWEET_TYPE_TWEET)
    assert encode(tweet)["tweet_type"] == "TWEET"
    unknown = view_pb2.Tweet.FromString(b"\x18\x63")
    assert encode(unknown)["tweet_type"] == "UNSPECIFIED"


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (0, 0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000, 123_999_999, "2023-11-14T22:13:20.123Z"),
        (-1, 999_000_000, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00.000Z"),
        (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_have_exactly_milliseconds_and_z(seconds: int, nanos: int, text: str) -> None:
    assert times.to_text(times.Timestamp(seconds=seconds, nanos=nanos)) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000Z"),
        ("2023-11-15t00:13:20.5+02:00", "2023-11-14T22:13:20.500Z"),
        ("2023-11-14T21:43:20.123456789-00:30", "2023-11-14T22:13:20.123Z"),
    ],
)
def test_times_are_read_with_any_offset(text: str, same: str) -> None:
    assert times.to_text(times.from_text(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-13-14T22:13:20Z",
        "2023-11-14T22:13:20+24:00",
        "2023-11-14T22:13:60Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    problems = decode(user_pb2.User, {"created_at": text})[1]
    assert problems == [FieldProblem("created_at", "must be an RFC 3339 time such as 2026-01-31T12:00:00.000Z")]


def test_a_message_with_bytes_has_no_public_form() -> None:
    with pytest.raises(TypeError, match="bytes have no JSON form"):
        Encoder().of(timeline_pb2.GetHomeResponse.DESCRIPTOR)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"tweets": 1}, FieldProblem("tweets", "must be a list")),
        ({"tweets": [1]}, FieldProblem("tweets[0]", "must be an object")),
        ({"tweets": [{}, {"user": []}]}, FieldProblem("tweets[1].user", "must be an object")),
        ({"tweets": [{"tweet_type": "RETWEET"}]}, FieldProblem("tweets[0].tweet_type", "must be one of TWEET")),
        ({"tweets": [{"tweet_type": 1}]}, FieldProblem("tweets[0].tweet_type", "must be one of TWEET")),
        ({"tweets": [{"hashtags": ["a", 1]}]}, FieldProblem("tweets[0].hashtags[1]", "must be a string")),
        ({"tweets": [{"hashtags": [None]}]}, FieldProblem("tweets[0].hashtags[0]", "must be a string")),
        ({"has_more": 1}, FieldProblem("has_more", "must be true or false")),
        ({"tweets": [{"likes_count": True}]}, FieldProblem("tweets[0].likes_count", f"must be a whole number from 0 to {2**64 - 1}")),
        ({"tweets": [{"likes_count": 1.0}]}, FieldProblem("tweets[0].likes_count", f"must be a whole number from 0 to {2**64 - 1}")),
        ({"tweets": [{"likes_count": -1}]}, FieldProblem("tweets[0].likes_count", f"must be a whole number from 0 to {2**64 - 1}")),
        ({"tweets": [{"likes_count": 2**64}]}, FieldProblem("tweets[0].likes_count", f"must be a whole number from 0 to {2**64 - 1}")),
        (
            {"tweets": [{"entities": {"urls": [{"indices": [-1]}]}}]},
            FieldProblem("tweets[0].entities.urls[0].indices[0]", "must be a whole number from 0 to 4294967295"),
        ),
        ({"more": 1}, FieldProblem("more", "is not known here; known are: tweets, next_max_id, has_more, degraded")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_path(value: object, problem: FieldProblem) -> None:
    assert decode(view_pb2.GetHomeTimelineResponse, value)[1] == [problem]


def test_null_stands_for_an_absent_field() -> None:
    message, problems = decode(user_pb2.User, {"email": None, "username": None, "relationship": None})
    assert (message, problems) == (user_pb2.User(), [])


def test_the_number_of_problems_told_is_bounded() -> None:
    assert len(decode(user_pb2.User, {f"x{n}": 1 for n in range(1000)})[1]) == 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"NaN",
        b"[Infinity]",
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 100_000,
        b"01",
        b"'a'",
        b"{a:1}",
        b"9" * 60_000,
    ],
)
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse(body)


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'{"x":{"a":1,"b":2,"a":3}}', b'{"x":[{"a":1,"\\u0061":1}]}'])
def test_a_key_given_twice_is_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(InvalidArgument) as raised:
        parse(body)
    assert raised.value.fields == (FieldProblem("a", "must be given only once"),)


def test_a_number_longer_than_any_field_does_not_fit() -> None:
    value = parse(b'{"followers_count":' + b"9" * 300 + b"}")
    assert decode(user_pb2.User, value)[1][0].field == "followers_count"
