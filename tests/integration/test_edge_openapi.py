"""/openapi.json is a valid OpenAPI 3.1 document that says exactly what the contracts and the port do."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import schemathesis
from aviary.engage.v1 import engage_pb2
from aviary.graph.v1 import graph_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2
from google.api import annotations_pb2
from schemathesis.specs.openapi.schemas import OpenApiSchema

from edge.oauth.build import PLACES
from tests.integration.edge_world import TWEET, World, as_alice, edge_world

FILES = (user_pb2, graph_pb2, tweet_pb2, engage_pb2, view_pb2)


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    async with edge_world() as running:
        yield running


@pytest.fixture(scope="module")
async def document(world: World) -> dict[str, Any]:
    found: dict[str, Any] = (await world.client.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()}


def names(operation: dict[str, Any], where: str) -> set[str]:
    return {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == where}


async def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    schema = schemathesis.openapi.from_dict(document)
    assert isinstance(schema, OpenApiSchema)
    schema.validate()


async def test_it_holds_each_route_of_the_contracts_the_stream_oauth_and_nothing_else(document: dict[str, Any]) -> None:
    stated = set()
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                rule = method.GetOptions().Extensions[annotations_pb2.http]
                if verb := rule.WhichOneof("pattern"):
                    stated.add((verb, getattr(rule, verb)))
    shown = {(verb, path) for path, verbs in document["paths"].items() for verb in verbs}
    by_hand = {("get", "/api/v1/stream"), *((place.verb.lower(), place.path) for place in PLACES)}
    assert shown == stated | by_hand
    assert stated, "no contract states a route: the loop above looks in the wrong place"


async def test_every_operation_field_and_schema_is_described(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        assert operation["summary"]
        assert operation["description"]
        for parameter in operation["parameters"]:
            assert parameter["description"], parameter
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name


async def test_limits_defaults_and_headers_come_from_the_contracts(document: dict[str, Any]) -> None:
    found = operations(document)
    limit = next(p for p in found["GetHomeTimeline"]["parameters"] if p["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 200}
    assert names(found["CreateTweet"], "header") == {"Idempotency-Key"}
    body = found["CreateTweet"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"content", "user_id"}
    assert body["additionalProperties"] is False
    told = found["GetHomeTimeline"]["responses"]["200"]
    assert "engagement" in told["headers"]["X-Aviary-Degraded"]["description"]
    assert "degraded" not in document["components"]["schemas"]["view.GetHomeTimelineResponse"]["properties"]
    assert names(found["Login"], "header") == {"User-Agent"} and not names(found["Login"], "query")
    login = found["Login"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(login["properties"]) == {"login", "password"}, "the address is not the client's to say"
    register = found["Register"]["requestBody"]["content"]["application/json"]["schema"]
    assert register["required"] == ["username", "email", "password"]
    assert register["properties"]["username"]["pattern"] == "^[A-Za-z0-9_]{3,15}$"
    assert "201" in found["CreateTweet"]["responses"]
    assert names(found["Follow"], "path") == {"followee_id"}
    assert names(found["Follow"], "query") == {"follower_id"}


async def test_who_may_call_is_stated(document: dict[str, Any]) -> None:
    found = operations(document)
    assert found["Login"]["security"] == []
    assert found["GetTweet"]["security"] == [{}, {"accessToken": ["read"]}]
    assert found["CreateTweet"]["security"] == [{"accessToken": ["write"]}]


async def test_answers_have_exactly_the_fields_of_their_schema(world: World, document: dict[str, Any]) -> None:
    tweet = (await world.client.get(f"/api/v1/tweets/{TWEET}")).json()
    assert set(tweet) == set(document["components"]["schemas"]["view.Tweet"]["required"])
    home = (await world.client.get("/api/v1/timeline/home", headers=as_alice())).json()
    assert set(home) == set(document["components"]["schemas"]["view.GetHomeTimelineResponse"]["properties"])


async def test_answers_fit_their_schemas(world: World, document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document)
    for path, method, url in (
        ("/api/v1/tweets/{tweet_id}", "GET", f"/api/v1/tweets/{TWEET}"),
        ("/api/v1/timeline/home", "GET", "/api/v1/timeline/home?limit=3"),
        ("/api/v1/tweets/{tweet_id}", "GET", "/api/v1/tweets/nonsense"),
    ):
        answer = await world.client.get(url, headers=as_alice(**{"Accept-Encoding": "identity"}))
        schema[path][method].validate_response(schemathesis.Response.from_httpx(answer, verify=True))


async def test_no_internal_rpc_or_message_shows(document: dict[str, Any]) -> None:
    assert not re.search(r"GetFollowSnapshot|StoredTweet|ListUsers|mesh\.", str(document))
