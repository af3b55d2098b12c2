"""Versions and follow_ids: what orders the states of a follow."""

import uuid

import pytest

from svc_graph.domain import Edge, Pair, changed_together, version_of

NOW_US = 1_760_000_000_000_000


def a_pair() -> Pair:
    return Pair(uuid.uuid4(), uuid.uuid4())


@pytest.mark.parametrize("following", [True, False])
@pytest.mark.parametrize("ahead", [-5, -1, 0, 1, 2, 60_000_000])
def test_a_change_is_later_than_the_stored_state_whatever_the_clock_says(following: bool, ahead: int) -> None:
    """P29, P51."""
    stored = Edge(a_pair(), not following, NOW_US + ahead)
    [change] = changed_together([stored], following, NOW_US)
    assert change.after.version > stored.version
    assert change.after.version - max(NOW_US, stored.version) <= 2


def test_a_follow_and_an_unfollow_never_have_the_same_version() -> None:
    """P51: else one table would keep the write and another the delete."""
    for now in (NOW_US, NOW_US + 1):
        [follow] = changed_together([Edge(a_pair())], True, now)
        [unfollow] = changed_together([Edge(a_pair())], False, now)
        assert follow.after.version != unfollow.after.version


def test_changes_made_together_share_one_version_later_than_all_of_them() -> None:
    stored = [Edge(a_pair(), False, NOW_US + ahead) for ahead in (0, 7, 3)]
    versions = {change.after.version for change in changed_together(stored, True, NOW_US)}
    assert len(versions) == 1
    assert versions.pop() > NOW_US + 7


def test_follow_ids_sort_by_version_and_give_it_back() -> None:
    pair = a_pair()
    versions = [NOW_US + step for step in (0, 1, 2, 998, 999, 1000, 1001, 123_456_789)]
    ids = [Edge(pair, True, version).follow_id for version in versions]
    assert [version_of(one) for one in ids] == versions
    assert ids == sorted(ids)
    assert {one.version for one in ids} == {7}


def test_follows_of_two_pairs_in_one_microsecond_have_different_ids() -> None:
    assert Edge(a_pair(), True, NOW_US).follow_id != Edge(a_pair(), True, NOW_US).follow_id
