"""The sources of a stage: what an edit changes, and what it does not."""

import shutil
from dataclasses import dataclass

import pytest

from avatarmake import ROOT
from avatarmake.contract import closure, key
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.stage import Stage
from avatarmake.engine import context

SHARED = [
    p.relative_to(ROOT)
    for p in sorted((ROOT / "avatarmake").rglob("*"))
    if p.is_file() and p.parent.name != "__pycache__"  # numba keeps its own there, beside Python's
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the sources, which the modules under test take for the repository."""
    for folder in (*closure.PACKAGES, "docker"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (closure, key, context):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(key, "NO_RESULT", tuple(tmp_path / p.relative_to(ROOT) for p in key.NO_RESULT))
    return tmp_path


def images() -> dict[str, str]:
    return {stage: context.digest(stage, "sha256:base") for stage in STAGES}


@dataclass(frozen=True)
class NoOptions:
    pass


def codes(data) -> dict[str, str]:
    """The part of each stage's key that its code makes: of a stage of that name which reads nothing."""
    parts = {name: key.key_parts(Stage(name, "", (), name, NoOptions), Subject(data, "roman"), NoOptions())
             for name in STAGES}  # fmt: skip
    return {name: part["code"] for name, part in parts.items()}


# Written down by hand, from what each stage is for. Nobody but the host runs the last ones.
WHO = {
    "geometry/jitter.py": set(STAGES) - {"demo", "frames", "mask", "report"},
    "detection/__init__.py": {"imported", "demo", "frames", "track", "flame_head_tracker", "mask", "live"},
    "detection/quality.py": {"track", "flame_head_tracker"},
    "formats/tracking.py": set(STAGES) - {"demo", "frames", "mask", "refine", "train", "flashavatar"},
    "formats/frame.py": set(STAGES) - {"demo", "frames", "track", "flame_head_tracker"},
    "avatar/blending.py": {"refine", "train", "flashavatar", "view", "drive", "export", "live"},
    "avatar/performance.py": {"view", "drive", "export", "live"},
    "head_model/face_template.csv": set(STAGES) - {"frames"},
    "contract/execution.py": set(STAGES),
    "contract/workers.py": {"track", "convert", "mask"},
    "engine/docker.py": set(),
    "environments/locks.py": set(),
    "assets/fetching.py": set(),
    "patches/series.py": set(),
    "flashavatar_tree/checks.py": set(),
    "status.py": set(),
    "__main__.py": set(),
}


@pytest.fixture(scope="module")
def closures() -> dict[str, list]:
    return {stage: closure.closure(stage) for stage in STAGES}


@pytest.mark.parametrize("path", WHO)
def test_who_has_what(path, closures):
    assert {stage for stage in STAGES if ROOT / "avatarmake" / path in closures[stage]} == WHO[path]


def test_an_edit_in_a_shared_module_changes_the_images_and_keys_of_those_that_have_it(checkout, monkeypatch):
    """Each file of avatarmake/ in turn. A comment adds no import, so the closures are made once."""
    of = {stage: closure.closure(stage) for stage in STAGES}
    for module in (key, context):
        monkeypatch.setattr(module, "closure", of.__getitem__)
    before, keys = images(), codes(checkout)
    for path in SHARED:
        file = checkout / path
        was = file.read_bytes()
        file.write_bytes(was + b"\n# edited\n")
        have = [stage for stage in STAGES if file in of[stage]]
        after, new = images(), codes(checkout)
        assert [stage for stage in STAGES if before[stage] != after[stage]] == have, path
        assert [s for s in STAGES if keys[s] != new[s]] == (have if file not in key.NO_RESULT else []), path
        file.write_bytes(was)


def test_a_new_release_runs_no_stage_again(checkout):
    before = codes(checkout)
    (checkout / "avatarmake" / "__init__.py").write_text('__version__ = "99"\n')
    assert codes(checkout) == before


def test_an_import_in_a_function_counts_and_what_lies_beside_a_module_comes_with_it(checkout):
    room = checkout / "avatarmake" / "attic"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "trunk.py").write_text("from avatarmake.attic import lamp\n")
    (room / "lamp.py").write_text("")
    (room / "stairs.py").write_text("")
    (room / "list.toml").write_text("")
    had = set(closure.closure("convert"))
    with (checkout / "stages" / "convert" / "chunk.py").open("a") as f:
        f.write("\n\ndef up():\n    import avatarmake.attic.trunk\n    return avatarmake.attic.trunk\n")
    new = {path.name for path in set(closure.closure("convert")) - had}
    assert new == {"__init__.py", "trunk.py", "lamp.py", "list.toml"}
    assert not any(room in path.parents for path in closure.closure("report"))


def test_what_others_wrote_is_not_followed(checkout):
    assert all(path.is_relative_to(checkout) for path in closure.closure("train"))
    with (checkout / "stages" / "convert" / "chunk.py").open("a") as f:
        f.write("\nimport numpy.linalg, avatarmake.nowhere, stages.nothing\n")
    assert closure.closure("convert")
