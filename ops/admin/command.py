"""The `admin` subcommand: makes accounts with a role, and sets status, limitation and badge of others."""

import argparse
import asyncio
import getpass
import os
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import reason_pb2, user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from grpc import aio

from ops import running
from ops.mesh import open_to
from runtime.errors import Unavailable, from_rpc, named
from stack.errors import StackError

PASSWORD = "AVIARY_ADMIN_PASSWORD"
_USERNAME = re.compile(r"[A-Za-z0-9_]{1,15}")
ROLES = {"admin": mesh_pb2.ROLE_ADMIN, "moderator": mesh_pb2.ROLE_MODERATOR}


@dataclass(frozen=True)
class Action:
    """What is set by one word, and what it means."""

    state: Mapping[str, Any]
    summary: str


ACTIONS = {
    "suspend": Action(
        {"status": user_pb2.USER_STATUS_SUSPENDED},
        "its owner may do nothing, and nobody sees what it said; logins and streams end within seconds",
    ),
    "reinstate": Action({"status": user_pb2.USER_STATUS_ACTIVE}, "the end of a suspension; everything is seen again"),
    "limit": Action({"limited": True}, "hold it back from people who do not follow it"),
    "unlimit": Action({"limited": False}, "the end of a limitation"),
    "verify": Action({"verified": True}, "give it the badge"),
    "unverify": Action({"verified": False}, "take the badge back"),
}

_ADVICE = {
    reason_pb2.REASON_USERNAME_TAKEN: (
        "somebody else has the username, or a creation of it was cut off within the last ten minutes;"
        " an account that is there gets the role only with its own e-mail address and password"
    ),
    reason_pb2.REASON_EMAIL_TAKEN: "another account has the e-mail address",
    reason_pb2.REASON_PASSWORD_TOO_COMMON: "the password is among the most common ones: choose another",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(["create", *ACTIONS]))
    text = (
        "Make an account with a role, or give the role to the one that has username, e-mail address and password already."
        f" The password is asked for; without a terminal it is read from {PASSWORD} or from standard input."
    )
    create = actions.add_parser("create", help="an account with a role; once more changes nothing", description=text)
    create.add_argument("username", help="3 to 15 of A-Z a-z 0-9 _; reserved names are allowed")
    create.add_argument("--email", required=True)
    create.add_argument("--role", choices=sorted(ROLES), default="admin")
    for name, action in ACTIONS.items():
        other = actions.add_parser(name, help=action.summary, description=action.summary)
        other.add_argument("account", help="username, with or without @, or user id")


def run(arguments: argparse.Namespace) -> int:
    """Do it in the stack that the environment names, else in the one that runs in AVIARY_HOME; 0, or StackError."""
    environment = mesh_environment(os.environ)
    work = create if arguments.action == "create" else set_state
    try:
        print(asyncio.run(work(arguments, environment)), flush=True)
    except aio.AioRpcError as error:
        raise StackError(explained(error)) from error
    return 0


def mesh_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Where svc_user is and what proves who calls. Raises StackError when nobody says."""
    if environment.get("AVIARY_USER_ADDRESS") and environment.get("AVIARY_MESH_KEY"):
        return environment
    stack = running.load()
    if stack.http_url is None:
        raise StackError("only the servers run in this home: start the services with `aviary up`")
    return stack.environment()


async def create(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """Make the account; what to say of it."""
    request = user_pb2.CreateAdminRequest(
        username=arguments.username, email=arguments.email, password=password(), role=ROLES[arguments.role]
    )
    async with open_to(environment, "user", "admin") as channel:
        answer = await UserServiceStub(channel).CreateAdmin(request)
    done = "made" if answer.created else "was there; it has the role now"
    return f"{arguments.role} {arguments.username} ({uuid.UUID(bytes=answer.user_id)}): {done}"


async def set_state(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """Set it; how the account stands now."""
    async with open_to(environment, "user", "admin") as channel:
        users = UserServiceStub(channel)
        user_id = await account_id(arguments.account, users)
        state = ACTIONS[arguments.action].state
        answer = await users.SetAccountState(user_pb2.SetAccountStateRequest(user_id=user_id, **state))
    user = answer.user
    status = user_pb2.UserStatus.Name(user.status).removeprefix("USER_STATUS_")
    flags = [name for name in ("limited", "verified") if getattr(user, name)]
    return f"@{user.username} ({user.user_id}): {', '.join([status, *flags])}"


async def account_id(account: str, users: Any) -> bytes:
    """The id of an account that is named by its id or username. Raises StackError when it is neither, or nobody has the name."""
    try:
        return uuid.UUID(account).bytes
    except ValueError:
        name = account.removeprefix("@")
    if not _USERNAME.fullmatch(name):
        raise StackError(f"{account!r} is neither a username nor the id of an account")
    found = await users.ResolveUsernames(user_pb2.ResolveUsernamesRequest(usernames=[name]))
    if not found.users:
        raise StackError(f"nobody is called @{name}")
    user_id: bytes = found.users[0].user_id
    return user_id


def password() -> str:
    """The password for a new account: from the environment, from a prompt, or the first line of what is piped in."""
    if given := os.environ.get(PASSWORD):
        return given
    if not sys.stdin.isatty():
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise StackError(f"no password: set {PASSWORD}, pipe it in, or run this in a terminal")
        return line
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Once more: "):
        raise StackError("the two passwords differ: nothing was done")
    return first


def explained(error: aio.AioRpcError) -> str:
    """What went wrong, in words that say what to do."""
    failure = from_rpc(error)
    for value, advice in _ADVICE.items():
        if failure.reason == named(reason_pb2.Reason, value):
            return advice
    if isinstance(failure, Unavailable):
        return f"svc_user does not answer ({failure.detail}): see `aviary ps`"
    problems = "; ".join(f"{field.field} {field.message}" for field in failure.fields)
    return problems or f"{failure.detail} ({failure.reason})"
