"""What Cassandra's batch log may play back late, and how late the relay of the outbox looks for the last time."""

import re
from pathlib import Path

from runtime.config import Env, MeshConfig
from stack.cassandra import configuration

REPLAY_EVERY_S = 10
"""org.apache.cassandra.batchlog.BatchlogManager: every ten seconds, and only batches older than two timeouts of writes."""


def test_the_relay_looks_for_the_last_time_after_a_batch_log_was_played_back(tmp_path: Path) -> None:
    """Promise 1: a batch that nobody acknowledged may put a tweet and its event down this late, and both count."""
    timeout = re.fullmatch(r"(\d+)s", str(configuration(1, 2, tmp_path)["write_request_timeout"]))
    assert timeout is not None
    replayed_s = 2 * int(timeout.group(1)) + REPLAY_EVERY_S
    last_s = MeshConfig.read("tweet", Env({})).outbox_relay_ages_s[-1]
    # Ten times as long: the clocks of two machines differ, and a node may be away meanwhile.
    assert last_s > 10 * replayed_s
