"""Families of refresh tokens against a model that says the rule and nothing else, through races, crashes, ends and lost answers (P41)."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

from aviary.user.v1.events_pb2 import UserRegistered
from aviary.user.v1.user_pb2 import ChangePasswordRequest, LogoutRequest, RefreshTokenRequest, RegisterResponse
from grpc import aio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from runtime.context import acting
from runtime.errors import from_rpc
from runtime.faults import NO_FAULTS
from svc_user.domain.logins import ROTATIONS_A_GRACE
from tests.unit.svc_user.logins import log_in, owner, states
from tests.unit.svc_user.world import PASSWORD, CallAt, World

T = TypeVar("T")
MINUTE_MS = 60_000


class Model:
    """Generation n stays valid until n+1 has been used once, and a minute longer; later use ends the family."""

    def __init__(self, now_ms: int) -> None:
        self.issued_ms = [now_ms]
        self.ended = False

    def present(self, generation: int, now_ms: int) -> str:
        """What comes of a token: the reason of a refusal, or nothing."""
        # A generation is used for the first time when the next one is issued.
        uses = self.issued_ms[1:]
        if not self.ended and generation + 1 < len(uses):
            self.ended = now_ms >= uses[generation + 1] + MINUTE_MS
        if self.ended:
            return "REFRESH_TOKEN_INVALID"
        if generation == len(self.issued_ms) - 1:
            if sum(now_ms < ms + MINUTE_MS for ms in self.issued_ms) >= ROTATIONS_A_GRACE:
                return "TOO_MANY_LOGINS"
            self.issued_ms.append(now_ms)
        return ""


class Families(RuleBasedStateMachine):
    """One login, used by clients that lose answers, race each other, and keep old tokens."""

    world: World
    model: Model
    login: RegisterResponse
    password: str
    family: uuid.UUID

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it on this machine's loop."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Let the loop go."""
        self.runner.close()

    @initialize(ahead=st.sampled_from([0, 3, ROTATIONS_A_GRACE - 2]))
    def rotated_before(self, ahead: int) -> None:
        """A family of some generations."""
        for _ in range(ahead):
            self.refresh(0)

    @rule(back=st.integers(0, 6))
    def refresh(self, back: int) -> None:
        """Somebody has a token that is so many generations old."""
        generation = max(0, len(self.model.issued_ms) - 1 - back)
        expected = self.model.present(generation, self.world.clock.ms)
        assert self.run(self._refreshed(generation)) == expected

    @rule(back=st.integers(0, 4))
    def refresh_ten_times_at_once(self, back: int) -> None:
        """P41: they share a successor, or are all refused."""
        generation = max(0, len(self.model.issued_ms) - 1 - back)
        first = self.model.present(generation, self.world.clock.ms)
        expected = {first} if first else {self.model.present(generation, self.world.clock.ms)}
        assert set(self.run(self._together(generation))) == expected

    @rule(back=st.integers(0, 2), before=st.booleans())
    def refresh_and_die(self, back: int, before: bool) -> None:
        """The process dies around the write of the next generation; the client has no answer."""
        generation = max(0, len(self.model.issued_ms) - 1 - back)
        if not before or back:
            self.model.present(generation, self.world.clock.ms)
        point = "user.refresh.before_rotation" if before else "user.refresh.after_rotation"
        self.world.change(faults=CallAt(point, _die))
        self.run(self._refreshed(generation))
        self.world.change(faults=NO_FAULTS)

    @rule(ms=st.sampled_from([1, MINUTE_MS // 3, MINUTE_MS - 1, MINUTE_MS]))
    def wait(self, ms: int) -> None:
        """Time goes by."""
        self.world.clock.ms += ms

    @rule(other=st.integers(0, 9))
    def change_the_password(self, other: int) -> None:
        """From another login it ends this one, from this one it does not. Seldom, or no family would grow old."""
        self.world.clock.ms += 1
        if other == 0 or self.model.ended:
            caller = owner(self.run(log_in(self.world, password=self.password)))
            self.model.ended = True
        else:
            caller = owner(self.login)
        old, self.password = self.password, f"{PASSWORD} {self.world.clock.ms}"
        with_new = ChangePasswordRequest(current_password=old, new_password=self.password)
        self.run(self._as(caller, lambda: self.world.users.ChangePassword(with_new)))

    @rule(really=st.integers(0, 9))
    def log_out(self, really: int) -> None:
        """The family ends for ever; seldom, too."""
        if really:
            return
        self.run(self._as(owner(self.login), lambda: self.world.users.Logout(LogoutRequest())))
        self.model.ended = True

    @rule()
    def edges_are_told_the_same(self) -> None:
        """What lets access tokens in agrees with what refreshes them."""
        assert bool(self.run(states(self.world, self.login))) is not self.model.ended

    async def _begin(self) -> None:
        self.world = World()
        await self.world.bus.declare([UserRegistered])
        self.password = PASSWORD
        self.login = await self.world.register("alice")
        self.family = self.world.deps.tokens.open_refresh(self.login.refresh_token).session_id
        self.model = Model(self.world.clock.ms)

    async def _refreshed(self, generation: int) -> str:
        """The reason of a refusal, or nothing when the answer holds the generation after the token's."""
        token = self.world.deps.tokens.refresh_token(self.family, generation)
        try:
            answer = await self.world.users.RefreshToken(RefreshTokenRequest(refresh_token=token))
        except aio.AioRpcError as error:
            return from_rpc(error).reason
        assert answer.refresh_token == self.world.deps.tokens.refresh_token(self.family, generation + 1)
        return ""

    async def _together(self, generation: int) -> list[str]:
        return await asyncio.gather(*(self._refreshed(generation) for _ in range(10)))

    async def _as(self, caller: Any, call: Any) -> None:
        with acting(caller):
            await call()


def _die() -> None:
    raise RuntimeError("killed")


def test_families_do_what_their_rule_says() -> None:
    run_state_machine_as_test(Families, settings=settings(max_examples=15, stateful_step_count=25, deadline=None))
