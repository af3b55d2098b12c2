"""What is seeded: accounts, follows and tweets read from data/; how they get in is importer.py's matter."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent.parent / "data"
NOBODY = "NA"  # the source's mark for a missing author
NEWEST = 33
DEMO_FOLLOWS = 40


@dataclass(frozen=True)
class Account:
    """An account to import."""

    username: str
    display_name: str
    bio: str
    verified: bool


@dataclass(frozen=True)
class SourceTweet:
    """A tweet to import, under the id that its source gave it."""

    source_id: str
    author: str
    text: str
    created_at: str


@dataclass(frozen=True)
class Dataset:
    """Everything to import, in the order in which it goes in."""

    accounts: list[Account]
    follows: list[tuple[str, str]]
    tweets: list[SourceTweet]
    demo_follows: list[str]


def load(everything: bool, folder: Path = DATA) -> Dataset:
    """The data set: the 33 newest tweets of each author, or all of them, oldest first."""
    rows = [row for row in _json_lines(folder / "tweets.jsonl.gz") if row["user"] != NOBODY]
    authors = authors_of(folder)
    congress = congress_names(folder)
    known = {name.lower() for name in authors}
    accounts = list(authors.values())
    accounts += [Account(name, name, "", False) for name in congress if name.lower() not in known]
    follows = congress_follows(folder, congress) + outside_follows(folder)
    return Dataset(accounts, follows, tweets_of(rows, everything), sorted(authors)[:DEMO_FOLLOWS])


def authors_of(folder: Path = DATA) -> dict[str, Account]:
    """The authors of tweets, by username."""
    rows = [row for row in _json_lines(folder / "users.jsonl.gz") if row["screen_name"] != NOBODY]
    return {row["screen_name"]: _account(row) for row in rows}


def congress_names(folder: Path = DATA) -> list[str]:
    """Usernames of the congress graph, by number."""
    lines = (folder / "graph-congress-twitter.users.tsv").read_text().splitlines()
    return [line.split("\t")[1] for line in lines]


def congress_follows(folder: Path, names: list[str]) -> list[tuple[str, str]]:
    """Who follows whom in the congress graph, as usernames."""
    with gzip.open(folder / "graph-congress-twitter.tsv.gz", "rt") as lines:
        pairs = [line.split("\t") for line in lines]
    return [(names[int(a)], names[int(b)]) for a, b in pairs if int(a) != int(b)]


def outside_follows(folder: Path = DATA) -> list[tuple[str, str]]:
    """Who follows whom among the authors outside the congress graph and the others, as usernames; see sample.py."""
    lines = (folder / "graph-outside-congress.tsv").read_text().splitlines()
    return [(a, b) for a, _, b in (line.partition("\t") for line in lines)]


def tweets_of(rows: list[dict[str, Any]], everything: bool) -> list[SourceTweet]:
    """The newest tweets of each author, merged oldest first; equal times go by source id, so that every run has one order."""
    by_author: dict[str, list[SourceTweet]] = defaultdict(list)
    for row in rows:
        by_author[row["user"]].append(SourceTweet(row["id"], row["user"], row["text"], row["created_at"]))
    chosen = []
    for tweets in by_author.values():
        tweets.sort(key=_age)
        chosen += tweets if everything else tweets[-NEWEST:]
    return sorted(chosen, key=_age)


def _age(tweet: SourceTweet) -> tuple[str, int]:
    return tweet.created_at, int(tweet.source_id)


def _account(row: dict[str, Any]) -> Account:
    bio = (row.get("description") or "").strip()
    return Account(row["screen_name"], row["display_name"], bio, bool(row.get("verified")))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
