"""Promises of stack/artifacts.py: jars arrive whole or not at all, and every trouble is one line."""

import errno
import hashlib
import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from stack.artifacts import Jar, OnBytes, cache_folder, fetch, read_lock
from stack.cassandra import LOCK
from stack.errors import StackError

QUIET = Console(file=io.StringIO())


def jar(name: str, content: bytes) -> Jar:
    return Jar("org.example", name, "1.0", "", len(content), hashlib.sha256(content).hexdigest())


CONTENTS = {name: name.encode() * 1000 for name in ("alpha", "beta", "gamma")}
JARS = [jar(name, content) for name, content in CONTENTS.items()]


class Repository:
    """Serves the contents, or what a test puts in their place, and remembers what was asked."""

    def __init__(self) -> None:
        self.served: dict[str, bytes] = dict(CONTENTS)
        self.asked: list[str] = []
        self.failure: OSError | RuntimeError | None = None

    def download(self, jar: Jar, folder: Path, on_bytes: OnBytes) -> Path:
        self.asked.append(jar.artifact)
        if self.failure is not None:
            raise self.failure
        folder.mkdir(parents=True)
        path = folder / "somewhere.jar"
        path.write_bytes(self.served[jar.artifact])
        on_bytes(jar.size)
        return path


def test_missing_jars_are_fetched_once_and_then_found(tmp_path: Path) -> None:
    repository = Repository()
    paths = fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    assert [path.read_bytes() for path in paths] == list(CONTENTS.values())
    assert fetch(JARS, tmp_path / "jars", repository.download, QUIET) == paths
    assert sorted(repository.asked) == sorted(CONTENTS)


def test_nothing_but_the_jars_is_left_in_the_cache(tmp_path: Path) -> None:
    fetch(JARS, tmp_path / "jars", Repository().download, QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jars", "jars.lock"]


def test_what_a_killed_start_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "jars.incoming-x1").mkdir()
    fetch(JARS, tmp_path / "jars", Repository().download, QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jars", "jars.lock"]


def test_a_damaged_jar_alone_is_fetched_again(tmp_path: Path) -> None:
    repository = Repository()
    _, beta, _ = fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    beta.write_bytes(b"X" + beta.read_bytes()[1:])
    repository.asked.clear()
    fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    assert repository.asked == ["beta"]
    assert beta.read_bytes() == CONTENTS["beta"]


def test_a_damaged_download_is_refused_in_one_line_and_never_used(tmp_path: Path) -> None:
    repository = Repository()
    repository.served["beta"] = CONTENTS["alpha"]
    with pytest.raises(StackError, match=r"could not download beta-1\.0\.jar.*start again") as caught:
        fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    assert "sha256" in caught.value.detail
    assert not (tmp_path / "jars" / "beta-1.0.jar").exists()
    assert repository.asked.count("beta") == 3


def test_no_network_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    repository = Repository()
    repository.failure = ConnectionError("name resolution failed")
    with pytest.raises(StackError, match="check the network") as caught:
        fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    assert "\n" not in caught.value.line
    assert "name resolution failed" in caught.value.detail


def test_a_full_disk_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    repository = Repository()
    repository.failure = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StackError, match=r"No space left on device.*make room.*XDG_CACHE_HOME") as caught:
        fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    assert "\n" not in caught.value.line


def test_what_arrived_before_a_failure_is_kept(tmp_path: Path) -> None:
    repository = Repository()
    repository.served["gamma"] = b""
    with pytest.raises(StackError):
        fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    repository.served["gamma"] = CONTENTS["gamma"]
    kept = {path.name for path in (tmp_path / "jars").iterdir()}
    repository.asked.clear()
    fetch(JARS, tmp_path / "jars", repository.download, QUIET)
    assert {f"{name}-1.0.jar" for name in repository.asked}.isdisjoint(kept)


def test_two_starts_at_once_fetch_every_jar_once(tmp_path: Path) -> None:
    repository = Repository()
    together = threading.Barrier(2)

    def start() -> None:
        together.wait()
        fetch(JARS, tmp_path / "jars", repository.download, QUIET)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(repository.asked) == sorted(CONTENTS)


def test_the_committed_lock_pins_every_jar_and_names_no_address() -> None:
    jars = read_lock(LOCK)
    assert len(jars) == 47
    assert len({jar.filename for jar in jars}) == 47
    assert "://" not in LOCK.read_text(encoding="utf-8")


def test_a_damaged_lock_is_one_line(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    lock.write_text("# ok\norg.example:alpha:1.0 12 sha256:short\n", encoding="utf-8")
    with pytest.raises(StackError, match="restore it"):
        read_lock(lock)


def test_the_cache_follows_xdg_when_it_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "aviary"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "aviary"
