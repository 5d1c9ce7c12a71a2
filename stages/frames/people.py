"""Who is in a video: every face followed through a sparse sample, and which of them the frames are cut around."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import Exit, StageError
from stages.frames.face import Box, Face, FaceFinder, square_around

NEAR = 1.5  # face heights: what is further off is another face, or the same one after a cut
# Distances of colours. Measured: of one man's face, at other sizes and in other light of one studio, .08 at most, of
# four people's .15 at least. The mesh's own shape tells nobody apart: a turn of the head changes it more.
ALIKE = 0.12
DRESSED_ALIKE = 0.5
WORTH = 1 / 16  # of the samples: a face seen in fewer is not worth a word
LEAST = 64  # pixels of IMAGE_SIZE: a face that would be smaller in the crop is not followed
SMALL_FACE = 128  # below that, what following costs is said


@dataclass(eq=False)
class Person:
    """One face through the samples, at one place. Rectangles are x0, y0, x1, y1 of the mesh, hairline to chin, px."""

    rectangles: list[np.ndarray] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)  # in which it is seen
    colours: np.ndarray | None = None  # the face's, summed over the samples
    dress: np.ndarray | None = None  # likewise; zeros where nothing of it is in the frame
    portrait: np.ndarray | None = None  # where it is largest
    upright: list[int] = field(default_factory=list)  # the samples in which its mouth is below its eyes

    def see(self, face: Face, sample: int) -> None:
        if not self.rectangles or _tall(face.rectangle) > max(map(_tall, self.rectangles)):
            self.portrait = face.portrait
        first = self.colours is None
        self.colours = face.colours if first else self.colours + face.colours
        self.dress = face.dress if first else self.dress + face.dress
        self.rectangles.append(face.rectangle)
        self.samples.append(sample)
        if face.upright:
            self.upright.append(sample)

    @property
    def weight(self) -> float:
        """How much of the video's main person this is: its height, summed over the samples it is seen in."""
        return float(sum(map(_tall, self.rectangles)))

    @property
    def typical(self) -> np.ndarray:
        return np.median(self.rectangles, 0)

    def distance(self, rectangle: np.ndarray) -> float:
        """How far a rectangle is from where this face was last, in face heights; a change of size is distance too."""
        last = self.rectangles[-1]
        size = max(_tall(last), 1e-3)
        centre = (rectangle[:2] + rectangle[2:] - last[:2] - last[2:]) / 2
        return float(np.hypot(*centre) / size + abs(np.log2(_tall(rectangle) / size)))

    def may_be(self, other: "Person") -> bool:
        """Whether two faces are taken for one person's before and after a cut: never in one frame, and of like colours
        in face and clothes."""
        if set(self.samples) & set(other.samples):
            return False
        dressed = self.dress.any() and other.dress.any()
        return _distance(self.colours, other.colours) < ALIKE and not (
            dressed and _distance(self.dress, other.dress) > DRESSED_ALIKE
        )


def find_people(images: Iterable[np.ndarray]) -> tuple[list[Person], int]:
    """Follow every face through sampled frames (H,W,3). -> people, the main one first; the number of samples."""
    people: list[Person] = []
    samples = 0
    with FaceFinder() as finder:
        for image in images:
            last = max(people, key=lambda p: p.weight).rectangles[-1] if people else None
            for face in finder.faces(image, last):
                near = min(people, key=lambda p: p.distance(face.rectangle), default=None)
                if near is None or near.distance(face.rectangle) > NEAR:
                    near = Person()
                    people.append(near)
                near.see(face, samples)
            samples += 1
    return sorted(people, key=lambda p: -p.weight), samples


@dataclass(frozen=True)
class Choice:
    """The faces worth a word, and which of them the box holds: one, or one person's places before and after cuts."""

    faces: list[Person]
    taken: list[Person]
    left_out: list[Person]  # the same person's too, but one box would be too large
    box: Box
    samples: int
    width: int  # of the frame

    def share(self, person: Person) -> float:
        return len(person.samples) / self.samples

    def path(self) -> list[tuple[int, float, float]]:
        """(sample, x, y): where the taken face's middle is in the images cut, px."""
        x, y, side = self.box
        seen = sorted((s, *r) for p in self.taken for s, r in zip(p.samples, p.rectangles, strict=True))
        scale = IMAGE_SIZE / side
        return [(s, ((a + c) / 2 - x) * scale, ((b + d) / 2 - y) * scale) for s, a, b, c, d in seen]

    def face_pixels(self) -> float:
        """The face's height in the images cut, where it is smallest."""
        return min(_tall(p.typical) for p in self.taken) * IMAGE_SIZE / self.box[2]

    def records(self) -> list[dict]:
        """crop.json's `faces`, in the order of their numbers."""
        return [
            {
                "share": round(self.share(p), 4),
                "where": self.where(p),
                "rectangle": [round(float(v), 1) for v in p.typical],
                "taken": p in self.taken,
            }
            for p in self.faces
        ]

    def where(self, person: Person) -> str:
        x = (person.typical[0] + person.typical[2]) / 2 / self.width
        return "left" if x < 0.4 else "right" if x > 0.6 else "middle"

    def line(self, subject: str) -> str | None:
        """What was found and taken, where there was a choice."""
        if len(self.faces) < 2:
            return None
        words = [self._face(n, p) for n, p in enumerate(self.faces, 1)]
        text = f"{len(words)} faces: {'; '.join(words)}."
        if len(self.taken) > 1 and self.face_pixels() < SMALL_FACE:
            text += f" To hold all its places the crop shows it only {self.face_pixels():.0f} of {IMAGE_SIZE} px tall."
        return f"{text} One of them alone: make frames ID={subject} PERSON=left, right or 1 to {len(words)}"

    def _face(self, number: int, person: Person) -> str:
        word = "not taken"
        if person in self.taken:
            word = "taken" if person is self.taken[0] else "the same person by colour, never seen beside it: followed"
        elif person in self.left_out:
            word = "perhaps the same person, but too far off for one crop: not taken"
        tall, share = _tall(person.typical), self.share(person)
        return f"{number} {self.where(person)}, {tall:.0f} px tall, {share:.0%} of the video, {word}"


def choose(people: list[Person], samples: int, word: str, margin: float, width: int, height: int) -> Choice:
    """The box around the face asked for: `largest` (followed over cuts), or `left`, `right`, a number, that one alone.

    Raises StageError where there is no such face.
    """
    faces = [p for p in people if len(p.samples) >= WORTH * samples] or people[:1]
    if word == "largest":
        return _followed(faces, samples, margin, width, height)
    if word.isdecimal() and int(word) > len(faces):
        what = f"person {word} is asked for, and {len(faces)} can be seen"
        raise StageError(what, next="Give PERSON=left, right, largest, or a smaller number", exit=Exit.USAGE)
    across = sorted(faces, key=lambda p: p.typical[0] + p.typical[2])
    one = {"left": across[0], "right": across[-1]}.get(word) or faces[int(word) - 1]
    box = square_around(np.array(one.rectangles), margin, width, height)
    return Choice(faces, [one], [], box, samples, width)


def _followed(faces: list[Person], samples: int, margin: float, width: int, height: int) -> Choice:
    taken, left_out = faces[:1], []
    for other in faces[1:]:
        if all(other.may_be(p) for p in (*taken, *left_out)):
            more = Choice(faces, [*taken, other], [], _box([*taken, other], margin, width, height), samples, width)
            (taken if more.face_pixels() >= LEAST else left_out).append(other)
    return Choice(faces, taken, left_out, _box(taken, margin, width, height), samples, width)


def _box(people: list[Person], margin: float, width: int, height: int) -> Box:
    return square_around([np.array(p.rectangles) for p in people], margin, width, height)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between square roots of histograms (Bhattacharyya's coefficient): 0 alike, 1 nothing in common."""
    return 1 - float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _tall(rectangle: np.ndarray) -> float:
    return float(rectangle[3] - rectangle[1])
