"""ListSessions shows the caller's logins with what is known of them, latest used first, whatever the page size."""

import pytest
from aviary.user.v1.user_pb2 import RefreshTokenRequest, Session

from runtime.context import APP_SCOPES, NOBODY
from svc_user.domain.logins import LOGINS_AN_ACCOUNT
from svc_user.sessions import start_session
from tests.unit.svc_user.logins import listed, log_in, owner, states, user_id_of
from tests.unit.svc_user.world import SERVICE, World, failure


async def test_a_login_is_shown_with_program_address_and_times(world: World) -> None:
    alice = await world.register("alice", client="Wren/1.0", client_address="192.0.2.1")
    began = world.clock.ms
    world.clock.ms += 5000
    await world.users.RefreshToken(
        RefreshTokenRequest(refresh_token=alice.refresh_token, client="Wren/2.0", client_address="192.0.2.2")
    )
    (shown,) = (await listed(world, owner(alice))).sessions
    assert (shown.client, shown.ip, shown.current) == ("Wren/2.0", "192.0.2.2", True)
    assert (shown.created_at.ToMilliseconds(), shown.last_seen_at.ToMilliseconds()) == (began, began + 5000)
    assert not shown.HasField("client_id")


async def test_what_is_not_known_of_a_login_is_absent(world: World) -> None:
    (shown,) = (await listed(world, owner(await world.register("alice")))).sessions
    assert not (shown.HasField("client") or shown.HasField("ip"))


async def test_what_a_program_says_of_itself_is_bounded_and_on_one_line(world: World) -> None:
    alice = await world.register("alice", client="a\r\nb\x00\x1b[31m" + "x" * 5000, client_address="y" * 500)
    (shown,) = (await listed(world, owner(alice))).sessions
    assert (len(shown.client), shown.client[:6], len(shown.ip)) == (200, "ab[31m", 64)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_any_page_size_gives_all_logins_latest_used_first(world: World, limit: int) -> None:
    first = await world.register("alice")
    for number in range(4):
        world.clock.ms += 1000 * (number % 2)
        await log_in(world, client=f"program {number}")
    world.clock.ms += 1000
    await world.users.RefreshToken(RefreshTokenRequest(refresh_token=first.refresh_token))
    shown: list[Session] = []
    cursor = None
    while True:
        page = await listed(world, owner(first), limit=limit, cursor=cursor)
        assert len(page.sessions) <= limit
        shown += page.sessions
        cursor = page.next_cursor if page.has_more else None
        assert page.HasField("next_cursor") == page.has_more
        if cursor is None:
            break
    assert [session.current for session in shown] == [True, False, False, False, False]
    seen = [session.last_seen_at.ToMilliseconds() for session in shown]
    assert seen == sorted(seen, reverse=True)
    assert len({session.session_id for session in shown}) == 5


async def test_logins_of_others_are_not_shown(world: World) -> None:
    alice, bob = await world.register("alice"), await world.register("bob")
    assert [len((await listed(world, owner(who))).sessions) for who in (alice, bob)] == [1, 1]


async def test_a_login_of_an_app_is_shown_with_the_app(world: World) -> None:
    alice = await world.register("alice")
    await start_session(
        user_id_of(alice), world.deps, password_us=0, client="Wren", client_id="wren-1", scopes=("read",)
    )
    shown = [(s.client, s.client_id) for s in (await listed(world, owner(alice))).sessions if not s.current]
    assert shown == [("Wren", "wren-1")]


async def test_a_foreign_or_changed_cursor_is_refused(world: World) -> None:
    alice, bob = await world.register("alice"), await world.register("bob")
    await log_in(world)
    cursor = (await listed(world, owner(alice), limit=1)).next_cursor
    for caller, text in (
        (owner(bob), cursor),
        (owner(alice), cursor[:-2] + "AA"),
        (owner(alice), "x"),
        (owner(alice), ""),
    ):
        assert (await failure(listed(world, caller, cursor=text))).reason == "INVALID_CURSOR"


async def test_who_may_list(world: World) -> None:
    alice = await world.register("alice")
    assert (await failure(listed(world, owner(alice, *APP_SCOPES)))).reason == "INSUFFICIENT_SCOPE"
    for caller in (NOBODY, SERVICE):
        assert (await failure(listed(world, caller))).reason == "TOKEN_MISSING"


async def test_one_login_too_many_ends_the_one_that_was_used_longest_ago(world: World) -> None:
    first = await world.register("alice")
    world.clock.ms += 1
    answers = []
    for _ in range(LOGINS_AN_ACCOUNT - 1):
        answers.append(await start_session(user_id_of(first), world.deps, password_us=0))
        world.clock.ms += 1
    await world.users.RefreshToken(RefreshTokenRequest(refresh_token=first.refresh_token))
    last = await log_in(world)
    assert await states(world, answers[0]) == []
    assert len(await states(world, first, last, *answers[1:])) == LOGINS_AN_ACCOUNT
