"""Who has certainly not read for so long that nothing needs to be delivered: the rule, and how pages carry it; no I/O here."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from runtime.ids import ms_of, uuid7_of

DAY_MS = 24 * 3600 * 1000
_ID = 16
_VERSION_BYTE, _UUID7 = 6, 7


def day_of(ms: int) -> int:
    """The day of a time, since 1970, by UTC."""
    return ms // DAY_MS


def latest_away(today: int, active_days: int) -> int:
    """The latest day that is certainly more than `active_days` ago, whenever on it something happened.

    A reader's days begin up to a day later than those of UTC, so a day that is told may reach into the next but one.
    """
    return today - active_days - 2


def is_away(reader_id: bytes, seen: int | None, since: int | None, latest: int) -> bool:
    """Whether a reader neither registered nor read after the day `latest`.

    `seen` is the last day that is known, `since` that from which on every day is. What is not known is no absence.
    """
    if since is None or since > latest or reader_id[_VERSION_BYTE] >> 4 != _UUID7:
        return False
    return day_of(ms_of(reader_id)) <= latest and (seen is None or seen <= latest)


def registered_by(ids: Sequence[bytes], latest: int) -> int:
    """How many of the ids, ascending, are of accounts that registered on the day or before: ids begin with their time."""
    return bisect_left(ids, uuid7_of((latest + 1) * DAY_MS).bytes)


def bitmap(away: Sequence[bool], count: int) -> bytes:
    """The bits of a page of `count` readers, of whom the first are away or not, and the rest is not. Empty when nobody is away."""
    if True not in away:
        return b""
    size = -(-count // 8)
    bits = "".join(["0" if one else "1" for one in away]).ljust(size * 8, "1")
    return int(bits, 2).to_bytes(size)


def with_present(bits: bytes, follower_ids: bytes, present: Iterable[bytes]) -> bytes:
    """The bits of a page after some readers returned, whether they are on it or not."""
    if not bits:
        return bits
    changed = bytearray(bits)
    places = range(len(follower_ids) // _ID)
    for reader_id in present:
        place = bisect_left(places, reader_id, key=lambda at: follower_ids[at * _ID : at * _ID + _ID])
        if follower_ids[place * _ID : place * _ID + _ID] == reader_id:
            changed[place >> 3] |= 0x80 >> (place & 7)
    return bytes(changed)
