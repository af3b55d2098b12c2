"""What tests of one port share when they stand in several files."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from cql_client import Cql
from runtime.config import MeshConfig
from svc_engage.store_cql import SCHEMA


@pytest.fixture(scope="session")
async def engage_cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    # Not the keyspace of the service: its owners would count what is written here.
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="engage_store"), SCHEMA)
    yield opened
    await opened.close()
