"""Configuration of svc_timeline: defaults, and every problem named at once."""

import pytest

from runtime.config import ConfigError
from svc_timeline.config import Config, Limits

GIVEN = {
    "AVIARY_TIMELINE_PORT": "1",
    "AVIARY_TIMELINE_METRICS_PORT": "2",
    "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:9042",
    "AVIARY_REDIS_URL": "redis://127.0.0.1:6379/0",
    "AVIARY_NATS_URL": "nats://127.0.0.1:4222",
    "AVIARY_MESH_KEY": "11" * 32,
    "AVIARY_GRAPH_ADDRESS": "127.0.0.1:3",
    "AVIARY_TWEET_ADDRESS": "127.0.0.1:4",
}


def test_limits_are_the_documented_ones_unless_given() -> None:
    assert Config.from_env(GIVEN).limits == Limits(800, 24 * 3600, 30 * 24 * 3600, 1000, 500, 50)
    changed = Config.from_env({**GIVEN, "AVIARY_TIMELINE_WINDOW": "5", "AVIARY_TIMELINE_STORED_TTL_S": "60"})
    assert (changed.limits.window, changed.limits.depth_ms) == (5, 60_000)


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_env({**GIVEN, "AVIARY_TIMELINE_CHUNK": "0", "AVIARY_GRAPH_ADDRESS": ""})
    assert "AVIARY_TIMELINE_CHUNK" in str(raised.value)
    assert "AVIARY_GRAPH_ADDRESS" in str(raised.value)
