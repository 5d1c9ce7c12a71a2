"""Rootless Podman, as a user of its own: PODMAN_USER names one (`useradd -m`). Root's Podman is another matter."""

import json
import os
import pwd
import shutil
import site
import subprocess
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.engine import distribution, docker

USER = os.environ.get("PODMAN_USER", "")
PYTHON = "/usr/bin/python3.11"  # root's own may lie where nobody else may look
KIND = "avatarmake.test/gpu"
pytestmark = [
    pytest.mark.skipif(not USER, reason="no PODMAN_USER"),
    pytest.mark.skipif(os.getuid() != 0, reason="becoming another user takes root"),
    pytest.mark.skipif(shutil.which("podman") is None, reason="no podman"),
    pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"no {PYTHON}"),
    pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of that user's, with Podman's storage in it."""
    made = Path("/var/tmp") / f"avatarmake-podman-{os.getpid()}"
    made.mkdir(mode=0o700)
    (made / "run").mkdir(mode=0o700)
    for path in (made, made / "run"):
        shutil.chown(path, USER)
    yield made
    as_user(made, "podman", "unshare", "rm", "-rf", str(made / "storage"))
    shutil.rmtree(made)


def as_user(place: Path, *words: str) -> subprocess.CompletedProcess:
    config = place / "containers.conf"
    config.write_text('[engine]\nruntime = "runc"\n')  # crun refuses hosts with cgroups of both versions
    (place / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{place}/storage"\nrunroot = "{place}/run/containers"\n'
    )
    told = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": pwd.getpwnam(USER).pw_dir,
        "XDG_RUNTIME_DIR": str(place / "run"),
        "CONTAINERS_CONF": str(config),
        "CONTAINERS_STORAGE_CONF": str(place / "storage.conf"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *site.getsitepackages()]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ENGINE": "podman",
    }
    user = pwd.getpwnam(USER)
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return subprocess.run(words, env=told, cwd="/", capture_output=True, text=True, **identity)


@pytest.fixture(scope="module")
def image(place):
    """convert's image, got as `make save` writes it."""
    distribution.save(["convert"], place / "images")
    for path in (place / "images", *(place / "images").iterdir()):
        shutil.chown(path, USER)
    done = as_user(place, "podman", "load", "--quiet", "--input", str(place / "images" / "convert.tar"))
    if done.returncode:
        pytest.skip(f"Podman cannot run here as {USER}: {done.stderr.strip().splitlines()[-1]}")
    return docker.tag("convert")


@pytest.fixture
def cdi():
    """A device that CDI describes, of a kind that nobody has: a variable is all that it brings."""
    path = Path("/etc/cdi/avatarmake-test.json")
    path.parent.mkdir(exist_ok=True)
    edits = {"env": ["AVATARMAKE_CDI=all"]}
    device = {"name": "all", "containerEdits": edits}
    path.write_text(json.dumps({"cdiVersion": "0.3.0", "kind": KIND, "devices": [device]}))
    yield KIND
    path.unlink()


def test_files_are_the_caller_s_and_devices_come_by_their_cdi_names(place, image, cdi):
    data = place / "data"
    data.mkdir()
    shutil.chown(data, USER)
    done = as_user(place, PYTHON, str(ROOT / "tests/images/inside_podman.py"), image, str(data), cdi)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    uid = pwd.getpwnam(USER).pw_uid
    assert said["uid"] == uid and said["owner"] == uid
    assert said["capabilities"] == 0 and said["no_new_privileges"] and said["root"] == "read-only"
    assert said["interfaces"] == ["lo"]
    assert said["cdi"] == "all"


def test_a_stage_s_words_and_exit_code_come_through(place, image):
    data = place / "nothing"
    data.mkdir()
    shutil.chown(data, USER)
    done = as_user(place, PYTHON, "-m", "avatarmake", "run", "convert", "roman", f"--data={data}")
    assert done.returncode == 3 and f"{data}/roman/tracking" in done.stdout + done.stderr, done.stderr[-3000:]
