"""GetUserCounts: the counts of accounts, as the mesh asks for them; in which orders they come about is in test_reads.py."""

import uuid

import grpc
import pytest
from aviary.engage.v1 import engage_pb2 as pb

from readers.recent import FOLLOW, OWN_TWEET, OwnFollow, tweet_value
from svc_engage.domain.relations import Count, Kind, Subject
from tests.unit.svc_engage.engage import Engage, refusal


async def counts(engage: Engage, viewer: uuid.UUID | None, *users: uuid.UUID) -> dict[bytes, pb.UserCounts]:
    """What one call says, by user."""
    viewer_id = viewer.bytes if viewer else b""
    answer = await engage.stub.GetUserCounts(
        pb.GetUserCountsRequest(viewer_id=viewer_id, user_ids=[user.bytes for user in users])
    )
    assert len(answer.counts) == len(set(users))
    return {one.user_id: one for one in answer.counts}


async def test_every_account_is_answered_once_with_its_id(engage: Engage) -> None:
    users = [engage.user() for _ in range(400)]
    assert await counts(engage, users[0], *users) == {user.bytes: pb.UserCounts(user_id=user.bytes) for user in users}
    assert await counts(engage, None, users[0], users[0]) == {users[0].bytes: pb.UserCounts(user_id=users[0].bytes)}


async def test_every_count_of_an_account_has_its_own_field(engage: Engage) -> None:
    user = engage.user()
    kinds = (Kind.FOLLOWERS, Kind.FOLLOWING, Kind.TWEETS)
    await engage.store.put_counts({Subject(user.bytes, kind): Count(n + 1, 5) for n, kind in enumerate(kinds)})
    assert (await counts(engage, None, user))[user.bytes] == pb.UserCounts(
        user_id=user.bytes, followers_count=1, following_count=2, tweets_count=3
    )


async def test_what_i_did_a_moment_ago_is_in_my_answer_and_nobody_elses(engage: Engage) -> None:
    """P53."""
    me, other = engage.user(), engage.user()
    await engage.recent.record(me.bytes, FOLLOW, OwnFollow(other.bytes, 1, 10, 20, 5).packed())
    await engage.recent.record(me.bytes, OWN_TWEET, tweet_value(b"t" * 16, 30))
    mine = await counts(engage, me, me, other)
    assert mine[me.bytes] == pb.UserCounts(user_id=me.bytes, following_count=1, tweets_count=1)
    assert mine[other.bytes] == pb.UserCounts(user_id=other.bytes, followers_count=1)
    assert await counts(engage, other, me, other) == {
        user.bytes: pb.UserCounts(user_id=user.bytes) for user in (me, other)
    }


async def test_only_services_ask(engage: Engage) -> None:
    with engage.acting(engage.user()):
        error = await refusal(engage.direct.GetUserCounts(pb.GetUserCountsRequest()))
    assert error.status is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "nonsense",
    [
        pb.GetUserCountsRequest(user_ids=[b"short"]),
        pb.GetUserCountsRequest(viewer_id=b"short"),
        pb.GetUserCountsRequest(user_ids=[b"u" * 16] * 401),
    ],
)
async def test_nonsense_is_refused(engage: Engage, nonsense: pb.GetUserCountsRequest) -> None:
    assert (await refusal(engage.stub.GetUserCounts(nonsense))).status is grpc.StatusCode.INVALID_ARGUMENT
