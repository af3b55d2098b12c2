"""Follow: check, set once, announce once, show to the follower."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence

import grpc
import pytest
from aviary.graph.v1.graph_pb2 import FollowRequest, FollowResponse
from grpc import aio

from readers.recent import GRAPH_VERSION, KEPT_S, OwnFollow
from runtime.errors import from_rpc
from svc_graph.domain import Change, Pair
from svc_graph.events import Announcement
from svc_graph.stances import BLOCK, changed_stance
from svc_graph.telling import follow_change
from tests.unit.svc_graph.graph import Graph, refusal


async def test_a_follow_is_answered_stored_and_announced(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        answer = await graph.stub.Follow(FollowRequest(followee_id=str(bob)))
    assert answer == FollowResponse(follower_id=str(alice), followee_id=str(bob), following=True)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    [event] = graph.published()
    assert edge.following
    assert (event.follower_id, event.followee_id, event.following) == (alice.bytes, bob.bytes, True)
    assert (event.version, event.occurred_at.ToMicroseconds()) == (edge.version, edge.version)
    [mirror] = graph.mirrored()
    assert (mirror.follower_id, mirror.followee_id, mirror.following) == (alice.bytes, bob.bytes, True)
    assert (mirror.version, mirror.occurred_at) == (event.version, event.occurred_at)
    assert mirror.event_id != event.event_id


async def test_the_follower_may_name_oneself_and_nobody_else(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        await graph.stub.Follow(FollowRequest(followee_id=str(bob), follower_id=str(alice)))
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice), follower_id=str(bob))))
    assert (error.status, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_USER_ID")


async def test_following_again_changes_and_announces_nothing(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    before = await graph.store.edges([Pair(alice, bob)])
    await graph.follow(alice, bob)
    assert await graph.store.edges([Pair(alice, bob)]) == before
    assert len(graph.published()) == 1


async def test_a_hundred_parallel_follows_are_one_change(graph: Graph) -> None:
    """P51: within one process the turns of the follower see to it."""
    alice, bob = graph.account(), graph.account()
    await asyncio.gather(*(graph.follow(alice, bob) for _ in range(100)))
    assert len(graph.published()) == 1


async def test_nobody_follows_oneself(graph: Graph) -> None:
    """P51."""
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_FOLLOW_SELF")
    assert graph.published() == []


async def test_an_unknown_account_cannot_be_followed(graph: Graph) -> None:
    stranger = uuid.uuid4()
    with graph.acting(graph.account()):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(stranger))))
    assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "FOLLOWEE_NOT_FOUND")
    assert error.metadata == {} or str(stranger) in error.metadata.values()
    assert graph.published() == []


async def test_an_account_is_asked_for_once_and_remembered_while_signals_come(graph: Graph) -> None:
    alice, carol, bob = graph.account(), graph.account(), graph.account()
    await graph.hear_accounts()
    await graph.follow(alice, bob)
    await graph.follow(carol, bob)
    assert graph.users.calls == 1
    # Silence: who changed meanwhile, nobody here heard.
    graph.now.seconds += 1
    await graph.unfollow(carol, bob)
    await graph.follow(carol, bob)
    assert graph.users.calls == 2


async def test_a_remembered_account_is_asked_for_again_after_a_minute(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.hear_accounts()
    await graph.follow(alice, bob)
    for _ in range(61):
        await graph.hear_accounts()
    await graph.follow(alice, bob)
    assert graph.users.calls == 2


@pytest.mark.parametrize("gone", ["suspended", "deleted"])
async def test_an_account_that_is_suspended_or_deleted_cannot_be_followed_from_then_on(graph: Graph, gone: str) -> None:
    """P20: also one that was known a moment ago."""
    alice, carol, bob = graph.account(), graph.account(), graph.account()
    await graph.hear_accounts()
    await graph.follow(alice, bob)
    getattr(graph.users, gone).add(bob.bytes)
    await graph.hear_accounts(bob)
    with graph.acting(carol):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(bob))))
    assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "FOLLOWEE_NOT_FOUND")
    await graph.unfollow(alice, bob)


async def test_an_answer_that_a_suspension_overtook_is_not_remembered(graph: Graph) -> None:
    """The question was asked before, and answered after the signal of the suspension was heard."""
    alice, carol, bob = graph.account(), graph.account(), graph.account()
    await graph.hear_accounts()

    async def overtaken() -> None:
        graph.users.suspended.add(bob.bytes)
        await graph.hear_accounts(bob)

    graph.users.before_answer = overtaken
    await graph.follow(alice, bob)
    with graph.acting(carol):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(bob))))
    assert error.reason == "FOLLOWEE_NOT_FOUND"


async def test_following_whom_a_block_stands_between_is_refused_either_way(graph: Graph) -> None:
    """P45."""
    alice, bob = graph.account(), graph.account()
    await graph.block(alice, bob)
    for who, whom in ((alice, bob), (bob, alice)):
        with graph.acting(who):
            error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(whom))))
        assert (error.status, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "BLOCKED")
    assert graph.published() == []
    await graph.unblock(alice, bob)
    await graph.follow(bob, alice)
    await graph.follow(alice, bob)


async def test_a_refused_follow_makes_no_cache_doubt(graph: Graph) -> None:
    """Otherwise whoever is blocked could make every process ask for everything anew."""
    alice, bob = graph.account(), graph.account()
    await graph.block(alice, bob)
    told = len(graph.bus.signals)
    for _ in range(3):
        with graph.acting(bob):
            await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice))))
    await graph.deps.signals.goodbye()
    assert graph.bus.signals[-1].sequence == graph.bus.signals[told - 1].sequence


async def test_a_block_that_comes_between_reading_and_writing_a_follow_undoes_it(graph: Graph) -> None:
    """P46: the block ended the follows before this one was written; counts see it come and go."""
    alice, bob = graph.account(), graph.account()
    apply = graph.store.apply

    async def after_a_block(changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        graph.store.apply = apply  # type: ignore[method-assign]
        [before] = await graph.store.stances(BLOCK, alice, [bob])
        await graph.store.set_stance(before, changed_stance(before, True, 0, graph.clock.now_us()), [])
        await apply(changes, announce)

    graph.store.apply = after_a_block  # type: ignore[method-assign]
    with graph.acting(bob):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice))))
    assert error.reason == "BLOCKED"
    [edge] = await graph.store.edges([Pair(bob, alice)])
    assert not edge.following
    assert [event.following for event in graph.published()] == [True, False]
    assert [event.following for event in graph.mirrored()] == [True, False]
    assert sum(own.delta for own in graph.own(bob).follows) == 0


async def test_a_follow_under_a_block_ends_when_it_is_set_again(graph: Graph) -> None:
    """The process that set the block died before it ended the follow."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    [before] = await graph.store.stances(BLOCK, alice, [bob])
    await graph.store.set_stance(before, changed_stance(before, True, 0, graph.clock.now_us()), [])
    with graph.acting(bob):
        assert (await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice))))).reason == "BLOCKED"
    [edge] = await graph.store.edges([Pair(bob, alice)])
    assert not edge.following
    assert [event.following for event in graph.published()] == [True, False]


async def test_every_cache_is_told_of_a_follow(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.follow(alice, bob)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    assert graph.told() == [follow_change(edge)] * 2
    assert follow_change(edge).set


async def test_a_follow_does_not_wait_for_a_broker_that_is_away(graph: Graph) -> None:
    """It hides nothing; the number of the lost signal shows the gap as soon as the broker is back."""
    alice, bob = graph.account(), graph.account()
    graph.bus.down = True
    await graph.follow(alice, bob)
    graph.bus.down = False
    await graph.deps.signals.goodbye()
    assert graph.bus.signals[-1].sequence == 1


async def test_the_limit_is_exact_also_for_follows_at_the_same_moment(small_limit: Graph) -> None:
    """P51: 100 at once, from one account with room for 5."""
    graph = small_limit
    alice, *others = (graph.account() for _ in range(101))

    async def follow(other: uuid.UUID) -> str:
        with graph.acting(alice):
            try:
                await graph.stub.Follow(FollowRequest(followee_id=str(other)))
            except aio.AioRpcError as error:
                return from_rpc(error).reason
        return "followed"

    answers = Counter(await asyncio.gather(*(follow(other) for other in others)))
    assert answers == {"followed": 5, "FOLLOW_LIMIT_REACHED": 95}
    assert len((await graph.store.snapshot(alice)).followee_ids) == 5


async def test_at_the_limit_one_more_may_be_followed_after_an_unfollow_and_the_followed_again_always(
    small_limit: Graph,
) -> None:
    graph = small_limit
    alice, *others = (graph.account() for _ in range(8))
    for other in others[:5]:
        await graph.follow(alice, other)
    await graph.follow(alice, others[0])
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(others[5]))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FOLLOW_LIMIT_REACHED")
    await graph.unfollow(alice, others[0])
    await graph.follow(alice, others[5])
    with graph.acting(alice):
        await refusal(graph.stub.Follow(FollowRequest(followee_id=str(others[6]))))


async def test_beyond_the_limit_one_may_follow_a_tenth_more_than_follow_one(small_limit: Graph) -> None:
    graph = small_limit
    alice, *others = (graph.account() for _ in range(30))
    for fan in others[:10]:
        await graph.follow(fan, alice)
    for other in others[:11]:
        await graph.follow(alice, other)
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(others[11]))))
    assert error.reason == "FOLLOW_LIMIT_REACHED"


async def test_an_account_that_was_unknown_is_asked_for_again(graph: Graph) -> None:
    alice, late = graph.account(), graph.ids.next()
    with graph.acting(alice):
        await refusal(graph.stub.Follow(FollowRequest(followee_id=str(late))))
    graph.users.known.add(late.bytes)
    await graph.follow(alice, late)
    assert graph.users.calls == 2


async def test_while_accounts_cannot_be_asked_only_known_ones_can_be_followed(graph: Graph) -> None:
    alice, carol, known, new = (graph.account() for _ in range(4))
    await graph.follow(carol, known)
    graph.users.down = True
    await graph.follow(alice, known)
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(new))))
    assert error.status is grpc.StatusCode.UNAVAILABLE


async def test_the_change_is_recorded_for_the_followers_own_reads(graph: Graph) -> None:
    """P13, for follows: the version that the next home must be at least as new as, and what the own counts miss until then."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    own = graph.own(alice)
    assert own.graph_version == edge.version
    assert own.follows == [OwnFollow(bob.bytes, 1, *places_of(graph), edge.version)]


async def test_a_retry_of_a_follow_that_was_stored_but_not_answered_is_recorded_too(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    recorded, own = graph.recent.seen.copy(), graph.own(alice)
    graph.recent.seen.clear()
    await graph.follow(alice, bob)
    assert graph.recent.seen == recorded
    graph.recent.seen += recorded
    assert graph.own(alice) == own


async def test_a_retry_of_a_follow_that_was_stored_and_not_published_publishes_it(graph: Graph) -> None:
    """P13: the relay would take its time, and who was answered must see the own count."""
    alice, bob = graph.account(), graph.account()
    graph.bus.down = True
    await graph.follow(alice, bob)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    assert graph.own(alice).follows == [OwnFollow(bob.bytes, 1, 0, 0, edge.version)]
    graph.bus.down = False
    await graph.follow(alice, bob)
    assert graph.own(alice).follows == [OwnFollow(bob.bytes, 1, *places_of(graph), edge.version)]


async def test_what_was_followed_long_ago_is_neither_published_nor_counted_again(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    graph.clock.us += KEPT_S * 1_000_000
    graph.recent.seen.clear()
    graph.bus.down = True
    await graph.follow(alice, bob)
    assert [kind for _, kind, _ in graph.recent.seen] == [GRAPH_VERSION]


async def test_a_clock_that_went_back_still_gives_a_later_version(graph: Graph) -> None:
    """P29: of the pair, and of everything the follower changed."""
    alice, bob, carol = (graph.account() for _ in range(3))
    await graph.follow(alice, bob)
    graph.clock.us -= 60_000_000
    await graph.unfollow(alice, bob)
    await graph.follow(alice, carol)
    versions = [event.version for event in graph.published()]
    assert versions == sorted(set(versions))
    [edge] = await graph.store.edges([Pair(alice, bob)])
    assert not edge.following


def places_of(graph: Graph) -> tuple[int, int]:
    """Where the latest change stands in the log, in the follower's and in the followee's partition."""
    return len(graph.published()) * 2 - 1, len(graph.published()) * 2


@pytest.mark.parametrize("bad", ["", "bob", "00000000-0000-7000-8000-00000000000g"])
async def test_an_id_that_is_none_is_refused_naming_the_field(graph: Graph, bad: str) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=bad)))
    assert error.status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields[0].field == "followee_id"


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(graph: Graph) -> None:
    request = FollowRequest(followee_id=str(graph.account()))
    with graph.acting(None):
        assert (await refusal(graph.stub.Follow(request))).reason == "TOKEN_MISSING"
    with graph.acting(graph.account(), scopes=("read",)):
        assert (await refusal(graph.stub.Follow(request))).reason == "INSUFFICIENT_SCOPE"
