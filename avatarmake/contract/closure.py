"""The sources that a stage runs: its own package and, of this repository, what that imports. Nothing else.

They are what its image holds and what its key depends on: an edit elsewhere rebuilds no image and trains nothing anew.
The text is read and nothing is imported, so the host knows it without any stage's packages; an import inside a function
counts like any other. With a module come its packages' __init__.py and what is beside it and not Python, files
and whole folders (templates, csv, toml, a page's JavaScript), which are there to be read by it.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from avatarmake import ROOT

PACKAGES = ("avatarmake", "stages")


def closure(stage: str) -> list[Path]:
    """Every file of the checkout that `python -m stages.<stage>` can reach, sorted."""
    package = ROOT / "stages" / stage
    found = {p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    to_read = [p for p in found if p.suffix == ".py"]
    met: set[Path] = set()
    while to_read:
        path = to_read.pop()
        for module in {path, *imported(path)} - met:
            met.add(module)
            new = _with_neighbours(module) - found
            found |= new
            to_read += [p for p in new if p.suffix == ".py"]
    return sorted(found)


def imported(path: Path) -> set[Path]:
    """The modules of this repository that a module's text imports, at its top or anywhere in it."""
    about = path.stat()
    return {
        file
        for names in _names(path, about.st_mtime_ns, about.st_size)
        if (file := next((f for name in names if (f := _file(name))), None))
    }


@lru_cache(4096)
def _names(path: Path, changed: int, size: int) -> tuple[tuple[str, ...], ...]:
    """For each import of something of ours, the names its module may have: `from a import b` may mean a.b, else a."""
    stated = _stated(ast.parse(path.read_bytes(), path))
    return tuple(names for names in stated if names[0].split(".")[0] in PACKAGES)


def _stated(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((f"{node.module}.{alias.name}", node.module) for alias in node.names)


def _file(name: str) -> Path | None:
    """The file of a module of this repository, or None for what is none."""
    place = ROOT.joinpath(*name.split("."))
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def _holds_no_code(folder: Path) -> bool:
    return folder.is_dir() and folder.name != "__pycache__" and not any(folder.rglob("*.py*"))


def _with_neighbours(module: Path) -> set[Path]:
    beside = {p for p in module.parent.iterdir() if p.is_file() and p.suffix not in (".py", ".pyc")}
    folders = [folder for folder in module.parent.iterdir() if _holds_no_code(folder)]
    beside |= {p for folder in folders for p in folder.rglob("*") if p.is_file()}
    packages = {init for folder in module.parents if folder.is_relative_to(ROOT) and folder != ROOT
                if (init := folder / "__init__.py").is_file()}  # fmt: skip
    return {module} | beside | packages
