"""What of picows reaches our log: its defects and ours, not what clients send."""

import logging

import pytest

from edge.stream.websocket import PicowsLog


def test_a_clients_bad_frame_is_not_logged_and_a_defect_is(caplog: pytest.LogCaptureFixture) -> None:
    log = PicowsLog(logging.getLogger("picows"), {})
    log.error("WS parser error: %s, initiate disconnect", "a frame of 9000 bytes")
    log.error("Initiate disconnect because of exception from WSListener.on_ws_frame: %s", "a defect")
    assert [record.getMessage()[-8:] for record in caplog.records] == ["a defect"]
