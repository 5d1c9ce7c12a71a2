"""A patch set, patches/<upstream>/, read and checked before anything is touched.

    UPSTREAM        TOML: what is patched, at which commit or version, under which licence, and where it is
    series          rule files and overlays in order, one a line; # begins a comment
    0001-why.yml    ast-grep rules, documents separated by ---
    overlay/a/b.py  a module of ours that replaces or adds a/b.py
"""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from avatarmake import ROOT
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_files

FOLDER = ROOT / "patches"
OURS = ("why", "expect", "drop-when")  # metadata that every rule has


@dataclass(frozen=True)
class Upstream:
    """What is patched: a git checkout of the user's (repository, commit), or a package's sdist (package, version)."""

    licence: str
    repository: str = ""
    commit: str = ""
    checkout: str = ""  # below the repository's root
    without: tuple[str, ...] = ()  # paths of the checkout that the copy leaves out
    package: str = ""
    version: str = ""
    sha256: str = ""  # of the sdist
    release: str = ""  # version of the patched wheel, `0.70+avatarmake.1`
    requires: tuple[str, ...] = ()  # what the patched wheel depends on


@dataclass(frozen=True)
class Rule:
    """One ast-grep rule. `body` is what ast-grep is given; `applied`, if any, finds the rule's own result."""

    id: str
    source: str
    why: str
    expect: int
    drop_when: str
    files: tuple[str, ...]
    body: dict[str, Any]
    applied: dict[str, Any] | None


@dataclass(frozen=True)
class Overlay:
    """A module of ours that takes the place of `target`, or adds it."""

    source: str
    target: str
    file: Path
    drop_when: str = ""
    expect: int = 1

    @property
    def id(self) -> str:
        return self.source

    @property
    def why(self) -> str:
        """The first line of the module's docstring."""
        text = self.file.read_text()
        said = ast.get_docstring(ast.parse(text)) if self.file.suffix == ".py" else None
        return (said or "a file of ours").splitlines()[0]


@dataclass(frozen=True)
class PatchSet:
    name: str
    folder: Path
    upstream: Upstream
    steps: tuple[Rule | Overlay, ...]

    @property
    def digest(self) -> str:
        """Of everything that decides the result: what is patched, the order, the rules and the overlays."""
        files = {self.folder / step.source for step in self.steps}
        return digest_files([self.folder / "UPSTREAM", self.folder / "series", *sorted(files)], self.folder)


def names() -> list[str]:
    """The upstreams that there are patches for."""
    return sorted(path.parent.name for path in FOLDER.glob("*/UPSTREAM"))


def upstream(name: str) -> Upstream:
    """What patches/<name> are for."""
    path = FOLDER / name / "UPSTREAM"
    if not path.exists():
        known = f"There are: {', '.join(names())}"
        raise StageError(f"there are no patches for '{name}'", path.parent, known, Exit.USAGE)
    try:
        said = tomllib.loads(path.read_text())
        lists = {key: tuple(value) for key, value in said.items() if isinstance(value, list)}
        what = Upstream(**said | lists)
    except (tomllib.TOMLDecodeError, TypeError) as e:
        raise _fault(path, str(e)) from e
    needed = ("package", "version", "sha256", "release") if what.package else ("repository", "commit", "checkout")
    if missing := [key for key in needed if not getattr(what, key)]:
        raise _fault(path, f"does not say {', '.join(missing)}")
    return what


def load(name: str) -> PatchSet:
    """patches/<name>, checked. Raises StageError: these files are the project's own, so a fault here is ours."""
    folder = FOLDER / name
    what = upstream(name)
    steps: list[Rule | Overlay] = []
    for source in _series(folder):
        if source.startswith("overlay/"):
            steps.append(Overlay(source, source.removeprefix("overlay/"), folder / source))
        else:
            steps += _rules(folder / source)
    twice = {step.id for step in steps if [s.id for s in steps].count(step.id) > 1}
    if twice:
        raise _fault(folder, f"two rules have the id {', '.join(sorted(twice))}")
    return PatchSet(name, folder, what, tuple(steps))


def _series(folder: Path) -> list[str]:
    """What `series` lists: each there, and nothing there that is not listed."""
    path = folder / "series"
    if not path.exists():
        raise _fault(path, "is not there")
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    listed = [line for line in lines if line]
    there = {p.relative_to(folder).as_posix() for p in [*folder.glob("*.y*ml"), *folder.glob("overlay/**/*")]
             if p.is_file() and "__pycache__" not in p.parts}  # fmt: skip
    if unknown := [source for source in listed if source not in there]:
        raise _fault(path, f"lists {', '.join(unknown)}, which the folder does not have")
    if unlisted := sorted(there - set(listed)):
        raise _fault(path, f"does not list {', '.join(unlisted)}, so it would not be applied")
    return listed


def _rules(path: Path) -> list[Rule]:
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    except yaml.YAMLError as e:
        raise _fault(path, f"is no YAML: {e}") from e
    return [_rule(path, document) for document in documents]


def _rule(path: Path, document: dict) -> Rule:
    body = dict(document)
    said = body.pop("metadata", None) or {}
    files = body.pop("files", None) or []
    missing = [key for key in ("id", "language", "rule", "fix") if key not in body]
    missing += [f"metadata.{key}" for key in OURS if key not in said] + ([] if files else ["files"])
    if missing:
        raise _fault(path, f"rule {body.get('id', '?')} has no {', '.join(missing)}")
    if not isinstance(said["expect"], int) or said["expect"] < 1:
        raise _fault(path, f"rule {body['id']}: expect is {said['expect']!r}, which is no count of places")
    applied = said.get("applied")
    if isinstance(applied, str):
        applied = {"pattern": applied}
    return Rule(
        id=body["id"],
        source=path.name,
        why=str(said["why"]).strip(),
        expect=said["expect"],
        drop_when=str(said["drop-when"]).strip(),
        files=tuple([files] if isinstance(files, str) else files),
        body=body,
        applied=applied and {"id": body["id"], "language": body["language"], "rule": applied},
    )


def _fault(where: Path, what: str) -> StageError:
    return StageError(what, where, "This is a fault of the patch set", Exit.INTERNAL)
