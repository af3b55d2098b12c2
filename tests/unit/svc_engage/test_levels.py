"""Over how many partitions rows lie: every member has one at each level, and no two levels share one."""

from svc_engage.domain.levels import SHARDS, Levels, last_shard, shard_of
from svc_engage.domain.marks import list_years, year_begins, year_of, year_of_ms


def test_the_level_rises_with_the_count() -> None:
    levels = Levels((10, 100))
    assert [levels.of(count) for count in (0, 9, 10, 99, 100, 10**9)] == [0, 0, 1, 1, 2, 2]


def test_every_partition_belongs_to_one_level_and_is_used() -> None:
    members = [number.to_bytes(16) for number in range(60_000)]
    for level, number in enumerate(SHARDS):
        used = {shard_of(level, member) for member in members}
        assert len(used) == number
        assert min(used) == (last_shard(level - 1) + 1 if level else 0)
        assert max(used) == last_shard(level)


def test_years_are_those_of_utc_whatever_an_id_holds() -> None:
    """A mark lies in the year of the tweet's id, which a client may have made up."""
    first = 1_767_225_600_000
    assert [year_of_ms(first - 1), year_of_ms(first)] == [2025, 2026]
    assert year_of(year_begins(2026)) == 2026
    assert [year_of(bytes(16)), year_of(b"\xff" * 16)] == [1970, 9999]


def test_a_list_reaches_from_this_year_to_the_one_before_the_account_was_made() -> None:
    """Clocks differ at both ends; an id that was made up makes no list longer."""
    now_ms = 1_767_225_600_000 - 30_000
    assert list(list_years(year_begins(2024), None, now_ms)) == [2026, 2025, 2024, 2023]
    assert list(list_years(b"\xff" * 16, None, now_ms)) == [2026, 2025]
