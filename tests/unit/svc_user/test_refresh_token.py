"""RefreshToken: parallel refreshes share a successor, and an old token that comes back ends the login (P41)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aviary.user.v1.user_pb2 import RefreshTokenRequest, RefreshTokenResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svc_user.domain.logins import Session
from svc_user.store_sessions_memory import MemorySessionStore
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


steps = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0, 1, MINUTE_MS // 2, MINUTE_MS - 1, MINUTE_MS])), max_size=12
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
async def test_whatever_order_tokens_come_back_in_the_sentence_of_the_rule_holds(
    world: World, steps: list[tuple[int, int]]
) -> None:
    """A token works until its successor was used, and a minute longer (P41)."""
    world.clock.ms += 1
    name = f"u{world.clock.ms % 10**12}"[:15]
    tokens = [(await world.register(name)).refresh_token]
    first_used: dict[int, int] = {}
    ended = False
    for back, wait in steps:
        world.clock.ms += wait
        index = max(0, len(tokens) - 1 - back)
        replaced = first_used.get(index + 1)
        works = replaced is None or world.clock.ms < replaced + MINUTE_MS
        if ended or not works:
            ended = True
            assert (await failure(refresh(world, tokens[index]))).reason == "REFRESH_TOKEN_INVALID"
            continue
        first_used.setdefault(index, world.clock.ms)
        successor = (await refresh(world, tokens[index])).refresh_token
        tokens[index + 1 :] = tokens[index + 1 :] or [successor]
        assert successor == tokens[index + 1]


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
