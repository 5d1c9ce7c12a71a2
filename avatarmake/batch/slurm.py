"""SLURM's queue, by its own commands: an array of jobs for each stage, a task for each subject.

A task starts when the same subject's task of the stage before has ended well (aftercorr), and goes where that one fails
(--kill-on-invalid-dep). A subject in shards has a chain of its own: an array whose tasks are the shards, and a job that
joins them when all have ended well (afterok). Each array asks for what its stage needs. Tasks that fail by what may
have passed are requeued by themselves, and SLURM counts how often.

submitit would do some of this, and keep pickled calls of its own beside the queue; a script needs neither.

What is not said here (partition, account, time) is taken from sbatch's own variables: SBATCH_PARTITION and the like.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

from avatarmake import ROOT
from avatarmake.batch import needs, scripts
from avatarmake.batch.attempt import AGAIN, MEMORY, TRIES
from avatarmake.batch.chains import Chain, Work
from avatarmake.batch.standing import Queue, Row, State
from avatarmake.errors import Exit, StageError

NAME = "avatarmake-"  # of a job, before its make target
REASONS = {
    "Dependency": "after the stage before it",
    "BeginTime": "is tried again in a moment",
    "JobArrayTaskLimit": "as many as AT_ONCE run",
    "None": "waits for its turn",
    "Priority": "waits for its turn",
    "Resources": "waits for its turn",
}


def queue(work: Work) -> Queue:
    """Which stages of which subjects of the volume this user has in the queue. Raises StageError without a SLURM."""
    found: Queue = {}
    listed = _slurm("squeue", "--me", "--noheader", "--array", "--format=%F|%K|%T|%r|%N|%j|%k")
    script = cache(lambda job: scripts.subjects(_slurm("scontrol", "write", "batch_script", job, "-")))
    for entry in listed.splitlines():
        job, task, state, reason, node, name, comment = entry.split("|", 6)
        if comment != _comment(work) or not name.startswith(NAME):
            continue
        place = (script(job)[int(task)], name.removeprefix(NAME))
        runs = state in ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED")
        if runs:
            found[place] = State.RUNNING, f"on {node} (job {job}_{task})"
        elif place not in found:
            found[place] = State.QUEUED, f"{REASONS.get(reason, reason)} (job {job}_{task})"
    return found


def most() -> int:
    """How many tasks an array may have here."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _slurm("scontrol", "show", "config"), re.MULTILINE)
    return min(int(found[1]) - 1 if found else 1000, 1000)


def submit(chains: Sequence[Chain], work: Work) -> str:
    """Put all chains into the queue. Says how many jobs that is, array tasks counted.

    Raises StageError with the queue's words where it takes no more; what it has taken stays there, and the next
    `make batch` goes on with the rest.
    """
    jobs = 0
    (work.data / ".batch").mkdir(parents=True, exist_ok=True)
    for chain in chains:
        after, kind = "", "aftercorr" if chain.shards == 1 else "afterok"  # a shard's number is no subject's
        for target in chain.targets:
            if target == "track" and chain.shards > 1:
                row, n = chain.rows[0], chain.shards
                shards = [work.words(target, row, f"{i}/{n}") for i in range(n)]
                after = f"{kind}:{_array(target, shards, chain.rows, work, after)}"
                jobs += n
            words = [work.words(target, row) for row in chain.rows]
            after = f"{kind}:{_array(target, words, chain.rows, work, after)}"
            jobs += len(words)
    return f"{jobs} jobs"


def _array(target: str, words: list[list[str]], rows: Sequence[Row], work: Work, after: str) -> str:
    """Submit an array of jobs, a task for each of `words`; returns its number."""
    stage = work.stage(target, rows[0])
    earlier = needs.receipts(work.data, stage.writes)
    need = needs.of(stage, earlier, rows, [word for each in words for word in each])
    asked = [
        f"--job-name={NAME}{target}",
        f"--comment={_comment(work)}",
        f"--array=0-{len(words) - 1}{f'%{work.at_once}' if work.at_once else ''}",
        f"--mem={need.memory_mb}M",
        f"--cpus-per-task={work.cores}",
        f"--output={work.data.absolute()}/.batch/slurm-{target}.out",  # of what goes wrong before a log is there
        "--open-mode=append",
        "--requeue",
        *([f"--gres=gpu:{need.gpus}"] if need.gpus else []),
        *([f"--dependency={after}", "--kill-on-invalid-dep=yes"] if after else []),
    ]
    return _slurm("sbatch", "--parsable", *asked, script=script(target, words, work, need)).strip().partition(";")[0]


def script(target: str, words: list[list[str]], work: Work, need: needs.Needs) -> str:
    """What each task of an array runs."""
    threads = " ".join(f"{name}={value}" for name, value in work.threads.items())
    python, root, data = map(shlex.quote, (sys.executable, str(ROOT), f"--data={work.data.absolute()}"))
    return f"""#!/bin/bash
{scripts.cases("SLURM_ARRAY_TASK_ID", words)}
cd {root} || exit {int(Exit.ENVIRONMENT)}
export {MEMORY}={need.memory_mb} {threads}
{python} -m avatarmake attempt {target} "$@" {data}
code=$?
case $code in {"|".join(str(int(code)) for code in AGAIN)})
  # requeue ends this script
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {TRIES - 1} ] && scontrol requeue "$SLURM_JOB_ID"; then sleep 60; fi ;;
esac
exit $code
"""


def _comment(work: Work) -> str:
    return f"avatarmake {work.data.absolute()}"


def _slurm(*words: str, script: str | None = None) -> str:
    """What a command of SLURM prints. Raises StageError with its own words."""
    try:
        done = subprocess.run(words, input=script, capture_output=True, text=True)
    except FileNotFoundError as e:
        what = f"there is no {words[0]} here"
        raise StageError(what, next="Type this where SLURM is, or ON=local", exit=Exit.ENVIRONMENT) from e
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()[-1]
        later = "What it has taken goes on; type it again later for the rest" if words[0] == "sbatch" else ""
        raise StageError(f"SLURM refuses: {said}", words[0], later, Exit.ENVIRONMENT)
    return done.stdout
