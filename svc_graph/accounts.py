"""What svc_graph demands of accounts that somebody wants to follow, block or mute. What is known of accounts is in accounts/."""

import uuid
from collections.abc import Collection, Iterable

from accounts import Accounts
from svc_graph.errors import AccountNotFound, FolloweeNotFound


class KnownAccounts:
    """The demands. Each raises Unavailable while svc_user does not answer and one of the accounts is not known."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def ensure_followable(self, user_ids: Iterable[uuid.UUID]) -> None:
        """Raise FolloweeNotFound, naming one, unless every account is there to be followed; a suspended one is not."""
        wanted = set(user_ids)
        hidden = wanted - await self.visible_among(wanted)
        if hidden:
            raise FolloweeNotFound("there is no such account", followee_id=min(hidden))

    async def ensure_exists(self, user_id: uuid.UUID) -> None:
        """Raise AccountNotFound unless the account exists; it may be suspended."""
        account = (await self._accounts.get([user_id.bytes])).get(user_id.bytes)
        if account is None or account.deleted:
            raise AccountNotFound("there is no such account", user_id=user_id)

    async def visible_among(self, user_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Those that exist and are not suspended."""
        found = await self._accounts.get([user_id.bytes for user_id in user_ids])
        return {uuid.UUID(bytes=key) for key, account in found.items() if not account.hidden}
