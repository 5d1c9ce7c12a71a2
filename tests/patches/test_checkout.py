"""The user's checkout: absent, no repository, another commit, edited. Each is said, with what to type."""

import shutil

import pytest

from avatarmake import patches
from avatarmake.errors import Exit, StageError
from avatarmake.patches import table
from tests.patches.conftest import git


def refusal() -> str:
    with pytest.raises(StageError) as refused:
        patches.prepare("small")
    assert refused.value.exit == Exit.MISSING_ASSET
    return str(refused.value)


def test_none(upstream):
    commit = git(upstream, "rev-parse", "HEAD")
    shutil.rmtree(upstream)
    said = refusal()
    assert "upstream/small: the checkout of the upstream project is not there" in said and "MIT, for the tests" in said
    clone = "git clone https://example.org/small upstream/small"
    assert f"{clone} && git -C upstream/small checkout {commit}" in said


def test_a_copy_that_is_there_needs_none(upstream):
    copy = patches.prepare("small")
    shutil.rmtree(upstream)
    assert patches.prepare("small") == copy


def test_a_folder_within_our_own_repository_is_no_checkout(upstream, place):
    git(place, "init", "--quiet")
    shutil.rmtree(upstream / ".git")
    assert "no git checkout of its own" in refusal()


def test_another_commit(upstream):
    wanted = git(upstream, "rev-parse", "HEAD")
    git(upstream, "commit", "--quiet", "--allow-empty", "--message=two")
    said = refusal()
    assert f"the patches are for {wanted[:12]}" in said and f"checkout {wanted}" in said


def test_edits_are_refused_before_and_after_the_copy_was_made(upstream):
    patches.prepare("small")
    (upstream / "app/main.py").write_text("edited = True\n")
    assert "has changes of its own in app/main.py" in refusal()


def test_weights_beside_the_tracked_files_are_no_edits_and_stay_there(upstream):
    (upstream / "weights.pth").write_text("of the user's")
    assert not (patches.prepare("small") / "weights.pth").exists()


def test_a_hook_of_our_repository_and_another_language_do_not_confuse_git(upstream, place, monkeypatch):
    git(place, "init", "--quiet")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("GIT_DIR", str(place / ".git"))
    assert patches.prepare("small").is_dir()


def test_a_repository_that_is_damaged_is_said_in_git_s_words(upstream):
    for thing in (upstream / ".git/objects").glob("??/*"):
        thing.chmod(0o644)
        thing.write_bytes(b"")
    assert "upstream/small: git" in refusal()


def test_the_table_says_all_and_ends_with_the_worst(upstream, capsys):
    assert table.show() == Exit.OK
    said = capsys.readouterr().out
    assert all(word in said for word in ("small", "new-names", "renamed", "ok", "never"))
    shutil.move(upstream, upstream.with_name("elsewhere"))
    assert table.show() == Exit.MISSING_ASSET
    assert "git clone https://example.org/small" in capsys.readouterr().out
    shutil.move(upstream.with_name("elsewhere"), upstream)
    rules = upstream.parents[1] / "patches/small/0001-names.yml"
    rules.write_text(rules.read_text().replace("expect: 2", "expect: 5"))
    assert table.show() == Exit.INTERNAL
    assert "count differs" in capsys.readouterr().out
