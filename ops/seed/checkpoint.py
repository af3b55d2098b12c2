"""How far a seed of this home came, so that the next run need not ask for every tweet again; losing it costs time, nothing else."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.seed.dataset import Dataset

FILE = "seed.json"


@dataclass(frozen=True)
class Reached:
    """Accounts and follows are in, and the first `tweets` of the data set, of which this is the last."""

    tweets: int
    tweet_id: str


@dataclass(frozen=True)
class Checkpoint:
    """The record in a home, good for one namespace, one demo account and one data set."""

    home: Path
    identity: str

    @classmethod
    def of(cls, home: Path, namespace: str, demo_id: bytes, data: Dataset) -> "Checkpoint":
        """The record for what is being seeded now."""
        parts: Sequence[object] = (
            namespace,
            demo_id.hex(),
            data.accounts,
            data.follows,
            data.demo_follows,
            data.tweets,
        )
        return cls(home, hashlib.sha256(repr(parts).encode()).hexdigest())

    def read(self) -> Reached | None:
        """How far an earlier run came; None when none did, or it seeded something else."""
        try:
            record = json.loads((self.home / FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return Reached(record["tweets"], record["tweet_id"]) if record.get("identity") == self.identity else None

    def write(self, reached: Reached) -> None:
        """Remember it. A crash in between leaves the old record."""
        text = json.dumps({"identity": self.identity, "tweets": reached.tweets, "tweet_id": reached.tweet_id})
        fresh = self.home / f"{FILE}.new"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.home / FILE)
