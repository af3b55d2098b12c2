"""Times as the API writes them: RFC 3339, UTC, exactly milliseconds and Z; what a time means is the contracts' matter."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


@lru_cache(maxsize=8192)
def _second(seconds: int) -> str:
    # isoformat pads years below 1000 with zeros, strftime does not.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def to_text(time: Timestamp) -> str:
    """The time with the part below a millisecond cut off: `2026-01-31T12:00:00.123Z`."""
    return f"{_second(time.seconds)}.{time.nanos // 1_000_000:03d}Z"


def from_text(text: str) -> Timestamp:
    """The time of an RFC 3339 text with any offset, to the nanosecond. Raises ValueError for anything else."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("is not RFC 3339")
    year, month, day, hour, minute, second = (int(number) for number in match.groups()[:6])
    fraction, sign, hours, minutes = match.groups()[6:]
    whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError("has no such offset")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        whole = whole - offset if sign == "+" else whole + offset
    return Timestamp(seconds=int((whole - _EPOCH).total_seconds()), nanos=int((fraction or "0").ljust(9, "0")))
