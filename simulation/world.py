"""One run from its seed: the mesh, people and bad weather, then calm, and at the end the judgement of the audit's oracle."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aviary.engage.v1 import engage_pb2
from grpc import aio

from ops.audit.count_facts import CountFacts
from ops.audit.counts import audit_counts, described
from ops.audit.oracle import Authored, Bounds, expected_home, judge
from runtime.context import ALL_SCOPES, Caller, acting
from simulation.bugs import Sound
from simulation.dice import Dice, Odds
from simulation.history import History
from simulation.loop import NOBODY, SimulatedLoop, pause
from simulation.mesh import RELAY_AGES_S, Mesh
from simulation.node import EPOCH_MS, Node
from simulation.people import NAMES, Crowd, Person
from simulation.truth import Broken
from svc_timeline.config import Limits

OPERATIONS = 200
_CALM_S = 4.0
# The relay's last pass looks at a bucket of ten seconds once it has its last age; before that a batch log may replay.
_SETTLE_S = RELAY_AGES_S[-1] + 16.0
_PATIENCE_S = 60.0
_STUCK_S = 600.0
_BOTH_TURNS = 0.4
_AUDITED = 0.2


@dataclass
class Result:
    """How a run ended."""

    seed: int
    operations: int
    broken: list[Broken]
    history: History = field(repr=False)


class AuditedMesh:
    """The stubs that the audits read a stack with, over the simulated network."""

    def __init__(self, crowd: Crowd) -> None:
        self.users = crowd.users
        self.graph = crowd.graph
        self.tweets = crowd.tweets
        self.views = crowd.views
        self.engagement = crowd.engagement

    def acting_for(self, user_id: bytes) -> Caller:
        """The caller of a read on behalf of a user."""
        return Caller(user_id=user_id, scopes=ALL_SCOPES)


class SettledFacts(CountFacts):
    """The facts of a system at rest."""

    async def settled(self, within_s: float) -> int:
        """Nothing is on its way."""
        return 0

    async def dead_letters(self) -> int:
        """They are looked at before."""
        return 0

    async def liked_of(self, user: bytes, tweets: Sequence[bytes]) -> set[bytes]:
        """What a user likes among some tweets, as flags tell."""
        with acting(Caller()):
            answer = await self._mesh.engagement.GetTweetCounts(
                engage_pb2.GetTweetCountsRequest(viewer_id=user, tweet_ids=tweets)
            )
        return {counts.tweet_id for counts in answer.counts if counts.liked}


class World:
    """Everything of one run."""

    def __init__(self, seed: int, bug: Sound, operations: int = OPERATIONS) -> None:
        self.seed = seed
        self.loop = SimulatedLoop()  # type: ignore[abstract]  # what has to do with sockets and threads is not called
        self.dice = Dice(seed)
        self.history = History(self.loop.time)
        roll = self.dice.roll
        self._wild = roll() < 0.85
        limits = Limits(
            window=8 + int(roll() * 13),
            chunk=(2, 3, 50)[int(roll() * 3)],
            rows_at_once=(1, 2, 50)[int(roll() * 3)],
        )
        self.mesh = Mesh(self.loop, self.dice, self.history, bug, limits)
        self.crowd = Crowd(self.loop, self.dice, self.history, self.mesh)
        self._operations = operations
        self._skew_ms = 1000.0 if roll() < 0.3 else 10.0
        self._nodes: dict[str, Node] = {}
        self._crashed: list[str] = []

    def run(self) -> Result:
        """Live through it and judge."""
        self.loop.run(self._whole())
        return Result(self.seed, self.crowd.operations, self.crowd.truth.broken, self.history)

    async def _whole(self) -> None:
        truth = self.crowd.truth
        for area, most in (("user", 1), ("graph", 2), ("tweet", 2), ("timeline", 2), ("engage", 2), ("edge", 2)):
            for number in range(1 + int(self.dice.roll() * most)):
                self._start(f"{area}#{number + 1}")
        try:
            async with asyncio.timeout(_STUCK_S):
                await self._live()
                await self._settle()
                await self._judge()
        except TimeoutError:
            truth.breaks("everything recovers by itself: people are still waiting")
        except aio.AioRpcError as error:
            truth.breaks(f"everything recovers by itself: a call in calm ended {error.code().name}")
        for crash in self._crashed + [crash for node in self._nodes.values() for crash in node.crashed]:
            truth.breaks(crash)
        for failure in self.mesh.broker.failed:
            truth.breaks(failure)

    async def _live(self) -> None:
        people = 6 + int(self.dice.roll() * 3)
        if self._wild:
            roll = self.dice.roll
            self.dice.odds = Odds(
                late=0.03 * roll(),
                unsure=0.04 * roll(),
                slow=0.15 * roll(),
                twice=0.1 * roll(),
                lost=0.04 * roll(),
                dies=0.03 * roll() ** 2,
                moves=0.3 * roll(),
            )
        weather = asyncio.get_running_loop().create_task(self._weather()) if self._wild else None
        async with asyncio.TaskGroup() as group:
            for name in NAMES[:people]:
                group.create_task(Person(self.crowd, name).live(self._operations // people))
        if weather is not None:
            weather.cancel()

    async def _weather(self) -> None:
        mesh = self.mesh
        happenings: list[Callable[[], None]] = [
            *[self._kill_one] * 5,
            lambda: mesh.database.go_away(self.dice.between(0.2, 5)),
            *[lambda: mesh.broker.go_away(self.dice.between(0.2, 8))] * 2,
            self._lose_cache,
            self._empty_cache,
        ]
        apart_s = self.dice.between(1, 8)
        while True:
            await pause(2 * apart_s * self.dice.roll())
            happenings[int(self.dice.roll() * len(happenings))]()

    async def _settle(self) -> None:
        """Calm: no more accidents; then as long as it takes until everything written has been published and handled."""
        self.dice.odds = Odds()
        for server in (self.mesh.database, self.mesh.broker, self.mesh.cache):
            server.come_back()
        await pause(_CALM_S)
        self.history.note("", "calm")
        for node in self._nodes.values():
            if node.heart is not None:
                node.heart.cancel()
        await pause(_SETTLE_S)
        end, uncounted = self.loop.time() + _PATIENCE_S, 0
        mesh = self.mesh
        while (unsent := await mesh.unsent()) or mesh.broker.open or (uncounted := await mesh.engagement.uncounted()):
            if self.loop.time() > end:
                self.crowd.truth.breaks(
                    f"{unsent} announcements are never published, {mesh.broker.open} events not handled,"
                    f" {uncounted} partitions not counted"
                )
                return
            await pause(1)

    async def _judge(self) -> None:
        truth = self.crowd.truth
        for durable, message, why in self.mesh.broker.dead:
            truth.breaks(f"a dead letter of {durable}: {self.history.named(message)}: {why}")
        mesh: Any = AuditedMesh(self.crowd)
        facts = SettledFacts(mesh)
        users = await facts.users()
        now_ms = EPOCH_MS + int(self.loop.time() * 1000)
        bounds = Bounds(now_ms - self.mesh.limits.depth_ms // 2, now_ms)
        authored = {user: await facts.authored(user) for user in sorted(users)}
        self._judge_tweets(authored)
        follows_of = {reader: await facts.follows(reader) for reader in sorted(truth.names)}
        for reader, follows in follows_of.items():
            truth.settle(reader, set(follows))
            if set(follows) != truth.followees(reader):
                truth.breaks("follows are not what they were made", reader, *follows)
        turns = ("from the window", "from the store") if self.dice.roll() < _BOTH_TURNS else ("from the window",)
        for turn in turns:
            for reader, follows in follows_of.items():
                muted = truth.stands.muted_by(reader)
                shown = {who: since for who, since in follows.items() if who not in muted}
                expected = expected_home(reader, shown, authored, bounds, settled_after_follow_ms=0)
                for problem in judge(truth.names[reader], await facts.home(reader), expected):
                    truth.breaks(f"home {turn}: {problem.kind}", reader, problem.tweet_id)
            await self._judge_counts(facts, turn)
            self.mesh.empty_cache()
        if self.dice.roll() < _AUDITED:
            for line in described(await audit_counts(facts, 100)):
                truth.breaks(f"counts: {line}")

    def _judge_tweets(self, authored: Mapping[bytes, Authored]) -> None:
        """Authors have what was accepted, and what was deleted is."""
        truth = self.crowd.truth
        for author, tweets in authored.items():
            accepted = {tweet.tweet_id for tweet in truth.of(author)}
            for tweet_id in accepted ^ set(tweets.tweet_ids):
                kind = "lost" if tweet_id in accepted else "made although nobody was told"
                truth.breaks(f"an accepted tweet was {kind}", author, tweet_id)
            for tweet_id in tweets.deleted ^ {t.tweet_id for t in truth.of(author) if t.deleted_at is not None}:
                truth.breaks("what is deleted is not what was deleted", author, tweet_id)

    async def _judge_counts(self, facts: "SettledFacts", turn: str) -> None:
        """Counts and flags are those that people were told; whether they are those of the lists as well the audit says."""
        truth, tally, kept = self.crowd.truth, self.crowd.tally, self.mesh.engagement
        stale, defaulted = (kept.stale, kept.defaulted) if turn == "from the window" else (set(), set())
        tweets, people = sorted(truth.tweets), sorted(truth.names)
        for tweet_id, counts in (await facts.tweet_counts(tweets)).items():
            least, most = tally.must_be(tweet_id)
            if not least <= counts["likes"] <= most and tweet_id not in stale:
                truth.breaks(f"counts {turn}: {counts['likes']} likes instead of {least}..{most}", tweet_id)
        for user, counts in (await facts.user_counts(people)).items():
            right = {
                "followers": sum(user in truth.followees(other) for other in people),
                "following": len(truth.followees(user)),
                "tweets": sum(tweet.deleted_at is None for tweet in truth.of(user)),
            }
            if counts != right and user not in stale:
                truth.breaks(f"counts {turn}: {counts} instead of {right}", user)
        for user in sorted(set(people) - defaulted):
            liked = await facts.liked_of(user, tweets)
            for tweet_id in tweets:
                if tally.flag_of(user, tweet_id) not in (None, tweet_id in liked):
                    truth.breaks(f"counts {turn}: a flag is not what it was made", user, tweet_id)

    def _start(self, name: str) -> None:
        node = Node(name, self.loop, self.dice, self.history, self.dice.between(-self._skew_ms, self._skew_ms))
        self._nodes[name] = node
        node.on_death.append(lambda: self._died(node))
        node.spawn(self._boot(node))

    async def _boot(self, node: Node) -> None:
        await self.mesh.build(node)
        self.mesh.network.join(node)
        self.history.note(node.name, "serves")

    def _died(self, node: Node) -> None:
        self._crashed += node.crashed
        self.loop.call_later(self.dice.between(0.2, 2), self._start, node.name, context=NOBODY)

    def _kill_one(self) -> None:
        node = self._nodes[self.dice.one_of(list(self._nodes))]
        node.kill("is killed")

    def _lose_cache(self) -> None:
        seconds = self.dice.between(0.2, 4)
        self.mesh.cache.go_away(seconds)
        self.crowd.tally.forgotten(self.loop.time() + seconds)

    def _empty_cache(self) -> None:
        self.history.note("cache", "is emptied")
        self.mesh.empty_cache()
        self.crowd.tally.forgotten(self.loop.time())
