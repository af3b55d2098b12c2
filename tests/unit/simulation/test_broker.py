"""The simulated broker keeps what JetStream promises: at least once, whoever dies; known ids once, for a while."""

import uuid
from typing import Any

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated

from runtime.bus import Consumers, consumes
from runtime.errors import Unavailable
from simulation.broker import DUPLICATES_S, Broker, BrokerBus
from simulation.loop import pause
from simulation.node import Killed, Node
from tests.unit.simulation.rig import Rig


class Place:
    """A broker, a sender and what was handled where."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.broker = Broker(self.rig.loop, self.rig.dice, self.rig.history)
        self.bus = BrokerBus(self.broker, self.rig.caller, "test")
        self.broker.declare([TweetCreated])
        self.handled: list[str] = []
        self.dies = False

    def consumer(self, name: str) -> Node:
        node = self.rig.node(name)

        @consumes(TweetCreated, durable="test")
        async def handle(event: TweetCreated, deps: Any) -> None:
            """Harmless to repeat."""
            if self.dies:
                self.dies = False
                node.kill("test")
                raise Killed("test")
            self.handled.append(name)

        consumers = Consumers(BrokerBus(self.broker, node, "test"), [handle], None, look_s=1e9)
        node.background("consumers", consumers.run)
        return node


def created() -> TweetCreated:
    tweet_id = uuid.uuid4().bytes
    return TweetCreated(event_id=tweet_id, tweet_id=tweet_id, author_id=bytes(16))


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_message_whose_consumer_died_goes_to_another(place: Place) -> None:
    async def main() -> None:
        place.consumer("one#1")
        await pause(1)
        place.dies = True
        await place.bus.publish(created())
        await pause(1)
        assert place.handled == []
        assert place.broker.open == 1
        place.consumer("one#2")
        await pause(20)
        assert place.handled == ["one#2"]
        assert place.broker.open == 0

    place.rig.run(main)


def test_what_was_published_before_anybody_consumed_is_delivered(place: Place) -> None:
    async def main() -> None:
        await place.bus.publish(created())
        await pause(5)
        place.consumer("one#1")
        await pause(5)
        assert place.handled == ["one#1"]

    place.rig.run(main)


def test_an_id_is_stored_once_until_its_window_is_over(place: Place) -> None:
    async def main() -> None:
        place.consumer("one#1")
        event = created()
        await place.bus.publish(event)
        await place.bus.publish(event)
        await pause(DUPLICATES_S + 1)
        assert len(place.handled) == 1
        await place.bus.publish(event)
        await pause(5)
        assert len(place.handled) == 2

    place.rig.run(main)


def test_a_broker_that_is_away_refuses_and_delivers_when_it_is_back(place: Place) -> None:
    async def main() -> None:
        await place.bus.publish(created())
        place.broker.go_away(10)
        with pytest.raises(Unavailable):
            await place.bus.publish(created())
        place.consumer("one#1")
        await pause(5)
        assert place.handled == []
        await pause(15)
        assert place.handled == ["one#1"]

    place.rig.run(main)
