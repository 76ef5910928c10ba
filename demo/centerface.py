"""CenterFace: what its four output maps mean, and drawing the faces they hold.

The network predicts on a grid of stride 4: `heatmap` (score of a face centre), `scale` (log of the
box height and width over 4), `offset` (of the centre inside its cell) and five landmarks.
Source: the published description of CenterFace (Xu et al., 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

F32 = NDArray[np.float32]
STRIDE = 4
LANDMARKS = 5


@dataclass(frozen=True, slots=True)
class Face:
    """One face in pixels of the network's input: box (left, top, right, bottom), score."""

    box_ltrb: tuple[float, float, float, float]
    score: float
    landmarks_xy: tuple[tuple[float, float], ...]


def looks_like_centerface(outputs: Sequence[F32]) -> bool:
    """Whether the outputs are the four maps (1, 1|2|2|10, H, W) of this detector."""
    return [o.shape[1] for o in outputs if o.ndim == 4] == [1, 2, 2, 2 * LANDMARKS]


def decode(outputs: Sequence[F32], *, score: float = 0.5, overlap: float = 0.3) -> list[Face]:
    """Faces with at least `score`, best first, after non-maximum suppression at `overlap`.

    Args:
        outputs: heatmap (1, 1, H, W), scale (1, 2, H, W), offset (1, 2, H, W) and
            landmarks (1, 10, H, W), float32.
    """
    heatmap, scale, offset, landmarks = (output[0] for output in outputs)
    faces: list[Face] = []
    for row, column in np.argwhere(heatmap[0] >= score):
        height, width = np.exp(scale[:, row, column]) * STRIDE
        centre_y = (row + offset[0, row, column] + 0.5) * STRIDE
        centre_x = (column + offset[1, row, column] + 0.5) * STRIDE
        left, top = max(0.0, centre_x - width / 2), max(0.0, centre_y - height / 2)
        points = landmarks[:, row, column].reshape(LANDMARKS, 2)
        faces.append(
            Face(
                (float(left), float(top), float(left + width), float(top + height)),
                float(heatmap[0, row, column]),
                tuple((float(left + x * width), float(top + y * height)) for y, x in points),
            )
        )
    faces.sort(key=lambda face: -face.score)
    kept: list[Face] = []
    for face in faces:
        if all(iou(face.box_ltrb, other.box_ltrb) < overlap for other in kept):
            kept.append(face)
    return kept


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two (left, top, right, bottom) boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = width * height
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    return inside / (area_a + area_b - inside)


def draw(picture: Image.Image, faces: Sequence[Face], size_hw: tuple[int, int]) -> Image.Image:
    """A copy of `picture` with boxes, scores and landmarks; faces are in a `size_hw` input."""
    canvas = picture.convert("RGB").copy()
    pen = ImageDraw.Draw(canvas)
    scale_x, scale_y = canvas.width / size_hw[1], canvas.height / size_hw[0]
    line = max(2, canvas.width // 200)
    for face in faces:
        left, top, right, bottom = face.box_ltrb
        box = (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y)
        pen.rectangle(box, outline=(0, 220, 90), width=line)
        label = f"face {face.score:.2f}"
        text = pen.textbbox((0, 0), label, font_size=6 * line)
        anchor_y = box[1] - text[3] - line if box[1] > text[3] + line else box[3] + line
        pen.rectangle(
            (box[0], anchor_y, box[0] + text[2] + 2 * line, anchor_y + text[3] + line),
            fill=(0, 220, 90),
        )
        pen.text((box[0] + line, anchor_y), label, fill=(0, 0, 0), font_size=6 * line)
        for x, y in face.landmarks_xy:
            cx, cy = x * scale_x, y * scale_y
            pen.ellipse((cx - line, cy - line, cx + line, cy + line), fill=(255, 80, 80))
    return canvas
