"""The cells of the kill matrix: which operation, at which point, loses which process, and how. What is done and checked is elsewhere."""

from dataclasses import dataclass

EDGE = "edge"
"""It never hangs in the matrix: nobody else could answer. Whoever hangs so is killed by its supervisor."""
SERVICES = ("svc_user", "svc_graph", "svc_tweet", "svc_timeline", "svc_engage", EDGE)
SERVERS = ("cassandra", "redis", "nats")
PROCESSES = (*SERVICES, *SERVERS)
ITSELF = "itself"
"""The process that passes the point, whichever it is."""

# Each operation, its points in the order in which it passes them, and the victims that every run of the tests tries there;
# the full matrix tries all.
POINTS: dict[str, dict[str, tuple[str, ...]]] = {
    "register": {
        "user.register.after_claims": ("svc_user",),
        "user.register.after_batch": ("svc_user",),
    },
    "rename": {
        "user.rename.after_count": ("svc_user",),
        "user.rename.after_claims": ("svc_user",),
        "user.rename.after_holds": ("cassandra",),
        "user.change.after_batch": ("svc_user",),
        "user.change.before_answer": ("edge",),
    },
    "login": {
        "user.login.after_session": ("svc_user",),
    },
    "refresh": {
        "user.refresh.before_rotation": ("svc_user",),
        "user.refresh.after_rotation": ("svc_user",),
    },
    "end login": {
        "user.end.after_store": ("svc_user",),
        "user.end.before_answer": ("svc_user",),
    },
    "password": {
        "user.password.before_batch": ("cassandra",),
        "user.password.after_batch": ("svc_user",),
    },
    "register app": {
        "user.app.after_claim": ("svc_user",),
        "user.app.after_store": ("svc_user",),
    },
    "let in": {
        "user.exchange.after_code": ("svc_user",),
        "user.exchange.after_login": ("svc_user",),
    },
    "withdraw": {
        "user.withdraw.after_mark": ("svc_user",),
    },
    "create": {
        "tweet.create.after_claim": ("svc_tweet", "cassandra"),
        "tweet.create.after_batch": ("svc_tweet", "nats"),
        "tweet.create.after_publish": ("redis",),
        "tweet.create.before_answer": ("svc_tweet", "edge"),
    },
    "publish": {
        "outbox.publish.before_delete": ("svc_tweet",),
    },
    "relay": {
        "outbox.relay.after_publish": ("svc_tweet", "nats"),
        "outbox.relay.before_watermark": (ITSELF,),
        "outbox.relay.after_watermark": (ITSELF,),
    },
    "plan": {
        "timeline.plan.before_jobs": ("nats",),
        "timeline.plan.after_jobs": ("svc_timeline",),
    },
    "chunk": {
        "timeline.chunk.after_page": ("cassandra",),
        "timeline.chunk.middle": ("svc_timeline",),
        "timeline.chunk.after_stored": ("redis",),
        "timeline.chunk.after_pushed": ("nats",),
        "timeline.chunk.before_ack": ("svc_timeline", "svc_graph"),
    },
    "delete": {
        "tweet.delete.before_batch": ("svc_tweet",),
        "tweet.delete.after_batch": ("svc_tweet",),
        "tweet.delete.before_answer": ("redis", "edge"),
    },
    "follow": {
        "graph.follow.before_batch": ("cassandra",),
        "graph.follow.after_batch": ("svc_graph", "redis"),
        "graph.follow.before_answer": ("edge",),
    },
    "unfollow": {
        "graph.follow.before_batch": ("svc_graph",),
        "graph.follow.after_batch": ("nats",),
        "graph.follow.before_answer": ("redis",),
    },
    "block": {
        "graph.block.before_batch": ("cassandra",),
        "graph.block.after_batch": ("svc_graph",),
        "graph.block.after_ends": ("svc_graph",),
        "graph.block.before_answer": ("edge",),
    },
    "unblock": {
        "graph.block.before_batch": ("svc_graph",),
        "graph.block.after_batch": ("svc_graph",),
        "graph.block.before_answer": ("redis",),
    },
    "mute": {
        "graph.mute.before_batch": ("cassandra",),
        "graph.mute.after_batch": ("svc_graph",),
        "graph.mute.before_answer": ("edge",),
    },
    "grow": {
        "graph.grow.before_mark": ("svc_graph",),
        "graph.grow.after_mark": ("svc_graph",),
        "graph.grow.after_open": ("svc_graph",),
    },
    "backfill": {
        "timeline.backfill.after_stored": ("redis",),
        "timeline.backfill.before_ack": ("svc_timeline",),
    },
    "rebuild": {
        "timeline.rebuild.after_mark": ("svc_timeline", "svc_tweet"),
        "timeline.rebuild.after_read": ("redis",),
        "timeline.rebuild.after_merge": ("svc_timeline",),
    },
    "return": {
        "timeline.seen.after_stored": ("svc_timeline",),
        "graph.return.after_stored": ("svc_graph",),
    },
    "like": {
        "engage.like.after_publish": ("svc_engage",),
        "engage.like.after_lists": ("svc_engage",),
        "engage.like.after_rows": ("cassandra",),
        "engage.like.before_answer": ("svc_engage",),
    },
    "unlike": {
        "engage.like.after_publish": ("nats",),
        "engage.like.after_rows": ("svc_engage",),
    },
    "count": {
        "engage.count.after_counts": ("svc_engage",),
        "engage.count.after_redis": ("redis",),
        "engage.count.after_rows": ("svc_engage",),
        "engage.count.after_position": ("svc_engage",),
    },
}

# Where a victim that hangs instead of dying is tried, one point of each operation, and with whom in every run of the tests.
HANGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "create": ("tweet.create.after_claim", ("cassandra",)),
    "chunk": ("timeline.chunk.after_page", ("redis",)),
    "delete": ("tweet.delete.after_batch", ("nats",)),
    "follow": ("graph.follow.after_batch", ("svc_timeline",)),
    "unfollow": ("graph.follow.after_batch", ("nats",)),
    "block": ("graph.block.after_batch", ("nats",)),
    "rebuild": ("timeline.rebuild.after_mark", ("svc_tweet",)),
    "like": ("engage.like.after_publish", ("cassandra",)),
}


@dataclass(frozen=True)
class Cell:
    """One entry of the matrix: while `operation` is at `point`, `victim` is killed or begins to hang."""

    operation: str
    point: str
    victim: str
    how: str = "kill"
    """kill (SIGKILL) or hang (SIGSTOP until others have seen it, then SIGCONT)."""

    def __str__(self) -> str:
        return f"{self.operation}-{self.point}-{self.victim}-{self.how}"


def cells(*, full: bool) -> list[Cell]:
    """The whole matrix, or the part that every run of the tests does."""
    kills = [
        Cell(operation, point, victim)
        for operation, points in POINTS.items()
        for point, tried in points.items()
        for victim in (victims(operation) if full else tried)
    ]
    hangs = [
        Cell(operation, point, victim, "hang")
        for operation, (point, tried) in HANGS.items()
        for victim in ([v for v in PROCESSES if v not in (*own(point), EDGE)] if full else tried)
    ]
    return spread(kills) + hangs


def victims(operation: str) -> tuple[str, ...]:
    """Whom an operation can lose: anybody, and what is at the point when that may be any of several."""
    return (*PROCESSES, ITSELF) if operation == "relay" else PROCESSES


def own(point: str) -> tuple[str, ...]:
    """The process that passes a point: it could not go on from there if it hung. An operation may lead through several."""
    area = point.partition(".")[0]
    return () if area == "outbox" else (f"svc_{area}",)


def spread(some: list[Cell]) -> list[Cell]:
    """The same cells, so that no process dies often within a minute: the supervisor would give it up."""
    piles: dict[str, list[Cell]] = {}
    for cell in some:
        piles.setdefault(cell.victim, []).append(cell)
    places = [((number + 0.5) / len(pile), cell) for pile in piles.values() for number, cell in enumerate(pile)]
    return [cell for _, cell in sorted(places, key=lambda place: place[0])]
