"""The walls of the house, read from the imports: arrows go down, none in a circle, stages leave each other alone."""

from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.contract.closure import closure, imported
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.stage import load

SHARED = sorted((ROOT / "avatarmake").rglob("*.py"))
OF_STAGES = sorted((ROOT / "stages").rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    """What lies directly below avatarmake/: a folder, or a module of its own."""
    return path.relative_to(ROOT / "avatarmake").parts[0].removesuffix(".py")


def circle(arrows: dict) -> list:
    """Nodes that lead back to the first of them, or nothing."""
    done = set()
    for start in sorted(arrows):
        path = [(start, iter(sorted(arrows[start])))]
        while path:
            step = next((n for n in path[-1][1] if n not in done), None)
            if step is None:
                done.add(path.pop()[0])
            elif step in (on := [n for n, _ in path]):
                return [*on[on.index(step) :], step]
            else:
                path.append((step, iter(sorted(arrows[step]))))
    return []


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_itself_by_a_round_about_way():
    assert not circle({name(p): {name(m) for m in imported(p)} - {name(p)} for p in SHARED + OF_STAGES})


def test_no_room_leads_back_to_itself():
    """`avatarmake/__init__.py`, which everybody may read, imports nothing."""
    arrows: dict[str, set[str]] = {}
    for path in SHARED:
        others = {room(module) for module in imported(path) if module.is_relative_to(ROOT / "avatarmake")}
        arrows.setdefault(room(path), set()).update(others - {room(path)})
    assert not arrows["__init__"]
    assert not circle(arrows)


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_what_is_shared_knows_no_stage(path):
    assert not [name(m) for m in imported(path) if m.is_relative_to(ROOT / "stages")]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_but_those_it_declares(stage):
    others = {p.relative_to(ROOT / "stages").parts[0] for p in closure(stage) if p.is_relative_to(ROOT / "stages")}
    assert others - {stage, "__init__.py"} == set(load(stage).uses)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if load(stage).upstream])
def test_overlays_import_what_their_stage_s_image_has(stage):
    """An overlay runs in the image, from a patched copy that the image does not hold."""
    overlays = ROOT / "patches" / load(stage).upstream / "overlay"
    needed = {module for path in overlays.rglob("*.py") for module in imported(path)}
    assert needed and needed <= set(closure(stage))


def test_every_room_has_its_tests_and_every_stage():
    rooms = {room(p) for p in SHARED if p.parent != ROOT / "avatarmake"}
    missing = {place for place in rooms | set(STAGES) if not list((ROOT / "tests" / place).glob("test_*.py"))}
    assert not missing
