"""Follows, blocks and mutes through the edge: what each answers, what is refused, and what nonsense is told."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.e2e.aviary import API, Aviary

NOBODY = uuid.UUID("0197b3b0-0000-7000-8000-000000000000")


async def test_a_block_ends_follows_both_ways_refuses_new_ones_and_restores_none_when_it_ends(aviary: Aviary) -> None:
    """P45, P46."""
    async with aviary.people(2) as (alice, bob):
        await alice.follow(bob)
        await bob.follow(alice)
        for _ in range(2):
            answer = await alice.ok("POST", f"/users/{bob.user_id}/block")
            assert answer == {"user_id": bob.user_id, "blocking": True}
        for one, other in ((alice, bob), (bob, alice)):
            refused = await one.request("POST", f"/users/{other.user_id}/follow")
            assert (refused.status_code, refused.json()["reason"]) == (403, "BLOCKED")
        stands = await bob.ok("GET", f"/users/{alice.user_id}/relationship")
        assert {name for name, state in stands.items() if state is True} == {"blocked_by"}
        assert [user["user_id"] for user in (await alice.ok("GET", "/users/me/blocks"))["users"]] == [bob.user_id]
        assert (await bob.ok("GET", "/users/me/blocks"))["users"] == []
        for _ in range(2):
            answer = await alice.ok("DELETE", f"/users/{bob.user_id}/block")
            assert answer == {"user_id": bob.user_id, "blocking": False}
        for one, other in ((alice, bob), (bob, alice)):
            stands = await one.ok("GET", f"/users/{other.user_id}/relationship")
            assert not any(state is True for state in stands.values())
        await bob.follow(alice)


async def test_a_mute_for_a_time_is_listed_until_it_is_over(aviary: Aviary) -> None:
    async with aviary.people(3) as (alice, bob, carol):
        answer = await alice.ok("POST", f"/users/{bob.user_id}/mute")
        assert (answer["muting"], answer["muted_until"]) == (True, None)
        answer = await alice.ok("POST", f"/users/{carol.user_id}/mute", json={"duration_s": 1})
        assert answer["muted_until"]

        async def muted() -> list[str]:
            return [user["user_id"] for user in (await alice.ok("GET", "/users/me/mutes"))["users"]]

        async with asyncio.timeout(30):
            while await muted() != [bob.user_id]:
                pass
        assert await alice.ok("DELETE", f"/users/{bob.user_id}/mute") == {"user_id": bob.user_id, "muting": False}
        assert await muted() == []


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "reason"),
    [
        ("POST", "/users/{me}/block", {}, 422, "CANNOT_BLOCK_SELF"),
        ("DELETE", "/users/{me}/block", {}, 422, "CANNOT_BLOCK_SELF"),
        ("POST", "/users/{me}/mute", {}, 422, "CANNOT_MUTE_SELF"),
        ("DELETE", "/users/{me}/mute", {}, 422, "CANNOT_MUTE_SELF"),
        ("DELETE", "/users/{me}/follow", {}, 422, "CANNOT_FOLLOW_SELF"),
        ("POST", f"/users/{NOBODY}/block", {}, 404, "ACCOUNT_NOT_FOUND"),
        ("POST", f"/users/{NOBODY}/mute", {}, 404, "ACCOUNT_NOT_FOUND"),
        ("POST", f"/users/{NOBODY}/follow", {}, 404, "FOLLOWEE_NOT_FOUND"),
        ("POST", "/users/x/block", {}, 400, "INVALID_REQUEST"),
        ("POST", "/users/x/mute", {}, 400, "INVALID_REQUEST"),
        ("POST", "/users/x/follow", {}, 400, "INVALID_REQUEST"),
        ("POST", f"/users/{NOBODY}/mute", {"json": {"duration_s": 0}}, 400, "INVALID_REQUEST"),
        ("POST", f"/users/{NOBODY}/mute", {"json": {"duration_s": -1}}, 400, "INVALID_REQUEST"),
        ("POST", f"/users/{NOBODY}/mute", {"json": {"duration_s": 31_536_001}}, 400, "INVALID_REQUEST"),
        ("POST", f"/users/{NOBODY}/mute", {"json": {"duration_s": "an hour"}}, 400, "INVALID_REQUEST"),
        ("POST", f"/users/{NOBODY}/block", {"json": {"for_ever": True}}, 400, "INVALID_REQUEST"),
        ("POST", f"/users/{NOBODY}/block", {"json": {"user_id": str(NOBODY)}}, 400, "INVALID_REQUEST"),
    ],
)
async def test_nonsense_is_refused_with_its_reason(
    aviary: Aviary, method: str, path: str, options: dict[str, Any], status: int, reason: str
) -> None:
    async with aviary.person() as alice:
        answer = await alice.request(method, path.format(me=alice.user_id), **options)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text


@pytest.mark.parametrize("what", ["follow", "block", "mute"])
async def test_whom_nobody_knows_one_may_cease_to_follow_block_and_mute(aviary: Aviary, what: str) -> None:
    async with aviary.person() as alice:
        answer = await alice.request("DELETE", f"/users/{NOBODY}/{what}")
        assert answer.status_code == 200


@pytest.mark.parametrize("what", ["follow", "block", "mute"])
async def test_nobody_acts_without_a_token(aviary: Aviary, what: str) -> None:
    async with aviary.person() as alice:
        for method in ("POST", "DELETE"):
            answer = await alice.client.request(method, f"{API}/users/{NOBODY}/{what}")
            assert (answer.status_code, answer.json()["reason"]) == (401, "TOKEN_MISSING")
