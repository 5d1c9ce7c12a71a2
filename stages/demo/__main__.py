"""`python -m stages.demo ID`: source/video.mp4 and source/truth.npz."""

import numpy as np

from avatarmake import head_model
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.formats.npz import write_npz
from stages.demo import STAGE, scene, script
from stages.demo.people import PEOPLE
from stages.demo.video import write_video

MASKED = 20  # of so many frames one's true masks are kept: half a megabyte each


def run(job: Job) -> dict:
    """Make the subject, let it perform, film it. Facts: frames_in 0, frames_out, the video's size and rate."""
    n, size, fps = job.config.frames, job.config.size, job.config.fps
    if n < 1 or size < 16 or size % 2 or fps < 1:
        raise StageError(
            f"cannot film {n} frames of {size} x {size} at {fps} a second",
            next="Use frames >= 1, an even size >= 16, fps >= 1",
            exit=Exit.USAGE,
        )
    if job.config.person not in PEOPLE:
        what = f"there is no person '{job.config.person}'"
        raise StageError(what, next=f"Use {' or '.join(PEOPLE)}", exit=Exit.USAGE)
    model = head_model.load("open")
    act = script.perform(n, fps, size, job.config.seed)
    who = scene.subject(model, job.config.seed, PEOPLE[job.config.person])
    behind = scene.ground(size)
    marks = np.zeros((n, 478, 2), np.float32)
    masked = range(0, n, MASKED)
    alpha, head = (np.zeros((len(masked), size, size), np.uint8) for _ in range(2))

    def film():
        for k in job.progress(range(n)):
            points = who.points(act, k)
            marks[k] = scene.landmarks(who, points, act, k)
            if k in masked:
                alpha[k // MASKED], head[k // MASKED] = scene.masks(who, points, act, k, size)
            yield scene.render(who, points, act, k, size, behind)

    with whole(job.out / "video.mp4") as path:
        write_video(path, film(), fps, size)
    truth = {
        "shape": who.shape,
        "expression": act.expression,
        "jaw_pose": act.jaw_pose,
        "eye_pose": act.eye_pose,
        "eyelids": act.eyelids,
        "R": act.r,
        "t": act.t,
        "intrinsics": act.intrinsics,
        "image_size": np.array([size, size]),
        "landmarks": marks,
        "mask_frames": np.array(masked),
        "mask_alpha": alpha,
        "mask_head": head,
        "fps": fps,
        "head_model_digest": model.digest,
    }
    with whole(job.out / "truth.npz") as path:
        write_npz(path, truth)
    return {"frames_in": 0, "frames_out": n, "size": size, "fps": fps}


if __name__ == "__main__":
    main(STAGE, run)
