"""Bytes of a request body to parsed JSON, stricter than the parsers alone; which fields it may have is decode.py's part."""

import json
from typing import Any

import orjson

from runtime.errors import FieldProblem, InvalidArgument


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises InvalidArgument for anything malformed.

    orjson refuses NaN, broken UTF-8, lone surrogates and deep nesting, but takes the last of two equal keys without a word; the second
    pass looks for those. Two readers of one body must not see two different requests.
    """
    try:
        value = orjson.loads(body)
        if isinstance(value, dict):
            # Numbers stay texts in this pass: only keys are looked at, and a long number costs quadratic time to convert.
            json.loads(body, object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)
    except orjson.JSONDecodeError as error:
        raise _malformed(f"is not JSON: {error}") from None
    except RecursionError:
        raise _malformed("is nested too deeply") from None
    return value


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidArgument(
            f"{twice[:200]} is given twice", fields=[FieldProblem(twice[:200], "must be given only once")]
        )


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument(f"the body {why}", fields=[FieldProblem("body", why)])
