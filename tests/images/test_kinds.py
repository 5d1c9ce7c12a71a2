"""train's image for CUDA, where it is built (`make image/train TORCH=cuda13`): it works, and without a GPU says so."""

import json

import pytest

from avatarmake import gpu
from avatarmake.contract.kinds import KINDS, lock_file
from avatarmake.engine import container, docker
from avatarmake.environments.pins import pins
from avatarmake.errors import Exit
from tests.environments.test_cuda_locks import KERNEL

NONE = docker.trouble() and f"no Docker: {docker.trouble()}"
BUILT = [] if NONE else [kind for kind in KINDS[1:] if docker.image("train", kind)]
pytestmark = pytest.mark.skipif(not BUILT, reason=NONE or "not built: make image/train TORCH=cuda13")

VERSIONS = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"


def python(kind: str, text: str) -> str:
    settings = container.confinement(docker.info())
    words = ["python", "-c", text]
    image = docker.image("train", kind).id
    return docker.client().containers.run(image, entrypoint=words, remove=True, **settings).decode().strip()


@pytest.mark.parametrize("kind", BUILT)
def test_it_compiles_a_kernel_as_confined_as_stages_are(kind):
    """Nothing it needs is among what was left out, and it writes nowhere."""
    assert python(kind, KERNEL).startswith(f"{kind[-2:]}.")


@pytest.mark.parametrize("kind", BUILT)
def test_versions_are_the_lock_s_for_that_kind(kind):
    locked = {pin.name: pin.version for pin in pins(lock_file("train", kind).read_text())}
    inside = {name.lower().replace("_", "-"): version for name, version in json.loads(python(kind, VERSIONS)).items()}
    torch = inside.pop("torch")
    assert inside == {name: version for name, version in locked.items() if name != "torch"}
    assert torch.split("+")[0] == locked["torch"]


@pytest.mark.parametrize("kind", BUILT)
def test_what_was_left_out_is_not_there(kind):
    size = docker.image("train", kind).attrs["Size"]
    assert size < 4.2e9, f"{size / 1e9:.2f} GB"


ASK = """
from avatarmake.errors import StageError
from stages.train.backend import choose

try:
    choose("cuda")
except StageError as e:
    print(int(e.exit), e)
"""


@pytest.mark.skipif(bool(gpu.here().cards), reason="there is a GPU")
@pytest.mark.parametrize("kind", BUILT)
def test_without_a_gpu_one_line_says_so(kind):
    (line,) = python(kind, ASK).splitlines()
    assert line.startswith(f"{int(Exit.ENVIRONMENT)} DEVICE=cuda needs a GPU that PyTorch can use, and there is none")
    assert "NVIDIA driver" in line and line.endswith("DEVICE=cpu")
