"""Table of contents of GraphService: each rpc and the function that answers it."""

from aviary.graph.v1 import graph_pb2 as pb
from aviary.graph.v1.graph_pb2_grpc import GraphServiceServicer

from runtime.context import current_caller
from svc_graph.deps import Deps
from svc_graph.rpcs.block import block
from svc_graph.rpcs.compare_snapshots import compare_snapshots
from svc_graph.rpcs.follow import follow
from svc_graph.rpcs.get_follow_snapshot import get_follow_snapshot
from svc_graph.rpcs.get_follower_page import get_follower_page
from svc_graph.rpcs.get_follower_shards import get_follower_shards
from svc_graph.rpcs.get_relationships import get_relationships
from svc_graph.rpcs.get_viewer_snapshot import get_viewer_snapshot
from svc_graph.rpcs.import_follows import import_follows
from svc_graph.rpcs.list_blocks_by_time import list_blocks_by_time
from svc_graph.rpcs.list_followers_by_time import list_followers_by_time
from svc_graph.rpcs.list_following_by_time import list_following_by_time
from svc_graph.rpcs.list_known_followers import list_known_followers
from svc_graph.rpcs.list_mutes_by_time import list_mutes_by_time
from svc_graph.rpcs.mute import mute
from svc_graph.rpcs.suggest_accounts import suggest_accounts
from svc_graph.rpcs.unblock import unblock
from svc_graph.rpcs.unfollow import unfollow
from svc_graph.rpcs.unmute import unmute


class GraphServicer(GraphServiceServicer):
    """Serves GraphService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def Follow(self, request: pb.FollowRequest, context: object) -> pb.FollowResponse:
        """See rpcs/follow.py."""
        return await follow(request, current_caller(), self._deps)

    async def Unfollow(self, request: pb.UnfollowRequest, context: object) -> pb.UnfollowResponse:
        """See rpcs/unfollow.py."""
        return await unfollow(request, current_caller(), self._deps)

    async def ListFollowersByTime(
        self, request: pb.ListFollowersByTimeRequest, context: object
    ) -> pb.ListFollowersByTimeResponse:
        """See rpcs/list_followers_by_time.py."""
        return await list_followers_by_time(request, current_caller(), self._deps)

    async def ListFollowingByTime(
        self, request: pb.ListFollowingByTimeRequest, context: object
    ) -> pb.ListFollowingByTimeResponse:
        """See rpcs/list_following_by_time.py."""
        return await list_following_by_time(request, current_caller(), self._deps)

    async def GetFollowSnapshot(
        self, request: pb.GetFollowSnapshotRequest, context: object
    ) -> pb.GetFollowSnapshotResponse:
        """See rpcs/get_follow_snapshot.py."""
        return await get_follow_snapshot(request, current_caller(), self._deps)

    async def Block(self, request: pb.BlockRequest, context: object) -> pb.BlockResponse:
        """See rpcs/block.py."""
        return await block(request, current_caller(), self._deps)

    async def Unblock(self, request: pb.UnblockRequest, context: object) -> pb.UnblockResponse:
        """See rpcs/unblock.py."""
        return await unblock(request, current_caller(), self._deps)

    async def Mute(self, request: pb.MuteRequest, context: object) -> pb.MuteResponse:
        """See rpcs/mute.py."""
        return await mute(request, current_caller(), self._deps)

    async def Unmute(self, request: pb.UnmuteRequest, context: object) -> pb.UnmuteResponse:
        """See rpcs/unmute.py."""
        return await unmute(request, current_caller(), self._deps)

    async def ListBlocksByTime(
        self, request: pb.ListBlocksByTimeRequest, context: object
    ) -> pb.ListBlocksByTimeResponse:
        """See rpcs/list_blocks_by_time.py."""
        return await list_blocks_by_time(request, current_caller(), self._deps)

    async def ListMutesByTime(self, request: pb.ListMutesByTimeRequest, context: object) -> pb.ListMutesByTimeResponse:
        """See rpcs/list_mutes_by_time.py."""
        return await list_mutes_by_time(request, current_caller(), self._deps)

    async def GetViewerSnapshot(
        self, request: pb.GetViewerSnapshotRequest, context: object
    ) -> pb.GetViewerSnapshotResponse:
        """See rpcs/get_viewer_snapshot.py."""
        return await get_viewer_snapshot(request, current_caller(), self._deps)

    async def CompareSnapshots(
        self, request: pb.CompareSnapshotsRequest, context: object
    ) -> pb.CompareSnapshotsResponse:
        """See rpcs/compare_snapshots.py."""
        return await compare_snapshots(request, current_caller(), self._deps)

    async def ListKnownFollowers(
        self, request: pb.ListKnownFollowersRequest, context: object
    ) -> pb.ListKnownFollowersResponse:
        """See rpcs/list_known_followers.py."""
        return await list_known_followers(request, current_caller(), self._deps)

    async def SuggestAccounts(self, request: pb.SuggestAccountsRequest, context: object) -> pb.SuggestAccountsResponse:
        """See rpcs/suggest_accounts.py."""
        return await suggest_accounts(request, current_caller(), self._deps)

    async def GetFollowerShards(
        self, request: pb.GetFollowerShardsRequest, context: object
    ) -> pb.GetFollowerShardsResponse:
        """See rpcs/get_follower_shards.py."""
        return await get_follower_shards(request, current_caller(), self._deps)

    async def GetFollowerPage(self, request: pb.GetFollowerPageRequest, context: object) -> pb.GetFollowerPageResponse:
        """See rpcs/get_follower_page.py."""
        return await get_follower_page(request, current_caller(), self._deps)

    async def GetRelationships(
        self, request: pb.GetRelationshipsRequest, context: object
    ) -> pb.GetRelationshipsResponse:
        """See rpcs/get_relationships.py."""
        return await get_relationships(request, current_caller(), self._deps)

    async def ImportFollows(self, request: pb.ImportFollowsRequest, context: object) -> pb.ImportFollowsResponse:
        """See rpcs/import_follows.py."""
        return await import_follows(request, current_caller(), self._deps)
