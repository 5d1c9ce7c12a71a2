"""What landmark fitting starts from, for one image: the face is looked for once, the encoders run on what was found."""

import cv2
import numpy as np
from utils.deca_inference_utils import get_flame_code_from_deca
from utils.image_utils import image_align
from utils.mica_inference_utils import get_shape_code_from_mica


def prepare(tracker, img, realign):
    """Image (H,W,3) uint8 RGB -> dict of arrays with a leading axis of 1, or None where there is no face.

    `img` are the pixels that the camera will refer to. With realign these are another crop, which moves with the
    landmarks, and the face has to be looked for again in it; our own frames are one fixed crop, and need none.
    """
    found = tracker.detect_face_landmarks(img)
    if realign and found is not None:
        size = tracker.IMG_SIZE
        img = image_align(img, found["lmks_68"], output_size=size, standard="tracking", padding_mode="constant")
        found = tracker.detect_face_landmarks(np.ascontiguousarray(img))
    if found is None:
        return None
    to_unit = 2 / np.array(img.shape[1::-1], np.float32)  # pixels with centres at +0.5 -> -1..1
    deca = get_flame_code_from_deca(tracker.deca, img, found["lmks_68"], tracker.device)
    expression = np.zeros((1, tracker.NUM_EXPR_COEFFICIENTS), np.float32)
    expression[:, : deca["exp"].shape[1]] = deca["exp"]
    return {
        "img": img[None],
        "landmarks": found["lmks_dense"][None],  # (1,478,2) pixels of img
        "blendshape_scores": found["blend_scores"][None],
        "gt_landmarks": (found["lmks_68"] * to_unit - 1)[None],
        "gt_eye_landmarks": (found["lmks_eyes"] * to_unit - 1)[None],
        "shape": shape_of(tracker, img, found["lmks_68"]),
        "exp": expression,
        "head_pose": deca["pose"][:, :3],
        "jaw_pose": deca["pose"][:, 3:],
        "tex": deca["tex"],
        "light": deca["light"].reshape(1, 9, 3),
    }


def shape_of(tracker, img, lmks_68):
    """(1,300): the video's, once it is known; else what MICA sees in this image."""
    if tracker.canonical_shape is not None:
        return tracker.canonical_shape
    bgr = cv2.cvtColor(img, cv2.COLOR_RGB2BGR)
    return get_shape_code_from_mica(tracker.mica, bgr, lmks_68, tracker.device)[:, : tracker.NUM_SHAPE_COEFFICIENTS]
