"""One fresh world a test."""

from collections.abc import AsyncIterator

import pytest_asyncio
from aviary.user.v1.events_pb2 import AccountChanged, UserRegistered

from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.world import World


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.bus.declare([UserRegistered, AccountChanged])
    yield world


@pytest_asyncio.fixture
async def apps() -> AsyncIterator[AppWorld]:
    apps = AppWorld()
    await apps.bus.declare([UserRegistered, AccountChanged])
    yield apps
