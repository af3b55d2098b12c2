"""Log lines: all of them JSON with constant messages, and none that a client or a server can repeat at will."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from runtime import telemetry


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in (*telemetry.QUIET, *telemetry.QUIETER)}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_librarys_warning_is_a_json_line_with_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("tweet")
    logging.getLogger("cassandra.cluster").warning("host %s is down", "a")
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["service"], line["level"]) == ("host a is down", "tweet", "warning")


def test_while_the_database_is_away_the_driver_logs_that_and_not_each_vain_try(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """P59: what matters is between those lines. The texts are the driver's."""
    telemetry.configure_logging("engage")
    driver = logging.getLogger("cassandra.cluster")
    driver.warning("Host %s has been marked down", "a:9042")
    for _ in range(3):
        try:
            raise ConnectionRefusedError("Tried connecting to [('a', 9042)]")
        except ConnectionRefusedError:
            driver.warning("[control connection] Error connecting to %s:", "a:9042", exc_info=True)
            driver.exception("Error preparing query:")
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["event"] == "Host a:9042 has been marked down"


@pytest.mark.parametrize("library", ["cassandra.protocol", "picows", "uvicorn.error"])
def test_what_clients_and_servers_can_repeat_at_will_is_not_logged(
    library: str, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure_logging("edge")
    level = logging.INFO if library == "picows" else logging.WARNING
    logging.getLogger(library).log(level, "once more")
    assert capsys.readouterr().out == ""
