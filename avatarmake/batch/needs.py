"""What a job asks the queue for: memory and GPUs, by the receipts of earlier runs on the same volume.

No stage's memory grows with a video's length, so the most that any of them took, and a quarter more, will do. Before
there is any receipt a job asks for what is known to be enough. One that was killed, most likely for its memory, asks
for twice as much the next time.
"""

import itertools
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from avatarmake.batch.attempt import KILLED
from avatarmake.batch.standing import Row
from avatarmake.contract.receipts import receipt
from avatarmake.contract.stage import Stage
from avatarmake.errors import StageError

FIRST_MB = 4000  # as `make doctor` asks of a host
MORE, HOST_MB, STEP_MB = 1.25, 150, 256  # room above the most that was seen; the host's command beside the stage
LOOKED_AT = 200  # subjects whose receipts are read


@dataclass(frozen=True)
class Needs:
    memory_mb: int
    gpus: int


def receipts(data: Path, directory: str) -> list[dict]:
    """Receipts of one directory, `tracking`, of some subjects of a volume."""
    found = []
    with os.scandir(data) as entries:
        places = (Path(entry.path) / directory for entry in entries if not entry.name.startswith("."))
        for place in itertools.islice((p for p in places if p.is_dir()), LOOKED_AT):
            try:
                found.append(receipt(place))
            except StageError:  # somebody edited it; its own run says so
                continue
    return [stamp for stamp in found if stamp]


def of(stage: Stage, earlier: Iterable[dict], rows: Iterable[Row] = (), options: Iterable[str] = ()) -> Needs:
    """What a job of this stage needs. `rows`: the subjects it is for; `options`: words of their command lines."""
    earlier = [stamp for stamp in earlier if stamp.get("stage") == stage.name]
    peaks = [mb for stamp in earlier if isinstance(mb := stamp.get("peak_memory_mb"), int | float)]
    memory = max(peaks) * MORE + HOST_MB if peaks else FIRST_MB
    failures = [row.first.failure for row in rows if row.first and row.first.failure]
    killed = [left.get("memory_mb") or 0 for left in failures if left["exit"] == KILLED and left["stage"] == stage.name]
    memory = max([memory, *(2 * mb for mb in killed)])
    return Needs(math.ceil(memory / STEP_MB) * STEP_MB, _gpus(stage, earlier, set(options)))


def _gpus(stage: Stage, earlier: list[dict], options: set[str]) -> int:
    """One where it is asked for; else where earlier runs of the stage took one, unless it is not wanted."""
    if stage.gpu == "none" or "--device=cpu" in options:
        return 0
    took = any(stamp.get("facts", {}).get("device") == "cuda" for stamp in earlier)
    return int("--device=cuda" in options or took)
