"""RefreshToken: parallel refreshes share a successor, and an old token that comes back ends the login (P41)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aviary.user.v1.events_pb2 import AccountSignal
from aviary.user.v1.user_pb2 import (
    USER_STATUS_ACTIVE,
    USER_STATUS_SUSPENDED,
    RefreshTokenRequest,
    RefreshTokenResponse,
)

from svc_user.domain.logins import ROTATIONS_A_GRACE, Session
from svc_user.errors import RefreshTokenInvalid
from svc_user.sessions import continue_session, start_session
from svc_user.store_sessions_memory import MemorySessionStore
from tests.unit.svc_user.logins import listed, owner, set_status, states, user_id_of
from tests.unit.svc_user.world import World, failure

MINUTE_MS = 60_000


async def test_a_refresh_answers_with_account_and_new_tokens(world: World) -> None:
    registered = await world.register("alice")
    world.clock.ms += 1000
    answer = await refresh(world, registered.refresh_token)
    assert answer.user == registered.user
    assert (answer.token_type, answer.expires_in) == ("Bearer", 900)
    assert answer.refresh_token != registered.refresh_token
    assert answer.access_token != registered.access_token


async def test_ten_parallel_refreshes_of_one_token_get_the_same_successor(world: World) -> None:
    """P41."""
    first = (await world.register()).refresh_token
    answers = await asyncio.gather(*(refresh(world, first) for _ in range(10)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert await refresh(world, answers[0].refresh_token)


async def test_a_token_works_for_any_time_until_its_successor_is_used(world: World) -> None:
    first = (await world.register()).refresh_token
    second = (await refresh(world, first)).refresh_token
    world.clock.ms += 1000 * MINUTE_MS
    assert (await refresh(world, first)).refresh_token == second


async def test_a_token_works_for_a_minute_after_its_successor_was_used(world: World) -> None:
    first = (await world.register()).refresh_token
    second = (await refresh(world, first)).refresh_token
    third = (await refresh(world, second)).refresh_token
    world.clock.ms += MINUTE_MS - 1
    assert (await refresh(world, first)).refresh_token == second
    assert (await refresh(world, second)).refresh_token == third


async def test_late_reuse_ends_the_login_for_every_token_of_it(world: World) -> None:
    """P41."""
    first = (await world.register()).refresh_token
    second = (await refresh(world, first)).refresh_token
    third = (await refresh(world, second)).refresh_token
    world.clock.ms += MINUTE_MS
    for token in (first, second, third):
        assert (await failure(refresh(world, token))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_refresh_whose_login_ends_meanwhile_is_refused(world: World) -> None:
    token = (await world.register()).refresh_token
    world.change(logins=Meanwhile(world, lambda before: world.logins.end_session(before.session_id)))
    assert (await failure(refresh(world, token))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_refresh_that_another_overtakes_gets_the_same_successor(world: World) -> None:
    """P41."""
    token = (await world.register()).refresh_token

    async def overtake(before: Session) -> None:
        await world.logins.rotate_session(before, replace(before, generation=1, rotated_at_ms=world.clock.ms))

    world.change(logins=Meanwhile(world, overtake))
    answer = await refresh(world, token)
    assert (await refresh(world, token)).refresh_token == answer.refresh_token


async def test_late_reuse_leaves_other_logins_alone(world: World) -> None:
    other = (await world.register("bob")).refresh_token
    await test_late_reuse_ends_the_login_for_every_token_of_it(world)
    assert await refresh(world, other)


async def test_a_changed_token_is_refused_and_ends_nothing(world: World) -> None:
    token = (await world.register()).refresh_token
    for position in range(len(token)):
        changed = token[:position] + ("B" if token[position] == "A" else "A") + token[position + 1 :]
        assert (await failure(refresh(world, changed))).reason == "REFRESH_TOKEN_INVALID"
    assert await refresh(world, token)


@pytest.mark.parametrize("token", ["x", "====", "ünlesbar", "A" * 70, "\0" * 70, "A" * 512])
async def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    assert (await failure(refresh(world, token))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_token_has_one_spelling(world: World) -> None:
    token = (await world.register()).refresh_token
    for spelling in (token + "==", token + "\n", " " + token):
        assert (await failure(refresh(world, spelling))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_token_three_generations_old_works_for_a_minute_after_its_successor_was_used(world: World) -> None:
    """However often its successors were used meanwhile (P41)."""
    tokens = [(await world.register()).refresh_token]
    for _ in range(5):
        world.clock.ms += 10_000
        tokens.append((await refresh(world, tokens[-1])).refresh_token)
    # The successor of the second one was used for the first time 20 s ago.
    world.clock.ms += 40_000 - 1
    assert (await refresh(world, tokens[1])).refresh_token == tokens[2]
    world.clock.ms += 1
    assert (await failure(refresh(world, tokens[1]))).reason == "REFRESH_TOKEN_INVALID"
    assert (await failure(refresh(world, tokens[-1]))).reason == "REFRESH_TOKEN_INVALID"


async def test_a_login_is_refreshed_thirty_times_a_minute_and_no_more(world: World) -> None:
    """Of each the time is kept, so that no old token is judged by less than the rule."""
    token = (await world.register()).refresh_token
    world.clock.ms += MINUTE_MS
    for _ in range(ROTATIONS_A_GRACE):
        token = (await refresh(world, token)).refresh_token
        world.clock.ms += 100
    refused = await failure(refresh(world, token))
    assert (refused.reason, refused.retry_after_s) == ("TOO_MANY_LOGINS", (MINUTE_MS - 100 * ROTATIONS_A_GRACE) / 1000)
    world.clock.ms += int((refused.retry_after_s or 0) * 1000)
    assert await refresh(world, token)


async def test_a_token_of_an_app_is_refused_here_and_its_login_goes_on(world: World) -> None:
    alice = await world.register()
    issued = await start_session(user_id_of(alice), world.deps, password_us=0, client_id="wren", scopes=("read",))
    assert (await failure(refresh(world, issued.refresh_token))).reason == "REFRESH_TOKEN_INVALID"
    presented = world.deps.tokens.open_refresh(issued.refresh_token)
    assert (await continue_session(presented, world.deps, client_id="wren")).scopes == ("read",)
    own = world.deps.tokens.open_refresh(alice.refresh_token)
    with pytest.raises(RefreshTokenInvalid):
        await continue_session(own, world.deps, client_id="wren")
    assert len(await states(world, alice, issued)) == 2


async def test_a_suspended_account_is_refused_and_its_login_goes_on_when_it_is_reinstated(world: World) -> None:
    alice = await world.register()
    await set_status(world, alice, USER_STATUS_SUSPENDED)
    error = await failure(refresh(world, alice.refresh_token))
    assert (error.status.name, error.reason) == ("PERMISSION_DENIED", "ACCOUNT_SUSPENDED")
    await set_status(world, alice, USER_STATUS_ACTIVE)
    assert await refresh(world, alice.refresh_token)


async def test_who_uses_an_old_token_long_after_is_seen(world: World) -> None:
    alice = await world.register()
    await refresh(world, alice.refresh_token)
    world.clock.ms += 1000 * MINUTE_MS
    await world.users.RefreshToken(RefreshTokenRequest(refresh_token=alice.refresh_token, client_address="192.0.2.7"))
    (shown,) = (await listed(world, owner(alice))).sessions
    assert (shown.last_seen_at.ToMilliseconds(), shown.ip) == (world.clock.ms, "192.0.2.7")


async def test_everybody_is_told_when_late_reuse_ends_a_login(world: World) -> None:
    """P41."""
    alice = await world.register()
    second = (await refresh(world, alice.refresh_token)).refresh_token
    await refresh(world, second)
    world.clock.ms += MINUTE_MS
    await failure(refresh(world, alice.refresh_token))
    signals = [signal for signal in world.bus.signals if isinstance(signal, AccountSignal)]
    assert [list(signal.ended_sessions) for signal in signals] == [[owner(alice).session_id]]


class Meanwhile(MemorySessionStore):
    """The same store, in which something happens between the reading of a login and its rotation."""

    def __init__(self, world: World, action: Callable[[Session], Awaitable[object]]) -> None:
        self.__dict__.update(vars(world.logins))
        self._action = action

    async def rotate_session(self, before: Session, after: Session) -> bool:
        await self._action(before)
        return await super().rotate_session(before, after)


async def refresh(world: World, token: str) -> RefreshTokenResponse:
    answer: RefreshTokenResponse = await world.users.RefreshToken(RefreshTokenRequest(refresh_token=token))
    return answer
