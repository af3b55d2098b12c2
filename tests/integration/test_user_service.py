"""svc_user as a real process on real servers: it answers, it survives being killed at its fault points, it logs nobody's data."""

import asyncio
import base64
import dataclasses
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from aviary.mesh.v1.mesh_pb2 import GetBacklogRequest
from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceStub
from aviary.user.v1 import user_pb2
from aviary.user.v1.apps_pb2 import RegisterAppRequest, RevokeAppTokenRequest
from aviary.user.v1.apps_pb2_grpc import AppServiceStub
from aviary.user.v1.events_pb2 import AccountChanged, UserRegistered
from aviary.user.v1.user_pb2 import (
    GetAccountRequest,
    LoginRequest,
    RefreshTokenRequest,
    RegisterRequest,
    ResolveUsernamesRequest,
    SetAccountStateRequest,
    UpdateAccountRequest,
)
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grpc import aio

from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import MeshConfig, Secret
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import from_rpc
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, uuid7_of
from runtime.service import check_peer
from simulation.bus import MemoryBus
from stack.ports import pick_free
from svc_user.domain.names import Claim, username_key
from svc_user.emails import Emails
from svc_user.store import SCHEMA, CqlUserStore

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90
PASSWORD = "correct horse battery"
EMAIL_KEY = "33" * 32
TEN_MINUTES_MS = 600_000


class Service:
    """A process of svc_user that can be killed and started again."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        grpc_port, metrics_port = pick_free(2)
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.environment = {
            **os.environ,
            **environment,
            "AVIARY_USER_PORT": str(grpc_port),
            "AVIARY_USER_METRICS_PORT": str(metrics_port),
            "AVIARY_USER_EMAIL_KEY": EMAIL_KEY,
            "AVIARY_USER_REFRESH_KEY": "44" * 32,
            "AVIARY_USER_SIGNING_KEY": base64.b64encode(pem).decode(),
            "AVIARY_OUTBOX_RELAY_AGES_S": "0.2,0.5,1",
            "AVIARY_FAULT_DIR": str(folder),
        }
        self.folder = folder
        self.log = folder / "svc_user.log"
        signer = CallerSigner(Secret(bytes.fromhex(environment["AVIARY_MESH_KEY"])), "tests", SystemClock())
        self.channel = open_channel(f"127.0.0.1:{grpc_port}", signer, user_pb2.DESCRIPTOR)
        self.users: Any = UserServiceStub(self.channel)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "svc_user.server"]
            self.process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        await until(self._ready)

    async def killed(self) -> None:
        """Wait until a fault point has killed the process."""
        assert await self._end() == -signal.SIGKILL

    async def stop(self) -> int | None:
        """Ask it to stop; how it ended."""
        if self.process is None or self.process.returncode is not None:
            return None
        self.process.terminate()
        return await self._end()

    async def register(self, username: str, email: str) -> user_pb2.RegisterResponse:
        request = RegisterRequest(username=username, email=email, password=PASSWORD)
        answer: user_pb2.RegisterResponse = await self.users.Register(request)
        return answer

    async def _end(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log.read_text()
        try:
            await check_peer(self.channel)
        except (aio.AioRpcError, RuntimeError):
            return False
        return True


@pytest_asyncio.fixture(scope="module")
async def service(mesh_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    service = Service(mesh_env, tmp_path_factory.mktemp("svc_user"))
    try:
        await service.start()
        yield service
        assert await service.stop() == 0, service.log.read_text()
    finally:
        await service.stop()
        await service.channel.close()


@pytest_asyncio.fixture(scope="module")
async def store(mesh_config: MeshConfig, service: Service) -> AsyncIterator[CqlUserStore]:
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="user"), SCHEMA)
    yield CqlUserStore(cql, Outbox(CqlOutboxTable(cql, SystemClock()), MemoryBus(), SystemClock(), NO_FAULTS))
    await cql.close()


def a_name() -> tuple[str, str]:
    name = f"u{uuid.uuid4().hex[:12]}"
    return name, f"{name}@example.org"


async def test_an_account_is_registered_logged_in_refreshed_and_read(service: Service) -> None:
    name, email = a_name()
    registered = await service.register(name, email)
    by_email = await service.users.Login(LoginRequest(login=email.upper(), password=PASSWORD))
    refreshed = await service.users.RefreshToken(RefreshTokenRequest(refresh_token=by_email.refresh_token))
    owner = Caller(user_id=uuid.UUID(registered.user.user_id).bytes, scopes=ALL_SCOPES)
    with acting(owner):
        account = await service.users.GetAccount(GetAccountRequest())
    assert registered.user == by_email.user == refreshed.user == account.user
    assert account.user.email == email


async def test_of_twenty_who_want_one_username_at_once_exactly_one_gets_it(service: Service) -> None:
    name, _ = a_name()
    attempts = [service.register(name, a_name()[1]) for _ in range(20)]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    reasons = [from_rpc(answer).reason for answer in answers if isinstance(answer, aio.AioRpcError)]
    assert reasons == ["USERNAME_TAKEN"] * 19


async def test_ten_parallel_refreshes_share_a_successor(service: Service) -> None:
    """P41."""
    token = (await service.register(*a_name())).refresh_token
    calls = [service.users.RefreshToken(RefreshTokenRequest(refresh_token=token)) for _ in range(10)]
    assert len({(await call).refresh_token for call in calls}) == 1


async def test_names_claimed_by_a_process_that_was_killed_are_free_again_after_ten_minutes(
    service: Service, store: CqlUserStore
) -> None:
    name, email = a_name()
    (service.folder / "user.register.after_claims").write_text("")
    with pytest.raises(aio.AioRpcError):
        await service.register(name, email)
    await service.killed()
    await service.start()
    with pytest.raises(aio.AioRpcError) as raised:
        await service.register(name, email)
    assert from_rpc(raised.value).reason == "USERNAME_TAKEN"
    for key in (username_key(name), Emails(Secret(bytes.fromhex(EMAIL_KEY))).claim_key(email)):
        await age_by_ten_minutes(store, key)
    answer = await service.register(name, email)
    assert (await service.users.Login(LoginRequest(login=name, password=PASSWORD))).user == answer.user


async def test_an_account_whose_process_was_killed_before_it_announced_is_whole_and_announced(
    service: Service, mesh_env: dict[str, str]
) -> None:
    name, email = a_name()
    (service.folder / "user.register.after_batch").write_text("")
    with pytest.raises(aio.AioRpcError):
        await service.register(name, email)
    await service.killed()
    await service.start()
    answer = await service.users.Login(LoginRequest(login=name, password=PASSWORD))
    backlog: Any = MeshServiceStub(service.channel)

    async def drained() -> bool:
        return not (await backlog.GetBacklog(GetBacklogRequest())).outbox_rows

    await until(drained)
    assert uuid.UUID(answer.user.user_id).bytes in await announced(mesh_env)


async def test_a_rename_that_was_killed_at_any_write_is_done_by_the_next_try_and_no_name_is_lost(
    service: Service,
) -> None:
    for point in ("user.rename.after_claims", "user.rename.after_holds", "user.change.after_batch"):
        (old, email), (new, _) = a_name(), a_name()
        alice = uuid.UUID((await service.register(old, email)).user.user_id).bytes
        (service.folder / point).write_text("")
        with pytest.raises(aio.AioRpcError):
            await rename(service, alice, new)
        await service.killed()
        await service.start()
        done = point == "user.change.after_batch"
        assert await bearers(service, old, new) == {new if done else old: alice}, point
        for name in (old, new):
            with pytest.raises(aio.AioRpcError) as raised:
                await service.register(name, a_name()[1])
            assert from_rpc(raised.value).reason == "USERNAME_TAKEN", point
        assert await rename(service, alice, new) == new
        assert await bearers(service, old, new) == {new: alice}, point


async def test_the_new_name_of_a_rename_that_was_killed_is_free_after_ten_minutes_and_the_old_one_is_not(
    service: Service, store: CqlUserStore
) -> None:
    (old, email), (new, other_email) = a_name(), a_name()
    alice = uuid.UUID((await service.register(old, email)).user.user_id).bytes
    (service.folder / "user.rename.after_holds").write_text("")
    with pytest.raises(aio.AioRpcError):
        await rename(service, alice, new)
    await service.killed()
    await service.start()
    for name in (old, new):
        await age_by_ten_minutes(store, username_key(name))
    other = uuid.UUID((await service.register(new, other_email)).user.user_id).bytes
    with pytest.raises(aio.AioRpcError) as raised:
        await service.register(old, a_name()[1])
    assert from_rpc(raised.value).reason == "USERNAME_TAKEN"
    assert await bearers(service, old, new) == {old: alice, new: other}


async def test_a_change_whose_process_was_killed_before_it_announced_is_announced(
    service: Service, mesh_env: dict[str, str]
) -> None:
    alice = uuid.UUID((await service.register(*a_name())).user.user_id).bytes
    (service.folder / "user.change.after_batch").write_text("")
    with pytest.raises(aio.AioRpcError), acting(Caller(service="tests")):
        request = SetAccountStateRequest(user_id=alice, status=user_pb2.USER_STATUS_SUSPENDED)
        await service.users.SetAccountState(request)
    await service.killed()
    await service.start()
    backlog: Any = MeshServiceStub(service.channel)

    async def drained() -> bool:
        return not (await backlog.GetBacklog(GetBacklogRequest())).outbox_rows

    await until(drained)
    assert alice in await announced(mesh_env, AccountChanged, "changed")


@pytest.mark.parametrize("point", ["user.app.after_claim", "user.app.after_store"])
async def test_an_app_whose_registration_was_killed_at_any_write_is_the_app_of_the_retry(
    service: Service, point: str
) -> None:
    """Promise 7, P37: one app, and the secret that is told is the one that holds."""
    apps: Any = AppServiceStub(service.channel)
    alice = Caller(user_id=uuid.UUID((await service.register(*a_name())).user.user_id).bytes, scopes=ALL_SCOPES)
    request = RegisterAppRequest(
        name="Chirper",
        redirect_uris=["https://app.example/"],
        scopes=["read"],
        confidential=True,
        idempotency_key=uuid.uuid4().hex,
    )
    (service.folder / point).write_text("")
    with acting(alice), pytest.raises(aio.AioRpcError):
        await apps.RegisterApp(request)
    await service.killed()
    restarted_ms = SystemClock().now_ms()
    await service.start()
    with acting(alice):
        made = [await apps.RegisterApp(request) for _ in range(2)]
        request.name = "Other"
        with pytest.raises(aio.AioRpcError) as refused:
            await apps.RegisterApp(request)
    assert made[0] == made[1]
    assert made[0].created_at.ToMilliseconds() <= restarted_ms, "the retry made another app"
    assert from_rpc(refused.value).reason == "IDEMPOTENCY_KEY_REUSED"
    with acting(Caller(service="edge")):
        app = RevokeAppTokenRequest(client_id=made[0].client_id, client_secret=made[0].client_secret, token="none")
        await apps.RevokeAppToken(app)


async def test_fifty_parallel_changes_of_one_account_end_in_one_state_with_one_name(service: Service) -> None:
    alice = uuid.UUID((await service.register(*a_name())).user.user_id).bytes
    names = [a_name()[0] for _ in range(3)]

    async def change(number: int) -> None:
        fields = {"username": names[number % 3]} if number % 5 == 0 else {"bio": str(number)}
        with acting(Caller(user_id=alice, scopes=ALL_SCOPES)):
            await service.users.UpdateAccount(UpdateAccountRequest(**fields))

    await asyncio.gather(*(change(number) for number in range(50)), return_exceptions=True)
    found = await bearers(service, *names)
    assert list(found.values()) == [alice]
    with acting(Caller(user_id=alice, scopes=ALL_SCOPES)):
        seen = [(await service.users.GetAccount(GetAccountRequest())).user for _ in range(3)]
    assert seen == [seen[0]] * 3
    assert [seen[0].username] == list(found)


def test_the_log_of_all_this_names_nobody(service: Service) -> None:
    log = service.log.read_text()
    assert "serving" in log
    assert "example.org" not in log
    assert PASSWORD not in log


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition of another process, which can only be asked again and again."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - no event of ours can be set there
            await asyncio.sleep(0.05)


async def age_by_ten_minutes(store: CqlUserStore, key: bytes) -> None:
    """Replace a claim by one that was made ten minutes before."""
    claim = (await store.claims([key]))[key]
    if claim.until_ms is None:
        aged = Claim(uuid7_of(claim.claimed_at_ms - TEN_MINUTES_MS, claim.user_id.int))
    else:
        aged = dataclasses.replace(claim, until_ms=claim.until_ms - TEN_MINUTES_MS)
    assert await store.take_over(key, claim, aged) == aged


async def rename(service: Service, user_id: bytes, username: str) -> str:
    """Give an account another username, as its owner; the one it has then."""
    with acting(Caller(user_id=user_id, scopes=ALL_SCOPES)):
        answer = await service.users.UpdateAccount(UpdateAccountRequest(username=username))
    name: str = answer.user.username
    return name


async def bearers(service: Service, *names: str) -> dict[str, bytes]:
    """Whose the names are now."""
    answer = await service.users.ResolveUsernames(ResolveUsernamesRequest(usernames=names))
    return {found.username: found.user_id for found in answer.users}


async def announced(
    mesh_env: dict[str, str],
    kind: type[UserRegistered] | type[AccountChanged] = UserRegistered,
    name: str = "registered",
) -> set[bytes]:
    """The accounts of which the stream holds an announcement."""
    client = await nats.connect(mesh_env["AVIARY_NATS_URL"])
    try:
        subscription = await client.jetstream().pull_subscribe(f"{mesh_env['AVIARY_NAMESPACE']}.users.v1.{name}.*")
        messages = await subscription.fetch(1000, timeout=5)
        return {kind.FromString(message.data).user_id for message in messages}
    finally:
        await client.close()
