"""What users let apps do: given, given again, taken back with all that followed from it; a code for it is in codes.py."""

import uuid
from dataclasses import replace

from svc_user.deps import Deps
from svc_user.domain.apps import App, Consent, consented
from svc_user.sessions import end_sessions


async def let_in(user_id: uuid.UUID, app: App, scopes: tuple[str, ...], deps: Deps) -> Consent:
    """Record that a user lets an app in. A withdrawal that was cut off is finished first, so that nothing older comes back to life."""
    fresh = Consent(user_id, app.client_id, deps.ids.next(), 0, scopes, deps.clock.now_ms())
    while True:
        before = await deps.apps.get_consent(user_id, app.client_id)
        if before is not None and before.withdrawn:
            await _finish(before, deps)
            continue
        after = consented(before, fresh)
        if await deps.apps.put_consent(before, after):
            return after


async def withdraw(user_id: uuid.UUID, client_id: str, deps: Deps) -> None:
    """Take back what a user let an app do: its codes and logins have ended when this returns. Once more changes nothing.

    Marked first, then ended, then removed: whoever dies in between leaves a mark, under which no code is exchanged and no login
    is refreshed, and which the list still shows, so that its owner may press again.
    """
    while (before := await deps.apps.get_consent(user_id, client_id)) is not None:
        after = replace(before, withdrawn=True, revision=before.revision + 1)
        if before.withdrawn or await deps.apps.put_consent(before, after):
            deps.faults.at("user.withdraw.after_mark")
            await _finish(before if before.withdrawn else after, deps)
            return


async def _finish(marked: Consent, deps: Deps) -> None:
    """End the logins of a withdrawn consent, then forget it. Whoever makes one meanwhile looks for the mark after making it."""
    listed = await deps.logins.list_sessions(marked.user_id)
    ending = [session.session_id for session in listed if session.client_id == marked.client_id]
    await end_sessions(marked.user_id, ending, deps)
    await deps.apps.delete_consent(marked)
