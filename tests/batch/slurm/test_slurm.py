"""A batch on a real SLURM: six subjects, each in its own trouble. Run by `make test-slurm`."""

import json
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.batch import batch as many
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import RECEIPT, SUMS, receipt
from avatarmake.errors import Exit
from avatarmake.files.locking import locked
from tests.batch.slurm.cluster import Cluster, missing

pytestmark = [
    pytest.mark.skipif(
        bool(missing()), reason=f"needs SLURM: {', '.join(missing())} missing. apt-get install slurm-wlm"
    ),
    pytest.mark.skipif(not (ROOT / ".venv/host/lock").exists(), reason="needs the host's environment: make doctor"),
]
FRAMES = 40  # two chunks of tracking


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A film of the demo's person, and one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    size = ["--frames", str(FRAMES), "--size", "256"]
    words = [sys.executable, "-m", "stages.demo", "demo", "--data", str(folder), *size]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    shutil.copy(folder / "demo" / "source" / "video.mp4", folder / "good.mp4")
    (folder / "bad.mp4").write_text("not a film at all")
    return folder


class Volume:
    """A list, its volume, and what a user types about them."""

    def __init__(self, cluster: Cluster, folder: Path, lines: list[str]):
        self.cluster, self.data, self.list = cluster, folder / "data", folder / "six.csv"
        self.list.write_text("\n".join(["id,video,options", *lines]) + "\n")

    def make(self, target: str) -> str:
        by_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ID", "VIDEO", "DATA", "OPTIONS")
        environment = {k: v for k, v in self.cluster.environment.items() if k not in by_make}
        words = ["make", target, f"LIST={self.list}", f"DATA={self.data}", "ON=slurm", "STAGES=convert", "REFINE=0"]
        done = subprocess.run(words, cwd=ROOT, env=environment | {"ENGINE": "local"}, capture_output=True, text=True)
        self.code, self.said = done.returncode, done.stdout + done.stderr
        return self.said

    def states(self) -> dict[str, str]:
        """Subject -> the beginning of its state, as the table says it."""
        state = r"^(\w+)  +(?:\w+  +)?(done|running|queued|failed|stopped|to do|to be)"
        return dict(re.findall(state, self.make("status"), re.M))

    def queue(self) -> list[str]:
        return self.cluster.run("squeue", "--noheader", "--array", "--format=%F_%K %j %T").splitlines()

    def subject(self, name: str) -> Subject:
        return Subject(self.data, name)

    def log(self, name: str) -> str:
        path = self.data / name / ".batch.log"
        return path.read_text() if path.exists() else ""

    def wait(self, until, what: str) -> None:
        end = time.monotonic() + 300
        while not until():
            assert time.monotonic() < end, f"{what}: {self.queue()}\n{self.make('status')}"
            time.sleep(0.2)


def test_six_subjects_end_as_they_should(cluster, videos, tmp_path):
    good, bad = videos / "good.mp4", videos / "bad.mp4"
    lines = [f"one,{good},", f"margin,{good},MARGIN=0.5", f"busy,{good},", f"bad,{bad},", f"killed,{good},",
             f"long,{good},SHARDS=3"]  # fmt: skip
    volume = Volume(cluster, tmp_path, lines)

    # one whose stage another host works on just now, which may have passed by the next try
    volume.subject("busy").root.mkdir(parents=True)
    with locked(volume.subject("busy").root / ".frames.lock"):
        assert "6 subjects given to slurm: 21 jobs" in volume.make("batch"), volume.said
        volume.wait(lambda: "already running" in volume.log("busy"), "busy is refused")

    # one that is cancelled in the middle of its tracking; what was to come after goes with it
    volume.wait(volume.subject("killed").partial("tracking").exists, "killed is tracked")
    (task,) = _tasks(volume, "killed") & {e.split()[0] for e in volume.queue() if "track RUNNING" in e}
    assert volume.states()["killed"] == "running"
    cluster.run("scancel", task)
    volume.wait(lambda: not _tasks(volume, "killed"), "killed is out of the queue")
    assert volume.states()["killed"] == "stopped"

    # the same command again: that one goes on; who is in the queue is left alone, and so is a bad video
    assert "1 subjects given to slurm: 2 jobs" in volume.make("batch"), volume.said
    volume.wait(lambda: not volume.queue(), "the queue is empty")
    done = dict.fromkeys(("one", "margin", "busy", "killed", "long"), "done")
    assert volume.states() == {"bad": "failed"} | done, volume.said
    check_what_was_made(volume)

    stamps = {path: path.stat().st_mtime_ns for path in volume.data.glob(f"*/*/{RECEIPT}")}
    assert "nothing to do" in volume.make("batch") and volume.code == 2 and "Error 3" in volume.said
    assert not volume.queue() and stamps == {path: path.stat().st_mtime_ns for path in stamps}
    page = (volume.data / "six.html").read_text()
    assert page.count("cannot be read as a video") == 1 and page.count(' href="bad/.batch.log"') == 1


def test_what_is_asked_for(cluster, volume, monkeypatch):
    """A GPU for training, memory by receipts, as the queue itself understands it. The node takes no job meanwhile."""
    line = volume.line("roman")
    volume.finish(line, "frames", "track", "convert", "mask", "refine")
    volume.finish(volume.line("anna"), "frames", "track", "convert", "mask", "refine", "train", peak_mb=1500)
    lst = volume.data.parent / "one.csv"
    lst.write_text(f"id,video,options\nroman,{volume.video},DEVICE=cuda\n")
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])
    monkeypatch.setattr(many, "_ready", lambda *_: Exit.OK)
    node = f"NodeName={platform.node().partition('.')[0]}"
    cluster.run("scontrol", "update", node, "State=drain", "Reason=test")
    try:
        batch = many.Batch(lst, volume.data, many.targets("train view"), "slurm", {}, cores=2)
        assert many.run(batch) == Exit.OK
        asked = cluster.run("squeue", "--noheader", "--array", "--sort=i", "--format=%j %m %C %b").splitlines()
        assert asked == ["avatarmake-train 2G 2 gres:gpu:1", "avatarmake-view 4G 2 N/A"]
        (row,) = batch.look(batch.lines())
        assert [str(s.state) for s in row.stages] == ["done"] * 5 + ["queued"] * 2
        assert many.run(batch) == Exit.OK  # again: nothing more
        assert len(cluster.run("squeue", "--noheader", "--array").splitlines()) == 2
    finally:
        cluster.run("scancel", "--name=avatarmake-train")
        cluster.run("scontrol", "update", node, "State=resume")
    # with a stage goes what was to come after
    end = time.monotonic() + 60
    while cluster.run("squeue", "--noheader") and time.monotonic() < end:
        time.sleep(0.2)
    assert not cluster.run("squeue", "--noheader")


def _tasks(volume: Volume, name: str) -> set[str]:
    """The array tasks that are a subject's, by the scripts that SLURM keeps."""
    found = set()
    for job in {entry.partition("_")[0] for entry in volume.queue()}:
        script = volume.cluster.run("scontrol", "write", "batch_script", job, "-")
        found |= {f"{job}_{n}" for n in re.findall(rf"^ *(\d+)\) set -- {name} ", script, re.M)}
    return found


def check_what_was_made(volume: Volume) -> None:
    assert volume.log("bad").count("===") == 1  # trying again would not help
    assert volume.log("busy").count("=== frames") >= 2  # requeued by itself
    assert volume.log("killed").count("=== track") == 2 and volume.log("killed").count("=== frames") == 1
    assert volume.log("long").count("=== track") == 4  # three shards and the joining
    failure = json.loads((volume.data / "bad" / ".frames.failed").read_text())
    assert failure["exit"] == 3 and failure["memory_mb"] == 4096
    sums = {name: (volume.subject(name).directory("tracking") / SUMS).read_text() for name in ("one", "killed", "long")}
    assert sums["one"] == sums["killed"] == sums["long"]
    assert receipt(volume.subject("margin").directory("frames"))["config"]["margin"] == 0.5
    assert {path.parent.name for path in volume.data.glob("*/*.partial")} == {"bad"}
