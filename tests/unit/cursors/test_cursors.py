"""Cursors open only for the list and the viewer they were given to (P34)."""

import pytest

from cursors import LIFETIME_MS, Cursors, parse_keys
from runtime.config import Secret
from runtime.errors import InvalidCursor

ROUTE, VIEWER, LIST, KEY = "aviary.graph.v1.GraphService.ListFollowersByTime", b"v" * 16, b"l" * 16, b"position"


class SetClock:
    def __init__(self) -> None:
        self.ms = 1_000_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000


def cursors(clock: SetClock | None = None, keys: str = "1:" + "ab" * 32) -> Cursors:
    return Cursors(parse_keys(keys), clock or SetClock())


def test_a_cursor_opens_where_it_was_sealed() -> None:
    assert cursors().open(cursors().seal(ROUTE, VIEWER, LIST, KEY), ROUTE, VIEWER, LIST) == KEY


@pytest.mark.parametrize(
    "place", [("other", VIEWER, LIST), (ROUTE, b"w" * 16, LIST), (ROUTE, b"", LIST), (ROUTE, VIEWER, b"m" * 16)]
)
def test_a_foreign_cursor_is_refused(place: tuple[str, bytes, bytes]) -> None:
    """P34: another route, viewer or list."""
    with pytest.raises(InvalidCursor):
        cursors().open(cursors().seal(ROUTE, VIEWER, LIST, KEY), *place)


def test_a_cursor_with_any_character_changed_is_refused() -> None:
    """P34: tampering."""
    text = cursors().seal(ROUTE, VIEWER, LIST, KEY)
    for i, char in enumerate(text[:-1]):
        changed = text[:i] + ("A" if char != "A" else "B") + text[i + 1 :]
        with pytest.raises(InvalidCursor):
            cursors().open(changed, ROUTE, VIEWER, LIST)


@pytest.mark.parametrize(
    "nonsense", ["", "x", "####", "é", "A" * 500, "../../etc", "00000000-0000-7000-8000-000000000000"]
)
def test_nonsense_is_refused_naming_the_field(nonsense: str) -> None:
    with pytest.raises(InvalidCursor) as raised:
        cursors().open(nonsense, ROUTE, VIEWER, LIST)
    assert raised.value.fields[0].field == "cursor"


def test_a_cursor_older_than_a_day_is_refused() -> None:
    clock = SetClock()
    text = cursors(clock).seal(ROUTE, VIEWER, LIST, KEY)
    clock.ms += LIFETIME_MS + 1
    with pytest.raises(InvalidCursor):
        cursors(clock).open(text, ROUTE, VIEWER, LIST)


def test_during_rotation_the_old_key_still_opens() -> None:
    old = cursors().seal(ROUTE, VIEWER, LIST, KEY)
    rotated = cursors(keys="2:" + "cd" * 32 + ",1:" + "ab" * 32)
    assert rotated.open(old, ROUTE, VIEWER, LIST) == KEY
    with pytest.raises(InvalidCursor):
        cursors(keys="2:" + "cd" * 32).open(old, ROUTE, VIEWER, LIST)


def test_keys_are_not_printed() -> None:
    assert "ab" * 4 not in repr(Secret(bytes.fromhex("ab" * 32)))
