"""The one machine that counts, whatever is counted: it reads a log partition by partition and keeps counts equal to the rows.

How counts are stored and read is the store's matter; who owns a partition is that of `ordered`.
"""

from svc_engage.counting.changes import Log
from svc_engage.counting.machine import Machine
from svc_engage.counting.rounds import Rounds
from svc_engage.counting.telling import Teller

__all__ = ["Log", "Machine", "Rounds", "Teller"]
