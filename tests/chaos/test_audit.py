"""The audits on a running stack see that a stored entry is gone, and that a count is not that of its list."""

import asyncio
import json
import uuid

from aviary.engage.v1 import engage_pb2
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


async def test_a_falsified_count_is_named_and_so_is_a_like_lost_from_a_list(aviary: Aviary) -> None:
    """Promise 3: the audit of counts fails when they are broken. What recounts at its leisure takes half a minute to mend them."""
    async with aviary.people(2) as (alice, bob):
        tweet = await alice.post("liked by one")
        await bob.ok("POST", f"/tweets/{tweet}/like")
        await aviary.settle()
        key, likes = uuid.UUID(tweet), engage_pb2.COUNT_KIND_LIKES
        addresses = aviary.running.addresses
        host, port = addresses["AVIARY_CQL_CONTACT_POINTS"].split(":")
        with Cluster([host], port=int(port), protocol_version=4) as cluster:
            session = cluster.connect(f"{addresses['AVIARY_NAMESPACE']}_engage")
            where = "WHERE subject_id = %s AND kind = %s"
            written = session.execute(f"SELECT WRITETIME(count) AS at FROM counts {where}", (key, likes)).one().at
            falsify = f"UPDATE counts USING TIMESTAMP %s SET count = %s {where}"
            session.execute(falsify, (written + 1, 7, key, likes))
            assert await differences(aviary) == [("likes", tweet, None, 7, 1)]
            session.execute(falsify, (written + 2, 1, key, likes))
            [row] = session.execute("SELECT * FROM likers WHERE tweet_id = %s AND bucket = 0", (key,))
            session.execute("DELETE FROM likers WHERE tweet_id = %s AND bucket = 0", (key,))
            assert await differences(aviary) == [("likes", tweet, None, 1, 0), ("liked", bob.user_id, tweet, 0, 0)]
            names, marks = ", ".join(row._fields), ", ".join(["%s"] * len(row))
            session.execute(f"INSERT INTO likers ({names}) VALUES ({marks})", tuple(row))
        assert await differences(aviary) == []


async def test_a_follow_lost_from_a_mirror_is_named_and_so_is_a_row_of_no_follow(aviary: Aviary) -> None:
    """P50: the audit of follows fails when their tables differ."""
    async with aviary.people(3) as (alice, bob, carol):
        await bob.follow(alice)
        await aviary.settle()
        addresses = aviary.running.addresses
        host, port = addresses["AVIARY_CQL_CONTACT_POINTS"].split(":")
        owner, lost, false = (uuid.UUID(person.user_id) for person in (alice, bob, carol))
        with Cluster([host], port=int(port), protocol_version=4) as cluster:
            session = cluster.connect(f"{addresses['AVIARY_NAMESPACE']}_graph")
            where = "WHERE followee_id = %s AND level = 0 AND bucket = 0 AND follower_id = %s"
            [row] = session.execute(f"SELECT follow_id FROM followers {where}", (owner, lost))
            session.execute(f"DELETE FROM followers {where}", (owner, lost))
            insert = (
                "INSERT INTO followers (followee_id, level, bucket, follower_id, follow_id) VALUES (%s, 0, 0, %s, %s)"
            )
            session.execute(insert, (owner, false, row.follow_id))
            broken = await asyncio.to_thread(aviary.command, "audit", "--graph", "--json")
            assert broken.returncode == 1, broken.stderr
            found = {(p["kind"], p["where"], p["owner"], p["member"]) for p in json.loads(broken.stdout)["problems"]}
            assert {
                ("missing", "follower pages", alice.user_id, bob.user_id),
                ("extra", "follower pages", alice.user_id, carol.user_id),
            } <= found
            session.execute(insert, (owner, lost, row.follow_id))
            session.execute(f"DELETE FROM followers {where}", (owner, false))
        clean = await asyncio.to_thread(aviary.command, "audit", "--graph", "--json")
        assert clean.returncode == 0, clean.stdout


async def differences(aviary: Aviary) -> list[tuple[object, ...]]:
    """What the audit of counts finds once Redis has nothing, and that its exit code says so."""
    async with Redis.from_url(aviary.running.addresses["AVIARY_REDIS_URL"]) as redis:
        await redis.flushall()
    done = await asyncio.to_thread(aviary.command, "audit", "--counts", "--json")
    found = json.loads(done.stdout)["differences"]
    assert done.returncode == (1 if found else 0), done.stderr
    return [(d["kind"], d["subject"], d["member"], d["counted"], d["listed"]) for d in found]
