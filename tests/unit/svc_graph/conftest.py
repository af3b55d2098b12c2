"""The fixture of svc_graph's unit tests; what it is made of is graph.py."""

import pytest

from tests.unit.svc_graph.graph import Graph, build_graph


@pytest.fixture
async def graph() -> Graph:
    return await build_graph()
