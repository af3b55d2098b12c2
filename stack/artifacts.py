"""Fetches the jars of a committed lock into the user's cache folder, checked and repaired. Knows no server."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from stack.errors import StackError, clear_disk_errors, disk_problem

_ATTEMPTS = 3
_PARALLEL = 6
_LINE = re.compile(r"(?P<coordinate>[^\s:]+(?::[^\s:]+){2,3}) (?P<size>\d+) sha256:(?P<sha256>[0-9a-f]{64})")

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Jar:
    """One pinned jar: its Maven coordinate, its size in bytes and its digest."""

    group: str
    artifact: str
    version: str
    classifier: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in the cache, unique within a lock."""
        tail = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{tail}.jar"


Download = Callable[[Jar, Path, OnBytes], Path]
"""Brings one jar into a folder and says where it lies, reporting bytes on the way; raises OSError or RuntimeError."""


def read_lock(lock: Path) -> list[Jar]:
    """The jars of a lock file, in its order."""
    jars = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise StackError(f"{lock} is damaged at {line!r}: restore it with `git checkout`")
        group, artifact, version, *classifier = match["coordinate"].split(":")
        jars.append(Jar(group, artifact, version, "".join(classifier), int(match["size"]), match["sha256"]))
    return jars


def cache_folder() -> Path:
    """Where downloads are kept between runs: $XDG_CACHE_HOME/aviary, else ~/.cache/aviary."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "aviary"


def is_intact(path: Path, jar: Jar) -> bool:
    """Whether the file is there with the pinned size and digest."""
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def fetch(jars: list[Jar], folder: Path, download: Download, console: Console | None = None) -> list[Path]:
    """The paths of all jars, each verified now; what is missing or damaged is downloaded first.

    Any number of processes may call this at once. Raises StackError when it cannot be done.
    """
    wanted = [folder / jar.filename for jar in jars]
    if all(map(is_intact, wanted, jars)):
        return wanted
    console = console or Console(stderr=True)
    with clear_disk_errors(folder, "set XDG_CACHE_HOME to a folder with 200 MB free"):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(folder.name + ".lock"), console):
            missing = [jar for jar in jars if not is_intact(folder / jar.filename, jar)]
            if missing:
                # A start that was killed could not remove its own; nobody else is at work while we hold the lock.
                for left in folder.parent.glob(f"{folder.name}.incoming-*"):
                    shutil.rmtree(left)
                _fetch_all(missing, folder, download, console)
    return wanted


def _fetch_all(jars: list[Jar], folder: Path, download: Download, console: Console) -> None:
    """Download the jars side by side; each appears in the folder whole or not at all."""
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
    )
    with (
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.incoming-") as incoming,
        progress,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        task = progress.add_task(f"fetching {len(jars)} jars", total=sum(jar.size for jar in jars))

        def one(jar: Jar) -> None:
            path = _fetch_one(jar, Path(incoming), download, lambda size: progress.advance(task, size))
            path.replace(folder / jar.filename)

        futures = [pool.submit(one, jar) for jar in jars]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(jar: Jar, incoming: Path, download: Download, on_bytes: OnBytes) -> Path:
    """Download and verify one jar, trying again a few times."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        place = incoming / f"{jar.filename}.{attempt}"
        try:
            path = download(jar, place, on_bytes)
        except (OSError, RuntimeError) as error:
            if disk_problem(error):
                raise
            problem = str(error)
            continue
        if is_intact(path, jar):
            return path
        problem = "what arrived is damaged (its size or sha256 differs from the lock)"
        shutil.rmtree(place, ignore_errors=True)
    raise StackError(
        f"could not download {jar.filename}: check the network and the proxy and start again (what arrived is kept)",
        detail=problem,
    )


@contextlib.contextmanager
def _locked(path: Path, console: Console) -> Iterator[None]:
    """Hold the file lock; say so when another process has it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another start is downloading the same files; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
