"""DECA's encoder alone: expression, pose, texture and light codes of one face.

Its texture model, renderer, detail networks and second FLAME are for decoding, which the tracker does not do; the face
box of FAN's landmarks is that of the landmarks which the tracker has already.
"""

import cv2
import numpy as np
import plain_files
import torch
from submodules.decalib.models.encoders import ResnetEncoder

SIDE = 224  # pixels of the network's input
MARGIN = 1.1 * 1.25  # side of the crop in mean sides of the landmarks' box: as DECA was trained
CODES = {"shape": 100, "tex": 50, "exp": 50, "pose": 6, "cam": 3, "light": 27}  # in the network's output, in order


def create_deca_model(path, device):
    """deca_model.tar -> the coarse encoder."""
    state = plain_files.weights(path, "E_flame")["E_flame"]
    return plain_files.filled(path, lambda: ResnetEncoder(outsize=sum(CODES.values())), state).to(device)


@torch.no_grad()
def get_flame_code_from_deca(deca, img, lmks_68, device):
    """Encoder, image (H,W,3) uint8 RGB, landmarks (68,2) in its pixels -> {code: (1,n) float32}."""
    image = torch.from_numpy(crop(img, lmks_68)).to(device).permute(2, 0, 1)[None].float() / 255
    code = deca(image).float().cpu().numpy()
    return dict(zip(CODES, np.split(code, np.cumsum(list(CODES.values()))[:-1], axis=1), strict=True))


def crop(img, lmks_68):
    """(224,224,3) uint8: the square about the landmarks' box; black where it reaches beyond the image."""
    low, high = lmks_68.min(0), lmks_68.max(0)
    side = max(int((high - low).mean() * MARGIN), 1)
    scale = (SIDE - 1) / side
    corner = (low + high) / 2 - side / 2
    moved = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    return cv2.warpAffine(img, moved, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
