"""The few settings of FLAME that its model reads, without YACS: the head model of the assets folder."""

from pathlib import Path
from types import SimpleNamespace

from avatarmake import assets


def parse_args() -> SimpleNamespace:
    """Named as upstream's own; there were never any arguments."""
    return SimpleNamespace(
        flame_geom_path=assets.need_one(assets.FLAME),
        flame_lmk_path=Path(__file__).with_name("landmark_embedding.npy"),
        num_shape_params=300,
        num_exp_params=100,
    )
