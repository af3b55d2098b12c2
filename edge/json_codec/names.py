"""Names of enum values as clients see them, without the prefix that proto style asks for; nothing about single enums."""

import re

from google.protobuf.descriptor import EnumDescriptor


def enum_names(enum: EnumDescriptor) -> dict[int, str]:
    """Public names by number: TWEET_TYPE_TWEET of TweetType is TWEET."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
    return {value.number: value.name.removeprefix(prefix) for value in enum.values}


def choices(enum: EnumDescriptor) -> dict[str, int]:
    """Numbers by public name of what a client may send: all but the unspecified value."""
    return {name: number for number, name in enum_names(enum).items() if number != 0}
