"""How long a tweet is, by the published rules of twitter-text v3."""

import time
import unicodedata

import pytest

from svc_tweet.domain.length import weighted_length
from svc_tweet.domain.urls import find_urls

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
FLAG = "\U0001f1e9\U0001f1ea"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


def units(text: str) -> int:
    text = unicodedata.normalize("NFC", text)
    return weighted_length(text, find_urls(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("hello", 5),
        ("ñandú", 5),
        ("Привет", 6),
        ("مرحبا", 5),
        ("日" * 140, 280),
        ("日" * 141, 282),
        ("한글", 4),
        ("e\u0301" * 10, 10),
        ("é" * 10, 10),
        ("q\u0301", 2),
        (FAMILY, 2),
        (FLAG, 2),
        (FLAG + "\U0001f1eb\U0001f1f7", 4),
        (ENGLAND, 2),
        ("\U0001f44d\U0001f3fd", 2),
        ("1\ufe0f\u20e3", 2),
        ("❤\ufe0f", 2),
        ("❤", 2),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", 2),
        ("©", 1),
        ("©\ufe0f", 2),
        ("\U0001fae0", 2),
        ("a\u200bb", 3),
        ("a\u200db", 3),
        ("“quoted” – …", 13),
        ("\u202eabc", 5),
        ("\ufffd", 2),
        ("𝒜", 2),
        ("a\0b", 3),
        ("a\r\nb", 3),
        ("a\nb\rc", 5),
        ("https://example.com/" + "a" * 300, 23),
        ("example.com", 23),
        ("http://a.co", 23),
        ("see https://example.com/x, ok", 31),
        (FAMILY + " https://example.com/x 𝒜 http://a.co", 53),
    ],
)
def test_text_weighs_what_twitter_text_says_p38(text: str, expected: int) -> None:
    """P38."""
    assert units(text) == expected


def test_zero_width_joiners_make_no_long_text_short() -> None:
    """Only sequences that Unicode lists are one emoji: a chain of joined ones is not."""
    assert units("\u200d".join(["\U0001f44d"] * 200)) == 200 * 2 + 199


@pytest.mark.parametrize(
    "text",
    [
        "a." * 2048,
        "日." * 1300,
        "http://" * 580,
        "a.co/" + "(" * 4000,
        "a.co/" + "(a" * 2000,
        FAMILY * 160,
        "http://a." * 450,
    ],
    ids=["dots", "cjk dots", "protocols", "parens", "nested", "families", "addresses"],
)
def test_four_kilobytes_of_malice_take_no_longer_than_four_of_prose(text: str) -> None:
    """The published expression needs up to 25 s for these; the bound is a hundred times what is measured here."""
    started = time.process_time()
    units(text)
    assert time.process_time() - started < 1
