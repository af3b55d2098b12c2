"""The entry of a service process: what it says, and how it ends, when it cannot start."""

from collections.abc import Mapping

import pytest

from runtime.config import ConfigError
from runtime.service import Configured, Process, main


def refuse(_: Mapping[str, str]) -> Configured:
    raise ConfigError("AVIARY_USER_PORT is not set; AVIARY_NATS_URL is not set")


async def never(_: Process, __: Configured) -> None:
    raise AssertionError("nothing is built without a configuration")


def test_a_wrong_configuration_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(Process, refuse, never)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "configuration: AVIARY_USER_PORT is not set; AVIARY_NATS_URL is not set\n"
