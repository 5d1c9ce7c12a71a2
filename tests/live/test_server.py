"""The server: for this machine and the page alone, frames in, parameters out, a recording that `make drive` takes."""

import asyncio
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from avatarmake.avatar.performance import Performance
from avatarmake.errors import Exit
from avatarmake.geometry import rotations
from stages.live import STAGE, LiveConfig, __main__
from stages.live.follower import Follower
from stages.live.server import Live
from stages.live.session import HEADER, Session, Trunk, frame
from tests.live.conftest import FOCAL, IMAGE, RATE, SIZE, Moving
from tests.view.browser import Browser
from tests.view.conftest import needs_browser, subject  # noqa: F401

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def own() -> Performance:
    """The avatar's own: another face, at rest now and then."""
    moving = Moving(60)
    zeros = np.zeros((60, 6), np.float32)
    return Performance(
        "open", moving.head.digest, RATE, np.arange(60) / RATE, moving.expression, moving.jaw_pose, zeros,
        moving.eyelids, moving.R, moving.t, np.diag([FOCAL, FOCAL, 1]).astype(np.float32), SIZE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def served():
    """A server in a thread of its own, whose camera sees Moving."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    performance = own()

    def session() -> Session:
        moving = Moving(80)
        return Session(performance, lambda size: Follower(moving.head, size, FOCAL, moving.detect))

    live = Live(lambda port: f"<title>{port}</title>", session)
    server = asyncio.run_coroutine_threadsafe(live.open(), loop).result()
    yield live
    server.close()
    asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def socket(live: Live, **more):
    origin = f"http://127.0.0.1:{live.port}"
    address = live.address.replace("http", "ws") + "socket"
    return connect(address, **{"origin": origin, "max_size": None, "proxy": None, "compression": None} | more)


def message(time: float) -> bytes:
    return HEADER.pack(time, *SIZE, 0) + bytes(4 * SIZE[0] * SIZE[1])


def get(address: str, **headers) -> tuple[int, str, dict]:
    try:
        with DIRECT.open(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.read().decode(), dict(e.headers)


def test_the_page_is_at_its_address_and_nowhere_else(served):
    code, text, headers = get(served.address)
    assert (code, text) == (200, f"<title>{served.port}</title>")
    assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
    root = f"http://127.0.0.1:{served.port}/"
    for path in ("", "socket", "x/", f"{served.token[:-1]}/", f"{served.token}/other", "%2e%2e/", "\x7f/"):
        assert get(root + path)[0] == 404 if path != "\x7f/" else True, path


def test_others_are_refused(served):
    assert get(served.address, Host="evil.example")[0] == 403  # another name for this machine
    assert get(served.address, Origin="http://evil.example")[0] == 403
    for origin in ("http://evil.example", "null", f"http://localhost:{served.port}", None):
        with pytest.raises(InvalidStatus) as refused:
            socket(served, origin=origin)
        assert refused.value.response.status_code == 403, origin


def test_it_listens_to_this_machine_only(served):
    assert served.address.startswith("http://127.0.0.1:") and len(served.token) >= 20


def test_frames_become_parameters_and_a_recording(served, tmp_path):
    with socket(served) as camera:
        told = []
        for k in range(60):
            if k == 40:
                camera.send("record")
            camera.send(message(k / RATE))
            told.append(json.loads(camera.recv()))
        camera.send("stop")
        content = camera.recv()
    states = [t["state"] for t in told]
    assert states[0] == "waiting" and states[-1] == "followed" and all(t["took"] > 0 for t in told)
    sizes = {name: len(value) for name, value in told[-1]["parameters"].items()}
    assert sizes == {
        "expression": 100, "jaw_pose": 3, "eye_pose": 6, "eyelids": 2, "view": 3, "translation": 3
    }  # fmt: skip
    assert told[-1]["time"] == 58 / RATE and told[-1]["sent"] == 59 / RATE
    jaws = [t["parameters"]["jaw_pose"][0] for t in told if "parameters" in t]
    assert max(jaws) - min(jaws) > 0.05
    (tmp_path / "recorded.npz").write_bytes(content)
    recorded = Performance.read(tmp_path / "recorded.npz")
    assert len(recorded) == 20 and recorded.times[0] == 0 and recorded.fps == pytest.approx(RATE, rel=1e-3)


def test_nothing_recorded_is_nothing(served):
    with socket(served) as camera:
        camera.send("stop")
        assert camera.recv() == b""


def test_one_camera_at_a_time(served, monkeypatch):
    with socket(served) as first:
        first.send(message(0))
        first.recv()
        monkeypatch.setattr(served, "patience", 0.05)
        with socket(served) as second, pytest.raises(ConnectionClosed) as ended:
            second.recv()
        assert "another page has the camera" in str(ended.value)


@pytest.mark.parametrize("wrong", [b"", b"short", HEADER.pack(float("nan"), *SIZE, 0), HEADER.pack(0, 10, 10, 0)])
def test_what_is_no_frame_ends_it(served, wrong):
    with pytest.raises(ValueError):
        frame(wrong)
    with socket(served) as camera:
        camera.send(wrong)
        with pytest.raises(ConnectionClosed) as ended:
            camera.recv()
        assert ended.value.rcvd.code == 1003


def test_frames_are_read_as_they_are():
    pixels = np.arange(64 * 70 * 4, dtype=np.uint64).astype(np.uint8).reshape(64, 70, 4)
    time, image = frame(HEADER.pack(1.5, 70, 64, 0) + pixels.tobytes())
    assert time == 1.5 and (image == pixels[..., :3]).all() and IMAGE.shape == (SIZE[1], SIZE[0], 3)


def test_a_body_stays_behind_a_head():
    """Where the head is after long, where it was at once, and rigid all the while."""
    joint, still = np.array([0, -0.14, -0.1]), (np.diag([1.0, -1, -1]), np.array([0, 0, 0.8]))
    turned = (still[0] @ rotations.matrix_from_axis_angle(np.array([0, 0.5, 0])), np.array([0.1, 0, 0.8]))
    trunk = Trunk(joint, 2.0)
    trunk.under(0.0, *still)
    r, t = trunk.under(0.04, *turned)
    assert np.abs(r - still[0]).max() < 0.02 and np.abs(r @ joint + t - still[0] @ joint - still[1]).max() < 0.01
    for k in range(500):
        r, t = trunk.under(0.08 + k / 25, *turned)
        np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-9)
    assert np.abs(r - turned[0]).max() < 1e-3 and np.abs(t - turned[1]).max() < 1e-3
    assert np.abs(Trunk(joint, np.inf).under(0, *turned)[0] - turned[0]).max() < 1e-9


def test_options_out_of_range_and_a_missing_avatar(capsys, tmp_path):
    assert __main__.main(["roman", "--data", str(tmp_path), "--lag", "3"]) == Exit.USAGE
    assert __main__.main(["roman", "--data", str(tmp_path)]) != Exit.OK
    said = capsys.readouterr().err
    assert "lag must be 0 to 2" in said and "make " in said and "Traceback" not in said
    assert STAGE.writes == "" and LiveConfig().lag == 1


def test_the_page_with_a_camera(needs_browser, subject):  # noqa: F811
    """Chromium's own fake camera shows no face: frames arrive, and the page says what is wanted."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    live = __main__.live(subject, LiveConfig())
    server = asyncio.run_coroutine_threadsafe(live.open(), loop).result()
    fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with Browser(*fake) as browser:
        browser.open(live.address)
        browser.wait("window.live")
        browser.run("document.getElementById('camera').click()")
        browser.wait("document.getElementById('message').textContent.startsWith('Look into the camera')")
        browser.run("document.getElementById('camera').click()")
        browser.wait("!window.live.socket")
        said, asked = browser.log()
    assert said == []
    assert {address for address in asked if not address.startswith("data:")} == {live.address}
    server.close()
    asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
