"""The people and tweets that benchmarks of likes use."""

import httpx

from bench import people
from bench.driver import Target, likes
from bench.orders import Liked, LikeOrder
from bench.stage import Stage
from stack.ports import HOST

_TWEETS = 20


class Scene:
    """The people and tweets of a run."""

    def __init__(self, likers: list[people.Member], tweets: list[str], watched: list[str]) -> None:
        self.likers, self.tweets, self.watched = likers, tweets, watched

    @classmethod
    async def set_up(cls, stage: Stage) -> "Scene":
        """New people, one of whom posts everything, and likes until nothing gets quicker any more."""
        sizes = stage.sizes
        likers = await people.register(stage.client, sizes.likers)
        ids = [await _post(stage.client, likers[0].token, n) for n in range(_TWEETS + sizes.watched)]
        await stage.settle()
        scene = cls(likers, ids[:_TWEETS], ids[_TWEETS:])
        await scene.liked(stage, sizes.likes_warm_s)
        return scene

    async def liked(self, stage: Stage, seconds: float, *, watching: bool = False) -> tuple[Liked, dict[str, float]]:
        """Likes at the edge at the usual rate; what those who like saw, and the CPU seconds that were used meanwhile."""
        edge, rate = Target(HOST, stage.http_port, stage.meter), stage.sizes.likes_a_second
        return await likes(self.order(edge, round(rate * seconds), rate, watching=watching), edge.meter)

    def order(self, target: Target, count: int, rate: float, *, watching: bool) -> LikeOrder:
        """Likes of the tweets, and of those that are watched when somebody is to watch."""
        tokens = [liker.token for liker in self.likers]
        watched = self.watched if watching else []
        return LikeOrder(
            target.host, target.port, tokens, self.tweets, tokens[-1], watched, max(10, count // 4), count, rate
        )


async def _post(client: httpx.AsyncClient, token: str, number: int) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.post("/api/v1/tweets", json={"content": f"number {number}"}, headers=headers)
    return str(answer.raise_for_status().json()["tweet_id"])
