"""index.html: style, modules and the avatar in one text. The modules stay as they are; an import map names them."""

import base64
import json
from html import escape
from pathlib import Path

FOLDER = Path(__file__).with_name("page")
MODULES = ("evaluate", "draw", "performance", "controls")  # page.js is the page's own script
# nothing is fetched from anywhere: what is not in the page does not come in, and nothing goes out
POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:"


def page(name: str, packed: str, policy: str = POLICY, more: str = "") -> str:
    """`packed`: what packing.pack gave; `more`: a module that runs after the page's own. -> the page."""
    parts = {
        "policy": policy,
        "name": escape(name),
        "style": _text("page.css"),
        "modules": json.dumps({"imports": {f"./{module}.js": _address(module) for module in MODULES}}),
        "page": _text("page.js"),
        "avatar": packed,
        "more": f'<script type="module">\n{more}\n</script>\n' if more else "",
    }
    text = _text("page.html")
    for part, content in parts.items():
        text = text.replace("{{" + part + "}}", content)
    return text


def withheld(name: str, why: str) -> str:
    """A page that says why the avatar is not in it."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f"<title>{escape(name)} · avatar</title><style>{_text('page.css')}</style>"
    text = f'<p class="withheld">{escape(name)}: {escape(why)}.</p>'
    return f'<!doctype html>\n<html lang="en"><head>{head}{title}</head>\n<body>{text}</body></html>\n'


def _text(name: str) -> str:
    return (FOLDER / name).read_text().rstrip("\n")


def _address(module: str) -> str:
    return "data:text/javascript;base64," + base64.b64encode(_text(f"{module}.js").encode()).decode()
