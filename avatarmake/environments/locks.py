"""`make lock`: from what we ask (requirements.in) to what we get (requirements.lock), with hashes, all in agreement.

tests/requirements.lock is the union of every stage's list and the host's; the others are resolved within it, so a
package has one version in the whole project.
"""

import sys
import tempfile
from pathlib import Path

from avatarmake import ROOT, registry
from avatarmake.contract.layout import STAGES
from avatarmake.environments import patched

# What mediapipe asks for and its bundled solutions, the part used here, never import. opencv-contrib brings Qt and X11.
NOT_NEEDED = ("jax", "jaxlib", "matplotlib", "opencv-contrib-python", "sounddevice", "sentencepiece")
PLATFORM = ("--python-version=3.11", "--python-platform=x86_64-manylinux_2_28")


def make() -> None:
    """Write every lock file again. Versions that still fit what is asked for stay."""
    whole = ROOT / "tests" / "requirements.lock"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.writelines(f'{name}; sys_platform == "never"\n' for name in NOT_NEEDED)
        overrides.flush()
        flags = (f"--overrides={overrides.name}", f"--constraints={whole}")
        asked = {ROOT / "docker" / stage: ROOT / "docker" / stage / "requirements.in" for stage in STAGES}
        project = ROOT / "pyproject.toml"
        _lock([ROOT / "tests" / "requirements.in", project, *asked.values()], whole, flags[0])
        _lock([project], ROOT / "requirements.lock", *flags)
        for place, listed in asked.items():
            _lock([listed], place / "requirements.lock", *flags)


def _lock(asked: list[Path], got: Path, *flags: str) -> None:
    print(f"lock: {got.relative_to(ROOT)}", file=sys.stderr, flush=True)
    registry.uv(
        *("pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", *PLATFORM),
        *registry.uv_flags(),
        *patched.links("\n".join(path.read_text() for path in asked)),
        *flags,
        *(str(path.relative_to(ROOT)) for path in asked),
        f"--output-file={got.relative_to(ROOT)}",
        cwd=ROOT,
    )
