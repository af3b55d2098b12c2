"""One fresh world a test."""

import pytest

from tests.unit.views.world import World


@pytest.fixture
async def world() -> World:
    return World()
