"""Passwords are hashed by Argon2id at the chosen cost, in a process that gives way, holds no keys and does not outlive who started it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from argon2 import extract_parameters
from argon2.low_level import Type

from svc_user.hashing import HashingProcesses

AUTOGROUP = Path("/proc/self/autogroup")


@pytest_asyncio.fixture
async def hashing() -> AsyncIterator[HashingProcesses]:
    hashing = HashingProcesses(at_once=1)
    yield hashing
    await hashing.close()


def processes(of: int | None = None) -> list[psutil.Process]:
    children = psutil.Process(of).children()
    return [child for child in children if "hashing_process.py" in " ".join(child.cmdline())]


async def test_a_hash_has_the_chosen_cost_and_is_its_passwords_alone(hashing: HashingProcesses) -> None:
    stored = await hashing.hash("pässwörd \U0001f40e")
    parameters = extract_parameters(stored)
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)
    assert await hashing.matches(stored, "pässwörd \U0001f40e")
    assert not await hashing.matches(stored, "pässwörd \U0001f40f")
    assert len(processes()) == 1


async def test_what_a_process_that_died_did_not_answer_another_one_does(hashing: HashingProcesses) -> None:
    stored = await hashing.hash("horse")
    [process] = processes()
    process.suspend()
    asked = asyncio.ensure_future(hashing.matches(stored, "horse"))
    await asyncio.sleep(0)
    process.kill()
    assert await asked
    assert process not in processes()


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one(hashing: HashingProcesses) -> None:
    stored = await hashing.hash("horse")
    [process] = processes()
    process.suspend()
    asked = asyncio.ensure_future(hashing.matches(stored, "horse"))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert not await hashing.matches(stored, "cow")
    assert process not in processes()


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel weighs processes alone")
async def test_a_process_that_hashes_gives_way_to_all_others(hashing: HashingProcesses) -> None:
    """Niceness alone counts within the session only, and this process has its own."""
    await hashing.hash("horse")
    [process] = processes()
    assert os.getsid(process.pid) == process.pid
    weight = (AUTOGROUP.parent.parent / str(process.pid) / "autogroup").read_text(encoding="ascii")
    assert (process.nice(), weight.split()[-1]) == (5, "5")


async def test_a_process_that_hashes_knows_none_of_the_keys(
    hashing: HashingProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVIARY_USER_EMAIL_KEY", "ab" * 32)
    await hashing.hash("horse")
    [process] = processes()
    assert "AVIARY_USER_EMAIL_KEY" not in process.environ()


_STARTS = """
import asyncio
from svc_user.hashing import HashingProcesses
async def main():
    await HashingProcesses(1).hash("horse")
    print("there", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_process_that_hashes_ends_with_the_one_that_started_it() -> None:
    pipe = asyncio.subprocess.PIPE
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", _STARTS, stdout=pipe)
    assert parent.stdout is not None and await parent.stdout.readline()
    [process] = processes(parent.pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await asyncio.to_thread(process.wait, 60)
