"""What accounts announce; they react to nothing."""

from aviary.user.v1.events_pb2 import UserRegistered

from runtime.ids import derived, ms_of
from svc_user.domain.accounts import User


def user_registered(user: User) -> UserRegistered:
    """The announcement of a new account. The same account gives the same message, event id included."""
    event = UserRegistered(
        event_id=derived(UserRegistered.DESCRIPTOR.full_name, user.user_id.bytes), user_id=user.user_id.bytes
    )
    event.occurred_at.FromMilliseconds(ms_of(user.user_id.bytes))
    return event
