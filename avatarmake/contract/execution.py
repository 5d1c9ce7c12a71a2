"""One run of a stage: skipped where it is done, resumed where it was killed, published when it is whole."""

import contextlib
import fcntl
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
from avatarmake.contract.key import is_done, key_of, key_parts
from avatarmake.contract.layout import Subject
from avatarmake.contract.provenance import PeakMemory, host_facts, package_versions
from avatarmake.contract.publication import prepare, publish
from avatarmake.contract.stage import Job, Stage
from avatarmake.errors import Exit, StageError


def execute(
    stage: Stage, subject: Subject, config: Any, run: Callable[[Job], dict | None], force: bool = False
) -> None:
    """Run a stage into its .partial directory and publish it. Raises StageError; leaves .partial for a rerun."""
    config = stage.resolve(subject, config)
    parts = key_parts(stage, subject, config)
    done, line = is_done(stage, subject, parts)
    print(line, flush=True)
    again = any(f.metadata.get("again") and getattr(config, f.name) for f in fields(config))
    if done and not force and not again:
        return
    for names in stage.needs(config):
        need_one(names)
    shard = getattr(config, "shard", None)
    with _lock(subject, stage, shared=shard is not None):
        out = subject.partial(stage.writes)
        with (subject.root / f".{stage.writes}.prepare.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # two shards that start at once must not clear each other's work
            resumed = prepare(out, key_of(parts))
        started = time.time()
        with PeakMemory() as memory:
            facts = run(Job(stage, subject, config, out, resumed))
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
            "peak_memory_mb": memory.peak_mb,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": sys.argv,
            "environment": json.loads(os.environ.get("AVATARMAKE_ENVIRONMENT", '{"engine": "none"}')),
            "host": host_facts(),
            "versions": package_versions(),
        }
        publish(out, subject.directory(stage.writes), stamp)
    print(f"{stage.name} {subject.name}: done in {stamp['seconds']:.1f} s, {memory.peak_mb:.0f} MB at most", flush=True)


@contextlib.contextmanager
def _lock(subject: Subject, stage: Stage, shared: bool) -> Iterator[None]:
    """One run of a stage and subject at a time; shards run beside each other."""
    subject.root.mkdir(parents=True, exist_ok=True)
    with (subject.root / f".{stage.writes}.lock").open("w") as f:
        try:
            fcntl.flock(f, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise StageError(
                f"{stage.name} is already running for this subject",
                subject.root,
                "Wait for it, or stop it",
                Exit.ENVIRONMENT,
            ) from e
        yield
