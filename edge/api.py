"""Constructor calls that make the public application out of contracts and channels; used by server.py and by tests."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import orjson
from aviary.engage.v1 import engage_pb2
from aviary.view.v1 import view_pb2
from google.protobuf.descriptor import FileDescriptor
from grpc import aio

from edge import openapi, pages
from edge.addresses import Proxies
from edge.app import App, Target
from edge.cors import Cors
from edge.json_codec.encode import Cached, Encoder
from edge.login_line import LoginLine
from edge.oauth.build import OPEN_PATHS
from edge.pages import Page
from edge.routes import Route, RouteTable, routes_of
from edge.sessions import Sessions
from edge.tarpit import Tarpit
from edge.transcoder import Endpoint, Finish
from runtime.http import OpsApp

# Up to 3 KB each, twice as many at most: a page of 20 known tweets becomes JSON in 30 us instead of 230.
_TWEETS_KEPT = 10_000
# What svc_engage knows of a tweet has the same names in what is shown of it.
_VOLATILE = tuple(field.name for field in engage_pb2.TweetCounts.DESCRIPTOR.fields if field.name != "tweet_id")

_NOTHING: Mapping[tuple[str, str], Page] = MappingProxyType({})


def public_encoder() -> Encoder:
    """JSON of everything that is shown; finished JSON of tweets but for counts and flags is kept, for pages and for the stream."""
    return Encoder({view_pb2.Tweet.DESCRIPTOR.full_name: Cached(_TWEETS_KEPT, _VOLATILE)})


def tweet_renderer(encoder: Encoder) -> Callable[[view_pb2.Tweet], bytes]:
    """Gives a whole tweet as JSON text, as a page of REST would show it."""
    encode = encoder.of(view_pb2.Tweet.DESCRIPTOR)
    return lambda tweet: orjson.dumps(encode(tweet))


def endpoints_of(
    contracts: Sequence[tuple[FileDescriptor, aio.Channel]],
    sessions: Sessions,
    encoder: Encoder,
    finisher: Callable[[Route], Finish | None] = lambda _route: None,
    line: Callable[[Route], LoginLine | None] = lambda _route: None,
) -> list[Endpoint]:
    """One endpoint for each HTTP route that the contracts state; each contract is called over its channel.

    `finisher` says what is to be done with the answers of a route before they are shown, `line` in which line its calls stand.
    """
    return [
        Endpoint(route, channel, encoder, sessions, finisher(route), line(route))
        for file, channel in contracts
        for route in routes_of(service.full_name for service in file.services_by_name.values())
    ]


def build_app(
    endpoints: Sequence[Endpoint],
    ops: OpsApp,
    oauth: Mapping[tuple[str, str], Page] = _NOTHING,
    *,
    cors_origins: Iterable[str] = (),
    max_in_flight: int = 1000,
    public_metrics: bool = True,
    trusted_proxies: Proxies = (),
    tarpit: Tarpit | None = None,
) -> App:
    """The application of the public port; `oauth` are the pages of edge/oauth by method and path."""
    routes = public_routes(endpoints, ops, oauth, public_metrics)
    return App(routes, Cors(cors_origins, OPEN_PATHS), max_in_flight, trusted_proxies, tarpit or Tarpit())


def public_routes(
    endpoints: Sequence[Endpoint],
    ops: OpsApp,
    oauth: Mapping[tuple[str, str], Page] = _NOTHING,
    public_metrics: bool = True,
) -> RouteTable[Target]:
    """Everything that the public port answers to ordinary requests; the WebSocket of the stream has its own way in."""
    table: RouteTable[Target] = RouteTable()
    for endpoint in endpoints:
        table.add(endpoint.route.verb, endpoint.route.template, endpoint)
    extra = pages.operations(ops, public_metrics) | pages.stream() | pages.documentation(openapi.document(endpoints))
    for path, page in extra.items():
        table.add("GET", path, page)
    for (verb, path), page in oauth.items():
        table.add(verb, path, page)
    return table
