"""What accounts announce; they react to nothing."""

from aviary.user.v1.events_pb2 import AccountChange, AccountChanged, UserRegistered

from runtime.ids import derived, ms_of
from svc_user.domain.accounts import User


def user_registered(user: User) -> UserRegistered:
    """The announcement of a new account. The same account gives the same message, event id included."""
    event = UserRegistered(
        event_id=derived(UserRegistered.DESCRIPTOR.full_name, user.user_id.bytes), user_id=user.user_id.bytes
    )
    event.occurred_at.FromMilliseconds(ms_of(user.user_id.bytes))
    return event


def account_changed(user: User) -> AccountChanged:
    """The announcement of an account as a change left it. The same version gives the same message, event id included."""
    event = AccountChanged(
        event_id=derived(AccountChanged.DESCRIPTOR.full_name, user.user_id.bytes, user.version.to_bytes(8)),
        user_id=user.user_id.bytes,
        version=user.version,
        status=user.status,
        limited=user.limited,
        status_version=user.status_us,
        limited_version=user.limited_us,
    )
    event.occurred_at.FromMicroseconds(user.version)
    return event


def account_change(user: User) -> AccountChange:
    """What caches and edges are told at once of an account as it is now."""
    return AccountChange(
        user_id=user.user_id.bytes,
        version=user.changed_us,
        status=user.status,
        limited=user.limited,
        role=user.role,
        status_version=user.status_us,
        limited_version=user.limited_us,
        role_version=user.role_us,
    )
