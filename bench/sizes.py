"""How much each benchmark does; what it does is its module."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Counts and times of one run."""

    rest_s: float = 10
    readers: int = 32
    authors: int = 40
    tweets_each: int = 10
    clients: tuple[int, ...] = (1, 8, 32)
    warm_s: float = 3
    read_s: float = 8
    windows: int = 1000
    window_rounds: int = 500
    bare_window_rounds: int = 60
    row_rounds: int = 30
    rows_a_round: int = 20
    """Calls in a round, of as many rows each as a worker writes at once."""
    fanouts: tuple[tuple[int, int, int], ...] = ((1000, 20, 60), (5000, 6, 20))
    """Followers, posts to warm up, posts."""
    posts_alone: int = 500
    posts_a_second: float = 50
    posts_seconds: float = 20
    sockets: int = 20
    post_authors: int = 10
    likers: int = 200
    likes_a_second: float = 200
    likes_seconds: float = 20
    likes_warm_s: float = 60
    """Of likes before those that are timed, until Cassandra's compiler is done with what they run."""
    fsyncs: int = 600
    watched: int = 20
    hot_a_second: int = 1000
    """Injected at the bus on one tweet."""
    hot_turn_s: float = 20
    """Of a turn; three with the hot tweet and three without."""
    others_a_second: float = 50
    """Likes of other tweets in both."""
    calls: int = 128
    """Of one turn."""
    seeds: int = 600
    call_turns: int = 40
    pages: int = 4000
    follows: int = 100_000
    """Of the graph that is imported, at most."""
    page_turns: int = 15
    snapshots: int = 200
    token_rounds: int = 50
    """Of a thousand tokens each."""
    events: int = 4000
    """Of one turn."""
    event_turns: int = 5


FULL = Sizes()
QUICK = Sizes(
    rest_s=1,
    readers=2,
    authors=22,
    clients=(1, 4),
    warm_s=0.3,
    read_s=0.5,
    windows=100,
    window_rounds=4,
    bare_window_rounds=2,
    row_rounds=2,
    rows_a_round=1,
    fanouts=((100, 1, 2),),
    posts_alone=10,
    posts_seconds=0.5,
    sockets=3,
    post_authors=2,
    likers=2,
    likes_a_second=20,
    likes_seconds=1,
    likes_warm_s=1,
    fsyncs=20,
    watched=2,
    hot_a_second=100,
    hot_turn_s=1,
    others_a_second=10,
    calls=64,
    seeds=6,
    call_turns=3,
    pages=80,
    follows=500,
    page_turns=2,
    snapshots=8,
    token_rounds=2,
    events=200,
    event_turns=1,
)
