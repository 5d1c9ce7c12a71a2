"""A stage's virtual environment, with a lock of one tiny package made here: no network."""

import hashlib
import subprocess
import zipfile

import pytest

from avatarmake import registry
from avatarmake.environments import venv
from avatarmake.errors import Exit, StageError


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A lock file for the stage `track` that asks for the wheel `tiny`; returns a function that writes it."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = tmp_path / "requirements.lock"

    def write(version: str) -> None:
        wheel = wheels / f"tiny-{version}-py3-none-any.whl"
        info = f"tiny-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as z:
            z.writestr("tiny.py", f"version = '{version}'\n")
            z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
            z.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            z.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock.write_text(f"tiny=={version} \\\n    --hash=sha256:{digest}\n")

    monkeypatch.setattr(venv, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "HOME", tmp_path / ".venv")
    monkeypatch.setattr(venv, "lock_file", lambda name, kind="cpu": lock)
    monkeypatch.setattr(registry, "settings", lambda: {"find-links": [str(wheels)]})
    monkeypatch.setenv("UV_NO_INDEX", "1")
    write("1.0")
    return write


def version(python) -> str:
    return subprocess.run(
        [python, "-c", "import tiny; print(tiny.version)"], capture_output=True, text=True
    ).stdout.strip()


def test_the_environment_is_made_once_and_again_when_its_lock_changes(tiny, capsys):
    python = venv.python("track")
    assert version(python) == "1.0" and "making" in capsys.readouterr().err
    assert venv.python("track") == python and "making" not in capsys.readouterr().err
    tiny("2.0")
    assert version(venv.python("track")) == "2.0"


def test_a_wrong_hash_makes_no_environment(tiny, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(lock.read_text()[:-9] + "deadbeef\n")
    with pytest.raises(StageError, match="(?i)hash") as raised:
        venv.python("track")
    assert raised.value.exit == Exit.ENVIRONMENT
    assert not venv.is_made("track") and not (tmp_path / ".venv" / "track").exists()


def test_a_killed_setup_is_begun_again(tiny, tmp_path):
    half = tmp_path / ".venv" / ".track.new"
    half.mkdir(parents=True)
    (half / "rubbish").write_text("half an environment")
    assert version(venv.python("track")) == "1.0"
    assert not half.exists() and not (tmp_path / ".venv" / "track" / "rubbish").exists()


def test_a_missing_lock_says_make_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(venv, "lock_file", lambda name, kind="cpu": tmp_path / "none")
    with pytest.raises(StageError, match="make lock"):
        venv.python("track")
