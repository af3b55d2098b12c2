"""Publishing to JetStream in batches with counted acknowledgements on one inbox: many messages wait for their acks at once."""

import asyncio
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

from runtime.bus.port import Full
from runtime.errors import Unavailable

_STORED = re.compile(rb'"stream": ?"([^"]*)", ?"seq": ?(\d+)')


class NoStream(Unavailable):
    """No stream takes the subject: it vanished, or it has no leader for the moment."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as NATS sees it."""

    subject: str
    payload: bytes
    headers: dict[str, str]


class _Batch:
    """Counts down the acks of messages that were published together."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.stored: dict[str, tuple[str, int]] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self, token: str, stored: tuple[str, int]) -> None:
        self.left -= 1
        self.stored[token] = stored
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)

    def refused(self, error: Unavailable) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Acks:
    """Publishes over one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._tokens = itertools.count()
        self._waiting: dict[str, _Batch] = {}

    async def open(self) -> None:
        """Listen for acks; the client listens again by itself after a reconnect."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered, pending_msgs_limit=-1)

    async def publish(self, messages: Sequence[Outgoing]) -> list[tuple[str, int]]:
        """Stream and sequence of each, when all are stored. Raises NoStream, Full or Unavailable; waits for ever if nobody answers."""
        batch = _Batch(len(messages))
        tokens = [str(next(self._tokens)) for _ in messages]
        try:
            for token, message in zip(tokens, messages, strict=True):
                self._waiting[token] = batch
                reply = f"{self._inbox}.{token}"
                await self._client.publish(message.subject, message.payload, reply=reply, headers=message.headers)
            await batch.done
            return [batch.stored[token] for token in tokens]
        finally:
            for token in tokens:
                self._waiting.pop(token, None)

    async def _answered(self, msg: Msg) -> None:
        token = msg.subject.rpartition(".")[2]
        batch = self._waiting.pop(token, None)
        if batch is None:
            return
        if not msg.data:
            batch.refused(NoStream("no stream takes the message", retry_after_s=1))
        elif b'"error"' in msg.data:
            why = json.loads(msg.data)["error"].get("description", "")
            kind = Full if why.endswith("exceeded") else Unavailable
            batch.refused(kind(f"the stream refused the message: {why}", retry_after_s=1))
        elif found := _STORED.search(msg.data):
            batch.acknowledged(token, (found[1].decode(), int(found[2])))
