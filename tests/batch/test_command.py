"""What a user types, as make hands it on and the host's command takes it."""

import os
import subprocess
import sys

import pytest

from avatarmake import ROOT
from avatarmake.__main__ import main
from avatarmake.errors import Exit


def recipe(*words: str) -> str:
    """The one line that make would run."""
    by_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ID", "VIDEO", "DATA", "OPTIONS", "LIST", "STAGES")
    environment = {k: v for k, v in os.environ.items() if k not in by_make}
    command = ["make", "-n", "-o", ".venv/host/lock", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_make_hands_on_what_is_given():
    said = recipe("batch", "LIST=a.csv", "STAGES=track train", "ON=slurm", "AT_ONCE=4", "OPTIONS=--seed 7", "FPS=25")
    assert 'batch "$LIST"' in said and '--stages="$STAGES" --on="$ON" --at-once="$AT_ONCE"' in said
    assert 'then frames --fps="$FPS" then track then' in said and "then train --seed 7 then" in said
    assert "--show" not in said and "--cores" not in said


def test_status_is_of_a_subject_or_of_a_list():
    assert "batch" in recipe("status", "LIST=a.csv") and "--show" in recipe("status", "LIST=a.csv")
    assert 'status "$ID"' in recipe("status", "ID=roman")


def test_a_list_s_path_is_what_was_typed(tmp_path):
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/host/lock", "batch", "LIST=a$b.csv", "HOST=printenv LIST; true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[0] == "a$b.csv"


def test_status_of_a_list(volume, capsys):
    for name in ("a", "b"):
        volume.finish(volume.line(name), "frames")
    volume.finish(volume.line("a"), "track")
    lst = volume.data.parent / "some.csv"
    lst.write_text(f"id,video\na,{volume.video}\nb,{volume.video}\nc,{volume.video}\n")
    words = ["batch", str(lst), f"--data={volume.data}", "--stages=track", "--show"]
    assert main([*words, "then", "frames", "then", "track"]) == Exit.OK
    assert "3 subjects: 1 done, 2 to do" in capsys.readouterr().out
    assert main([*words, "then", "frames", "--margin", "0.5"]) == Exit.OK  # for all of them: a's receipt says 0.6
    said = capsys.readouterr().out
    assert "3 subjects: 3 to do" in said and said.count("changed: margin: 0.6 -> 0.5") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no list of subjects is given. Type: make batch LIST=subjects.csv"),
        (["some.csv", "--stages=trian"], "there is no stage 'trian'"),
        (["some.csv", "--on=lsf"], "there is no queue 'lsf'"),
        (["some.csv", "--at-once=many"], "at-once"),
        (["some.csv", "--on=k8s"], "CLAIM=avatars"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path, words, said, capsys):
    assert main(["batch", *words, f"--data={tmp_path}/data"]) == Exit.USAGE
    out = capsys.readouterr()
    assert said in out.err + out.out and "Traceback" not in out.err
    assert not (tmp_path / "data").exists()


def test_a_job_s_own_command(volume):
    """With an option that no stage has, which the stage's own command refuses."""
    words = [sys.executable, "-m", "avatarmake", "attempt", "convert", "roman", f"--data={volume.data}", "--nope=1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"ENGINE": "local"})
    assert done.returncode == Exit.USAGE and not done.stderr
    assert "=== convert" in (volume.data / "roman" / ".batch.log").read_text()
