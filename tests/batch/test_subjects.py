"""The list of a batch: what may stand in it, and what is said of what may not."""

from pathlib import Path

import pytest

from avatarmake.batch.batch import joined, targets
from avatarmake.batch.standing import options
from avatarmake.batch.subjects import Line, read
from avatarmake.contract.stage import load
from avatarmake.errors import Exit, StageError

TARGETS = ["frames", "track", "convert", "mask", "refine", "train"]


@pytest.fixture
def listed(tmp_path):
    def write(text: str) -> list[Line]:
        (tmp_path / "some.csv").write_text(text, encoding="utf-8-sig")
        return read(tmp_path / "some.csv", TARGETS, tmp_path / "data")

    return write


def test_lines(listed, tmp_path):
    roman, anna, long = listed(
        "id,video,options\nroman,films/roman.mp4,\n"
        'anna,"/a film, of her.mp4",FPS=25 PERSON=left\n\nlong,~/l.mp4,SHARDS=8 ITERATIONS=9000 REFINE=0\n'
    )
    assert roman == Line("roman", tmp_path / "films" / "roman.mp4")
    assert anna.video == Path("/a film, of her.mp4") and anna.options == {"FPS": "25", "PERSON": "left"}
    assert long.shards == 8 and long.video == Path.home() / "l.mp4"
    assert long.words(load("train")) == ["--iterations=9000"]
    assert long.words(load("track")) == ["--no-refine"]
    assert anna.words(load("frames")) == ["--video=/a film, of her.mp4", "--fps=25", "--person=left"]


def test_columns_in_any_order_and_without_a_video(listed):
    assert listed("Options, ID\nFPS=10,demo\n") == [Line("demo", None, {"FPS": "10"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Columns are id, video, options"),
        ("video\na.mp4\n", "Columns are id, video, options"),
        ("id,film\na,b\n", "Columns are id, video, options"),
        ("id,video\n", "names no subject"),
        ("id,video\nroman,a.mp4\nRoman,b.mp4\n", "line 3: Roman is there twice"),
        ("id,video\nro man,a.mp4\n", "line 2: 'ro man' cannot be a subject's ID"),
        ("id,video\n,a.mp4\n", "line 2: '' cannot be a subject's ID"),
        ("id,video\na,b,c,d\n", "line 2: has more values than there are columns"),
        ("id,options\nroman,FPZ=25\n", "line 2: no stage has an option FPZ. There are: "),
        ("id,options\nroman,--fps=25\n", "line 2: no stage has an option --fps"),
        ("id,options\nroman,fast\n", "line 2: 'fast' is no option"),
        ("id,options\nroman,SHARDS=many\n", "line 2: SHARDS is 'many'"),
        ("id,options\nroman,SHARD=0/2\n", "line 2: no stage has an option SHARD"),
        ("id,options\nroman,PERSON='left\n", "line 2: its options cannot be read"),
        ('id,options\n"roman,FPS=1\n', "is no CSV"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_line(listed, text, said):
    with pytest.raises(StageError) as e:
        listed(text)
    assert said in str(e.value) and "some.csv" in str(e.value) and e.value.exit == Exit.USAGE


@pytest.mark.parametrize("path", ["", "nope.csv", "."])
def test_no_list(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match=r"make batch LIST=subjects\.csv"):
        read(Path(path), TARGETS, tmp_path)


def test_no_text(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(StageError, match="is no text in UTF-8"):
        read(tmp_path / "a.xlsx", TARGETS, tmp_path)


def test_a_line_s_own_option_holds_against_the_command_line_s():
    common = {"train": joined(["--iterations", "300", "--hat", "--seed", "-1"]), "track": ["--no-refine"]}
    line = Line("roman", None, {"ITERATIONS": "9000", "REFINE": "1"})
    assert options(line, "train", load("train"), common) == ["--hat", "--seed=-1", "--iterations=9000"]
    assert options(line, "track", load("track"), common) == ["--refine"]
    assert options(Line("anna"), "train", load("train"), common)[0] == "--iterations=300"


def test_stages_come_with_those_before_them():
    assert targets("") == ["frames", "track", "convert", "mask", "refine", "train", "view", "report"]
    assert targets("convert,track") == ["frames", "track", "convert"]
    with pytest.raises(StageError, match="there is no stage 'trian'"):
        targets("track trian")
