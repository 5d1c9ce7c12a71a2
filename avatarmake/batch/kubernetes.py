"""Kubernetes' queue: a Job with an index for each subject, whose pods run the stages' images one after the other.

A pod's stages are its init containers, the last one its container: each has an image and a limit of memory of its own.
A pod holds what the largest of them asks for until it ends, a GPU too: a batch of the stages before `train`, and one of
`train` after it, hold it no longer than needed. A bad video fails its index at once, what may have passed is tried
again (podFailurePolicy, backoffLimitPerIndex: Kubernetes 1.29 or newer).

A subject in shards has a Job of its own, an index for each shard. All its pods ask for the stages before `track`, which
one does while the others wait; the first one joins the shards when no other is at work, and goes on alone.

Finished Jobs are kept: they are how later batches know a bad video. `kubectl delete job` has its subjects tried again.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from avatarmake import assets
from avatarmake.batch import needs, scripts
from avatarmake.batch.attempt import AGAIN, TRIES
from avatarmake.batch.chains import Chain, Work
from avatarmake.batch.standing import Row
from avatarmake.contract import kinds
from avatarmake.contract.stage import Stage
from avatarmake.engine import distribution, docker, request
from avatarmake.engine.revision import revision
from avatarmake.errors import Exit, StageError

MOST = 230  # indexes of a Job: its manifest has a line for each in each stage, and 1.5 MB at most
INDEX = "JOB_COMPLETION_INDEX"
VOLUME = "avatarmake/volume"  # label: which volume a Job is about
TARGETS = "avatarmake/targets"  # annotation: the make targets that its pods run
DATA = Path("/data")
WAITS = 480  # times that a pod looks whether another still works on what it needs, WAIT seconds apart
WAIT = 15


@dataclass(frozen=True)
class Cluster:
    """What only the user knows of it. `claim`: the PersistentVolumeClaim that is the volume."""

    claim: str
    registry: str = ""  # where the images are: host:5000/me

    def image(self, stage: Stage) -> str:
        """The image of the present sources, as `make push` calls it; without a registry the one that nodes have.

        Nobody here sees the nodes' drivers: it is the CPU's unless TORCH= names another kind.
        """
        asked = kinds.asked()
        kind = asked if asked in kinds.of(stage.name) else kinds.CPU
        if not self.registry:
            return docker.tag(stage.name, kind)
        return f"{self.registry.rstrip('/')}/{docker.short(stage.name, kind)}:{_tag(stage.name, kind)}"


_tag = cache(distribution.tag_of)  # it hashes the sources, and is asked for each stage of each Job


_revision = cache(revision)


def job(chain: Chain, work: Work, cluster: Cluster) -> dict:
    """The manifest of a chain's Job."""
    pods = chain.shards if chain.shards > 1 else len(chain.rows)
    *first, last = [container for target in chain.targets for container in _containers(target, chain, work, cluster)]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": "avatarmake-",
            "labels": labels(work),
            "annotations": {TARGETS: " ".join(chain.targets)},
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods if chain.shards > 1 else min(work.at_once or pods, pods),
            "backoffLimitPerIndex": TRIES - 1,
            "maxFailedIndexes": pods,
            "podFailurePolicy": {"rules": _rules()},
            "template": {
                "metadata": {"labels": labels(work)},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": _identity(),
                    "initContainers": first,
                    "containers": [last],
                    "volumes": [
                        {"name": "data", "persistentVolumeClaim": {"claimName": cluster.claim}},
                        {"name": "tmp", "emptyDir": {}},
                    ],
                },
            },
        },
    }


def no_network(work: Work) -> dict:
    """The manifest that leaves the volume's pods no network, as no container of ours has one."""
    chosen = {"podSelector": {"matchLabels": labels(work)}, "policyTypes": ["Ingress", "Egress"]}
    name = f"avatarmake-{labels(work)[VOLUME]}"
    metadata = {"name": name, "labels": labels(work)}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": chosen}


def labels(work: Work) -> dict[str, str]:
    volume = hashlib.sha256(os.fsencode(work.data.absolute())).hexdigest()[:12]
    return {"app.kubernetes.io/name": "avatarmake", VOLUME: volume}


def _rules() -> list[dict]:
    settled = [int(code) for code in Exit if code not in (Exit.OK, *AGAIN)]
    return [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": settled}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},  # a lost node
    ]


def _identity() -> dict:
    """Files come out as the caller's."""
    return {"runAsUser": os.getuid(), "runAsGroup": os.getgid(), "seccompProfile": {"type": "RuntimeDefault"}}


def _containers(target: str, chain: Chain, work: Work, cluster: Cluster) -> list[dict]:
    """A stage's container; of `track` in shards two: each pod's shard, and the joining."""
    row, before = chain.rows[0], chain.targets[: chain.targets.index(target)]
    if chain.shards == 1:
        return [_container(target, target, chain.rows, [""] * len(chain.rows), work, cluster)]
    if target == "track":
        shards = [f"{i}/{chain.shards}" for i in range(chain.shards)]
        everyone = [row] * chain.shards  # a pod that is late finds the first one at work on its part too, and waits
        parts = _container(f"{target}-shard", target, everyone, shards, work, cluster, waits=True)
        return [parts, _container(target, target, [row], [""], work, cluster, waits=True)]
    if "track" in before:
        return [_container(target, target, [row], [""], work, cluster)]
    everyone = [row] * chain.shards
    return [_container(target, target, everyone, [""] * chain.shards, work, cluster, waits=True)]


def _container(
    name: str, target: str, rows: Sequence[Row], shards: list[str], work: Work, cluster: Cluster, waits: bool = False
) -> dict:
    """A stage for the subject that the pod's index stands for; nothing for an index beyond them."""
    stage = work.stage(target, rows[0])
    asked = [_asked(target, row, shard, work) for row, shard in zip(rows, shards, strict=True)]
    words = [_words(each) for each in asked]
    need = needs.of(stage, needs.receipts(work.data, stage.writes), rows, [word for each in words for word in each])
    memory, gpu = f"{need.memory_mb}M", {"nvidia.com/gpu": str(need.gpus)} if need.gpus else {}
    said = {"engine": "kubernetes", "image": cluster.image(stage), "revision": _revision()}
    exports = [f"AVATARMAKE_ENVIRONMENT={json.dumps(said | {'options': each.options()})}" for each in asked]
    variables = asked[0].variables("kubernetes", DATA, _inside(assets.folder(), work.data) or Path("/assets"))
    return {
        "name": name.replace("_", "-"),
        "image": cluster.image(stage),
        "command": ["/bin/sh", "-c", _script(stage, words, exports, waits)],
        "env": [
            *({"name": key, "value": value} for key, value in sorted((variables | work.threads).items())),
            {"name": "AVATARMAKE_HOST", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "resources": {
            "requests": {"cpu": str(work.cores), "memory": memory, **gpu},
            "limits": {"memory": memory, **gpu},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",  # why it failed: its last lines
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": str(DATA)}, {"name": "tmp", "mountPath": "/tmp"}],
    }


def _script(stage: Stage, words: list[list[str]], exports: list[str], waits: bool) -> str:
    """The shell's part. `waits`: another pod may be at work on the same, which is an exit code of the host's faults."""
    chosen = scripts.cases(INDEX, words, exports, others="exit 0")
    run = f'python -m stages.{stage.name} "$@" --data={DATA}'
    if not waits:
        return f"{chosen}\nexec {run}\n"
    return f"""{chosen}
for _ in $(seq {WAITS}); do
  {run}
  code=$?
  [ $code = {int(Exit.ENVIRONMENT)} ] || exit $code
  sleep $(({WAIT} + {INDEX}))  # not all at once
done
exit $code
"""


def _asked(target: str, row: Row, shard: str, work: Work) -> request.Request:
    stage = work.stage(target, row)
    name, *options = work.words(target, row, shard)
    words = [name, f"--data={work.data}", *options]
    return request.parse(stage, words) if row.first and row.first.target == target else request.unresolved(stage, words)


def _words(asked: request.Request) -> list[str]:
    """The stage's own words, with inputs where the pod sees them. Raises StageError for one that is elsewhere."""
    inside: dict[str, Any] = {}
    for f in fields(asked.config):
        path = getattr(asked.config, f.name)
        if f.metadata.get("input") and path is not None:
            inside[f.name] = _inside(path, asked.subject.data)
            if inside[f.name] is None:
                what, where = "is not in the volume, and pods see nothing else", asked.subject.data.absolute()
                raise StageError(what, path, f"Put it below {where}", Exit.USAGE)
    name, _, *options = asked.words(DATA, replace(asked.config, **inside))
    return [name, *options]


def _inside(path: Path, data: Path) -> Path | None:
    """Where a pod sees a path of this host; None where it does not."""
    path, data = path.absolute(), data.absolute()
    return DATA / path.relative_to(data) if path.is_relative_to(data) else None
