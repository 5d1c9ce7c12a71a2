"""What is not ours is refused or set aside, never deleted; a kill at any moment loses nothing and is recovered from."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatarmake.contract import publication
from avatarmake.contract.command import command
from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.ownership import strangers
from avatarmake.contract.publication import RECEIPT, SUMS, is_torn, prepare, publish, receipt, recover
from avatarmake.contract.stage import Job
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from tests.contract.test_contract import COUNT, CountConfig, count

SMALL, LARGE = CountConfig(upto=2), CountConfig(upto=3)


@pytest.fixture
def subject(tmp_path):
    return Subject(tmp_path / "data", "roman")


@pytest.fixture
def frames(subject) -> Path:
    """A finished directory."""
    execute(COUNT, subject, SMALL, count)
    return subject.directory("frames")


def content(folder: Path) -> dict[str, str]:
    """Everything below a folder, links by where they go; but for notes of what works there now, and locks."""
    return {
        p.relative_to(folder).as_posix(): os.readlink(p) if p.is_symlink() else p.read_text()
        for p in sorted(folder.rglob("*"))
        if (p.is_symlink() or p.is_file()) and not p.name.endswith(".lock")
    }


def refused(subject: Subject, *words: str, config=LARGE) -> None:
    """A run is refused with these words, and everything is as it was."""
    before = content(subject.root)
    with pytest.raises(StageError) as e:
        execute(COUNT, subject, config, lambda job: pytest.fail("ran"))
    assert e.value.exit == Exit.BAD_INPUT and "make frames ID=roman OPTIONS=--force" in str(e.value)
    for word in words:
        assert word in str(e.value)
    assert content(subject.root) == before


def forced(subject: Subject, capsys) -> dict[str, str]:
    """What a forced run set aside; it says where, and its own directory is whole."""
    execute(COUNT, subject, LARGE, count, force=True)
    aside = subject.root / ".aside"
    (corner,) = aside.iterdir()
    assert str(corner) in capsys.readouterr().err
    assert receipt(subject.directory("frames"))["outputs"]["files"] == 3
    assert not strangers(subject.directory("frames")) and not is_torn(subject.directory("frames"))
    return content(corner)


def test_a_folder_that_somebody_made(subject, capsys):
    folder = subject.directory("frames")
    folder.mkdir(parents=True)
    for i in range(5):
        (folder / f"{i:05d}.npz").write_text(f"theirs {i}")
    refused(subject, str(folder), "00000.npz, 00001.npz, 00002.npz and 2 more")
    assert forced(subject, capsys) == {f"{i:05d}.npz": f"theirs {i}" for i in range(5)}


def test_files_that_came_into_a_finished_directory_or_were_changed_in_it(subject, frames, capsys):
    (frames / "notes").mkdir()
    (frames / "notes" / "later.txt").write_text("mine")
    old = (frames / "1.txt").stat()
    (frames / "1.txt").write_text("2")  # as long as before, and of the same time
    os.utime(frames / "1.txt", ns=(old.st_atime_ns, old.st_mtime_ns))
    (frames / "0.txt").rename(frames / "zero.txt")  # ours by content, not by name
    assert strangers(frames) == ["1.txt", "notes/later.txt", "zero.txt"]
    refused(subject, "1.txt, notes/later.txt, zero.txt")
    assert forced(subject, capsys) == {"1.txt": "2", "notes/later.txt": "mine", "zero.txt": "0"}


def test_nothing_is_looked_for_where_nothing_is_replaced(subject, frames, monkeypatch):
    (frames / "note.txt").write_text("mine")
    monkeypatch.setattr("avatarmake.contract.execution.strangers", lambda _: pytest.fail("digested everything"))
    execute(COUNT, subject, SMALL, lambda job: pytest.fail("ran"))


def test_a_list_that_the_receipt_does_not_vouch_for(subject, frames, capsys):
    """Whoever writes the list anew, for files of their own, does not make them ours."""
    (frames / "mine.txt").write_text("mine")
    lines = subprocess.run("sha256sum *.txt", shell=True, cwd=frames, capture_output=True, text=True, check=True).stdout
    (frames / SUMS).write_text(lines)
    refused(subject, "0.txt, 1.txt, SHA256SUMS and 2 more")
    assert forced(subject, capsys).keys() == {"0.txt", "1.txt", "mine.txt", SUMS, RECEIPT}


def put(subject: Subject, text: str) -> Path:
    folder = subject.directory("frames")
    folder.mkdir(parents=True)
    (folder / RECEIPT).write_text(text)
    (folder / "00000.npz").write_text("theirs")
    return folder


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"outputs": []}', '{"outputs": {}, "parts": 1}'])
def test_a_receipt_that_is_none(subject, text, capsys):
    folder = put(subject, text)
    before = content(subject.root)
    words = ["roman", "--data", str(subject.data)]
    for options in ([], ["--force"]):
        assert command(COUNT, count, [*words, *options]) == Exit.BAD_INPUT
        assert f"Move {folder} elsewhere" in capsys.readouterr().err
    assert content(subject.root) == before


@pytest.mark.parametrize("text", ["{}", '{"outputs": {"digest": 1}}', '{"outputs": {"digest": "0"}}'])
def test_a_receipt_that_vouches_for_nothing(subject, text, capsys):
    put(subject, text)
    refused(subject, "00000.npz, stage.json")
    assert forced(subject, capsys) == {"00000.npz": "theirs", RECEIPT: text}


def test_a_receipt_without_its_files_is_made_again(subject, frames, capsys):
    (frames / "0.txt").unlink()
    execute(COUNT, subject, SMALL, count)
    assert "1 of its files are gone" in capsys.readouterr().out and content(frames)["0.txt"] == "0"
    for path in frames.iterdir():
        path.unlink() if path.name != RECEIPT else None
    execute(COUNT, subject, LARGE, count)
    assert not (subject.root / ".aside").exists()


def test_an_empty_folder_is_nobody_s(subject):
    (subject.directory("frames") / "deep" / "down").mkdir(parents=True)
    subject.partial("frames").mkdir()
    execute(COUNT, subject, SMALL, count)
    assert receipt(subject.directory("frames"))["outputs"]["files"] == 2


@pytest.mark.parametrize("name", ["frames", "frames.partial"])
def test_a_link_to_a_larger_disk(subject, tmp_path, name, capsys):
    big = tmp_path / "big"
    big.mkdir()
    execute(COUNT, Subject(big, "other"), SMALL, count)
    subject.root.mkdir(parents=True)
    (subject.root / name).symlink_to(big / "other" / "frames")
    before = content(big)
    refused(subject, "is a link to", "or DATA=")
    assert forced(subject, capsys) == {name: str(big / "other" / "frames")}
    assert content(big) == before


@pytest.mark.parametrize("name", ["frames", "frames.partial"])
def test_a_file_where_a_directory_should_be(subject, name, capsys):
    subject.root.mkdir(parents=True)
    (subject.root / name).write_text("mine")
    refused(subject, "is not a directory")
    assert forced(subject, capsys) == {name: "mine"}


def test_links_in_a_finished_directory(subject, frames, tmp_path, capsys):
    """Even one to the very bytes: what it leads to is not ours."""
    elsewhere = tmp_path / "0.txt"
    elsewhere.write_text("0")
    (frames / "0.txt").unlink()
    (frames / "0.txt").symlink_to(elsewhere)
    (frames / "folder").symlink_to(tmp_path)
    refused(subject, "0.txt, folder")
    assert forced(subject, capsys) == {"0.txt": str(elsewhere), "folder": str(tmp_path)}
    assert elsewhere.read_text() == "0"


def test_a_partial_without_a_key_is_somebody_s(subject, capsys):
    subject.partial("frames").mkdir(parents=True)
    (subject.partial("frames") / "0.txt").write_text("theirs")
    refused(subject, "frames.partial", "0.txt")
    assert forced(subject, capsys) == {"frames.partial/0.txt": "theirs"}


def test_what_came_while_the_stage_ran_is_set_aside(subject, frames, capsys):
    def meanwhile(job: Job):
        (frames / "0.txt").write_text("mended by hand")
        (frames / "note.txt").write_text("mine")
        return count(job)

    execute(COUNT, subject, LARGE, meanwhile)
    corner = subject.root / ".aside" / "frames-1"
    assert content(corner) == {"0.txt": "mended by hand", "note.txt": "mine"}
    assert str(corner) in capsys.readouterr().err
    assert content(frames)["0.txt"] == "0"


def test_corners_do_not_meet(subject, capsys):
    for n in range(1, 4):
        (subject.directory("frames")).mkdir(parents=True, exist_ok=True)
        (subject.directory("frames") / "note").write_text(str(n))
        execute(COUNT, subject, CountConfig(upto=n), count, force=True)
    assert [(subject.root / ".aside" / f"frames-{n}" / "note").read_text() for n in (1, 2, 3)] == ["1", "2", "3"]


def test_a_disk_that_is_mounted_there(subject, frames, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == frames)
    with pytest.raises(StageError, match="a disk is mounted there.*DATA=folder") as e:
        execute(COUNT, subject, LARGE, lambda job: pytest.fail("ran"), force=True)
    assert e.value.exit == Exit.ENVIRONMENT


def test_names_that_are_no_text(subject):
    def odd(job):
        (job.out / os.fsdecode(b"caf\xe9 \r.txt")).write_text("0")
        return {}

    execute(COUNT, subject, SMALL, odd)
    assert not strangers(subject.directory("frames"))
    (subject.directory("frames") / os.fsdecode(b"\xff")).write_text("theirs")
    with pytest.raises(StageError, match="or was changed since") as e:
        execute(COUNT, subject, LARGE, count)
    print(e.value, file=sys.stderr)  # as `failures` does


@pytest.mark.parametrize("place", ["data", "data/roman"])
def test_a_file_where_all_of_it_should_go(tmp_path, place, capsys):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    assert command(COUNT, count, ["roman", "--data", str(tmp_path / "data")]) == Exit.BAD_INPUT
    assert f"{tmp_path / place}: is a file" in capsys.readouterr().err


# --- kills -----------------------------------------------------------------------------------------------------------

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}


def run_in_a_process_killed_at(change: int, work) -> bool:
    """Whether a process of its own was killed just before its `change`-th change to the file system."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
    left = [change]

    def dies(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)
        if event in CHANGES or writes:
            left[0] -= 1
            if left[0] < 0:
                os._exit(77)  # nothing is cleared away

    try:
        sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        sys.addaudithook(dies)
        work()
    finally:
        os._exit(0)


def make(final: Path, upto: int, force: bool = True) -> None:
    """What a run does to the file system, and nothing else: that of a stage takes a hundred times as long."""
    if is_torn(final):
        recover(final)
    out = final.with_name("frames.partial")
    prepare(out, f"key {upto}", force)
    for i in range(upto):
        with whole(out / "deep" / f"{i}.txt") as path:
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(i))
    publish(out, final, {"key": f"key {upto}"})


def begun(final: Path, kind: str) -> None:
    """What is there before a run that is going to be killed."""
    final.parent.mkdir(parents=True)
    if kind != "nothing":
        make(final, 2)
    if kind == "notes":
        (final / "note.txt").write_text("mine")
        (final / "deep" / "0.txt").write_text("mended by hand")
    if kind == "partial":
        prepare(final.with_name("frames.partial"), "another key")
        (final.with_name("frames.partial") / "a.txt").write_text("a")


def outputs(final: Path) -> dict[str, str]:
    return {name: text for name, text in content(final).items() if name not in (RECEIPT, SUMS)}


THEIRS = {"note.txt": "mine", "deep/0.txt": "mended by hand"}
NEW = {f"deep/{i}.txt": str(i) for i in range(3)}


@pytest.mark.parametrize("kind", ["nothing", "finished", "notes", "partial"])
def test_killed_at_any_moment_the_next_run_ends_well(tmp_path, kind):
    for change in range(100):
        final = tmp_path / f"{change}" / "frames"
        begun(final, kind)
        before = outputs(final)
        if not run_in_a_process_killed_at(change, lambda f=final: make(f, 3)):
            break
        if final.exists():  # between two renames it is beside its place
            assert outputs(final) in (before, NEW)
        make(final, 3)
        assert outputs(final) == NEW and not strangers(final) and not is_torn(final)
        assert {p.name for p in final.parent.iterdir()} <= {"frames", ".aside"}
        kept = {}
        for corner in final.parent.glob(".aside/*"):
            kept |= content(corner)
        assert kept == (THEIRS if kind == "notes" else {})
    assert change > 14


def test_killed_between_the_two_renames_it_is_done(tmp_path, capsys):
    """The new directory was whole, and has only to be put in its place."""
    subject = Subject(tmp_path / "data", "roman")
    execute(COUNT, subject, SMALL, count)

    def killed(out, final):
        final.rename(final.with_name(".frames.old"))
        os._exit(77)

    if not (child := os.fork()):
        try:
            publication._swap = killed
            execute(COUNT, subject, LARGE, count)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
    assert not subject.directory("frames").exists()
    execute(COUNT, subject, LARGE, lambda job: pytest.fail("ran again"))
    assert "nothing to do" in capsys.readouterr().out and not is_torn(subject.directory("frames"))


def test_shards_run_beside_each_other_though_something_cannot_be_cleared_up(subject, monkeypatch, capsys):
    """As where root's container made it: a run takes no lock for itself alone because of that."""
    rubbish = subject.root / ".frames.discard-1234"
    rubbish.mkdir(parents=True)
    (rubbish / ".key").write_text("a")
    unlink = Path.unlink

    def denied(self, **more):
        if self.parent == rubbish:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        unlink(self, **more)

    monkeypatch.setattr(Path, "unlink", denied)

    def other_shard(job: Job):
        if job.config.shard == "0/2":
            execute(COUNT, subject, CountConfig(shard="1/2"), other_shard)

    execute(COUNT, subject, CountConfig(shard="0/2"), other_shard)
    assert "cannot be cleared up yet: Permission denied" in capsys.readouterr().err
    execute(COUNT, subject, CountConfig(), count)
    assert receipt(subject.directory("frames"))["outputs"]["files"] == 5


def test_what_is_done_is_done_on_a_read_only_volume_too(subject, frames, monkeypatch, capsys):
    (subject.root / ".frames.discard-1234").mkdir()

    def refuses(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", "lock")

    monkeypatch.setattr("avatarmake.contract.execution.locked", refuses)
    execute(COUNT, subject, SMALL, lambda job: pytest.fail("ran again"))
    assert "nothing to do" in capsys.readouterr().out
    assert command(COUNT, count, ["roman", "--data", str(subject.data), "--upto", "3"]) == Exit.ENVIRONMENT
    assert "lock: is on a file system that is mounted read-only" in capsys.readouterr().err


def test_the_old_directory_comes_back_where_there_is_no_new_one(subject, frames, capsys):
    before = content(frames)
    frames.rename(subject.root / ".frames.old")
    execute(COUNT, subject, SMALL, lambda job: pytest.fail("ran again"))
    assert content(frames) == before


# --- full disks and foreign rights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["mkdir", "write_bytes", "write_text", "rename", "unlink"])
def test_whichever_call_fails_nothing_is_lost(tmp_path, call, monkeypatch):
    """The disk is full, or rights end: the old or the new directory is there then or with the next run."""
    real = getattr(Path, call)
    for good in range(100):
        left, final = [good], tmp_path / f"{good}" / "frames"
        begun(final, "notes")
        before = outputs(final)

        def fails(self, *arguments, left=left, **more):
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
            return real(self, *arguments, **more)

        with monkeypatch.context() as patch, contextlib.suppress(OSError):
            patch.setattr(Path, call, fails)
            make(final, 3)
        assert not final.exists() or outputs(final) in (before, NEW)
        make(final, 3)
        assert outputs(final) == NEW and not strangers(final) and not is_torn(final)
        if left[0] >= 0:
            break
    assert good > 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.ENAMETOOLONG, errno.EBUSY])
def test_what_a_file_system_refuses_is_one_line(subject, code, monkeypatch, capsys):
    def refuses(self, *_):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuses)
    assert command(COUNT, count, ["roman", "--data", str(subject.data)]) == Exit.ENVIRONMENT
    said = capsys.readouterr().err
    assert said.startswith(f"count: {subject.partial('frames')}") and said.count("\n") == 1


def test_work_is_kept_when_the_disk_is_full_at_the_end(subject, monkeypatch, capsys):
    words = ["roman", "--data", str(subject.data)]

    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert command(COUNT, count, words) == Exit.ENVIRONMENT
    assert "Nothing is lost: free some" in capsys.readouterr().err
    assert command(COUNT, count, words) == Exit.OK
    assert json.loads((subject.directory("frames") / RECEIPT).read_text())["facts"]["made"] == 0


def test_whose_it_is_is_said(subject, monkeypatch, capsys):
    """Data that a container of root's wrote, and a user goes on with."""
    subject.root.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "getegid", lambda: 4243)

    def denied(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", denied)
    assert command(COUNT, count, ["roman", "--data", str(subject.data)]) == Exit.ENVIRONMENT
    said = capsys.readouterr().err
    assert f"{subject.root} is root's, and this runs as user 4242" in said
    assert f"let root type: chown -R 4242:4243 {subject.root}\n" in said and said.count("\n") == 1
