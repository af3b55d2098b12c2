"""Calls of svc_user for the routes of OAuth, which act for nobody who is signed in; what the answers mean is said where they are used."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aviary.user.v1 import apps_pb2, reason_pb2
from aviary.user.v1.apps_pb2_grpc import AppServiceAsyncStub
from google.protobuf.message import Message
from grpc import aio

from edge.web import Request
from runtime.context import NOBODY, acting
from runtime.contract import method
from runtime.errors import ServiceError, from_rpc, named

M = TypeVar("M", bound=Message)
A = TypeVar("A", bound=Message)

APP_NOT_FOUND = named(reason_pb2.Reason, reason_pb2.REASON_APP_NOT_FOUND)
_SERVICE = apps_pb2.DESCRIPTOR.services_by_name["AppService"]
_LONGEST_ID = 64
_WITHIN_S = max(method(f"/{_SERVICE.full_name}/{rpc.name}").deadline_s for rpc in _SERVICE.methods)


async def answer_of(call: Callable[[M], Awaitable[A]], message: M, request: Request) -> A:
    """The answer of an rpc. Raises ServiceError."""
    try:
        with acting(NOBODY, _WITHIN_S, request.trace):
            return await call(message)
    except aio.AioRpcError as error:
        raise from_rpc(error) from error


async def find_app(apps: AppServiceAsyncStub, client_id: str | None, request: Request) -> apps_pb2.App | None:
    """The app of this id, None when there is none. Raises ServiceError."""
    if not client_id or len(client_id) > _LONGEST_ID:
        return None
    try:
        return (await answer_of(apps.GetApp, apps_pb2.GetAppRequest(client_id=client_id), request)).app
    except ServiceError as error:
        if error.reason == APP_NOT_FOUND:
            return None
        raise
