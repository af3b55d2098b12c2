"""What can fail in a way that a person has to mend, said in one line.

No tracebacks and no logging live here.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR)


class StackError(Exception):
    """Something a person has to mend; the text is one line saying what happened and what to do.

    `detail` may hold more (the tail of a log); it is printed above the line. `code` is the exit code of the command that ends so.
    """

    def __init__(self, line: str, *, detail: str = "", code: int = 1) -> None:
        super().__init__(line)
        self.line = line
        self.detail = detail
        self.code = code


def disk_problem(error: BaseException) -> str | None:
    """What is wrong with the disk, when that is what the error or one of its causes says."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno in _DISK_ERRNOS:
            return os.strerror(current.errno)
        current = current.__cause__ or current.__context__
    return None


@contextlib.contextmanager
def clear_disk_errors(folder: Path, cure: str) -> Iterator[None]:
    """Turn what a full or unwritable disk raises into one line; `cure`: what else than making room there helps."""
    try:
        yield
    except OSError as error:
        reason = disk_problem(error)
        if reason is None:
            raise
        raise StackError(
            f"cannot write to {error.filename or folder} ({reason}): make room there, or {cure}"
        ) from error
