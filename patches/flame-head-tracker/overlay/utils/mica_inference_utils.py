"""MICA's two networks alone: a face recogniser, and the map from what it says to FLAME's shape.

Its own FLAME would turn that shape into a mesh, which the tracker does itself.
"""

import numpy as np
import plain_files
import torch
from submodules.MICA.models.arcface import Arcface
from submodules.MICA.models.generator import MappingNetwork
from utils.insightface_utils import norm_crop

FACE_CODE, SHAPE = 512, 300
HIDDEN = 3  # layers between the two
MAP = "regressor."  # the map's name among the weights of MICA's generator


class Mica(torch.nn.Module):
    def __init__(self, recogniser, to_shape):
        super().__init__()
        self.recogniser, self.to_shape = recogniser, to_shape

    def forward(self, faces):
        """(N,3,112,112) RGB in -1..1 -> (N,300)."""
        return self.to_shape(torch.nn.functional.normalize(self.recogniser(faces)))


def create_mica_model(path, device):
    """mica.tar -> both networks."""
    held = plain_files.weights(path, "arcface", "flameModel")
    of_map = {name[len(MAP) :]: value for name, value in held["flameModel"].items() if name.startswith(MAP)}
    recogniser = plain_files.filled(path, Arcface, held["arcface"])
    to_shape = plain_files.filled(path, lambda: MappingNetwork(FACE_CODE, SHAPE, SHAPE, HIDDEN), of_map)
    return Mica(recogniser, to_shape).to(device).eval()


@torch.no_grad()
def get_shape_code_from_mica(mica, img, lmks_68, device):
    """Image (H,W,3) uint8 BGR, landmarks (68,2) in its pixels -> (1,300) float32."""
    face = norm_crop(img, five_points(lmks_68))[..., ::-1]
    face = (torch.from_numpy(np.ascontiguousarray(face)).to(device).permute(2, 0, 1)[None].float() - 127.5) / 127.5
    return mica(face).float().cpu().numpy()


def five_points(lmks_68):
    """(68,2) -> (5,2): both eyes' centres, the nose's tip, both corners of the mouth."""
    return np.stack([lmks_68[36:42].mean(0), lmks_68[42:48].mean(0), lmks_68[30], lmks_68[48], lmks_68[54]])
