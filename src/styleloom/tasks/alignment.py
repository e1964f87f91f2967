"""The face of a photograph, and the square around it that a generator knows.

A generator's own images say how it wants faces to lie: the detector is asked where it sees eyes, nose and mouth in some of them,
and a photograph is turned, scaled and moved until its own lie there. So any generator of faces serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.data.frames import Frame, box_frame, center_frame, landmark_frame
from styleloom.nn import mtcnn
from styleloom.nn.generators import Generator

from .inversion import center_square

MODES = ("auto", "face", "center")
SAMPLES = 24  # of the generator's own images, that say how faces lie
LEAST = 0.5  # of these must show a face


@dataclass(frozen=True)
class Aligned:
    """A square of a photograph.

    Attributes:
        frame: where it is.
        how: "face", "landmarks", "box" or "center".
        nobody_chose: a face was looked for and not found, so that this is the square in the middle.
    """

    frame: Frame
    how: str
    nobody_chose: bool = False
    remark: ClassVar[str] = "no face was found, so the square in the middle is taken; say where the face is by a box"

    def crop(self, photo: Tensor, side: int) -> Tensor:
        """The square [1, C, side, side] of a photograph or a mask; the one in the middle exactly as ``invert`` has it."""
        return center_square(photo, side) if self.how == "center" else self.frame.crop(photo, side)


@dataclass
class Aligner:
    """Finds the squares of photographs that a generator knows.

    Args:
        generator: the generator whose images say how faces lie.
        mode: "face" finds the largest face, "center" takes the square in the middle; "auto" finds a face where there are a
            detector, a generator of faces, and one in the photograph.
        box: left, top, right, bottom of the square, in pixels, instead.
        landmarks: x, y of eyes, nose and corners of the mouth (from the left of the image), in pixels, instead.
    """

    generator: Generator
    mode: str = "auto"
    box: Sequence[float] = ()
    landmarks: Sequence[float] = ()
    _landmarks: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_choice("align", self.mode, MODES)
        if self.box and len(self.box) != 4:
            raise StyleLoomError(f"the box has {len(self.box)} numbers; write it as left,top,right,bottom")
        if self.landmarks and len(self.landmarks) != 10:
            raise StyleLoomError(
                f"the landmarks are {len(self.landmarks)} numbers; write x,y of left eye, right eye, nose, and both corners of "
                "the mouth"
            )
        if self.box and self.landmarks:
            raise StyleLoomError("a box and landmarks are two ways to say where the face is; give one of them")
        if self.mode == "face":
            mtcnn.check_detector()

    def __call__(self, photo: Tensor) -> Aligned:
        """The square of a photograph [1, 3, H, W] in [0, 1].

        Raises:
            StyleLoomError: no face where one was asked for.
        """
        height, width = photo.shape[-2:]
        if self.box:
            return Aligned(box_frame(self.box, width, height), "box")
        if self.landmarks:
            points = torch.tensor(self.landmarks).view(-1, 2)
            return Aligned(landmark_frame(points, self.wanted(), width, height), "landmarks")
        if self.mode == "center" or (self.mode == "auto" and not (mtcnn.available() and self._knows_faces())):
            return Aligned(center_frame(width, height), "center")
        detected = mtcnn.find(photo)
        if detected:
            largest = max(detected, key=lambda each: each.size)
            return Aligned(landmark_frame(largest.landmarks, self.wanted(), width, height), "face")
        if self.mode == "face":
            raise StyleLoomError("no face was found; say where it is with `box` left,top,right,bottom or `landmarks`")
        return Aligned(center_frame(width, height), "center", nobody_chose=True)

    def wanted(self) -> Tensor:
        """Positions of eyes, nose and mouth in the generator's images: [5, 2], from 0 to 1 across and down.

        Raises:
            StyleLoomError: no detector, or a generator whose images show no face that it finds.
        """
        mtcnn.check_detector()
        if not self._knows_faces():
            raise StyleLoomError("the images of this generator show no face that the detector finds; give a box, or use center")
        assert self._landmarks is not None
        return self._landmarks

    def _knows_faces(self) -> bool:
        if self._landmarks is None:
            landmarks = []
            for image in self.generator.render(self.generator.map(range(SAMPLES), truncation_psi=0.7)):
                detected = mtcnn.find(image.cpu())
                landmarks += [max(detected, key=lambda each: each.size).landmarks / image.shape[-1]] if detected else []
            enough = len(landmarks) >= LEAST * SAMPLES
            self._landmarks = torch.stack(landmarks).median(0).values if enough else torch.empty(0)
        return bool(self._landmarks.numel())
