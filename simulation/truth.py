"""What people were promised: whose tweets were accepted, what was deleted, who follows whom; judges what they are shown meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulation.stands import VISIBLE_FOR_S, Stands


@dataclass
class Posted:
    """A tweet that was accepted, and when what happened to it; in virtual seconds."""

    tweet_id: bytes
    author: bytes
    accepted_at: float
    deleting_at: float | None = None
    deleted_at: float | None = None


@dataclass
class Tie:
    """What one person last did about another. `seen_after_s`: how long the follower may not know, whose follow another ended.

    Disputed: a block came and went while it was set, and nobody was told which of them was first.
    """

    following: bool
    began_at: float
    done_at: float | None = None
    seen_after_s: float = 0.0
    disputed: bool = False


@dataclass(frozen=True)
class Broken:
    """A promise that was not kept."""

    promise: str
    about: tuple[bytes, ...] = ()


@dataclass
class Truth:
    """What everybody was told."""

    names: dict[bytes, str] = field(default_factory=dict)
    tweets: dict[bytes, Posted] = field(default_factory=dict)
    ties: dict[tuple[bytes, bytes], Tie] = field(default_factory=dict)
    stands: Stands = field(default_factory=Stands)
    posting: set[bytes] = field(default_factory=set)
    """Authors whose next tweet is not answered yet."""
    unrecorded: set[bytes] = field(default_factory=set)
    """Own writes that their owners may see late: the cache was away when it should have noted them."""
    broken: list[Broken] = field(default_factory=list)

    def breaks(self, promise: str, *about: bytes) -> None:
        """A promise is broken."""
        self.broken.append(Broken(promise, about))

    def of(self, author: bytes) -> list[Posted]:
        """The accepted tweets of an author."""
        return [tweet for tweet in self.tweets.values() if tweet.author == author]

    def followees(self, reader: bytes) -> set[bytes]:
        """Whom a person follows, once nothing is under way."""
        return {whom for (who, whom), tie in self.ties.items() if who == reader and tie.following}

    def tied(self, tie: Tie, follower: bytes, followee: bytes, now: float) -> None:
        """A follow or its end was acknowledged. A block that stands by then has ended the follow, or will."""
        tie.done_at = now
        if tie.following and self.stands.blocked(follower, followee):
            tie.following, tie.seen_after_s = False, VISIBLE_FOR_S
            # One that nobody has acknowledged ends it when that is done: `parted`.
            tie.disputed = self.stands.about_to_block(follower, followee)
        elif tie.following:
            tie.disputed = self.stands.disputed(follower, followee, tie.began_at)

    def parted(self, one: bytes, other: bytes, now: float) -> None:
        """A block was acknowledged: follows ended, both ways."""
        for pair, after_s in (((one, other), 0.0), ((other, one), VISIBLE_FOR_S)):
            tie = self.ties.get(pair)
            if tie is not None and tie.done_at is not None:
                self.ties[pair] = Tie(False, tie.began_at, now, after_s)

    def settle(self, reader: bytes, follows: set[bytes]) -> None:
        """What was disputed is what came of it."""
        for (who, whom), tie in self.ties.items():
            if who == reader and tie.disputed:
                tie.following = whom in follows

    def see_list(self, viewer: bytes, shown: Sequence[bytes], began_at: float, what: str) -> None:
        """Whatever list it is: newest first, each once, nothing that was deleted long enough ago."""
        if list(shown) != sorted(set(shown), reverse=True):
            self.breaks(f"{what}: an item twice, or out of order", viewer, *shown)
        for tweet_id in shown:
            tweet = self.tweets.get(tweet_id)
            if tweet is None or tweet.deleted_at is None:
                continue
            grace_s = 0.0 if tweet.author == viewer and tweet_id not in self.unrecorded else VISIBLE_FOR_S
            if began_at > tweet.deleted_at + grace_s:
                self.breaks(f"{what}: a deleted tweet is shown", viewer, tweet_id)

    def see_authors(self, viewer: bytes, shown: Sequence[bytes], began_at: float, what: str, mutes: bool) -> None:
        """Whatever list it is: nobody behind a block; `mutes`: nor anybody whom the viewer mutes."""
        for author in {tweet.author for tweet_id in shown if (tweet := self.tweets.get(tweet_id))}:
            if self.stands.apart(viewer, author, began_at):
                self.breaks(f"{what}: somebody behind a block is shown", viewer, author)
            if mutes and self.stands.muted(viewer, author, began_at):
                self.breaks(f"{what}: somebody who is muted is shown", viewer, author)

    def see_home(self, reader: bytes, shown: Sequence[bytes], began_at: float, more: bool) -> None:
        """A home as far as it was read; `more` says that it goes on below."""
        self.see_list(reader, shown, began_at, "home")
        low = shown[-1] if more and shown else b""
        for tweet in self.of(reader):
            certain = tweet.accepted_at <= began_at and tweet.deleting_at is None and tweet.tweet_id > low
            if (
                certain
                and tweet.tweet_id not in self.unrecorded
                and tweet.tweet_id not in shown
                and (shown or not more)
            ):
                self.breaks("home: an own tweet is not shown at once", reader, tweet.tweet_id)
        for tweet_id in shown:
            found = self.tweets.get(tweet_id)
            if found is not None and found.author != reader and self._unrelated(reader, found.author, began_at):
                self.breaks("home: a tweet of somebody who is not followed", reader, found.author, tweet_id)

    def see_author(self, viewer: bytes, author: bytes, shown: Sequence[bytes], began_at: float) -> None:
        """A whole author timeline."""
        self.see_list(viewer, shown, began_at, "author timeline")
        whole = not self.stands.may_be_apart(viewer, author, began_at)
        for tweet in self.of(author) if whole else ():
            if tweet.accepted_at <= began_at and tweet.deleting_at is None and tweet.tweet_id not in shown:
                self.breaks("author timeline: an accepted tweet is missing", author, tweet.tweet_id)
        for tweet_id in shown:
            if tweet_id not in self.tweets and author not in self.posting:
                self.breaks("author timeline: a tweet that nobody posted", author, tweet_id)

    def see_tweet(self, viewer: bytes, tweet: Posted, found: bool, began_at: float) -> None:
        """One tweet that was asked for."""
        if found:
            self.see_list(viewer, [tweet.tweet_id], began_at, "tweet")
        elif tweet.deleting_at is None and not self.stands.may_be_apart(viewer, tweet.author, began_at):
            self.breaks("tweet: an accepted tweet is not found", viewer, tweet.tweet_id)

    def see_following(self, reader: bytes, shown: Sequence[bytes], began_at: float) -> None:
        """The reader's own list of followees, read while the reader did nothing else; others may block the reader meanwhile."""
        unclear = {
            whom
            for (who, whom), tie in self.ties.items()
            if who == reader and (tie.disputed or self.stands.disputed(who, whom, began_at - VISIBLE_FOR_S))
        }
        if len(shown) != len(set(shown)) or set(shown) - unclear != self.followees(reader) - unclear:
            self.breaks("following: the own list is not what it was made", reader, *shown)

    def _unrelated(self, reader: bytes, author: bytes, began_at: float) -> bool:
        tie = self.ties.get((reader, author))
        if tie is None:
            return True
        if reader in self.unrecorded:
            return False
        done = tie.done_at is not None and tie.done_at + tie.seen_after_s <= began_at
        return not tie.following and done and not tie.disputed
