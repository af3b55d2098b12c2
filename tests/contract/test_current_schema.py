"""schema/current.cql of a service is what its numbered files come to, one after the other: to read instead of them."""

import re
from pathlib import Path

import pytest

from cql_client.migrations import statements
from tests.contract.contracts import ROOT

SERVICES = sorted(ROOT.glob("svc_*"))


def folded(files: list[Path]) -> dict[str, str]:
    """Each table as the statements of all files leave it; a statement of a kind that is new here fails, and is to be added."""
    tables: dict[str, str] = {}
    for statement in (s for path in files for s in statements(path.read_text(encoding="utf-8"))):
        text = " ".join(statement.split())
        if made := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", text):
            tables.setdefault(made[1], text)
        elif added := re.match(r"ALTER TABLE (\w+) ADD (?!IF )(.+)", text):
            before = r", PRIMARY KEY \(" if ", PRIMARY KEY (" in tables[added[1]] else r" \)(?: WITH .*)?$"
            at = re.search(before, tables[added[1]])
            assert at, f"{added[1]}: where do its columns end?"
            tables[added[1]] = (
                f"{tables[added[1]][: at.start()]}, {added[2].strip('()')}{tables[added[1]][at.start() :]}"
            )
        elif dropped := re.match(r"DROP TABLE (?:IF EXISTS )?(\w+)", text):
            del tables[dropped[1]]
        else:
            # ADD IF NOT EXISTS among them: only Cassandra has it, and what was added is left out anyway (cql_client/migrations.py).
            pytest.fail(f"{text[:60]}: say here what this does to a table")
    return tables


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_the_current_schema_is_what_the_numbered_files_come_to(service: Path) -> None:
    current = service / "schema" / "current.cql"
    assert current.exists(), f"{service.name}/schema/current.cql is missing: write the tables there as they are now"
    stated, made = folded([current]), folded(sorted((service / "schema").glob("[0-9]*.cql")))
    differing = sorted(name for name in stated.keys() | made.keys() if stated.get(name) != made.get(name))
    assert not differing, (
        f"{service.name}/schema/current.cql and the numbered files differ in {differing}: mend current.cql"
    )


def test_an_added_column_stands_before_the_key(tmp_path: Path) -> None:
    first, second = tmp_path / "0001_a.cql", tmp_path / "0002_b.cql"
    first.write_text("CREATE TABLE IF NOT EXISTS t (\n    a int,\n    PRIMARY KEY ((a))\n) WITH gc_grace_seconds = 1;")
    second.write_text("ALTER TABLE t ADD b text;")
    assert folded([first, second]) == {
        "t": "CREATE TABLE IF NOT EXISTS t ( a int, b text, PRIMARY KEY ((a)) ) WITH gc_grace_seconds = 1"
    }


def test_an_added_column_stands_last_when_the_key_is_one_of_the_columns(tmp_path: Path) -> None:
    first, second = tmp_path / "0001_a.cql", tmp_path / "0002_b.cql"
    first.write_text("CREATE TABLE IF NOT EXISTS t (\n    a int PRIMARY KEY\n) WITH gc_grace_seconds = 1;")
    second.write_text("ALTER TABLE t ADD (b text, c int);")
    assert folded([first, second]) == {
        "t": "CREATE TABLE IF NOT EXISTS t ( a int PRIMARY KEY, b text, c int ) WITH gc_grace_seconds = 1"
    }
