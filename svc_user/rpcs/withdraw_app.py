"""WithdrawApp: the caller takes back what an app was let in to do."""

import uuid

from aviary.user.v1.apps_pb2 import WithdrawAppRequest, WithdrawAppResponse

from runtime.context import Caller
from svc_user.apps.consents import withdraw
from svc_user.deps import Deps


async def withdraw_app(request: WithdrawAppRequest, caller: Caller, deps: Deps) -> WithdrawAppResponse:
    """End the app's codes and logins of the caller, and forget the consent; not having let it in changes nothing."""
    await withdraw(uuid.UUID(bytes=caller.user_id), request.client_id, deps)
    return WithdrawAppResponse()
