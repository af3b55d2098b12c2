"""What a client may say on a stream, read and refused; who acts on it is the listener's matter."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from runtime.errors import FieldProblem, InvalidArgument
from views.ids import parsed_id

WATCHED_AT_MOST = 200
MAX_MESSAGE_BYTES = 16 * 1024
"""Of a message; a `watch` of as many tweets as may be has half of it."""


@dataclass(frozen=True, slots=True)
class Auth:
    """The token: to come in, or to stay."""

    access_token: str


@dataclass(frozen=True, slots=True)
class Pong:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The tweets whose counts are wanted from now on, instead of all earlier ones."""

    tweet_ids: frozenset[bytes]


_KNOWN = 'must be one of {"type":"auth","access_token":…}, {"type":"watch","tweet_ids":[…]} and {"type":"pong"}'


class WatchRefused(InvalidArgument):
    """A `watch` that cannot be understood; `fields` says where. The earlier one stays."""


def read_message(payload: bytes) -> Auth | Pong | Watch:
    """The message of a client. Raises WatchRefused, and InvalidArgument for what is none of the messages."""
    try:
        given = orjson.loads(payload)
    except orjson.JSONDecodeError:
        given = None
    match given:
        case {"type": "auth", "access_token": str(token)} if len(given) == 2:
            return Auth(token)
        case {"type": "pong"}:
            return Pong()
        case {"type": "watch"}:
            return _watch(given)
    raise InvalidArgument("this is no message of a stream", fields=[FieldProblem("type", _KNOWN)])


def _watch(given: Mapping[str, Any]) -> Watch:
    problems = [
        FieldProblem(name[:200], "is not known here; known are: type, tweet_ids")
        for name in given
        if name not in ("type", "tweet_ids")
    ]
    listed = given.get("tweet_ids")
    found: set[bytes] = set()
    if not isinstance(listed, list):
        problems.append(FieldProblem("tweet_ids", "must be a list of ids"))
    elif len(listed) > WATCHED_AT_MOST:
        problems.append(FieldProblem("tweet_ids", f"must not be more than {WATCHED_AT_MOST}"))
    else:
        for index, text in enumerate(listed):
            key = parsed_id(text) if isinstance(text, str) else None
            if key is None:
                problems.append(FieldProblem(f"tweet_ids[{index}]", f"is not an id: {reprlib.repr(text)}"))
                break
            found.add(key)
    if problems:
        raise WatchRefused("; ".join(f"{p.field}: {p.message}" for p in problems), fields=problems)
    return Watch(frozenset(found))
