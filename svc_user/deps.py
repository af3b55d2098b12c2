"""What an rpc of svc_user may use; server.py and tests build it."""

from dataclasses import dataclass

from cursors import Cursors
from outbox import Announcer
from readers.recent import OwnWrites
from runtime.faults import Faults
from runtime.ids import Clock, Ids
from signals.publisher import Publisher
from svc_user.emails import Emails
from svc_user.guesses import Guesses
from svc_user.passwords import Passwords
from svc_user.store import UserStore
from svc_user.store_apps import AppStore
from svc_user.store_sessions import SessionStore
from svc_user.tokens import TokenIssuer


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of svc_user."""

    store: UserStore
    logins: SessionStore
    apps: AppStore
    outbox: Announcer
    recent: OwnWrites
    passwords: Passwords
    guesses: Guesses
    emails: Emails
    tokens: TokenIssuer
    signals: Publisher
    cursors: Cursors
    clock: Clock
    ids: Ids
    faults: Faults
    claim_abandoned_ms: int
    renames_allowed: int
