"""Finding accounts and how a viewer stands to them; shared by the rpcs about accounts. What is shown of one is in present.py."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from aviary.graph.v1 import graph_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from accounts import Account
from relations.snapshot import EVERYTHING, Sight
from runtime.context import Caller
from views.deps import Deps
from views.engagement import UNKNOWN
from views.errors import UserNotFound
from views.ids import raw_id, text_id
from views.present import counted, follow_view, user_short, user_view
from views.recent import Recent, with_own_writes
from views.rules import shown_people


async def find_account(user_id: str, deps: Deps, fresh: bool = False) -> Account:
    """The account; `fresh`: as it is at this call. Fails with USER_NOT_FOUND."""
    key = raw_id(user_id)
    return _existing(key, await deps.authors.get([key], (key,) if fresh else ()))


async def is_shown(user_id: str, caller: Caller, deps: Deps) -> bool:
    """Whether what the account said and likes is shown to the caller: it is not suspended, and no block stands between, as far as it is
    known here. Of what the caller did lately elsewhere the first stretch of the list tells.

    Fails with USER_NOT_FOUND.
    """
    key = raw_id(user_id)
    if key == caller.user_id:
        return True
    users, sight = await _known_people([key], caller, deps)
    return not _existing(key, users).hidden and key not in sight.apart


def _existing(key: bytes, users: Mapping[bytes, Account]) -> Account:
    account = users.get(key)
    if account is None or account.deleted:
        raise UserNotFound("no such account", user_id=text_id(key))
    return account


class People(NamedTuple):
    """Accounts by id, and how the caller stands to them."""

    users: Mapping[bytes, Account]
    sight: Sight


async def find_people(ids: Collection[bytes], caller: Caller, deps: Deps, recent: Recent | None = None) -> People:
    """The accounts that exist, with what rules look at, all that the caller did so far included; the caller's own as it is at this call.

    `recent`: what the caller did to others lately, if that was asked for already.
    """
    if recent is None:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_known_people(ids, caller, deps))
            remembering = group.create_task(deps.engagement.recent(caller.user_id))
        people, recent = looking.result(), remembering.result()
    else:
        people = await _known_people(ids, caller, deps)
    sight = await with_own_writes(people.sight, recent, caller.user_id, ids, deps.relations)
    return people._replace(sight=sight)


async def _known_people(ids: Collection[bytes], caller: Caller, deps: Deps) -> People:
    own = {caller.user_id}.intersection(ids)
    users, sight = deps.authors.cached(ids, own), deps.relations.sight(caller.user_id, ids)
    if users is None or sight is None:
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(deps.authors.get(ids, own))
            looking = group.create_task(deps.relations.ask_sight(caller.user_id, ids))
        users, sight = loading.result(), looking.result()
    return People(users, sight)


async def follow_page(
    entries: Iterable[graph_pb2.FollowEntry], caller: Caller, deps: Deps, muted: bool = True
) -> list[view_pb2.FollowView]:
    """The accounts of a list of follows that the caller may see, in its order; `muted`: with those whom the caller mutes."""
    since = {entry.user_id: entry for entry in entries}
    users, sight = await find_people(since, caller, deps)
    return [follow_view(a.user, since[raw_id(a.user.user_id)]) for a in shown_people(since, users, sight, muted)]


async def own_list(entries: Iterable[graph_pb2.FollowEntry], deps: Deps) -> list[view_pb2.UserShort]:
    """The accounts of a list that its owner made and alone sees, in its order: blocks hide nobody here, for here they are undone."""
    ids = [entry.user_id for entry in entries]
    return [user_short(a.user) for a in shown_people(ids, await deps.authors.get(ids), EVERYTHING, muted=True)]


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
        finding = group.create_task(find_account(user_id, deps, fresh=key == caller.user_id))
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
