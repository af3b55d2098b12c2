"""What a login is, what its refresh tokens lead to and what voids it; what tokens look like is in tokens.py."""

import uuid
from dataclasses import dataclass, replace
from enum import Enum, auto

from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from runtime.context import ALL_SCOPES, Caller
from runtime.errors import FieldProblem, InvalidArgument
from runtime.ids import ms_of

REFRESH_GRACE_MS = 60_000
"""How long a refresh token still works after the one that replaced it was used."""

ROTATIONS_A_GRACE = 30
"""So often a login is rotated within the grace at most: of each the time is kept, so that the rule above is kept to the millisecond."""

LOGINS_AN_ACCOUNT = 200
"""So many logins an account has at most; one more ends the one that was used longest ago."""

NO_LOGIN = bytes(16)
"""The id of no login: of a service that acts for a user who has none."""

_CLIENT = 200
_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class Session:
    """A login and its family of refresh tokens, of which `generation` is the newest issued, at `rotated_at_ms`.

    `earlier_ms` are the times at which the generations before it were issued, newest last, as far back as one still decides about
    a token. `client` and `address` are where it was last used from, as far as known. `client_id` is the app it was granted to, empty
    for a login of one's own. `password_us` says under which password it began (see `Standing`).
    """

    session_id: uuid.UUID
    user_id: uuid.UUID
    generation: int
    rotated_at_ms: int
    earlier_ms: tuple[int, ...] = ()
    last_seen_ms: int = 0
    client: str = ""
    address: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ALL_SCOPES
    password_us: int = 0

    @property
    def created_at_ms(self) -> int:
        """When it began."""
        return ms_of(self.session_id.bytes)

    def seen(self, now_ms: int, client: str, address: str) -> "Session":
        """The login when it was used at this time by this client; what a client does not say of itself stays as it was."""
        return replace(
            self,
            last_seen_ms=max(now_ms, self.last_seen_ms),
            client=shown(client, _CLIENT) or self.client,
            address=shown(address, _ADDRESS) or self.address,
        )

    def rotated(self, now_ms: int) -> "Session":
        """The login with its next generation. Time does not go back in a family, whatever the clocks of processes say."""
        now_ms = max(now_ms, self.rotated_at_ms)
        issued = (*self.earlier_ms, self.rotated_at_ms)
        return replace(
            self,
            generation=self.generation + 1,
            rotated_at_ms=now_ms,
            earlier_ms=tuple(ms for ms in issued if now_ms < ms + REFRESH_GRACE_MS),
        )


@dataclass(frozen=True, slots=True)
class Password:
    """The hash of an account's password and when it was set, in microseconds: 0 while it is the one of the registration."""

    hash: str
    changed_us: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What of an account its logins depend on.

    A login that began under an earlier password than that of `password_us` has ended, unless it is `kept_login`: the one that
    changed the password. So a single write ends them all, however many there are and whoever dies meanwhile.
    """

    user_id: uuid.UUID
    status: "user_pb2.UserStatus.ValueType"
    role: "mesh_pb2.Role.ValueType"
    password_us: int = 0
    kept_login: uuid.UUID | None = None

    def keeps(self, session: Session) -> bool:
        """Whether the account's password lets the login go on."""
        return session.password_us >= self.password_us or session.session_id == self.kept_login


class Refresh(Enum):
    """What a presented refresh token leads to."""

    ROTATE = auto()
    """It is the newest: issue the next one."""
    REPEAT = auto()
    """It was exchanged before and still works: answer with the same successor again."""
    END = auto()
    """It was exchanged long ago, so somebody has a stolen copy: the login ends."""


def judge_refresh(presented: int, session: Session, now_ms: int) -> Refresh:
    """What generation `presented` leads to. It works until its successor was used once, and REFRESH_GRACE_MS longer.

    The answer is always generation `presented + 1`: whoever asks, and however often, gets the same token.
    """
    age = session.generation - presented
    if age == 0:
        return Refresh.ROTATE
    if age == 1:
        return Refresh.REPEAT
    # Its successor was used when the generation after that was issued: the newest one for age 2, one earlier for age 3 …
    issued = (*session.earlier_ms, session.rotated_at_ms)
    if 2 <= age <= len(issued) + 1 and now_ms < issued[1 - age] + REFRESH_GRACE_MS:
        return Refresh.REPEAT
    return Refresh.END


def may_rotate_in_ms(session: Session, now_ms: int) -> int:
    """How long the next rotation must wait, 0 for not at all, so that no more than ROTATIONS_A_GRACE times have to be kept."""
    if len(session.earlier_ms) < ROTATIONS_A_GRACE - 1:
        return 0
    return max(0, session.earlier_ms[1 - ROTATIONS_A_GRACE] + REFRESH_GRACE_MS - now_ms)


def no_own_login() -> InvalidArgument:
    """What to raise when a request to end a login names none of the caller's; why not is not said."""
    problem = FieldProblem("refresh_token", "must be a refresh token of your own")
    return InvalidArgument("no login of yours is meant", fields=[problem])


def latest_used_first(session: Session) -> tuple[int, bytes]:
    """The sort key of lists of logins."""
    return -session.last_seen_ms, session.session_id.bytes


def session_view(session: Session, caller: Caller) -> user_pb2.Session:
    """A login as its owner sees it; what is not known of it is absent."""
    view = user_pb2.Session(
        session_id=str(session.session_id),
        client=session.client or None,
        ip=session.address or None,
        current=session.session_id.bytes == caller.session_id,
        client_id=session.client_id or None,
    )
    view.created_at.FromMilliseconds(session.created_at_ms)
    view.last_seen_at.FromMilliseconds(session.last_seen_ms)
    return view


def shown(text: str, most: int) -> str:
    """What a client says of itself, as it may be shown: bounded, on one line."""
    return "".join(c for c in text if c.isprintable())[:most].strip()
