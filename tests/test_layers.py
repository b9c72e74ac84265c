"""Imports point downwards only, the core knows no plugin, plugin folders do not know each other; read from sources."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import addp_bench
from addp_bench.installed import installed
from addp_bench.loading import source_files

CORE = Path(addp_bench.__file__).parent
FOLDERS = ("plugins", "tasks", "baselines")

# A module may import those of its own line (never in a circle) and of the lines above it.
LAYERS = (
    ("errors", "types", "spec", "randomness", "home", "installed", "progress"),
    (
        "protocols",
        "hookspecs",
        "api",
        "surroundings",
        "pixelwise",
        "schedule",
        "metrics",
        "average_precision",
        "store",
        "jobs",
        "adopted",
    ),
    ("registry", "timesteps", "sampling", "regression", "contribution", "statistics", "archives"),
    (
        "announcing",
        "remedies",
        "loading",
        "catalogue",
        "cards",
        "legality",
        "mixture",
        "parts",
        "protocol_cards",
        "budgets",
        "cell",
        "completion",
        "resolve",
        "batches",
        "training",
        "evaluation",
        "records",
        "cache",
        "provenance",
        "differences",
        "probing",
    ),
    (
        "checks",
        "keys",
        "stages",
        "outcome",
        "work",
        "run",
        "worker",
        "reopen",
        "decoders",
        "ceiling",
        "tracking",
        "specfile",
        "estimates",
        "visits",
        "tuning",
        "finished",
        "facts",
        "probe_stages",
        "probe_work",
        "results",
        "pictures",
        "page",
        "exports",
        "gates",
        "scaffold",
    ),
    ("cli", "__main__"),
)
LAYER = {module: depth for depth, modules in enumerate(LAYERS) for module in modules}

# Programs that make what we ship. They may use any folder, because no plugin imports them (a test below holds that).
MAKERS = ("baselines/tiny/",)

# Upward imports that exist for the type checker alone; nothing is imported when the program runs.
TYPES_ONLY_UPWARDS = {
    ("hookspecs", "registry"),
    ("hookspecs", "cell"),
    ("protocols", "contribution"),
}


@dataclass(frozen=True)
class Import:
    """An import statement: where it stands, the dotted name it asks for, and whether only the type checker sees it."""

    file: Path
    line: int
    target: str
    types_only: bool


def imports(file: Path, package: str) -> list[Import]:
    """Every import of a file, relative ones made absolute. package: dotted name of the folder the file lies in."""
    found: list[Import] = []

    def visit(node: ast.AST, types_only: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.body:
                visit(child, True)
            for child in node.orelse:
                visit(child, types_only)
            return
        if isinstance(node, ast.Import):
            found.extend(Import(file, node.lineno, alias.name, types_only) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            target = ".".join(p for p in (base, node.module) if p)
            # `from addp_bench import errors` asks for a module, `from addp_bench.errors import X` for a name in one
            found.extend(
                Import(file, node.lineno, f"{target}.{alias.name}" if target in rooms() else target, types_only)
                for alias in node.names
            )
        for child in ast.iter_child_nodes(node):
            visit(child, types_only)

    visit(ast.parse(file.read_text(encoding="utf-8")), False)
    return found


@cache
def rooms() -> frozenset[str]:
    """Dotted names of the core's packages: `from room import x` asks for a module of theirs."""
    return frozenset(".".join(("addp_bench", *f.parent.relative_to(CORE).parts)) for f in CORE.rglob("__init__.py"))


def core_files() -> dict[Path, str]:
    """Source file -> the core module it belongs to (a file of a package counts as the package)."""
    return {f: f.relative_to(CORE).with_suffix("").parts[0] for f in CORE.rglob("*.py") if f != CORE / "__init__.py"}


def core_imports() -> list[tuple[str, str, Import]]:
    """(importing module, imported module, where) for every import of one core module by another."""
    found = []
    for file, module in core_files().items():
        package = ".".join(["addp_bench", *file.relative_to(CORE).parent.parts])
        for made in imports(file, package):
            parts = made.target.split(".")
            if parts[0] == "addp_bench" and len(parts) > 1 and parts[1] in LAYER and parts[1] != module:
                found.append((module, parts[1], made))
    return found


def plugin_files() -> list[tuple[Path, str]]:
    """Source file of a plugin folder -> dotted name of the package it lies in, makers left out."""
    found = []
    for folder in FOLDERS:
        (root,) = map(Path, importlib.import_module(f"addp_bench.{folder}").__path__)
        for file in sorted(root.rglob("*.py")):
            place = file.relative_to(root.parent)
            if not place.as_posix().startswith(MAKERS):
                found.append((file, ".".join(["addp_bench", *place.parent.parts])))
    return found


def test_every_core_module_has_its_layer():
    assert {m for m in core_files().values() if m not in LAYER} == set()


def test_imports_point_downwards():
    upwards = [
        f"{made.file.name}:{made.line}: {module} (layer {LAYER[module]}) imports {other} (layer {LAYER[other]})"
        for module, other, made in core_imports()
        if LAYER[other] > LAYER[module] and not made.types_only
    ]
    assert upwards == []


def test_imports_for_the_type_checker_that_point_upwards_are_those_declared():
    upwards = {(m, o) for m, o, made in core_imports() if LAYER[o] > LAYER[m] and made.types_only}
    assert upwards <= TYPES_ONLY_UPWARDS


def test_no_module_imports_itself_through_others():
    edges: dict[str, set[str]] = {}
    for module, other, made in core_imports():
        if not made.types_only:
            edges.setdefault(module, set()).add(other)
    assert_no_circle(edges)


def test_no_file_of_a_room_imports_itself_through_others():
    """A room's face may gather what its files offer, so faces are left out."""
    edges: dict[str, set[str]] = {}
    for file in core_files():
        name = ".".join(("addp_bench", *file.relative_to(CORE).with_suffix("").parts))
        if file.name != "__init__.py" and file.parent != CORE:
            made_here = imports(file, name.rpartition(".")[0])
            room = name.rpartition(".")[0] + "."
            edges[name] = {m.target for m in made_here if not m.types_only and m.target.startswith(room)}
    assert any(edges.values())
    assert_no_circle(edges)


def assert_no_circle(edges: dict[str, set[str]]) -> None:
    finished: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle of imports: {' -> '.join((*path, module))}"
        if module not in finished:
            for other in sorted(edges.get(module, ())):
                walk(other, (*path, module))
            finished.add(module)

    for module in sorted(edges):
        walk(module, ())


def test_the_core_imports_no_plugin():
    outside = ("plugins", "tasks", "baselines")
    reached = []
    for file in [*core_files(), CORE / "__init__.py"]:
        package = ".".join(["addp_bench", *file.relative_to(CORE).parent.parts])
        for made in imports(file, package):
            parts = made.target.split(".")
            if parts[0] in outside or (parts[0] == "addp_bench" and len(parts) > 1 and parts[1] in outside):
                reached.append(f"{file.name}:{made.line}: {made.target}")
    assert reached == []


def test_the_core_names_no_plugin_module():
    named = [
        f"{file.name}:{node.lineno}: {node.value!r}"
        for file in core_files()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(tuple(f"addp_bench.{folder}." for folder in FOLDERS))
    ]
    assert named == []


def test_plugin_folders_do_not_import_each_other():
    strayed = [
        f"{package}, {file.name}:{made.line}: {made.target}"
        for file, package in plugin_files()
        for made in imports(file, package)
        if _is_plugin(made.target) and package.split(".")[1] not in made.target.split(".")[:2]
    ]
    assert strayed == []


def test_siblings_are_imported_relatively():
    """`addp_bench.plugins.x` and `plugins.x` would be two modules; a relative import cannot choose the wrong one."""
    absolute = [
        f"{package}, {file.name}:{node.lineno}: {ast.unparse(node)}"
        for file, package in plugin_files()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and _is_plugin(node.module or ""))
        or (isinstance(node, ast.Import) and any(_is_plugin(alias.name) for alias in node.names))
    ]
    assert absolute == []


def test_no_plugin_imports_what_makes_the_things_we_ship():
    ours = [s for s in installed() if s.distribution == "addp-bench"]
    starts = {Path(importlib.util.find_spec(source.module).origin) for source in ours}
    reached = {file for start in starts for file in source_files(start)}
    assert [
        f for f in reached if any(f"/{maker}" in f.as_posix() and f.name != "__init__.py" for maker in MAKERS)
    ] == []


def test_plugins_leave_the_command_line_alone():
    reached = [
        f"{package}, {file.name}:{made.line}"
        for file, package in plugin_files()
        for made in imports(file, package)
        if made.target.startswith("addp_bench.cli")
    ]
    assert reached == []


@pytest.mark.parametrize(
    "source, expected",
    [
        ("import addp_bench.errors", [("addp_bench.errors", False)]),
        ("from addp_bench import errors, spec", [("addp_bench.errors", False), ("addp_bench.spec", False)]),
        ("from . import errors", [("addp_bench.errors", False)]),
        ("from .errors import X", [("addp_bench.errors", False)]),
        ("def f():\n    from addp_bench.run import go", [("addp_bench.run", False)]),
        ("if TYPE_CHECKING:\n    from addp_bench.run import go", [("addp_bench.run", True)]),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import addp_bench.run", [("addp_bench.run", False)]),
    ],
)
def test_the_reader_of_imports_sees_every_form(tmp_path, source, expected):
    file = tmp_path / "module.py"
    file.write_text(source)
    assert [(made.target, made.types_only) for made in imports(file, "addp_bench")] == expected


def _is_plugin(name: str) -> bool:
    parts = name.split(".")
    return parts[0] in FOLDERS or (parts[0] == "addp_bench" and len(parts) > 1 and parts[1] in FOLDERS)


def test_the_documentation_shows_these_layers():
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [tuple(re.findall(r"`(\w+)`", row)) for row in rows] == list(LAYERS)
