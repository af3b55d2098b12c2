"""What counts as a hashtag or a mention in a text."""

import pytest

from svc_tweet.domain.marks import find_hashtags, find_mentions
from svc_tweet.domain.urls import find_urls


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("#tag #日本 ＃全角 #हिन्दी #año_2", ["#tag", "#日本", "＃全角", "#हिन्दी", "#año_2"]),
        ("#123 # #_ #1a", ["#1a"]),
        ("a#b &#x ##c #d#", ["#c"]),
        ("#\ufe0f\u20e3 #\u20e3 #a://x", []),
        ("(#a) 。#b", ["#a", "#b"]),
        ("http://example.com/#frag http://example.com #x", ["#x"]),
    ],
)
def test_hashtags_are_found_as_twitter_text_finds_them(text: str, tags: list[str]) -> None:
    assert [text[s.start : s.end] for s in find_hashtags(text, find_urls(text))] == tags


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@a @under_score! (@b) ＠full 日本@c", ["@a", "@under_score", "@b", "＠full", "@c"]),
        ("a@b @c@d @e:// @josé !@f", []),
        ("RT@a RT @b xRT@c", ["@a", "@b"]),
        ("@" + "x" * 15, ["@" + "x" * 15]),
        ("@" + "x" * 16, []),
        ("https://medium.com/@user .@w", ["@w"]),
    ],
)
def test_mentions_are_found_as_twitter_text_finds_them(text: str, names: list[str]) -> None:
    assert [text[s.start : s.end] for s in find_mentions(text, find_urls(text))] == names
