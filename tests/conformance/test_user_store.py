"""Each promise of UserStore, on the memory store and on a real server."""

import asyncio
import dataclasses
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio
from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from cql_client import Cql
from outbox import Announcer, CqlOutbox, CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.errors import InvalidCursor
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from svc_user.domain.accounts import User
from svc_user.domain.names import Claim
from svc_user.events import account_changed, user_registered
from svc_user.store import SCHEMA, CqlUserStore, UserStore
from svc_user.store_memory import MemoryUserStore

IDS = Uuid7Ids(SystemClock())


@pytest_asyncio.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="user"), SCHEMA)
    yield cql
    await cql.close()


@pytest.fixture(params=["memory", "cql"])
def outbox(request: pytest.FixtureRequest) -> CqlOutbox | MemoryOutbox:
    if request.param == "memory":
        return MemoryOutbox(MemoryBus(), SystemClock())
    return Outbox(CqlOutboxTable(request.getfixturevalue("cql"), SystemClock()), MemoryBus(), SystemClock(), NO_FAULTS)


@pytest.fixture
def store(request: pytest.FixtureRequest, outbox: CqlOutbox | MemoryOutbox) -> UserStore:
    if isinstance(outbox, MemoryOutbox):
        return MemoryUserStore(outbox.write)
    return CqlUserStore(request.getfixturevalue("cql"), outbox)


def a_key() -> bytes:
    return b"username:" + uuid.uuid4().hex.encode()


def a_user() -> User:
    return User(IDS.next(), "Alice", "Alice Ä", "bio", True, b"sealed")


def cql_store(cql: Cql) -> CqlUserStore:
    clock = SystemClock()
    return CqlUserStore(cql, Outbox(CqlOutboxTable(cql, clock), MemoryBus(), clock, NO_FAULTS))


async def change(store: UserStore, before: User, after: User) -> None:
    await store.update_account(before, after, announce=account_changed(after))


async def insert(store: UserStore, user: User, password_hash: str | None = "hash") -> User:
    await store.insert_account(user, password_hash, announce=user_registered(user))
    return user


async def test_a_free_name_is_claimed_and_a_claimed_one_is_not(store: UserStore) -> None:
    key, first, second = a_key(), Claim(IDS.next(), imported=True), Claim(IDS.next())
    assert await store.claim(key, first) == first
    assert await store.claim(key, second) == first


async def test_claiming_again_what_one_holds_changes_nothing(store: UserStore) -> None:
    key, mine = a_key(), Claim(IDS.next())
    assert [await store.claim(key, mine) for _ in range(3)] == [mine] * 3


async def test_of_twenty_parallel_claims_one_holds_and_all_learn_which(store: UserStore) -> None:
    key = a_key()
    claims = [Claim(IDS.next()) for _ in range(20)]
    answers = await asyncio.gather(*(store.claim(key, claim) for claim in claims))
    assert len(set(answers)) == 1
    assert answers[0] in claims


async def test_a_claim_is_taken_over_if_it_is_still_the_one_given(store: UserStore) -> None:
    key, dead, mine = a_key(), Claim(IDS.next()), Claim(IDS.next(), imported=True)
    await store.claim(key, dead)
    assert await store.take_over(key, dead, mine) == mine
    assert await store.claims([key]) == {key: mine}


async def test_a_claim_that_is_another_by_now_is_not_taken_over(store: UserStore) -> None:
    key, dead, quicker, mine = a_key(), Claim(IDS.next()), Claim(IDS.next()), Claim(IDS.next())
    await store.claim(key, quicker)
    assert await store.take_over(key, dead, mine) == quicker


async def test_a_claim_that_is_gone_by_now_is_claimed_instead_of_taken_over(store: UserStore) -> None:
    key, dead, mine = a_key(), Claim(IDS.next()), Claim(IDS.next())
    assert await store.take_over(key, dead, mine) == mine
    assert await store.claims([key]) == {key: mine}


async def test_of_twenty_parallel_take_overs_one_holds_and_all_learn_which(store: UserStore) -> None:
    key, dead = a_key(), Claim(IDS.next())
    await store.claim(key, dead)
    claims = [Claim(IDS.next()) for _ in range(20)]
    answers = await asyncio.gather(*(store.take_over(key, dead, claim) for claim in claims))
    assert len(set(answers)) == 1
    assert answers[0] in claims


async def test_renames_are_replaced_if_they_are_as_given(store: UserStore) -> None:
    user_id = IDS.next()
    assert await store.renames(user_id) == {}
    assert await store.put_renames(user_id, {}, {b"a": 1})
    assert not await store.put_renames(user_id, {}, {b"b": 2})
    assert await store.renames(user_id) == {b"a": 1}
    assert await store.put_renames(user_id, {b"a": 1}, {b"b": 2, b"a": 1})
    assert not await store.put_renames(user_id, {b"a": 1}, {})
    assert await store.put_renames(user_id, {b"a": 1, b"b": 2}, {})
    assert await store.renames(user_id) == {}
    assert await store.put_renames(user_id, {}, {b"c": 3})
    assert await store.renames(IDS.next()) == {}


async def test_of_twenty_parallel_renames_one_is_put(store: UserStore) -> None:
    user_id = IDS.next()
    puts = await asyncio.gather(*(store.put_renames(user_id, {}, {bytes([n]): n}) for n in range(20)))
    assert sum(puts) == 1


async def test_an_account_tells_when_each_of_its_states_was_written(store: UserStore) -> None:
    user = await insert(store, a_user())
    (first,) = await store.get_users([user.user_id])
    made_us = Claim(user.user_id).written_us
    assert (first.status_us, first.limited_us, first.role_us) == (0, 0, made_us)
    await change(store, first, replace(first, status=user_pb2.USER_STATUS_SUSPENDED, version=made_us + 5))
    await change(store, first, replace(first, bio="another", version=made_us + 7))
    await change(store, first, replace(first, limited=True, role=mesh_pb2.ROLE_ADMIN, version=made_us + 6))
    (last,) = await store.get_users([user.user_id])
    assert (last.status_us, last.limited_us, last.role_us) == (made_us + 5, made_us + 6, made_us + 6)
    assert last in (await store.list_users(b"", 1000)).users or isinstance(store, CqlUserStore)


async def test_a_released_name_is_free_again(store: UserStore) -> None:
    key, first, second = a_key(), Claim(IDS.next()), Claim(IDS.next())
    await store.claim(key, first)
    await store.release(key, first)
    assert await store.claims([key]) == {}
    assert await store.claim(key, second) == second


async def test_a_claim_of_somebody_else_is_not_released(store: UserStore) -> None:
    key, theirs = a_key(), Claim(IDS.next())
    await store.claim(key, theirs)
    await store.release(key, Claim(IDS.next()))
    await store.release(a_key(), theirs)
    assert await store.claims([key]) == {key: theirs}


async def test_claims_are_given_by_name_and_free_names_are_absent(store: UserStore) -> None:
    claims = {a_key(): Claim(IDS.next()) for _ in range(3)}
    for key, claim in claims.items():
        await store.claim(key, claim)
    assert await store.claims([*claims, a_key()]) == claims
    assert await store.claims([]) == {}


async def test_a_claim_keeps_until_when_it_holds_and_the_version_of_its_name(store: UserStore) -> None:
    key, mine = a_key(), Claim(IDS.next(), until_ms=1_800_000_000_000, version=1_790_000_000_000_001)
    assert await store.claim(key, mine) == mine
    assert await store.claims([key]) == {key: mine}
    held = replace(mine, until_ms=1_900_000_000_000)
    assert await store.take_over(key, mine, held) == held
    assert await store.claims([key]) == {key: held}


async def test_a_claim_of_another_version_is_neither_taken_over_nor_released_nor_left_to_expire(
    store: UserStore,
) -> None:
    key, first = a_key(), Claim(IDS.next())
    again = replace(first, version=7)
    await store.claim(key, again)
    assert await store.take_over(key, first, replace(first, version=8)) == again
    await store.release(key, first)
    await store.expire(key, first, 1)
    assert await store.claims([key]) == {key: again}
    await store.release(key, again)
    assert await store.claims([key]) == {}


async def test_a_claim_that_expires_holds_until_then(store: UserStore) -> None:
    key, mine = a_key(), Claim(IDS.next(), until_ms=1)
    await store.claim(key, mine)
    await store.expire(key, mine, 3600)
    assert await store.claims([key]) == {key: mine}
    assert await store.claim(key, Claim(IDS.next())) == mine


async def test_an_expired_claim_leaves_the_name_free_and_a_claim_made_again_does_not_expire(cql: Cql) -> None:
    """CQL alone: in memory no time passes. What is left of an expired row must not stand in the way of a claim."""
    store = cql_store(cql)
    key, mine, other = a_key(), Claim(IDS.next()), Claim(IDS.next())
    await store.claim(key, mine)
    await store.expire(key, mine, 1)
    async with asyncio.timeout(30):
        while await store.claims([key]):  # noqa: ASYNC110 - time passes on the server
            await asyncio.sleep(0.05)
    assert await store.claim(key, other) == other
    await store.expire(key, other, 3600)
    assert await store.take_over(key, other, replace(other, version=5)) == replace(other, version=5)
    ttls = cql.prepare("SELECT TTL(user_id), TTL(version) FROM claims WHERE key = ?")
    assert [tuple(row) for row in await cql.execute(ttls, (key,))] == [(None, None)]


async def test_a_claim_of_before_it_had_a_version_is_claimed_taken_over_and_released_like_others(cql: Cql) -> None:
    """CQL alone: rows that an older process made, with INSERT and fewer columns."""
    store = cql_store(cql)
    insert_claim = cql.prepare("INSERT INTO claims (key, user_id, imported) VALUES (?, ?, ?) IF NOT EXISTS")
    old, other = Claim(IDS.next()), Claim(IDS.next())
    for act in ("taken over", "released", "expired"):
        key = a_key()
        await cql.apply_lwt(insert_claim, (key, old.user_id, False))
        assert await store.claim(key, other) == old
        if act == "taken over":
            assert await store.take_over(key, old, other) == other
        elif act == "released":
            await store.release(key, old)
            assert await store.claim(key, other) == other
        else:
            await store.expire(key, old, 1)
            async with asyncio.timeout(30):
                while await store.claims([key]):  # noqa: ASYNC110 - time passes on the server
                    await asyncio.sleep(0.05)
            assert await store.claim(key, other) == other


async def test_a_change_writes_what_differs_with_its_announcement(store: UserStore, outbox: Announcer) -> None:
    before = await insert(store, a_user())
    written, _ = await outbox.backlog()
    suspended = user_pb2.USER_STATUS_SUSPENDED
    after = replace(before, version=before.changed_us + 1, status=suspended, limited=True, role=mesh_pb2.ROLE_ADMIN)
    await change(store, before, after)
    assert await store.get_users([before.user_id]) == [after]
    assert (await outbox.backlog())[0] == written + 1


async def test_of_several_changes_each_field_keeps_the_latest_in_whatever_order_they_come(store: UserStore) -> None:
    changes: list[Callable[[User], User]] = [
        lambda user: replace(user, version=user.changed_us + 1, display_name="first", bio="first"),
        lambda user: replace(user, version=user.changed_us + 2, bio="second", username="second"),
        lambda user: replace(user, version=user.changed_us + 3, display_name="third", verified=False),
    ]
    for order in itertools.permutations(changes):
        before = await insert(store, a_user())
        for made in order:
            await change(store, before, made(before))
        (user,) = await store.get_users([before.user_id])
        expected = ("second", "third", "second", False, before.changed_us + 3)
        assert (user.username, user.display_name, user.bio, user.verified, user.version) == expected


async def test_an_account_that_is_inserted_again_keeps_its_changes(store: UserStore) -> None:
    before = await insert(store, a_user())
    after = replace(before, version=before.changed_us + 1, bio="another")
    await change(store, before, after)
    await insert(store, before)
    assert await store.get_users([before.user_id]) == [after]


async def test_after_a_fence_a_change_of_that_version_does_not_change_names_but_a_later_one_does(
    store: UserStore,
) -> None:
    before = await insert(store, a_user())
    late = replace(before, version=before.changed_us + 10, username="late", email=b"late")
    await store.fence_names(before, late.version)
    await change(store, before, late)
    (user,) = await store.get_users([before.user_id])
    assert (user.username, user.email) == (before.username, before.email)
    later = replace(before, version=late.version + 2, username="later")
    await change(store, before, later)
    await store.fence_names(before, late.version)
    assert [user.username for user in await store.get_users([before.user_id])] == ["later"]


async def test_an_account_is_read_back_whole(store: UserStore) -> None:
    user = await insert(store, a_user())
    assert await store.get_users([user.user_id]) == [user]


async def test_an_account_without_a_password_is_one(store: UserStore) -> None:
    user = await insert(store, replace(a_user(), email=b"", bio="", verified=False), None)
    assert await store.get_users([user.user_id]) == [user]


async def test_an_account_comes_with_its_announcement(store: UserStore, outbox: Announcer) -> None:
    written, _ = await outbox.backlog()
    await insert(store, a_user())
    assert (await outbox.backlog())[0] == written + 1


async def test_inserting_an_account_again_writes_the_same(store: UserStore) -> None:
    user = a_user()
    for _ in range(3):
        await insert(store, user)
    assert await store.get_users([user.user_id]) == [user]


async def test_unknown_ids_are_absent_and_repeated_ones_come_once(store: UserStore) -> None:
    users = [await insert(store, a_user()) for _ in range(3)]
    asked = [user.user_id for user in users]
    found = await store.get_users([*asked, IDS.next(), *asked])
    assert sorted(user.user_id for user in found) == asked
    assert await store.get_users([]) == []


async def test_a_fenced_account_is_gone_and_stays_gone_however_late_its_batch_comes(store: UserStore) -> None:
    early, late = await insert(store, a_user()), a_user()
    await store.fence(early.user_id)
    await store.fence(late.user_id)
    await insert(store, early)
    await insert(store, late)
    assert await store.get_users([early.user_id, late.user_id]) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_following_the_pages_gives_every_account_once_whatever_their_size(store: UserStore, limit: int) -> None:
    users = {user.user_id: user for user in [await insert(store, a_user()) for _ in range(6)]}
    listed: list[User] = []
    after = b""
    while True:
        page = await store.list_users(after, limit)
        assert len(page.users) <= limit
        listed += page.users
        after = page.next_after
        if not after:
            break
    assert len({user.user_id for user in listed}) == len(listed)
    assert {user.user_id: user for user in listed if user.user_id in users} == users


async def test_a_position_that_no_page_gave_is_refused(store: UserStore) -> None:
    with pytest.raises(InvalidCursor):
        await store.list_users(b"x", 10)
