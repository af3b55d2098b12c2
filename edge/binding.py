"""Where each field of a request message comes from in HTTP: path, query, body, header, address; rules about values are the guard's."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from edge.bodies import read_json
from edge.json_codec.decode import MAX_PROBLEMS, Decoder
from edge.json_codec.scalars import Refused, from_text
from edge.routes import Route
from edge.web import Request
from runtime.contract import field_options
from runtime.errors import FieldProblem, InvalidArgument

_MAX_PARAMETERS = 100
_OF_PROGRAMS = ("User-Agent",)
"""Headers that programs send by themselves: none, an empty or an endless one is no fault of who makes the request."""
_PROGRAM_CHARACTERS = 256


class Binding:
    """Makes the request message of one route.

    Fields that name the caller are taken from query and body alike: clients disagree about where to put them.
    """

    def __init__(self, route: Route) -> None:
        rpc = route.rpc
        fields = route.request_type.fields_by_name
        self._message = rpc.request
        elsewhere = dict.fromkeys(route.variables, "is given by the path")
        elsewhere |= {name: f"is given by the header {header}" for name, header in rpc.headers}
        self._addresses = [name for name, field in fields.items() if field_options(field).client_address]
        elsewhere |= dict.fromkeys(self._addresses, "is the address that the request comes from")
        free = [name for name in fields if name not in elsewhere]
        callers = [name for name in free if name in rpc.caller_fields]
        in_query = callers if route.takes_body else free
        in_body = free if route.takes_body else callers if route.verb != "GET" else []
        self._variables = [_Text(fields[name]) for name in route.variables]
        self._headers = [(header, header.lower().encode(), _Text(fields[name])) for name, header in rpc.headers]
        self.query = {name: fields[name] for name in in_query}
        self._query = {name: _Text(field) for name, field in self.query.items()}
        self.body = {name: fields[name] for name in in_body}
        self._shared = [name for name in callers if name in in_query and name in in_body]
        self._reads_body = route.verb != "GET"
        unasked = {name: "is not taken from the body here" for name in free if name not in in_body}
        self._decoder = Decoder(route.request_type, elsewhere | unasked)

    async def message(self, request: Request, values: Sequence[str]) -> Message:
        """The request message. Raises InvalidArgument that names every field which cannot be taken."""
        message = self._message()
        problems: list[FieldProblem] = []
        for text, value in zip(self._variables, values, strict=True):
            text.fill(message, [value], problems)
        if request.query:
            self._fill_query(message, request.query, problems)
        for header, key, text in self._headers:
            self._fill_header(message, request, header, key, text, problems)
        for name in self._addresses:
            setattr(message, name, request.client_address())
        if self._reads_body:
            given = [name for name in self._shared if message.HasField(name)]
            body = await read_json(request)
            if isinstance(body, dict):
                problems += [FieldProblem(name, "is given twice, in query and body") for name in given if name in body]
            self._decoder.fill(message, body, "", problems)
        if problems:
            raise refusal(problems[:MAX_PROBLEMS])
        return message

    def _fill_query(self, message: Message, query: bytes, problems: list[FieldProblem]) -> None:
        values: dict[str, list[str]] = {}
        for name, value in parse_query(query):
            values.setdefault(name, []).append(value)
        for name, given in values.items():
            text = self._query.get(name)
            if text is None:
                known = ", ".join(self._query) or "none"
                problems.append(FieldProblem(name[:200], f"is no parameter of this route; known are: {known}"))
            else:
                text.fill(message, given, problems)

    @staticmethod
    def _fill_header(
        message: Message, request: Request, header: str, key: bytes, text: "_Text", problems: list[FieldProblem]
    ) -> None:
        values = [value.decode("latin-1") for name, value in request.raw_headers if name == key]
        if header in _OF_PROGRAMS:
            text.fill(message, ["".join(values[-1:])[:_PROGRAM_CHARACTERS]], problems, header)
        elif values == [""]:
            problems.append(FieldProblem(header, "must not be empty"))
        elif values:
            text.fill(message, values, problems, header)


class _Text:
    """Fills one field from texts."""

    def __init__(self, field: FieldDescriptor) -> None:
        self._name = field.name
        self._convert = from_text(field)
        self._repeated = field.is_repeated

    def fill(self, message: Message, texts: list[str], problems: list[FieldProblem], name: str = "") -> None:
        """Set the field; a list takes values separated by commas, too."""
        try:
            if self._repeated:
                items = [item for text in texts for item in text.split(",") if item]
                getattr(message, self._name).extend([self._convert(item) for item in items])
            elif len(texts) > 1:
                raise Refused("is given more than once")
            else:
                setattr(message, self._name, self._convert(texts[0]))
        except Refused as refused:
            problems.append(FieldProblem(name or self._name, str(refused)))


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """Names and values of a query string, in order. Raises InvalidArgument for one that is not UTF-8 or too long."""
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeError:
        why = "is not UTF-8, percent-encoded"
    except ValueError:
        why = f"has more than {_MAX_PARAMETERS} parameters"
    raise InvalidArgument(f"the query {why}", fields=[FieldProblem("query", why)])


def refusal(problems: Sequence[FieldProblem]) -> InvalidArgument:
    """One failure for several fields."""
    return InvalidArgument("; ".join(f"{p.field}: {p.message}" for p in problems), fields=problems)
