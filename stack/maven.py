"""Downloads one pinned jar with jgo, from the repositories of the user's settings. Verifying is the caller's part."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.maven import MavenContext, PythonResolver

from stack.artifacts import Jar, OnBytes

_TIMEOUT_S = 60


def download(jar: Jar, folder: Path, on_bytes: OnBytes) -> Path:
    """Bring the jar into the folder, an empty one of its own: jgo writes in place and trusts whatever it finds."""

    @contextlib.contextmanager
    def report(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield on_bytes

    context = MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=folder,
        # None means the default repository; addresses never stand in this project.
        remote_repos=GlobalSettings.load().repositories or None,
        timeout=_TIMEOUT_S,
    )
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact(classifier=jar.classifier, packaging="jar").resolve())
