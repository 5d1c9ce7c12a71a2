"""What a cluster says of a batch's Jobs, and how they get there: by kubectl, or as files to be taken there.

Which subject an index stands for stands in the Job's own script, and why it failed in the last words of its pods.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from avatarmake.batch import kubernetes, scripts
from avatarmake.batch.attempt import AGAIN
from avatarmake.batch.chains import Chain, Work
from avatarmake.batch.standing import Queue, State
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole

JOB, INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"  # of a pod
TURN = (State.FAILED, State.BROKEN, State.QUEUED, State.RUNNING)  # of two Jobs' word on a stage, the later here holds


def submit(chains: Sequence[Chain], work: Work, cluster: kubernetes.Cluster) -> str:
    """Write a manifest for each chain to data/.batch/; create its Job where a cluster answers. Says what it did."""
    folder = work.data / ".batch"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [kubernetes.job(chain, work, cluster) for chain in chains]
    _file(folder / "network.yaml", kubernetes.no_network(work))
    places = [_file(folder / f"job-{k}.yaml", manifest) for k, manifest in enumerate(jobs, 1)]
    if not _reaches_a_cluster():
        where = "Where one is: kubectl apply -f network.yaml, then kubectl create -f each of the others"
        return f"manifests of {len(places)} Jobs in {folder}; no cluster answers here. {where}"
    _kubectl("apply", "-f", str(folder / "network.yaml"))
    for place in places:
        _kubectl("create", "-f", str(place))
    return f"{len(places)} Jobs, {sum(manifest['spec']['completions'] for manifest in jobs)} indexes"


def _file(place: Path, manifest: dict) -> Path:
    with whole(place) as temporary:
        temporary.write_text(yaml.safe_dump(manifest, sort_keys=False, width=1000))
    return place


def queue(work: Work) -> Queue:
    """Where the Jobs of the volume stand; nothing where no cluster answers."""
    if not _reaches_a_cluster():
        return {}
    chosen = ",".join(f"{name}={value}" for name, value in kubernetes.labels(work).items())
    items = json.loads(_kubectl("get", "jobs,pods", "-l", chosen, "-o", "json"))["items"]
    pods: dict[tuple[str, int], dict] = {}
    for pod in sorted((item for item in items if item["kind"] == "Pod"), key=_created):
        marks = pod["metadata"].get("labels", {}) | pod["metadata"].get("annotations", {})
        pods[marks.get(JOB, ""), int(marks.get(INDEX, -1))] = pod  # the last that was made for an index
    found: Queue = {}
    for job in sorted((item for item in items if item["kind"] == "Job"), key=_created):
        for place, said in _of(job, pods):
            if place not in found or TURN.index(said[0]) >= TURN.index(found[place][0]):
                found[place] = said
    return found


def _of(job: dict, pods: dict[tuple[str, int], dict]) -> Iterator[tuple[tuple[str, str], tuple[State, str]]]:
    """(subject, target), (state, why) of what a Job has not done yet, or failed in."""
    name, targets = job["metadata"]["name"], job["metadata"]["annotations"][kubernetes.TARGETS].split()
    template = job["spec"]["template"]["spec"]
    names = scripts.subjects(template.get("initContainers", template["containers"])[0]["command"][-1])
    status = job.get("status", {})
    over, failed = _numbers(status.get("completedIndexes")), _numbers(status.get("failedIndexes"))
    ended = any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions", []))
    for index, subject in names.items():
        pod = pods.get((name, index), {})
        if index in over or ended and index not in failed:
            continue
        target, runs, code, message = _at(pod, targets)
        if index in failed:
            yield (subject, target), (State.BROKEN if code in AGAIN else State.FAILED, message or f"exit code {code}")
            continue
        node = pod.get("spec", {}).get("nodeName", "")
        yield (subject, target), (State.RUNNING, f"on {node} ({name}, {index})") if runs else (
            State.QUEUED, f"waits for its turn ({name}, {index})")  # fmt: skip
        for later in targets[targets.index(target) + 1 :]:
            yield (subject, later), (State.QUEUED, f"after the stage before it ({name}, {index})")


def _at(pod: dict, targets: list[str]) -> tuple[str, bool, int, str]:
    """Which target a pod is at, whether it runs, and the exit code and last words of what ended badly in it."""
    status = pod.get("status", {})
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        target = container["name"].removesuffix("-shard").replace("-", "_")
        target = target if target in targets else targets[0]
        ended = container.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            lines = (ended.get("message") or ended.get("reason") or "").strip().splitlines()
            return target, False, ended["exitCode"], lines[-1] if lines else ""
        if not ended:
            return target, "running" in container.get("state", {}), 0, ""
    return targets[0], False, 0, ""


def _numbers(text: str | None) -> set[int]:
    """'0,2-4' as Kubernetes writes indexes -> {0, 2, 3, 4}."""
    found: set[int] = set()
    for part in filter(None, (text or "").split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _created(item: dict) -> str:
    return item["metadata"].get("creationTimestamp", "")


def _reaches_a_cluster() -> bool:
    if not shutil.which("kubectl"):
        return False
    return subprocess.run(["kubectl", "version", "--request-timeout=10s"], capture_output=True).returncode == 0


def _kubectl(*words: str) -> str:
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
        raise StageError(f"Kubernetes refuses: {said}", f"kubectl {words[0]}", exit=Exit.ENVIRONMENT)
    return done.stdout
