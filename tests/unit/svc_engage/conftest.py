"""The fixture of svc_engage's unit tests; what it is made of is engage.py."""

import pytest

from tests.unit.svc_engage.engage import Engage, build_engage


@pytest.fixture
async def engage() -> Engage:
    return await build_engage()
