"""How often Redis is asked: the round trips that pipelines take."""

from typing import Any

import pytest
from redis.asyncio.client import Pipeline


def executed_pipelines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of commands of each pipeline that is sent from now on."""
    trips: list[int] = []
    execute = Pipeline.execute

    async def counted(pipe: Pipeline, raise_on_error: bool = True) -> list[Any]:
        trips.append(len(pipe.command_stack))
        return await execute(pipe, raise_on_error)

    monkeypatch.setattr(Pipeline, "execute", counted)
    return trips
