"""drive: avatar/ and a driver's performance -> drives/<driver>/: a film of the avatar, and one beside the driver."""

import os

# Threads that wait for each other must sleep: spinning ones starve the encoder beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from avatarmake.avatar import tracked
from avatarmake.avatar.correction import corrected
from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import WHITE, Avatar, view_of
from avatarmake.avatar.performance import Performance
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.files.whole import whole
from avatarmake.formats import images
from stages.drive import STAGE, bounds, neutral, orbit, transfer
from stages.drive.drivers import Driver, driver
from stages.drive.film import Film
from stages.drive.neutral import Neutral
from stages.drive.sound import Sound


def run(job: Job) -> dict:
    config, avatar = job.config, Avatar.read(job.subject)
    own = tracked.of_dataset(job.read("refined"), job.subject.name)
    own_rest, limits = neutral.find(own), bounds.bounds(own)
    who = driver(job, avatar, own, own_rest, limits)
    result, found = driven(config, avatar, own, own_rest, limits, who)
    sound = Sound(config.sound, float(result.times[-1] - result.times[0]) + 1 / result.fps)
    for line in (who.note, bounds.said(found), None if sound.there or not who.picture else "the driver has no sound"):
        if line:
            print(f"drive: {line}", flush=True)
    result.write(job.out / "parameters.npz")
    pictures = Pictures(config, avatar, own, result, who.yaw)
    films(job, who, pictures, result, sound)
    rests(job, pictures, who, own_rest)
    return {
        "frames_in": len(who.performance),
        "frames_out": len(result),
        "driver": who.name,
        "sound": "none" if not sound.there else "copied" if sound.copied else "encoded",
        "at_rest": {"driver": len(who.rest.frames), "own": len(own_rest.frames)},
        "outside": found,
    }


def driven(
    config, avatar: Avatar, own: Performance, own_rest: Neutral, limits: bounds.Bounds, who: Driver
) -> tuple[Performance, dict]:
    """-> what the avatar does, bounded, its cameras as the tracker would find them; and what was beyond the bounds."""
    p = who.performance
    asked = transfer.transfer(p, who.rest, own_rest, config.gain)
    cut = limits.cut(asked)
    if config.pose == "none" or not who.moves and config.pose != "own":
        rotation, translation = transfer.still(own, len(p))
    elif config.pose == "own":
        rotation, translation = transfer.as_own(own, p.times)
    else:
        rotation, translation = transfer.as_driver(p, own, absolute=config.pose == "absolute")
    result = replace(
        own, fps=p.fps, times=p.times, R=rotation, t=translation, **dict(zip(Parameters._fields, cut, strict=True))
    )
    return result, bounds.outside(asked, cut, avatar.head_model)


def films(job: Job, who: Driver, pictures: "Pictures", result: Performance, sound: Sound) -> None:
    """avatar.mp4 (or .mov, or avatar/ with pictures), and drive.mp4 where the driver is seen."""
    config, side, ground = job.config, job.config.size, job.config.ground()
    alone = f"avatar.{'mp4' if ground else 'mov'}"
    times = np.append(result.times, result.times[-1] + 1 / result.fps) - result.times[0]
    with ExitStack() as stack:

        def film(name: str, width: int, alpha: bool = False) -> Film:
            path = stack.enter_context(whole(job.out / name))
            return stack.enter_context(Film(path, (width, side), result.fps, sound, alpha))

        singly = ground is None and config.alpha == "png"
        first = None if singly else film(alone, side, alpha=ground is None)
        both = film("drive.mp4", 2 * side) if who.picture else None
        if singly:
            (job.out / "avatar").mkdir(exist_ok=True)
        for i in job.progress(range(len(result))):
            picture = pictures.draw(i)
            if singly:
                images.write_png(job.out / "avatar" / f"{i + 1:05d}.png", picture)
            else:
                first.write(picture, times[i], times[i + 1])
            if both:
                seen = images.resize(who.picture(i), (side, side))
                both.write(np.concatenate([seen, over(picture)], 1), times[i], times[i + 1])


class Pictures:
    """The avatar, frame by frame, from where the camera shall stand."""

    def __init__(self, config, avatar: Avatar, own: Performance, result: Performance, yaw: np.ndarray | None):
        self._avatar, self._own, self._result = avatar, own, result
        self._camera, self._ground = avatar.camera(config.size), config.ground()
        self._corrections, self._body = avatar.corrections(own), avatar.body(result)
        self._way = orbit.way(config, result.times)
        if yaw is not None:
            self._way = self._way._replace(yaw=self._way.yaw + yaw)
        surface = avatar.surface
        self._pivot = (avatar.head.rest[surface.corners] * surface.weights[..., None]).sum(1).mean(0)

    def draw(self, i: int) -> np.ndarray:
        """(H,W,3) uint8 over the background, (H,W,4) where there is none."""
        parameters, rotation, translation = self._result.parameters(i), self._result.R[i], self._result.t[i]
        camera = self._put_right(parameters, rotation, translation)
        turn, shift = orbit.around(*camera, self._pivot, *(part[i] for part in self._way))
        view, body = view_of(rotation), self._body.of(i)
        return self._avatar.draw(parameters, turn, shift, self._camera, self._ground, view, body)

    def rest(self, own_rest: Neutral) -> np.ndarray:
        """(H,W,3) of the avatar at rest, over white."""
        k = own_rest.nearest
        where = self._put_right(own_rest.parameters, self._own.R[k], self._own.t[k])
        return self._avatar.draw(own_rest.parameters, *where, self._camera, WHITE)

    def _put_right(self, parameters: Parameters, rotation: np.ndarray, translation: np.ndarray) -> tuple:
        """A camera as a tracker finds it -> as training found such cameras to be."""
        expected = self._corrections.expected(self._avatar.code(parameters, rotation))
        return corrected(expected, rotation, translation)


def over(picture: np.ndarray) -> np.ndarray:
    """(H,W,3), or (H,W,4) over white, uint8."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.rint(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def rests(job: Job, pictures: Pictures, who: Driver, own_rest: Neutral) -> None:
    """neutral.jpg: what was taken for a face at rest; the driver's, where they are seen, and the avatar's own."""
    side = job.config.size
    seen = [images.resize(who.picture(who.rest.nearest), (side, side))] if who.picture else []
    images.write_jpeg(job.out / "neutral.jpg", np.concatenate([*seen, pictures.rest(own_rest)], 1))


if __name__ == "__main__":
    main(STAGE, run)
