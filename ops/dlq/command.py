"""The `dlq` subcommand: list, show, replay and drop what consumers set aside."""

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import pkgutil
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import aviary
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from ops import running
from ops.dlq.letters import DeadLetters, Letter
from runtime.bus.envelope import base_subject
from runtime.contract import event
from stack.errors import StackError

_TOP_REASONS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|replay|drop")
    listing = actions.add_parser("list", help="per durable: how many, since when, and why; with a durable: each letter")
    listing.add_argument("durable", nargs="?")
    listing.add_argument("--json", action="store_true", help="for programs")
    show = actions.add_parser("show", help="one message, decoded by its contract, and why it was set aside")
    show.add_argument("durable")
    show.add_argument("letter", type=int)
    for name, what in (("replay", "hand messages back to their durable"), ("drop", "remove messages for ever")):
        action = actions.add_parser(name, help=what)
        action.add_argument("durable")
        action.add_argument("letters", type=int, nargs="*", metavar="letter")
        action.add_argument("--all", action="store_true", help="every letter that the durable has now")
        if name == "drop":
            action.add_argument(
                "--yes", action="store_true", help="really: what they would have completed stays broken"
            )


def run(arguments: argparse.Namespace) -> int:
    """Do it; 0, or StackError."""
    if arguments.action in ("replay", "drop") and arguments.all == bool(arguments.letters):
        raise StackError("name the letters by their numbers, or say --all")
    if arguments.action == "drop" and not arguments.yes:
        raise StackError("a dropped message is lost for ever, and what it would have completed stays broken: say --yes")
    asyncio.run(_run(arguments, *_addresses(os.environ)))
    return 0


def _addresses(environment: Mapping[str, str]) -> tuple[list[str], str]:
    """NATS and the namespace: of the environment when it names a server, else of the stack that runs in AVIARY_HOME."""
    if not environment.get("AVIARY_NATS_URL"):
        environment = running.load().environment()
    return environment["AVIARY_NATS_URL"].split(","), environment.get("AVIARY_NAMESPACE") or "aviary"


async def _run(arguments: argparse.Namespace, urls: Sequence[str], namespace: str) -> None:
    async with DeadLetters.opened(urls, namespace) as dead:
        if arguments.action == "list":
            durables = [arguments.durable] if arguments.durable else list(await dead.counts())
            found = {durable: await dead.of(durable) for durable in durables}
            print(as_json(found) if arguments.json else as_text(found, each=arguments.durable is not None))
        elif arguments.action == "show":
            print(as_page(await dead.letter(arguments.durable, arguments.letter)))
        else:
            numbers = [one.sequence for one in await dead.of(arguments.durable)] if arguments.all else arguments.letters
            act = dead.replay if arguments.action == "replay" else dead.drop
            for number in numbers:
                await act(await dead.letter(arguments.durable, number))
            print(f"{len(numbers)} {'replayed' if arguments.action == 'replay' else 'dropped'}")


def as_text(found: Mapping[str, Sequence[Letter]], *, each: bool) -> str:
    """A block for each durable: how many, from when to when, the commonest reasons; with `each` a line for every letter."""
    lines = []
    for durable, letters in found.items():
        span = f"{_when(letters[0])} to {_when(letters[-1])}" if letters else ""
        lines.append(f"{durable}: {len(letters)} dead letters, {span}")
        if each:
            lines += [f"  {letter.sequence:>8}  {_when(letter)}  {letter.subject}  {letter.why}" for letter in letters]
            continue
        reasons = Counter(letter.why for letter in letters).most_common(_TOP_REASONS)
        lines += [f"  {count:>8} x {why}" for why, count in reasons]
    return "\n".join(lines) or "no dead letters"


def as_json(found: Mapping[str, Sequence[Letter]]) -> str:
    """Every letter by durable, for programs."""
    return json.dumps(
        {
            durable: [
                {"letter": one.sequence, "at": _when(one), "subject": one.subject, "why": one.why} for one in all_
            ]
            for durable, all_ in found.items()
        }
    )


def as_page(letter: Letter) -> str:
    """One letter in full."""
    kept = {k: v for k, v in letter.headers.items() if not k.startswith("Nats-Expected")}
    lines = [f"{letter.durable} {letter.sequence}, set aside {_when(letter)}", f"why: {letter.why}"]
    lines += [f"published to: {letter.subject}", f"trace: {letter.headers.get('traceparent', 'none')}"]
    lines += [f"header {name}: {value}" for name, value in sorted(kept.items())]
    return "\n".join([*lines, decoded(letter)])


def decoded(letter: Letter) -> str:
    """The message as JSON, ids as such; bytes in hexadecimal when no contract can read it."""
    contract = contracts().get(letter.subject.rpartition(".")[0])
    if contract is None:
        return f"no contract knows the subject; {len(letter.payload)} bytes: {letter.payload.hex()}"
    try:
        message = contract.FromString(letter.payload)
    except DecodeError:
        return f"it is no {contract.DESCRIPTOR.full_name}; {len(letter.payload)} bytes: {letter.payload.hex()}"
    values: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    for field, value in message.ListFields():
        if isinstance(value, bytes):
            values[field.name] = str(uuid.UUID(bytes=value)) if len(value) == 16 else value.hex()
    return f"{contract.DESCRIPTOR.full_name} {json.dumps(values, indent=2)}"


def contracts() -> dict[str, type[Message]]:
    """Every fact and job of ours by its subject without namespace and partition."""
    found = {}
    for module in pkgutil.walk_packages(aviary.__path__, "aviary."):
        if module.name.endswith(".events_pb2"):
            file = cast(Any, importlib.import_module(module.name)).DESCRIPTOR
            for descriptor in file.message_types_by_name.values():
                message = GetMessageClass(descriptor)
                # Some messages of the file are only parts of others.
                with contextlib.suppress(ValueError):
                    found[base_subject(event(message))] = message
    return found


def _when(letter: Letter) -> str:
    return letter.at.isoformat(timespec="seconds")
