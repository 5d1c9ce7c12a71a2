"""Manifests as Kubernetes takes them, their shell as a pod would run it, and what a cluster says, read back.

No cluster is asked: the manifests are held against the types of Kubernetes' own client, field by field.
"""

import json
import os
import re
import subprocess

import pytest
import yaml

from avatarmake.batch import kubectl, scripts
from avatarmake.batch.chains import Work, chains
from avatarmake.batch.kubernetes import INDEX, MOST, Cluster, job, labels, no_network
from avatarmake.batch.standing import State, look
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import load
from avatarmake.errors import Exit, StageError

models = pytest.importorskip("kubernetes.client.models", reason="needs Kubernetes' client for Python")
TARGETS = ["frames", "track", "convert", "mask", "refine", "train"]
CLUSTER = Cluster("avatars", "registry:5000/me")


@pytest.fixture
def made(volume):
    """Lines -> a manifest for each chain. The film lies in the volume."""
    volume.data.mkdir()
    volume.video = volume.data / "film.mp4"
    volume.video.write_bytes(b"a film")

    def make(*lines, targets=TARGETS, at_once=0):
        work = Work(volume.data, {}, cores=2, at_once=at_once)
        found = chains(look(list(lines), targets, volume.data, {}, {}), work, most=10)
        return [json.loads(json.dumps(job(chain, work, CLUSTER))) for chain in found]

    return make


def check(value, kind: str, where: str) -> None:
    """Raises where a value is not what the type has: a field it does not know, one that is missing, another type."""
    if inner := re.fullmatch(r"list\[(.+)\]", kind):
        assert isinstance(value, list), where
        for k, each in enumerate(value):
            check(each, inner[1], f"{where}[{k}]")
    elif inner := re.fullmatch(r"dict\(str, (.+)\)", kind):
        assert isinstance(value, dict), where
        for key, each in value.items():
            assert isinstance(key, str), where
            check(each, inner[1], f"{where}.{key}")
    elif kind in ("str", "int", "bool"):
        assert type(value).__name__ == kind, f"{where}: {value!r} is no {kind}"
    else:
        model = getattr(models, kind)
        names = {name: field for field, name in model.attribute_map.items()}
        assert isinstance(value, dict) and value.keys() <= names.keys(), f"{where}: {value}"
        given = {names[name]: each for name, each in value.items()}
        model(**given)  # raises for a required field that is missing
        for field, each in given.items():
            check(each, model.openapi_types[field], f"{where}.{model.attribute_map[field]}")


def test_the_check_finds_what_is_wrong():
    check({"kind": "Job", "spec": {"template": {}}}, "V1Job", "job")
    for wrong in (
        {"spec": {"template": {}, "completion": 3}},
        {"spec": {"template": {}, "completions": "3"}},
        {"x": 1},
    ):
        with pytest.raises(AssertionError):
            check(wrong, "V1Job", "job")
    with pytest.raises(ValueError):
        check({"spec": {}}, "V1Job", "job")


def test_manifests_are_what_kubernetes_takes(made, volume):
    manifests = made(volume.line("a"), volume.line("b", DEVICE="cuda"), volume.line("long", shards=3))
    assert len(manifests) == 2
    for manifest in manifests:
        check(manifest, "V1Job", "job")
    check(no_network(Work(volume.data, {}, 1, 0)), "V1NetworkPolicy", "policy")


def test_one_index_a_subject_one_container_a_stage(made, volume):
    (manifest,) = made(volume.line("a"), volume.line("b", DEVICE="cuda"), at_once=1)
    spec = manifest["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 1)
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # or no policy of failures may be given
    assert [c["name"] for c in pod["initContainers"]] == TARGETS[:-1] and [c["name"] for c in pod["containers"]] == [
        "train"
    ]
    (image,) = [c["image"] for c in pod["containers"]]
    assert re.fullmatch(r"registry:5000/me/train:[0-9a-f]{16}", image)
    assert Cluster("avatars").image(load("train")) == "avatarmake/train:latest"
    gpus = {
        c["name"]: c["resources"]["limits"].get("nvidia.com/gpu") for c in pod["initContainers"] + pod["containers"]
    }
    assert gpus == dict.fromkeys(TARGETS[:-1]) | {"train": "1"}
    settled = spec["podFailurePolicy"]["rules"][0]
    assert settled["action"] == "FailIndex" and settled["onExitCodes"]["values"] == [2, 3, 4]
    assert spec["backoffLimitPerIndex"] == 2 and spec["maxFailedIndexes"] == 2
    assert len(json.dumps(manifest)) / 2 * MOST < 1.4e6  # of the largest Job


def run_as(container: dict, index: int, tmp_path, code: int = 0) -> tuple[list[str], dict, int]:
    """What a pod of this index would call python with, its environment, and how its shell ends."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\nenv > {tmp_path}/env\nexit {code}\n')
    python.chmod(0o755)
    (tmp_path / "words").unlink(missing_ok=True)
    variables = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(container["command"], env=variables | {INDEX: str(index), "PATH": path})
    words = (tmp_path / "words").read_text().splitlines() if (tmp_path / "words").exists() else []
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines()) if words else {}
    return words, env, done.returncode


def test_the_shell_s_part(made, volume, tmp_path):
    (manifest,) = made(volume.line("a"), volume.line("b", MARGIN="0.5"))
    frames, track, *_ = manifest["spec"]["template"]["spec"]["initContainers"]
    words, env, code = run_as(frames, 1, tmp_path)
    assert words == ["-m", "stages.frames", "b", "--video=/data/film.mp4", "--margin=0.5", "--data=/data"] and code == 0
    said = json.loads(env["AVATARMAKE_ENVIRONMENT"])
    assert said["engine"] == "kubernetes" and said["options"]["margin"] == "--margin=0.5"
    assert env["OMP_NUM_THREADS"] == "2" and env["AVATARMAKE_CACHE"] == "/data/.cache"
    assert run_as(track, 0, tmp_path)[0] == ["-m", "stages.track", "a", "--workers=2", "--data=/data"]
    assert run_as(track, 0, tmp_path, code=3)[2] == 3
    assert run_as(track, 7, tmp_path) == ([], {}, 0)


def test_shards_are_joined_by_the_first_pod(made, volume, tmp_path):
    (manifest,) = made(volume.line("long", shards=3), targets=TARGETS[:3])
    pod = manifest["spec"]["template"]["spec"]
    assert manifest["spec"]["completions"] == manifest["spec"]["parallelism"] == 3
    frames, shard, join, convert = pod["initContainers"] + pod["containers"]
    assert [c["name"] for c in (frames, shard, join, convert)] == ["frames", "track-shard", "track", "convert"]
    for index in range(3):
        assert run_as(frames, index, tmp_path)[0][2] == "long"  # one does it, the others wait
        assert f"--shard={index}/3" in run_as(shard, index, tmp_path)[0]
    assert run_as(join, 0, tmp_path)[0] == ["-m", "stages.track", "long", "--workers=2", "--data=/data"]
    assert run_as(join, 1, tmp_path)[0] == run_as(convert, 2, tmp_path)[0] == []
    assert run_as(join, 0, tmp_path, code=3)[2] == 3  # only where another is at work it looks again
    waiting = ["[ $code = 5 ] || exit $code" in c["command"][-1] for c in (frames, shard, join, convert)]
    assert waiting == [True, True, True, False]


def test_a_video_elsewhere_is_named(made, volume, tmp_path):
    volume.video = tmp_path / "elsewhere.mp4"
    volume.video.write_bytes(b"a film")
    with pytest.raises(StageError, match="elsewhere.mp4: is not in the volume") as e:
        made(volume.line("a"))
    assert e.value.exit == Exit.USAGE


@pytest.fixture
def cluster(volume, tmp_path, monkeypatch):
    """A kubectl that keeps what it is given, and answers with `items`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/calls\n[ $1 = get ] && cat {folder}/items\nexit 0\n'
    )
    (folder / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_jobs_are_created_and_read_back(made, volume, cluster):
    lines = [volume.line(name) for name in ("done", "bad", "lost", "running", "waiting")]
    (manifest,) = made(*lines)
    work = Work(volume.data, {}, cores=2, at_once=0)
    said = kubectl.submit(chains(look(lines, TARGETS, volume.data, {}, {}), work, 10), work, CLUSTER)
    assert said == "1 Jobs, 5 indexes"
    written = yaml.safe_load((volume.data / ".batch" / "job-1.yaml").read_text())
    assert written == manifest and (cluster / "calls").read_text().splitlines()[-1].startswith("create -f ")
    manifest["metadata"] |= {"name": "avatarmake-x", "creationTimestamp": "2026-11-27T20:00:00Z"}
    said = "frames: to do\nframes: film.mp4: cannot be read"
    items = [
        manifest | {"status": {"completedIndexes": "0", "failedIndexes": "1,2"}},
        _pod(1, frames={"terminated": {"exitCode": 3, "message": said}}),
        _pod(2, frames={"terminated": {"exitCode": 0}}, track={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        _pod(3, frames={"terminated": {"exitCode": 0}}, track={"running": {}}),
    ]
    (cluster / "items").write_text(json.dumps({"items": items}))
    found = kubectl.queue(work)
    assert found["bad", "frames"] == (State.FAILED, "frames: film.mp4: cannot be read")
    assert found["lost", "track"] == (State.BROKEN, "OOMKilled")
    assert found["running", "track"][0] == State.RUNNING and found["running", "train"][0] == State.QUEUED
    assert found["waiting", "frames"][0] == State.QUEUED
    assert not [place for place in found if place[0] == "done"]
    rows = look(lines, TARGETS, volume.data, {}, found)
    todo = [row.line.id for chain in chains(rows, work, 10) for row in chain.rows]
    assert todo == ["done", "lost"]  # of the first no receipt speaks, whatever the cluster says


def _pod(index: int, **containers: dict) -> dict:
    """As kubectl tells of it: container -> state."""
    marks = {kubectl.JOB: "avatarmake-x", kubectl.INDEX: str(index)}
    status = {"initContainerStatuses": [{"name": name, "state": state} for name, state in containers.items()]}
    metadata = {"labels": marks, "creationTimestamp": "2026-11-27T20:01:00Z"}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "node7"}, "status": status}


def test_without_a_cluster_the_manifests_are_there(made, volume, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    work = Work(volume.data, {}, cores=2, at_once=0)
    rows = look([volume.line("a")], TARGETS, volume.data, {}, kubectl.queue(work))
    said = kubectl.submit(chains(rows, work, 10), work, CLUSTER)
    assert "no cluster answers here" in said
    check(yaml.safe_load((volume.data / ".batch" / "job-1.yaml").read_text()), "V1Job", "job")
    assert labels(work).keys() == {"app.kubernetes.io/name", "avatarmake/volume"}


def test_words_survive_the_shell():
    words = ["o'hara", '--video=/a film, $(of) "her".mp4', "--labels=;;"]
    script = scripts.cases("N", [["first"], words], exports=["A=1", "A=it's"]) + '\nprintf "%s\\n" "$A" "$@"'
    done = subprocess.run(["sh", "-c", script], env={"N": "1"}, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["it's", *words]
    assert scripts.subjects(script)[0] == "first"


def test_a_subject_of_the_volume_is_found_in_the_script(volume):
    names = ["a", "b.c", "d-e_f"]
    assert scripts.subjects(scripts.cases("N", [[Subject(volume.data, n).name, "--x"] for n in names])) == dict(
        enumerate(names)
    )


def test_images_are_of_the_kind_that_is_asked_for(monkeypatch):
    """`train` for nodes with a GPU; a stage without a choice has one image."""
    registry, nodes = Cluster("avatars", "registry:5000/me"), Cluster("avatars")
    monkeypatch.delenv("TORCH", raising=False)
    plain = registry.image(load("train"))
    monkeypatch.setenv("TORCH", "cuda13")
    image = registry.image(load("train"))
    assert image.startswith("registry:5000/me/train-cuda13:") and image.split(":")[-1] != plain.split(":")[-1]
    assert nodes.image(load("train")) == "avatarmake/train:cuda13"
    assert nodes.image(load("convert")) == "avatarmake/convert:latest"
