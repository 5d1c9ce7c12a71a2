"""One run of a stage: skipped where it is done, resumed where it was killed, published when it is whole.

What it would replace and did not make is refused before work begins (contract/publication.py has the rule).
"""

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from avatarmake import __version__
from avatarmake.assets import need_one
from avatarmake.contract.brought import publish_brought, refuse_what_others_made
from avatarmake.contract.key import is_done, key_of, key_parts, standing
from avatarmake.contract.layout import Subject
from avatarmake.contract.ownership import refusal, strangers
from avatarmake.contract.presence import announced
from avatarmake.contract.provenance import PeakMemory, host_facts, package_versions
from avatarmake.contract.publication import is_torn, prepare, publish, recover
from avatarmake.contract.stage import Job, Stage
from avatarmake.errors import Exit, StageError
from avatarmake.files.faults import explained
from avatarmake.files.locking import Busy, locked


def execute(
    stage: Stage, subject: Subject, config: Any, run: Callable[[Job], dict | None], force: bool = False
) -> None:
    """Run a stage into its .partial directory and publish it. Raises StageError; leaves .partial for a rerun."""
    recover_if_torn(stage, subject)
    again = any(f.metadata.get("again") and getattr(config, f.name) for f in fields(config))
    given = [f.name for f in fields(config) if getattr(config, f.name) != f.default]
    if not force and not again and (line := standing(stage, subject, given)):
        print(line, flush=True)
        return
    config = stage.resolve(subject, config)
    parts = key_parts(stage, subject, config)
    done, line = is_done(stage, subject, config, parts)
    print(line, flush=True)
    if done and not force and not again:
        return
    for names in stage.needs(config):
        need_one(names)
    shard = getattr(config, "shard", None)
    place = stage.place(config)
    out, final = subject.partial(place), subject.directory(place)
    with contextlib.ExitStack() as held:
        for directory in (final, *map(subject.directory, stage.brings)):
            held.enter_context(_alone(stage, directory, shared=shard is not None))
        adopts = bool(stage.adopts and getattr(config, stage.adopts))
        theirs = _strangers(final, stage, allowed=force or adopts)
        if not force:
            refuse_what_others_made(stage, subject)
        with locked(final.with_name(f".{final.name}.prepare.lock")):  # two shards that start at once must not
            resumed = prepare(out, key_of(parts), force)  # clear each other's work
        started = time.time()
        with PeakMemory() as memory:
            facts = run(Job(stage, subject, config, out, resumed, tuple(theirs)))
        if facts is None:  # a shard: others go on, and a run without --shard publishes
            return
        stamp = {
            "avatarmake": __version__,
            "stage": stage.name,
            "subject": subject.name,
            "key": key_of(parts),
            "parts": parts,
            "config": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()},
            "facts": facts,
            "seconds": round(time.time() - started, 3),
            "resumed": resumed,
            "adopted": adopts,
            "peak_memory_mb": memory.peak_mb,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": sys.argv,
            "environment": json.loads(os.environ.get("AVATARMAKE_ENVIRONMENT", '{"engine": "none"}')),
            "host": host_facts(),
            "versions": package_versions(),
        }
        publish_brought(stage, subject, out, stamp)
        publish(out, final, stamp)
    print(f"{stage.name} {subject.name}: done in {stamp['seconds']:.1f} s, {memory.peak_mb:.0f} MB at most", flush=True)


def recover_if_torn(stage: Stage, subject: Subject) -> None:
    """Bring to its end what a run that was stopped had begun to put in place.

    Before anything is read of the directory: a finished result, and the options that it remembers, may lie beside it.
    """
    for final in map(subject.directory, [*stage.places(subject), *stage.brings]):
        if is_torn(final):
            try:
                with _alone(stage, final, shared=False):
                    recover(final)
            except (StageError, OSError) as e:
                # another is at work on it, and will not leave it torn; or the volume refuses, as it will refuse a run,
                # if there is anything to do at all
                if isinstance(e, StageError) and e.exit != Exit.ENVIRONMENT:
                    raise


def _strangers(final: Path, stage: Stage, allowed: bool) -> list[str]:
    """What is not ours where the stage is going to publish. Raises StageError unless it may be there."""
    if os.path.ismount(final):
        raise StageError(explained(OSError(errno.EBUSY, "")), final, exit=Exit.ENVIRONMENT)
    theirs = strangers(final)
    if theirs and not allowed:
        raise refusal(final, theirs, f"{stage.adopts.upper()}=1" if stage.adopts else "")
    return theirs


@contextlib.contextmanager
def _alone(stage: Stage, final: Path, shared: bool) -> Iterator[None]:
    """One run of a stage at a time for a directory, on this host and on others; shards run beside each other."""
    folder = final.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as e:
        file = next(p for p in (folder, *folder.parents) if os.path.lexists(p))
        raise StageError("is a file, where a folder is needed", file, "Give another DATA= or ID=") from e
    try:
        with (
            locked(folder / f".{final.name}.lock", shared, wait=False) as held,
            announced(folder, final.name, shared, held),
        ):
            yield
    except Busy as e:
        where = f" {e}" if str(e).startswith("on ") else ""
        what = f"{stage.name} is already running for this subject{where}"
        raise StageError(what, folder, "Wait for it, or stop it", Exit.ENVIRONMENT) from e
