"""The repository's own rules name what breaks them, and nothing else."""

from tools.rules.rules import runtime_names_its_modules

README = "# runtime\n\n**`guard.py`** What a call passes, see `gone.py`.\n\n**`bus/port.py`** What a bus promises.\n"


def test_modules_and_paragraphs_of_the_runtime_are_the_same() -> None:
    files = {"runtime/README.md": README, "runtime/guard.py": "", "runtime/bus/port.py": "", "runtime/__init__.py": ""}
    assert list(runtime_names_its_modules(files)) == []


def test_a_module_without_a_paragraph_and_a_paragraph_without_a_module_are_named() -> None:
    files = {"runtime/README.md": README, "runtime/guard.py": "", "runtime/bus/acks.py": ""}
    assert list(runtime_names_its_modules(files)) == [
        "runtime/bus/acks.py: has no paragraph in runtime/README.md",
        "runtime/README.md: bus/port.py is gone",
    ]
