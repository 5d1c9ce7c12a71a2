"""Tracking of many frames in landmark mode: a batch in memory at a time, and a run that is killed goes on.

A batch without a face, or one whose numbers fail, costs its frames and no others.
"""

import os
from itertools import islice

import cv2
import numpy as np
from tracker_base import Tracker
from utils.matting_utils import matting_video_frames
from utils.video_utils import video_to_images

SHAPE_FRAMES = 3  # as many faces are asked for the video's shape


def track_video(tracker_cfg):
    """Track a video file into save_path/<its name>/: <frame>.npz, and <frame>.jpg, the pixels its camera refers to.

    The configuration's keys are upstream's, and: deca_model_path, mica_model_path, matting_model_path (with
    use_matting), iterations, rigid_iterations, max_size. device is cpu or cuda.
    """
    if tracker_cfg.get("photometric_fitting"):
        raise ValueError("it fits landmarks only, photometric fitting is patched out: docs/pytorch3d.md of avatarmake")
    name = os.path.basename(tracker_cfg["video_path"]).split(".")[0]
    folder = os.path.join(tracker_cfg["save_path"], name)
    os.makedirs(folder, exist_ok=True)
    tracker, size, realign = Tracker(tracker_cfg), tracker_cfg["batch_size"], tracker_cfg["realign"]
    shape = estimate_shape(tracker, _frames(tracker, tracker_cfg), realign)
    if shape is None:
        raise ValueError(f"{tracker_cfg['video_path']}: there is no face in it")
    for first, batch in batches(_frames(tracker, tracker_cfg, folder), size):
        if all(_is_done(folder, first + i) for i in range(len(batch))):
            continue
        results = track_batch(tracker, batch, shape, realign)
        for number, result in enumerate(results, first):
            _write(folder, number, result)
        faces = sum(result is not None for result in results)
        print(f"{name}: {first + len(batch)} frames, a face in {faces} of the last {len(batch)}", flush=True)


def batches(frames, size):
    """Any iterable of frames -> (number of its first frame, list of at most `size` frames)."""
    frames, first = iter(frames), 0
    while batch := list(islice(frames, size)):
        yield first, batch
        first += len(batch)


def estimate_shape(tracker, frames, realign):
    """(1,300): the mean of what MICA sees in the first SHAPE_FRAMES frames with a face; None where none has one."""
    seen = []
    for frame in frames:
        found = tracker.prepare_intermediate_data_from_image(frame, realign=realign)
        if found is not None:
            seen.append(found["shape"])
        if len(seen) == SHAPE_FRAMES:
            break
    return np.mean(seen, axis=0) if seen else None


def track_batch(tracker, frames, shape, realign=False):
    """A list of frames -> a list of results, each a dict of arrays with a leading axis of 1, or None without a face.

    The frames of a batch are fitted together, and smoothed along it. Where that gives no numbers, one by one.
    """
    tracker.canonical_shape = shape
    found, valid = tracker.run(frames, realign=realign, shape_code=shape, temporal_smoothing=True)
    if found is None and len(frames) > 1:
        return [result for frame in frames for result in track_batch(tracker, [frame], shape, realign)]
    results = [None] * len(frames)
    for row, place in enumerate(valid if found is not None else ()):
        results[place] = {key: value[row : row + 1] for key, value in found.items()}
    return results


def _frames(tracker, tracker_cfg, folder=None):
    """The video's frames; matted, with the unmatted ones kept in `folder`, where the configuration says so."""
    rates = tracker_cfg["original_fps"], tracker_cfg["subsample_fps"]
    frames = video_to_images(tracker_cfg["video_path"], *rates, tracker_cfg.get("max_size", 1024))
    if tracker.use_matting and folder:
        frames = _kept(frames, folder)
    return matting_video_frames(tracker.video_matting_model, frames) if tracker.use_matting else frames


def _kept(frames, folder):
    for number, frame in enumerate(frames):
        _picture(os.path.join(folder, f"{number}_unmatted.jpg"), frame)
        yield frame


def _is_done(folder, number):
    return any(os.path.exists(os.path.join(folder, f"{number}{end}")) for end in (".npz", "_no_face"))


def _write(folder, number, result):
    place = os.path.join(folder, str(number))
    if result is None:
        open(f"{place}_no_face", "w").close()
        return
    _picture(f"{place}.jpg", result.pop("img")[0])
    np.savez_compressed(f"{place}.new.npz", **result)
    os.replace(f"{place}.new.npz", f"{place}.npz")


def _picture(path, image):
    if not os.path.exists(path):
        cv2.imwrite(path, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
