"""A stage that writes several directories beside each other, named by an option: each is whole by itself."""

from dataclasses import dataclass

import pytest

from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import begun, receipt
from avatarmake.contract.stage import Job, Stage, option
from avatarmake.errors import StageError
from tests.contract.test_contract import COUNT, CountConfig, count


@dataclass(frozen=True)
class ByConfig:
    by: str = option("anna", "who")
    upto: int = option(2, "how far")


DRIVE = Stage(
    name="drive",
    summary="one of several",
    reads=(),
    writes="drives",
    config=ByConfig,
    part=lambda config: config.by,
    borrows=lambda config: ((config.by, "frames"),),
)


@pytest.fixture
def subject(tmp_path) -> Subject:
    """roman, and two who may drive: anna and boris."""
    data = tmp_path / "data"
    for name in ("anna", "boris"):
        execute(COUNT, Subject(data, name), CountConfig(), count)
    return Subject(data, "roman")


def drive(job: Job) -> dict:
    assert job.borrow(job.config.by, "frames").is_dir()
    return count(job)


def test_each_is_of_its_own(subject, capsys):
    execute(DRIVE, subject, ByConfig(), drive)
    execute(DRIVE, subject, ByConfig(by="boris", upto=3), drive)
    anna, boris = (subject.directory(f"drives/{name}") for name in ("anna", "boris"))
    assert (receipt(anna)["outputs"]["files"], receipt(boris)["outputs"]["files"]) == (2, 3)
    assert DRIVE.places(subject) == ["drives/anna", "drives/boris"]
    before = {p: p.read_bytes() for p in anna.iterdir()}
    execute(DRIVE, subject, ByConfig(by="boris", upto=1), drive)
    assert {p: p.read_bytes() for p in anna.iterdir()} == before and receipt(boris)["outputs"]["files"] == 1
    capsys.readouterr()
    execute(DRIVE, subject, ByConfig(), lambda job: pytest.fail("ran"))
    assert "nothing to do" in capsys.readouterr().out


def test_what_others_hold_is_in_the_key(subject, capsys):
    execute(DRIVE, subject, ByConfig(), drive)
    assert receipt(subject.directory("drives/anna"))["parts"].keys() >= {"anna/frames/", "by"}
    execute(COUNT, Subject(subject.data, "anna"), CountConfig(upto=6), count)
    capsys.readouterr()
    execute(DRIVE, subject, ByConfig(), drive)
    assert "changed: anna/frames/" in capsys.readouterr().out
    with pytest.raises(StageError, match="make frames ID=carla"):
        execute(DRIVE, subject, ByConfig(by="carla"), drive)
    assert not (subject.data / "carla").exists() and DRIVE.places(subject) == ["drives/anna"]


def test_what_is_not_declared_is_not_borrowed(subject):
    execute(DRIVE, subject, ByConfig(), drive)
    job = Job(DRIVE, subject, ByConfig(), subject.partial("drives/anna"))
    with pytest.raises(AssertionError, match="does not declare boris/frames"):
        job.borrow("boris", "frames")


def test_a_run_that_was_stopped_while_it_put_one_in_place_is_brought_to_its_end(subject):
    execute(DRIVE, subject, ByConfig(), drive)
    execute(DRIVE, subject, ByConfig(by="boris"), drive)
    place = subject.directory("drives/anna")
    place.rename(place.with_name(".anna.old"))  # a kill between the two renames
    assert DRIVE.places(subject) == ["drives/anna", "drives/boris"]
    execute(DRIVE, subject, ByConfig(by="boris"), lambda job: pytest.fail("ran"))
    assert receipt(place)["outputs"]["files"] == 2


def test_what_is_not_ours_is_refused_in_one_and_the_others_go_on(subject):
    place = subject.directory("drives/anna")
    place.mkdir(parents=True)
    (place / "film.mp4").write_text("mine")
    with pytest.raises(StageError, match="make drive ID=roman BY=anna OPTIONS=--force"):
        execute(DRIVE, subject, ByConfig(), drive)
    execute(DRIVE, subject, ByConfig(by="boris"), drive)
    assert (place / "film.mp4").read_text() == "mine"


def test_names_are_told_in_any_state(tmp_path):
    for name in ("anna", "boris.v2.partial", ".carla.old", ".dora.discard-0a1b", ".emil.lock", ".aside"):
        (tmp_path / name).mkdir()
    assert begun(tmp_path) == ["anna", "boris.v2", "carla", "dora"]
    assert begun(tmp_path / "nowhere") == []
