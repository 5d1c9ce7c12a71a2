"""A browser without a window, driven through ChromeDriver's own protocol (W3C WebDriver) with the standard library."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

NEEDED = ("chromium", "chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def missing() -> list[str]:
    """Programs that are not there."""
    return [name for name in NEEDED if shutil.which(name) is None]


class Browser:
    """One session. `log` tells what the page said and asked for since the last call."""

    def __init__(self, *flags: str, size: tuple[int, int] = (1200, 800)):
        self._home = tempfile.TemporaryDirectory()
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"HOME": self._home.name},
        )
        self._driver = driver
        self.pid = driver.pid
        port = next(found[1] for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line)))
        self._root = f"http://127.0.0.1:{port}/session"
        options = {"args": [*FLAGS, f"--window-size={size[0]},{size[1]}", *flags]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/{answer['sessionId']}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait()
            self._driver.stdout.close()
            self._home.cleanup()

    def _ask(self, method: str, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with DIRECT.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            with e:
                raise AssertionError(json.load(e)["value"]["message"]) from None

    def open(self, page: Path | str) -> None:
        self._ask("POST", "/url", {"url": page.resolve().as_uri() if isinstance(page, Path) else page})

    def run(self, script: str, *arguments):
        """The body of an async function; `arguments` are its own. -> what it returns."""
        text = f"const given = [...arguments], done = given.pop(); (async (...arguments_) => {{ {script} }})"
        text += "(...given).then((value) => done({ value }), (error) => done({ error: String(error) }));"
        answer = self._ask("POST", "/execute/async", {"script": text, "args": list(arguments)})
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def wait(self, condition: str, seconds: int = 60) -> None:
        """Until a JavaScript expression is true."""
        script = (
            f"const end = Date.now() + {1000 * seconds}; while (!({condition})) {{"
            "if (Date.now() > end) throw new Error('it never came true');"
            "await new Promise((go) => setTimeout(go, 20)); }"
        )
        self._ask("POST", "/timeouts", {"script": 1000 * seconds + 5000})
        self.run(script)

    def viewport(self, width: int, height: int) -> None:
        """The size of what is seen, of a phone's too: a window's own has a least width."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        command = {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        self._ask("POST", "/goog/cdp/execute", command)

    def log(self) -> tuple[list[str], list[str]]:
        """-> what was said on the console, and every address that was asked for; each once."""
        said = [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]
        events = [json.loads(e["message"])["message"] for e in self._ask("POST", "/se/log", {"type": "performance"})]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return said, asked

    def screenshot(self) -> bytes:
        """PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))


def pixels(address: str) -> np.ndarray:
    """data: address of a PNG -> (H,W,3) uint8."""
    from PIL import Image

    content = base64.b64decode(address.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
