"""People who register, post, follow, like and read, and try again until they are answered; what they must see is truth.py and tally.py."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import grpc
from aviary.engage.v1 import engage_pb2
from aviary.engage.v1.engage_pb2_grpc import EngageServiceStub
from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from aviary.view.v1 import view_pb2
from aviary.view.v1.view_pb2_grpc import ViewServiceStub
from grpc import aio

from runtime.callers import CallerSigner
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import from_rpc
from simulation.dice import Dice
from simulation.history import History
from simulation.loop import SimulatedLoop, pause
from simulation.mesh import Mesh
from simulation.network import Wire
from simulation.node import MESH_KEY, SkewedClock
from simulation.stands import VISIBLE_FOR_S, Stand, excuses
from simulation.tally import Tally
from simulation.truth import Posted, Tie, Truth

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
_SESSION = b"s" * 16
_MEAN_PAUSE_S = 0.5
# An outage lasts seconds: asked every half second it would be half of what a run computes, and every answer the same.
_AGAIN_AFTER_S = (0.1, 2.0)
_NEWEST = 6
"""Among so many of the newest tweets somebody chooses what to like, so that several like the same."""


class Refused(Exception):
    """The answer is a failure that trying again does not change."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Crowd:
    """What all people share: the way into the system, and what they were told."""

    def __init__(self, loop: SimulatedLoop, dice: Dice, history: History, mesh: Mesh) -> None:
        self.loop = loop
        self.dice = dice
        self.history = history
        self.truth = Truth(unrecorded=mesh.unrecorded)
        self.tally = Tally(self.truth, mesh.unplaced, mesh.engagement.stale)
        self.people: list[Person] = []
        self.operations = 0
        network = mesh.network
        signer = CallerSigner(MESH_KEY, "edge", SkewedClock(loop))
        self.users = UserServiceStub(Wire(network, "user", signer, user_pb2.DESCRIPTOR))
        self.graph = GraphServiceStub(Wire(network, "graph", signer, graph_pb2.DESCRIPTOR))
        self.tweets = TweetServiceStub(Wire(network, "tweet", signer, tweet_pb2.DESCRIPTOR))
        self.engagement = EngageServiceStub(Wire(network, "engage", signer, engage_pb2.DESCRIPTOR))
        self.views = ViewServiceStub(Wire(network, "edge", signer, view_pb2.DESCRIPTOR))
        self._numbers = itertools.count(1)

    def next_name(self) -> str:
        """The short name of the next tweet."""
        return f"t{next(self._numbers)}"


class Person:
    """One account, whose owner does one thing after the other."""

    def __init__(self, crowd: Crowd, name: str) -> None:
        self.name = name
        self.user_id = b""
        self._crowd = crowd
        self._truth = crowd.truth
        self._dice = crowd.dice
        self._keys = itertools.count(1)

    async def live(self, operations: int) -> None:
        """Register, and then do this and that, with pauses."""
        await self.register()
        while len(self._crowd.people) < 2:
            await pause(0.1)
        choices = (
            (0.28, self.read_page),
            (0.34, self.read_home),
            (0.40, self.read_author),
            (0.46, self.read_profile),
            (0.54, self.like),
            (0.58, self.unlike),
            (0.59, self.change_mind),
            (0.75, self.post),
            (0.79, self.delete),
            (0.85, self.follow),
            (0.88, self.unfollow),
            (0.95, self.take_a_stand),
            (0.98, self.read_tweet),
            (1.01, self.read_following),
        )
        for number in range(operations):
            await pause(self._dice.roll() * 2 * _MEAN_PAUSE_S)
            roll = self._dice.roll()
            # Whoever is new follows somebody first.
            act = self.follow if number < 2 else next(act for share, act in choices if roll < share)
            self._crowd.operations += 1
            try:
                await act()
            except Refused as refused:
                self._truth.breaks(f"{act.__name__} was refused: {refused}", self.user_id)

    async def register(self) -> None:
        """Make the account; a name that an unanswered try may have taken is not tried again."""
        for number in itertools.count():
            name = self.name if number == 0 else f"{self.name}_{number}"
            request = user_pb2.RegisterRequest(username=name, email=f"{name}@example.org", password="correct horse")
            try:
                answer, _ = await self._ask("register", name, partial(self._crowd.users.Register, request))
            except Refused as refused:
                if refused.reason not in {"USERNAME_TAKEN", "EMAIL_TAKEN"}:
                    self._truth.breaks(f"a registration was refused: {refused}")
                    await pause(1)
                continue
            self.user_id = uuid.UUID(answer.user.user_id).bytes
            self._truth.names[self.user_id] = self.name
            self._crowd.history.name(self.user_id, self.name)
            self._crowd.people.append(self)
            self._crowd.operations += 1
            return

    async def post(self) -> None:
        """Post, with a key; whatever number of tries it takes, it is one tweet."""
        name = self._crowd.next_name()
        key = f"{self.name}-{next(self._keys)}"
        request = tweet_pb2.CreateTweetRequest(content=f"{name} by {self.name}", idempotency_key=key)
        self._truth.posting.add(self.user_id)
        answer, _ = await self._ask("post", name, partial(self._crowd.tweets.CreateTweet, request))
        tweet_id = uuid.UUID(answer.tweet_id).bytes
        self._crowd.history.name(tweet_id, name)
        self._truth.posting.discard(self.user_id)
        self._truth.tweets[tweet_id] = Posted(tweet_id, self.user_id, self._now())
        if self._dice.roll() < 0.1:
            again, _ = await self._ask("post again", name, partial(self._crowd.tweets.CreateTweet, request))
            if again.tweet_id != answer.tweet_id:
                self._truth.breaks("a retry with the same key made another tweet", tweet_id)

    async def delete(self) -> None:
        """Delete an own tweet."""
        own = [tweet for tweet in self._truth.of(self.user_id) if tweet.deleting_at is None]
        if not own:
            return await self.post()
        tweet = own[int(self._dice.roll() * len(own))]
        tweet.deleting_at = self._now()
        request = tweet_pb2.DeleteTweetRequest(tweet_id=str(uuid.UUID(bytes=tweet.tweet_id)))
        await self._ask("delete", tweet.tweet_id, partial(self._crowd.tweets.DeleteTweet, request))
        tweet.deleted_at = self._now()
        return None

    async def follow(self) -> None:
        """Follow somebody."""
        await self._tie(True)

    async def unfollow(self) -> None:
        """Follow somebody no longer."""
        await self._tie(False)

    async def read_page(self) -> None:
        """The newest page of the own home."""
        limit = 1 + int(self._dice.roll() * 12)
        before = excuses()
        answer, ids, began_at = await self._home(limit, None)
        if before == excuses():
            self._truth.see_authors(self.user_id, ids, began_at, "home", mutes=True)
        self._truth.see_home(self.user_id, ids, began_at, answer.has_more)

    async def read_home(self) -> None:
        """The whole own home, in pages of changing size."""
        shown: list[bytes] = []
        first_at, max_id, before = self._now(), None, excuses()
        for _ in range(200):
            answer, ids, began_at = await self._home(2 + int(self._dice.roll() * 40), max_id)
            first_at = began_at if max_id is None else first_at
            shown += ids
            max_id = answer.next_max_id or None
            if max_id is None:
                break
        if before == excuses():
            self._truth.see_authors(self.user_id, shown, first_at, "home", mutes=True)
        self._truth.see_home(self.user_id, shown, first_at, False)

    async def read_profile(self) -> None:
        """The own profile."""
        request = view_pb2.GetUserRequest(user_id=str(uuid.UUID(bytes=self.user_id)))
        answer, began_at = await self._ask("read profile", "", partial(self._crowd.views.GetUser, request))
        user = answer.user
        self._crowd.history.note(
            self.name, "has", user.followers_count, user.following_count, user.tweets_count, *answer.degraded
        )
        if not answer.degraded:
            self._crowd.tally.see_profile(self.user_id, user, began_at)

    async def like(self) -> None:
        """Like one of the newest tweets."""
        some = [tweet for tweet in self._truth.tweets.values() if tweet.deleting_at is None][-_NEWEST:]
        if not some:
            return await self.post()
        return await self._set_like(some[int(self._dice.roll() * len(some))].tweet_id, True)

    async def unlike(self) -> None:
        """Like a tweet no longer."""
        liked = self._crowd.tally.liked_by(self.user_id)
        if not liked:
            return await self.like()
        return await self._set_like(liked[int(self._dice.roll() * len(liked))], False)

    async def change_mind(self) -> None:
        """Like a tweet and not, at the same time; then decide."""
        some = [tweet.tweet_id for tweet in self._truth.tweets.values() if tweet.deleting_at is None][-_NEWEST:]
        if not some:
            return await self.post()
        tweet_id = some[int(self._dice.roll() * len(some))]
        await asyncio.gather(self._set_like(tweet_id, True), self._set_like(tweet_id, False))
        return await self._set_like(tweet_id, self._dice.roll() < 0.5)

    async def read_author(self, whom: "Person | None" = None) -> None:
        """Somebody's tweets, in pages."""
        author = whom or self._somebody()
        shown: list[bytes] = []
        first_at, max_id, limit, before = self._now(), None, 3 + int(self._dice.roll() * 20), excuses()
        for _ in range(200):
            request = view_pb2.GetUserTimelineRequest(
                user_id=str(uuid.UUID(bytes=author.user_id)), limit=limit, max_id=max_id
            )
            answer, began_at = await self._ask(
                "read author", author.user_id, partial(self._crowd.views.GetUserTimeline, request)
            )
            self._counted(answer, answer.tweets)
            first_at = began_at if max_id is None else first_at
            shown += _ids(answer)
            max_id = answer.next_max_id or None
            if max_id is None:
                break
        self._crowd.history.note(self.name, "sees of", author.user_id, shown)
        if before == excuses():
            self._truth.see_authors(self.user_id, shown, first_at, "author timeline", mutes=False)
            self._truth.see_author(self.user_id, author.user_id, shown, first_at)

    async def read_tweet(self) -> None:
        """One tweet by its id."""
        every = list(self._truth.tweets.values())
        if not every:
            return await self.read_page()
        tweet = every[int(self._dice.roll() * len(every))]
        request = view_pb2.GetTweetRequest(tweet_id=str(uuid.UUID(bytes=tweet.tweet_id)))
        began_at, before = self._now(), excuses()
        try:
            answer, began_at = await self._ask(
                "read tweet", tweet.tweet_id, partial(self._crowd.views.GetTweet, request)
            )
            self._counted(answer, [answer.tweet])
        except Refused as refused:
            if refused.reason != "TWEET_NOT_FOUND":
                raise
            found = False
        else:
            found = True
        if before == excuses():
            self._truth.see_authors(self.user_id, [tweet.tweet_id] * found, began_at, "tweet", mutes=False)
            self._truth.see_tweet(self.user_id, tweet, found, began_at)
        return None

    async def read_following(self) -> None:
        """The own list of followees, in pages."""
        shown: list[bytes] = []
        cursor, first_at, before = None, self._now(), excuses()
        while True:
            request = view_pb2.ListFollowingRequest(
                user_id=str(uuid.UUID(bytes=self.user_id)), limit=1 + int(self._dice.roll() * 5), cursor=cursor
            )
            answer, _ = await self._ask("read following", "", partial(self._crowd.views.ListFollowing, request))
            shown += [uuid.UUID(each.user_id).bytes for each in answer.following]
            cursor = answer.next_cursor or None
            if cursor is None:
                break
        if before == excuses():
            self._truth.see_following(self.user_id, shown, first_at)

    async def _tie(self, following: bool) -> None:
        whom = self._somebody()
        if whom is self:
            return await self.read_page()
        self._truth.ties[self.user_id, whom.user_id] = tie = Tie(following, self._now())
        text = str(uuid.UUID(bytes=whom.user_id))
        if following:
            follow = graph_pb2.FollowRequest(followee_id=text)
            try:
                await self._ask("follow", whom.user_id, partial(self._crowd.graph.Follow, follow))
            except Refused as refused:
                if not self._truth.stands.explain(refused.reason, self.user_id, whom.user_id, tie.began_at):
                    raise
                tie.following = False
        else:
            unfollow = graph_pb2.UnfollowRequest(followee_id=text)
            await self._ask("unfollow", whom.user_id, partial(self._crowd.graph.Unfollow, unfollow))
        self._truth.tied(tie, self.user_id, whom.user_id, self._now())
        return None

    async def take_a_stand(self) -> None:
        """Block or mute somebody, or no longer: sooner or later all is well again."""
        whom = self._somebody()
        if whom is self:
            return await self.read_page()
        blocks = self._dice.roll() < 0.6
        kept = self._truth.stands.blocks if blocks else self._truth.stands.mutes
        before, graph = kept.get((self.user_id, whom.user_id)), self._crowd.graph
        stands = not (before is not None and before.stands)
        kept[self.user_id, whom.user_id] = stand = Stand(stands, self._now())
        rpcs: Any = (
            (("block", graph.Block, graph_pb2.BlockRequest), ("unblock", graph.Unblock, graph_pb2.UnblockRequest)),
            (("mute", graph.Mute, graph_pb2.MuteRequest), ("unmute", graph.Unmute, graph_pb2.UnmuteRequest)),
        )
        what, rpc, request = rpcs[not blocks][not stands]
        await self._ask(what, whom.user_id, partial(rpc, request(user_id=str(uuid.UUID(bytes=whom.user_id)))))
        stand.done_at = self._now()
        if blocks and stands:
            self._truth.parted(self.user_id, whom.user_id, stand.done_at)
        if self._dice.roll() < 0.5:
            await pause(VISIBLE_FOR_S * 1.1)
            await self.read_author(whom)
        return None

    async def _set_like(self, tweet_id: bytes, liked: bool) -> None:
        wish = self._crowd.tally.wants(self.user_id, tweet_id, liked)
        text, stub, began_at = str(uuid.UUID(bytes=tweet_id)), self._crowd.engagement, self._now()
        try:
            if liked:
                await self._ask("like", tweet_id, partial(stub.Like, engage_pb2.LikeRequest(tweet_id=text)))
            else:
                await self._ask("unlike", tweet_id, partial(stub.Unlike, engage_pb2.UnlikeRequest(tweet_id=text)))
        except Refused as refused:
            tweet = self._truth.tweets[tweet_id]
            blocked = self._truth.stands.explain(refused.reason, self.user_id, tweet.author, began_at)
            if not blocked and (refused.reason != "TWEET_NOT_FOUND" or tweet.deleting_at is None):
                raise
            wish.certain = False
        else:
            wish.done_at = self._now()

    def _counted(self, answer: Any, tweets: Iterable[Any]) -> None:
        if not answer.degraded:
            self._crowd.tally.see(self.user_id, tweets, self._now())

    async def _home(self, limit: int, max_id: str | None) -> tuple[Any, list[bytes], float]:
        request = view_pb2.GetHomeTimelineRequest(limit=limit, max_id=max_id)
        answer, began_at = await self._ask("read home", "", partial(self._crowd.views.GetHomeTimeline, request))
        self._counted(answer, answer.tweets)
        self._crowd.history.note(self.name, "sees at home", ids := _ids(answer), "…" if answer.has_more else "")
        return answer, ids, began_at

    async def _ask(self, what: str, about: Any, call: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
        """The answer, after as many tries as it takes, and when the try began that was answered. Raises Refused."""
        note = self._crowd.history.note
        while True:
            began_at = self._now()
            note(self.name, what, about)
            try:
                with acting(Caller(self.user_id, _SESSION, ALL_SCOPES)):
                    answer = await call()
            except aio.AioRpcError as error:
                failure = from_rpc(error)
                note(self.name, f"{what}: {failure.reason}", about)
                if error.code() not in _AGAIN:
                    raise Refused(failure.reason) from error
                if not what.startswith("read"):
                    self._crowd.tally.unsure(self.user_id, self._now())
                await pause(self._dice.between(*_AGAIN_AFTER_S))
            else:
                note(self.name, f"{what}: done", about)
                return answer, began_at

    def _somebody(self) -> "Person":
        return self._crowd.people[int(self._dice.roll() * len(self._crowd.people))]

    def _now(self) -> float:
        return self._crowd.loop.time()


def _ids(answer: Any) -> list[bytes]:
    # Much cheaper than a UUID for each, and there are a thousand in a run.
    return [bytes.fromhex(tweet.tweet_id.replace("-", "")) for tweet in answer.tweets]
