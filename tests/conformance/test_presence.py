"""What the book of connected users promises, held against the one in memory and the one in Redis alike."""

import os
from collections.abc import AsyncIterator

import pytest

from readers.presence import Presence
from redis_client import connect_redis
from runtime.config import MeshConfig
from runtime.ids import SystemClock
from simulation.presence import MemoryPresence

Book = Presence | MemoryPresence


@pytest.fixture(params=["memory", "redis"])
async def book(request: pytest.FixtureRequest, mesh_config: MeshConfig, namespace: str) -> AsyncIterator[Book]:
    """Each kind in turn."""
    if request.param == "memory":
        yield MemoryPresence()
        return
    redis = connect_redis(mesh_config)
    yield Presence(redis, namespace, SystemClock())
    await redis.aclose()


def some_id() -> bytes:
    return os.urandom(16)


async def test_readers_are_found_at_their_edges(book: Book) -> None:
    alice, bob, carol, east, west = (some_id() for _ in range(5))
    for edge in (east, west):
        await book.beat(edge)
    for user, edge in ((alice, east), (bob, east), (bob, west)):
        await book.arrive(user, edge)
    assert await book.edges_of([alice, bob, carol]) == {east: [alice, bob], west: [bob]}
    assert await book.edges_of([]) == {}


async def test_arriving_again_is_being_there_once(book: Book) -> None:
    user, edge = some_id(), some_id()
    await book.beat(edge)
    await book.arrive(user, edge)
    await book.arrive(user, edge)
    assert await book.edges_of([user]) == {edge: [user]}


async def test_who_left_one_edge_is_still_at_the_other(book: Book) -> None:
    user, east, west = (some_id() for _ in range(3))
    for edge in (east, west):
        await book.beat(edge)
        await book.arrive(user, edge)
    await book.leave(user, east)
    assert await book.edges_of([user]) == {west: [user]}
    await book.leave(user, west)
    await book.leave(user, west)
    assert await book.edges_of([user]) == {}


async def test_an_edge_that_does_not_beat_has_no_readers_until_it_beats(book: Book) -> None:
    user, edge = some_id(), some_id()
    await book.arrive(user, edge)
    assert await book.edges_of([user]) == {}
    await book.beat(edge)
    assert await book.edges_of([user]) == {edge: [user]}


async def test_an_edge_learns_that_it_was_not_known_to_live(book: Book) -> None:
    """Then its users arrive anew: the book may have been emptied."""
    edge = some_id()
    assert [await book.beat(edge) for _ in range(3)] == [False, True, True]
