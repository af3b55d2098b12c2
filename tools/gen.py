"""Generates gen/ from proto/ and third_party/: messages, stubs and their types; says nothing about what the contracts mean."""

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

from tools.comments import write_comments

ROOT = Path(__file__).resolve().parent.parent


def generate(out: Path) -> None:
    """Write the generated code of every contract below `out`. Raises RuntimeError when protoc refuses a file."""
    sources = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    includes = [f"-I{ROOT / 'proto'}", f"-I{ROOT / 'third_party'}", f"-I{files('grpc_tools') / '_proto'}"]
    plugins = Path(sys.executable).parent
    args = ["protoc", *includes, f"--python_out={out}", f"--mypy_out={out}"]
    args += [f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}"]
    args += [f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}"]
    if protoc.main([*args, *sources, "buf/validate/validate.proto"]) != 0:
        raise RuntimeError("protoc refused a contract, see above")
    services = [s for s in sources if "\nservice " in (ROOT / "proto" / s).read_text()]
    if protoc.main([*args, f"--grpc_python_out={out}", f"--mypy_grpc_out={out}", *services]) != 0:
        raise RuntimeError("protoc refused a service, see above")
    write_comments(out, includes, sources)
    for folder in [p for p in out.rglob("*") if p.is_dir()]:
        (folder / "__init__.py").write_text("")
        (folder / "py.typed").unlink(missing_ok=True)


def main() -> None:
    """`python -m tools.gen` rewrites gen/; `--check` exits 1 when that would change it."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "gen"
        fresh.mkdir()
        generate(fresh)
        target = ROOT / "gen"
        if "--check" in sys.argv:
            sys.exit(compare(fresh, target))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(fresh, target)


def compare(fresh: Path, committed: Path) -> int:
    """Name each file that differs between two trees on standard error; 1 when there is one, else 0."""
    names = {p.relative_to(t) for t in (fresh, committed) for p in t.rglob("*.py*") if "__pycache__" not in p.parts}
    stale = sorted(str(n) for n in names if content(fresh / n) != content(committed / n))
    for name in stale:
        print(f"gen/{name} is not what proto/ says: run `make gen`", file=sys.stderr)
    return 1 if stale else 0


def content(path: Path) -> bytes | None:
    """The bytes of a file, None when it is absent."""
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    main()
