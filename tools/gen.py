"""Generates gen/ from proto/ and third_party/: messages, stubs and their types; says nothing about what the contracts mean."""

import re
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

from tools.checks import write_checks
from tools.comments import write_comments

ROOT = Path(__file__).resolve().parent.parent


def generate(out: Path) -> None:
    """Write the generated code of every contract below `out`. Raises RuntimeError when protoc refuses a file."""
    sources = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    includes = [f"-I{ROOT / 'proto'}", f"-I{ROOT / 'third_party'}", f"-I{files('grpc_tools') / '_proto'}"]
    plugins = Path(sys.executable).parent
    args = ["protoc", *includes, f"--python_out={out}", f"--mypy_out=quiet:{out}"]
    args += [f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}"]
    args += [f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}"]
    if protoc.main([*args, *sources, "buf/validate/validate.proto"]) != 0:
        raise RuntimeError("protoc refused a contract, see above")
    services = [s for s in sources if "\nservice " in (ROOT / "proto" / s).read_text()]
    if protoc.main([*args, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services]) != 0:
        raise RuntimeError("protoc refused a service, see above")
    name_async_stubs(out)
    write_comments(out, includes, sources)
    write_checks(out, includes, sources)
    for folder in [p for p in out.rglob("*") if p.is_dir()]:
        (folder / "__init__.py").write_text("")
        (folder / "py.typed").unlink(missing_ok=True)


def name_async_stubs(out: Path) -> None:
    """Make the `…AsyncStub` that the types speak of real names, so that code may say them outside of type checking, too."""
    for path in out.rglob("*_pb2_grpc.py"):
        stubs = re.findall(r"^class (\w+)Stub:", path.read_text(), re.MULTILINE)
        with path.open("a") as code:
            code.writelines(f"\n\n{stub}AsyncStub = {stub}Stub\n" for stub in stubs)
        types = path.with_suffix(".pyi")
        types.write_text(re.sub(r"@_typing\.type_check_only\n(class \w+AsyncStub\b)", r"\1", types.read_text()))


def main() -> None:
    """`python -m tools.gen` rewrites gen/; `--check` exits 1 when that would change it."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "gen"
        fresh.mkdir()
        generate(fresh)
        target = ROOT / "gen"
        if "--check" in sys.argv:
            sys.exit(compare(fresh, target))
        # File by file: what is the same stays, under whoever runs from the tree meanwhile.
        for name in differing(fresh, target):
            if (fresh / name).exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / name, target / name)
            else:
                (target / name).unlink()


def compare(fresh: Path, committed: Path) -> int:
    """Name each file that differs between two trees on standard error; 1 when there is one, else 0."""
    stale = differing(fresh, committed)
    for name in stale:
        print(f"gen/{name} is not what proto/ says: run `make gen`", file=sys.stderr)
    return 1 if stale else 0


def differing(fresh: Path, committed: Path) -> list[Path]:
    """Files that one tree has and the other has not, or has otherwise."""
    names = {p.relative_to(t) for t in (fresh, committed) for p in t.rglob("*.py*") if "__pycache__" not in p.parts}
    return sorted(name for name in names if content(fresh / name) != content(committed / name))


def content(path: Path) -> bytes | None:
    """The bytes of a file, None when it is absent."""
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    main()
