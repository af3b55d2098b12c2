"""The OpenAPI 3.1 document of the public API, from the endpoints that serve it; only the stream and OAuth are described by hand."""

from collections.abc import Sequence
from typing import Any

from aviary.comments import COMMENTS
from aviary.options.v1 import options_pb2

from edge.oauth import described as oauth
from edge.problems import CONTENT_TYPE
from edge.schemas import Schema, Schemas, body, described, required_fields, taken
from edge.stream.described import PATH_ITEM
from edge.stream.messages import ROUTE as STREAM
from edge.transcoder import Endpoint, next_fields, told_headers
from edge.web import JSON

_BEARER = "accessToken"
_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
_PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "A URN of the reason."},
        "title": {"type": "string", "description": "The reason in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What happened this time; the text may change."},
        "reason": {"type": "string", "description": "A stable name, for programs."},
        "request_id": {"type": "string", "description": "As in the header X-Request-Id."},
        "errors": {
            "type": "array",
            "description": "For invalid input: what is wrong with which field.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document of the endpoints. Raises ValueError when two rpcs have one name."""
    schemas = Schemas()
    paths: dict[str, Any] = {}
    names: set[str] = set()
    for endpoint in endpoints:
        if endpoint.name in names:
            raise ValueError(f"two public rpcs are called {endpoint.name}")
        names.add(endpoint.name)
        route = endpoint.route
        paths.setdefault(route.template, {})[route.verb.lower()] = _operation(endpoint, schemas)
    paths |= {STREAM: PATH_ITEM, **oauth.PATH_ITEMS}
    services = dict.fromkeys(endpoint.route.rpc.service for endpoint in endpoints)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aviary", "version": "1", "description": "The public API of the feed."},
        "servers": [{"url": "/"}],
        "tags": [{"name": _tag(service), **described(service)} for service in services]
        + [{"name": "stream"}, {"name": oauth.TAG}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.components, "Problem": _PROBLEM},
            "securitySchemes": {
                _BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                oauth.APP_CREDENTIALS: oauth.SECURITY_SCHEME,
            },
            "headers": {"RequestId": {"description": "Names the request in our logs.", "schema": {"type": "string"}}},
            "responses": {
                "Problem": {
                    "description": "It did not work; `reason` says why.",
                    "headers": _REQUEST_ID,
                    "content": {CONTENT_TYPE.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
            },
        },
    }


def _tag(service: str) -> str:
    return service.rpartition(".")[2].removesuffix("Service").lower()


def _operation(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    rpc = endpoint.route.rpc
    comment = COMMENTS.get(f"{rpc.service}.{rpc.name}", "")
    operation: dict[str, Any] = {
        "operationId": rpc.name,
        "tags": [_tag(rpc.service)],
        "summary": comment.partition(". ")[0].removesuffix("."),
        "description": comment,
        "security": _security(endpoint),
        "parameters": _parameters(endpoint),
        "responses": {
            str(rpc.success): _success(endpoint, schemas),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if endpoint.route.flattened and endpoint.route.verb == "GET":
        operation["responses"]["304"] = {"description": "As before (If-None-Match).", "headers": _REQUEST_ID}
    if endpoint.binding.body:
        required = required_fields(rpc.request)
        operation["requestBody"] = {
            "required": any(name in required for name in endpoint.binding.body),
            "content": {JSON.decode(): {"schema": body(endpoint.binding.body.values(), required)}},
        }
    return operation


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    rpc = endpoint.route.rpc
    if not endpoint.looks_at_token:
        return []
    needed: dict[str, list[str]] = {_BEARER: [rpc.scope] if rpc.scope else []}
    return [{}, needed] if rpc.access == options_pb2.ACCESS_ANONYMOUS else [needed]


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    rpc = endpoint.route.rpc
    fields = endpoint.route.request_type.fields_by_name
    required = required_fields(rpc.request)
    given: list[dict[str, Any]] = []
    for name in endpoint.route.variables:
        given.append({"name": name, "in": "path", "required": True, **_parameter(fields[name])})
    for name, field in endpoint.binding.query.items():
        style = {"style": "form", "explode": False} if field.is_repeated else {}
        given.append({"name": name, "in": "query", "required": name in required, **style, **_parameter(field)})
    for name, header in rpc.headers:
        given.append({"name": header, "in": "header", "required": name in required, **_parameter(fields[name])})
    return given


def _parameter(field: Any) -> dict[str, Any]:
    return {"schema": taken(field), **described(field.full_name)}


def _success(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    route = endpoint.route
    headers: dict[str, Any] = dict(_REQUEST_ID)
    if next_fields(route):
        headers["Link"] = {"description": 'The next page, with rel="next".', "schema": {"type": "string"}}
    if route.flattened and route.verb == "GET":
        headers["ETag"] = {"description": "For If-None-Match.", "schema": {"type": "string"}}
    for name, header in told_headers(route):
        headers[header] = {**described(f"{route.response_type.full_name}.{name}"), "schema": {"type": "string"}}
    comment = COMMENTS.get(route.response_type.full_name, "Done.")
    answer: dict[str, Any] = {"description": comment, "headers": headers}
    if route.rpc.success != 204:
        answer["content"] = {JSON.decode(): {"schema": schemas.answer(route.shown_type)}}
    return answer
