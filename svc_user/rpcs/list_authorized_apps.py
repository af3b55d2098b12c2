"""ListAuthorizedApps: the apps that the caller let in."""

import uuid

from aviary.user.v1.apps_pb2 import ListAuthorizedAppsRequest, ListAuthorizedAppsResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.apps import consent_view, latest_first, position

_ROUTE = ListAuthorizedAppsRequest.DESCRIPTOR.full_name


async def list_authorized_apps(
    request: ListAuthorizedAppsRequest, caller: Caller, deps: Deps
) -> ListAuthorizedAppsResponse:
    """A page of them, latest first: a user lets in as many as passwords were typed, so all are read. Fails with INVALID_CURSOR.

    One whose withdrawal was cut off is still shown: its owner may press again.
    """
    user_id = caller.user_id
    after = deps.cursors.open(request.cursor, _ROUTE, user_id, user_id) if request.HasField("cursor") else None
    consents = latest_first(await deps.apps.list_consents(uuid.UUID(bytes=user_id)))
    rest = [consent for consent in consents if after is None or position(consent) < after]
    page = rest[: request.limit]
    apps = await deps.apps.get_apps([consent.client_id for consent in page])
    answer = ListAuthorizedAppsResponse(
        apps=[consent_view(consent, apps[consent.client_id].name) for consent in page],
        has_more=len(rest) > len(page),
    )
    if answer.has_more:
        answer.next_cursor = deps.cursors.seal(_ROUTE, user_id, user_id, position(page[-1]))
    return answer
