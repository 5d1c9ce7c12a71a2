"""What another host makes of a pack: checked before it runs, run, held against what it says; and its exit code."""

import json

import pytest

from avatarmake import assets, pack
from avatarmake.engine import processor
from avatarmake.errors import Exit, StageError
from avatarmake.pack import archive, reproduction, since
from avatarmake.pack.reproduction import DIFFERS, Wishes
from tests.pack.conftest import FACTS, HERE, TRACKING


@pytest.fixture
def reproduce(subject, clean, tmp_path, monkeypatch):
    """reproduce(*WITH=, wishes...) -> (exit code, what reproduction.json says)."""
    monkeypatch.setattr(reproduction.doctor, "show", lambda: Exit.OK)
    volume = tmp_path / "elsewhere"

    def go(*wanted, **wishes):
        file = pack.make(subject, list(wanted), False, tmp_path)
        code = reproduction.reproduce(file, Wishes(volume, wishes.pop("given", {}), **wishes))
        (said,) = volume.glob(".reproduce/*/reproduction.json")
        return code, {stage["directory"]: stage for stage in json.loads(said.read_text())["stages"]}

    return go


def test_the_same_bytes(reproduce, stages, film, tmp_path, capsys):
    code, said = reproduce(given={"video": film})
    assert code == Exit.OK
    assert [(each["verdict"], each["promised"]) for each in said.values()] == [("same bytes", "same bytes")] * 2
    frames, track = stages.calls
    assert frames == ("frames", ["--margin=0.7", f"--video={film}"], "local")
    assert track == ("track", ["--landmarks=core"], "local")
    (page,) = tmp_path.glob("elsewhere/.reproduce/*/index.html")
    assert "roman: it came out as promised" in page.read_text()
    assert "tracking" not in capsys.readouterr().err


def test_a_video_that_came_along(reproduce, stages):
    code, said = reproduce("video")
    assert code == Exit.OK
    assert stages.calls[0][1][1].endswith("/inputs/video/my film.mp4")


def test_without_the_video_packed_frames_do(reproduce, stages):
    code, said = reproduce("frames")
    assert code == Exit.OK and [call[0] for call in stages.calls] == ["track"]
    assert [each["verdict"] for each in said.values()] == ["taken from the pack", "same bytes"]


def test_a_video_that_is_missing_or_another_is_said_before_anything_runs(reproduce, stages, tmp_path):
    with pytest.raises(StageError, match="which is not in the pack. Give it: VIDEO=.../my film.mp4"):
        reproduce()
    other = tmp_path / "other.mp4"
    other.write_bytes(b"another")
    with pytest.raises(StageError, match="other.mp4: is not the video that the pack was made of"):
        reproduce(given={"video": other})
    with pytest.raises(StageError, match="there is no such file"):
        reproduce(given={"video": tmp_path / "nowhere.mp4"})
    assert not stages.calls


def test_bytes_that_were_promised_and_did_not_come(reproduce, stages, film, capsys):
    stages.files["track"] = TRACKING | {"1.npz": b"other"}
    code, said = reproduce(given={"video": film})
    assert code == DIFFERS
    tracking = said["tracking"]
    assert (tracking["verdict"], tracking["promised"], tracking["kept"]) == ("same figures", "same bytes", False)
    assert tracking["files"] == ["1.npz"] and tracking["of"] == 2


def test_another_processor_and_the_same_figures(reproduce, stages, film, capsys):
    stages.files["track"] = TRACKING | {"1.npz": b"other"}
    stages.facts["track"] = FACTS | {"jitter_px": 0.21, "ms_per_frame": {"solver": 9.0}}
    stages.environment["processor"] = HERE | {"class": "x86-64-v3 GenuineIntel 6"}
    code, said = reproduce(given={"video": film})
    assert code == Exit.OK
    tracking = said["tracking"]
    assert (tracking["verdict"], tracking["promised"]) == ("same figures", "same figures")
    around = {d["name"]: (d["then"], d["now"]) for d in tracking["differences"] if d["decides"]}
    assert around == {"CPU class": ("x86-64-v4 AuthenticAMD 26", "x86-64-v3 GenuineIntel 6")}
    out = capsys.readouterr().out
    assert "1 of 2" in out and "jitter_px 0.2 -> 0.21 (0.05 allowed)" in " ".join(out.split())


def test_figures_that_are_off(reproduce, stages, film, tmp_path, capsys):
    stages.files["track"] = TRACKING | {"1.npz": b"other"}
    stages.facts["track"] = FACTS | {"jitter_px": 0.9}
    stages.environment["processor"] = HERE | {"told": {"OPENBLAS_CORETYPE": "Nehalem"}}
    code, said = reproduce(given={"video": film})
    assert code == DIFFERS and said["tracking"]["verdict"] == "differs"
    out = " ".join(capsys.readouterr().out.split())
    assert "jitter_px 0.2 -> 0.9 (0.05 allowed)" in out and "OPENBLAS_CORETYPE not set -> Nehalem" in out
    (page,) = tmp_path.glob("elsewhere/.reproduce/*/index.html")
    assert "not all of it came out as promised" in page.read_text()


def test_a_stage_that_fails_takes_the_others_along(reproduce, stages, film):
    stages.code = 3
    code, said = reproduce(given={"video": film})
    assert code == Exit.INTERNAL and len(stages.calls) == 1
    assert [each["verdict"] for each in said.values()] == ["failed", "failed"]
    assert said["frames"]["why"] == "it ended with exit code 3" and said["tracking"]["why"] == "frames is not there"


def test_other_code_is_refused_with_what_changed_and_the_way_back(reproduce, stages, film, monkeypatch, capsys):
    monkeypatch.setattr(since, "digest_files", lambda *_: "0" * 64)
    monkeypatch.setattr(since, "__version__", "9.9.9")
    monkeypatch.setattr(since, "changes_since", lambda version, text: [f"after {version}"])
    with pytest.raises(StageError, match="this checkout has other stages than those that made the pack. Its own: git "):
        reproduce(given={"video": film})
    said = capsys.readouterr().err
    assert "track: another code" in said and "this is 9.9.9" in said and "after 0.2.0" in said
    assert not stages.calls
    assert reproduce(given={"video": film}, anyway=True)[0] == Exit.OK


def test_what_the_changelog_says_since_a_version():
    new = "## [0.3.0] - unreleased\n\n- New: it flies,\n  high. And more.\n- Old `x` is gone.\n"
    text = f"# Changelog\n\n{new}\n## [0.2.0] - 2026-11-27\n\n- Before.\n"
    assert since.changes_since("0.2.0", text) == ["0.3.0: New", "0.3.0: Old `x` is gone"]
    assert len(since.changes_since("0.1.9", text)) == 3 and since.changes_since("0.3.0", text) == []


def test_weights_by_their_content(reproduce, subject, stages, film, tmp_path, monkeypatch):
    about = {"assets": {"deca": "1" * 64}}
    real = archive.write
    monkeypatch.setattr(archive, "write", lambda target, said, sources: real(target, said | about, sources))
    with pytest.raises(StageError, match="deca is not there.*make assets GET=deca") as raised:
        reproduce(given={"video": film})
    assert raised.value.exit == Exit.MISSING_ASSET
    place = assets.folder() / assets.manifest()["deca"].file
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    with pytest.raises(StageError, match="is another deca than was used"):
        reproduce(given={"video": film})


def tampered(made, tmp_path, **about):
    """A pack whose list says what no `make pack` writes."""
    file = pack.make(made, [], False, tmp_path)
    folder = tmp_path / "unpacked"
    said = archive.unpack(file, folder)
    sources = {name: folder / name for name in said.pop("files")}
    archive.write(file, said | about, sources)
    return file


@pytest.mark.parametrize(
    "about",
    [
        {"revision": "$(rm -rf ~)"},
        {"subject": "../roman"},
        {"stages": [{"stage": "frames", "directory": "../../frames"}]},
        {"stages": [{"stage": "live", "directory": "/etc"}]},
        {"stages": ["frames"]},
        {"stages": [{"stage": "frames", "directory": "frames"}, {"stage": "mask", "directory": "masks"}]},
        {"inputs": {"video": "../../film.mp4"}},
        {"inputs": {"--force": "film.mp4"}},
        {"assets": {"deca": 5}},
        {"data": "all"},
    ],
)
def test_a_list_that_says_anything_else_is_refused(subject, clean, stages, tmp_path, about):
    file = tampered(subject, tmp_path, **about)
    with pytest.raises(StageError):
        reproduction.reproduce(file, Wishes(tmp_path / "elsewhere", {}))
    assert not stages.calls


def test_words_of_a_receipt_are_options_and_no_more(subject, clean, tmp_path):
    from avatarmake.pack import pack as packs

    stamp = subject.directory("tracking") / "stage.json"
    said = json.loads(stamp.read_text())
    file = pack.make(subject, [], False, tmp_path)
    options = {"landmarks": "--landmarks=core", "refine": "--force", "eyelids": 5, "workers": "--workers=2\n"}
    said["environment"]["options"] = options | {"no": "--no"}
    opened = packs.opened(file, tmp_path / "opened")
    opened.stamps["tracking"]["environment"] = said["environment"]
    assert opened.options("tracking") == ["--landmarks=core", "--workers=2\n"]


def test_classes_of_processors():
    amd = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nflags\t\t: {}\n\nprocessor\t: 1\nflags\t: no\n"
    for level in (1, 2, 3, 4):
        flags = " ".join(names for n, names in processor.LEVELS.items() if n <= level)
        assert processor.cpu_class(amd.format(flags)) == f"x86-64-v{level} AuthenticAMD 26"
    without = " ".join(processor.LEVELS[n] for n in (2, 4))
    assert processor.cpu_class(amd.format(without)).startswith("x86-64-v2 ")
