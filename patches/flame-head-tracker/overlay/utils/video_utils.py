"""A video's frames one by one, at the frame rate and size that are wanted: memory does not grow with its length."""

import cv2
import numpy as np


def video_to_images(video_path, original_fps=60, subsample_fps=30, max_size=1024):
    """Yield (H,W,3) uint8 RGB frames: for i = 0, 1, ... the video's frame int(i * step).

    `step` is original_fps / subsample_fps. No side is longer than max_size. Frames that are not wanted are not
    even decoded to RGB. Raises ValueError where the video cannot be opened.
    """
    video = cv2.VideoCapture(video_path)
    if not video.isOpened():
        raise ValueError(f"{video_path}: cannot be opened as a video")
    step = original_fps / subsample_fps
    seen = given = 0
    try:
        while video.grab():
            if seen == int(given * step):
                there, frame = video.retrieve()
                if not there:
                    break
                frame = capped(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), max_size)
                while seen == int(given * step):  # a higher rate than the video's own repeats frames
                    yield frame
                    given += 1
            seen += 1
    finally:
        video.release()


def capped(image: np.ndarray, max_size: int) -> np.ndarray:
    """The image, made smaller where a side is longer than max_size."""
    height, width = image.shape[:2]
    scale = max_size / max(height, width)
    if scale >= 1:
        return image
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
