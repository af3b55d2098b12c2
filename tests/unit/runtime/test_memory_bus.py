"""What the memory bus offers tests beside the promises of every bus."""

from simulation.bus import MemoryBus


def test_who_asked_hears_that_the_broker_is_back() -> None:
    bus = MemoryBus()
    heard: list[str] = []
    bus.on_reconnected(lambda: heard.append("back"))
    bus.down = True
    bus.reconnect()
    assert heard == ["back"]
    assert not bus.down
