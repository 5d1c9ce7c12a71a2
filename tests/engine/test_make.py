"""The Makefile: what a user types, and the one line they get when it is wrong."""

import os
import re
import shutil
import subprocess

import pytest

from avatarmake import ROOT
from avatarmake.contract import pipeline
from avatarmake.contract.stage import load

MAKEFILE = (ROOT / "Makefile").read_text()
PIPELINE = list(pipeline.WRITER.values())  # the other trackers are no targets of their own
DEMO = PIPELINE[: PIPELINE.index("report") + 1]


def make(*words: str, **variables: str) -> subprocess.CompletedProcess:
    """`make` as from a fresh shell: pytest itself may have been started by one."""
    made_by_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ID", "VIDEO", "DATA", "OPTIONS")
    environment = {k: v for k, v in os.environ.items() if k not in made_by_make} | variables
    return subprocess.run(["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def recipe(*words: str) -> list[str]:
    """The stages that make would run, in its order, without running them."""
    done = make("-n", "-o", ".venv/host/lock", *words)
    assert done.returncode == 0, done.stderr
    return re.findall(r"-m avatarmake run (\w+)", done.stdout)


def prerequisites(target: str) -> set[str]:
    found = re.search(rf"^{target}:([^#\n]*)##", MAKEFILE, re.MULTILINE)
    return set(found[1].split()) if found else set()


def test_bare_make_is_help_in_pipeline_order():
    text = make().stdout
    places = [text.index(f"make {stage} ") for stage in PIPELINE[1:]]
    assert places == sorted(places)
    assert "make demo" in text and "make test" in text and "make image/<stage>" in text


@pytest.mark.parametrize("stage", PIPELINE[1:])
def test_missing_id_is_one_line_with_what_to_type(stage):
    done = make(stage)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"make {stage} ID=" in done.stderr


def test_unknown_target_says_what_to_type():
    done = make("trian", "ID=roman")
    assert done.returncode == 2
    assert "There is no target 'trian'" in done.stderr and "Type: make" in done.stderr


def test_demo_takes_no_other_subject():
    done = make("demo", "ID=roman")
    assert done.returncode == 2
    assert "make report ID=roman" in done.stderr


@pytest.mark.parametrize("stage", PIPELINE[1:])
def test_make_and_the_stages_agree_on_what_comes_before(stage):
    """All that a stage reads is made by the targets before it, directly or further up."""
    before, todo = set(), [stage]
    while todo:
        for target in prerequisites(todo.pop()) - before:
            before.add(target)
            todo.append(target)
    assert {pipeline.WRITER[d] for d in load(stage).reads} <= before


def test_no_stage_runs_twice():
    made = recipe("track", "convert", "train", "ID=roman", "VIDEO=a.mp4")
    assert made == "frames track convert mask refine train".split()
    assert recipe("-j4", "train", "track", "mask", "ID=roman").count("convert") == 1


def test_demo_runs_every_stage_up_to_the_report_once():
    assert recipe("demo") == DEMO


def test_a_video_that_drives_is_tracked_first():
    """As a subject named after its file; a subject or a file of parameters brings in nothing."""
    words = ("-n", "-o", "ready", "drive", "ID=roman")
    stages = re.findall(r"-m avatarmake run (\w+)", make(*words, "BY=/films/An na.MP4").stdout)
    assert stages[-3:] == ["frames", "track", "drive"] and stages.count("train") == 1
    for other in ("anna", "face.csv", "tour"):
        assert re.findall(r"-m avatarmake run (\w+)", make(*words, f"BY={other}").stdout).count("frames") == 1
    shown = ("HOST=echo", "MAKE=echo make")
    done = make("-o", "ready", "-o", "train", "drive", "ID=roman", "BY=/films/An na.MP4", *shown)
    assert "track ID=An-na VIDEO=/films/An na.MP4 OPTIONS=" in done.stdout


def test_options_go_to_the_last_stage_named():
    done = make("-n", "-o", "ready", "track", "train", "ID=roman", "OPTIONS=--seed 7")
    with_seed = [line for line in done.stdout.splitlines() if "--seed 7" in line]
    assert len(with_seed) == 1 and "run train" in with_seed[0]


def test_trackers_take_their_own_options():
    """One target, two stages: which of them runs is the host command's business, told by the environment."""
    words = ("-n", "-o", "ready", "track", "ID=roman", "HEAD_MODEL=open", "DEVICE=cpu")
    assert "--head-model=" in make(*words).stdout and "--device" not in make(*words).stdout
    other = make(*words, "TRACKER=flame-head-tracker").stdout
    assert "run track" in other and "--device=" in other and "--head-model" not in other


def test_an_unknown_tracker_is_one_line():
    if not (ROOT / ".venv/host/lock").exists():
        pytest.skip("the host's environment is not made: make doctor makes it")
    done = make("track", "-o", "frames", "ID=roman", "TRACKER=nope")
    assert "there is no tracker 'nope'. TRACKER is avatarmake or flame-head-tracker" in done.stderr
    assert "Error 2" in done.stderr


def test_options_in_the_makefile_are_the_stages_own():
    for stage, words in re.findall(r"^\s*options\.(\w+)\s*=(.*)", MAKEFILE, re.MULTILINE):
        names = {f"--{name.replace('_', '-')}" for name in load(stage).config.__dataclass_fields__}
        assert {word.replace("--no-", "--") for word in re.findall(r"--[a-z-]+", words)} <= names, stage


def test_a_video_with_spaces_and_a_missing_one(tmp_path):
    """The runner's own line, its exit code, and make's."""
    if not (ROOT / ".venv/host/lock").exists():
        pytest.skip("the host's environment is not made: make doctor makes it")
    done = make("frames", "ID=roman", f"VIDEO={tmp_path}/my film.mp4", f"DATA={tmp_path}", ENGINE="local")
    assert f"{tmp_path}/my film.mp4: there is no such file" in done.stderr
    assert "Error 3" in done.stderr and done.returncode == 2
    done = make("frames", "ID=roman", f"DATA={tmp_path}", ENGINE="local")
    assert "make frames ID=roman VIDEO=" in done.stderr
    assert not (tmp_path / "roman").exists()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a$b.mp4", "a$b.mp4"),  # make's own rule would make it a.mp4
        ("$", "$"),
        ("a$$b.mp4", "a$b.mp4"),  # who knows that rule is understood
        ("$(HOME)/a.mp4", "/home/me/a.mp4"),
        ("${HOME}/my film (1), #2.mp4", "/home/me/my film (1), #2.mp4"),
        ("seq/%05d.png", "seq/%05d.png"),
    ],
)
def test_a_path_is_what_was_typed(typed, meant):
    shown = ("-o", "ready", "-s", "HOST=printenv VIDEO; echo", "ID=roman")
    assert make("frames", f"VIDEO={typed}", *shown, HOME="/home/me").stdout.splitlines()[0] == meant
    done = make("frames", *shown, VIDEO="a$b.mp4").stdout.splitlines()
    assert done[0] == "a$b.mp4" and "--video=a$b.mp4" in done[1]


@pytest.mark.parametrize("words", [("image/nope",), ("help/nope",)])
def test_unknown_stage_lists_the_stages(words):
    if not (ROOT / ".venv/host/lock").exists():
        pytest.skip("the host's environment is not made: make doctor makes it")
    done = make(*words)
    assert "there is no stage 'nope'" in done.stderr and "frames, track" in done.stderr


def test_another_python_is_refused_in_one_line(tmp_path):
    """And nothing is left where no Python and no uv can be had."""
    for name in ("Makefile", "requirements.lock", "avatarmake/environments/host.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make", "sed", "awk", "tr", "cut", "mkdir", "rm", "git"):
        (tools / name).symlink_to(shutil.which(name))
    done = make("-C", str(tmp_path), "doctor", "PYTHON=python3", PATH=str(tools))
    assert done.returncode == 2
    assert "Python 3.11 is needed" in done.stderr and "make PYTHON=" in done.stderr
    assert not (tmp_path / ".venv" / "host").exists()


def test_ci_is_a_script_that_calls_what_the_readme_says():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    text = script.read_text()
    for words in ("lint", "test ", "test-numbers", "images", "test-images", "demo ENGINE=docker"):
        assert f"make {words}" in text
