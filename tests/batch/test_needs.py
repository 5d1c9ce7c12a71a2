"""What jobs ask the queue for, and how subjects become jobs."""

import pytest

from avatarmake.batch import needs, slurm
from avatarmake.batch.chains import Work, chains
from avatarmake.batch.needs import FIRST_MB, Needs, of, receipts
from avatarmake.batch.standing import State, look
from avatarmake.contract.stage import load
from avatarmake.errors import Exit, StageError

TARGETS = ["frames", "track", "convert"]


@pytest.fixture
def work(volume):
    return Work(volume.data, {}, cores=2, at_once=0)


@pytest.fixture
def rows(volume):
    return lambda *lines, queue=None: look(list(lines), TARGETS, volume.data, {}, queue or {})


def test_memory_is_by_earlier_receipts(volume):
    track = load("track")
    volume.data.mkdir()
    assert of(track, receipts(volume.data, "tracking")).memory_mb >= FIRST_MB
    for name, peak in (("a", 700), ("b", 1000), ("c", 300)):
        volume.finish(volume.line(name), "frames")
        volume.finish(volume.line(name), "track", peak_mb=peak)
    # the most, a quarter more and the host's own, in steps of 256
    assert of(track, receipts(volume.data, "tracking")) == Needs(1536, 0)
    assert of(load("flame_head_tracker"), receipts(volume.data, "tracking")).memory_mb >= FIRST_MB  # another's receipts


def test_who_was_killed_asks_for_twice_as_much(volume, rows):
    line = volume.line("roman")
    volume.finish(volume.line("anna"), "frames")
    volume.fail(line, "frames", 137, memory_mb=3000)
    (row,) = rows(line)
    earlier = receipts(volume.data, "frames")
    assert of(load("frames"), earlier, [row]).memory_mb == 6144
    assert of(load("track"), [], [row]).memory_mb == of(load("track"), []).memory_mb  # another stage's trouble


@pytest.mark.parametrize(
    ("options", "device", "gpus"),
    [((), None, 0), (("--device=cuda",), None, 1), ((), "cuda", 1), (("--device=cpu",), "cuda", 0), ((), "cpu", 0)],
)
def test_gpus(options, device, gpus):
    earlier = [{"stage": "train", "peak_memory_mb": 1, "facts": {"device": device}}] if device else []
    assert of(load("train"), earlier, options=options).gpus == gpus
    assert of(load("frames"), earlier, options=options).gpus == 0


def test_a_receipt_that_somebody_edited_is_passed_over(volume):
    volume.finish(volume.line("a"), "frames")
    (volume.data / "b" / "frames").mkdir(parents=True)
    (volume.data / "b" / "frames" / "stage.json").write_text("[]")
    assert len(receipts(volume.data, "frames")) == 1
    assert of(load("frames"), [{"stage": "frames", "peak_memory_mb": "much"}]).memory_mb >= FIRST_MB


def test_only_so_many_receipts_are_read(volume, monkeypatch):
    monkeypatch.setattr(needs, "LOOKED_AT", 2)
    for name in "abc":
        volume.finish(volume.line(name), "frames")
    assert len(receipts(volume.data, "frames")) == 2


def test_chains(volume, work, rows):
    new, other, half, done = (volume.line(name) for name in ("new", "other", "half", "done"))
    long, bad, busy = volume.line("long", shards=3), volume.line("bad"), volume.line("busy")
    volume.finish(half, "frames")
    volume.finish(done, *TARGETS)
    volume.fail(bad, "frames", Exit.BAD_INPUT)
    queue = {("busy", "convert"): (State.QUEUED, "after the stage before it")}
    found = chains(rows(new, half, done, long, bad, busy, other, queue=queue), work, most=10)
    assert [(chain.targets, [row.line.id for row in chain.rows], chain.shards) for chain in found] == [
        (("frames", "track", "convert"), ["new", "other"], 1),
        (("track", "convert"), ["half"], 1),
        (("frames", "track", "convert"), ["long"], 3),
    ]
    assert [len(chain.rows) for chain in chains(rows(new, other), work, most=1)] == [1, 1]
    volume.finish(long, "frames", "track")
    (chain,) = chains(rows(long), work, most=10)
    assert chain.targets == ("convert",) and chain.shards == 1  # nothing is left to share


class Slurm:
    """What its commands are called with. It gives out numbers."""

    def __init__(self, monkeypatch):
        self.calls, self.scripts = [], []
        monkeypatch.setattr(slurm, "_slurm", self)

    def __call__(self, *words: str, script: str | None = None) -> str:
        if words[0] == "sbatch":
            self.calls.append({word.partition("=")[0]: word.partition("=")[2] for word in words[2:]})
            self.scripts.append(script)
            return f"{len(self.calls)};cluster\n"
        if words[:2] == ("scontrol", "write"):
            return self.scripts[int(words[3]) - 1]
        return self.queue


def test_slurm_s_arrays_and_what_they_wait_for(volume, work, rows, monkeypatch):
    cluster = Slurm(monkeypatch)
    some = chains(rows(volume.line("a", MARGIN="0.5"), volume.line("b"), volume.line("long", shards=3)), work, most=10)
    assert slurm.submit(some, work) == "12 jobs"
    asked = [(c["--job-name"], c["--array"], c.get("--dependency")) for c in cluster.calls]
    assert asked == [
        ("avatarmake-frames", "0-1", None),
        ("avatarmake-track", "0-1", "aftercorr:1"),
        ("avatarmake-convert", "0-1", "aftercorr:2"),
        ("avatarmake-frames", "0-0", None),
        ("avatarmake-track", "0-2", "afterok:4"),
        ("avatarmake-track", "0-0", "afterok:5"),
        ("avatarmake-convert", "0-0", "afterok:6"),
    ]
    assert all(c["--cpus-per-task"] == "2" and c["--mem"] == "4096M" for c in cluster.calls)
    assert f"0) set -- a --video={volume.video} --margin=0.5 ;;" in cluster.scripts[0]
    assert "2) set -- long --workers=2 --shard=2/3 ;;" in cluster.scripts[4]


def test_as_many_at_once_as_wanted(volume, rows, monkeypatch):
    cluster = Slurm(monkeypatch)
    work = Work(volume.data, {"train": ["--device=cuda"]}, cores=1, at_once=4)
    slurm.submit(chains(rows(volume.line("a"), volume.line("b")), work, most=10), work)
    assert [c["--array"] for c in cluster.calls] == ["0-1%4"] * 3


def test_the_queue_is_read_by_the_scripts_that_it_keeps(volume, work, rows, monkeypatch):
    cluster = Slurm(monkeypatch)
    slurm.submit(chains(rows(volume.line("a"), volume.line("b")), work, most=10), work)
    mine = f"avatarmake {volume.data.absolute()}"
    cluster.queue = "\n".join(
        [
            f"1|1|RUNNING|None|node7|avatarmake-frames|{mine}",
            f"2|1|PENDING|Dependency||avatarmake-track|{mine}",
            f"1|0|PENDING|BeginTime||avatarmake-frames|{mine}",
            "9|0|RUNNING|None|node7|avatarmake-frames|avatarmake /another",
            f"9|N/A|RUNNING|None|node7|theirs|{mine}",
        ]
    )
    assert slurm.queue(work) == {
        ("b", "frames"): (State.RUNNING, "on node7 (job 1_1)"),
        ("b", "track"): (State.QUEUED, "after the stage before it (job 2_1)"),
        ("a", "frames"): (State.QUEUED, "is tried again in a moment (job 1_0)"),
    }


def test_without_slurm_and_what_it_refuses(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageError, match="there is no squeue here"):
        slurm.queue(Work(tmp_path, {}, 1, 0))
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'squeue: error: invalid partition' >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    with pytest.raises(StageError, match="SLURM refuses: squeue: error: invalid partition"):
        slurm.queue(Work(tmp_path, {}, 1, 0))
