"""Find faces, with eyes, nose and mouth: MTCNN.

Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE Signal
Processing Letters 2016.

A small network looks at every place and size, a second one at what the first took for faces, a third at what is left. The weights
are those of the package ``mtcnn`` (MIT license), which the extra ``[faces]`` installs; torch runs them. Nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.pickles import read_joblib

LEAST = 40  # px: smaller faces are not looked for
LONGEST = 1024  # px, that larger photographs are reduced to
LARGEST = 4096  # px, where no face is found in that
CERTAIN = 0.99  # score of a face from which a photograph is not turned to look for a surer one
UPRIGHT = 0.9  # radians that an upright face may be turned by
PYRAMID = 0.709  # from one size to the next
SURE = (0.6, 0.7, 0.8)  # of the three networks
EDGE = 1.3  # where a mask of a face ends, as a share of its box
FIELD = 12  # px that the first network sees


@dataclass(frozen=True)
class Face:
    """A face in a photograph.

    Attributes:
        score: how sure the network is, up to 1.
        box: left, top, right, bottom, in pixels.
        landmarks: [5, 2], x and y in pixels of the eye at the left of the photograph, the other eye, the nose, and the corners of
            the mouth from the left.
    """

    score: float
    box: tuple[float, float, float, float]
    landmarks: Tensor

    @property
    def size(self) -> float:
        """The area of its box."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def is_upright(self) -> bool:
        """Whether eyes and mouth lie as in a face that is turned by less than about 50 degrees."""
        left_eye, right_eye, _, left_mouth, right_mouth = self.landmarks
        across, down = right_eye - left_eye, (left_mouth + right_mouth - left_eye - right_eye) / 2
        wide, tall = float(across.norm()), float(down.norm())
        if wide == 0 or tall == 0:
            return False
        tilt = abs(float(torch.atan2(across[1], across[0])))
        leaning = abs(float((across * down).sum())) / (wide * tall)
        return tilt < UPRIGHT and float(down[1]) > 0 and leaning < 0.65 and tall / wide < 3


def available() -> bool:
    """Whether the detector's weights are installed."""
    return find_spec("lz4") is not None and _folder() is not None


def check_detector() -> None:
    """Raise StyleLoomError unless there is a detector."""
    if not available():
        raise StyleLoomError(
            "finding faces needs the extra: pip install 'styleloom[faces]'; or give `box`, `align` center or a mask"
        )


def _folder() -> Path | None:
    try:
        folder = Path(str(distribution("mtcnn").locate_file("mtcnn/assets/weights")))
    except PackageNotFoundError:
        return None
    return folder if folder.is_dir() else None


@cache
def _weights() -> dict[str, list[Tensor]]:
    """Tensors of each network in order, as torch has them."""
    import lz4.frame

    check_detector()
    folder = _folder()
    assert folder is not None
    weights: dict[str, list[Tensor]] = {}
    for name in ("pnet", "rnet", "onet"):
        path = folder / f"{name}.lz4"
        try:
            arrays = read_joblib(lz4.frame.decompress(path.read_bytes()), str(path))
        except (OSError, RuntimeError) as error:
            raise StyleLoomError(f"cannot read {path}: install mtcnn again") from error
        weights[name] = [_as_torch(array) for array in arrays]
    return weights


def _as_torch(array: np.ndarray) -> Tensor:
    """TensorFlow's kernels [H, W, in, out] and matrices [in, out] as torch has them; slopes [1, 1, C] flat."""
    turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T if array.ndim == 2 else array.ravel()
    return torch.from_numpy(turned.astype(np.float32, order="C"))


def _network(name: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Corrections of boxes, landmarks (of the last network) and how sure it is; of the first network as maps."""
    weights = iter(_weights()[name])

    def convolved(x: Tensor) -> Tensor:
        return F.prelu(F.conv2d(x, next(weights), next(weights)), next(weights))

    def dense(x: Tensor) -> Tensor:
        return F.linear(x, next(weights), next(weights))

    if name == "pnet":
        x = convolved(convolved(F.max_pool2d(convolved(x), 2, 2, ceil_mode=True)))
        corrections = F.conv2d(x, next(weights), next(weights))
        return corrections, torch.empty(0), F.conv2d(x, next(weights), next(weights)).softmax(1)[:, 1]
    x = F.max_pool2d(convolved(x), 3, 2, ceil_mode=True)
    x = convolved(F.max_pool2d(convolved(x), 3, 2))
    if name == "onet":
        x = convolved(F.max_pool2d(x, 2, 2, ceil_mode=True))
    x = F.prelu(dense(x.permute(0, 3, 2, 1).flatten(1)), next(weights))  # columns first, as it was trained
    corrections = dense(x)
    landmarks = dense(x) if name == "onet" else torch.empty(0)
    return corrections, landmarks, dense(x).softmax(1)[:, 1]


def find(photo: Tensor, least: int = LEAST) -> list[Face]:
    """Find the faces of a photograph, the surest first.

    Small faces of a large photograph are looked for where there are no large ones, and photographs that lie on a side or stand
    on their head are turned where no face is certain. The detector knows upright faces only: of others it takes something
    else for a face, which the places of eyes and mouth tell.

    Args:
        photo: [1, 3, H, W] in [0, 1].
        least: shorter side of the smallest face, in pixels of a photograph reduced to a longer side of ``LONGEST``.

    Raises:
        StyleLoomError: the detector is not installed.
    """
    for longest in (LONGEST, LARGEST):
        if longest > LONGEST and max(photo.shape[-2:]) <= LONGEST:
            break
        best, surest, turned = 0, 0.0, list[Face]()
        for turns in range(4):
            upright = [face for face in _detected(photo.rot90(turns, (2, 3)), least, longest) if face.is_upright]
            score = max((face.score for face in upright), default=0.0)
            if score > surest:
                best, surest, turned = turns, score, upright
            if surest >= CERTAIN:
                break
        if turned:
            return [_turned_back(face, best, photo.shape[-1], photo.shape[-2]) for face in turned]
    return []


def _turned_back(face: Face, turns: int, width: int, height: int) -> Face:
    """A face of a photograph of this size that was turned counterclockwise by so many quarters, in the photograph itself."""

    def point(points: Tensor) -> Tensor:
        x, y = points[..., 0], points[..., 1]
        return torch.stack(((x, y), (width - y, x), (width - x, height - y), (y, height - x))[turns], -1)

    if not turns:
        return face
    corners = point(torch.tensor(face.box).view(2, 2))
    (left, top), (right, bottom) = corners.amin(0).tolist(), corners.amax(0).tolist()
    return Face(face.score, (left, top, right, bottom), point(face.landmarks))


@torch.no_grad()
def _detected(photo: Tensor, least: int, longest: int) -> list[Face]:
    """Faces that the three networks detect in a photograph reduced to a longer side of ``longest``."""
    shrink = max(1.0, max(photo.shape[-2:]) / longest)
    height, width = (max(1, round(side / shrink)) for side in photo.shape[-2:])
    back = torch.tensor([photo.shape[-1] / width, photo.shape[-2] / height])
    x = photo.float().cpu()
    x = F.interpolate(x, (height, width), mode="bilinear", antialias=True) if shrink > 1 else x
    x = (x * 255 - 127.5) / 128
    boxes = _proposals(x, least)
    for name, side, sure in (("rnet", 24, SURE[1]), ("onet", 48, SURE[2])):
        if not len(boxes):
            return []
        boxes = _square(boxes)
        corrections, offsets, scores = _network(name, _crops(x, boxes, side))
        size = boxes[:, 2:] - boxes[:, :2] + 1
        kept = scores > sure
        if name == "onet":
            landmarks = torch.stack([offsets[:, :5], offsets[:, 5:]], 2) * size[:, None] + boxes[:, None, :2] - 1
            landmarks = landmarks[kept]
        boxes, scores = (boxes + corrections * size.repeat(1, 2))[kept], scores[kept]
        chosen = _best(boxes, scores, 0.7, of_smaller=name == "onet")
        boxes, scores = boxes[chosen], scores[chosen]
    landmarks = landmarks[chosen] * back
    corners = (boxes * back.repeat(2)).tolist()
    return [Face(float(s), tuple(box), points) for s, box, points in zip(scores, corners, landmarks, strict=True)]


def faces_mask(photo: Tensor) -> Tensor | None:
    """Mask of the faces of a photograph [1, 3, H, W], from brow to chin: [1, 1, H, W], soft at the border; None without a face.

    Raises:
        StyleLoomError: the detector is not installed.
    """
    check_detector()
    height, width = photo.shape[-2:]
    y, x = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    mask = torch.zeros(height, width)
    for face in find(photo):
        left, top, right, bottom = face.box
        radius = (((2 * x - left - right) / (right - left)) ** 2 + ((2 * y - top - bottom) / (bottom - top)) ** 2).sqrt()
        mask = torch.maximum(mask, ((EDGE - radius) / (EDGE - 1)).clamp(0, 1))
    return mask[None, None] if bool(mask.any()) else None


def _proposals(x: Tensor, least: int) -> Tensor:
    """Faces that the first network proposes, on all scales: boxes [K, 4]."""
    height, width = x.shape[-2:]
    found, sure = [torch.empty(0, 4)], [torch.empty(0)]
    scale = FIELD / least
    while min(height, width) * scale >= FIELD:
        size = (max(FIELD, round(height * scale)), max(FIELD, round(width * scale)))
        corrections, _, scores = _network("pnet", F.interpolate(x, size, mode="bilinear", antialias=scale < 1))
        _, row, column = torch.where(scores > SURE[0])
        boxes = torch.stack([column, row, column + FIELD / 2, row + FIELD / 2], 1) * 2.0  # its steps are of 2 px
        boxes = boxes + FIELD * corrections[0, :, row, column].T
        boxes = boxes * torch.tensor([width / size[1], height / size[0]]).repeat(2)
        chosen = _best(boxes, scores[0, row, column], 0.5)
        found.append(boxes[chosen])
        sure.append(scores[0, row, column][chosen])
        scale *= PYRAMID
    boxes = torch.cat(found)
    return boxes[_best(boxes, torch.cat(sure), 0.7)]


def _best(boxes: Tensor, scores: Tensor, overlap: float, of_smaller: bool = False) -> Tensor:
    """Which boxes stay when of any two that overlap by more than a share (of their union, or of the smaller) the surer stays."""
    order = scores.argsort(descending=True)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        sides = torch.minimum(boxes[best, 2:], boxes[order, 2:]) - torch.maximum(boxes[best, :2], boxes[order, :2])
        shared = sides.clamp(min=0).prod(1)
        whole = torch.minimum(area[best], area[order]) if of_smaller else area[best] + area[order] - shared
        order = order[shared <= overlap * whole]
    return torch.tensor(kept, dtype=torch.long)


def _square(boxes: Tensor) -> Tensor:
    center, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([center - half, center + half], 1)


def _crops(x: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Boxes of an image [1, 3, H, W] at one size: [K, 3, side, side]; 0 beyond the image."""
    height, width = x.shape[-2:]
    share = torch.linspace(0, 1, side)
    across = (boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * share) * (2 / width) - 1
    down = (boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * share) * (2 / height) - 1
    grid = torch.stack([across[:, None].expand(-1, side, side), down[:, :, None].expand(-1, side, side)], -1)
    return F.grid_sample(x.expand(len(boxes), -1, -1, -1), grid, align_corners=True)
