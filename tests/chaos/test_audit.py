"""The audit on a running stack sees that a stored entry is gone."""

import asyncio
import json
import uuid

from cassandra.cluster import Cluster
from redis.asyncio import Redis

from runtime.ids import WEEK_MS, ms_of
from tests.e2e.aviary import Aviary


async def test_an_entry_taken_out_of_a_home_is_named_and_its_return_is_clean(aviary: Aviary) -> None:
    """Promise 2: the audit fails when it is broken."""
    async with aviary.people(2) as (alice, bob):
        # Before the follow: what is posted within ten seconds after one may be in a home and need not.
        tweet, kept = await alice.post("will be lost"), await alice.post("stays")
        await bob.follow(alice)
        await aviary.settle()
        entry, reader = uuid.UUID(tweet), uuid.UUID(bob.user_id)
        place = (reader, ms_of(entry.bytes) // WEEK_MS, entry)
        addresses = aviary.running.addresses
        host, port = addresses["AVIARY_CQL_CONTACT_POINTS"].split(":")
        with Cluster([host], port=int(port), protocol_version=4) as cluster:
            session = cluster.connect(f"{addresses['AVIARY_NAMESPACE']}_timeline")
            session.execute("DELETE FROM home WHERE user_id = %s AND week = %s AND entry_id = %s", place)
            async with Redis.from_url(addresses["AVIARY_REDIS_URL"]) as redis:
                await redis.flushall()
            assert await bob.home() == [kept]
            broken = await asyncio.to_thread(aviary.command, "audit", "--json")
            assert broken.returncode == 1
            expected = {"kind": "missing", "reader": bob.username, "tweet_id": tweet}
            assert json.loads(broken.stdout)["problems"] == [expected]
            put_back = "INSERT INTO home (user_id, week, entry_id, author_id) VALUES (%s, %s, %s, %s)"
            session.execute(put_back, (*place, uuid.UUID(alice.user_id)))
            async with Redis.from_url(addresses["AVIARY_REDIS_URL"]) as redis:
                await redis.flushall()
        clean = await asyncio.to_thread(aviary.command, "audit", "--json")
        assert clean.returncode == 0, clean.stdout
