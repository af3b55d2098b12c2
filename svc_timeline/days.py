"""The days in which readers are noted; what follows from them is svc_graph's."""

DAY_MS = 24 * 3600 * 1000


def reader_day(user_id: bytes, now_ms: int) -> int:
    """The day, since 1970, that it is for a reader: everybody's days begin at a time of day of their own, up to a day later than those
    of UTC, so that not everybody is noted at midnight.
    """
    return (now_ms - int.from_bytes(user_id[-4:]) % DAY_MS) // DAY_MS
