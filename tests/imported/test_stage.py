"""The stage among the others: what it leaves, with which receipts, and what the stages after and before make of it."""

import json
import os
import shutil

import pytest

from avatarmake import engine, flashavatar_tree
from avatarmake.contract import layout
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import RECEIPT, receipt
from avatarmake.contract.stage import load
from avatarmake.engine.readiness import needed
from avatarmake.errors import Exit
from stages.imported import STAGE
from tests.flashavatar_tree import subject as subjects
from tests.imported import sources

BROUGHT = ("frames", "tracking", "dataset", "masks")


@pytest.fixture
def theirs(tmp_path):
    return sources.flashavatar(tmp_path / "theirs")


@pytest.fixture
def run(subject, capsys):
    """The host's command, as make calls it, for a stage that has nothing to do or is refused."""

    def call(stage, *options):
        from avatarmake.__main__ import main

        code = main(["run", stage, subject.name, f"--data={subject.data}", *options])
        out = capsys.readouterr()
        return code, out.out + out.err

    return call


def tree(root) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


# --- round trip ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [False, True])
def test_our_dataset_by_way_of_flashavatar_s_tree(copy, tmp_path, bring, subject):
    """The same bytes in every .frame, picture and mask; head model and rate come along in the tree's mark."""
    fake = subjects.write(tmp_path / "volume", 9, head_model="open", digest=head_digest())
    flashavatar_tree.make(fake, tmp_path / "tree", copy)
    code, said = bring(tmp_path / "tree")
    assert code == Exit.OK, said
    for folder in ("dataset/checkpoint", "dataset/imgs", "masks/alpha", "masks/parsing"):
        assert tree(subject.root / folder) == tree(fake.root / folder)
    index = json.loads((subject.directory("dataset") / "index.json").read_text())
    assert index["head_model"] == "open" and index["head_model_digest"] == head_digest() and index["fps"] == 25


def head_digest() -> str:
    from avatarmake import head_model

    return head_model.load("open").digest


def test_another_version_of_the_head_model(tmp_path, bring):
    fake = subjects.write(tmp_path / "volume", 3, head_model="open", digest="0123456789abcdef")
    flashavatar_tree.make(fake, tmp_path / "tree", copy=False)
    code, said = bring(tmp_path / "tree")
    assert code == Exit.BAD_INPUT and "another version of head model 'open': 01234567" in said


# --- receipts --------------------------------------------------------------------------------------------------------


def test_each_directory_has_a_receipt_that_names_what_it_is_made_of(theirs, subject, bring):
    assert bring(theirs)[0] == Exit.OK
    done = {name: receipt(subject.directory(name)) for name in (*BROUGHT, "imported")}
    assert {stamp["stage"] for stamp in done.values()} == {"imported"}
    digests = {name: stamp["outputs"]["digest"] for name, stamp in done.items()}
    assert done["frames"]["parts"] == {}
    assert done["dataset"]["parts"] == {"tracking/": digests["tracking"], "frames/": digests["frames"]}
    assert done["masks"]["parts"] == {"dataset/": digests["dataset"]}
    assert not list(subject.root.glob("*.partial"))


def test_it_brings_what_the_stages_say_they_read():
    from avatarmake.contract.pipeline import WRITER

    for directory, made_of in STAGE.brings.items():
        assert set(made_of) == set(load(WRITER[directory]).reads)


def test_a_second_time_there_is_nothing_to_do(theirs, bring):
    bring(theirs)
    assert "nothing to do" in bring(theirs)[1]
    sources.save(sources.mask(), theirs / "alpha/00001.jpg", quality=60)  # in a folder below
    assert "to do again, changed: source" in bring(theirs)[1]


def test_an_import_takes_the_place_of_the_last_one(theirs, subject, bring):
    """Masks too, which are the user's: these are copies, and nobody has changed them."""
    bring(theirs)
    assert bring(theirs, "--fps", "30")[0] == Exit.OK
    assert not (subject.root / ".aside").exists()
    layout.parsing_mask(subject.directory("masks"), 1, "mouth").write_bytes(b"edited")
    code, said = bring(theirs, "--fps", "25")
    assert code == Exit.BAD_INPUT and "parsing/00001_mouth.png" in said
    assert bring(theirs, "--fps", "25", "--force")[0] == Exit.OK
    assert [p.name for p in (subject.root / ".aside").rglob("*") if p.is_file()] == ["00001_mouth.png"]


def test_without_the_head_model_training_asks_for_the_comparison(theirs, subject, bring):
    """Once FLAME is there: its version is not known to be that of the data."""
    from avatarmake import head_model
    from avatarmake.errors import StageError

    bring(theirs)
    index = json.loads((subject.directory("dataset") / "index.json").read_text())
    assert index["head_model"] == "flame" and index["head_model_digest"] == ""
    with pytest.raises(StageError, match="make import ID=roman"):
        head_model.refuse_another(small(), index["head_model_digest"], subject.root, "roman", "")


def test_the_same_bytes_each_time(theirs, subject, bring, tmp_path):
    bring(theirs)
    other = Subject(tmp_path / "other", "roman")
    subject.root.rename(tmp_path / "first")
    bring(theirs)
    shutil.copytree(subject.root, other.root)
    shutil.rmtree(subject.root)
    (tmp_path / "first").rename(subject.root)
    for name in (*BROUGHT, "imported"):
        ours, again = (tree(s.directory(name)) for s in (subject, other))
        ours.pop(RECEIPT), again.pop(RECEIPT)
        assert ours == again


def test_a_killed_import_goes_on(theirs, subject, bring, monkeypatch):
    from stages.imported import directories

    real = directories.write_dataset
    monkeypatch.setattr(directories, "write_dataset", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert bring(theirs)[0] == 130
    assert not any(subject.directory(name).exists() for name in BROUGHT)
    monkeypatch.setattr(directories, "write_dataset", real)
    assert bring(theirs)[0] == Exit.OK
    assert receipt(subject.directory("imported"))["resumed"]


def test_a_kill_between_two_directories(theirs, subject, bring, monkeypatch):
    """What is in place stays, and the rerun brings the rest."""
    from avatarmake.contract import brought

    real, count = brought.publish, []

    def dying(out, final, stamp):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(final.name)
        real(out, final, stamp)

    monkeypatch.setattr(brought, "publish", dying)
    assert bring(theirs)[0] == 130
    assert [name for name in BROUGHT if subject.directory(name).exists()] == ["frames", "tracking"]
    monkeypatch.setattr(brought, "publish", real)
    assert bring(theirs)[0] == Exit.OK
    assert all(receipt(subject.directory(name)) for name in (*BROUGHT, "imported"))


def test_links_share_the_files_and_the_source_stays(theirs, subject, bring):
    before = tree(theirs)
    assert bring(theirs, "--link")[0] == Exit.OK
    assert os.path.samefile(layout.dataset_image(subject.directory("dataset"), 2), theirs / "imgs/00002.jpg")
    assert os.path.samefile(layout.alpha_mask(subject.directory("masks"), 2), theirs / "alpha/00002.jpg")
    assert bring(theirs, "--link", "--force")[0] == Exit.OK  # the old ones go, the source's names stay
    assert tree(theirs) == before


# --- what others made ------------------------------------------------------------------------------------------------


def test_what_another_stage_made_is_not_replaced(theirs, subject, bring):
    subjects.write(subject.data, 3)
    subject.data.joinpath("fake").rename(subject.root)
    stamp = json.loads((subject.directory("dataset") / RECEIPT).read_text()) | {"stage": "convert"}
    (subject.directory("dataset") / RECEIPT).write_text(json.dumps(stamp))
    before = tree(subject.directory("dataset"))
    code, said = bring(theirs)
    assert code == Exit.BAD_INPUT and "was made by convert" in said and "--force" in said
    assert tree(subject.directory("dataset")) == before


def test_what_nobody_made_is_named(theirs, subject, bring):
    subject.directory("masks").mkdir(parents=True)
    (subject.directory("masks") / "mine.png").touch()
    code, said = bring(theirs)
    assert code == Exit.BAD_INPUT and "mine.png" in said
    assert bring(theirs, "--force")[0] == Exit.OK
    assert (subject.root / ".aside/masks-1/mine.png").exists()


# --- the stages before and after -------------------------------------------------------------------------------------


def test_what_was_imported_stands(theirs, subject, bring, run):
    """No video, no FLAME, another release: none of it makes a stage run over what was brought."""
    bring(theirs)
    for stage, directory in zip(("frames", "track", "convert", "mask"), BROUGHT, strict=True):
        code, said = run(stage)
        assert code == Exit.OK and f"{stage} roman: nothing to do" in said and f"{directory} was imported" in said


def test_in_an_image_too(theirs, subject, bring, capsys):
    """A stage's own command line knows it as well."""
    from stages.frames import STAGE as FRAMES

    bring(theirs)
    assert command(FRAMES, lambda job: pytest.fail("ran"), ["roman", "--data", str(subject.data)]) == Exit.OK


def test_options_that_would_make_something_else_of_it_are_refused(theirs, subject, bring, run, tmp_path):
    bring(theirs)
    code, said = run("track", "--head-model=open")
    assert code == Exit.USAGE and "HEAD_MODEL would make something else of it" in said and "--force" in said
    (tmp_path / "film.mp4").touch()
    code, said = run("frames", f"--video={tmp_path / 'film.mp4'}")
    assert code == Exit.USAGE and "VIDEO would make" in said


def test_lost_files_are_brought_again_not_made(theirs, bring, run, subject):
    bring(theirs)
    layout.dataset_image(subject.directory("dataset"), 1).unlink()
    code, said = run("convert")
    assert code == Exit.BAD_INPUT and "make import ID=roman" in said


def test_where_the_pictures_are_new_the_rest_is_to_do(theirs, subject, bring):
    """As after `make frames OPTIONS=--force VIDEO=...`: what was made of the old ones no longer stands."""
    from avatarmake.contract.key import standing

    bring(theirs)
    stamp = receipt(subject.directory("frames"))
    stamp |= {"stage": "frames", "outputs": stamp["outputs"] | {"digest": "new"}}
    (subject.directory("frames") / RECEIPT).write_text(json.dumps(stamp))
    stages = {name: load(name) for name in ("frames", "track", "convert", "mask")}
    stand = {name: bool(standing(stage, subject)) for name, stage in stages.items()}
    assert stand == {"frames": False, "track": False, "convert": False, "mask": True}  # its dataset/ is still there


def test_masks_in_part_are_for_the_audit(tmp_path, subject, bring, run):
    """alpha alone: `mask` says FIX=1, which keeps it and makes the others; it never goes over it."""
    code, said = bring(sources.insta(tmp_path / "theirs", labels=False))
    assert code == Exit.OK and "make mask ID=roman FIX=1, which keeps alpha" in said
    assert receipt(subject.directory("masks"))["facts"]["incomplete"] == ["neckhead", "mouth"]
    from stages.mask import STAGE as MASK

    assert command(MASK, lambda job: pytest.fail("ran"), ["roman", "--data", str(subject.data)]) == Exit.BAD_INPUT


def test_convert_takes_flame_head_tracker_s_own_for_flame_s(tmp_path, subject, bring):
    """Its fallback, for .npz files without a tracker.json."""
    from stages.convert import STAGE as CONVERT
    from stages.convert import __main__ as convert

    bring(sources.head_tracker(tmp_path / "theirs"))
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert.head_model, "load", lambda name: asked.append(name) or small())
        assert command(CONVERT, convert.run, ["roman", "--data", str(subject.data)]) == Exit.OK
    assert asked == ["flame"]
    assert len(list((subject.directory("dataset") / "checkpoint").iterdir())) == 4


def small():
    from dataclasses import replace

    from tests.synthetic import small_head

    return replace(small_head(), name="flame")


def test_flashavatar_s_tree_of_what_was_imported(theirs, subject, bring, tmp_path):
    bring(theirs)
    checked, made = flashavatar_tree.make(subject, tmp_path / "tree", copy=True)
    assert made and checked.frames == sources.FRAMES


def test_who_made_the_tracking_is_no_tracker(theirs, subject, bring):
    bring(theirs)
    assert engine.chosen("track", subject) == "track"


def test_status_says_so(theirs, subject, bring, capsys):
    from avatarmake import status

    bring(theirs)
    status.show("roman", subject.data)
    rows = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()[2:] if line.strip()}
    assert rows["imported"] and [rows[s] for s in ("frames", "track", "convert", "mask")] == ["imported"] * 4


def test_nothing_is_set_up_for_what_an_import_brings():
    assert needed(["imported", "train"]) == ["imported", "convert", "mask", "refine", "train"]
    assert needed(["train"]) == ["frames", "track", "convert", "mask", "refine", "train"]


def test_nothing_to_import(subject, run):
    code, said = run("imported")
    assert code == Exit.USAGE and "make import ID=roman FROM=folder" in said


def test_a_folder_that_leads_to_itself(theirs, bring):
    (theirs / "round").symlink_to(theirs, target_is_directory=True)
    code, said = bring(theirs)
    assert code == Exit.BAD_INPUT and "without end" in said


def test_a_link_that_leads_nowhere(tmp_path, bring):
    """As a container sees a tree of links of which it has only the folder FROM."""
    fake = subjects.write(tmp_path / "volume", 3)
    flashavatar_tree.make(fake, tmp_path / "tree", copy=False)
    shutil.move(tmp_path / "volume", tmp_path / "elsewhere")
    code, said = bring(tmp_path / "tree", "--kind", "flashavatar")
    assert code != Exit.OK and "COPY=1" in said
