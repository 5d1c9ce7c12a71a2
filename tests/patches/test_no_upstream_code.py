"""No line of an upstream project is in this repository: what is ours is compared with what the user has checked out."""

import re
import tarfile
from collections.abc import Iterator

import pytest
import yaml

from avatarmake import ROOT
from avatarmake.patches import checkout, sdist, series

LENGTH = 30  # shorter lines are anyone's
NAMES_ONLY = re.compile(r"(from|import|def|class) ")  # their interface, which whoever calls it has to spell
OURS = ("patches", "avatarmake", "stages", "tests", "bench", "docker")


def lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if len(line.strip()) >= LENGTH and not NAMES_ONLY.match(line.strip()):
            yield line.strip()


def strings(document: object) -> Iterator[str]:
    """All strings of a YAML document: patterns and fixes without the keys that stand before them."""
    if isinstance(document, str):
        yield document
    for part in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from strings(part)


def ours() -> Iterator[tuple[str, str]]:
    """Every line of our sources that is long enough, and where it is."""
    for path in sorted(path for folder in OURS for path in (ROOT / folder).rglob("*") if path.is_file()):
        if path.suffix in (".yml", ".py", ".in", ".toml", "") and "__pycache__" not in path.parts:
            text = path.read_text()
            if path.suffix == ".yml":
                text = "\n".join(string for document in yaml.safe_load_all(text) for string in strings(document))
            for line in lines(text):
                yield line, path.relative_to(ROOT).as_posix()


def texts(name: str) -> Iterator[str]:
    """The upstream's text files, from the checkout or the sdist where it is there."""
    of = series.upstream(name)
    archive = sdist.SDISTS / f"{of.package}-{of.version}.tar.gz"
    if of.package and archive.exists():
        with tarfile.open(archive) as tar:
            yield from (tar.extractfile(member).read().decode() for member in tar if member.name.endswith(".py"))
    elif not of.package and checkout.folder(of).is_dir():
        for path in checkout.folder(of).rglob("*"):
            if path.suffix in (".py", ".sh", ".txt", ".md", ".yml") and path.is_file() and ".git" not in path.parts:
                yield path.read_text(errors="replace")


@pytest.mark.parametrize("name", series.names())
def test_nothing_of_theirs_is_here(name):
    theirs = {line for text in texts(name) for line in lines(text)}
    if not theirs:
        pytest.skip(f"needs {name} itself, in {series.upstream(name).checkout or sdist.SDISTS}")
    assert [f"{path}: {line}" for line, path in ours() if line in theirs] == []


def test_what_would_be_found():
    """The comparison sees through YAML and indentation, and lets interfaces pass."""
    rule = {"rule": {"any": [{"pattern": "  value = legacy.measure(path, twice=True)"}]}, "id": "x"}
    found = [line for string in strings(yaml.safe_load(yaml.safe_dump(rule))) for line in lines(string)]
    assert found == ["value = legacy.measure(path, twice=True)"]
    assert list(lines("    def measure_all_of_it(self, path, twice=True):\n    short = 1\n")) == []
