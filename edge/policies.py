"""Who may use the routes that no contract states; a route of an rpc has the policy of its rpc, and one function judges both."""

from dataclasses import dataclass

from aviary.options.v1 import options_pb2


@dataclass(frozen=True, slots=True)
class Handwritten:
    """The policy of a handwritten route, in the words of the contracts."""

    name: str
    access: int
    scope: str = ""


def open_to_all(name: str) -> Handwritten:
    """The policy of a page that holds nobody's data."""
    return Handwritten(name, options_pb2.ACCESS_ANONYMOUS)


STREAM = Handwritten("the stream", options_pb2.ACCESS_USER, "read")
"""Of the WebSocket, whichever way its token comes."""
