"""The page in a browser: what it shows is what the CPU's rasteriser draws, and all that it offers works."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from avatarmake.avatar import tracked
from tests.view.browser import Browser, pixels
from tests.view.conftest import unpacked

SIDE = 512
FLOOR = 45  # dB


@pytest.fixture(scope="module")
def page(viewed):
    return viewed.directory("view") / "index.html"


@pytest.fixture(scope="module")
def shown(needs_browser, page):
    """The page, open."""
    with Browser() as browser:
        browser.open(page)
        browser.wait("window.avatar")
        yield browser


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-9)))


def test_pictures_are_those_of_the_rasteriser(shown, avatar, poses):
    found = []
    for pose in poses:
        p, view, rotation, translation, body = unpacked(pose)
        expected = avatar.draw(p, rotation, translation, avatar.camera(SIDE), view=view, body=body)
        assert expected.min() < 60  # there is something to see
        found.append(psnr(pixels(shown.run("return avatar.picture(...arguments_)", SIDE, pose)), expected))
    assert min(found) >= FLOOR, found


def test_the_background_is_chosen(shown, avatar, poses):
    picture = pixels(shown.run("return avatar.picture(64, arguments_[0], [0, 0.5, 1])", poses[0]))
    assert picture[0, 0].tolist() in ([0, 127, 255], [0, 128, 255])


def test_a_slider_moves_what_it_is_called(shown):
    """Every one of them: its parameter is set, and the picture is another one."""
    before = shown.run("avatar.play(false); return avatar.picture(96)")
    names = shown.run("return [...document.querySelectorAll('#sliders input')].map((input) => input.name)")
    assert {"head turn", "jaw open", "eyes gaze sideways", "eyes left lid", "face smile"} <= set(names)
    assert len(names) == 9 + 25 == len(set(names))
    script = """
        const [name] = arguments_, input = document.querySelector(`#sliders input[name="${name}"]`);
        const was = structuredClone(avatar.state.parameters);
        input.valueAsNumber = Number(input.min) + 0.8 * (input.max - input.min);
        input.dispatchEvent(new Event("input"));
        const changed = Object.keys(was).filter((part) => String(was[part]) !== String(avatar.state.parameters[part]));
        const picture = avatar.picture(96);
        avatar.set(was);
        return [changed, picture];
    """
    parts = {"head": "view", "jaw": "jaw_pose", "eyes": "eye_pose", "face": "expression"}
    for name in names:
        changed, picture = shown.run(script, name)
        assert changed == ["eyelids" if name.endswith("lid") else parts[name.split()[0]]], name
        assert picture != before, name


def test_it_plays_what_was_tracked(shown, viewed):
    own = tracked.of_dataset(viewed.directory("refined"), "small")
    shown.run("document.getElementById('play').click()")
    shown.wait("avatar.state.frame > 2")
    shown.run("avatar.play(false); const time = document.getElementById('time'); time.value = 5;"
              "time.dispatchEvent(new Event('input'));")  # fmt: skip
    state = shown.run("return [avatar.state.frame, avatar.state.playing, avatar.state.parameters]")
    assert state[:2] == [5, False]
    np.testing.assert_allclose(state[2]["expression"], own.expression[5], atol=2e-3)
    np.testing.assert_allclose(state[2]["translation"], own.t[5], atol=1e-6)


def test_it_plays_a_drive_by_its_name(shown, viewed):
    """The same frames as in the drive's own file, body and all."""
    own = tracked.of_dataset(viewed.directory("refined"), "small")
    choose = "const c = document.getElementById('chosen'); c.value = arguments_[0];"
    choose += "c.dispatchEvent(new Event('change'));"
    shown.run(f"{choose} avatar.play(false)", "anna")
    shown.run("const t = document.getElementById('time'); t.value = 8; t.dispatchEvent(new Event('input'));")
    options, last, p = shown.run("return [[...document.getElementById('chosen').options].map((o) => o.value),"
                                 "document.getElementById('time').max, avatar.state.parameters]")  # fmt: skip
    assert options == ["the tracked video", "anna"] and last == "8"
    np.testing.assert_allclose(p["expression"], own.expression[-1], atol=2e-3)
    np.testing.assert_allclose(p["translation"], own.t[-1], atol=1e-6)
    assert len(p["body_view"]) == len(p["body_translation"]) == 3
    shown.run(f"{choose} avatar.play(false)", "the tracked video")


DROP = """
    const [text, name] = arguments_, bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    document.querySelector("canvas").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
"""


def dropped(browser: Browser, content: bytes, name: str) -> str:
    """What the page says of a file."""
    browser.run(DROP, base64.b64encode(content).decode(), name)
    browser.wait(f"document.getElementById('message').textContent.startsWith('{name}:')")
    return browser.run("return document.getElementById('message').textContent")


def test_a_file_of_parameters_is_dropped_on_it(shown, viewed, tmp_path):
    own = tracked.of_dataset(viewed.directory("refined"), "small").at(np.arange(0, 0.5, 0.1))
    own.write(tmp_path / "driver.npz")
    assert dropped(shown, (tmp_path / "driver.npz").read_bytes(), "driver.npz") == "driver.npz: 5 frames"
    shown.wait("avatar.state.playing && avatar.state.frame > 0")
    chosen = "const c = document.getElementById('chosen'); return [c.hidden, c.value, c.options.length]"
    assert shown.run(chosen) == [False, "driver.npz", 3]
    other = io.BytesIO()
    np.savez(other, a=np.zeros(3))
    assert "it has no times" in dropped(shown, other.getvalue(), "other.npz")
    assert "no .npz" in dropped(shown, b"not a zip", "words.npz")


def test_keys_and_mouse_and_fingers(shown):
    orbit = "return Object.values(avatar.state.orbit)"
    key = "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: arguments_[0], bubbles: true }))"
    shown.run(key, "r")
    assert shown.run(orbit) == [0, 0, 1]
    for name in ("ArrowRight", "ArrowUp", "+"):
        shown.run(key, name)
    assert (np.array(shown.run(orbit)) > [0, 0, 1]).all()
    shown.run(key, "r")
    pointer = """
        const canvas = document.querySelector("canvas");
        canvas.setPointerCapture = () => {};
        for (const [type, id, x, y] of arguments_) {
          canvas.dispatchEvent(new PointerEvent(type, { pointerId: id, clientX: x, clientY: y, bubbles: true }));
        }
    """
    shown.run(pointer, ["pointerdown", 1, 100, 100], ["pointermove", 1, 150, 80], ["pointerup", 1, 150, 80])
    yaw, pitch, zoom = shown.run(orbit)
    assert yaw > 0.1 and pitch > 0.05 and zoom == 1
    shown.run(key, "r")
    shown.run(pointer, ["pointerdown", 1, 100, 100], ["pointerdown", 2, 200, 100], ["pointermove", 2, 300, 100],
              ["pointerup", 1, 100, 100], ["pointerup", 2, 300, 100])  # fmt: skip
    assert shown.run(orbit) == [0, 0, 2]
    wheel = "new WheelEvent('wheel', { deltaY: 300, cancelable: true })"
    shown.run(f"document.querySelector('canvas').dispatchEvent({wheel})")
    assert shown.run(orbit)[2] < 2
    shown.run(key, "n")
    assert not any(shown.run("return avatar.state.parameters.expression"))


def test_it_asks_nobody_for_anything_and_complains_of_nothing(shown, page):
    """Last of those that use the page: its whole log."""
    said, asked = shown.log()
    assert said == []
    assert [address for address in asked if not address.startswith("data:")] == [page.resolve().as_uri()]


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1200, True)])
def test_on_a_phone_and_in_the_dark(needs_browser, page, width, dark):
    """Nothing reaches over the edge, and what is to be read can be."""
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    with Browser(*flags) as browser:
        browser.viewport(width, 800)
        browser.open(page)
        browser.wait("window.avatar")
        assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") is dark
        assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
        small = "return [...document.querySelectorAll('button, .button, #sliders label')].map((e) => e.clientHeight)"
        assert min(height for height in browser.run(small) if height) >= (28 if width > 1000 else 36)
        style = "const s = getComputedStyle(document.querySelector('legend')), b = getComputedStyle(document.body);"
        numbers = "return [s.color, b.backgroundColor].map((c) => c.match(/\\d+/g).map(Number))"
        ink, ground = browser.run(style + numbers)
        assert abs(np.mean(ink) - np.mean(ground)) > 150


def test_without_webgl_it_says_so(needs_browser, page):
    with Browser("--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis") as browser:
        browser.open(page)
        browser.wait("!document.getElementById('message').hidden")
        assert "no WebGL2" in browser.run("return document.getElementById('message').textContent")


def test_pixels_are_read_as_they_are():
    stream = io.BytesIO()
    Image.fromarray(np.full((2, 3, 3), 77, np.uint8)).save(stream, "PNG")
    text = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    assert (pixels(text) == 77).all() and pixels(text).shape == (2, 3, 3)
