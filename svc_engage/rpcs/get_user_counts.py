"""GetUserCounts: counts of accounts."""

from aviary.engage.v1.engage_pb2 import GetUserCountsRequest, GetUserCountsResponse, UserCounts

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.relations import NOTHING, Kind, Subject


async def get_user_counts(request: GetUserCountsRequest, _: Caller, deps: Deps) -> GetUserCountsResponse:
    """Counts, one for each account that was asked for."""
    wanted = dict.fromkeys(request.user_ids)
    kinds = (Kind.FOLLOWERS, Kind.FOLLOWING, Kind.TWEETS)
    counts = await deps.store.counts([Subject(user_id, kind) for user_id in wanted for kind in kinds])

    def counts_of(user_id: bytes) -> UserCounts:
        followers, following, tweets = (counts.get(Subject(user_id, kind), NOTHING).count for kind in kinds)
        return UserCounts(user_id=user_id, followers_count=followers, following_count=following, tweets_count=tweets)

    return GetUserCountsResponse(counts=map(counts_of, wanted))
