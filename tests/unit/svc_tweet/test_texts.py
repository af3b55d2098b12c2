"""What may be posted, and what is stored of it."""

import uuid

import pytest

from runtime.errors import InvalidArgument
from svc_tweet.domain.texts import NOBODY, postable
from svc_tweet.errors import TweetEmpty, TweetTooLong

ALICE = uuid.UUID("018f0000-0000-7000-8000-00000000000a")


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t\r ", "\u3000\u00a0", "\u200b", "\u200b \u200d\ufeff", "\0", "\u202e\u202c"]
)
def test_text_that_shows_nothing_is_empty_p38(text: str) -> None:
    """P38."""
    with pytest.raises(TweetEmpty) as refused:
        postable(text)
    assert [problem.field for problem in refused.value.fields] == ["content"]


def test_280_units_are_allowed_and_281_are_not() -> None:
    assert postable("a" * 280).content == "a" * 280
    with pytest.raises(TweetTooLong) as refused:
        postable("a" * 281)
    assert refused.value.metadata == {"units": "281"}
    assert [problem.field for problem in refused.value.fields] == ["content"]


def test_text_is_stored_in_nfc_and_otherwise_as_it_came() -> None:
    assert postable("  e\u0301\r\n\t\u200b ").content == "  é\r\n\t\u200b "


@pytest.mark.parametrize("control", ["\0", "\x1b", "\x7f", "\x85", "\x0b", "\x9f"])
def test_control_characters_are_refused_by_name(control: str) -> None:
    with pytest.raises(InvalidArgument, match=f"U\\+{ord(control):04X}") as refused:
        postable(f"a{control}b")
    assert [problem.field for problem in refused.value.fields] == ["content"]


def test_both_normal_forms_of_a_text_are_the_same_text() -> None:
    assert postable("caf\u00e9 #cafe\u0301") == postable("cafe\u0301 #caf\u00e9")


def test_indices_count_code_points_of_the_stored_text() -> None:
    """A decomposed letter and an astral sign stand before the marks."""
    text = postable("e\u0301😀 #tag @Alice http://a.co")
    entities = text.entities(text.mentioned({"alice": ALICE.bytes}))
    indices = [entities.hashtags[0].indices, entities.mentions[0].indices, entities.urls[0].indices]
    assert [text.content[start:end] for start, end in indices] == ["#tag", "@Alice", "http://a.co"]
    assert list(entities.hashtags[0].indices) == [3, 7]


def test_a_mention_is_an_entity_only_when_somebody_has_the_name() -> None:
    text = postable("@nobody and @ALICE and @alice")
    mentioned = text.mentioned({"alice": ALICE.bytes})
    assert text.names() == ["nobody", "ALICE"]
    assert mentioned == NOBODY + ALICE.bytes
    entities = text.entities(mentioned)
    assert [(m.username, m.user_id) for m in entities.mentions] == [("ALICE", str(ALICE)), ("alice", str(ALICE))]


def test_a_text_without_marks_has_no_entities() -> None:
    text = postable("plain \u202e rtl \ufffd")
    assert text.names() == []
    assert not text.entities(b"").ByteSize()
