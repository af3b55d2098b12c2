"""What may be posted, and what is marked in it; whose the mentioned names are, is decided with the claim, not here."""

import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from aviary.tweet.v1 import tweet_pb2 as pb

from runtime.errors import FieldProblem, InvalidArgument
from svc_tweet.domain.length import MAX_WEIGHT, weighted_length
from svc_tweet.domain.marks import find_hashtags, find_mentions
from svc_tweet.domain.urls import Span, find_urls
from svc_tweet.errors import TweetEmpty, TweetTooLong

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

NOBODY = bytes(16)
"""Stands for a mentioned name that nobody had when the tweet was posted."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that may be posted, in NFC, and what is marked in it."""

    content: str
    hashtags: tuple[Span, ...]
    mentions: tuple[Span, ...]
    urls: tuple[Span, ...]

    def names(self) -> list[str]:
        """Mentioned names without @, each once without regard to case, in the order of their first appearance."""
        names: dict[str, str] = {}
        for span in self.mentions:
            names.setdefault(self._name(span).lower(), self._name(span))
        return list(names.values())

    def mentioned(self, owners: Mapping[str, bytes]) -> bytes:
        """Owners of `names()`, 16 bytes each in that order; NOBODY where there is none. Fixed once, with the claim."""
        return b"".join(owners.get(name.lower(), NOBODY) for name in self.names())

    def entities(self, mentioned: bytes) -> pb.Entities:
        """What is marked, with the owners that `mentioned` says; a name of nobody is plain text."""
        owner = {name.lower(): mentioned[i * 16 : i * 16 + 16] for i, name in enumerate(self.names())}
        return pb.Entities(
            hashtags=[pb.HashtagEntity(tag=self.content[s.start + 1 : s.end], indices=s) for s in self.hashtags],
            mentions=[
                pb.MentionEntity(user_id=str(uuid.UUID(bytes=owner[name.lower()])), username=name, indices=s)
                for s, name in ((s, self._name(s)) for s in self.mentions)
                if owner[name.lower()] != NOBODY
            ],
            urls=[pb.UrlEntity(url=self.content[s.start : s.end], indices=s) for s in self.urls],
        )

    def _name(self, span: Span) -> str:
        return self.content[span.start + 1 : span.end]


def postable(content: str) -> Text:
    """The text in NFC with its marks. Raises TweetEmpty, TweetTooLong, and InvalidArgument for control characters."""
    content = unicodedata.normalize("NFC", content)
    if not any(_visible(char) for char in content):
        raise TweetEmpty("the tweet is empty", fields=[FieldProblem("content", "shows nothing")])
    if found := _CONTROL.search(content):
        problem = FieldProblem(
            "content", f"holds the control character U+{ord(found[0]):04X}; only tabs and line ends are taken"
        )
        raise InvalidArgument(f"the tweet {problem.message}", fields=[problem])
    urls = find_urls(content)
    weight = weighted_length(content, urls)
    if weight > MAX_WEIGHT:
        problem = FieldProblem("content", f"has {weight} units; at most {MAX_WEIGHT} are allowed")
        raise TweetTooLong(f"the tweet {problem.message}", fields=[problem], units=weight)
    return Text(content, tuple(find_hashtags(content, urls)), tuple(find_mentions(content, urls)), tuple(urls))


def _visible(char: str) -> bool:
    # Separators, controls and formats such as the zero width space; what is only these shows nothing.
    category = unicodedata.category(char)
    return category[0] != "Z" and category not in {"Cc", "Cf"}
