"""`make assets`: listing, fetching, the lock, licences, accounts. What a person types and reads."""

import dataclasses
import getpass
import hashlib
import io
import os
import random
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

from avatarmake import ROOT, assets, doctor
from avatarmake import __main__ as command
from avatarmake.assets import download as module
from avatarmake.assets import pins
from avatarmake.contract.layout import STAGES
from avatarmake.contract.stage import load
from avatarmake.errors import Exit, StageError

BODY = bytes(range(256)) * 40
OTHER = bytes(reversed(BODY))
PASSWORD = "geheim&=%-ü"


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def run(*words: str) -> int:
    """`python -m stages assets ...` in this process."""
    return command.main(["assets", *words])


def locked() -> dict:
    return tomllib.loads(pins.LOCK.read_text()) if pins.LOCK.exists() else {}


def leftovers(tmp_path) -> list[str]:
    return [p.name for p in (tmp_path / "assets" / ".partial").glob("*") if p.suffix != ".lock"]


@pytest.fixture
def another_host(tmp_path, monkeypatch):
    """Go on with the same manifest and lock, and an empty assets folder."""
    return lambda: monkeypatch.setenv("ASSETS", str(tmp_path / "assets2"))


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def somebody(monkeypatch):
    """A person at a terminal who types these words."""

    def types(words: str) -> None:
        stdin = io.StringIO(words)
        stdin.isatty = lambda: True
        monkeypatch.setattr(sys, "stdin", stdin)

    return types


# --- fetching ---------------------------------------------------------------------------------------------------------
def test_what_was_got_is_in_its_place_and_pinned(site, catalogue, tmp_path):
    catalogue("deca", file="sub/deca.tar", url=site.add("/d", BODY), size=len(BODY), sha256=digest(BODY))
    assert run("--get", "deca") == Exit.OK
    assert assets.need("deca") == tmp_path / "assets/sub/deca.tar"
    assert assets.need("deca").read_bytes() == BODY
    assert locked() == {"deca": {"url": site.url("/d"), "size": len(BODY), "sha256": digest(BODY)}}
    assert leftovers(tmp_path) == [] and sorted(p.name for p in tmp_path.glob("assets.*")) == [
        "assets.lock",
        "assets.toml",
    ]


def test_what_is_there_is_not_fetched_again(site, catalogue, capfd):
    catalogue("deca", url=site.add("/d", BODY))
    assert run("--get", "deca") == run("--get", "deca") == Exit.OK
    assert len(site.seen) == 1 and "deca: is there" in capfd.readouterr().out


def test_another_host_gets_the_same_bytes_or_an_error(site, catalogue, another_host, tmp_path, capfd):
    catalogue("deca", url=site.add("/d", BODY))
    catalogue("mica", url=site.add("/m", BODY))
    run("--get", "deca,mica")
    site.add("/m", OTHER)
    another_host()
    assert run("--get", "deca", "mica") == Exit.BAD_INPUT
    assert assets.find("deca").read_bytes() == BODY and assets.find("mica") is None
    said = capfd.readouterr().err
    assert "mica is not the file that assets.lock says" in said and "deca is not" not in said
    assert digest(OTHER) in said and digest(BODY) in said and "It was removed" in said
    assert locked()["mica"]["sha256"] == digest(BODY) and leftovers(tmp_path) == []


def test_a_wrong_digest_is_refused_and_removed(site, catalogue, tmp_path, capfd):
    catalogue("deca", url=site.add("/d", OTHER), sha256=digest(BODY))
    assert run("--get", "deca") == Exit.BAD_INPUT
    assert "is not the file that assets.toml says" in capfd.readouterr().err
    assert assets.find("deca") is None and leftovers(tmp_path) == [] and locked() == {} and len(site.seen) == 1


def test_a_download_without_validator_that_was_joined_wrongly_is_made_anew(site, catalogue, monkeypatch):
    catalogue("deca", url=site.add("/d", OTHER, etag="", cuts=[4000]), sha256=digest(BODY))
    with monkeypatch.context() as patch:
        patch.setattr(module, "PAUSES", ())
        assert run("--get", "deca") == Exit.ENVIRONMENT
    site.add("/d", BODY, etag="")
    assert run("--get", "deca") == Exit.OK
    assert [r.headers.get("Range") for r in site.seen] == [None, "bytes=4000-", None]
    assert assets.find("deca").read_bytes() == BODY


def test_one_that_fails_does_not_stop_the_others(site, catalogue, capfd):
    catalogue("gone", url=site.url("/gone"))
    catalogue("deca", url=site.add("/d", BODY))
    catalogue("hand")
    catalogue("secret", url=site.url("/s"), gated="flame", accept="flame")
    assert run("--get", "all") == Exit.MISSING_ASSET
    assert assets.find("deca") and [r.path for r in site.seen] == ["/gone", "/d"]
    assert "secret" not in capfd.readouterr().err
    assert run("--get", "hand") == Exit.MISSING_ASSET
    assert "is fetched by hand. From https://example.org/" in capfd.readouterr().err


def test_a_name_that_is_not_there_is_a_wrong_command(catalogue, capfd):
    catalogue("deca", url="http://127.0.0.1/d")
    assert run("--get", "dekka") == Exit.USAGE
    assert "there is no asset 'dekka'. There are: deca" in capfd.readouterr().err


def test_two_runs_at_once_fetch_it_once(site, catalogue, capfd):
    catalogue("deca", url=site.add("/d", BODY, pause=0.05))
    codes = []
    runs = [threading.Thread(target=lambda: codes.append(run("--get", "deca"))) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert codes == [Exit.OK, Exit.OK] and len(site.seen) == 1
    assert "another run is fetching it; waiting" in capfd.readouterr().err


# --- archives ---------------------------------------------------------------------------------------------------------
def packed(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, body in members.items():
            pack.writestr(name, body)
    return buffer.getvalue()


@pytest.mark.parametrize("inside", ["model.pkl", "FLAME/model.pkl", "../../../model.pkl", "/model.pkl"])
def test_a_member_is_taken_out_of_a_zip_and_nothing_else(site, catalogue, tmp_path, inside):
    body = packed(**{"../../evil": b"evil", "/evil": b"evil", "Readme.pdf": b"text", inside: BODY})
    catalogue("flame", file="flame/m.pkl", url=site.add("/f", body), member="model.pkl", sha256=digest(BODY))
    assert run("--get", "flame") == Exit.OK
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["assets.lock", "assets.toml", "assets/.partial/flame.lock", "assets/flame/m.pkl"]
    assert assets.find("flame").read_bytes() == BODY
    assert locked()["flame"]["sha256"] == digest(BODY)


@pytest.mark.parametrize("broken", ["no zip", "cut", "damaged", "overwritten", "without it", "twice"])
def test_a_zip_that_is_not_right_is_removed(site, catalogue, tmp_path, capfd, broken):
    body = packed(**{"model.pkl": bytes(random.Random(0).choices(b"abcdefghij", k=40_000))})
    body = {
        "no zip": b"not a zip",
        "cut": body[:10_000],
        "damaged": body[:9000] + b"\0" * 500 + body[9500:],  # its checksum is wrong
        "overwritten": body[:39] + b"\xff" * 500 + body[539:],  # it cannot even be unpacked
        "without it": packed(other=BODY),
        "twice": packed(**{"a/model.pkl": BODY, "b/model.pkl": OTHER}),
    }[broken]
    catalogue("flame", url=site.add("/f", body, says_length=False), member="model.pkl")
    assert run("--get", "flame") == Exit.BAD_INPUT
    said = capfd.readouterr().err
    assert "not a whole zip file" in said or "expected once" in said
    assert leftovers(tmp_path) == [] and assets.find("flame") is None and locked() == {}


# --- the list ---------------------------------------------------------------------------------------------------------
def test_the_list_says_what_is_there_and_pins_what_was_put_there(site, catalogue, tmp_path, capfd):
    catalogue("hand", licence="MIT")
    catalogue("flame", url="https://example.org/f", gated="flame", size=53_000_000)
    catalogue("known", sha256=digest(BODY))
    assert run() == Exit.OK and locked() == {}
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/hand.bin").write_bytes(BODY)
    assert run() == Exit.OK
    lines = capfd.readouterr().out.splitlines()
    assert any(line.startswith("ok  hand") and "10 kB" in line for line in lines)
    assert any(line.startswith("--  flame") and "53 MB" in line for line in lines)
    assert any("hand.bin (MIT; by hand from https://example.org/)" in line for line in lines)
    assert locked() == {"hand": {"url": "", "size": len(BODY), "sha256": digest(BODY)}}

    (tmp_path / "assets/hand.bin").write_bytes(OTHER)
    (tmp_path / "assets/known.bin").write_bytes(OTHER)
    assert run() == Exit.BAD_INPUT
    said = capfd.readouterr()
    assert "!!  hand" in said.out and "!!  known" in said.out
    assert "hand is not the file that assets.lock says" in said.err
    assert "known is not the file that assets.toml says" in said.err
    assert set(locked()) == {"hand"}
    assert run("--get", "hand") == Exit.BAD_INPUT


def test_the_lock_is_the_same_whatever_came_first(catalogue):
    first, second = pins.Pin("https://example.org/a", 1, "a" * 64), pins.Pin("", 2, "b" * 64)
    catalogue("a")
    pins.write({"x": first})
    pins.write({"b": second})
    text = pins.LOCK.read_text()
    pins.LOCK.unlink()
    pins.write({"b": second, "x": first})
    assert pins.LOCK.read_text() == text and pins.read() == {"b": second, "x": first}


@pytest.mark.parametrize("text", ["[deca\n", "[deca]\nurl = 1\n", "deca = 3\n"])
def test_a_damaged_lock_is_named(catalogue, text, capfd):
    catalogue("deca")
    pins.LOCK.write_text(text)
    assert run() == Exit.BAD_INPUT
    assert "assets.lock: is damaged" in capfd.readouterr().err


def test_doctor_says_which_and_for_what(site, catalogue):
    catalogue("deca", stages=["track", "mask"], url=site.add("/d", BODY))
    catalogue("mica", stages=["mask"])
    rows = {row[1]: row[2] for row in doctor._assets()}
    assert rows["assets"].startswith("none. Not needed") and rows["for mask"].endswith("deca, mica")
    run("--get", "deca")
    rows = {row[1]: row[2] for row in doctor._assets()}
    assert rows["assets"].startswith("deca.") and rows["for mask"].endswith(": mica") and "for track" not in rows


def test_a_missing_asset_says_what_to_type(catalogue, monkeypatch):
    catalogue("deca", url="https://example.org/d", licence="DECA")
    with pytest.raises(StageError, match=r"licence: DECA.*make assets GET=deca.*https://example.org/") as e:
        assets.need("deca")
    assert e.value.exit == Exit.MISSING_ASSET
    monkeypatch.setenv("AVATARMAKE_ASSETS", "/assets")  # as in a container: the engine tells the user's path
    with pytest.raises(StageError, match="^/assets/deca.bin: "):
        assets.need("deca")


def test_the_manifest_is_in_order():
    listed = assets.manifest()
    assert len({a.file for a in listed.values()}) == len(listed)
    for asset in listed.values():
        assert asset.url.startswith("https://") and asset.page.startswith("https://") and asset.licence
        assert not asset.sha256 or (len(asset.sha256) == 64 and asset.size)
        assert bool(asset.accept) == bool(asset.terms) and (asset.accept or not asset.gated)
        assert all((ROOT / "stages" / stage).is_dir() for stage in asset.stages)


@pytest.mark.parametrize("stage", STAGES)
def test_the_manifest_names_every_stage_that_reads_an_asset(stage):
    declared = load(stage)
    configs = [declared.config()]
    if "head_model" in {f.name for f in dataclasses.fields(declared.config)}:
        configs.append(declared.config(head_model="flame"))
    for name in {name for config in configs for name in declared.assets(config)}:
        assert stage in assets.manifest()[name].stages, name


def test_the_real_landmarker_is_the_one_of_the_manifest(shared_data):
    real, listed = (shared_data / "face_landmarker.task").read_bytes(), assets.manifest()["face_landmarker"]
    assert (listed.size, listed.sha256) == (len(real), digest(real))


# --- licences and accounts --------------------------------------------------------------------------------------------
@pytest.fixture
def licensed(site, catalogue):
    catalogue("deca", url=site.add("/d", BODY), accept="deca", terms="https://example.org/licence", licence="DECA's")


def test_a_licence_is_not_agreed_to_by_nobody(site, licensed, capfd):
    assert run("--get", "deca") == Exit.MISSING_ASSET
    said = capfd.readouterr().err
    assert "https://example.org/licence" in said and "make assets GET=deca ACCEPT=deca" in said and site.seen == []


def test_a_licence_is_agreed_to_beforehand(licensed, monkeypatch):
    assert run("--get", "deca", "--accept", "flame,deca") == Exit.OK
    assets.find("deca").unlink()
    monkeypatch.setenv("AVATARMAKE_ACCEPT_LICENCES", "mica deca")
    assert run("--get", "deca") == Exit.OK


@pytest.mark.parametrize("answer", ["y\n", "YES\n", "n\n", "\n", "", "yn\n"])
def test_a_person_is_shown_the_licence_and_asked_once(site, catalogue, licensed, somebody, answer, capfd):
    catalogue("more", url=site.add("/more", BODY), accept="deca", terms="https://example.org/licence")
    somebody(answer)
    agreed = answer.strip().lower() in ("y", "yes")
    assert run("--get", "deca", *(["more"] if agreed else [])) == (Exit.OK if agreed else Exit.MISSING_ASSET)
    said = capfd.readouterr().err
    assert "DECA's" in said and "https://example.org/licence" in said and said.count("[y/N]") == 1
    assert bool(site.seen) == agreed


@pytest.fixture
def gated(site, catalogue):
    account = {"username": "me@example.org", "password": PASSWORD}
    url = site.add("/f?sfile=F.zip", packed(**{"F/model.pkl": BODY}), account=account)
    catalogue("flame", url=url, member="model.pkl", gated="flame")
    return url


def test_an_account_is_asked_for_plainly(gated, site, capfd):
    assert run("--get", "flame") == Exit.MISSING_ASSET
    said = capfd.readouterr().err
    assert "an account of https://example.org/ is needed" in said and "FLAME_USERNAME and FLAME_PASSWORD" in said
    assert site.seen == []


def test_the_account_comes_from_a_prompt(gated, somebody, monkeypatch, capfd):
    somebody("me@example.org\n")
    monkeypatch.setattr(getpass, "getpass", lambda prompt: PASSWORD)
    assert run("--get", "flame") == Exit.OK
    assert assets.find("flame").read_bytes() == BODY
    assert PASSWORD not in "".join(capfd.readouterr())


HOST = """
import sys
from pathlib import Path
from avatarmake import __main__, assets
from avatarmake.assets import download, pins
assets.MANIFEST, pins.LOCK, download.PAUSES = Path(sys.argv[1]), Path(sys.argv[2]), ()
sys.exit(__main__.main(sys.argv[3:]))
"""


@pytest.mark.parametrize("case", ["right", "wrong", "cut", "crash"])
def test_the_password_is_nowhere_to_be_seen(gated, site, tmp_path, case):
    """Not in the output, the process list, the lock, or any file; whether it works, is refused, or breaks off."""
    page = site.pages["/f?sfile=F.zip"]
    page.pause = 0.3
    page.cuts = [10] if case == "cut" else []
    if case == "crash":
        pins.LOCK.write_bytes(b"\xff")
    given = {"FLAME_USERNAME": "me@example.org", "FLAME_PASSWORD": "falsch-ü" if case == "wrong" else PASSWORD}
    words = [sys.executable, "-c", HOST, str(assets.MANIFEST), str(pins.LOCK), "assets", "--get", "flame"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **given}, **pipes)
    while not site.seen and process.poll() is None:
        time.sleep(0.02)
    listed = b"" if process.poll() is not None else Path(f"/proc/{process.pid}/cmdline").read_bytes()  # what ps shows
    output = b"".join(process.communicate(timeout=30))
    wanted = {"right": Exit.OK, "wrong": Exit.MISSING_ASSET, "cut": Exit.ENVIRONMENT, "crash": Exit.BAD_INPUT}[case]
    assert process.returncode == wanted, output
    if case == "wrong":
        assert b"the account was not accepted" in output
    for name in given.values():
        if name != "me@example.org":
            for secret in (name.encode(), name.split("&")[0].split("-")[0].encode()):
                assert secret not in output + listed
                assert not [p for p in tmp_path.rglob("*") if p.is_file() and secret in p.read_bytes()]
