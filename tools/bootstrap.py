"""Makes .venv from the locks with nothing but Python's standard library; run by make with the system's Python, not by services."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = [ROOT / "locks" / f"{group}.txt" for group in ("run", "stack", "dev")]
BOOTSTRAP = ROOT / "locks" / "bootstrap.txt"
STAMP = VENV / "installed.sha256"


def main() -> None:
    """Install what the locks name unless .venv holds it already."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs on whatever Python make finds
        sys.exit(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}: run `make PYTHON=python3.11 …`")
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("installing the locked packages into .venv (once) …", flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    install()
    run([str(PYTHON), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """What the environment depends on: the locks and the project's own metadata."""
    sources = [*LOCKS, BOOTSTRAP, ROOT / "pyproject.toml"]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def install() -> None:
    """Install the locks with uv; where uv does not reach its registry, with pip, which reads the user's own configuration."""
    run([str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(BOOTSTRAP)])
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes"]
    requirements = [argument for lock in LOCKS for argument in ("-r", str(lock))]
    if subprocess.run([*uv, *requirements], check=False).returncode != 0:
        print("uv could not install; trying pip, which takes longer …", flush=True)
        run([str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", *requirements])


def run(command: list[str]) -> None:
    """Run a step, or stop with one line that says which failed."""
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit(f"this step failed, see above: {' '.join(command)}")


if __name__ == "__main__":
    main()
