"""A small upstream project of our own and patches for it, in a scratch folder that stands for the repository."""

import subprocess
from pathlib import Path

import pytest

from avatarmake import registry
from avatarmake.environments import patched
from avatarmake.patches import checkout, sdist, series

SOURCES = {
    "app/main.py": """
        # Größe: bytes are not characters
        import legacy

        def size(path):
            value = legacy.measure(legacy.measure(path))
            if value:
                legacy.report(value)
            return value
    """,
    "app/other.py": """
        import legacy

        print(legacy.Names)
        print(legacy.Names)
    """,
    "big.bin": "left out of the copy",
    "README": "an upstream project",
}
RULE = """
id: new-names
language: Python
files: ["app/*.py"]
rule: {pattern: legacy.Names}
fix: legacy.names
metadata:
  why: renamed
  expect: 2
  drop-when: never
  applied: legacy.names
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The scratch repository: patches are looked for, and everything is made, in it."""
    monkeypatch.setattr(series, "FOLDER", tmp_path / "patches")
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "HOME", tmp_path / ".venv")
    monkeypatch.setattr(patched, "WHEELS", tmp_path / ".venv" / "patched" / "wheels")
    monkeypatch.setattr(sdist, "SDISTS", tmp_path / ".venv" / "sdists")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):  # the tester's own settings
        monkeypatch.setenv(name, "/dev/null")
    for name in checkout.HOOKS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    """`files` by path, their texts without the indentation that they have here."""
    import textwrap

    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def upstream(place) -> Path:
    """The user's checkout of it, and a patch set `small` of one rule."""
    clone = place / "upstream" / "small"
    write(clone, SOURCES)
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message=one")
    said = f"""
        repository = "https://example.org/small"
        commit = "{git(clone, "rev-parse", "HEAD")}"
        licence = "MIT, for the tests"
        checkout = "upstream/small"
        without = ["big.bin"]
    """
    write(place / "patches" / "small", {"UPSTREAM": said, "series": "0001-names.yml\n", "0001-names.yml": RULE})
    return clone
