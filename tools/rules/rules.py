"""The rules, each a function from the repository's files to problems; add one when a review remark was made twice."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

MAX_FILE = 400
MAX_FUNCTION = 50
MAX_RPC = 40
MAX_RUNTIME = 4000

Files = Mapping[str, str]
Rule = Callable[[Files], Iterator[str]]


def tracked_files() -> dict[str, str]:
    """Text of every file that git knows or would add, by its path; generated code and data left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    texts = {}
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and not name.startswith(("gen/", "data/", "third_party/", "locks/")):
            texts[name] = path.read_bytes().decode("utf-8", "replace")
    return texts


def files_stay_small(files: Files) -> Iterator[str]:
    """A file of ours has at most 400 lines: beyond that a noun is missing."""
    for name, text in files.items():
        lines = text.count("\n")
        if name.endswith(".py") and not name.startswith("tests/") and lines > MAX_FILE:
            yield f"{name}: {lines} lines, at most {MAX_FILE}"


def functions_stay_small(files: Files) -> Iterator[str]:
    """A function has at most 50 lines, the body of an rpc 40."""
    for name, text in files.items():
        if not name.endswith(".py") or name.startswith("tests/"):
            continue
        bound = MAX_RPC if "/rpcs/" in name else MAX_FUNCTION
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > bound:
                    yield f"{name}:{node.lineno}: {node.name} has {lines} lines, at most {bound}"


def runtime_stays_small(files: Files) -> Iterator[str]:
    """runtime/ has at most 4,000 lines: it is a library, not a home."""
    lines = sum(
        text.count("\n") for name, text in files.items() if name.startswith("runtime/") and name.endswith(".py")
    )
    if lines > MAX_RUNTIME:
        yield f"runtime/: {lines} lines, at most {MAX_RUNTIME}"


def runtime_names_its_modules(files: Files) -> Iterator[str]:
    """runtime/README.md has a paragraph for each module, and none for what is gone."""
    named = set(re.findall(r"^\*\*`([\w/]+\.py)`\*\*", files.get("runtime/README.md", ""), re.MULTILINE))
    modules = {n.removeprefix("runtime/") for n in files if n.startswith("runtime/") and n.endswith(".py")}
    modules = {name for name in modules if not name.endswith("__init__.py")}
    for name in sorted(modules - named):
        yield f"runtime/{name}: has no paragraph in runtime/README.md"
    for name in sorted(named - modules):
        yield f"runtime/README.md: {name} is gone"


def nothing_names_a_registry(files: Files) -> Iterator[str]:
    """Package clients know their registries from their own configuration."""
    hosts = re.compile(
        "|".join(re.escape(h) for h in ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "maven" + ".org"))
    )
    for name, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            if hosts.search(line):
                yield f"{name}:{number}: names a package registry"


def no_module_is_called_anything(files: Files) -> Iterator[str]:
    """`util`, `common` and `helpers` say nothing about what is inside."""
    for name in files:
        if re.search(r"(^|/)(utils?|common|helpers?|misc)(/|\.py$)", name):
            yield f"{name}: name it after what it holds"


def modules_say_what_is_inside(files: Files) -> Iterator[str]:
    """The first thing in a module is a sentence on what you find there."""
    for name, text in files.items():
        if name.endswith(".py") and text.strip() and ast.get_docstring(ast.parse(text)) is None:
            yield f"{name}: has no module docstring"


def rpcs_hold_no_try(files: Files) -> Iterator[str]:
    """An rpc reads from top to bottom; errors are translated in stores and guards."""
    for name, text in files.items():
        if "/rpcs/" in name and name.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Try):
                    yield f"{name}:{node.lineno}: try in an rpc"


def only_configuration_reads_the_environment(files: Files) -> Iterator[str]:
    """Everything a function needs is in its signature."""
    allowed = ("runtime/service.py", "ops/", "stack/", "bench/", "tools/", "tests/")
    for name, text in files.items():
        if name.endswith(".py") and not name.startswith(allowed) and re.search(r"os\.(environ|getenv)", text):
            yield f"{name}: reads the environment"


RULES: tuple[Rule, ...] = (
    files_stay_small,
    functions_stay_small,
    runtime_stays_small,
    runtime_names_its_modules,
    nothing_names_a_registry,
    no_module_is_called_anything,
    modules_say_what_is_inside,
    rpcs_hold_no_try,
    only_configuration_reads_the_environment,
)
