"""export: avatar/ -> export/: avatar.npz with its reader, a .ply for each expression asked for, and of the video."""

import os
import shutil
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

from avatarmake.avatar import ply, tracked
from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import Avatar, view_of
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.formats.npz import write_npz
from avatarmake.geometry import cameras
from avatarmake.head_model.body import Body
from stages.export import STAGE, expressions
from stages.export.arrays import arrays

READER = Path(__file__).parent / "read_avatar.py"


def run(job: Job) -> dict:
    if job.config.sequence < 0:
        raise StageError(f"sequence is {job.config.sequence}", next="Give a number of frames", exit=Exit.USAGE)
    avatar = Avatar.read(job.subject)
    own = tracked.of_dataset(job.read("refined"), job.subject.name)
    wanted = expressions.chosen(job.config.expressions, avatar.head_model)
    if avatar.head_model == "open":
        with whole(job.out / "avatar.npz") as path:
            write_npz(path, arrays(avatar, own))
        with whole(job.out / READER.name) as path:
            shutil.copyfile(READER, path)
    else:
        print(f"export: no avatar.npz: it would hold a basis of {avatar.head_model}, which may not be given away")
    for name, parameters in wanted.items():
        write(job.out / f"{name}.ply", avatar, parameters)
    frames = np.linspace(0, len(own) - 1, min(job.config.sequence, len(own))).round().astype(int)
    if len(frames):
        (job.out / "sequence").mkdir(exist_ok=True)
    body = avatar.body(own)
    for number, i in enumerate(job.progress(frames), 1):
        path = job.out / "sequence" / f"{number:05d}.ply"
        write(path, avatar, own.parameters(i), view_of(own.R[i]), body.of(i))
    return {"gaussians": len(avatar.surface.spacing), "expressions": list(wanted), "sequence": len(frames)}


def write(
    path: Path, avatar: Avatar, parameters: Parameters, view: np.ndarray | None = None, body: Body | None = None
) -> None:
    """In the axes of scenes that 3DGS is trained on, x right, y down: viewers expect them, and the head is upright."""
    means, axes, opacities, colours = avatar.gaussians(parameters, view, body)
    flip = cameras.FLIP.astype(np.float32)
    ply.write(path, means @ flip, flip @ axes, opacities, colours)


if __name__ == "__main__":
    main(STAGE, run)
