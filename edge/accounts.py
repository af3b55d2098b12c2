"""Who logs in is answered with the account; its counts, which svc_user does not know, come from the view plane."""

from typing import Any

from aviary.user.v1 import user_pb2

from edge.routes import Route
from edge.transcoder import Finish
from views.accounts import put_counts
from views.deps import Deps
from views.present import degraded


def finisher(route: Route, deps: Deps) -> Finish | None:
    """What is still to be done with the answers of a route: those of svc_user that carry an account lack its counts."""
    if route.response_type.file.name != user_pb2.DESCRIPTOR.name or "user" not in route.response_type.fields_by_name:
        return None

    async def finish(answer: Any) -> None:
        answer.degraded.extend(degraded(await put_counts(answer.user, deps)))

    return finish
