"""Where subjects stand, by receipts, notes and the queue alone."""

import os
import time

import pytest

from avatarmake.batch import standing, table
from avatarmake.batch.figures import figures
from avatarmake.batch.page import write
from avatarmake.batch.standing import State, look
from avatarmake.contract.layout import Subject
from avatarmake.contract.presence import announced
from avatarmake.errors import Exit
from avatarmake.files import inputs

TARGETS = ["frames", "track", "convert"]


@pytest.fixture
def stand(volume):
    """Line, queue -> the states of its stages."""

    def seen(line, queue=None, common=None):
        (row,) = look([line], TARGETS, volume.data, common or {}, queue or {})
        return row

    return seen


def states(row) -> list[State]:
    return [s.state for s in row.stages]


def test_from_nothing_to_the_end(volume, stand):
    line = volume.line("roman")
    assert states(stand(line)) == [State.TO_DO, State.WAITS, State.WAITS]
    volume.finish(line, "frames")
    assert states(stand(line)) == [State.DONE, State.TO_DO, State.WAITS]
    volume.finish(line, "track", "convert")
    row = stand(line)
    assert row.first is None and row.state == State.DONE


def test_another_option_is_to_do_again_and_says_what(volume, stand):
    volume.finish(volume.line("roman"), *TARGETS)
    row = stand(volume.line("roman", MARGIN="0.5"))
    assert row.first.target == "frames" and row.first.why == "changed: margin: 0.6 -> 0.5"
    assert row.state == State.TO_DO


def test_a_stage_that_was_killed_goes_on(volume, stand):
    line = volume.line("roman")
    volume.finish(line, "frames")
    Subject(volume.data, "roman").partial("tracking").mkdir()
    assert stand(line).first.target == "track" and stand(line).state == State.STOPPED


def test_who_is_at_work_is_named(volume, stand):
    line = volume.line("roman")
    volume.finish(line, "frames")
    with announced(Subject(volume.data, "roman").root, "tracking", shared=False, locked=True):
        row = stand(line)
    assert row.state == State.RUNNING and f"process {os.getpid()}" in row.first.why
    assert stand(line).state == State.TO_DO


def test_the_queue_s_word(volume, stand):
    line = volume.line("roman")
    volume.finish(line, "frames")
    queue = {("roman", "track"): (State.RUNNING, "on node7"), ("roman", "convert"): (State.QUEUED, "after")}
    row = stand(line, queue)
    assert states(row) == [State.DONE, State.RUNNING, State.QUEUED] and row.first.why == "on node7"
    older = {("roman", "frames"): (State.FAILED, "an older Job's")}
    assert stand(line, older).first.target == "track"  # what is done is done
    assert stand(volume.line("anna"), {("anna", "frames"): (State.FAILED, "no film")}).state == State.FAILED


def test_a_failure_counts_until_something_changes(volume, stand):
    line = volume.line("roman")
    volume.fail(line, "frames", Exit.BAD_INPUT, "no film")
    assert stand(line).state == State.FAILED and stand(line).first.why == "no film"
    volume.video.write_bytes(b"another film")
    assert stand(line).state == State.TO_DO
    volume.fail(line, "frames", Exit.BAD_INPUT)
    assert stand(volume.line("roman", FPS="10")).state == State.TO_DO


@pytest.mark.parametrize("code", [Exit.INTERNAL, Exit.ENVIRONMENT, 137])
def test_what_may_have_passed_is_tried_again(volume, stand, code):
    line = volume.line("roman")
    volume.fail(line, "frames", code)
    assert stand(line).state == State.BROKEN


def test_what_the_host_knows_already_needs_no_job(volume, stand, tmp_path):
    line = volume.line("roman")
    volume.video.unlink()
    row = stand(line)
    assert row.state == State.FAILED and "there is no such file" in row.first.why
    assert row.first.failure["exit"] == Exit.BAD_INPUT
    volume.video.write_bytes(b"a film")
    assert stand(volume.line("roman", FPS="fast")).state == State.FAILED
    assert "fps is -1" in stand(volume.line("roman", FPS="-1")).first.why


def test_a_torn_receipt_is_one_subject_s_trouble(volume):
    lines = [volume.line("roman"), volume.line("anna")]
    volume.finish(lines[0], "frames")
    (volume.data / "roman" / "frames" / "stage.json").write_text("{")
    rows = look(lines, TARGETS, volume.data, {}, {})
    assert [row.state for row in rows] == [State.FAILED, State.TO_DO]


def test_what_the_volume_refuses_is_one_subject_s_trouble(volume, monkeypatch):
    lines = [volume.line("roman"), volume.line("anna")]

    def refuse(root, name):
        if root.name == "roman":
            raise PermissionError(13, "Permission denied", str(root))
        return []

    monkeypatch.setattr(standing, "at_work", refuse)
    rows = look(lines, TARGETS, volume.data, {}, {})
    assert [row.state for row in rows] == [State.FAILED, State.TO_DO]
    assert f"{volume.data}/roman: Permission denied" in rows[0].first.why


def test_a_video_that_nobody_touched_is_not_read_again(volume, stand, monkeypatch):
    line = volume.line("roman")
    volume.finish(line, *TARGETS)
    stamp = volume.data / "roman" / "frames" / "stage.json"
    later = time.time_ns() + 10**9
    os.utime(stamp, ns=(later, later))
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "digest", lambda path: pytest.fail(f"{path} was read"))
        assert stand(line).state == State.DONE
    os.utime(stamp, ns=(0, 0))  # as if the video had come after it
    volume.video.write_bytes(b"another film")
    assert stand(line).first.why.startswith("changed: video: ")


def test_many_are_looked_at_by_several_processes(volume, monkeypatch):
    monkeypatch.setattr(standing, "TOGETHER", 4)
    monkeypatch.setattr(standing, "cores", lambda: 2)
    lines = [volume.line(f"s{k}") for k in range(9)]
    volume.finish(lines[3], "frames")
    rows = look(lines, TARGETS, volume.data, {}, {})
    assert [row.line.id for row in rows] == [line.id for line in lines]
    assert [row.first.target for row in rows] == ["frames"] * 3 + ["track"] + ["frames"] * 5


def test_table_and_page(volume, tmp_path, capsys):
    lines = [volume.line("roman"), volume.line("anna"), volume.line("bad")]
    volume.finish(lines[0], "frames", frames_out=1500)
    volume.finish(lines[0], "track", landmark_error_pct={"median": 1.0684})
    volume.finish(lines[0], "convert")
    volume.fail(lines[2], "frames", Exit.BAD_INPUT, "no <film> & none")
    (volume.data / "bad" / ".batch.log").write_text("...")
    rows = look(lines, TARGETS, volume.data, {}, {})
    assert figures(rows[0]).frames == "1,500" and figures(rows[0]).landmarks == "1.07 %"
    assert figures(rows[0]).time == "6.0 s" and figures(rows[1]).time == ""
    page = write(rows, tmp_path / "some.csv", volume.data)
    table.show(rows, page)
    said = capsys.readouterr().out
    assert "3 subjects: 1 done, 1 failed, 1 to do" in said and f"page: {page}" in said
    assert said.index("bad") < said.index("anna") < said.index("roman")  # what needs somebody first
    html = page.read_text()
    assert page == volume.data / "some.html" and "no &lt;film&gt; &amp; none" in html
    assert 'href="bad/.batch.log"' in html and 'src="roman/frames/00001.jpg"' in html
    assert "frames failed" in " ".join(html.split())
