"""One fresh world a test."""

import pytest_asyncio

from tests.unit.svc_tweet.world import World, make_world


@pytest_asyncio.fixture
async def world() -> World:
    return await make_world()
