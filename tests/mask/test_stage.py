"""The stage and its fixer, through the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, alpha_mask, checkpoint_file, parsing_mask
from avatarmake.errors import Exit
from avatarmake.files.digests import digest_path
from avatarmake.formats.frame import read_frame, write_frame
from avatarmake.formats.images import read_mask, write_jpeg, write_png
from stages.mask import STAGE, __main__
from stages.mask.__main__ import run
from stages.mask.audit import FAULTS
from stages.mask.source import MaskSource
from tests.mask.conftest import FRAMES

FIX = ("--fix",)


def mask(subject: Subject, *options: object) -> Exit:
    return command(STAGE, run, [subject.name, "--data", str(subject.data), *map(str, options)])


def files(subject: Subject) -> dict[str, str]:
    """Path below masks/ -> digest, of the masks alone."""
    root = subject.directory("masks")
    return {
        str(p.relative_to(root)): digest_path(p) for d in ("alpha", "parsing") for p in sorted((root / d).iterdir())
    }


def audit(subject: Subject) -> dict:
    return json.loads((subject.directory("masks") / "audit.json").read_text())


@pytest.fixture
def foreign(masks) -> Path:
    """The same, as if another tool had written them."""
    for name in ("stage.json", "SHA256SUMS", "audit.json"):
        (masks / name).unlink()
    return masks


def test_masks_are_what_flashavatar_reads(subject, masks, images):
    names = [f"parsing/{i:05d}_{part}.png" for i in range(1, FRAMES + 1) for part in ("mouth", "neckhead")]
    assert list(files(subject)) == [*(f"alpha/{i:05d}.jpg" for i in range(1, FRAMES + 1)), *names]
    neckhead, mouth = (read_mask(parsing_mask(masks, 2, part)) for part in ("neckhead", "mouth"))
    alpha = read_mask(alpha_mask(masks, 2))
    assert neckhead.shape == mouth.shape == alpha.shape == (512, 512)
    assert set(np.unique(mouth)) == {0, 255}
    grey = (neckhead > 0) & (neckhead < 255)
    assert 0 < grey.sum() < 0.05 * (neckhead > 0).sum()  # soft edges, and nothing else
    # the astronaut: hair above the brow and the face are head; the orange suit is not; a flag behind is background
    assert neckhead[40, 240] and neckhead[190, 250] and not neckhead[480, 250] and not neckhead[470, 90]
    assert alpha[470, 200] > 200 and alpha[190, 250] == 255 and alpha[20, 490] < 30
    facts = json.loads((masks / "stage.json").read_text())["facts"]
    assert facts["frames_in"] == facts["frames_out"] == FRAMES and facts["faults"] == {}
    assert facts["neckhead_area_median"] > 10 * facts["mouth_area_median"] > 0
    assert audit(subject)["files"] == 3 * FRAMES == audit(subject)["regenerated"]


def test_masks_are_the_same_in_processes_and_after_a_kill(subject, masks, monkeypatch):
    undisturbed = files(subject)
    monkeypatch.setattr(__main__, "CHUNK", 2)  # three runs of images for two processes
    assert mask(subject, "--workers", 2, "--force") == Exit.OK
    assert files(subject) == undisturbed

    make, made = MaskSource.make, []

    def dies(self, number, *args):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(number)
        return make(self, number, *args)

    monkeypatch.setattr(MaskSource, "make", dies)
    monkeypatch.setattr(__main__, "CHUNK", FRAMES)
    assert mask(subject, "--force") != Exit.OK
    (alpha_mask(subject.partial("masks"), 2)).unlink()  # killed between two files of one image
    monkeypatch.setattr(
        MaskSource, "make", lambda self, number, *args: made.append(number) or make(self, number, *args)
    )
    assert mask(subject, "--force") == Exit.OK
    assert files(subject) == undisturbed
    assert made == [1, 2, 2, 3, 4, 5]


def test_kill_9_and_again(subject, masks):
    undisturbed = files(subject)
    shutil.rmtree(masks)
    line = [sys.executable, "-m", "stages.mask", subject.name, "--data", str(subject.data), "--workers", "1"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    while not list(subject.partial("masks").glob("parsing/0*")) and process.poll() is None:
        pass
    process.kill()
    process.wait()
    assert mask(subject) == Exit.OK
    assert files(subject) == undisturbed
    assert {p.name for p in masks.iterdir()} == {"alpha", "parsing", "audit.json", "stage.json", "SHA256SUMS"}


def test_masks_of_others_are_not_overwritten(subject, foreign, capsys):
    before = files(subject)
    assert mask(subject) == Exit.BAD_INPUT
    assert "FIX=1" in capsys.readouterr().err and files(subject) == before
    assert mask(subject, *FIX) == Exit.OK
    assert files(subject) == before and audit(subject)["kept"] == 3 * FRAMES and audit(subject)["faults"] == {}
    assert mask(subject) == Exit.OK and "nothing to do" in capsys.readouterr().out
    assert mask(subject, "--hat") == Exit.BAD_INPUT and "FIX=1" in capsys.readouterr().err  # still theirs
    assert files(subject) == before
    assert mask(subject, "--force") == Exit.OK
    aside = subject.root / ".aside" / "masks-1"
    assert {name: digest_path(aside / name) for name in before} == before


def test_a_mask_that_was_mended_by_hand_is_kept_and_stays_its_maker_s(subject, masks, capsys):
    mended = parsing_mask(masks, 2, "neckhead")
    outline = read_mask(mended).copy()
    outline[300, 250] = 0
    mended.unlink()  # other tests' masks are links to the same file
    write_png(mended, outline)
    by_hand = files(subject)
    assert mask(subject, "--hat") == Exit.BAD_INPUT and "00002_neckhead.png" in capsys.readouterr().err
    assert mask(subject, *FIX) == Exit.OK and files(subject) == by_hand and audit(subject)["faults"] == {}
    assert not (subject.root / ".aside").exists()  # taken over, with all that was there
    assert mask(subject, "--hat") == Exit.BAD_INPUT and files(subject) == by_hand


def test_what_comes_to_masks_that_are_taken_over_is_set_aside(subject, foreign, monkeypatch):
    """And what the audit does not look at: a list of somebody's own."""
    (foreign / "SHA256SUMS").write_text("mine")

    def meanwhile(job):
        facts = run(job)
        (foreign / "alpha" / "later.txt").write_text("later")
        return facts

    assert command(STAGE, meanwhile, [subject.name, "--data", str(subject.data), *FIX]) == Exit.OK
    aside = subject.root / ".aside" / "masks-1"
    assert {p.name for p in aside.rglob("*") if p.is_file()} == {"later.txt", "SHA256SUMS"}
    assert (aside / "SHA256SUMS").read_text() == "mine"


def broken(kind: str, masks: Path) -> tuple[str, str]:
    """Break image 3's masks in one way -> the file's name below masks/, and what becomes of it."""
    neckhead, mouth, alpha = parsing_mask(masks, 3, "neckhead"), parsing_mask(masks, 3, "mouth"), alpha_mask(masks, 3)
    head, lips, person = read_mask(neckhead), read_mask(mouth), read_mask(alpha)
    path, fate = neckhead, "regenerated"
    match kind:
        case "missing":
            neckhead.unlink()
        case "unreadable":
            path = mouth
            mouth.write_bytes(mouth.read_bytes()[:120])
        case "wrong_mode":
            fate = "mended"
            write_png(neckhead, np.repeat(head[..., None], 3, 2))
        case "wrong_size":
            fate = "mended"
            write_png(neckhead, head[::2, ::2])
        case "zero_one":
            fate = "mended"
            write_png(neckhead, head // 255)
        case "not_binary":
            fate = "mended"
            write_png(neckhead, np.where(head > 0, 200, 30).astype(np.uint8))
        case "mouth_empty":
            path = mouth
            write_png(mouth, lips * 0)
        case "mouth_on_nose":
            path = mouth
            write_png(mouth, np.roll(lips, -45, 0))
        case "mouth_elsewhere":
            path = mouth
            write_png(mouth, np.roll(lips, 120, 0))
        case "neckhead_cloth":
            write_png(neckhead, np.where(person > 127, 255, 0).astype(np.uint8))
        case "neckhead_incomplete":
            write_png(neckhead, np.where(np.arange(512)[:, None] < 150, head, 0).astype(np.uint8))
        case "alpha_misses_face":
            path = alpha
            write_jpeg(alpha, person * 0)
        case "inverted":
            path, fate = alpha, "mended"
            write_jpeg(alpha, 255 - person)
        case "covers_everything":
            path = alpha
            write_jpeg(alpha, person * 0 + 255)
        case "mouth_scattered":
            path = mouth
            hair = np.zeros_like(lips)
            hair[300:330, 120:140] = 255
            write_png(mouth, lips | hair)
        case "whole_frame":
            fate = "mended"
            write_png(neckhead, np.pad(head, ((0, 0), (100, 388))))
    return str(path.relative_to(masks)), fate


@pytest.mark.parametrize("kind", [f for f in FAULTS if f not in ("stray", "wrong_number")])
def test_each_fault_is_found_counted_shown_and_mended(subject, foreign, kind, capsys):
    good, head = files(subject), read_mask(parsing_mask(foreign, 3, "neckhead"))
    name, fate = broken(kind, foreign)
    bad = digest_path(foreign / name) if (foreign / name).exists() else None
    assert mask(subject, *FIX) == Exit.OK
    report, now = audit(subject), files(subject)
    assert report["faults"] == {kind: 1} and f"1 x {kind}" in capsys.readouterr().out
    assert (report["kept"], report[fate]) == (3 * FRAMES - 1, 1)
    assert {n: d for n, d in now.items() if n != name} == {n: d for n, d in good.items() if n != name}
    if fate == "regenerated":
        assert now[name] == good[name]
    elif kind == "wrong_mode":
        assert np.array_equal(read_mask(foreign / name), head)
    elif kind in ("zero_one", "not_binary"):
        assert np.array_equal(read_mask(foreign / name) > 127, read_mask(foreign / name) == 255)
    assert len(list((foreign / "audit" / kind).glob("00003_*.jpg"))) == 1
    aside = foreign / "replaced" / name
    assert (digest_path(aside) if aside.exists() else None) == bad
    assert mask(subject, *FIX) == Exit.OK and audit(subject)["faults"] == {}  # nothing is left to mend
    assert not bad or aside.exists()  # nor is what was put aside lost


def test_stray_files_are_put_aside(subject, foreign):
    good = files(subject)
    write_png(parsing_mask(foreign, 77, "mouth"), np.zeros((512, 512), np.uint8))
    (foreign / "parsing" / "notes.txt").write_text("mine")
    assert mask(subject, *FIX) == Exit.OK
    assert files(subject) == good and audit(subject)["faults"] == {"stray": 2}
    assert (foreign / "replaced/parsing/notes.txt").read_text() == "mine"


def renamed(masks: Path, by: int) -> None:
    """Number all masks otherwise."""
    for path in sorted(masks.glob("*/*"), reverse=by > 0):
        path.rename(path.with_name(f"{int(path.name[:5]) + by:05d}{path.name[5:]}"))


def test_masks_numbered_from_0(subject, foreign, capsys):
    good = files(subject)
    renamed(foreign, -1)
    assert mask(subject, *FIX) == Exit.OK
    assert files(subject) == good and audit(subject)["faults"] == {"wrong_number": 3 * FRAMES}
    assert "the file of image 1 is alpha/00000.jpg, numbered from 0" in capsys.readouterr().out
    assert (foreign / "replaced/alpha/00000.jpg").exists()
    assert mask(subject, *FIX) == Exit.OK and files(subject) == good and audit(subject)["faults"] == {}


def test_masks_of_another_video_are_named(subject, foreign, capsys):
    for path in foreign.glob("*/*"):
        moved = np.roll(read_mask(path), 250, 1)
        (write_jpeg if path.suffix == ".jpg" else write_png)(path, moved)
    assert mask(subject, *FIX) == Exit.OK and "do not fit the tracked head" in capsys.readouterr().out
    assert audit(subject)["kept"] == 0


def test_an_audit_that_was_killed_goes_on(subject, foreign, monkeypatch):
    good = files(subject)
    for number in (2, 4):
        parsing_mask(foreign, number, "mouth").unlink()
    make, calls = MaskSource.make, []

    def dies(self, number, *args):
        calls.append(number)
        if calls == [2, 4]:
            raise KeyboardInterrupt
        return make(self, number, *args)

    monkeypatch.setattr(MaskSource, "make", dies)
    assert mask(subject, *FIX) != Exit.OK
    assert mask(subject, *FIX) == Exit.OK
    assert files(subject) == good and calls == [2, 4, 4]
    assert audit(subject)["faults"] == {"missing": 2}


def labels_of(masks: Path, folder: Path, numbers: range) -> Path:
    """BiSeNet maps that agree with the masks, with cloth below."""
    folder.mkdir()
    for n in numbers:
        labels = np.where(read_mask(alpha_mask(masks, n)) > 127, 16, 0).astype(np.uint8)
        labels[read_mask(parsing_mask(masks, n, "neckhead")) > 0] = 1
        labels[read_mask(parsing_mask(masks, n, "mouth")) > 0] = 12
        labels[:30] = 18
        write_png(folder / f"{n:05d}.png", labels)
    return folder


def test_masks_from_label_maps(subject, masks, tmp_path, capsys):
    folder = labels_of(masks, tmp_path / "labels", range(1, FRAMES))  # the last has none
    mouth = read_mask(parsing_mask(masks, 1, "mouth"))
    last = digest_path(parsing_mask(masks, FRAMES, "neckhead"))
    assert mask(subject, "--labels", folder) == Exit.OK
    out = capsys.readouterr().out
    assert "changed: labels" in out and "1 of 5 images have no label map" in out
    assert np.array_equal(read_mask(parsing_mask(masks, 1, "mouth")), mouth)
    neckhead = read_mask(parsing_mask(masks, 1, "neckhead"))
    assert not neckhead[:30].any() and not neckhead[480].any()
    assert digest_path(parsing_mask(masks, FRAMES, "neckhead")) == last
    assert mask(subject, "--labels", folder, "--hat", "--mouth-labels", "11") == Exit.OK
    assert read_mask(parsing_mask(masks, 1, "neckhead"))[:30].all()
    assert not read_mask(parsing_mask(masks, 1, "mouth")).any()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--labels", "nowhere"], Exit.BAD_INPUT, "no such file"),
        (["--mouth-labels", "lips"], Exit.USAGE, "11,12,13"),
        (["--labels", "tests/mask"], Exit.BAD_INPUT, "holds no label map"),
    ],
)
def test_wrong_options(subject, options, code, words, capsys):
    assert mask(subject, *options) == code
    assert words in capsys.readouterr().err and not subject.directory("masks").exists()


def test_what_is_no_label_map(subject, tmp_path, capsys):
    folder = tmp_path / "labels"
    folder.mkdir()
    write_png(folder / "00001.png", np.full((512, 512), 200, np.uint8))
    assert mask(subject, "--labels", folder) == Exit.BAD_INPUT
    assert "00001.png: is not a map of BiSeNet's classes: it holds a 200" in capsys.readouterr().err


def test_without_a_dataset(tmp_path, capsys):
    assert mask(Subject(tmp_path, "nobody")) == Exit.BAD_INPUT
    assert "Run: make convert ID=nobody" in capsys.readouterr().err


def test_a_dataset_of_another_head(subject, capsys):
    index = subject.directory("dataset") / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"head_model_digest": "0" * 64}))
    assert mask(subject) == Exit.BAD_INPUT
    assert "Run: make track convert ID=someone" in capsys.readouterr().err


def test_a_single_image(subject):
    root = subject.directory("dataset")
    index = json.loads((root / "index.json").read_text())
    for key in ("images", "source_frames", "times"):
        index[key] = index[key][:1]
    (root / "index.json").write_text(json.dumps(index))
    write_frame(checkpoint_file(root, 0), read_frame(checkpoint_file(root, 0)), 0)
    assert mask(subject) == Exit.OK and len(files(subject)) == 3
