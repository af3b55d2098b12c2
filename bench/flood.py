"""Reads of accounts while a process of its own floods the edge with logins: what others notice of the passwords that are hashed."""

import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from dataclasses import asdict
from typing import Any

import httpx

from bench import http_client
from bench.driver import flooding, reads
from bench.figures import Ceiling, Row
from bench.http_client import Connection
from bench.load import told_to_go
from bench.orders import Flooded, FloodOrder, ReadOrder
from bench.stage import Stage
from stack.ports import HOST

NAME = "Reads during a flood of logins"
AIM = 2.0
_READ_PATH = "/api/v1/users/me"
_READERS = 4
_ACCOUNTS = 20
_CLIENTS = 100
"""More than threads and places to wait together, so that some are refused all the time."""
_AFTER_REFUSAL_S = 0.05
_WARM_S = 1.0
_TURNS = 2


async def run(stage: Stage) -> list[Row]:
    """Idle and flooded in turns, the better of each; the same readers, the same path, which svc_user answers."""
    names, token = await _accounts(stage.client)
    order = ReadOrder(HOST, stage.http_port, _READ_PATH, [token], _READERS, _WARM_S, stage.sizes.read_s / 2)
    idle, busy, answered, seconds = [], [], Counter[str](), 0.0
    for _ in range(_TURNS):
        idle.append((await reads(order, stage.meter))[0])
        async with flooding(FloodOrder(HOST, stage.http_port, names, _CLIENTS)) as flood:
            busy.append((await reads(order, stage.meter))[0])
            flooded = Flooded(**await flood.go())
            answered.update(flooded.answered)
            seconds += flooded.seconds
    least, most = min(seen.p99_ms for seen in idle), min(seen.p99_ms for seen in busy)
    return [
        Row(NAME, "p99, idle", "ms", least),
        Row(NAME, "p99, flooded", "ms", most, Ceiling("the same reads, idle", least)),
        Row(NAME, "p99, flooded / idle", "times", most / least, aim=AIM),
        Row(NAME, "logins answered", "a second", answered["200"] / seconds),
        Row(NAME, "logins refused (429)", "a second", answered["429"] / seconds),
    ]


async def flood(order: FloodOrder) -> Flooded:
    """Log in with right passwords until told to stop; what was answered from the word on that somebody was."""
    answered: Counter[str] = Counter()
    begun = asyncio.Event()

    async def work(number: int) -> None:
        name = order.names[number % len(order.names)]
        body = json.dumps({"login": name, "password": f"pass-{name}"}).encode()
        request = http_client.post(order.host, "/api/v1/auth/login", "", body).replace(
            b"Authorization: Bearer \r\n", b""
        )
        connection = await Connection.open(order.host, order.port)
        while True:
            status, _ = await connection.ask(request)
            answered[str(status)] += 1
            begun.set()
            if status != 200:
                await asyncio.sleep(_AFTER_REFUSAL_S)

    tasks = [asyncio.create_task(work(number)) for number in range(order.clients)]
    await asyncio.wait([asyncio.create_task(begun.wait()), *tasks], return_when=asyncio.FIRST_COMPLETED)
    answered.clear()
    started = time.perf_counter()
    stop = asyncio.create_task(told_to_go())
    done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stop}:
        task.result()
    for task in tasks:
        task.cancel()
    return Flooded(time.perf_counter() - started, dict(answered))


async def _accounts(client: httpx.AsyncClient) -> tuple[list[str], str]:
    """Names of new accounts, and an access token of the last."""
    names = [f"f{uuid.uuid4().hex[:12]}" for _ in range(_ACCOUNTS)]
    answer: dict[str, Any] = {}
    for name in names:
        body = {"username": name, "email": f"{name}@aviary.example", "password": f"pass-{name}"}
        answer = (await client.post("/api/v1/auth/register", json=body)).raise_for_status().json()
    return names, str(answer["access_token"])


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(flood(FloodOrder(**json.loads(sys.stdin.readline())))))), flush=True)
