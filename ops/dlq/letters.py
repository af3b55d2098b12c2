"""The dead-letter stream of a running stack: reading, replaying and dropping messages. What they are printed as is command.py.

A replay is published to the subject the message had, under an id of its own (the duplicate window remembers the first one),
and with a header that names the durable which set it aside: every other consumer of a fact has handled it long ago, and
skips it. The letter is removed only when the stream has acknowledged the replay; a crash between the two repeats the replay
under the same id, and handlers bear what comes twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import nats
from nats import errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RawStreamMsg
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from runtime.bus.envelope import DEAD, DURABLE, ONLY_FOR, PLACE, SUBJECT, WHY
from stack.errors import StackError

_PAGE = 500
_CONNECT_S = 5.0
_OURS = (WHY, SUBJECT, DURABLE)


@dataclass(frozen=True)
class Letter:
    """A message that was set aside. `subject` is without the namespace; the payload is empty in listings."""

    sequence: int
    durable: str
    subject: str
    why: str
    at: datetime
    headers: Mapping[str, str]
    payload: bytes


class DeadLetters:
    """The dead letters of one namespace. `opened` makes it."""

    def __init__(self, js: JetStreamContext, namespace: str) -> None:
        self._js = js
        self._namespace = namespace
        self._stream = f"{namespace}_{DEAD}"

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, urls: Sequence[str], namespace: str) -> AsyncIterator["DeadLetters"]:
        """Connect for the length of a block. Raises StackError when no server answers, or stops answering."""
        try:
            # nats-py tries a first connection for two minutes.
            async with asyncio.timeout(_CONNECT_S):
                client = await nats.connect(list(urls), connect_timeout=2, allow_reconnect=False, error_cb=_silent)
        except (errors.Error, OSError, TimeoutError) as error:
            raise StackError(f"no NATS server answers at {', '.join(urls)}") from error
        try:
            yield cls(client.jetstream(timeout=5), namespace)
        except (errors.Error, OSError, TimeoutError) as error:
            raise StackError(f"NATS did not answer as it should: {error or type(error).__name__}") from error
        finally:
            await client.close()

    async def counts(self) -> dict[str, int]:
        """How many letters each durable has; durables without any are not named."""
        try:
            info = await self._js.stream_info(self._stream, subjects_filter=">")
        except NotFoundError:
            return {}
        return {subject.rpartition(".")[2]: count for subject, count in sorted((info.state.subjects or {}).items())}

    async def of(self, durable: str) -> list[Letter]:
        """Every letter of a durable, oldest first, without payloads. Raises StackError when there is none."""
        count = await self._known(durable)
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            filter_subject=self._subject(durable),
            headers_only=True,
            inactive_threshold=30,
            mem_storage=True,
            num_replicas=1,
        )
        name = (await self._js.add_consumer(self._stream, config)).name
        subscription = await self._js.pull_subscribe_bind(name, stream=self._stream)
        letters: list[Letter] = []
        with contextlib.suppress(TimeoutError):
            while len(letters) < count:
                letters += [_listed(msg) for msg in await subscription.fetch(_PAGE, timeout=2)]
        await self._js.delete_consumer(self._stream, name)
        return letters

    async def letter(self, durable: str, sequence: int) -> Letter:
        """One letter with its payload. Raises StackError when the durable has none of that number."""
        await self._known(durable)
        try:
            found = await self._js.get_msg(self._stream, seq=sequence)
        except NotFoundError:
            found = RawStreamMsg()
        if found.subject != self._subject(durable):
            raise StackError(f"{durable} has no dead letter {sequence}: see `aviary dlq list {durable}`")
        headers = found.headers or {}
        at = found.time or datetime.now(UTC)
        return Letter(sequence, durable, headers.get(SUBJECT, ""), headers.get(WHY, ""), at, headers, found.data or b"")

    async def replay(self, letter: Letter) -> None:
        """Publish it again for its durable alone, then remove it. Raises StackError, and keeps it, when that is not possible."""
        subject = f"{self._namespace}.{letter.subject}"
        headers = {k: v for k, v in letter.headers.items() if k not in _OURS and not k.startswith("Nats-")}
        # The time tells a letter from one of the same number in a stream that was made again.
        fresh = f"replay:{letter.sequence}:{letter.at.timestamp():.6f}"
        await self._ensure_consumed(letter, subject)
        try:
            sent = {**headers, "Nats-Msg-Id": fresh, ONLY_FOR: letter.durable}
            await self._js.publish(subject, letter.payload, headers=sent, timeout=5)
        except NoStreamResponseError:
            raise StackError(f"no stream takes {subject}: is its service running?") from None
        except APIError as error:
            raise StackError(f"the stream refused letter {letter.sequence}: {error.description}") from error
        await self.drop(letter)

    async def drop(self, letter: Letter) -> None:
        """Remove it for ever."""
        await self._js.delete_msg(self._stream, letter.sequence)

    async def _ensure_consumed(self, letter: Letter, subject: str) -> None:
        """Ordered work has no durable in JetStream; every other one must be there, or nobody would take the replay."""
        if PLACE in letter.headers:
            return
        try:
            stream = await self._js.find_stream_name_by_subject(subject)
            await self._js.consumer_info(stream, letter.durable)
        except NotFoundError:
            raise StackError(
                f"nobody consumes {letter.subject} as {letter.durable} any more: drop its letters, or start its service"
            ) from None

    async def _known(self, durable: str) -> int:
        counts = await self.counts()
        if durable not in counts:
            others = f"; there are some of {', '.join(counts)}" if counts else ""
            raise StackError(f"{durable} has no dead letters{others}")
        return counts[durable]

    def _subject(self, durable: str) -> str:
        return f"{self._namespace}.{DEAD}.{durable}"


def _listed(msg: Msg) -> Letter:
    headers, metadata = msg.headers or {}, msg.metadata
    durable, subject, why = msg.subject.rpartition(".")[2], headers.get(SUBJECT, ""), headers.get(WHY, "")
    return Letter(metadata.sequence.stream, durable, subject, why, metadata.timestamp, headers, b"")


async def _silent(_error: Exception) -> None:
    """What breaks the connection is raised where it is used."""
