"""A token is worth what its login is worth: signals are believed, silence is asked about, and nobody is let in on a guess (P42)."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1.events_pb2 import AccountChange, AccountSignal

from edge.auth import TokenInvalid
from edge.sessions import AWAY_S, FRESH_S, AccountSuspended, Sessions
from runtime.context import APP_SCOPES
from runtime.errors import Unavailable
from runtime.ids import SystemClock
from signals.publisher import SILENCE_NOTICED_S
from tests.monotonic import Monotonic
from tests.unit.edge.logins import ACTIVE, DELETED, SUSPENDED, Logins, asking
from tests.waiting import until

ALICE, BOB = uuid.uuid4().bytes, uuid.uuid4().bytes


class Edge:
    """Beliefs of one edge, the clock that they go by, and svc_user."""

    def __init__(self, sessions: Sessions, logins: Logins, clock: Monotonic) -> None:
        self.sessions = sessions
        self.logins = logins
        self.clock = clock
        self.told: list[tuple[bytes, str]] = []
        sessions.watch(lambda who, reason: self.told.append((who, reason)))

    async def hear(self) -> None:
        """svc_user has been heard for long enough, and is heard now."""
        for _ in range(3):
            await self.sessions.heard(self.logins.heartbeat())
            self.clock.advance(0.4)
        await self.sessions.heard(self.logins.heartbeat())

    def questions(self) -> int:
        return len(self.logins.asked)


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    logins, clock = Logins(), Monotonic()
    async with asking(logins.sessions(SystemClock(), clock)) as sessions:
        yield Edge(sessions, logins, clock)


async def test_a_login_is_asked_about_once_while_svc_user_is_heard(edge: Edge) -> None:
    await edge.hear()
    token, session_id = edge.logins.token(ALICE)
    for _ in range(5):
        assert (await edge.sessions.admit(token)).caller.session_id == session_id
        edge.clock.advance(0.5)
        await edge.sessions.heard(edge.logins.heartbeat())
    edge.clock.advance(-0.5)
    assert edge.questions() == 1


async def test_first_sights_at_the_same_time_are_one_question(edge: Edge) -> None:
    tokens = [edge.logins.token(ALICE)[0] for _ in range(20)]
    grants = await asyncio.gather(*(edge.sessions.admit(token) for token in tokens * 2))
    assert len(grants) == 40 and [len(asked) for asked in edge.logins.asked] == [20]


async def test_an_end_that_is_heard_is_the_end_at_once(edge: Edge) -> None:
    """P42"""
    await edge.hear()
    (token, login), (other, _) = edge.logins.token(ALICE), edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    await edge.sessions.admit(other)
    await edge.sessions.heard(edge.logins.end(login))
    with pytest.raises(TokenInvalid):
        await edge.sessions.admit(token)
    await edge.sessions.admit(other)
    assert edge.told == [(login, "TOKEN_INVALID")]
    assert edge.questions() == 2, "what has ended is never asked about"


async def test_a_login_that_ended_before_it_was_ever_seen_is_refused(edge: Edge) -> None:
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    edge.logins.end(login)
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            await edge.sessions.admit(token)
    assert edge.questions() == 1


@pytest.mark.parametrize(("status", "refusal"), [(SUSPENDED, AccountSuspended), (DELETED, TokenInvalid)])
async def test_an_account_that_may_do_nothing_is_refused_with_every_login(
    edge: Edge, status: int, refusal: type[Exception]
) -> None:
    """Promise 10"""
    await edge.hear()
    tokens = [edge.logins.token(ALICE)[0] for _ in range(2)]
    bob, _ = edge.logins.token(BOB)
    for token in (*tokens, bob):
        await edge.sessions.admit(token)
    await edge.sessions.heard(edge.logins.change(ALICE, status))
    unseen, _ = edge.logins.token(ALICE)
    for token in (*tokens, unseen):
        with pytest.raises(refusal):
            await edge.sessions.admit(token)
    await edge.sessions.admit(bob)
    assert edge.told[0] == (ALICE, refusal.reason)


async def test_a_reinstated_account_is_let_in_again(edge: Edge) -> None:
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    await edge.sessions.heard(edge.logins.change(ALICE, SUSPENDED))
    with pytest.raises(AccountSuspended):
        await edge.sessions.admit(token)
    await edge.sessions.heard(edge.logins.change(ALICE, ACTIVE))
    assert (await edge.sessions.admit(token)).caller.user_id == ALICE


async def test_the_role_is_the_accounts_present_one_and_an_app_has_none(edge: Edge) -> None:
    await edge.hear()
    (token, _), (app, _) = edge.logins.token(ALICE), edge.logins.token(ALICE, scopes=APP_SCOPES)
    assert (await edge.sessions.admit(token)).caller.role == mesh_pb2.ROLE_UNSPECIFIED
    await edge.sessions.heard(edge.logins.change(ALICE, role=mesh_pb2.ROLE_ADMIN))
    assert (await edge.sessions.admit(token)).caller.role == mesh_pb2.ROLE_ADMIN
    assert (await edge.sessions.admit(app)).caller.role == mesh_pb2.ROLE_UNSPECIFIED
    await edge.sessions.heard(edge.logins.change(ALICE))
    assert (await edge.sessions.admit(token)).caller.role == mesh_pb2.ROLE_UNSPECIFIED


async def test_in_silence_what_was_said_before_an_end_is_believed_no_longer_than_the_end_is_kept_back(
    edge: Edge,
) -> None:
    """P42, promise 10: no signal comes, and svc_user answers that the login has ended only after a second."""
    assert FRESH_S < SILENCE_NOTICED_S
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    edge.logins.end(login)
    edge.clock.advance(FRESH_S - 0.01)
    await edge.sessions.admit(token)
    assert edge.questions() == 1
    edge.clock.advance(0.02)
    with pytest.raises(TokenInvalid):
        await edge.sessions.admit(token)
    assert edge.told == [(login, "TOKEN_INVALID")]


async def test_a_gap_in_the_signals_makes_every_login_be_asked_about_again(edge: Edge) -> None:
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    for _ in range(8):
        edge.clock.advance(0.5)
        await edge.sessions.heard(edge.logins.heartbeat())
    edge.logins.end(login)
    await edge.sessions.heard(edge.logins.heartbeat())
    with pytest.raises(TokenInvalid):
        await edge.sessions.admit(token)


async def test_while_svc_user_is_away_known_logins_go_on_and_unknown_ones_do_not(edge: Edge) -> None:
    """Promise 9"""
    await edge.hear()
    known, _ = edge.logins.token(ALICE)
    unknown, _ = edge.logins.token(ALICE)
    await edge.sessions.admit(known)
    edge.logins.away = True
    for _ in range(5):
        edge.clock.advance(60)
        await edge.sessions.admit(known)
    with pytest.raises(Unavailable):
        await edge.sessions.admit(unknown)
    edge.logins.away = False
    await until(lambda: admitted(edge, unknown))


async def test_whoever_comes_while_svc_user_is_away_waits_for_one_question_only(edge: Edge) -> None:
    edge.logins.away = True
    tokens = [edge.logins.token(ALICE)[0] for _ in range(900)]
    results = await asyncio.gather(*(edge.sessions.admit(token) for token in tokens), return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable} and edge.questions() == 1


async def admitted(edge: Edge, token: str) -> bool:
    try:
        await edge.sessions.admit(token)
    except Unavailable:
        return False
    return True


async def test_a_svc_user_that_hangs_holds_a_known_login_up_once_and_shortly(edge: Edge) -> None:
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    edge.logins.hold = asyncio.Event()
    edge.clock.advance(60)
    await edge.sessions.admit(token)
    assert edge.sessions._questions, "it was let in before there was an answer"
    await until(lambda: not edge.sessions._questions)
    with pytest.raises(StopIteration):
        # Once svc_user is known not to answer nobody waits for it: this ends without giving way to anything.
        edge.sessions.admit(token).send(None)


async def test_an_end_that_svc_user_could_not_tell_is_known_once_it_answers_again(edge: Edge) -> None:
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    edge.logins.away = True
    edge.clock.advance(60)
    await edge.sessions.admit(token)
    edge.logins.end(login)
    edge.logins.away = False

    async def refused() -> bool:
        try:
            await edge.sessions.admit(token)
        except TokenInvalid:
            return True
        return False

    await until(refused)


async def test_that_svc_user_did_not_answer_long_ago_lets_nobody_in_unasked(edge: Edge) -> None:
    """P42: nothing was asked since, so it may have been back for long."""
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    edge.logins.away = True
    edge.clock.advance(60)
    await edge.sessions.admit(token)
    edge.logins.away = False
    edge.logins.end(login)
    edge.clock.advance(AWAY_S + 0.01)
    with pytest.raises(TokenInvalid):
        await edge.sessions.admit(token)


async def test_an_answer_from_before_an_end_does_not_bring_the_login_back(edge: Edge) -> None:
    """The answer was read, the end was heard, the answer arrived."""
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    edge.logins.hold = asyncio.Event()
    asked = asyncio.create_task(edge.sessions.admit(token))
    await edge.logins.reached.wait()
    await edge.sessions.heard(edge.logins.end(login))
    edge.logins.hold.set()
    for attempt in (asked, edge.sessions.admit(token)):
        with pytest.raises(TokenInvalid):
            await attempt


async def test_an_answer_is_of_the_epoch_in_which_it_was_asked_for(edge: Edge) -> None:
    """The answer was read, the login ended, its signal was lost, the gap was noticed, the answer arrived."""
    await edge.hear()
    token, login = edge.logins.token(ALICE)
    edge.logins.hold = asyncio.Event()
    asked = asyncio.create_task(edge.sessions.admit(token))
    await edge.logins.reached.wait()
    edge.logins.end(login)
    await edge.sessions.heard(edge.logins.heartbeat())
    edge.logins.hold.set()
    await asked
    for _ in range(6):
        edge.clock.advance(0.5)
        await edge.sessions.heard(edge.logins.heartbeat())
    with pytest.raises(TokenInvalid):
        await edge.sessions.admit(token)


async def test_an_answer_from_before_a_suspension_is_asked_again(edge: Edge) -> None:
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    edge.logins.hold = asyncio.Event()
    asked = asyncio.create_task(edge.sessions.admit(token))
    await edge.logins.reached.wait()
    await edge.sessions.heard(edge.logins.change(ALICE, SUSPENDED))
    edge.logins.hold.set()
    with pytest.raises(AccountSuspended):
        await asked
    assert edge.questions() == 2


async def test_a_suspension_heard_while_svc_user_is_away_holds(edge: Edge) -> None:
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    signal = edge.logins.change(ALICE, SUSPENDED)
    edge.logins.away = True
    await edge.sessions.heard(signal)
    with pytest.raises(AccountSuspended):
        await edge.sessions.admit(token)


async def test_a_later_change_that_did_not_know_of_a_suspension_does_not_undo_it(edge: Edge) -> None:
    """Somebody's profile was read before the suspension and stored after it; and told of before a reinstatement, told after it."""
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    [suspended] = edge.logins.change(ALICE, SUSPENDED, role=mesh_pb2.ROLE_ADMIN).changes
    [reinstated] = edge.logins.change(ALICE, ACTIVE).changes
    edge.logins.away = True

    async def hear(change: AccountChange) -> None:
        edge.told.clear()
        await edge.sessions.heard(AccountSignal(publisher_id=b"p" * 16, sequence=1, changes=[change]))

    def profile(like: AccountChange) -> AccountChange:
        """A change of something else, later, by who saw that of the states."""
        changed = AccountChange()
        changed.CopyFrom(like)
        changed.version += 100
        return changed

    await hear(suspended)
    await hear(profile(AccountChange(user_id=ALICE, status=ACTIVE)))
    with pytest.raises(AccountSuspended):
        await edge.sessions.admit(token)
    await hear(reinstated)
    await hear(profile(suspended))
    assert edge.told == [] and (await edge.sessions.admit(token)).caller.role == mesh_pb2.ROLE_UNSPECIFIED


async def test_signals_in_the_wrong_order_leave_what_svc_user_says(edge: Edge) -> None:
    """Two processes of it changed the account; the earlier change is heard last."""
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    await edge.sessions.admit(token)
    [earlier] = edge.logins.change(ALICE, ACTIVE, role=mesh_pb2.ROLE_ADMIN).changes
    [later] = edge.logins.change(ALICE, SUSPENDED).changes
    for sequence, change in ((1, later), (2, earlier)):
        await edge.sessions.heard(AccountSignal(publisher_id=b"p" * 16, sequence=sequence, changes=[change]))
        with pytest.raises(AccountSuspended):
            await edge.sessions.admit(token)
    edge.logins.away = True
    await edge.sessions.heard(AccountSignal(publisher_id=b"p" * 16, sequence=3, changes=[earlier]))
    with pytest.raises(AccountSuspended):
        await edge.sessions.admit(token)


async def test_a_signal_that_comes_after_a_later_answer_changes_nothing(edge: Edge) -> None:
    await edge.hear()
    token, _ = edge.logins.token(ALICE)
    early = edge.logins.change(ALICE, ACTIVE)
    edge.logins.change(ALICE, SUSPENDED)
    with pytest.raises(AccountSuspended):
        await edge.sessions.admit(token)
    await edge.sessions.heard(early)
    with pytest.raises(AccountSuspended):
        await edge.sessions.admit(token)


async def test_open_streams_are_asked_about_together_when_nothing_vouches_for_their_logins(edge: Edge) -> None:
    """P42: in silence nobody's request shows that a socket's login has ended."""
    await edge.hear()
    sessions = []
    for _ in range(900):
        token, session_id = edge.logins.token(ALICE)
        sessions.append(session_id)
        await edge.sessions.admit(token)
    edge.logins.asked.clear()
    edge.sessions.check(sessions)
    assert not edge.sessions._questions, "svc_user is heard: its word stands"
    edge.logins.end(*sessions[:2])
    edge.clock.advance(FRESH_S + 0.01)
    edge.sessions.check(sessions)
    await until(lambda: len(edge.told) == 2)
    assert edge.told == [(each, "TOKEN_INVALID") for each in sessions[:2]]
    assert [len(asked) for asked in edge.logins.asked] == [400, 400, 100]


async def test_a_login_that_was_forgotten_for_want_of_room_is_asked_about_again() -> None:
    logins, clock = Logins(), Monotonic()
    async with asking(logins.sessions(SystemClock(), clock, remembered=3)) as sessions:
        edge = Edge(sessions, logins, clock)
        await edge.hear()
        several = [logins.token(uuid.uuid4().bytes)[0] for _ in range(4)]
        for token in (*several, several[-1], several[0]):
            await sessions.admit(token)
        assert edge.questions() == 5
        assert len(sessions._logins) == len(sessions._of) == 3


async def test_a_first_sight_is_asked_before_what_can_wait(edge: Edge) -> None:
    """A thousand open sockets that are asked about again hold nobody up who comes in."""
    sessions = [edge.logins.token(ALICE)[1] for _ in range(800)]
    token, session_id = edge.logins.token(BOB)
    edge.sessions.check(sessions)
    await edge.sessions.admit(token)
    assert session_id in edge.logins.asked[0]
