"""What the host tells about itself, from files like those that Linux and Debian have."""

from pathlib import Path

import pytest

from avatarmake import host, registry
from avatarmake.contract import upstream
from avatarmake.contract.stage import load
from avatarmake.engine import base, container, request


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("count, words", [(12, "12 B"), (1234, "1.2 kB"), (124e6, "124 MB"), (1.24e9, "1.2 GB")])
def test_sizes_in_words(count, words):
    assert host.size(count) == words


def test_the_mirror_is_apt_s(tmp_path):
    write(
        tmp_path / "sources.list", "# deb http://old/ bookworm main\ndeb [arch=amd64] http://one/debian bookworm main\n"
    )
    assert base.mirror(tmp_path) == ["http://one/debian"]
    write(tmp_path / "sources.list", "deb http://one/ubuntu noble main\n")
    write(
        tmp_path / "sources.list.d/debian.sources",
        "Types: deb\nURIs: http://two/debian\nSuites: bookworm bookworm-updates\n",
    )
    assert base.mirror(tmp_path) == ["http://two/debian"]
    assert base.mirror(tmp_path / "none") == []


def test_pip_s_settings_become_uv_s(monkeypatch):
    places = {
        "find-links": ["wheels"],
        "index-url": ["https://one"],
        "extra-index-url": ["file:///two", "https://three"],
    }
    monkeypatch.setattr(registry, "settings", lambda: places)
    flags = registry.uv_flags()
    assert flags[:3] == ["--find-links=wheels", "--default-index=https://one", "--index=https://three"]


def daemon(*options: str, runtimes: tuple[str, ...] = ("runc",)) -> dict:
    """As much of what a daemon says of itself as a container's settings are made from."""
    return {"SecurityOptions": list(options), "Runtimes": dict.fromkeys(runtimes)}


def test_what_a_container_is_held_to(monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 1234)
    monkeypatch.setattr("os.getgid", lambda: 5678)
    held = container.confinement(daemon())
    assert held["user"] == "1234:5678"
    assert held["network_mode"] == "none" and held["read_only"] and held["cap_drop"] == ["ALL"]
    assert held["security_opt"] == ["no-new-privileges"]
    assert 0 < held["mem_limit"] < host.memory_limit() and held["memswap_limit"] == held["mem_limit"]
    assert container.confinement(daemon("name=rootless"))["user"] == "0:0"


def test_inputs_are_mounted_read_only_and_renamed(tmp_path):
    video = tmp_path / "elsewhere" / "my film.mp4"
    write(video, "film")
    asked = request.parse(load("frames"), ["roman", f"--data={tmp_path / 'data'}", f"--video={video}"])
    settings = container.settings(asked, {"engine": "docker"}, daemon())
    assert "--video=/input/video/my film.mp4" in settings["command"] and "--data=/data" in settings["command"]
    mounts = {m["Target"]: m for m in settings["mounts"]}
    assert mounts["/input/video/my film.mp4"]["ReadOnly"] and mounts["/input/video/my film.mp4"]["Source"] == str(video)
    assert not mounts["/data"]["ReadOnly"]
    assert settings["environment"]["NUMBA_CACHE_DIR"].startswith("/data/.cache/docker/frames-")


def test_a_folder_of_images_is_mounted_and_so_is_that_of_numbered_ones(tmp_path):
    images = tmp_path / "elsewhere" / "taken"
    write(images / "00001.png", "image")
    for given, inside in ((images, "/input/video/taken"), (images / "%05d.png", "/input/video/taken/%05d.png")):
        asked = request.parse(load("frames"), ["roman", f"--data={tmp_path / 'data'}", f"--video={given}", "--fps=25"])
        settings = container.settings(asked, {}, daemon())
        mount = next(m for m in settings["mounts"] if m["Target"].startswith("/input"))
        assert (mount["Source"], mount["Target"], mount["ReadOnly"]) == (str(images), "/input/video/taken", True)
        assert f"--video={inside}" in settings["command"]


def test_a_subject_s_own_video_is_mounted_by_its_whole_path(tmp_path, monkeypatch):
    """DATA=data is relative; Docker takes absolute paths only."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "data/roman/video.mp4", "film")
    asked = request.parse(load("frames"), ["roman", "--data=data"])
    mounts = container.settings(asked, {}, daemon())["mounts"]
    assert [m["Source"] for m in mounts if m["Target"].startswith("/input")] == [str(tmp_path / "data/roman/video.mp4")]
    assert all(Path(m["Source"]).is_absolute() for m in mounts)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("frames: /data/roman/frames: is a link", "frames: {data}/roman/frames: is a link"),
        ("'/data': is full. DATA=/data", "'{data}': is full. DATA={data}"),
        ("/input/video/my film.mp4: no face. Give another", "{film}: no face. Give another"),
        ("/input/video/my film.mp4.part", "/input/video/my film.mp4.part"),
        ("/assets/flame2020/generic_model.pkl: is broken", "{assets}/flame2020/generic_model.pkl: is broken"),
        ("https://there/data/x /usr/data/x /database ./data/x", "https://there/data/x /usr/data/x /database ./data/x"),
    ],
)
def test_what_a_container_says_has_the_user_s_paths(tmp_path, said, told, assets):
    film = tmp_path / "elsewhere" / "my film.mp4"
    write(film, "film")
    asked = request.parse(load("frames"), ["roman", f"--data={tmp_path / 'data'}", f"--video={film}"])
    told = told.format(data=tmp_path / "data", film=film, assets=assets)
    assert container.as_the_user_knows(container.places(asked), said) == told


def test_an_upstream_has_the_user_s_path_too(tmp_path, monkeypatch):
    monkeypatch.setenv("AVATARMAKE_UPSTREAM", str(tmp_path / "patched"))
    write(tmp_path / "patched" / upstream.STAMP, "{}")
    asked = request.parse(load("flame_head_tracker"), ["roman", f"--data={tmp_path / 'data'}"])
    assert container.as_the_user_knows(container.places(asked), "in /upstream/a.py") == f"in {tmp_path}/patched/a.py"


def test_assets_that_are_not_there_are_told_where_they_go(tmp_path, monkeypatch):
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "weights"))
    asked = request.parse(load("track"), ["roman", f"--data={tmp_path / 'data'}"])
    assert container.as_the_user_knows(container.places(asked), "/assets/x") == str(tmp_path / "weights" / "x")
