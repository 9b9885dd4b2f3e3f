"""Generated data in CIFAR-100's own format, for tests and dry runs: 100 classes that can be learned, and a mark that says it is not CIFAR-100."""

from __future__ import annotations

import io
import os
import pickle
import tarfile

import numpy as np

from payload.archive import FILES, FOLDER, SYNTHETIC_MARK, folder_of
from payload.files import digest_of, write_bytes, write_json

CLASSES = 100
CELLS = 4
LEVELS = 16


def _images(random: np.random.RandomState, patterns: np.ndarray, labels: np.ndarray, noise: float) -> np.ndarray:
    """(n, 3072) bytes, channel by channel as in CIFAR. Each image is its class's 4 x 4 colour pattern with its own contrast, brightness, noise and shift.

    Cells of 8 x 8 equal pixels and few levels keep the files small once packed.
    """
    count = len(labels)
    cells = patterns[labels].astype(np.float64)
    contrast = random.uniform(0.6, 1.2, (count, 1, 1, 1))
    brightness = random.uniform(-30, 30, (count, 1, 1, 1))
    cells = 128 + (cells - 128) * contrast + brightness + random.normal(0, noise, cells.shape)
    step = 256 // LEVELS
    cells = (np.clip(cells, 0, 255) // step * step).astype(np.uint8)
    images = cells.repeat(8, axis=2).repeat(8, axis=3)
    shifts = random.randint(-2, 3, (count, 2))
    for number, (down, right) in enumerate(shifts):
        images[number] = np.roll(images[number], (down, right), axis=(1, 2))
    return images.reshape(count, -1)


def _entry(random: np.random.RandomState, patterns: np.ndarray, count: int, noise: float, name: str) -> dict[str, object]:
    labels = random.permutation(np.arange(count) % CLASSES)
    return {
        "data": _images(random, patterns, labels, noise),
        "fine_labels": [int(label) for label in labels],
        "coarse_labels": [int(label) // 5 for label in labels],
        "filenames": [f"synthetic_{label:02d}_{number:05d}.png" for number, label in enumerate(labels)],
        "batch_label": f"synthetic {name} batch 1 of 1",
        "synthetic": True,
    }


def entries(train_images: int, test_images: int, seed: int = 0, noise: float = 40.0) -> dict[str, dict[str, object]]:
    """Contents of train, test and meta. The same arguments give the same images. Raises ValueError for sizes below one training image a class."""
    if train_images < CLASSES or test_images < 1:
        raise ValueError(f"{train_images} training and {test_images} test images are too few: at least {CLASSES} and 1.")
    random = np.random.RandomState(seed)
    patterns = random.randint(0, 256, (CLASSES, 3, CELLS, CELLS))
    return {
        "train": _entry(random, patterns, train_images, noise, "training"),
        "test": _entry(random, patterns, test_images, noise, "testing"),
        "meta": {
            "fine_label_names": [f"synthetic-{number:02d}" for number in range(CLASSES)],
            "coarse_label_names": [f"synthetic-group-{number:02d}" for number in range(CLASSES // 5)],
            "synthetic": True,
        },
    }


def generate(directory: str, train_images: int = 2000, test_images: int = 500, seed: int = 0, noise: float = 40.0) -> str:
    """Writes train, test, meta and the mark; returns the folder. Raises ValueError for too few images, FileExistsError where real data lie."""
    contents = entries(train_images, test_images, seed, noise)
    folder = folder_of(directory)
    if os.path.exists(os.path.join(folder, "train")) and not os.path.exists(os.path.join(folder, SYNTHETIC_MARK)):
        raise FileExistsError(f"{folder} holds data that were not generated. Choose another folder for generated data.")
    os.makedirs(folder, exist_ok=True)
    # The mark comes first: a generation that is cut short is never taken for the real set.
    mark = {"synthetic": True, "train_images": train_images, "test_images": test_images, "seed": seed, "noise": noise, "md5": {}}
    write_json(os.path.join(folder, SYNTHETIC_MARK), mark)
    for name, entry in contents.items():
        write_bytes(os.path.join(folder, name), pickle.dumps(entry, protocol=2))
    mark["md5"] = {name: digest_of(os.path.join(folder, name), "md5") for name, _ in FILES}
    write_json(os.path.join(folder, SYNTHETIC_MARK), mark)
    return folder


def pack(folder: str, archive: str) -> int:
    """Packs a generated folder as CIFAR-100's archive is packed; returns its size in bytes (a few hundred thousand for the default sizes)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=9) as tar:
        for name in [*(name for name, _ in FILES), SYNTHETIC_MARK]:
            tar.add(os.path.join(folder, name), arcname=f"{FOLDER}/{name}")
    write_bytes(archive, buffer.getvalue())
    return len(buffer.getvalue())
