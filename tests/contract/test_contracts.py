"""The contracts say everything once, and say it completely."""

import re
from collections import Counter

import pytest
from aviary.options.v1 import options_pb2
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

from runtime import contract
from tests.contract.contracts import ROOT, messages, reasons, services, sources

CODE = (
    "runtime",
    "accounts",
    "backlog",
    "cursors",
    "idempotency",
    "in_process",
    "outbox",
    "readers",
    "redis_client",
    "ordered",
    "signals",
    "statuses",
    "flights",
    "relations",
    "svc_user",
    "svc_graph",
    "svc_tweet",
    "svc_timeline",
    "svc_engage",
    "views",
    "edge",
    "ops",
)
RPCS = [rpc for service in services() for rpc in contract.methods(service.full_name)]
EVENTS = [m for m in messages() if m.DESCRIPTOR.GetOptions().HasExtension(options_pb2.event)]


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
def test_every_rpc_states_who_may_call_it_and_what_repeating_does(rpc: contract.Method) -> None:
    """Promise 10: an rpc without a policy would be refused to everybody."""
    assert rpc.access != options_pb2.ACCESS_UNSPECIFIED, "state `access` in its option (aviary.options.v1.rpc)"
    assert rpc.effect != options_pb2.EFFECT_UNSPECIFIED, "state `effect` in its option (aviary.options.v1.rpc)"


@pytest.mark.parametrize("rpc", [r for r in RPCS if r.http], ids=lambda rpc: rpc.path)
def test_no_route_is_open_to_services_only(rpc: contract.Method) -> None:
    assert rpc.access != options_pb2.ACCESS_SERVICE


@pytest.mark.parametrize("rpc", [r for r in RPCS if r.http], ids=lambda rpc: rpc.path)
def test_what_a_route_makes_takes_an_idempotency_key(rpc: contract.Method) -> None:
    """Promise 7: a POST that takes none must set a state, or a repetition after a lost answer would make a second thing."""
    path = getattr(rpc.http, rpc.http.WhichOneof("pattern"))
    if not path.startswith(("/api/v1/auth/", "/oauth/")):
        takes_one = "Idempotency-Key" in [header for _, header in rpc.headers]
        assert takes_one == (rpc.effect == options_pb2.EFFECT_CREATE), (
            "give the request the field `idempotency_key` of CreateTweetRequest, exactly when its effect is EFFECT_CREATE"
        )
        if takes_one:
            [field] = [
                f for f in rpc.request.DESCRIPTOR.fields if contract.field_options(f).header == "Idempotency-Key"
            ]
            rule = field.GetOptions().Extensions[validate_pb2.field].string
            assert (rule.max_len, rule.pattern) == (64, "^[ -~]*$")


def test_no_two_rpcs_have_the_same_route() -> None:
    routes = [
        (rpc.http.WhichOneof("pattern"), getattr(rpc.http, rpc.http.WhichOneof("pattern"))) for rpc in RPCS if rpc.http
    ]
    assert not [route for route, times in Counter(routes).items() if times > 1]


def test_no_two_services_have_an_rpc_of_one_name() -> None:
    """Logs, metrics and cursors say the name alone."""
    assert not [name for name, times in Counter(rpc.name for rpc in RPCS).items() if times > 1]


def test_no_two_areas_have_a_reason_of_the_same_name() -> None:
    names = [value.name for enum in reasons() for value in enum.values if value.number]
    assert not [name for name, times in Counter(names).items() if times > 1]


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.DESCRIPTOR.name)
def test_events_hold_no_free_text(event: type) -> None:
    """Erasure could not reach it: events hold ids, states and times only."""
    texts = [f.name for f in event.DESCRIPTOR.fields if f.type == FieldDescriptor.TYPE_STRING]
    assert not texts, f"ids are bytes, and consumers ask the owner for text: {texts}"


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e.DESCRIPTOR.name)
def test_events_that_are_kept_carry_their_id_and_time(event: type) -> None:
    options = contract.event(event)
    if options.kind != options_pb2.EVENT_KIND_SIGNAL:
        lacking = {"event_id", "occurred_at", options.key} - {f.name for f in event.DESCRIPTOR.fields}
        assert not lacking, f"add the fields {sorted(lacking)}; `key` names the field that chooses the partition"


def test_no_two_events_have_the_same_subject() -> None:
    subjects = [(contract.event(e).family, contract.event(e).name) for e in EVENTS]
    assert len(subjects) == len(set(subjects))


def test_no_route_is_typed_in_code() -> None:
    """Routes come from google.api.http; the stream's own is the one exception, written where it is served."""
    typed = [name for name, text in sources(*CODE).items() if re.search(r'["\'/]/?api/v1/(?!stream)', text)]
    assert not [name for name in typed if not name.startswith("ops/")]


def test_no_reason_is_typed_in_code() -> None:
    """Reasons are imported from the generated enums."""
    names = {value.name.removeprefix("REASON_") for enum in reasons() for value in enum.values if value.number}
    found = [
        f"{path}: {word}"
        for path, text in sources(*CODE).items()
        for word in re.findall(r'["\']([A-Z][A-Z_]{3,})["\']', text)
        if word in names
    ]
    assert not found


def test_no_subject_is_typed_in_code() -> None:
    """Subjects come from the event options."""
    pairs = {f"{contract.event(e).family}.v1.{contract.event(e).name}" for e in EVENTS}
    found = [f"{path}: {pair}" for path, text in sources(*CODE).items() for pair in pairs if pair in text]
    assert not found


def test_no_limit_of_a_list_is_typed_in_code() -> None:
    """The default and the bound of a page are in the contract; the guard fills and checks them."""
    found = [
        path for path, text in sources(*CODE).items() if re.search(r"(request\.limit or|min\(request\.limit)", text)
    ]
    assert not found


@pytest.mark.parametrize(
    "service", [s for s in services() if s.file.package != "aviary.mesh.v1"], ids=lambda s: s.full_name
)
def test_every_rpc_has_its_file_and_its_test(service: object) -> None:
    """`CreateTweet` is in svc_tweet/rpcs/create_tweet.py and tested in tests/unit/svc_tweet/test_create_tweet.py."""
    area = service.full_name.split(".")[1]
    folder = "views" if area == "view" else f"svc_{area}"
    snakes = [re.sub(r"(?<!^)([A-Z])", r"_\1", m.name).lower() for m in service.methods]
    missing = [
        path
        for snake in snakes
        for path in (f"{folder}/rpcs/{snake}.py", f"tests/unit/{folder}/test_{snake}.py")
        if not (ROOT / path).exists()
    ]
    assert not missing, f"write {missing}"


FILES = {
    "server.py",
    "config.py",
    "deps.py",
    "servicer.py",
    "domain",
    "store",
    "store_memory",
    "events.py",
    "README.md",
}


@pytest.mark.parametrize("area", ["user", "graph", "tweet", "timeline", "engage"])
def test_every_service_folder_looks_alike(area: str) -> None:
    """errors.py is there when the area has reasons of its own."""
    own_reasons = any(enum.full_name == f"aviary.{area}.v1.Reason" for enum in reasons())
    expected = FILES | {"errors.py"} if own_reasons else FILES
    names = {path.name for path in (ROOT / f"svc_{area}").iterdir()}
    assert not [name for name in expected if name not in names and f"{name}.py" not in names]
