"""Who may call whom in the mesh, declared once; held against what each server.py opens by a contract test, shown in docs/access.md."""

import ast
from collections.abc import Mapping

MAY_CALL: Mapping[str, tuple[str, ...]] = {
    "user": (),
    "graph": ("user",),
    "tweet": ("user", "graph"),
    "timeline": ("graph", "tweet"),
    "engage": ("user", "graph", "tweet"),
    "edge": ("user", "graph", "tweet", "timeline", "engage"),
    "seed": ("user", "graph", "tweet", "timeline", "engage", "view"),
    "audit": ("user", "graph", "tweet", "timeline", "engage", "view"),
    "admin": ("user",),
}
"""By the name under which a process signs its calls. `view` is served by the edge; MeshService belongs to each service."""


def opened_by(source: str) -> set[str]:
    """The services to which a module opens channels, by the contracts in its calls of `open_channel`. Raises ValueError for none."""
    tree = ast.parse(source)
    areas = {
        alias.asname or alias.name: node.module.split(".")[1]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("aviary.")
        for alias in node.names
    }
    return {
        _area(call, areas)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute | ast.Name)
        and (call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id) == "open_channel"
    }


def _area(call: ast.Call, areas: Mapping[str, str]) -> str:
    for argument in call.args:
        if isinstance(argument, ast.Attribute) and argument.attr == "DESCRIPTOR":
            area = areas.get(argument.value.id) if isinstance(argument.value, ast.Name) else None
            if area is not None:
                return area
    raise ValueError(f"line {call.lineno}: the contract of what is called is not written there")
