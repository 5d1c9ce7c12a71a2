"""What the documents name is there: links, targets, variables, options, files, the keys of the project's formats."""

import re
import tomllib
from pathlib import Path

import pytest

from avatarmake import ROOT, __version__, assets
from avatarmake.contract import pipeline
from avatarmake.contract.stage import load
from avatarmake.formats.frame import _FRAME
from avatarmake.formats.tracking import _NPZ

PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")) + [ROOT / "bench" / "RECORD.md"]
MAKEFILE = (ROOT / "Makefile").read_text()
PIPELINE = [stage for stage in pipeline.WRITER.values() if stage != "demo"]
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) | set(PIPELINE)
PATTERNS = re.findall(r"^([a-z]+)/%:", MAKEFILE, re.MULTILINE)  # help/train, image/convert
VARIABLES = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", re.sub(r"#.*", "", MAKEFILE)))
CONVENTIONS = (ROOT / "docs" / "conventions.md").read_text()

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def code(text: str) -> list[str]:
    """What a page shows as code: blocks (indented by four), and what stands between backticks."""
    blocks = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    rest = re.sub(r"^ {4}\S.*$", "", text, flags=re.MULTILINE)
    return [line.split(" # ")[0] for line in blocks] + [" ".join(s.split()) for s in re.findall(r"`([^`]+)`", rest)]


def commands(text: str) -> list[str]:
    """Every `make ...` of a page, without what follows it on the line."""
    found = [part.strip() for snippet in code(text) for part in re.split(r"&&|;", snippet)]
    return [part for part in found if re.match(r"make( |$)", part)]


def anchors(page: Path) -> set[str]:
    """As the usual viewers make them of headings: lower case, words by hyphens, no other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pages
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pages
def test_what_is_to_be_typed_can_be_typed(page):
    """Targets, variables, and the options of the stage that gets them."""
    for command in commands(page.read_text()):
        words = re.findall(r'\w+="[^"]*"|\S+', command)[1:]
        named = [word for word in words if "=" not in word]
        for word in named:
            stage = word.partition("/")[2]
            known = word in TARGETS or word.split("/")[0] in PATTERNS and load(stage)
            assert known, f"{command}: no target {word}"
        given = dict(word.split("=", 1) for word in words if "=" in word)
        assert given.keys() <= VARIABLES, command
        stages = [word for word in named if word in PIPELINE]
        if stages and "OPTIONS" in given:
            assert set(re.findall(r"--[a-z-]+", given["OPTIONS"])) <= flags(stages[-1]), command


def flags(*stages: str) -> set[str]:
    """Of these stages; `track` may be either tracker."""
    asked = [s for stage in stages for s in pipeline.CHOICES.get(stage, {stage: stage}).values()]
    names = {name for stage in asked for name in load(stage).config.__dataclass_fields__}
    return {f"--{name.replace('_', '-')}" for name in names} | {"--force"}


@pages
def test_options_are_those_of_a_stage(page):
    """Wherever an option or a variable stands as code by itself, as in tables."""
    known = flags(*pipeline.STAGES) | {"--help", "--version"}
    for snippet in code(page.read_text()):
        if re.match(r"(OPTIONS=|--[a-z])", snippet):
            assert set(re.findall(r"--[a-z-]+", snippet)) <= known, snippet
        if variable := re.fullmatch(r"([A-Z][A-Z0-9_]+)=\S*", snippet):
            assert variable[1] in VARIABLES, snippet


@pages
def test_files_that_are_named_are_there(page):
    for snippet in code(page.read_text()):
        for path in re.findall(r"(?:avatarmake|stages|docker|tests|patches|docs|bench)/[\w./<>*-]*", snippet):
            if snippet.startswith(path) and not re.search(r"[<>*]", path):
                assert (ROOT / path).exists(), path


def test_conventions_name_every_file_and_array():
    sections = dict(re.findall(r"^### (\w+)/.*\n((?:(?!#).*\n)*)", CONVENTIONS, re.MULTILINE))
    assert sections.keys() == pipeline.WRITER.keys()
    assert {key for key, *_ in _NPZ.values()} <= set(code(sections["tracking"]))
    assert {key for _, key, *_ in _FRAME.values()} <= set(code(sections["dataset"]))


def test_the_page_of_faults_names_all_of_them():
    faults = pytest.importorskip("stages.mask.audit").FAULTS
    assert set(faults) <= set(code((ROOT / "docs" / "shakes-blank-halo.md").read_text()))


def test_every_weight_is_explained_and_its_licence_noted():
    notice, page = (ROOT / "NOTICE").read_text(), set(code((ROOT / "docs" / "assets.md").read_text()))
    for asset in assets.manifest().values():
        assert asset.name in page, asset.name
        line = next(line for line in notice.splitlines() if re.search(rf"\b{asset.name}\b", line))
        assert line.endswith(asset.licence), asset.name


def test_one_licence_in_all_papers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"  # a string: it becomes the images' label
    for name in project["license-files"]:
        assert (ROOT / name).is_file()
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text and text.rstrip().endswith("limitations under the License.")
    assert "\nlicense: Apache-2.0\n" in (ROOT / "CITATION.cff").read_text()


def test_citation_can_be_read():
    yaml = pytest.importorskip("yaml")
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert said["cff-version"] == "1.2.0" and said["message"] and said["title"]
    assert said["authors"] == [{"name": "The avatarmake authors"}]


def test_the_changelog_is_kept():
    headings = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0][0] == __version__
    versions = [tuple(map(int, v.split("."))) for v, _ in headings]
    assert versions == sorted(versions, reverse=True)
    assert all(re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", when) for _, when in headings)


def test_readme_is_one_screen_and_begins_with_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 70
    first = [c for c in commands(text) if c.startswith("make")][:2]
    assert first == ["make demo", "make test"]
