"""What is installed: every folder, every module, every entry point, and one version."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

import addp_bench

tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11 to read pyproject.toml")

ROOT = Path(addp_bench.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {"addp_bench": ROOT / "addp_bench"} | {n: ROOT / f for n, f in SETUPTOOLS["package-dir"].items()}


def packages() -> set[str]:
    """Dotted names of all folders that hold an `__init__.py`."""
    return {
        ".".join([name, *init.parent.relative_to(folder).parts])
        for name, folder in FOLDERS.items()
        for init in folder.rglob("__init__.py")
    }


def modules() -> list[str]:
    """Dotted names of all modules."""
    return sorted(
        ".".join([name, *file.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
        for name, folder in FOLDERS.items()
        for file in folder.rglob("*.py")
    )


def test_every_package_is_listed():
    assert set(SETUPTOOLS["packages"]) == packages()


def test_every_folder_with_modules_is_a_package():
    bare = {
        file.parent
        for folder in FOLDERS.values()
        for file in folder.rglob("*.py")
        if not (file.parent / "__init__.py").is_file()
    }
    assert bare == set()


@pytest.mark.parametrize("module", modules())
def test_every_module_can_be_imported(module):
    importlib.import_module(module)


def test_every_entry_point_is_installed_and_leads_to_a_module():
    said = PROJECT["project"]["entry-points"]["addp_bench"]
    found = {
        p.name: p.value
        for p in importlib.metadata.entry_points(group="addp_bench")
        if p.dist is not None and p.dist.name == "addp-bench"
    }
    assert found == said, "run `pip install -e .` again after changing entry points"
    assert [module for module in said.values() if importlib.util.find_spec(module) is None] == []
    assert [name for name in said if not name.startswith("addp_")] == []


def test_every_module_that_announces_plugins_has_an_entry_point():
    examples = {
        m for m in modules() if m.startswith("addp_bench.scaffold.examples.")
    }  # are written out, and no plugins
    announcing = (
        {m for m in modules() if "\ndef addp_bench_register(" in _source(m)} - {"addp_bench.hookspecs"} - examples
    )
    assert announcing == set(PROJECT["project"]["entry-points"]["addp_bench"].values())


def test_the_command_is_the_one_in_the_package():
    assert PROJECT["project"]["scripts"] == {"addp-bench": "addp_bench.cli:main"}


def test_there_is_one_version():
    assert addp_bench.__version__ == PROJECT["project"]["version"] == importlib.metadata.version("addp-bench")


def test_files_that_are_no_modules_are_packed_as_well():
    """Whatever lies in a package and is no Python source must match a pattern of the package's data."""
    packed = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in _folder(package).glob(pattern)
        if path.is_file()
    }
    assert ROOT / "addp_bench" / "py.typed" in packed
    data = {
        path
        for folder in FOLDERS.values()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert data - packed == set()


def _folder(package: str) -> Path:
    name = max((n for n in FOLDERS if package == n or package.startswith(f"{n}.")), key=len)
    return FOLDERS[name].joinpath(*package.removeprefix(name).strip(".").split("."))


def _source(module: str) -> str:
    name = max((n for n in FOLDERS if module == n or module.startswith(f"{n}.")), key=len)
    stem = FOLDERS[name].joinpath(*module.removeprefix(name).strip(".").split("."))
    return (stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")).read_text(encoding="utf-8")
