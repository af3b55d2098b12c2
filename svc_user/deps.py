"""What an rpc of svc_user may use; server.py and tests build it."""

from dataclasses import dataclass

from outbox import Announcer
from runtime.faults import Faults
from runtime.ids import Clock, Ids
from svc_user.emails import Emails
from svc_user.passwords import Passwords
from svc_user.store import UserStore
from svc_user.tokens import TokenIssuer


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of svc_user."""

    store: UserStore
    outbox: Announcer
    passwords: Passwords
    emails: Emails
    tokens: TokenIssuer
    clock: Clock
    ids: Ids
    faults: Faults
    claim_abandoned_ms: int
