"""docs/data.md tells the life of every table, stream and kind of Redis key, and tells it as the code has it."""

import re
from collections.abc import Iterator

import pytest
from aviary.options.v1 import options_pb2

from runtime import contract
from runtime.bus.envelope import DEAD, stream_name
from tests.contract.contracts import ROOT, messages, sources

PAGE = (ROOT / "docs" / "data.md").read_text()
SERVICES = sorted(path.name for path in ROOT.glob("svc_*") if path.is_dir())
SECONDS = {"s": 1, "minutes": 60, "hours": 3600, "days": 24 * 3600}


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of a section's table, by its first one."""
    section = re.search(rf"^## {re.escape(heading)}.*?$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert section, f"docs/data.md has no section {heading}"
    lines = [line.strip("|").split("|") for line in section[1].splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in lines}


def cells_of(service: str, table: str) -> list[str]:
    """The cells of a table's row: key, TTL, personal, rebuilt from, erased."""
    found = rows(service).get(table)
    assert found, f"docs/data.md, section {service}: {table} has no row"
    return found


def tables(service: str) -> dict[str, str]:
    """The text of every table that the schema files of a service make."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / service / "schema").glob("0*.cql")))
    text = re.sub(r"--.*", "", text)
    return {m[1]: m[0] for m in re.finditer(r"CREATE TABLE IF NOT EXISTS (\w+).*?;", text, re.S)}


def primary_key(table: str) -> str:
    """The key as the page writes it: `a`, `(a, b)` or `(a, b), c`."""
    inline = re.search(r"(\w+) [\w<>]+ PRIMARY KEY", table)
    if inline:
        return inline[1]
    stated = re.search(r"^ +PRIMARY KEY \((.+)\)$", table, re.M)
    assert stated, table
    return stated[1]


def ttl_statements(service: str) -> Iterator[str]:
    """Tables into which the service writes rows with a TTL of their own."""
    for text in sources(service).values():
        joined = re.sub(r'"\s*f?"', "", text)
        for statement in re.findall(r"(?:INSERT INTO|UPDATE) (\w+)([^\"]*USING TTL)", joined):
            yield statement[0]


EVERY = [(service, name, text) for service in SERVICES for name, text in tables(service).items()]


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_has_its_row_and_every_row_its_table(service: str) -> None:
    untold, gone = set(tables(service)) - set(rows(service)), set(rows(service)) - set(tables(service))
    assert not untold, (
        f"docs/data.md, section {service}: add a row for {sorted(untold)}: key, TTL, personal, rebuilt, erased"
    )
    assert not gone, f"docs/data.md, section {service}: {sorted(gone)} is in no file of {service}/schema"


@pytest.mark.parametrize(("service", "name", "text"), EVERY, ids=lambda v: v if len(v) < 40 else "")
def test_a_row_has_the_key_of_its_table(service: str, name: str, text: str) -> None:
    assert cells_of(service, name)[0].strip("`") == primary_key(text), "docs/data.md has another key than the schema"


@pytest.mark.parametrize(("service", "name", "text"), EVERY, ids=lambda v: v if len(v) < 40 else "")
def test_a_row_states_a_ttl_exactly_when_rows_of_the_table_have_one(service: str, name: str, text: str) -> None:
    stated = cells_of(service, name)[1]
    default = re.search(r"default_time_to_live = (\d+)", text)
    if default:
        amount, unit = stated.split()[:2]
        assert int(amount) * SECONDS[unit] == int(default[1])
    else:
        written = name in set(ttl_statements(service))
        assert bool(stated) == written, f"docs/data.md states the TTL {stated!r}; statements write one: {written}"


def test_every_row_says_whether_it_is_personal_and_how_it_comes_and_goes() -> None:
    for heading in (*SERVICES, "Redis"):
        for name, cells in rows(heading).items():
            _, _, personal, rebuilt, erased = cells
            assert re.match(r"(yes|linked|no)\b", personal), f"{name}: personal is yes, linked or no"
            assert rebuilt, f"{name}: from what is it rebuilt?"
            assert erased or personal == "no", f"{name}: what a person left must be erasable"


def test_the_streams_are_those_of_the_contracts() -> None:
    kept = [
        stream_name(contract.event(message))
        for message in messages()
        if message.DESCRIPTOR.GetOptions().HasExtension(options_pb2.event)
        and contract.event(message).kind != options_pb2.EVENT_KIND_SIGNAL
    ]
    made = {f"{{ns}}_{name}" for name in (*kept, DEAD)} | {"KV_{ns}_leases"}
    told = set(rows("JetStream"))
    assert told == made, f"docs/data.md, section JetStream: lacks {sorted(made - told)}, has gone {sorted(told - made)}"


def test_the_redis_keys_are_those_of_the_code() -> None:
    """Code names a key as `{namespace}:...name:`; the page writes the parts that vary in braces."""
    code = sources("readers", "runtime", "edge", *SERVICES)
    words = {
        word
        for text in code.values()
        for literal in re.findall(r'f"(\{namespace\}:[^"]*)"', text)
        for word in re.findall(r":([a-z]\w*)(?=:|$)", literal)
    }
    stated = {word for key in rows("Redis") for word in re.findall(r"(?<=:)([a-z]\w*)(?=:|$)", key)}
    assert stated == words, (
        f"docs/data.md, section Redis: lacks {sorted(words - stated)}, has gone {sorted(stated - words)}"
    )
