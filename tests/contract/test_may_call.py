"""Each service opens channels to those only that the one declaration lets it call."""

import re

import pytest

from runtime.config import MAY_ASSERT_USERS
from tests.contract.contracts import sources
from tools.may_call import MAY_CALL, opened_by

SERVICES = ("user", "graph", "tweet", "timeline", "engage", "edge")
PRODUCTION = ("svc_user", "svc_graph", "svc_tweet", "svc_timeline", "svc_engage", "views", "edge", "readers")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_calls_those_only_that_it_may(service: str) -> None:
    folder = "edge" if service == "edge" else f"svc_{service}"
    assert opened_by(sources(folder)[f"{folder}/server.py"]) <= set(MAY_CALL[service])


def test_channels_are_opened_where_a_service_is_built_and_with_its_certificate() -> None:
    """Only the process knows the certificate: a channel of any other making would be without."""
    texts = sources(*PRODUCTION)
    assert not [path for path, text in texts.items() if "open_channel(" in text and not path.endswith("/server.py")]
    assert not [path for path, text in texts.items() if re.search(r"(?<!process\.)open_channel\(", text)]


def test_nobody_is_called_back_by_whom_it_calls() -> None:
    """Deadlines and start orders rest on it: what is called is called by somebody above it only."""
    done: set[str] = set()
    waiting = dict(MAY_CALL)
    while ready := [name for name, called in waiting.items() if set(called) - {"view"} <= done]:
        done |= set(ready)
        for name in ready:
            del waiting[name]
    assert not waiting


def test_who_calls_others_may_do_so_for_users_but_for_admin_and_nobody_else_may() -> None:
    assert {name for name, called in MAY_CALL.items() if called} - {"admin"} == MAY_ASSERT_USERS


def test_what_a_module_opens_is_read_from_its_contracts() -> None:
    source = "from aviary.user.v1 import user_pb2\nfrom aviary.tweet.v1 import tweet_pb2 as pb\n"
    assert opened_by(f"{source}process.open_channel(a, user_pb2.DESCRIPTOR)\nopen_channel(b, s, pb.DESCRIPTOR)") == {
        "user",
        "tweet",
    }
    with pytest.raises(ValueError, match="line 3"):
        opened_by(f"{source}process.open_channel(a)")
