"""The stand-in for FLAME (tests/flame_model.py) as a user's asset."""

import pytest

from avatarmake import assets
from tests import flame_model


@pytest.fixture(scope="session")
def flame_pickle(tmp_path_factory):
    """A generic_model.pkl of true sizes, written without chumpy."""
    return flame_model.write(tmp_path_factory.mktemp("flame") / "generic_model.pkl")


@pytest.fixture(scope="session")
def flame_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def user(tmp_path, flame_pickle, flame_cache, monkeypatch):
    """A user who has FLAME 2020 and none of the public files: -> put(asset, path) gives more."""
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("AVATARMAKE_CACHE", str(flame_cache))

    def put(name, path):
        place = assets.folder() / assets.manifest()[name].file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(path)
        return place

    put("flame2020", flame_pickle)
    return put
