"""The colours of skin, hair, neck and clothes in one video, learnt from images spread over it, and used for all.

Expectation maximisation over histograms: places.py says where each kind is likely, what lies there gives the kind its
colours, and these say better what lies where. Two rules keep it from running away. A colour that clothes have at least
as often is theirs, wherever clothes can be: a cap of a jersey's blue makes nothing on the shoulders hair. And what
is under the chin teaches neck, and not clothes, if it is skin in another light: of the face's hue, darker.
"""

from dataclasses import dataclass

import numpy as np

from stages.mask.places import CLOTH, HAIR, KINDS, NECK, SKIN, Places

BINS = 32  # of each channel
ROUNDS = 5
RARE = 2e-5  # share of a colour too small to say anything
SURE = 0.6  # share of a kind's weight at a place from which it teaches in the first round
PERSON = 0.7  # alpha from which a pixel teaches
SHADES = ((0.85, 0.15), (0.7, 0.15), (0.55, 0.1))  # skin in shadow: how dark, how often
SHARED = {SKIN: 2.0, HAIR: 2.0, NECK: 2.0}  # a colour this many times as frequent as in clothes is the kind's own;
LEFT = 0.05  # of others the kind keeps this much
HUE = 2.2  # deviations of the face's hue within which other skin lies,
HUE_LEAST = 0.05  # of at least this, in logarithms of channels
LIGHT = (0.4, 1.25)  # times the face's brightness
OFFSET = 8  # grey levels: hues of what is nearly black are noise
LIMIT = 4.0  # log-odds that one pixel can give


@dataclass(frozen=True)
class Colours:
    table: np.ndarray  # (BINS**3, 4) float32: how likely a kind is to have a colour

    @classmethod
    def learn(cls, samples: list[tuple[np.ndarray, np.ndarray, Places]]) -> "Colours":
        """From images (128,128,3) uint8, their person masks (128,128) 0..1 and places."""
        bare = _bare(samples)
        shares = []
        for (_, person, place), skin in zip(samples, bare, strict=True):
            share = place.weights / place.weights.sum(-1, keepdims=True)
            share[share < SURE] = 0
            share[place.column, CLOTH] = 0
            share[..., NECK] = place.throat & skin
            shares.append(share * (person > PERSON)[..., None])
        for _ in range(ROUNDS):
            colours = cls._of(samples, shares, bare)
            shares = [colours._kinds(i, p) * (person > PERSON)[..., None] for i, person, p in samples]
        return colours

    @classmethod
    def _of(cls, samples: list, shares: list[np.ndarray], bare: list[np.ndarray]) -> "Colours":
        table = np.zeros((BINS**3, len(KINDS)))
        for (image, _, _), share, skin in zip(samples, shares, bare, strict=True):
            weights = share.copy()
            weights[skin, CLOTH] = 0
            weights[~skin, NECK] = 0
            for kind in range(len(KINDS)):
                table[:, kind] += np.bincount(_bins(image).ravel(), weights[..., kind].ravel(), BINS**3)
            for shade, often in SHADES:
                darker = _bins((image * np.float32(shade)).astype(np.uint8)).ravel()
                table[:, SKIN] += often * np.bincount(darker, weights[..., SKIN].ravel(), BINS**3)
        table = _smooth(table / np.maximum(table.sum(0), 1))
        for kind, times in SHARED.items():
            table[:, kind] = np.maximum(table[:, kind] - times * table[:, CLOTH], LEFT * table[:, kind])
        return cls((table + RARE).astype(np.float32))

    def _kinds(self, image: np.ndarray, place: Places) -> np.ndarray:
        """-> (128,128,4): the share of each kind, by place and colour."""
        likely = self.table[_bins(image)] * place.weights
        return likely / likely.sum(-1, keepdims=True)

    def head_odds(self, image: np.ndarray, place: Places) -> np.ndarray:
        """(128,128,3) uint8 -> (128,128) float32: log-odds of head and neck against clothes, within +-LIMIT."""
        likely = self.table[_bins(image)] * place.weights
        cloth = likely[..., CLOTH]
        return np.clip(np.log((likely.sum(-1) - cloth) / cloth), -LIMIT, LIMIT)


def _bare(samples: list) -> list[np.ndarray]:
    """Where the neck may be, (128,128) bool for each image: what has the face's hue in another light."""
    hues = [_hue(image) for image, _, _ in samples]
    seen = [place.face & (person > PERSON) for _, person, place in samples]
    if not any(s.any() for s in seen):
        return [np.zeros(s.shape, bool) for s in seen]
    hue = np.concatenate([h[s] for (h, _), s in zip(hues, seen, strict=True)])
    light = np.median(np.concatenate([b[s] for (_, b), s in zip(hues, seen, strict=True)]))
    middle = np.median(hue, 0)
    spread = np.maximum(1.48 * np.median(np.abs(hue - middle), 0), HUE_LEAST)
    low, high = light + np.log(LIGHT)
    return [
        (np.abs((h - middle) / spread).max(-1) < HUE) & (b > low) & (b < high) & (place.weights[..., NECK] > 0.25)
        for (h, b), (_, _, place) in zip(hues, samples, strict=True)
    ]


def _hue(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> logarithms of the channels, less their mean (...,3), and that mean (...): hue and brightness."""
    logs = np.log(image.astype(np.float32) + OFFSET)
    mean = logs.mean(-1)
    return logs - mean[..., None], mean


def _bins(image: np.ndarray) -> np.ndarray:
    fine = image.astype(np.uint16) >> 3
    return (fine[..., 0] << 10) | (fine[..., 1] << 5) | fine[..., 2]


def _smooth(table: np.ndarray) -> np.ndarray:
    """Spread each colour over its neighbours: three passes of 1/4 1/2 1/4 along each channel."""
    h = table.reshape(BINS, BINS, BINS, -1)
    for axis in (0, 1, 2) * 3:
        padded = np.pad(h, [(1, 1) if a == axis else (0, 0) for a in range(4)], mode="edge")
        before, after = (np.take(padded, range(i, i + BINS), axis) for i in (0, 2))
        h = before / 4 + h / 2 + after / 4
    return h.reshape(table.shape)
