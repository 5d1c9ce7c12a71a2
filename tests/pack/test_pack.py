"""What `make pack` takes along, what it refuses, and which tree it was made of."""

import importlib
import json
import os
import subprocess

import pytest

from avatarmake import pack
from avatarmake.contract.receipts import SUMS
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.pack import archive, contents, tree


def packed(subject, tmp_path, *wanted, diff=False) -> dict:
    return archive.read(pack.make(subject, list(wanted), diff, tmp_path))


def test_receipts_and_no_data(subject, film, clean, tmp_path):
    about = packed(subject, tmp_path)
    places = ("frames", "tracking")
    wanted = {f"subject/{place}/{name}" for place in places for name in ("stage.json", SUMS)}
    assert about["files"].keys() - {"assets.lock"} == wanted
    assert about["stages"] == [
        {"stage": "frames", "directory": "frames"},
        {"stage": "track", "directory": "tracking"},
    ]
    assert about["inputs"] == {"video": film.name} and about["data"] == []
    assert about["revision"] == tree.commit() or "unknown"
    assert about["locks"]["docker/track/requirements.lock"] == digest_path(
        contents.ROOT / "docker" / "track" / "requirements.lock"
    )
    assert set(about["patches"]) >= {"chumpy", "flame-head-tracker"}


def test_data_by_the_names_of_directories_stages_and_inputs(subject, film, clean, tmp_path):
    about = packed(subject, tmp_path, "video", "track")
    assert about["data"] == ["tracking", "video"]
    data = {name for name in about["files"] if not name.endswith((".json", SUMS, ".lock"))}
    assert data == {"inputs/video/my film.mp4", "subject/tracking/0.npz", "subject/tracking/1.npz"}
    everything = packed(subject, tmp_path, "all")["files"]
    assert "subject/frames/00001.jpg" in everything and data < everything.keys()
    with pytest.raises(StageError, match="there is no 'avatar' to take along. WITH is some of: all, frames"):
        packed(subject, tmp_path, "avatar")


def test_the_same_subject_is_the_same_bytes(subject, clean, tmp_path):
    one = pack.make(subject, ["all"], False, tmp_path).read_bytes()
    assert pack.make(subject, ["all"], False, tmp_path / "two.tar.zst").read_bytes() == one


def test_what_is_not_up_to_date_is_refused(subject, clean, tmp_path):
    stamp = subject.directory("frames") / "stage.json"
    said = json.loads(stamp.read_text())
    said["parts"]["code"] = "0" * 64
    stamp.write_text(json.dumps(said))
    with pytest.raises(StageError, match="changed: code.*make frames ID=roman"):
        packed(subject, tmp_path)


def test_data_that_was_changed_since_is_refused(subject, film, clean, tmp_path):
    (subject.directory("tracking") / "0.npz").write_bytes(b"edited")
    packed(subject, tmp_path)  # its receipt still says what the stage wrote
    with pytest.raises(StageError, match="0.npz: is not what its stage wrote"):
        packed(subject, tmp_path, "tracking")
    film.write_bytes(b"another film")
    with pytest.raises(StageError, match="is gone, or is not what it was"):
        packed(subject, tmp_path, "video")


def test_nothing_made_is_one_line(tmp_path, clean):
    with pytest.raises(StageError, match="nothing of this subject is made. Run: make report ID=anna"):
        packed(contents.Subject(tmp_path, "anna"), tmp_path)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of one commit, which the module takes for ours."""
    place = tmp_path / "checkout"
    place.mkdir()

    def git(*words: str) -> str:
        told = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        return subprocess.run(["git", "-C", place, *told, *words], check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (place / "kept.py").write_text("one\n")
    (place / "gone.py").write_text("gone\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(tree, "ROOT", place)
    monkeypatch.setattr(importlib.import_module("avatarmake.engine.revision"), "ROOT", place)
    return place, git


def test_a_clean_tree_and_a_modified_one(checkout):
    place, git = checkout
    assert tree.commit() == git("rev-parse", "HEAD").strip() and tree.modified() == []
    (place / "assets.lock").write_text("a host's own")
    assert tree.modified() == []
    (place / "kept.py").write_text("two\n")
    (place / "gone.py").unlink()
    (place / "new.py").write_text("new\n")
    assert tree.modified() == ["gone.py", "kept.py", "new.py"]


def test_its_difference_makes_the_commit_that_tree(checkout, tmp_path):
    place, git = checkout
    (place / "kept.py").write_text("two\n")
    (place / "gone.py").unlink()
    (place / "new.bin").write_bytes(bytes(range(256)))
    (tmp_path / "changes.diff").write_bytes(tree.changes())
    assert git("status", "--porcelain").splitlines() == [" D gone.py", " M kept.py", "?? new.bin"], "untouched"
    other = tmp_path / "other"
    git("worktree", "add", "--quiet", "--detach", str(other), "HEAD")
    subprocess.run(["git", "-C", other, "apply", tmp_path / "changes.diff"], check=True)
    assert (other / "kept.py").read_text() == "two\n" and not (other / "gone.py").exists()
    assert (other / "new.bin").read_bytes() == bytes(range(256))


def test_a_modified_tree_is_refused_or_its_difference_taken_along(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "modified", lambda: ["a.py", "b.py", "c.py", "d.py"])
    monkeypatch.setattr(tree, "changes", lambda: b"the difference")
    with pytest.raises(StageError, match="a.py, b.py, c.py and 1 more. Commit that, or .*DIFF=1") as raised:
        packed(subject, tmp_path)
    assert raised.value.exit == Exit.USAGE
    about = packed(subject, tmp_path, diff=True)
    assert about["files"]["changes.diff"][0] == len(b"the difference")


def test_the_way_to_a_revision(checkout):
    place, git = checkout
    commit = tree.commit()
    assert tree.way_to(commit) == f"git worktree add ../avatarmake-{commit[:12]} {commit}"
    assert tree.way_to("0" * 40).startswith("git fetch --all && git worktree add ")
    assert tree.way_to(commit, "/p/changes.diff").endswith("apply /p/changes.diff")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack"], "Which subject? Type: make pack ID=roman"),
        (["reproduce"], "Which pack? Type: make reproduce PACK=roman.avatarmake.tar.zst"),
    ],
)
def test_what_make_wants_to_know(words, said):
    plain = {name: value for name, value in os.environ.items() if name not in ("ID", "PACK", "MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", *words], cwd=contents.ROOT, env=plain, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr
