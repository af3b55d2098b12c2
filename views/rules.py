"""What a viewer may see: pure rules over hydrated items, the same for REST and the stream. Nothing here loads anything."""

from collections.abc import Callable, Sequence

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


def drop_unfollowed(items: list[Item], state: State) -> list[Item]:
    """Hide tweets of people whom the viewer does not follow; the viewer's own stay."""
    follows, viewer = state.follows, state.viewer
    return [i for i in items if i[1] in follows or i[1] == viewer]


def visible(items: list[Item], state: State, rules: Sequence[Rule]) -> list[Item]:
    """The items that every rule keeps, in their order."""
    for rule in rules:
        items = rule(items, state)
    return items
