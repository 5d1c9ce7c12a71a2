"""Which PyTorch a stage gets, how a container gets the GPU, and what a host without one is told. No GPU is needed."""

import json

import pytest

from avatarmake import engine, gpu
from avatarmake.contract import kinds
from avatarmake.contract.stage import load
from avatarmake.engine import container, devices, docker, kind, request
from avatarmake.environments import platforms
from avatarmake.errors import Exit, StageError
from avatarmake.gpu import Card, Gpus


def cards(*capabilities: tuple[int, int]) -> tuple[Card, ...]:
    return tuple(Card(i, "a GPU", f"GPU-{i}", capability) for i, capability in enumerate(capabilities))


def gpus(driver: str, *capabilities: tuple[int, int], **more) -> Gpus:
    return Gpus(cards(*capabilities or [(9, 0)]), driver, "", True, False, **more)


NONE = Gpus()
HIDDEN = Gpus((), "580.65.06", "CUDA_VISIBLE_DEVICES='' hides the GPU", True, False)


@pytest.fixture(autouse=True)
def host(monkeypatch):
    """A host for which nothing is set; returns what gives it GPUs and a Docker daemon that says `info`."""
    for name in ("TORCH", "ENGINE", kinds.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platforms, "here", lambda: ("linux", "x86_64"))
    monkeypatch.setattr(docker, "trouble", lambda: "no daemon runs")

    def has(found: Gpus, info: dict | None = None, images: tuple[str, ...] = ()) -> None:
        monkeypatch.setattr(gpu, "here", lambda: found)
        if info is not None:
            monkeypatch.setattr(docker, "trouble", lambda: None)
            monkeypatch.setattr(docker, "info", lambda: info)
            monkeypatch.setattr(docker, "image", lambda stage, kind="cpu": docker.tag(stage, kind) in images or None)

    has(NONE)
    return has


@pytest.mark.parametrize(
    ("found", "name", "said"),
    [
        (gpus("580.65.06"), "cuda13", "a GPU, driver 580.65.06"),
        (gpus("595.10"), "cuda13", ""),
        (gpus("570.124.06"), "cuda12", ""),
        (gpus("525.60.13"), "cuda12", ""),
        (gpus("515.43.04"), "cpu", "driver 515.43.04, which is too old: R525 or newer would do, R580 is best"),
        (gpus("580.65.06", (7, 0)), "cuda12", ""),
        (gpus("580.65.06", (9, 0), (7, 0)), "cuda12", ""),  # whichever card it will be
        (gpus("580.65.06", (6, 1)), "cpu", "compute capability 7.0 or higher would do"),
        (NONE, "cpu", "no NVIDIA driver; CUDA needs R525 or newer"),
        (HIDDEN, "cpu", "CUDA_VISIBLE_DEVICES='' hides the GPU"),
    ],
)
def test_the_driver_decides(found, name, said):
    chosen = kind.for_gpus(found)
    assert chosen.name == name and said in chosen.why and "\n" not in chosen.why


def test_other_machines_have_no_lock_for_cuda():
    chosen = kind.for_gpus(gpus("580.65.06"), ("linux", "aarch64"))
    assert chosen.name == "cpu" and "locked for linux on x86_64 only" in chosen.why


def test_torch_and_device_overrule_the_driver(host, monkeypatch):
    host(gpus("580.65.06"))
    assert kind.choose("train").name == "cuda13"
    assert kind.choose("train", "cpu").name == "cpu"
    monkeypatch.setenv("TORCH", "cuda12")
    assert kind.choose("train", "cpu") == ("cuda12", "TORCH=cuda12")
    monkeypatch.setenv("TORCH", "cuda11")
    with pytest.raises(StageError, match="TORCH is one of cpu, cuda12, cuda13") as raised:
        kind.choose("train")
    assert raised.value.exit == Exit.USAGE


def test_a_stage_without_locks_for_cuda_has_no_choice(host, monkeypatch):
    host(gpus("580.65.06"))
    monkeypatch.setenv("TORCH", "cuda13")
    assert kind.choose("mask") == kind.NO_CHOICE and not str(kind.NO_CHOICE)


def test_cuda_that_cannot_be_had_is_one_line_before_anything_is_made(host):
    host(HIDDEN)
    with pytest.raises(StageError, match="DEVICE=cuda needs a GPU: CUDA_VISIBLE_DEVICES='' hides") as raised:
        kind.choose("train", "cuda")
    assert raised.value.exit == Exit.ENVIRONMENT and "DEVICE=cpu" in raised.value.next


# --- the daemon ------------------------------------------------------------------------------------------------------

RUNTIME = {"Runtimes": {"runc": {}, "nvidia": {}}}
LISTED = {"Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}
PLAIN = {"Runtimes": {"runc": {}}, "CDISpecDirs": [], "DiscoveredDevices": None}
ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}


@pytest.mark.parametrize(
    ("info", "way"),
    [
        (PLAIN, ""),
        ({}, ""),
        (RUNTIME, "runtime"),
        (LISTED, "cdi"),
        (LISTED | RUNTIME, "runtime"),
        (LISTED | RUNTIME | ROOTLESS, "cdi"),  # without root the runtime has to be told to leave cgroups alone
        (RUNTIME | ROOTLESS, "runtime"),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "amd.com/gpu=all"}]}, ""),
    ],
)
def test_ways_to_a_gpu(info, way):
    assert devices.way(info) == way


@pytest.mark.parametrize(
    ("name", "text", "way"),
    [
        ("nvidia.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n", "cdi"),
        ("nvidia.json", json.dumps({"kind": "nvidia.com/gpu"}), "cdi"),
        ("amd.yaml", "kind: amd.com/gpu\n", ""),
        ("broken.yaml", "kind: [", ""),
        ("broken.json", "{", ""),
        ("list.yaml", "- kind\n", ""),
        ("notes.txt", "kind: nvidia.com/gpu\n", ""),
    ],
)
def test_a_daemon_that_says_only_where_it_looks_for_specifications(tmp_path, name, text, way):
    (tmp_path / name).write_text(text)
    assert devices.way({"CDISpecDirs": [str(tmp_path / "none"), str(tmp_path)]}) == way
    assert devices.way({"CDISpecDirs": []}) == "", "switched off"


def test_what_a_container_asks_for():
    every, some = gpus("580.65.06", (9, 0), (9, 0)), gpus("580.65.06", (9, 0), (9, 0), all=False)
    (asked,) = devices.requests(RUNTIME, every)
    assert asked["Count"] == -1 and asked["Capabilities"] == [["gpu", "compute", "utility"]]
    (asked,) = devices.requests(RUNTIME, some)
    assert asked["DeviceIDs"] == ["GPU-0", "GPU-1"] and not asked["Count"]
    (asked,) = devices.requests(LISTED, every)
    assert (asked["Driver"], asked["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=all"])
    (asked,) = devices.requests(LISTED, some)
    assert asked["DeviceIDs"] == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert devices.requests(PLAIN, every) == [] == devices.requests(RUNTIME, NONE)


def test_only_a_container_for_cuda_gets_the_gpu(host, tmp_path):
    host(gpus("580.65.06"))
    asked = request.parse(load("train"), ["roman", f"--data={tmp_path}"])
    for chosen, given in ((kind.Kind("cuda13", "a GPU"), 1), (kind.NO_CHOICE, 0)):
        settings = container.settings(asked, {}, RUNTIME, chosen)
        assert len(settings["device_requests"]) == given
        assert settings["environment"][kinds.VARIABLE] == chosen.name


# --- the engine ------------------------------------------------------------------------------------------------------


def test_docker_is_taken_with_the_image_of_the_kind(host):
    host(gpus("580.65.06"), LISTED, images=("avatarmake/train:latest",))
    chosen = engine.choose("train")
    assert (chosen.engine, chosen.kind.name) == ("local", "cuda13") and "no image of train:cuda13" in chosen.why
    host(gpus("580.65.06"), LISTED, images=("avatarmake/train:cuda13",))
    assert engine.choose("train")[::2] == ("docker", kind.Kind("cuda13", "a GPU, driver 580.65.06"))


def test_auto_does_not_lose_the_gpu_to_a_daemon_that_cannot_give_it(host):
    host(gpus("580.65.06"), PLAIN, images=("avatarmake/train:latest", "avatarmake/mask:latest"))
    for device in ("auto", "cuda"):
        chosen = engine.choose("train", device)
        assert (chosen.engine, chosen.kind.name) == ("local", "cuda13") and "Docker has no way to it" in chosen.why
    assert engine.choose("train", "cpu").engine == "docker" == engine.choose("mask").engine


def test_docker_asked_for_says_why_it_is_the_cpu(host, monkeypatch):
    host(gpus("580.65.06"), PLAIN)
    monkeypatch.setenv("ENGINE", "docker")
    chosen = engine.choose("train")
    assert chosen.kind.name == "cpu" and "nvidia-ctk" in chosen.kind.why
    with pytest.raises(StageError, match="Docker has no way to it"):
        engine.choose("train", "cuda")


TOLD = ("name", "argv", "variables", "kind")


def test_the_stage_and_its_receipt_are_told(host, tmp_path, monkeypatch, capsys):
    from avatarmake.engine import local

    told = {}
    monkeypatch.setenv("ENGINE", "local")
    monkeypatch.setattr(local, "become", lambda *words: told.update(zip(TOLD, words, strict=True)))
    monkeypatch.setattr(request.Request, "state", lambda self: (False, ""))
    for found, name in ((gpus("580.65.06"), "cuda13"), (HIDDEN, "cpu")):
        host(found)
        engine.run("train", ["roman", f"--data={tmp_path}"])
        line, environment = capsys.readouterr().out, json.loads(told["variables"]["AVATARMAKE_ENVIRONMENT"])
        assert told["kind"] == told["variables"][kinds.VARIABLE] == environment["kind"] == name
        assert str(found) in line and str(found) == environment["kind_why"] and len(line.splitlines()) == 1
        assert told["variables"]["AVATARMAKE_NO_GPU"] == (HIDDEN.trouble if name == "cpu" else "")
