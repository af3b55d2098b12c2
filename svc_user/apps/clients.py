"""Which app is calling, and which users may let one in; what they are let in to do is in consents.py."""

import uuid

from aviary.user.v1.user_pb2 import USER_STATUS_DELETED, USER_STATUS_SUSPENDED

from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.apps import App, is_authentic
from svc_user.errors import AccountSuspended, AppNotFound, ClientInvalid, UserNotFound


async def find_app(client_id: str, deps: Deps) -> App:
    """The app of this id. Raises AppNotFound."""
    app = (await deps.apps.get_apps([client_id])).get(client_id)
    if app is None:
        raise AppNotFound("there is no such app")
    return app


async def authenticated(client_id: str, secret: str, deps: Deps) -> App:
    """The app that shows this secret, empty for none. Raises ClientInvalid, which does not say what is wrong."""
    app = (await deps.apps.get_apps([client_id])).get(client_id)
    if app is None or not is_authentic(app, secret):
        raise ClientInvalid("the app is unknown, or its secret is wrong")
    return app


async def active_user(user_id: uuid.UUID, deps: Deps) -> User:
    """The account of this id. Raises UserNotFound, also for one that is deleted, and AccountSuspended."""
    users = await deps.store.get_users([user_id])
    if not users or users[0].status == USER_STATUS_DELETED:
        raise UserNotFound("there is no such account")
    if users[0].status == USER_STATUS_SUSPENDED:
        raise AccountSuspended("the account is suspended")
    return users[0]
