"""FlashAvatar's own classes and functions, from the patched copy. What we call of it, and nothing besides."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, NamedTuple

from avatarmake.contract import upstream
from avatarmake.contract.stage import Stage


class FlashAvatar(NamedTuple):
    """By their own names, but for the two sets of settings."""

    Deform_Model: type
    GaussianModel: type
    Camera: type
    render: Callable
    huber_loss: Callable
    normalize_for_percep: Callable
    focal2fov: Callable
    LPIPS: type
    axes: Callable
    rates: Any  # OptimizationParams, as they are unless told otherwise
    pipeline: Any  # PipelineParams


def load(stage: Stage) -> FlashAvatar:
    """Raises StageError where the engine has made no patched copy. Nothing is written beside it."""
    sys.dont_write_bytecode = True
    folder = str(upstream.folder(stage.upstream))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from arguments import OptimizationParams, PipelineParams
    from gaussian_renderer import render
    from perceptual import LPIPS
    from scene.cameras import Camera
    from scene.gaussian_model import GaussianModel
    from splatting import axes
    from src.deform_model import Deform_Model
    from utils.general_utils import normalize_for_percep
    from utils.graphics_utils import focal2fov
    from utils.loss_utils import huber_loss

    settings = []
    for group in (OptimizationParams, PipelineParams):
        parser = ArgumentParser()
        settings.append(group(parser).extract(parser.parse_args([])))
    return FlashAvatar(
        Deform_Model,
        GaussianModel,
        Camera,
        render,
        huber_loss,
        normalize_for_percep,
        focal2fov,
        LPIPS,
        axes,
        *settings,
    )
