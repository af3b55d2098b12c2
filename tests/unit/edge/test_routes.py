"""Paths lead to their targets, and nowhere else."""

import pytest
from aviary.timeline.v1 import timeline_pb2
from aviary.user.v1 import user_pb2

from edge.problems import MethodNotAllowed, RouteNotFound
from edge.routes import RouteTable, routes_of


@pytest.fixture
def table() -> RouteTable[str]:
    table: RouteTable[str] = RouteTable()
    for verb, template in [
        ("GET", "/users/me"),
        ("GET", "/users/{user_id}"),
        ("POST", "/users/{user_id}/follow"),
        ("DELETE", "/users/{user_id}/follow"),
        ("GET", "/users/by/username/{username}"),
        ("GET", "/"),
    ]:
        table.add(verb, template, f"{verb} {template}")
    return table


@pytest.mark.parametrize(
    ("verb", "path", "target", "values"),
    [
        ("GET", b"/users/me", "GET /users/me", []),
        ("HEAD", b"/users/me", "GET /users/me", []),
        ("GET", b"/users/7", "GET /users/{user_id}", ["7"]),
        ("GET", b"/users/m%65", "GET /users/me", []),
        ("GET", b"/users/a%2Fb", "GET /users/{user_id}", ["a/b"]),
        ("GET", b"/users/%C3%A9", "GET /users/{user_id}", ["\u00e9"]),
        ("POST", b"/users/me/follow", "POST /users/{user_id}/follow", ["me"]),
        ("GET", b"/users/by", "GET /users/{user_id}", ["by"]),
        ("GET", b"/users/by/username/me", "GET /users/by/username/{username}", ["me"]),
        ("GET", b"/", "GET /", []),
    ],
)
def test_a_path_finds_its_target(
    table: RouteTable[str], verb: str, path: bytes, target: str, values: list[str]
) -> None:
    assert table.find(verb, path) == (target, values)


@pytest.mark.parametrize(
    "path", [b"/users", b"/users/", b"/users/me/", b"//users/me", b"/users//follow", b"/users/%ff", b"*"]
)
def test_another_path_is_not_found(table: RouteTable[str], path: bytes) -> None:
    with pytest.raises(RouteNotFound):
        table.find("GET", path)


def test_another_method_is_named_with_those_that_are_possible(table: RouteTable[str]) -> None:
    with pytest.raises(MethodNotAllowed) as raised:
        table.find("PUT", b"/users/7/follow")
    assert raised.value.allowed == ("DELETE", "POST", "OPTIONS")


@pytest.mark.parametrize(
    "template", ["/users/me", "/users/{other}", "/files/{name=**}", "/a{b}", "/{b}:c", "/{d", "/d}", "/{}"]
)
def test_a_taken_place_or_another_kind_of_template_is_refused(table: RouteTable[str], template: str) -> None:
    with pytest.raises(ValueError, match=r"taken|whole segments"):
        table.add("GET", template, "again")


def test_only_rpcs_with_an_http_rule_have_routes() -> None:
    found = routes_of(service.full_name for service in user_pb2.DESCRIPTOR.services_by_name.values())
    names = {route.rpc.name for route in found}
    assert names >= {"Register", "Login", "RefreshToken"}
    assert not names & {"GetUsers", "GetAccount", "ImportUser"}
    assert routes_of(service.full_name for service in timeline_pb2.DESCRIPTOR.services_by_name.values()) == []
