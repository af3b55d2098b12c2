"""What a viewer may see: pure rules over hydrated items, the same for REST and the stream. Nothing here loads anything."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from accounts import Account
from relations.snapshot import Sight
from views.items import Item, State

Rule = Callable[[list[Item], State], list[Item]]


def drop_dangling(items: list[Item], state: State) -> list[Item]:
    """Hide entries whose tweet or author does not exist: one bad entry never breaks a page."""
    tweets, authors = state.tweets, state.authors
    return [i for i in items if (t := tweets.get(i[0])) and t.author_id == i[1] and i[1] in authors]


def drop_deleted(items: list[Item], state: State) -> list[Item]:
    """Hide tweets that their author deleted. A tweet without a known status counts as not deleted; hydration asks before."""
    tweets, deleted = state.tweets, state.deleted
    return [i for i in items if i[0] not in deleted and not ((t := tweets.get(i[0])) and t.deleted)]


def drop_suspended(items: list[Item], state: State) -> list[Item]:
    """Hide tweets of accounts that are suspended or deleted, from everybody."""
    hidden = {key for key, author in state.authors.items() if author.hidden}
    return [i for i in items if i[1] not in hidden] if hidden else items


def drop_apart(items: list[Item], state: State) -> list[Item]:
    """Hide tweets of people whom the viewer blocks, and of those who block the viewer."""
    apart = state.sight.apart
    return [i for i in items if i[1] not in apart] if apart else items


def drop_muted(items: list[Item], state: State) -> list[Item]:
    """Hide tweets of people whom the viewer mutes: where others chose what is listed."""
    muted = state.sight.muted
    return [i for i in items if i[1] not in muted] if muted else items


def drop_unfollowed(items: list[Item], state: State) -> list[Item]:
    """Hide tweets of people whom the viewer does not follow; the viewer's own stay.

    Whoever is limited is shown to followers alone, which in a home are all.
    """
    follows, viewer = state.sight.follows, state.viewer
    return [i for i in items if i[1] in follows or i[1] == viewer]


HOME_RULES: Sequence[Rule] = (drop_deleted, drop_dangling, drop_suspended, drop_apart, drop_muted, drop_unfollowed)
"""What homes and streams show."""
NAMED_RULES: Sequence[Rule] = (drop_deleted, drop_dangling, drop_suspended, drop_apart)
"""What is shown to who asked for it: by its id, by its author, by an own bookmark. Who muted somebody may look all the same."""
LIKED_RULES: Sequence[Rule] = (*NAMED_RULES, drop_muted)
"""What is shown of what somebody else likes."""


def shown_people(ids: Iterable[bytes], users: Mapping[bytes, Account], sight: Sight, muted: bool) -> list[Account]:
    """The accounts of a list of people that the viewer may see, in its order; `muted`: with those whom the viewer mutes."""
    apart, left_out = sight.apart, frozenset() if muted else sight.muted
    found = ((key, users.get(key)) for key in ids)
    return [u for key, u in found if u is not None and not u.hidden and key not in apart and key not in left_out]


def visible(items: list[Item], state: State, rules: Sequence[Rule]) -> list[Item]:
    """The items that every rule keeps, in their order."""
    for rule in rules:
        items = rule(items, state)
    return items
