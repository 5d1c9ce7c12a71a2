"""view: dataset/ and avatar/ -> view/index.html; of an avatar on a licensed head model, a page that says why not."""

import numpy as np

from avatarmake.avatar import foreign
from avatarmake.avatar.model import Avatar
from avatarmake.avatar.performance import Performance
from avatarmake.avatar.tracked import of_dataset
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from stages.view import STAGE, content
from stages.view.packing import pack
from stages.view.page import page, withheld

LARGEST = 8e6  # characters of the page: what can be passed on by mail
FREE = ("open",)  # head models that anybody may pass on
WHY = (
    "this avatar stands on FLAME, whose licence does not let its mesh and bases be given away, and a page that moves "
    "it must hold them. `make drive` makes videos of it; HEAD_MODEL=open makes an avatar that may be passed on"
)


def run(job: Job) -> dict:
    if not job.config.seconds > 0:
        raise StageError(f"seconds is {job.config.seconds}", next="Use a number above 0", exit=Exit.USAGE)
    performance = beginning(of_dataset(job.read("refined"), job.subject.name), job.config.seconds)
    why = foreign.WHY if foreign.is_foreign(job.read("avatar")) else "" if performance.head_model in FREE else WHY
    played: dict[str, Performance] = {}
    text = withheld(job.subject.name, why)
    if not why:
        avatar = Avatar.read(job.subject)
        played = fitting(avatar, performance, driven(job, avatar))
        text = live(avatar, performance, played)
    with whole(job.out / "index.html") as temporary:
        temporary.write_text(text)
    where = job.subject.directory("view") / "index.html"
    print(f"view: {why}" if why else f"view: {where}, {len(text) / 1e6:.1f} MB: opens in any browser", flush=True)
    return {"frames_in": len(performance), "frames_out": 1, "live": not why, "drives": list(played)}


def live(avatar: Avatar, performance: Performance, played: dict[str, Performance]) -> str:
    facts = content.facts(avatar, performance, tuple(played))
    return page(avatar.name, pack(facts, content.arrays(avatar, performance, played)))


def driven(job: Job, avatar: Avatar) -> dict[str, Performance]:
    """What the avatar did in its drives, by their names; those of another head model are left out."""
    found = {}
    for name in job.config.named():
        performance = Performance.read(job.read(f"drives/{name}") / "parameters.npz")
        if performance.head_model_digest == avatar.head_model_digest:
            found[name] = beginning(performance, job.config.seconds)
        else:
            print(f"view: {name} is left out: it drove an avatar on another head model", flush=True)
    return found


def fitting(
    avatar: Avatar, performance: Performance, drives: dict[str, Performance], largest: float = LARGEST
) -> dict[str, Performance]:
    """Those of `drives`, in their order, with which the page stays below `largest` characters."""
    kept: dict[str, Performance] = {}
    for name, p in drives.items():
        if len(live(avatar, performance, kept | {name: p})) <= largest:
            kept[name] = p
        else:
            print(f"view: {name} is left out, for the page's size; --seconds takes less of each", flush=True)
    return kept


def beginning(performance: Performance, seconds: float) -> Performance:
    return performance.at(performance.times[: np.searchsorted(performance.times, performance.times[0] + seconds)])


if __name__ == "__main__":
    main(STAGE, run)
