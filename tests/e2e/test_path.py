"""The path through the edge on real processes: register, follow, post, read, delete, live."""

import asyncio
import itertools
import uuid

import httpx
import pytest

from tests.e2e.aviary import API, Aviary, Person


async def test_a_tweet_reaches_its_author_at_once_and_the_followers_home(aviary: Aviary) -> None:
    """P13: the author's home and timeline hold it immediately after 201."""
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        tweet = await alice.post("hello, world")
        assert (await alice.home())[0] == tweet
        assert (await alice.timeline(alice))[0] == tweet
        await aviary.settle()
        assert await bob.home() == [tweet]


async def test_following_brings_the_50_newest_tweets_of_the_followee_in_time_order(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        tweets = [await alice.post(f"before the follow {i}") for i in range(55)]
        await bob.follow(alice)
        await aviary.settle()
        assert await bob.home() == tweets[::-1][:50]


async def test_unfollowing_hides_at_once_and_refollowing_ten_times_doubles_nothing(aviary: Aviary) -> None:
    """P14."""
    async with aviary.people(2) as (alice, bob):
        tweets = [await alice.post(f"tweet {i}") for i in range(3)]
        for _ in range(10):
            await bob.follow(alice)
            await bob.unfollow(alice)
            assert await bob.home() == []
        await bob.follow(alice)
        await aviary.settle()
        assert await bob.home() == tweets[::-1]


async def test_a_deleted_tweet_is_gone_everywhere_at_once(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        kept, deleted = await alice.post("kept"), await alice.post("deleted")
        await aviary.settle()
        assert await bob.home() == [deleted, kept]
        await alice.delete(deleted)
        assert await alice.home() == [kept]
        assert await alice.timeline(alice) == [kept]
        assert await bob.home() == [kept]
        answer = await bob.request("GET", f"/tweets/{deleted}")
        assert (answer.status_code, answer.json()["reason"]) == (404, "TWEET_NOT_FOUND")


async def test_a_retried_create_of_a_deleted_tweet_stays_deleted(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        key = uuid.uuid4().hex
        tweet = await alice.post("once", key=key)
        await alice.delete(tweet)
        assert await alice.post("once", key=key) == tweet
        assert await alice.timeline(alice) == []
        await aviary.settle()
        assert await alice.home() == []


async def test_twenty_parallel_creates_with_one_key_are_one_tweet(aviary: Aviary) -> None:
    """P37, promise 7."""
    async with aviary.person() as alice:
        key = uuid.uuid4().hex
        tweets = await asyncio.gather(*(alice.post("once", key=key) for _ in range(20)))
        assert len(set(tweets)) == 1
        assert await alice.timeline(alice) == [tweets[0]]
        other = await alice.request("POST", "/tweets", json={"content": "twice"}, headers={"Idempotency-Key": key})
        assert (other.status_code, other.json()["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
async def test_any_page_size_gives_the_same_whole_while_tweets_are_posted(aviary: Aviary, limit: int) -> None:
    """P31, promise 6: pages are disjoint and skip nothing, whatever is inserted meanwhile."""
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        before = [await alice.post(f"before {i}") for i in range(12)]
        await aviary.settle()
        whole: list[str] = []
        params: dict[str, str | int] = {"limit": limit}
        for number in itertools.count():
            page = await bob.ok("GET", "/timeline/home", params=params)
            whole += [tweet["tweet_id"] for tweet in page["tweets"]]
            await alice.post(f"meanwhile {number}")
            if not page["has_more"]:
                break
            params["max_id"] = page["next_max_id"]
        assert whole == before[::-1]


async def test_since_id_gives_only_what_is_newer(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        tweets = [await alice.post(f"tweet {i}") for i in range(5)]
        page = await alice.ok("GET", "/timeline/home", params={"since_id": tweets[1], "max_id": tweets[4]})
        assert [tweet["tweet_id"] for tweet in page["tweets"]] == [tweets[3], tweets[2]]


async def test_a_page_of_which_everything_is_hidden_goes_on(aviary: Aviary) -> None:
    """P32: an empty page is only given at the true end."""
    async with aviary.people(3) as (alice, bob, carol):
        await bob.follow(alice)
        await bob.follow(carol)
        kept = await carol.post("old but wanted")
        for i in range(30):
            await alice.post(f"soon hidden {i}")
        await aviary.settle()
        await bob.unfollow(alice)
        page = await bob.ok("GET", "/timeline/home", params={"limit": 5})
        assert [tweet["tweet_id"] for tweet in page["tweets"]] == [kept]
        assert page["has_more"] is False


async def test_a_post_is_on_a_followers_and_the_authors_own_socket(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        async with bob.stream() as his, alice.stream() as hers:
            tweet = await alice.post("live")
            for stream in (his, hers):
                message = await stream.next("tweet")
                assert message["data"]["tweet_id"] == tweet
                assert message["data"]["user"]["username"] == alice.username
                assert message["id"]
            await alice.delete(tweet)
            assert (await his.next("tweet_deleted"))["data"]["tweet_id"] == tweet


async def test_a_socket_gets_nothing_of_people_whom_its_reader_does_not_follow(aviary: Aviary) -> None:
    """P48: the stream shows what REST would show."""
    async with aviary.people(3) as (alice, bob, carol):
        await bob.follow(alice)
        await bob.follow(carol)
        async with bob.stream() as stream:
            await bob.unfollow(alice)
            await alice.post("not for bob")
            expected = await carol.post("for bob")
            assert (await stream.next("tweet"))["data"]["tweet_id"] == expected


async def test_followers_and_following_are_listed_latest_first_by_cursor(aviary: Aviary) -> None:
    async with aviary.people(4) as (alice, *others):
        for other in others:
            await other.follow(alice)
        names: list[str] = []
        params: dict[str, str | int] = {"limit": 2}
        while True:
            page = await alice.ok("GET", f"/users/{alice.user_id}/followers", params=params)
            names += [user["username"] for user in page["followers"]]
            if not page["has_more"]:
                break
            params["cursor"] = page["next_cursor"]
        assert names == [other.username for other in reversed(others)]
        following = await others[0].ok("GET", f"/users/{others[0].user_id}/following")
        assert [user["username"] for user in following["following"]] == [alice.username]


async def test_a_lookup_of_some_bad_ids_gives_the_rest_and_names_the_bad(aviary: Aviary) -> None:
    """P36."""
    async with aviary.person() as alice:
        good = [await alice.post(f"good {i}") for i in range(3)]
        unknown = str(uuid.uuid4())
        page = await alice.ok(
            "GET", "/tweets", params={"ids": ",".join([good[0], "nonsense", good[1], unknown, good[2]])}
        )
        assert [tweet["tweet_id"] for tweet in page["tweets"]] == good
        assert {error["tweet_id"] for error in page["errors"]} == {"nonsense", unknown}


async def test_login_and_refresh_give_tokens_that_work(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        for body, path in (
            ({"login": alice.username.upper(), "password": alice.password}, "/auth/login"),
            ({"refresh_token": alice.refresh_token}, "/auth/refresh"),
        ):
            answer = await alice.client.post(API + path, json=body)
            assert answer.status_code == 200
            alice.token = answer.json()["access_token"]
            me = await alice.ok("GET", "/users/me")
            assert (me["username"], me["email"]) == (alice.username, f"{alice.username}@aviary.example")


async def test_who_logs_out_cannot_refresh_any_more_and_other_logins_go_on(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        body = {"login": alice.username, "password": alice.password}
        phone = (await alice.client.post(f"{API}/auth/login", json=body)).json()
        answer = await alice.request("POST", "/auth/logout")
        assert (answer.status_code, answer.content) == (204, b"")
        assert await refreshed(alice, alice.refresh_token) == (401, "REFRESH_TOKEN_INVALID")
        alice.token = phone["access_token"]
        for _ in range(2):
            # Of the login that is over, through the one that goes on: ending it again changes nothing.
            answer = await alice.request("POST", "/auth/logout", json={"refresh_token": alice.refresh_token})
            assert answer.status_code == 204
        await alice.ok("GET", "/users/me")
        answer = await alice.request("POST", "/auth/logout", json={"refresh_token": phone["refresh_token"]})
        assert answer.status_code == 204
        assert await refreshed(alice, phone["refresh_token"]) == (401, "REFRESH_TOKEN_INVALID")


async def test_nobody_logs_somebody_else_out(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        answer = await bob.request("POST", "/auth/logout", json={"refresh_token": alice.refresh_token})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "refresh_token")
        assert await refreshed(alice, alice.refresh_token) == (200, None)


async def refreshed(person: Person, token: str) -> tuple[int, str | None]:
    """Status and reason of a refresh."""
    answer = await person.client.post(f"{API}/auth/refresh", json={"refresh_token": token})
    return answer.status_code, answer.json().get("reason")


async def test_the_documentation_and_the_contract_are_served(aviary: Aviary) -> None:
    async with httpx.AsyncClient(base_url=aviary.url) as client:
        document = (await client.get("/openapi.json")).json()
        assert f"{API}/timeline/home" in document["paths"]
        page = await client.get("/docs", follow_redirects=True)
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        assert (await client.get("/healthz")).status_code == 200
        assert "aviary_mesh_rpcs_total" in (await client.get("/metrics")).text
