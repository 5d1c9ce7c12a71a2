"""What is known of images without an engine: their description, names in a registry, other engines' words."""

import csv
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import pytest

from avatarmake.contract.stage import load
from avatarmake.engine import (
    apptainer,
    canonical,
    container,
    context,
    distribution,
    docker,
    image_pins,
    podman,
    request,
)
from avatarmake.errors import StageError

MADE = {
    "Id": "sha256:1",
    "Created": "2026-11-27T21:00:00Z",
    "Container": "f00",
    "ContainerConfig": {"Hostname": "f00"},
    "DockerVersion": "20.10",
    "Architecture": "amd64",
    "Os": "linux",
    "Config": {
        "Hostname": "f00",
        "User": "65534:65534",
        "Env": ["PATH=/opt/venv/bin"],
        "Entrypoint": ["python"],
        "Cmd": None,
        "Labels": {"org.opencontainers.image.created": "2026-11-22T10:00:00+02:00", "stages.avatarmake.inputs": "1"},
    },
    "RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]},
}


def test_an_image_s_description_has_nothing_of_its_build():
    one = canonical.described(MADE)
    other = canonical.described(MADE | {"Created": "2030-01-01T00:00:00Z", "Container": "b00", "DockerVersion": "30"})
    assert one == other and "f00" not in json.dumps(one)
    assert one["created"] == "2026-11-22T08:00:00Z" and one["rootfs"]["diff_ids"] == ["sha256:a", "sha256:b"]
    assert one["config"]["User"] == "65534:65534" and one["config"]["Labels"] == MADE["Config"]["Labels"]
    layers = [step for step in one["history"] if not step.get("empty_layer")]
    assert len(layers) == 2
    unknown = MADE | {"Config": MADE["Config"] | {"Labels": {"org.opencontainers.image.created": "unknown"}}}
    assert canonical.described(unknown)["created"] == canonical.EPOCH


def test_pins_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(image_pins, "LOCK", tmp_path / "images.lock")
    pins = {s: image_pins.Pin(f"sha256:{s}", f"host:5000/me/{s}", "sha256:d", "s") for s in ("train", "convert")}
    image_pins.write({"train": pins["train"]})
    image_pins.write({"convert": pins["convert"]})
    assert image_pins.read() == pins
    assert image_pins.named("train", "sha256:train") == {"digest": "host:5000/me/train@sha256:d"}
    (tmp_path / "images.lock").write_text("[train]\nimage = 5\n")
    with pytest.raises(StageError, match="is damaged"):
        image_pins.read()


@pytest.mark.parametrize("registry", ["", "https://host/me", "host/me/"])
def test_what_is_no_registry(registry):
    with pytest.raises(StageError, match="Type: make push REGISTRY=host:5000/me"):
        distribution._checked(registry)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A stage with an input whose name is anything but plain."""
    film = tmp_path / 'a "film", of mine:ro.mp4'
    film.write_bytes(b"film")
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "nothing"))
    return request.parse(load("frames"), ["roman", f"--data={tmp_path}/data", f"--video={film}"])


# --- Podman ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def described(asked, monkeypatch):
    """What Docker's client makes of the description, as Podman's gets it."""
    made = []

    class Api(podman.Api):
        def create_container_from_config(self, config, *_):
            made.append(config)
            return {"Id": "1"}

        def inspect_container(self, _):
            return {"Id": "1"}

    client = docker.docker.DockerClient.__new__(docker.docker.DockerClient)
    client.api = Api(base_url="unix:///nowhere.sock", version="1.41")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    settings = container.settings(asked, {"engine": "podman"}, {})
    settings["device_requests"] = [docker.docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]
    client.containers.create("sha256:image", **settings)
    return podman.spec(made[0]), settings


def test_podman_is_told_the_same_in_its_own_words(described, asked):
    spec, settings = described
    assert spec["image"] == "sha256:image" and spec["command"] == settings["command"]
    assert spec["env"] == settings["environment"] and spec["labels"] == settings["labels"]
    assert spec["user"].startswith("1000:") and spec["userns"] == {"nsmode": "keep-id"}
    assert spec["netns"] == {"nsmode": "none"} and spec["read_only_filesystem"] and spec["no_new_privileges"]
    assert spec["cap_drop"] == ["ALL"] and spec["stop_signal"] == 2
    mounts = {mount["destination"]: (mount.get("source"), mount["options"]) for mount in spec["mounts"]}
    assert mounts["/data"] == (str(asked.subject.data.absolute()), ["rbind", "rw"])
    assert mounts[f"/input/video/{asked.config.video.name}"] == (str(asked.config.video), ["rbind", "ro"])
    assert "size=1g" in mounts["/tmp"][1]
    assert spec["resource_limits"]["pids"] == {"limit": 2048}
    assert spec["devices"] == [{"path": "nvidia.com/gpu=all"}]


@pytest.mark.parametrize(
    ("asked_for", "names"),
    [
        ({"Count": 2}, ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
        ({"DeviceIDs": ["1", "GPU-5f"]}, ["nvidia.com/gpu=1", "nvidia.com/gpu=GPU-5f"]),
        ({}, []),
    ],
)
def test_gpus_by_their_cdi_names(asked_for, names):
    assert podman.cdi_names(asked_for) == names


def test_gpus_are_there_where_cdi_describes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(podman, "CDI", (tmp_path,))
    assert not podman.has_gpus()
    (tmp_path / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n")
    assert podman.has_gpus()


# --- Apptainer -------------------------------------------------------------------------------------------------------


def test_apptainer_is_told_the_same_in_its_own_words(asked, tmp_path):
    """By its manual: it is not in Debian 12, so that no run of it stands behind this."""
    settings = container.settings(asked, {}, {}) | {"device_requests": ["all"]}
    words = apptainer.argv("frames", settings, Path("/images/frames.sif"), Path("/scratch"))
    assert words[:3] == ["apptainer", "--quiet", "exec"]
    image = words.index("/images/frames.sif")
    assert words[image + 1 :] == ["/opt/venv/bin/python", "-m", "stages.frames", *settings["command"]]
    held = words[3:image]
    for word in ("--containall", "--no-home", "--no-privs", "--net", "--network=none", "--nv", "--workdir=/scratch"):
        assert word in held
    mounts = [next(csv.reader([word])) for name, word in zip(held, held[1:], strict=False) if name == "--mount"]
    film = asked.config.video
    assert ["type=bind", f"src={film}", f"dst=/input/video/{film.name}", "ro"] in mounts
    assert ["type=bind", f"src={tmp_path}/data", "dst=/data"] in mounts
    assert "--nv" not in apptainer.argv("frames", settings | {"device_requests": []}, Path("/i"), Path("/s"))


def saved(folder: Path, stage: str, base: str = "sha256:base") -> Path:
    """What `make save` writes, without layers."""
    labels = {"stages.avatarmake.base": base, "stages.avatarmake.inputs": context.digest(stage, "sha256:base")}
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{stage}.tar", "w") as tar:
        manifest = [{"Config": "abc.json", "RepoTags": [docker.tag(stage)], "Layers": []}]
        for name, content in (("manifest.json", manifest), ("abc.json", {"config": {"Labels": labels}})):
            entry, text = tarfile.TarInfo(name), json.dumps(content).encode()
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    digest = distribution.digest_path(folder / f"{stage}.tar")
    (folder / distribution.SUMS).write_text(f"{digest}  {stage}.tar\n")
    return folder


STANDIN = """#!{python}
import json, os, sys
if sys.argv[2] == "build":
    open(sys.argv[4], "w").write(sys.argv[5])
else:
    told = {{name: value for name, value in os.environ.items() if name.startswith("APPTAINERENV_")}}
    print(json.dumps(told), flush=True)
    print("/data/roman is said", file=sys.stderr)
    sys.exit(3)
"""


@pytest.fixture
def standin(tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "apptainer"
    tool.parent.mkdir()
    tool.write_text(STANDIN.format(python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("IMAGES", str(saved(tmp_path / "images", "frames")))


def test_a_run_by_apptainer(asked, standin, tmp_path, capsys):
    """Its variables, exit code, and what it says with the user's paths."""
    assert apptainer.run(asked, {"engine": "apptainer"}) == 3
    out, err = capsys.readouterr()
    told = json.loads(out)
    environment = json.loads(told["APPTAINERENV_AVATARMAKE_ENVIRONMENT"])
    assert environment == {"image": "sha256:abc", "engine": "apptainer"}
    assert f"{tmp_path}/data/roman is said" in err
    (image,) = (tmp_path / "images").glob("frames-*.sif")
    assert image.read_text() == f"docker-archive:{tmp_path}/images/frames.tar"
    apptainer.run(asked, {})
    assert "made from" not in capsys.readouterr().err


def test_images_that_apptainer_cannot_run(asked, standin, tmp_path, monkeypatch):
    saved(tmp_path / "images", "frames", base="sha256:other")
    with pytest.raises(StageError, match="is of other sources than this checkout's"):
        apptainer.prepared("frames")
    with pytest.raises(StageError, match="there is no image of this stage.*make save"):
        apptainer.prepared("track")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StageError, match="apptainer is not there. ENGINE=local"):
        apptainer.run(asked, {})


def test_images_of_a_kind_have_names_of_their_own(tmp_path, monkeypatch):
    """What is saved for GPU hosts stands beside what is for the CPU; a stage without a choice has one image."""
    built = []

    class Image:
        short_id = "sha256:1"

        def save(self, named):
            yield named.encode()

    def build(stage, force=False, kind="cpu"):
        built.append((stage, kind))
        return Image(), True

    monkeypatch.setattr(docker, "build", build)
    for torch in ("cuda13", "cpu"):
        monkeypatch.setenv("TORCH", torch)
        distribution.save(["train", "convert"], tmp_path)
    assert built == [("train", "cuda13"), ("convert", "cpu"), ("train", "cpu"), ("convert", "cpu")]
    assert set(distribution.sums(tmp_path)) == {"train-cuda13.tar", "train.tar", "convert.tar"}
    assert (tmp_path / "train-cuda13.tar").read_text() == "avatarmake/train:cuda13"
    assert distribution.tag_of("train", "cuda13") != distribution.tag_of("train", "cpu")
