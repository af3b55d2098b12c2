"""Blocks, mutes, unfollows and suspensions through two edges on real processes: gone from every list within a second, in silence too."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aviary.user.v1 import user_pb2

from runtime.context import Caller, acting
from tests.e2e.aviary import Aviary, Person, elsewhere, until_async

WITHIN_S = 1.0
"""Promise 4: how long after its answer what hides something may go unseen."""


@dataclass
class Story:
    """Alice follows Bob and Carol; Bob and Carol like each other's tweets and follow each other."""

    alice: Person
    bob: Person
    carol: Person
    tweet: str
    other: str

    async def ids(self, reader: Person, path: str, items: str, key: str) -> set[str]:
        """What a list shows."""
        return {entry[key] for entry in (await reader.ok("GET", path))[items]}

    async def seen(self, reader: Person) -> set[str]:
        """Where the reader sees Bob or Bob's tweet."""
        lists = {"home": ("/timeline/home", "tweets", "tweet_id", self.tweet), **self.named()}
        found = {
            name for name, (path, items, key, one) in lists.items() if one in await self.ids(reader, path, items, key)
        }
        answer = await reader.request("GET", f"/tweets/{self.tweet}")
        if answer.status_code == 200:
            found.add("tweet")
        else:
            assert (answer.status_code, answer.json()["reason"]) == (404, "TWEET_NOT_FOUND")
        assert (await reader.request("GET", f"/users/{self.bob.user_id}")).status_code == 200
        return found

    def named(self) -> dict[str, tuple[str, str, str, str]]:
        """Lists that one asks for by name: path, items, the key of each, and what is in them because of Bob."""
        return {
            "timeline": (f"/timeline/user/{self.bob.user_id}", "tweets", "tweet_id", self.tweet),
            "ids": (f"/tweets?ids={self.tweet}", "tweets", "tweet_id", self.tweet),
            "bookmarks": ("/bookmarks", "tweets", "tweet_id", self.tweet),
            "likes": (f"/users/{self.carol.user_id}/likes", "tweets", "tweet_id", self.tweet),
            "own likes": (f"/users/{self.bob.user_id}/likes", "tweets", "tweet_id", self.other),
            "likers": (f"/tweets/{self.other}/likes", "users", "user_id", self.bob.user_id),
            "followers": (f"/users/{self.carol.user_id}/followers", "followers", "user_id", self.bob.user_id),
            "following": (f"/users/{self.carol.user_id}/following", "following", "user_id", self.bob.user_id),
        }


EVERYWHERE = {
    "home", "timeline", "ids", "bookmarks", "likes", "own likes", "likers", "followers", "following", "tweet",
}  # fmt: skip
Act = Callable[[Aviary, Story], Awaitable[object]]


async def suspend(aviary: Aviary, user_id: str, status: user_pb2.UserStatus = user_pb2.USER_STATUS_SUSPENDED) -> None:
    """As moderation does."""
    async with aviary.mesh() as mesh:
        with acting(Caller()):
            await mesh.users.SetAccountState(
                user_pb2.SetAccountStateRequest(user_id=bytes.fromhex(user_id.replace("-", "")), status=status)
            )


ACTS: dict[str, tuple[Act, set[str]]] = {
    "alice blocks bob": (lambda _, s: s.alice.ok("POST", f"/users/{s.bob.user_id}/block"), set()),
    "bob blocks alice": (lambda _, s: s.bob.ok("POST", f"/users/{s.alice.user_id}/block"), set()),
    "alice mutes bob": (
        lambda _, s: s.alice.ok("POST", f"/users/{s.bob.user_id}/mute"),
        EVERYWHERE - {"home", "likes", "likers"},
    ),
    "alice unfollows bob": (lambda _, s: s.alice.unfollow(s.bob), EVERYWHERE - {"home"}),
    "bob is suspended": (lambda a, s: suspend(a, s.bob.user_id), set()),
}


async def begun(alice: Person, bob: Person, carol: Person) -> Story:
    """All that the story says is done."""
    for one, two in ((alice, bob), (alice, carol), (bob, carol), (carol, bob)):
        await one.follow(two)
    story = Story(alice, bob, carol, await bob.post("by bob"), await carol.post("by carol"))
    await bob.ok("POST", f"/tweets/{story.other}/like")
    await carol.ok("POST", f"/tweets/{story.tweet}/like")
    await alice.ok("POST", f"/tweets/{story.tweet}/bookmark")
    return story


@contextlib.contextmanager
def no_signals(aviary: Aviary, silent: bool) -> Iterator[None]:
    """NATS hangs, or not."""
    with aviary.hung("nats") if silent else contextlib.nullcontext():
        yield


@pytest.mark.parametrize("silent", [False, True], ids=["told", "in silence"])
@pytest.mark.parametrize("what", ACTS)
async def test_who_is_hidden_vanishes_from_every_list_of_every_edge_within_a_second(
    aviary: Aviary, other: str, what: str, silent: bool
) -> None:
    """P14, P15, P20, P44; promise 4."""
    act, left = ACTS[what]
    async with aviary.people(3) as (alice, bob, carol), elsewhere(alice, other) as alice_there:
        story = await begun(alice, bob, carol)
        for reader in (alice, alice_there):

            async def whole(reader: Person = reader) -> bool:
                return await story.seen(reader) == EVERYWHERE

            await until_async(whole, f"not everything is seen: {EVERYWHERE - await story.seen(reader)}")
        with no_signals(aviary, silent):
            await act(aviary, story)
            answered = time.monotonic()
            for reader in (alice_there, alice):

                async def hidden(reader: Person = reader) -> bool:
                    began = time.monotonic()
                    seen = await story.seen(reader)
                    # Whatever a page shows that was asked for later than this must be right.
                    assert began < answered + WITHIN_S or seen == left, f"still seen: {seen ^ left}"
                    return seen == left

                await until_async(hidden, "still seen")
                assert story.other in await story.ids(reader, "/timeline/home", "tweets", "tweet_id")


async def test_who_acts_sees_it_in_the_next_read_of_the_home_on_every_edge(aviary: Aviary, other: str) -> None:
    """P13, P46, P47: without waiting for any signal; what a block ended never comes back."""
    async with aviary.people(2) as (alice, bob), elsewhere(alice, other) as alice_there:
        await alice.follow(bob)
        tweet = await bob.post("by bob")
        await aviary.settle()
        for reader in (alice, alice_there):
            assert await reader.home() == [tweet]
        for verb in ("mute", "block"):
            await alice.ok("POST", f"/users/{bob.user_id}/{verb}")
            for reader in (alice_there, alice):
                assert await reader.home() == []
            await alice.ok("DELETE", f"/users/{bob.user_id}/{verb}")
            expected = [tweet] if verb == "mute" else []
            for reader in (alice_there, alice):
                assert await reader.home() == expected
        await aviary.settle()
        assert await alice.home() == []


async def test_who_blocks_sees_it_in_the_next_read_of_every_list_on_the_other_edge(aviary: Aviary, other: str) -> None:
    """P44, P53: each list is the first that the other edge is asked for after the answer."""
    async with aviary.people(3) as (alice, bob, carol), elsewhere(alice, other) as alice_there:
        story = await begun(alice, bob, carol)
        for name, (path, items, key, one) in story.named().items():
            await alice.ok("POST", f"/users/{bob.user_id}/block")
            assert one not in await story.ids(alice_there, path, items, key), name
            await alice.ok("DELETE", f"/users/{bob.user_id}/block")
            assert one in await story.ids(alice_there, path, items, key), name


async def test_who_is_hidden_while_a_stream_is_open_is_hidden_from_the_next_tweet_on(
    aviary: Aviary, other: str
) -> None:
    """P47: of three whom Alice follows two vanish while she is connected."""
    async with aviary.people(4) as (alice, bob, carol, dave), elsewhere(alice, other) as alice_there:
        for author in (bob, carol, dave):
            await alice.follow(author)
        async with alice.stream() as here, alice_there.stream() as there:
            first = await bob.post("one")
            for stream in (here, there):
                assert (await stream.next("tweet"))["data"]["tweet_id"] == first
            await bob.ok("POST", f"/users/{alice.user_id}/block")
            await alice_there.ok("POST", f"/users/{carol.user_id}/mute")
            await bob.post("two")
            await carol.post("three")
            shown = await dave.post("four")
            for stream in (here, there):
                assert (await stream.next("tweet"))["data"]["tweet_id"] == shown


async def test_who_is_reinstated_is_back_everywhere(aviary: Aviary, other: str) -> None:
    """P20: hidden on read, nothing is purged."""
    async with aviary.people(2) as (alice, bob), elsewhere(alice, other) as alice_there:
        await alice.follow(bob)
        tweet = await bob.post("by bob")
        await aviary.settle()
        await suspend(aviary, bob.user_id)

        async def home_is(wanted: list[str]) -> bool:
            return [await reader.home() for reader in (alice, alice_there)] == [wanted, wanted]

        await until_async(lambda: home_is([]), "a suspended author is shown")
        profile = await alice.ok("GET", f"/users/{bob.user_id}")
        assert (profile["status"], profile["bio"], profile["profile_image_url"]) == ("SUSPENDED", "", None)
        await suspend(aviary, bob.user_id, user_pb2.USER_STATUS_ACTIVE)
        await until_async(lambda: home_is([tweet]), "a reinstated author is not shown")


async def test_a_new_name_shows_at_once_to_its_owner_on_every_edge_and_to_others_within_a_second(
    aviary: Aviary, other: str
) -> None:
    """P53"""
    async with aviary.people(2) as (alice, bob), elsewhere(alice, other) as alice_there:
        await bob.follow(alice)
        await alice.post("mine")
        await aviary.settle()

        async def names(reader: Person) -> set[str]:
            page: dict[str, Any] = await reader.ok("GET", "/timeline/home")
            return {tweet["user"]["display_name"] for tweet in page["tweets"]}

        for reader in (alice, alice_there, bob):
            await names(reader)
        for number in range(3):
            name = f"Alice the {number}th"
            await alice.ok("PATCH", "/users/me", json={"display_name": name})
            for reader in (alice_there, alice):
                assert await names(reader) == {name}
                assert (await reader.ok("GET", f"/users/{alice.user_id}"))["display_name"] == name

            async def known(name: str = name) -> bool:
                return await names(bob) == {name}

            await until_async(known, "the new name is not shown")
