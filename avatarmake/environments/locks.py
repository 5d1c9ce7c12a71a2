"""`make lock`: from what we ask (requirements.in) to what we get (requirements.lock), with hashes, all in agreement.

tests/requirements.lock is the union of every stage's list and the host's; the others are resolved within it, so a
package has one version in the whole project. They are resolved for Linux on x86_64, and their hashes are those of all
systems' wheels. What differs from one system to the next is PyTorch: docker/torch.cpu.lock has a line for each.

A stage that gains by a GPU has a requirements.cuda12.in and a requirements.cuda13.in besides, which name another torch
and what belongs to it. Their locks agree with the stage's own in everything else. So do the tests' locks for CUDA.
"""

import re
import sys
import tempfile
from pathlib import Path

from avatarmake import ROOT, registry
from avatarmake.contract.kinds import CPU, KINDS, lock_file
from avatarmake.contract.pipeline import STAGES
from avatarmake.environments import patched
from avatarmake.environments.pins import pins

# What mediapipe asks for and its bundled solutions, the part used here, never import. opencv-contrib brings Qt and X11.
# Triton is torch.compile's, which nothing here calls: half a gigabyte.
NOT_NEEDED = ("triton", "jax", "jaxlib", "matplotlib", "opencv-contrib-python", "sounddevice", "sentencepiece")
TORCH = ROOT / "docker" / "torch.cpu.lock"
OF_CUDA = ("torch", "numba-cuda", "cuda-", "nvidia-")  # names of what each kind has a version of its own of begin so
LINUX_ONLY = re.compile(r"^((?:numba-cuda|cuda-|nvidia-(?!ml-py))[^\n;]*?) \\$", re.MULTILINE)  # no wheels elsewhere
PLATFORM = ("--python-version=3.11", "--python-platform=x86_64-manylinux_2_28")


def make() -> None:
    """Write every lock file again. Versions that still fit what is asked for stay."""
    whole = ROOT / "tests" / "requirements.lock"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.writelines(f'{name}; sys_platform == "never"\n' for name in NOT_NEEDED)
        overrides.writelines(f"{pin}\n" for pin in pins(TORCH.read_text()))  # this build and not the registry's own
        overrides.flush()
        flags = (f"--overrides={overrides.name}", f"--constraints={whole}")
        asked = {ROOT / "docker" / stage: ROOT / "docker" / stage / "requirements.in" for stage in STAGES}
        project = ROOT / "pyproject.toml"
        _lock([ROOT / "tests" / "requirements.in", project, *asked.values()], whole, flags[0])
        _lock([project], ROOT / "requirements.lock", *flags)
        for place, listed in asked.items():
            _lock([listed], place / "requirements.lock", *flags)
    for kind in (kind for kind in KINDS if kind != CPU):
        own = {stage: ROOT / "docker" / stage / f"requirements.{kind}.in" for stage in STAGES}
        for stage, listed in own.items():
            if listed.exists():
                _lock_cuda([listed.with_name("requirements.in")], listed, lock_file(stage), lock_file(stage, kind))
        all_of_them = [ROOT / "tests" / "requirements.in", project, *asked.values()]
        _lock_cuda(all_of_them, own["train"], whole, whole.with_suffix(f".{kind}.lock"))


def _lock_cuda(asked: list[Path], instead: Path, agrees: Path, got: Path) -> None:
    """A lock of what is asked for with what `instead` lists in its place, and in all else as in the lock `agrees`.

    It asks for that very build of torch, or pip's settings might give the CPU's.

    `==` of a version takes any build of it, and uv the one with the longest name, whatever hash the lock has; `===` is
    the version to the letter.
    """
    locked = pins(agrees.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        overrides, constraints = Path(scratch) / "overrides.txt", Path(scratch) / "constraints.txt"
        never = [f'{name}; sys_platform == "never"' for name in NOT_NEEDED]
        own = [line.split("#")[0].strip().replace("torch==", "torch===") for line in instead.read_text().splitlines()]
        overrides.write_text("\n".join([*never, *own]))
        constraints.write_text("\n".join(str(pin) for pin in locked if not pin.name.startswith(OF_CUDA)))
        flags = (f"--overrides={overrides}", f"--constraints={constraints}")
        _compile([*asked, instead], got, *flags)
    got.write_text(re.sub(r"^torch==(?!=)", "torch===", got.read_text(), flags=re.MULTILINE))


def _lock(asked: list[Path], got: Path, *flags: str) -> None:
    _compile(asked, got, *flags)
    everywhere = with_torch(got.read_text(), TORCH.read_text())
    got.write_text(LINUX_ONLY.sub(r'\1 ; sys_platform == "linux" \\', everywhere))


def _compile(asked: list[Path], got: Path, *flags: str) -> None:
    print(f"lock: {got.relative_to(ROOT)}", file=sys.stderr, flush=True)
    registry.uv_with_torch(
        *("pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", *PLATFORM),
        *registry.uv_flags(),
        *patched.links("\n".join(path.read_text() for path in asked)),
        *flags,
        *(str(path.relative_to(ROOT)) for path in asked),
        f"--output-file={got.relative_to(ROOT)}",
        cwd=ROOT,
    )


def with_torch(lock: str, builds: str) -> str:
    """The lock with the lines of `builds` in the place of its one of torch."""
    lines = re.sub(r"^#.*\n", "", builds, flags=re.MULTILINE)
    return re.sub(r"^torch==[^\n]*\n(?: +--hash[^\n]*\n)+", lambda _: lines, lock, flags=re.MULTILINE)
