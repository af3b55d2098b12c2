"""Small disks that a test can fill and empty. What then happens is the tests' matter."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_FILLER = "filler"
_MOUNT, _NAME = ("mount", "-t", "tmpfs"), ("aviary-test",)


@dataclass(frozen=True)
class Disk:
    """A disk in memory, mounted on a folder."""

    folder: Path

    def shrink(self, size: str) -> None:
        """Make it smaller while it is in use."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)

    def forbid_writing(self) -> None:
        """Make it read-only."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave not a page of room, also when others freed some since the last filling."""
        with (self.folder / _FILLER).open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(64 * 1024))
            except OSError:
                pass

    def free(self) -> None:
        """Give back what filling took."""
        (self.folder / _FILLER).unlink()


def may_mount() -> bool:
    """Whether disks can be had here."""
    with tempfile.TemporaryDirectory(prefix="av") as folder:
        if subprocess.run([*_MOUNT, "-o", "size=1m", *_NAME, folder], capture_output=True, check=False).returncode != 0:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Disk]:
    """A disk of that size (`4m`) on the folder; the test is skipped where mounting is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    if not may_mount():
        pytest.skip("a small disk needs the right to mount one")
    subprocess.run([*_MOUNT, "-o", f"size={size}", *_NAME, str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        # Lazily: a process that is being ended may still have a file of it open.
        subprocess.run(["umount", "-l", str(folder)], check=True)
