"""Rules: counted before anything is touched, applied whole or not at all, and every fault named."""

import json

import pytest

from avatarmake import patches
from avatarmake.contract.upstream import STAMP
from avatarmake.errors import Exit, StageError
from tests.patches.conftest import RULE, write


def change(upstream, text: str, rule: str = RULE, series: str = "0001-names.yml\n") -> None:
    """Another rule file, after a replacement `old -> new` in the first one."""
    old, _, new = text.partition(" -> ")
    folder = upstream.parents[1] / "patches" / "small"
    write(folder, {"0001-names.yml": rule.replace(old, new) if text else rule, "series": series})


def refusal() -> StageError:
    with pytest.raises(StageError) as refused:
        patches.prepare("small")
    return refused.value


def test_a_copy_is_patched_and_the_checkout_is_not(upstream):
    before = {path: path.read_bytes() for path in upstream.rglob("*.py")}
    copy = patches.prepare("small")
    assert (copy / "app/other.py").read_text().count("legacy.names") == 2
    assert (copy / "README").exists() and not (copy / "big.bin").exists() and not (copy / ".git").exists()
    assert {path: path.read_bytes() for path in before} == before


def test_a_second_call_does_nothing(upstream, monkeypatch):
    copy = patches.prepare("small")
    monkeypatch.setattr(patches.rewriting, "apply", lambda *_: pytest.fail("applied again"))
    assert patches.prepare("small") == copy


def test_what_the_copy_is_made_of_is_said_alike_everywhere(upstream, tmp_path):
    copy = patches.prepare("small")
    stamp = (copy / STAMP).read_bytes()
    said = json.loads(stamp)
    assert said["digest"] == patches.digest("small") and said["steps"][0]["found"] == 2
    assert str(tmp_path) not in stamp.decode()
    (copy / STAMP).unlink()  # as a killed run leaves it
    assert (patches.prepare("small") / STAMP).read_bytes() == stamp


def test_another_rule_makes_another_copy(upstream):
    first, digest = patches.prepare("small"), patches.digest("small")
    change(upstream, "fix: legacy.names -> fix: legacy.titles")
    assert patches.digest("small") != digest
    second = patches.prepare("small")
    assert second != first and "titles" in (second / "app/other.py").read_text()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("expect: 2 -> expect: 3", "new-names: count differs (expected 3, found 2): app/other.py:3, app/other.py:4"),
        ("app/*.py -> lib/*.py", "no file matches lib/*.py"),
        ("{pattern: legacy.Names} -> {pattern: legacy.names}", "count differs (expected 2, found 0)"),
        ("fix: legacy.names -> fix: '= ='", "breaks the file (expected 2, found 2): app/other.py: line 3"),
        ("rule: {pattern: legacy.Names} -> rule: {patern: legacy.Names}", "unknown field `patern`"),
        ("rule: {pattern: legacy.Names} -> rule: [", "is no YAML"),
        ("why: renamed -> because: renamed", "rule new-names has no metadata.why"),
        ("expect: 2 -> expect: some", "expect is 'some', which is no count"),
        ("fix: legacy.names -> ", "rule new-names has no fix"),
    ],
)
def test_a_rule_that_does_not_fit_is_named_and_leaves_no_copy(upstream, place, edit, words):
    change(upstream, edit)
    error = refusal()
    assert words in str(error) and error.exit == Exit.INTERNAL
    assert not list((place / ".venv").glob("patched/*small*"))


def test_a_rule_that_is_already_applied_is_said_to_be(upstream):
    twice = RULE + "---" + RULE.replace("id: new-names", "id: once-more")
    change(upstream, "", twice)
    assert "rule once-more: already applied (expected 2, found 0): app/other.py:3, app/other.py:4" in str(refusal())


def test_places_within_each_other_are_refused_and_not_half_rewritten(upstream):
    change(upstream, "", RULE.replace("legacy.Names", "legacy.measure($X)").replace("fix: legacy.names", "fix: m($X)"))
    assert "places overlap (expected 2, found 2): app/main.py:5" in str(refusal())


def test_a_deletion_that_empties_a_block_is_refused(upstream):
    rule = RULE.replace("legacy.Names", "legacy.report($X)").replace("fix: legacy.names", 'fix: ""')
    change(upstream, "expect: 2 -> expect: 1", rule)
    assert "breaks the file" in str(refusal())


def test_offsets_are_bytes_and_line_ends_stay(upstream, tmp_path):
    write(tmp_path / "own", {"app/main.py": "# é\r\nx = legacy.Names  # ü\r\n"})
    (tmp_path / "own/app/main.py").write_bytes("# é\r\nx = legacy.Names  # ü\r\n".encode())
    assert patches.rehearse("small", tmp_path / "own") == {"new-names": 1}
    assert (tmp_path / "own/app/main.py").read_bytes() == "# é\r\nx = legacy.names  # ü\r\n".encode()


def test_a_rehearsal_passes_over_files_that_are_not_there_and_not_over_a_rule_that_finds_nothing(upstream, tmp_path):
    write(tmp_path / "own", {"lib/other.py": "x = 1\n"})
    assert patches.rehearse("small", tmp_path / "own") == {"new-names": 0}
    write(tmp_path / "own", {"app/main.py": "x = 1\n"})
    with pytest.raises(StageError, match="count differs"):
        patches.rehearse("small", tmp_path / "own")


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ("0001-names.yml\n0002-more.yml\n", "lists 0002-more.yml, which the folder does not have"),
        ("# 0001-names.yml\n", "does not list 0001-names.yml, so it would not be applied"),
        ("0001-names.yml\n0001-names.yml\n", "two rules have the id new-names"),
    ],
)
def test_the_series_and_the_folder_agree(upstream, series, words):
    change(upstream, "", series=series)
    assert words in str(refusal())


def test_overlays_replace_and_add_files_in_their_turn(upstream):
    folder = upstream.parents[1] / "patches" / "small"
    write(folder / "overlay/app", {"main.py": '"""Ours: measures once."""\n\nx = legacy.Names\n', "new.py": "y = 2\n"})
    order = "overlay/app/main.py\n0001-names.yml\noverlay/app/new.py  # last\n"
    change(upstream, "expect: 2 -> expect: 3", series=order)
    copy = patches.prepare("small")
    assert "x = legacy.names" in (copy / "app/main.py").read_text() and (copy / "app/new.py").read_text() == "y = 2\n"
    assert json.loads((copy / STAMP).read_text())["steps"][0]["why"] == "Ours: measures once."
    (folder / "overlay/app/stray.py").write_text("")
    assert "does not list overlay/app/stray.py" in str(refusal())


def test_an_unknown_upstream_is_answered_with_those_there_are(upstream):
    with pytest.raises(StageError, match="There are: small"):
        patches.prepare("big")
