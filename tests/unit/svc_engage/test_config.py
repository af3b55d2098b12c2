"""Configuration of svc_engage: defaults, and every problem named at once."""

import pytest

from runtime.config import ConfigError
from svc_engage.config import Config
from svc_engage.domain.levels import Levels

GIVEN = {
    "AVIARY_ENGAGE_PORT": "1",
    "AVIARY_ENGAGE_METRICS_PORT": "2",
    "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:9042",
    "AVIARY_REDIS_URL": "redis://127.0.0.1:6379/0",
    "AVIARY_NATS_URL": "nats://127.0.0.1:4222",
    "AVIARY_MESH_KEY": "11" * 32,
    "AVIARY_CURSOR_KEYS": "1:" + "22" * 32,
    "AVIARY_GRAPH_ADDRESS": "127.0.0.1:3",
    "AVIARY_USER_ADDRESS": "127.0.0.1:3",
    "AVIARY_TWEET_ADDRESS": "127.0.0.1:4",
}


def test_rows_are_split_at_the_documented_counts_unless_others_are_given() -> None:
    assert Config.from_env(GIVEN).levels == Levels((50_000, 3_000_000))
    assert Config.from_env({**GIVEN, "AVIARY_ENGAGE_LEVELS": "3,9"}).levels == Levels((3, 9))


@pytest.mark.parametrize("levels", ["9,3", "0,5", "7", "a,b", "1,2,3"])
def test_everything_wrong_is_named_at_once(levels: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_env({**GIVEN, "AVIARY_ENGAGE_LEVELS": levels, "AVIARY_GRAPH_ADDRESS": ""})
    assert "AVIARY_ENGAGE_LEVELS" in str(raised.value)
    assert "AVIARY_GRAPH_ADDRESS" in str(raised.value)
