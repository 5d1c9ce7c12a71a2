"""What a container is told; what it is held to, tests/images tries in a real one."""

import pytest

from avatarmake.contract.stage import load
from avatarmake.engine import container, request


@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES"])
def test_what_rounds_numbers_is_the_same_in_a_container(name, tmp_path, monkeypatch):
    """A host that holds a library to some of its processor's instructions would else get other bytes there."""
    asked = request.parse(load("convert"), ["roman", f"--data={tmp_path}"])
    monkeypatch.delenv(name, raising=False)
    assert name not in container.settings(asked, {}, {})["environment"]
    monkeypatch.setenv(name, "Haswell")
    assert container.settings(asked, {}, {})["environment"][name] == "Haswell"
