"""GetUserCounts: counts of accounts."""

from aviary.engage.v1.engage_pb2 import GetUserCountsRequest, GetUserCountsResponse, UserCounts

from runtime.context import Caller
from svc_engage.deps import Deps


async def get_user_counts(request: GetUserCountsRequest, _: Caller, deps: Deps) -> GetUserCountsResponse:
    """Counts, one for each account that was asked for, the viewer's own follows and tweets of the last minute included (P53).

    Without the cache those are counted when their events are, within about two seconds. Raises Unavailable when neither cache nor
    store answer.
    """
    user_ids = list(dict.fromkeys(request.user_ids))
    counts = await deps.reads.users(request.viewer_id, user_ids)
    return GetUserCountsResponse(
        counts=[
            UserCounts(user_id=one, followers_count=slots[0], following_count=slots[2], tweets_count=slots[4])
            for one, slots in zip(user_ids, counts, strict=True)
        ]
    )
