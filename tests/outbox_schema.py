"""The tables of an outbox, taken from a service that owns one, so that tests use what services use."""

from pathlib import Path

from cql_client.migrations import statements

_OWNER = Path(__file__).parent.parent / "svc_tweet" / "schema" / "0001_tweets.cql"


def _tables() -> str:
    return ";\n".join(s for s in statements(_OWNER.read_text(encoding="utf-8")) if "EXISTS outbox" in s)


OUTBOX_TABLES = _tables()
