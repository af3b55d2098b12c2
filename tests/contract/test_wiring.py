"""What somebody adds is also wired, run, tried and told: events, consumers, methods of stores, rpcs. Failures say where."""

import ast
import re
from collections.abc import Iterator

import pytest
from aviary.options.v1 import options_pb2

from runtime import contract
from simulation import servers
from tests.contract.contracts import ROOT, messages, services, sources

SERVICES = sorted(path.name for path in ROOT.glob("svc_*") if path.is_dir())
MESH = (ROOT / "simulation" / "mesh.py").read_text()
WIRED = [pytest.param(service, f"{service}/server.py", id=service) for service in SERVICES]
WIRED += [
    pytest.param(service, "simulation/mesh.py", id=f"{service} in the simulation")
    for service in SERVICES
    if f"from {service}." in MESH
]


def events(service: str) -> list[contract.Event]:
    """The events that a service announces: those of its area."""
    package = f"aviary.{service.removeprefix('svc_')}.v1"
    declared = [m for m in messages() if m.DESCRIPTOR.GetOptions().HasExtension(options_pb2.event)]
    return [contract.event(m) for m in declared if m.DESCRIPTOR.file.package == package]


def consumers(service: str) -> Iterator[tuple[str, str]]:
    """Name and durable of each function of a service that is marked with @consumes."""
    for text in sources(service).values():
        for node in ast.walk(ast.parse(text)):
            for mark in node.decorator_list if isinstance(node, ast.AsyncFunctionDef) else ():
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "consumes":
                    [durable] = [word.value for word in mark.keywords if word.arg == "durable"]
                    yield node.name, ast.literal_eval(durable)


def listed(call: str, path: str) -> set[str]:
    """The names in the list that is given to each call of the name, as `declare([A, B])` and `Consumers(bus, [a, b], …)`."""
    lists = re.findall(rf"\b{call}\([^()\[\]]*\[(.*?)\]", (ROOT / path).read_text(), re.S)
    return {name for names in lists for name in re.findall(r"\w+", names)}


@pytest.mark.parametrize(("service", "path"), WIRED)
def test_every_fact_and_job_is_declared_where_it_is_announced(service: str, path: str) -> None:
    kept = {e.message.DESCRIPTOR.name for e in events(service) if e.kind != options_pb2.EVENT_KIND_SIGNAL}
    missing = sorted(kept - listed("declare", path))
    assert not missing, (
        f"{path}: add {missing} to `bus.declare([…])`, or their stream may not exist when they are published"
    )


@pytest.mark.parametrize(("service", "path"), WIRED)
def test_every_consumer_is_run(service: str, path: str) -> None:
    missing = sorted({name for name, _ in consumers(service)} - listed("Consumers", path))
    assert not missing, f"{path}: add {missing} to `Consumers(bus, […], deps)`, or nobody handles these events there"


def promises(*files: str) -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    """Where it stands, and the method, for each method of a port in such a file of a service."""
    for path, text in sources(*SERVICES).items():
        ports = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
        for port in ports if path.endswith(files) else ():
            if "Protocol" in map(ast.unparse, port.bases):
                methods = (node for node in port.body if isinstance(node, ast.AsyncFunctionDef))
                yield from ((f"{path}: {port.name}.{method.name}", method) for method in methods)


def test_every_method_of_a_store_is_held_against_both_of_its_versions() -> None:
    tried = "\n".join(path.read_text() for path in (ROOT / "tests" / "conformance").glob("*.py"))
    missing = [where for where, method in promises("/store.py", "/windows.py") if f".{method.name}(" not in tried]
    assert not missing, f"add a test of each sentence of their docstrings to tests/conformance: {missing}"


def test_the_simulation_knows_which_methods_of_stores_only_read() -> None:
    """It would replay a read late as if it were a write, and what fails then says nothing of the cause."""
    answers = {where: (m.name, ast.unparse(m.returns) if m.returns else "") for where, m in promises("/store.py")}
    reads = [where for where, (_, kind) in answers.items() if re.match(r"(list|dict)\[|.*\| None$", kind)]
    missing = [where for where in reads if answers[where][0] not in servers._READS]
    assert not missing, f"simulation/servers.py: add to _READS what changes nothing: {missing}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_of_a_service_names_its_rpcs_events_and_consumers(service: str) -> None:
    readme = (ROOT / service / "README.md").read_text()
    package = f"aviary.{service.removeprefix('svc_')}.v1"
    rpcs = [method.name for one in services() if one.file.package == package for method in one.methods]
    told = [e.message.DESCRIPTOR.name for e in events(service) if f"{e.family}.{e.name}" not in readme]
    names = [*rpcs, *told, *(durable for _, durable in consumers(service))]
    missing = [name for name in names if not re.search(rf"\b{name}\b", readme)]
    assert not missing, f"{service}/README.md: say in its tables of rpcs and events what these are for: {missing}"


def test_the_readme_of_the_views_names_their_rpcs() -> None:
    readme = (ROOT / "views" / "README.md").read_text()
    rpcs = [method.name for one in services() if one.file.package == "aviary.view.v1" for method in one.methods]
    assert not [name for name in rpcs if name not in readme], "views/README.md: add their row to the table of rpcs"
