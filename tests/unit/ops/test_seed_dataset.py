"""The data set is the same on every machine and leaves nothing dangling."""

from collections import Counter

from ops.seed import dataset, sample

DATA = dataset.load(everything=False)


def test_accounts_are_the_authors_and_the_congress_without_the_missing_author() -> None:
    names = [account.username for account in DATA.accounts]
    assert len(names) == len({name.lower() for name in names}) == 517
    assert dataset.NOBODY not in names


def test_every_follow_joins_two_seeded_accounts() -> None:
    names = {account.username.lower() for account in DATA.accounts}
    assert all(a.lower() in names and b.lower() in names and a != b for a, b in DATA.follows)


def test_each_author_outside_the_congress_graph_follows_and_is_followed() -> None:
    congress = {name.lower() for name in dataset.congress_names()}
    outside = [name for name in dataset.authors_of() if name.lower() not in congress]
    following = Counter(a for a, _ in dataset.outside_follows())
    followers = Counter(b for _, b in dataset.outside_follows())
    assert len(outside) == 42
    assert all(following[name] >= 20 and followers[name] >= 20 for name in outside)


def test_the_committed_sample_is_what_the_generator_makes() -> None:
    pairs = sample.sample(sorted(dataset.authors_of()), dataset.congress_names())
    assert (dataset.DATA / "graph-outside-congress.tsv").read_text() == sample.text(pairs)


def test_the_33_newest_tweets_of_each_author_come_oldest_first() -> None:
    times = [tweet.created_at for tweet in DATA.tweets]
    assert times == sorted(times)
    assert max(Counter(tweet.author for tweet in DATA.tweets).values()) == 33
    assert len({tweet.source_id for tweet in DATA.tweets}) == len(DATA.tweets)


def test_everything_is_every_tweet_with_an_author() -> None:
    assert len(dataset.load(everything=True).tweets) == 19_842 - 157


def test_the_demo_follows_40_authors() -> None:
    assert len(set(DATA.demo_follows)) == 40
