"""Likes, bookmarks and counts through two edges on real processes: at once for who acts, within the flush for everybody else."""

import json
from typing import Any

from tests.e2e.aviary import Aviary, Person, elsewhere, until_async

COUNTS = ("likes_count", "retweets_count", "replies_count", "quote_tweets_count")


async def shown(person: Person, tweet: str) -> tuple[int, bool, bool]:
    whole = await person.ok("GET", f"/tweets/{tweet}")
    return whole["likes_count"], whole["liked"], whole["bookmarked"]


async def becomes(person: Person, path: str, **wanted: Any) -> None:
    """Wait until an object that somebody reads has these values."""

    async def has() -> bool:
        whole = await person.ok("GET", path)
        return all(whole[name] == value for name, value in wanted.items())

    await until_async(has, f"{path} did not become {wanted}")


async def test_who_likes_sees_it_in_the_next_read_on_every_edge_and_others_soon(aviary: Aviary, other: str) -> None:
    """P53, P52: again and again, without waiting for any flush."""
    async with aviary.people(2) as (alice, bob), elsewhere(alice, other) as alice_there:
        tweet = await bob.post("likeable")
        for round_ in range(3):
            for _ in range(2):
                answer = await alice.ok("POST", f"/tweets/{tweet}/like")
                assert answer == {"tweet_id": tweet, "liked": True, "likes_count": 1}
            for reader in (alice_there, alice):
                assert await shown(reader, tweet) == (1, True, False)
            answer = await alice_there.ok("DELETE", f"/tweets/{tweet}/like")
            assert answer == {"tweet_id": tweet, "liked": False, "likes_count": 0}
            for reader in (alice, alice_there):
                assert await shown(reader, tweet) == (0, False, False)
            if round_ == 0:
                await becomes(bob, f"/tweets/{tweet}", likes_count=0, liked=False)
        await alice.ok("POST", f"/tweets/{tweet}/like")
        await bob.ok("POST", f"/tweets/{tweet}/like")
        async with elsewhere(bob, other) as bob_there:
            for reader in (alice, alice_there, bob, bob_there):
                await becomes(reader, f"/tweets/{tweet}", likes_count=2, liked=True)
        nobody = (await bob.client.get(f"/api/v1/tweets/{tweet}")).json()
        assert (nobody["likes_count"], nobody["liked"]) == (2, False)


async def test_a_count_is_of_everybody_whoever_looks_and_a_list_leaves_out_whom_its_reader_does_not_see(
    aviary: Aviary,
) -> None:
    """P55: both are documented so (views/README.md)."""
    async with aviary.people(3) as (alice, bob, carol):
        tweet = await alice.post("liked by two")
        for liker in (bob, carol):
            await liker.ok("POST", f"/tweets/{tweet}/like")
        await becomes(alice, f"/tweets/{tweet}", likes_count=2)
        await alice.ok("POST", f"/users/{bob.user_id}/block")
        for reader, seen in ((alice, {carol.user_id}), (carol, {bob.user_id, carol.user_id})):
            assert (await shown(reader, tweet))[0] == 2
            page = await reader.ok("GET", f"/tweets/{tweet}/likes")
            assert {user["user_id"] for user in page["users"]} == seen


async def test_counts_and_flags_stand_in_every_list_of_tweets(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        await alice.follow(bob)
        tweet = await bob.post("everywhere")
        await aviary.settle()
        await alice.ok("POST", f"/tweets/{tweet}/like")
        await alice.ok("POST", f"/tweets/{tweet}/bookmark")
        for path in (
            "/timeline/home",
            f"/timeline/user/{bob.user_id}",
            f"/tweets?ids={tweet}",
            f"/users/{alice.user_id}/likes",
            "/bookmarks",
        ):
            (seen,) = (await alice.ok("GET", path))["tweets"]
            assert (seen["tweet_id"], [seen[name] for name in COUNTS]) == (tweet, [1, 0, 0, 0]), path
            assert (seen["liked"], seen["bookmarked"], seen["retweeted"]) == (True, True, False), path


async def test_lists_of_likes_and_bookmarks_page_in_time_order_and_lose_what_is_deleted(aviary: Aviary) -> None:
    """P31, P34, P18"""
    async with aviary.people(3) as (alice, bob, carol):
        tweets = [await bob.post(f"tweet {n}") for n in range(5)]
        order = [tweets[n] for n in (2, 0, 4, 1, 3)]
        for tweet in order:
            await alice.ok("POST", f"/tweets/{tweet}/like")
            await alice.ok("POST", f"/tweets/{tweet}/bookmark")
        await alice.ok("DELETE", f"/tweets/{order[1]}/bookmark")
        await bob.delete(order[3])
        for path, wanted in (
            (f"/users/{alice.user_id}/likes", [order[n] for n in (4, 2, 1, 0)]),
            ("/bookmarks", [order[n] for n in (4, 2, 0)]),
        ):
            for limit in (1, 2, 20):
                assert [t["tweet_id"] for t in await pages(alice, path, "tweets", limit)] == wanted
        for fan in (bob, carol):
            await fan.ok("POST", f"/tweets/{order[0]}/like")
        people = await pages(carol, f"/tweets/{order[0]}/likes", "users", 2)
        assert [p["username"] for p in people] == [carol.username, bob.username, alice.username]
        gone = await carol.request("GET", f"/tweets/{order[3]}/likes")
        assert (gone.status_code, gone.json()["reason"]) == (404, "TWEET_NOT_FOUND")
        again = await alice.request("POST", f"/tweets/{order[3]}/like")
        assert (again.status_code, again.json()["reason"]) == (404, "TWEET_NOT_FOUND")
        assert (await pages(bob, "/bookmarks", "tweets", 20)) == [], "bookmarks are seen by nobody else"
        cursor = (await alice.ok("GET", "/bookmarks?limit=1"))["next_cursor"]
        for person, path in ((bob, "/bookmarks"), (alice, f"/users/{alice.user_id}/likes")):
            foreign = await person.request("GET", path, params={"cursor": cursor})
            assert (foreign.status_code, foreign.json()["reason"]) == (400, "INVALID_CURSOR")


async def pages(person: Person, path: str, items: str, limit: int) -> list[dict[str, Any]]:
    """A whole list, following next_cursor to the end."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = await person.ok("GET", path, params=params)
        found += page[items]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            return found
        params["cursor"] = page["next_cursor"]


async def test_counts_of_an_account_are_right_at_once_for_who_acts_and_soon_for_all(aviary: Aviary, other: str) -> None:
    """P53, P51"""
    async with aviary.people(2) as (alice, bob), elsewhere(alice, other) as alice_there:
        await alice.follow(bob)
        posted = [await alice.post(f"tweet {n}") for n in range(3)]
        await alice.delete(posted[0])
        for reader in (alice, alice_there):
            me = await reader.ok("GET", "/users/me")
            assert (me["followers_count"], me["following_count"], me["tweets_count"]) == (0, 1, 2)
            login = {"login": alice.username, "password": alice.password}
            me = (await reader.ok("POST", "/auth/login", json=login))["user"]
            assert (me["followers_count"], me["following_count"], me["tweets_count"]) == (0, 1, 2)
            assert (await reader.ok("GET", f"/users/{bob.user_id}"))["followers_count"] == 1
        await becomes(bob, "/users/me", followers_count=1, following_count=0, tweets_count=0)
        await becomes(bob, f"/users/by/username/{alice.username}", following_count=1, tweets_count=2)
        await alice_there.unfollow(bob)
        for reader in (alice, alice_there):
            assert (await reader.ok("GET", "/users/me"))["following_count"] == 0
            assert (await reader.ok("GET", f"/users/{bob.user_id}"))["followers_count"] == 0
        await becomes(bob, "/users/me", followers_count=0)


async def test_a_watched_tweet_tells_its_likes_and_its_end_on_another_edge(aviary: Aviary, other: str) -> None:
    """P62"""
    async with aviary.people(2) as (alice, bob), elsewhere(alice, other) as alice_there:
        tweet = await bob.post("on the screen")
        async with alice_there.stream() as stream:
            await stream.socket.send(json.dumps({"type": "watch", "tweet_ids": [tweet]}))
            first = (await stream.next("counts"))["data"]
            assert first == {"tweet_id": tweet, **dict.fromkeys(COUNTS, 0)}
            await bob.ok("POST", f"/tweets/{tweet}/like")
            assert (await stream.next("counts"))["data"] == {**first, "likes_count": 1}
            await bob.ok("DELETE", f"/tweets/{tweet}/like")
            assert (await stream.next("counts"))["data"] == first
            await bob.delete(tweet)
            assert (await stream.next("tweet_deleted"))["data"] == {"tweet_id": tweet}


async def test_without_svc_engage_pages_come_and_say_so_and_afterwards_all_is_right(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        await alice.follow(bob)
        tweet = await bob.post("still there")
        await aviary.settle()
        await alice.ok("POST", f"/tweets/{tweet}/like")
        assert await shown(alice, tweet) == (1, True, False)
        with aviary.hung("svc_engage"):
            for path in ("/timeline/home", f"/tweets/{tweet}", "/users/me", f"/users/{bob.user_id}"):
                answer = await alice.request("GET", path)
                assert (answer.status_code, answer.headers["X-Aviary-Degraded"]) == (200, "engagement"), path
            (seen,) = (await alice.ok("GET", "/timeline/home"))["tweets"]
            assert (seen["tweet_id"], seen["likes_count"], seen["liked"]) == (tweet, 1, False)
            login = {"login": alice.username, "password": alice.password}
            entered = await alice.request("POST", "/auth/login", json=login)
            assert (entered.status_code, entered.headers["X-Aviary-Degraded"]) == (200, "engagement")
            posted = await alice.post("meanwhile")
            assert (await alice.home())[0] == posted
        await becomes(alice, f"/tweets/{tweet}", likes_count=1, liked=True)

        async def whole() -> bool:
            return "X-Aviary-Degraded" not in (await alice.request("GET", "/timeline/home")).headers

        await until_async(whole, "the home stayed degraded")
