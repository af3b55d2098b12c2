"""The fixture of svc_graph's unit tests; what it is made of is graph.py."""

import pytest

from tests.unit.svc_graph.graph import Graph, build_graph


@pytest.fixture
async def graph() -> Graph:
    return await build_graph()


@pytest.fixture
async def small_limit() -> Graph:
    """Nobody may follow more than 5 without followers."""
    return await build_graph(follow_limit=5)
