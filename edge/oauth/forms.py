"""Requests of OAuth as Authlib reads them: queries and form-encoded bodies; what they ask for is judged in protocol.py."""

from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request

from edge.binding import parse_query
from edge.bodies import read_body
from edge.web import Request
from runtime.errors import FieldProblem, InvalidArgument

FORM = b"application/x-www-form-urlencoded"

_MAX_FIELDS = 50

Pairs = Sequence[tuple[str, str]]


class Parameters(OAuth2Payload):
    """Parameters in the order in which they came; of one that is given twice the first counts, and Authlib refuses it."""

    def __init__(self, pairs: Pairs) -> None:
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        """Each with its value."""
        return {name: values[0] for name, values in self._lists.items()}

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """Each with all of its values."""
        return self._lists


class Asked(OAuth2Request):
    """One request to a route of the protocol."""

    def __init__(self, method: str, uri: str, pairs: Pairs, headers: dict[str, str] | None = None) -> None:
        super().__init__(method, uri, headers=headers)
        self.parameters = Parameters(pairs)
        self.payload = self.parameters

    @property
    def form(self) -> dict[str, str]:
        """The parameters. A route of ours takes them from the query or from the body, never from both."""
        return self.parameters.data


def of_query(request: Request, uri: str) -> Asked:
    """What the query asks for. Raises InvalidArgument for one that is not UTF-8."""
    return Asked(request.method, uri, parse_query(request.query))


async def of_form(request: Request, uri: str) -> Asked:
    """What the body asks for; the query is none of it. Raises InvalidArgument and the failures of problems.py."""
    authorization = request.headers.get(b"authorization", b"").decode("latin-1")
    return Asked(
        request.method, uri, await read_form(request), {"Authorization": authorization} if authorization else {}
    )


async def read_form(request: Request) -> Pairs:
    """Names and values of a form-encoded body. Raises InvalidArgument and the failures of problems.py."""
    body = await read_body(request, FORM)
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        why = f"is not form-encoded UTF-8 of at most {_MAX_FIELDS} fields"
        # The text holds passwords and codes: it must not follow the failure into a log.
        raise InvalidArgument(f"the body {why}", fields=[FieldProblem("body", why)]) from None
