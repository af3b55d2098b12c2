"""What a process of svc_graph is told; the only module of the service that names variables."""

from collections.abc import Mapping
from dataclasses import dataclass

from cursors import parse_keys
from runtime.config import Env, MeshConfig, Secret, address
from svc_graph.activity import ActivityLimits
from svc_graph.forgetting import KEPT_S
from svc_graph.levels_cql import LevelLimits
from svc_graph.limits import STANCES
from svc_graph.stances import BLOCK, MUTE, Relation


@dataclass(frozen=True)
class Config:
    """Configuration of svc_graph."""

    mesh: MeshConfig
    user_address: str
    cursor_keys: dict[int, Secret]
    known_accounts: int
    follow_limit: int
    stance_limits: dict[Relation, int]
    levels: LevelLimits
    page_room: int
    activity: ActivityLimits
    repair_rows_a_second: int
    repair_again_s: int
    repair_settled_s: int
    ended_kept_s: int

    @staticmethod
    def from_env(values: Mapping[str, str]) -> "Config":
        """Read the environment. Raises ConfigError that names everything missing or malformed."""
        env, activity = Env(values), ActivityLimits()
        config = Config(
            mesh=MeshConfig.read("graph", env),
            user_address=address(env, "user"),
            cursor_keys=env.parsed("AVIARY_CURSOR_KEYS", parse_keys, {}),
            follow_limit=env.number("AVIARY_GRAPH_FOLLOW_LIMIT", 5000),
            stance_limits={
                BLOCK: env.number("AVIARY_GRAPH_BLOCK_LIMIT", STANCES[BLOCK]),
                MUTE: env.number("AVIARY_GRAPH_MUTE_LIMIT", STANCES[MUTE]),
            },
            known_accounts=env.number("AVIARY_GRAPH_KNOWN_ACCOUNTS", 100_000),
            levels=LevelLimits(
                partition_followers=env.number("AVIARY_GRAPH_LEVEL0", 50_000),
                believed_s=env.number("AVIARY_GRAPH_LEVEL_BELIEVED_MS", 30_000) / 1000,
            ),
            page_room=env.number("AVIARY_GRAPH_PAGE_ROOM_MB", 64) << 20,
            activity=ActivityLimits(
                active_days=env.number("AVIARY_GRAPH_ACTIVE_DAYS", activity.active_days),
                settled_s=env.number("AVIARY_GRAPH_ACTIVITY_SETTLED_MS", int(activity.settled_s * 1000)) / 1000,
                readers=env.number("AVIARY_GRAPH_KNOWN_READERS", activity.readers),
            ),
            repair_rows_a_second=max(1, env.number("AVIARY_GRAPH_REPAIR_ROWS_PER_S", 100)),
            repair_again_s=env.number("AVIARY_GRAPH_REPAIR_AGAIN_S", 3600),
            repair_settled_s=env.number("AVIARY_GRAPH_REPAIR_SETTLED_S", 1200),
            ended_kept_s=env.number("AVIARY_GRAPH_ENDED_KEPT_S", KEPT_S),
        )
        env.done()
        return config
