"""refine: dataset/ and masks/ -> refined/: the dataset's index and .frame files, with cameras found anew."""

import os

# As in train: threads that wait for each other must sleep, and MKL keeps sums equal only where it is asked to
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MKL_CBWR", "AUTO")

import numpy as np
import torch

from avatarmake.contract import layout
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.files.whole import whole
from avatarmake.formats.frame import read_frame, write_frame
from avatarmake.geometry.jitter import apart, jitter_px
from stages.refine import STAGE, course, likeness, pose
from stages.train.dataset import Dataset
from stages.train.split import split

LIKENESS, FOUND = ".likeness.pt", ".found.npy"  # while it works: the small avatar, and what was found by it
OFTEN = 100  # frames from one writing of FOUND to the next


def run(job: Job) -> dict:
    dataset = Dataset(job.read("dataset"), job.read("masks"), job.subject.name)
    rotation, translation, facts = dataset.rotation, dataset.translation, {}
    if job.config.refine:
        rotation, translation, facts = refine(job, dataset)
    else:
        print("refine: cameras stay as they were tracked", flush=True)
    (job.out / "checkpoint").mkdir(exist_ok=True)
    for i in range(len(dataset)):
        record = read_frame(layout.checkpoint_file(dataset.root, i))
        record.R, record.t = rotation[i], translation[i]
        write_frame(layout.checkpoint_file(job.out, i), record, i)
    with whole(job.out / "index.json") as path:
        path.write_bytes((dataset.root / "index.json").read_bytes())
    for name in (LIKENESS, FOUND):
        (job.out / name).unlink(missing_ok=True)
    return {"frames_in": len(dataset), "frames_out": len(dataset), **facts}


def refine(job: Job, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, dict]:
    """-> rotations (F,3,3), translations (F,3), and how far heads went and how much they shake."""
    dataset.check(likeness.SIZE)
    corrections = found(job, dataset)
    before = course.rigid(dataset, dataset.rotation, dataset.translation)
    numbers = np.array(dataset.index["images"])
    trained = np.isin(np.arange(len(dataset)), split(len(dataset)).train)
    corrections = course.smooth(corrections, apart(numbers, before), trained)
    corrections -= np.median(corrections[trained], axis=0)  # of what all have in common pictures tell nothing
    cameras = course.cameras_of(dataset, corrections)
    after = course.rigid(dataset, *cameras)
    degrees = np.degrees(np.linalg.norm(corrections[:, :3] * course.UNIT[:3], axis=1))
    jitter = {name: jitter_px(points, numbers) for name, points in (("tracked", before), ("refined", after))}
    facts = {
        "turned_degrees": round(float(np.median(degrees)), 3),
        "moved_px": round(float(np.median(np.linalg.norm(after - before, axis=-1))), 3),
        "jitter_px": {name: None if value is None else round(value, 4) for name, value in jitter.items()},
    }
    shakes = "" if None in jitter.values() else ", jitter {tracked:.3f} -> {refined:.3f} px".format(**jitter)
    print(f"heads turned by {facts['turned_degrees']} degrees, moved by {facts['moved_px']} px{shakes}", flush=True)
    return *cameras, facts


def found(job: Job, dataset: Dataset) -> np.ndarray:
    """(F,6) what each frame's own picture corrects of its tracked camera. A killed run's are gone on with."""
    path = job.out / LIKENESS
    state = torch.load(path, weights_only=True) if job.resumed and path.exists() else None
    trainer = likeness.begun(dataset, job.config, state)
    if state is None:
        likeness.train(trainer)
        with whole(path) as temporary, temporary.open("wb") as file:
            torch.save(trainer.state(), file)
    dataset.keep_no_more()
    there = job.out / FOUND
    before = np.load(there) if state is not None and there.exists() else np.zeros((0, 6))
    if state is not None:
        print(f"refine: going on at frame {len(before)}", flush=True)
    # one array: a small one a frame, between the large ones of each, would keep the heap from ever shrinking
    corrections = np.zeros((len(dataset), 6))
    corrections[: len(before)] = before
    for i in job.progress(range(len(before), len(dataset)), label="refine: cameras"):
        corrections[i] = course.correction(dataset, i, *pose.find(trainer, i))
        if (i + 1) % OFTEN == 0:
            with whole(there) as temporary, temporary.open("wb") as file:
                np.save(file, corrections[: i + 1])
    return corrections


if __name__ == "__main__":
    main(STAGE, run)
