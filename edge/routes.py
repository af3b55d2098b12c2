"""Which target a path and method lead to; routes of rpcs come from google.api.http, nothing here is typed by hand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast
from urllib.parse import unquote

from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor

from edge.problems import MethodNotAllowed, RouteNotFound
from runtime import contract
from runtime.contract import Method

T = TypeVar("T")

_VERBS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Route:
    """One HTTP route of one rpc."""

    verb: str
    template: str
    variables: tuple[str, ...]
    takes_body: bool
    flattened: str
    """The field of the response that is the whole answer; empty for the response itself."""
    rpc: Method

    @property
    def request_type(self) -> Descriptor:
        """What the rpc takes."""
        return cast(Descriptor, self.rpc.request.DESCRIPTOR)

    @property
    def response_type(self) -> Descriptor:
        """What the rpc answers."""
        return cast(Descriptor, self.rpc.response.DESCRIPTOR)

    @property
    def shown_type(self) -> Descriptor:
        """What the client sees of the answer. Raises ValueError when the contract names something that is no message."""
        if not self.flattened:
            return self.response_type
        shown = self.response_type.fields_by_name[self.flattened].message_type
        if shown is None:
            raise ValueError(f"{self.rpc.path}: {self.flattened} is not a message")
        return shown


@dataclass(slots=True)
class _Node(Generic[T]):
    """A place in the tree of path segments."""

    static: dict[str, "_Node[T]"] = field(default_factory=dict)
    variable: "_Node[T] | None" = None
    targets: dict[str, T] = field(default_factory=dict)


class RouteTable(Generic[T]):
    """Finds the target of a path. A static segment wins over a variable wherever both lead to a target."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, verb: str, template: str, target: T) -> None:
        """Add a target. Raises ValueError when the place is taken or the template is more than segments and {name}s."""
        node = self._root
        for segment in template.removeprefix("/").split("/"):
            if "{" in segment or "}" in segment:
                if segment[0] != "{" or segment[-1] != "}" or not segment[1:-1].isidentifier():
                    raise ValueError(f"{template}: only whole segments may be variables")
                node.variable = node = node.variable or _Node()
            else:
                node = node.static.setdefault(segment, _Node())
        if verb in node.targets:
            raise ValueError(f"{verb} {template} is taken")
        node.targets[verb] = target

    def find(self, verb: str, raw_path: bytes) -> tuple[T, list[str]]:
        """The target and the values of the path's variables in order. HEAD finds what GET does.

        Raises RouteNotFound or MethodNotAllowed.
        """
        node, values = self._place(raw_path)
        target = node.targets.get("GET" if verb == "HEAD" else verb)
        if target is None:
            raise MethodNotAllowed(verb, _methods(node))
        return target, values

    def __iter__(self) -> Iterator[tuple[str, str, T]]:
        """Every target with its method and path, sorted by path."""
        return _below(self._root, "")

    def methods(self, raw_path: bytes) -> tuple[str, ...]:
        """What may be done at a path, OPTIONS included. Raises RouteNotFound."""
        return _methods(self._place(raw_path)[0])

    def _place(self, raw_path: bytes) -> tuple[_Node[T], list[str]]:
        try:
            segments = [unquote(s, errors="strict") for s in raw_path.decode("ascii").removeprefix("/").split("/")]
        except UnicodeDecodeError:
            raise RouteNotFound("the path is not UTF-8") from None
        found = _walk(self._root, segments, 0)
        if found is None:
            raise RouteNotFound("there is nothing at this path; /docs shows what there is")
        return found


def _walk(node: _Node[T], segments: list[str], at: int) -> tuple[_Node[T], list[str]] | None:
    if at == len(segments):
        return (node, []) if node.targets else None
    segment = segments[at]
    if (static := node.static.get(segment)) is not None and (found := _walk(static, segments, at + 1)) is not None:
        return found
    if node.variable is None or not segment:
        return None
    rest = _walk(node.variable, segments, at + 1)
    return None if rest is None else (rest[0], [segment, *rest[1]])


def _below(node: _Node[T], path: str) -> Iterator[tuple[str, str, T]]:
    for verb, target in sorted(node.targets.items()):
        yield verb, path, target
    for segment, static in sorted(node.static.items()):
        yield from _below(static, f"{path}/{segment}")
    if node.variable is not None:
        yield from _below(node.variable, path + "/{}")


def _methods(node: _Node[T]) -> tuple[str, ...]:
    head = ("HEAD",) if "GET" in node.targets else ()
    return (*sorted(node.targets), *head, "OPTIONS")


def routes_of(services: Iterable[str]) -> list[Route]:
    """Every HTTP route of the services, by their full names, in the order of their files."""
    return [route for name in services for rpc in contract.methods(name) for route in _routes(rpc)]


def _routes(rpc: Method) -> Iterator[Route]:
    if rpc.http is None:
        return
    for rule in (rpc.http, *rpc.http.additional_bindings):
        verb, template = _pattern(rpc, rule)
        if rule.body not in ("", "*"):
            raise ValueError(f"{rpc.path}: a body is the whole message or nothing")
        variables = tuple(segment[1:-1] for segment in template.split("/") if segment.startswith("{"))
        yield Route(verb.upper(), template, variables, rule.body == "*", rule.response_body, rpc)


def _pattern(rpc: Method, rule: HttpRule) -> tuple[str, str]:
    verb = rule.WhichOneof("pattern")
    if verb not in _VERBS:
        raise ValueError(f"{rpc.path}: {verb} is no HTTP method that the edge serves")
    return verb, getattr(rule, verb)
