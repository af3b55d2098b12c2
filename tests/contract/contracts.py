"""What the contract tests look at: every service, enum and message of our protos."""

import importlib
from pathlib import Path

from google.protobuf.descriptor import EnumDescriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ROOT = Path(__file__).resolve().parent.parent.parent


def files() -> list[FileDescriptor]:
    """Every proto file of ours."""
    names = sorted(p.relative_to(ROOT / "proto") for p in (ROOT / "proto").rglob("*.proto"))
    modules = [importlib.import_module(str(n.with_suffix("")).replace("/", ".") + "_pb2") for n in names]
    return [module.DESCRIPTOR for module in modules]


def services() -> list[ServiceDescriptor]:
    """Every service."""
    return [service for file in files() for service in file.services_by_name.values()]


def reasons() -> list[EnumDescriptor]:
    """Every enum of reasons."""
    return [enum for file in files() for name, enum in file.enum_types_by_name.items() if name == "Reason"]


def messages() -> list[type[Message]]:
    """Every top-level message class."""
    return [GetMessageClass(m) for file in files() for m in file.message_types_by_name.values()]


def sources(*folders: str) -> dict[str, str]:
    """Text of our hand-written Python below the folders, by path."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(paths)}
