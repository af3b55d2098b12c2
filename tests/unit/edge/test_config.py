"""The configuration of the edge: where the world finds it, and what is wrong by name."""

import base64
import json

import pytest

from edge.config import EdgeConfig
from runtime.config import ConfigError
from tests.unit.svc_user.world import SIGNING_KEY

GOOD = {
    "AVIARY_EDGE_PORT": "7006",
    "AVIARY_EDGE_METRICS_PORT": "9006",
    "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:9042",
    "AVIARY_REDIS_URL": "redis://127.0.0.1:6379/0",
    "AVIARY_NATS_URL": "nats://127.0.0.1:4222",
    "AVIARY_MESH_KEY": "ab" * 32,
    "AVIARY_CURSOR_KEYS": "1:" + "ba" * 32,
    "AVIARY_TOKEN_KEYS": json.dumps({"k": base64.b64encode(SIGNING_KEY.public_key().public_bytes_raw()).decode()}),
    **{f"AVIARY_{area}_ADDRESS": "127.0.0.1:7001" for area in ("USER", "GRAPH", "TWEET", "TIMELINE", "ENGAGE")},
}


def test_the_public_address_is_the_local_port_unless_another_is_given() -> None:
    assert EdgeConfig.from_env({**GOOD, "AVIARY_HTTP_PORT": "8081"}).public_url == "http://127.0.0.1:8081"
    for url in ("https://aviary.example", "https://aviary.example:8443", "http://localhost:8080"):
        assert EdgeConfig.from_env({**GOOD, "AVIARY_EDGE_PUBLIC_URL": url}).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://aviary.example",
        "http://127.0.0.1.evil.example",
        "https://aviary.example/",
        "https://aviary.example/path",
        "https://user@aviary.example",
        "aviary.example",
    ],
)
def test_a_public_address_without_tls_or_with_more_than_a_host_is_refused_by_name(url: str) -> None:
    """Passwords and codes would travel in the open."""
    with pytest.raises(ConfigError, match="AVIARY_EDGE_PUBLIC_URL"):
        EdgeConfig.from_env({**GOOD, "AVIARY_EDGE_PUBLIC_URL": url})
