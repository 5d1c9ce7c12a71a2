"""A patched package: its sdist from an index on loopback, by its hash and without running it; its wheel by the byte."""

import functools
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from avatarmake import patches, registry
from avatarmake.environments import patched, wheels
from avatarmake.errors import Exit, StageError
from avatarmake.patches import sdist as archives
from avatarmake.patches import unpacking
from tests.patches.conftest import write

RULES = """
id: no-print
language: Python
files: [tiny/__init__.py]
rule: {pattern: print($X)}
fix: said = $X
metadata: {why: quiet, expect: 1, drop-when: never}
"""


@pytest.fixture
def sdist(tmp_path) -> bytes:
    """tiny 0.1 as an sdist; its setup.py leaves a trace when it is run."""
    files = {
        "setup.py": f"open({str(tmp_path / 'was-run')!r}, 'w')\nraise SystemExit('was run')\n",
        "PKG-INFO": "Metadata-Version: 1.1\nName: tiny\nVersion: 0.1\n",
        "tiny/__init__.py": "print('hello')\n",
        "tiny/more.py": "x = 1\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"tiny-0.1/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.fixture
def index(place, sdist, tmp_path, monkeypatch):
    """pip's settings name an index on loopback that has the sdist, and patches `tiny` are for it."""
    shelf = tmp_path / "index" / "simple" / "tiny"
    shelf.mkdir(parents=True)
    (shelf / "tiny-0.1.tar.gz").write_bytes(sdist)
    (shelf / "index.html").write_text('<a href="tiny-0.1.tar.gz">tiny-0.1.tar.gz</a>')
    said = f"""
        licence = "MIT"
        package = "tiny"
        version = "0.1"
        sha256 = "{hashlib.sha256(sdist).hexdigest()}"
        release = "0.1+avatarmake.1"
        requires = ["numpy"]
    """
    write(place / "patches" / "tiny", {"UPSTREAM": said, "series": "0001-quiet.yml\n", "0001-quiet.yml": RULES})
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / "index")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setattr(registry, "settings", lambda: {"index-url": [url]})
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    yield shelf
    server.shutdown()
    server.server_close()


def test_the_wheel_is_made_of_the_patched_sources_and_setup_py_is_not_run(index, tmp_path):
    made = patched.wheel("tiny")
    assert made.name == "tiny-0.1+avatarmake.1-py3-none-any.whl"
    with zipfile.ZipFile(made) as wheel:
        assert wheel.read("tiny/__init__.py") == b"said = 'hello'\n"
        assert b"Requires-Dist: numpy\n" in wheel.read("tiny-0.1+avatarmake.1.dist-info/METADATA")
    assert not (tmp_path / "was-run").exists()


def test_the_wheel_s_bytes_are_the_same_on_every_host(index):
    digest = hashlib.sha256(patched.wheel("tiny").read_bytes()).hexdigest()
    assert digest == "4ed9ee4d4aaa7219ddeb05a8ae0ea3620d301b41ca0fb01a27097c15144cb827"


def test_uv_installs_it_by_the_hash_that_a_lock_pins(index, tmp_path):
    digest = hashlib.sha256(patched.wheel("tiny").read_bytes()).hexdigest()
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"tiny==0.1+avatarmake.1 \\\n    --hash=sha256:{digest}\n")
    base = getattr(sys, "_base_executable", sys.executable)
    python = tmp_path / "venv" / "bin" / "python"
    registry.uv("venv", "--quiet", f"--python={base}", str(tmp_path / "venv"))
    flags = ("--quiet", "--no-deps", "--require-hashes", f"--python={python}", *patched.links(lock.read_text()))
    registry.uv("pip", "install", *flags, "--no-index", "-r", str(lock))
    done = subprocess.run([python, "-c", "import tiny; print(tiny.said)"], capture_output=True, text=True)
    assert done.stdout == "hello\n"


def test_only_what_a_file_pins_is_made(index):
    assert patched.links("numpy==1.26.4\n# tiny==0.1+avatarmake.1\ntiny==0.1\n") == []
    assert not patched.WHEELS.exists()
    assert patched.links("numpy==1.26.4\ntiny==0.1+avatarmake.1\n") == [f"--find-links={patched.WHEELS}"]


def test_a_lock_that_pins_other_bytes_is_refused(index):
    lock = "tiny==0.1+avatarmake.1 \\\n    --hash=sha256:" + "0" * 64 + "\nnumpy==1.26.4\n"
    with pytest.raises(StageError, match="Raise its release") as refused:
        patched.links(lock)
    assert refused.value.exit == Exit.INTERNAL


def test_images_get_the_wheel_of_the_present_patches(index, place, monkeypatch):
    monkeypatch.setattr(wheels, "WHEELS", place / ".venv" / "wheels")
    stale = wheels.WHEELS / "tiny-0.1+avatarmake.1-py3-none-any.whl"
    stale.parent.mkdir(parents=True)
    stale.write_text("of older patches")
    lock = place / "requirements.lock"
    lock.write_text("tiny==0.1+avatarmake.1\n")
    assert wheels.wheels(lock) == [stale]
    assert stale.read_bytes() == patched.wheel("tiny").read_bytes()


def test_another_file_than_the_patches_are_for(index):
    (index / "tiny-0.1.tar.gz").write_bytes(b"something else")
    with pytest.raises(StageError, match="is another file than the patches are for") as refused:
        patches.prepare("tiny")
    assert refused.value.exit == Exit.ENVIRONMENT
    assert not list(archives.SDISTS.glob("*")) and not list(Path(registry.HOME / "patched").glob("*"))


def test_an_index_without_it_is_uv_s_to_say(index):
    for path in index.iterdir():
        path.unlink()
    with pytest.raises(StageError, match="tiny") as refused:
        patches.prepare("tiny")
    assert refused.value.exit == Exit.ENVIRONMENT


def test_a_fetched_sdist_is_not_fetched_again(index, place):
    patches.prepare("tiny")
    os.unlink(index / "tiny-0.1.tar.gz")
    assert patches.prepare("tiny").is_dir()
    assert patched.wheel("tiny").exists()


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside"])
def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with tarfile.open(tmp_path / "bad.tar") as tar, pytest.raises(StageError, match="elsewhere"):
        unpacking.unpack(tar, tmp_path / "into")


def test_links_of_an_archive_are_left_out(tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("file"))
    with tarfile.open(tmp_path / "odd.tar") as tar:
        unpacking.unpack(tar, tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["file"]
