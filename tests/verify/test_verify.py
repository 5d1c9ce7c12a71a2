"""`make verify`: what it runs, how it compares, and what it says; on runs that are made up."""

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from avatarmake import gpu
from avatarmake.contract.layout import Subject
from avatarmake.engine import docker
from avatarmake.environments import venv
from avatarmake.errors import Exit
from avatarmake.formats import torch_archive
from avatarmake.gpu import Card, Gpus
from avatarmake.verify import checkpoint, figures, outcome, reference, runs
from avatarmake.verify.reference import STUDENT, Difference, Figure, Reference
from avatarmake.verify.runs import Finished, Run

GPU = Gpus((Card(0, "a GPU", "GPU-0", (9, 0)),), "580.65.06", "", True, False)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_numbers_are_found_by_their_path():
    nested = {"a": {"b": 1, "c": [2.5, {"d": 3}], "none": None, "word": "x", "true": True}, "e": 4}
    assert dict(figures.flat(nested)) == {"a.b": 1, "a.c.0": 2.5, "a.c.1.d": 3, "e": 4}


def test_sizes_of_a_checkpoint_s_arrays(tmp_path):
    arrays = {"net": {"w": np.array([3.0, 4.0], np.float32), "count": np.array([7])}, "list": [np.full(4, 2.0)]}
    torch_archive.dump(arrays, tmp_path / "c.pt")
    assert checkpoint.sizes(torch_archive.load(tmp_path / "c.pt")) == {"net.w": math.sqrt(12.5), "list.0": 2.0}


def test_a_run_s_figures_are_those_of_its_report_and_of_its_checkpoint(tmp_path, monkeypatch):
    subject = Subject(tmp_path, "roman")
    for name in ("report", "avatar"):
        (subject.root / name).mkdir(parents=True)
    metrics = {"avatar": {"blocks": {"psnr_full": 30.5}, "gaussians": 14000}, "convert": {"reprojection_px_max": 1e-5}}
    (subject.root / "report/metrics.json").write_text(json.dumps(metrics))
    arrays = {"w": np.full(3, 0.5, np.float32), "w_first": np.ones(3, np.float32)}
    torch_archive.dump(arrays, subject.root / "avatar/checkpoint.pt")

    monkeypatch.setattr(venv, "python", lambda name: sys.executable)
    assert figures.read(subject) == {"avatar.blocks.psnr_full": 30.5, "checkpoint.w": 0.5}


# --- comparison ------------------------------------------------------------------------------------------------------


def test_the_repository_s_reference_has_all_that_people_look_at():
    known = Reference.read()
    assert set(figures.HEADLINES) <= set(known.figures)
    assert any(name.startswith("checkpoint.") for name in known.figures)
    assert len(known.made["seeds"]) == 3 and len(known.made["processors"]) == 3
    assert all(one.tolerance >= 0 and math.isfinite(one.mean) for one in known.figures.values())
    assert known.figures["frames.tracked"].mean == float(known.options["demo"][0].removeprefix("--frames="))
    assert known.figures["avatar.blocks.psnr_inner"].tolerance < 0.7, "else it could not tell a worse avatar"


def test_tolerance_is_of_the_spread():
    """One more run of the same kind: 999 of 1,000 lie within it."""
    random, runs_, missed = np.random.default_rng(0), 9, 0
    for _ in range(4000):
        *known, other = random.normal(10, 1, runs_ + 1)
        one = reference.figure(known)
        missed += abs(other - one.mean) > one.tolerance
    assert missed <= 4 + 4 * math.sqrt(4)
    assert reference.figure([10.0] * 9) == Figure(10.0, 0.1), "where nothing differs, a percent"
    assert STUDENT[8] == 5.04


KNOWN = Reference({}, {"a": Figure(30.0, 0.5), "b": Figure(1.0, 0.01)}, {})


def test_differences_are_named_with_how_much():
    assert KNOWN.differences({"a": 30.5, "b": 0.995}) == []
    (off,) = KNOWN.differences({"a": 29.0, "b": 1.0})
    assert str(off) == "a 29 instead of 30, off by 1 where 0.5 may be"
    assert [str(one) for one in KNOWN.differences({"a": math.nan, "c": 1})][1:] == [
        "b is missing",
        "c is unknown to the reference",
    ]
    assert KNOWN.differences({"a": math.nan, "b": 1.0})[0].name == "a"


# --- which runs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def host(monkeypatch):
    """A host: its GPUs, and whether Docker answers, has a way to them, and which images are of these sources."""
    for name in ("ENGINE", "DEVICE", "TORCH"):
        monkeypatch.delenv(name, raising=False)

    def is_(gpus=None, trouble="no daemon runs", info=None, current=lambda stage, kind: True):
        monkeypatch.setattr(gpu, "here", lambda: gpus or Gpus())
        monkeypatch.setattr(docker, "trouble", lambda: trouble)
        monkeypatch.setattr(docker, "info", lambda: info or {})
        monkeypatch.setattr(docker, "is_current", current)

    return is_


def names() -> list[str]:
    return [run.name for run in runs.possible()[0]]


def test_every_usable_engine_and_device_is_run(host, monkeypatch):
    host()
    assert names() == ["local-cpu"] and runs.possible()[1] == ["docker: no daemon runs"]
    host(trouble=None)
    assert names() == ["local-cpu", "docker-cpu"]
    host(GPU, None, {"Runtimes": {"nvidia": {}}})
    assert names() == ["local-cpu", "local-cuda13", "docker-cpu", "docker-cuda13"]
    monkeypatch.setenv("ENGINE", "docker")
    monkeypatch.setenv("DEVICE", "cuda")
    assert names() == ["docker-cuda13"]


def test_what_is_not_run_is_said(host):
    host(GPU, None, {}, lambda stage, kind: stage != "view")
    possible, lines = runs.possible()
    assert [run.name for run in possible] == ["local-cpu", "local-cuda13"]
    assert "docker, cuda: there is a GPU, and Docker has no way to it" in lines[0]
    assert lines[1] == "docker-cpu: no images of these sources: view"
    host(Gpus((), "470.1", "CUDA_VISIBLE_DEVICES='' hides the GPU", True, False))
    assert runs.possible()[1][0] == "local, cuda: CUDA_VISIBLE_DEVICES='' hides the GPU"


def test_a_run_is_the_host_command_a_stage_at_a_time(tmp_path, monkeypatch):
    called = []

    def popen(words, **more):
        called.append((words[4:], {name: more["env"].get(name) for name in ("ENGINE", "TORCH", "TRACKER")}))
        ends = 5 if words[4] == "train" else 0
        return SimpleNamespace(stdout=iter(["train: no such GPU\n", "\n"]), wait=lambda: ends)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setenv("TRACKER", "flame-head-tracker")
    done = runs.do(Run("local", "cuda13"), tmp_path, {"demo": ["--frames=96"]})
    assert [words[0] for words, _ in called] == ["demo", "frames", "track", "convert", "mask", "refine", "train"]
    assert called[0][0][3:] == ["--frames=96"] and called[-1][0][3:] == ["--device=cuda"]
    assert called[0][1] == {"ENGINE": "local", "TORCH": "cuda13", "TRACKER": None}
    assert done.fault == "train ended with 5: train: no such GPU"


def test_hosts_on_one_volume_keep_apart(tmp_path, monkeypatch):
    subjects = []
    for node in ("one", "two", "a very long name of a host / with a slash in it and more than a name may have"):
        monkeypatch.setattr("platform.node", lambda node=node: node)
        subjects.append(Run("docker", "cuda13").subject(tmp_path).name)
    assert len(set(subjects)) == 3 and subjects[0] == "verify-one-docker-cuda13"


# --- the outcome -----------------------------------------------------------------------------------------------------


@pytest.fixture
def verified(host, tmp_path, monkeypatch, capsys):
    """`make verify` where a run gives `found`: its exit code, its last line, and verify.json."""

    def verify(found: dict[str, float], fault: str = "", gpus=None, pytest_ends: int = 0):
        host(gpus)
        monkeypatch.setattr(outcome.doctor, "show", lambda: 0)
        monkeypatch.setattr(Reference, "read", lambda: KNOWN)
        monkeypatch.setattr(runs, "do", lambda run, data, options: Finished(run, run.subject(data), fault))
        monkeypatch.setattr(figures, "read", lambda subject: found)
        monkeypatch.setattr(outcome, "CUDA_TESTS", tmp_path)
        monkeypatch.setattr(venv, "python", lambda name, kind: "python")
        ended = SimpleNamespace(returncode=pytest_ends, stdout="..\n=== 2 passed in 1 s ===\n")
        monkeypatch.setattr(outcome.subprocess, "run", lambda *words, **more: ended)
        monkeypatch.setattr(outcome, "revision", lambda: "0123456789abcdef")
        code = outcome.show(tmp_path / "data")
        return code, capsys.readouterr().out, json.loads((tmp_path / "data/verify.json").read_text())

    return verify


def test_a_host_that_reproduces(verified, tmp_path):
    code, said, kept = verified({"a": 30.1, "b": 1.0})
    assert code == Exit.OK and kept["reproduces"] and kept["runs"]["local-cpu"]["figures"] == {"a": 30.1, "b": 1.0}
    expected = "verify: this host reproduces: local-cpu, 2 figures of each within tolerance"
    assert said.strip().splitlines()[-1] == f"{expected} ({tmp_path / 'data/verify.json'})" and kept["line"] == expected
    assert "docker: no daemon runs" in kept["notes"] and "tests/cuda" not in said
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["verify.json"]


def test_a_host_that_does_not_says_what_and_by_how_much(verified):
    code, said, kept = verified({"a": 27.0, "b": 1.02})
    assert code == Exit.INTERNAL and not kept["reproduces"] and len(kept["runs"]["local-cpu"]["differences"]) == 2
    line = "verify: this host differs. local-cpu: a 27 instead of 30, off by 3 where 0.5 may be, and 1 more"
    assert line in said.splitlines()[-1]


def test_a_stage_that_fails_is_what_is_said(verified):
    code, said, kept = verified({}, fault="train ended with 5: train: no wheel")
    assert code == Exit.INTERNAL and "differs. local-cpu: train ended with 5: train: no wheel" in said.splitlines()[-1]
    assert kept["runs"]["local-cpu"]["fault"]


def test_a_gpu_host_runs_its_tests_too(verified):
    code, said, kept = verified({"a": 30.0, "b": 1.0}, gpus=GPU)
    assert code == Exit.OK and list(kept["runs"]) == ["local-cpu", "local-cuda13"]
    assert "tests/cuda: 2 passed in 1 s" in said and kept["cuda_tests"] == "2 passed in 1 s"
    assert "| figure | reference | local-cpu | local-cuda13 |" in said and "a GPU, driver 580.65.06" in said
    code, said, _ = verified({"a": 30.0, "b": 1.0}, gpus=GPU, pytest_ends=1)
    assert code == Exit.INTERNAL and "differs. tests/cuda: 2 passed" in said.splitlines()[-1]


def test_the_figure_that_is_said_is_one_that_people_know():
    name = next(iter(figures.HEADLINES))
    known, other = Difference(name, 1.0, Figure(2.0, 0.9)), Difference("checkpoint.w", 1.0, Figure(9.0, 0.1))
    assert outcome._worst([other, known]) is known and outcome._worst([other]) is other


def test_engines_that_write_other_bytes_are_told_apart(tmp_path, monkeypatch):
    stamps = {"local": dict.fromkeys(runs.STAGES, "same"), "docker": dict.fromkeys(runs.STAGES, "same")}
    two = [Finished(Run(engine, "cpu"), Subject(tmp_path, engine)) for engine in stamps]

    def receipts(self):
        return {stage: {"outputs": {"digest": said}} for stage, said in stamps[self.run.engine].items()}

    monkeypatch.setattr(Finished, "receipts", receipts)
    assert runs.same_bytes(two) == "local-cpu and docker-cpu write the same bytes"
    stamps["docker"]["view"] = "with another name in it"
    assert runs.same_bytes(two) == "local-cpu and docker-cpu write the same bytes"
    stamps["docker"]["mask"] = "other"
    assert runs.same_bytes(two).endswith("write different bytes, from mask on")
    assert runs.same_bytes(two[:1]) == ""
