"""`make doctor`: what it says of the GPU, whatever this machine has."""

import pytest

from avatarmake import doctor, gpu
from avatarmake.contract import kinds
from avatarmake.engine import docker
from avatarmake.environments import platforms
from avatarmake.gpu import Card, Gpus

CARD = Card(0, "a GPU", "GPU-0", (9, 0))
NEW, OLD = (Gpus((CARD,), driver, "", True, False) for driver in ("580.65.06", "470.82"))
LOST = Gpus((), "580.65.06", "CUDA_VISIBLE_DEVICES='' hides the GPU", True, False)
RUNTIME = {"Runtimes": {"nvidia": {}}}
CDI = {"DiscoveredDevices": [{"ID": "nvidia.com/gpu=all"}]}
GOOD, MISSING = doctor.GOOD, doctor.MISSING


@pytest.mark.parametrize(
    ("found", "info", "rows"),
    [
        (Gpus(), None, [(MISSING, "GPU", "Not needed"), (GOOD, "PyTorch", "for the CPU (no NVIDIA driver")]),
        (LOST, None, [(MISSING, "GPU", "hides the GPU"), (MISSING, "PyTorch", "for the CPU (CUDA_VISIBLE_DEVICES")]),
        (OLD, None, [(GOOD, "GPU", "driver 470.82"), (MISSING, "PyTorch", "too old: R525 or newer would do")]),
        (NEW, None, [(GOOD, "GPU", "a GPU, driver 580.65.06"), (GOOD, "PyTorch", "for CUDA 13 (a GPU")]),
        (NEW, RUNTIME, [(GOOD, "GPU", ""), (GOOD, "GPU in Docker", "NVIDIA's runtime"), (GOOD, "PyTorch", "CUDA 13")]),
        (NEW, CDI, [(GOOD, "GPU", ""), (GOOD, "GPU in Docker", "CDI"), (GOOD, "PyTorch", "")]),
        (NEW, {}, [(GOOD, "GPU", ""), (MISSING, "GPU in Docker", "nvidia-ctk"), (GOOD, "PyTorch", "")]),
    ],
)
def test_the_gpu_and_which_pytorch_goes_with_it(monkeypatch, found, info, rows):
    for name in ("TORCH", kinds.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platforms, "here", lambda: ("linux", "x86_64"))
    monkeypatch.setattr(gpu, "here", lambda: found)
    monkeypatch.setattr(docker, "trouble", lambda: None if info is not None else "no daemon runs")
    monkeypatch.setattr(docker, "info", lambda: info)
    said = list(doctor._gpu())
    assert [row[:2] for row in said] == [row[:2] for row in rows]
    assert all(words in row[2] for row, (_, _, words) in zip(said, rows, strict=True))
    assert said[-1][2].endswith("in flame_head_tracker, train and flashavatar")
