"""What is slow or away is asked again for a bounded time; who gives up says which rpc it was."""

from typing import Any

import pytest
from aviary.tweet.v1.tweet_pb2 import GetTweetsRequest, GetTweetsResponse, StoredTweet
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from grpc import StatusCode

from ops.patience import CallFailed, Patience, Patient
from runtime.channel import rpc_error
from runtime.context import Caller, acting, current_caller
from tests.monotonic import Monotonic

ANSWER = GetTweetsResponse(tweets=[StoredTweet(tweet_id=b"x" * 16)])
SLOW, AWAY = StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAVAILABLE


class Service:
    """The other end of a channel: it fails as it is told, then answers; each try takes a second."""

    def __init__(self, *failures: StatusCode) -> None:
        self.failures = list(failures)
        self.monotonic = Monotonic()
        self.callers: list[Caller] = []
        self.pauses: list[float] = []

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        return self._asked

    def stub(self, patience_s: float) -> Any:
        patient: Any = Patient(self, Patience(patience_s, self.monotonic, self._sleep))  # type: ignore[arg-type]
        return TweetServiceStub(patient)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.monotonic.advance(seconds)

    def _asked(self, _request: GetTweetsRequest) -> Any:
        self.callers.append(current_caller())

        async def answer() -> GetTweetsResponse:
            self.monotonic.advance(1)
            if self.failures:
                raise rpc_error(self.failures.pop(0), "not now", None)
            return ANSWER

        return answer()


async def test_what_is_slow_or_away_is_asked_again_after_growing_pauses_until_it_answers() -> None:
    service = Service(SLOW, AWAY, SLOW, SLOW, AWAY, AWAY)
    assert await service.stub(60).GetTweets(GetTweetsRequest()) == ANSWER
    assert service.pauses == [0.25, 0.5, 1, 2, 4, 4]


async def test_who_gives_up_after_a_time_names_the_rpc_the_tries_and_the_cause() -> None:
    service = Service(*[SLOW] * 100)
    began = service.monotonic()
    with pytest.raises(CallFailed) as raised:
        await service.stub(10).GetTweets(GetTweetsRequest())
    assert str(raised.value) == "TweetService.GetTweets failed at each of 5 tries: DEADLINE_EXCEEDED: not now"
    assert raised.value.code() is SLOW
    assert service.monotonic() - began <= 10 + 1


@pytest.mark.parametrize("patience_s", [0, 60])
async def test_what_no_repetition_mends_is_asked_once(patience_s: float) -> None:
    service = Service(StatusCode.PERMISSION_DENIED)
    with pytest.raises(CallFailed, match=r"^TweetService\.GetTweets failed: INTERNAL: not now$"):
        await service.stub(patience_s).GetTweets(GetTweetsRequest())
    assert len(service.callers) == 1


async def test_without_patience_everything_is_asked_once() -> None:
    service = Service(SLOW)
    with pytest.raises(CallFailed):
        await service.stub(0).GetTweets(GetTweetsRequest())
    assert (len(service.callers), service.pauses) == (1, [])


async def test_every_try_is_made_for_the_caller_for_whom_the_call_was_made() -> None:
    service, caller = Service(SLOW, SLOW), Caller(user_id=b"u" * 16)
    with acting(caller):
        call = service.stub(60).GetTweets(GetTweetsRequest())
    assert await call == ANSWER
    assert service.callers == [caller] * 3
