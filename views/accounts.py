"""Finding accounts and how a viewer stands to them; shared by the rpcs about accounts. What is shown of one is in present.py."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from aviary.graph.v1 import graph_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.deps import Deps
from views.engagement import UNKNOWN
from views.errors import UserNotFound
from views.ids import raw_id, text_id
from views.present import counted, follow_view, user_view


async def find_account(user_id: str, deps: Deps) -> user_pb2.User:
    """The account, at most a minute old. Fails with USER_NOT_FOUND."""
    key = raw_id(user_id)
    found = (await deps.authors.get([key])).get(key)
    if found is None:
        raise UserNotFound("no such account", user_id=text_id(key))
    return found.user


async def follow_page(entries: Iterable[graph_pb2.FollowEntry], deps: Deps) -> list[view_pb2.FollowView]:
    """The accounts of a list of follows, in its order; those that do not exist are left out."""
    entries = list(entries)
    users = await deps.authors.get([entry.user_id for entry in entries])
    return [follow_view(users[entry.user_id].user, entry) for entry in entries if entry.user_id in users]


async def relationship(user_id: bytes, caller: Caller, deps: Deps) -> graph_pb2.RelationshipEntry | None:
    """How the caller stands to the account, None for nobody."""
    if not caller.user_id:
        return None
    answer = await deps.graph.GetRelationships(
        graph_pb2.GetRelationshipsRequest(user_id=caller.user_id, other_ids=[user_id])
    )
    return next((e for e in answer.entries if e.user_id == user_id), None)


class Seen(NamedTuple):
    """An account as a viewer sees it. `away`: its counts are not from their owner."""

    user: user_pb2.User
    away: bool


async def view_account(user_id: str, caller: Caller, deps: Deps) -> Seen:
    """The account as the caller sees it. Fails with USER_NOT_FOUND."""
    key = raw_id(user_id)
    async with asyncio.TaskGroup() as group:
        finding = group.create_task(find_account(user_id, deps))
        relating = group.create_task(relationship(key, caller, deps))
        counting = group.create_task(deps.engagement.user(caller.user_id, key))
    counts = counting.result()
    user = counted(user_view(finding.result(), relating.result()), counts.of.get(key, UNKNOWN))
    return Seen(user, counts.away)


async def put_counts(user: user_pb2.User, deps: Deps) -> bool:
    """Give an account of svc_user its counts, as its owner sees them. True when they are not from svc_engage."""
    key = raw_id(user.user_id)
    counts = await deps.engagement.user(key, key)
    counted(user, counts.of.get(key, UNKNOWN))
    return counts.away
