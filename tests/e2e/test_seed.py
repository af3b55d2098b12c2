"""Seeding brings the data set in once, however often it runs; the audit judges what came in."""

import asyncio
import dataclasses
import json
import uuid
from pathlib import Path

import pytest

from ops.seed import dataset
from ops.seed.checkpoint import FILE, Checkpoint
from ops.seed.importer import import_dataset
from tests.e2e.aviary import Aviary, Person

AUTHORS = 4
EACH = 5


class Silent:
    """No progress is shown."""

    def start(self, what: str, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


def part_of_the_dataset() -> dataset.Dataset:
    """A few authors with some tweets each: the whole takes a minute."""
    whole = dataset.load(everything=False)
    names = whole.demo_follows[:AUTHORS]
    tweets = [t for name in names for t in [t for t in whole.tweets if t.author == name][-EACH:]]
    lower = {name.lower() for name in names}
    return dataclasses.replace(
        whole,
        accounts=[a for a in whole.accounts if a.username in names],
        follows=[(a, b) for a, b in whole.follows if a.lower() in lower and b.lower() in lower],
        tweets=sorted(tweets, key=lambda t: (t.created_at, int(t.source_id))),
        demo_follows=names,
    )


async def imported(aviary: Aviary, data: dataset.Dataset, reader: Person, home: Path) -> None:
    reader_id = uuid.UUID(reader.user_id).bytes
    async with aviary.mesh() as mesh:
        await import_dataset(mesh, data, reader_id, Silent(), Checkpoint.of(home, "e2e", reader_id, data))


@pytest.mark.parametrize("remembered", [True, False])
async def test_seeding_twice_gives_every_tweet_once_in_time_order(
    aviary: Aviary, tmp_path: Path, remembered: bool
) -> None:
    """With the checkpoint of the first run and, as on another machine, without it."""
    data = part_of_the_dataset()
    async with aviary.person() as reader:
        await imported(aviary, data, reader, tmp_path)
        if not remembered:
            (tmp_path / FILE).unlink()
        await imported(aviary, data, reader, tmp_path)
        await aviary.settle()
        ids = await reader.home()
        page = await reader.ok("GET", "/timeline/home", params={"limit": 200})
        assert len(ids) == len(set(ids)) == AUTHORS * EACH
        texts = [tweet["content"] for tweet in page["tweets"]]
        assert [t.split() for t in texts] == [t.text.split() for t in reversed(data.tweets)]


async def test_an_imported_account_is_found_by_name_and_nobody_can_log_in_to_it(aviary: Aviary, tmp_path: Path) -> None:
    data = part_of_the_dataset()
    async with aviary.person() as reader:
        await imported(aviary, data, reader, tmp_path)
        name = data.accounts[0].username
        shown = await reader.ok("GET", f"/users/by/username/{name.lower()}")
        assert (shown["username"], shown["display_name"]) == (name, data.accounts[0].display_name)
        login = await reader.client.post("/api/v1/auth/login", json={"login": name, "password": "an-aviary-to-try"})
        assert login.status_code == 401


async def test_the_audit_of_a_running_stack_is_clean(aviary: Aviary) -> None:
    """Promise 2; that it names what is wrong is tested in tests/unit/ops/test_oracle.py."""
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        tweet = await alice.post("to be judged")
        await aviary.settle()
        clean = await asyncio.to_thread(aviary.command, "audit", "--json")
        assert clean.returncode == 0, clean.stdout
        assert json.loads(clean.stdout)["clean"]
        assert tweet in await bob.home()
