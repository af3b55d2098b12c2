"""GetRelationship: how the caller stands to an account."""

import asyncio

from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import find_account, relationship
from views.deps import Deps
from views.ids import raw_id
from views.present import relationship_view


async def get_relationship(
    request: view_pb2.GetRelationshipRequest, caller: Caller, deps: Deps
) -> view_pb2.GetRelationshipResponse:
    """As svc_graph has it now; to oneself nobody stands in any way. Fails with USER_NOT_FOUND."""
    async with asyncio.TaskGroup() as group:
        group.create_task(find_account(request.user_id, deps))
        relating = group.create_task(relationship(raw_id(request.user_id), caller, deps))
    entry = relating.result()
    return view_pb2.GetRelationshipResponse(
        relationship=user_pb2.Relationship() if entry is None else relationship_view(entry)
    )
