"""Readiness names what fails; its texts, which may hold addresses, are for the metrics port only."""

import orjson

from runtime.http import OpsApp

OPS = OpsApp(lambda: {"nats": "ok", "cql": "no route to 127.0.0.9:9042"})


def test_readiness_names_what_is_not_ready_and_why() -> None:
    status, body, _ = OPS.respond("/readyz")
    assert status == 503
    assert orjson.loads(body) == {
        "ready": False,
        "checks": {"nats": "ok", "cql": "no route to 127.0.0.9:9042"},
        "failing": ["cql"],
    }


def test_in_public_readiness_names_it_without_the_reason() -> None:
    status, body, _ = OPS.respond("/readyz", texts=False)
    assert (status, b"127.0.0.9" in body) == (503, False)
    assert orjson.loads(body)["failing"] == ["cql"]


def test_everything_ready_is_200() -> None:
    assert OpsApp(lambda: {"cql": "ok"}).respond("/readyz")[0] == 200
