"""A pack as a file: the same bytes for the same content, and nothing is believed of one that comes from elsewhere."""

import io
import json
import tarfile

import pytest
import zstandard

from avatarmake.errors import StageError
from avatarmake.pack import archive

ABOUT = {"subject": "roman"}
FILES = {"subject/frames/stage.json": b"{}", "b/" + "long/" * 40 + "name": b"x" * 5000, "a": b""}
X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # sha256 of x


def write(path, files=FILES):
    return archive.write(path, ABOUT, files)


def test_what_goes_in_comes_out(tmp_path):
    listed = write(tmp_path / "p.tar.zst")
    assert archive.read(tmp_path / "p.tar.zst") == listed
    assert archive.unpack(tmp_path / "p.tar.zst", tmp_path / "out") == listed
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES


def test_the_same_content_is_the_same_bytes(tmp_path):
    write(tmp_path / "one")
    for name, content in FILES.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(content)
        (tmp_path / "files" / name).chmod(0o600)
    write(tmp_path / "two", {name: tmp_path / "files" / name for name in reversed(FILES)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_that_changes_meanwhile_is_found_out(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    look = archive._size_and_digest

    def then_change(source):
        found = look(source)
        path.write_bytes(b"behind")
        return found

    monkeypatch.setattr(archive, "_size_and_digest", then_change)
    with pytest.raises(StageError, match="changed while it was packed"):
        write(tmp_path / "p", {"file": path})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def crafted(path, *members, files=None, head=None) -> None:
    """A tar as no `make pack` writes it. A member: (name or TarInfo, content)."""
    with zstandard.open(path, "wb") as raw, tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        listed = {"format": 1, "files": files or {}} if head is None else head
        for name, content in ((archive.CONTENTS, json.dumps(listed).encode()), *members):
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.size = len(content) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(content))


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    ("member", "listed"),
    [
        (("../x", b"x"), {"../x": [1, X]}),
        (("/tmp/x", b"x"), {"/tmp/x": [1, X]}),
        (("a/../../x", b"x"), {"a/../../x": [1, X]}),
        (("a//x", b"x"), {"a//x": [1, X]}),
        ((special("x", tarfile.SYMTYPE, "/etc/passwd"), b""), {"x": [0, X]}),
        ((special("x", tarfile.LNKTYPE, "pack.json"), b""), {"x": [0, X]}),
        ((special("x", tarfile.CHRTYPE), b""), {"x": [0, X]}),
        ((special("x", tarfile.DIRTYPE), b""), {"x": [0, X]}),
        (("x", b"x"), {}),  # not in the list
        (("x", b"xx"), {"x": [1, X]}),
        (("x", b"y"), {"x": [1, X]}),
        (("x", b"x"), {"x": [1, X], "y": [1, X]}),
        (("x", b"x"), {"x": [-1, X]}),
        (("x", b"x"), {"x": [1, "../" + X]}),
        (("x", b"x"), ["x"]),
    ],
)
def test_what_is_not_what_its_list_says_is_refused_and_leaves_nothing(tmp_path, member, listed):
    crafted(tmp_path / "p", member, files=listed)
    with pytest.raises(StageError, match="damaged"):
        archive.unpack(tmp_path / "p", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_the_same_name_twice(tmp_path):
    crafted(tmp_path / "p", ("x", b"x"), ("x", b"x"), files={"x": [1, X]})
    with pytest.raises(StageError, match="damaged"):
        archive.unpack(tmp_path / "p", tmp_path / "out")


def test_no_more_is_taken_in_than_is_announced(tmp_path, monkeypatch):
    """Of a file that unpacks to much more than it is: 100 MB of zeros are 10 kB."""
    monkeypatch.setattr(archive, "LIST_BYTES", 2**20)
    header = tarfile.TarInfo("x")
    header.size = 100_000_000
    crafted(tmp_path / "p", files={"x": [1, X]})
    with zstandard.open(tmp_path / "p", "rb") as f:
        tar = f.read().rstrip(b"\0")
    tar += b"\0" * (-len(tar) % 512) + header.tobuf()
    (tmp_path / "p").write_bytes(zstandard.compress(tar + b"\0" * 100_000_000))
    with pytest.raises(StageError, match="damaged"):
        archive.unpack(tmp_path / "p", tmp_path / "out")
    taken = []
    real = archive.Bounded.read

    def counted(self, count=-1):
        got = real(self, count)
        taken.append(len(got))
        return got

    monkeypatch.setattr(archive.Bounded, "read", counted)
    endless = tarfile.TarInfo("././@PaxHeader")
    endless.type, endless.size = tarfile.XHDTYPE, 100_000_000
    (tmp_path / "p").write_bytes(zstandard.compress(endless.tobuf() + b"1" * 100_000_000))
    with pytest.raises(StageError, match="damaged"):
        archive.read(tmp_path / "p")
    assert sum(taken) < 2**21


@pytest.mark.parametrize("content", [b"", b"no pack", zstandard.compress(b"no tar" * 200), zstandard.compress(b"")])
def test_no_pack_at_all(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(StageError, match="pack"):
        archive.read(tmp_path / "p")


def test_every_cut_is_found(tmp_path):
    write(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for length in range(0, len(whole) - 1, 37):
        (tmp_path / "p").write_bytes(whole[:length])
        with pytest.raises(StageError):
            archive.unpack(tmp_path / "p", tmp_path / "out")


def test_a_newer_format_says_so(tmp_path):
    crafted(tmp_path / "p", head={"format": 2, "files": {}})
    with pytest.raises(StageError, match="format 2; this avatarmake reads up to 1"):
        archive.read(tmp_path / "p")


def test_no_file_is_one_line(tmp_path):
    with pytest.raises(StageError, match="there is no such file"):
        archive.read(tmp_path / "p")
