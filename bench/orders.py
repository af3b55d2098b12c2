"""What a load process is told and what it answers; how it does it is load.py, who tells it is driver.py."""

from dataclasses import dataclass

TWEETS_PATH = "/api/v1/tweets"
STREAM_PATH = "/api/v1/stream"


@dataclass(frozen=True)
class ReadOrder:
    """Clients that read one path as fast as they get answers."""

    host: str
    port: int
    path: str
    tokens: list[str]
    """Client number n uses token n modulo their number."""
    clients: int
    warm_s: float
    seconds: float
    accept_encoding: str = ""


@dataclass(frozen=True)
class PostOrder:
    """Posts: one after the other, or so many a second whatever the answers take. Sockets wait for them."""

    host: str
    port: int
    authors: list[str]
    """Tokens of those who post, in turn."""
    readers: list[str]
    """Tokens of followers of all of them, one socket each."""
    texts: list[str]
    warm: int
    count: int
    rate: float
    """Posts a second; 0 is one after the other."""


@dataclass(frozen=True)
class LikeOrder:
    """Likes and their ends, so many a second whatever the answers take; meanwhile single likes are watched by somebody else."""

    host: str
    port: int
    likers: list[str]
    """Tokens of those who like, in turn."""
    tweets: list[str]
    """Each liker likes each of them, then takes the likes back, and so on."""
    watcher: str
    """Token of who reads the tweets below over and over."""
    watched: list[str]
    """Tweets that nobody has liked: each is liked once, and read until that is counted."""
    warm: int
    count: int
    rate: float


@dataclass(frozen=True)
class FloodOrder:
    """Clients that log in as fast as they get answers, until they are told to stop."""

    host: str
    port: int
    names: list[str]
    """Client number n is name n modulo their number."""
    clients: int


@dataclass(frozen=True)
class Flooded:
    """What those who log in all the time were answered."""

    seconds: float
    answered: dict[str, int]
    """How often each status came."""


@dataclass(frozen=True)
class Latencies:
    """What a client saw, in milliseconds."""

    count: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Posted:
    """What authors and readers saw."""

    posts: Latencies
    arrivals: Latencies | None
    """From the moment at which a post was due until it was on a socket; None without sockets."""
    missing: int
    """Arrivals that did not come within the patience."""


@dataclass(frozen=True)
class Liked:
    """What those who liked saw, and what somebody else saw of it."""

    likes: Latencies
    visible: Latencies | None
    """From the moment at which a like was due until somebody else read a count with it; None when nothing was watched."""
