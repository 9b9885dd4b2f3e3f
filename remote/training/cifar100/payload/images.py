"""CIFAR-100 as tensors: read, split, put on the device, cut into batches. No torchvision, no loader processes."""

from __future__ import annotations

import errno
import logging
import os
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from payload import synthetic
from payload.archive import SYNTHETIC_MARK, folder_of
from payload.errors import DataAccessError, is_out_of_memory

logger = logging.getLogger("cifar100")
CLASSES = 100
PADDING = 4
# Mean and deviation of each colour over CIFAR-100's training set (row T5).
MEAN = (0.5071, 0.4867, 0.4408)
DEVIATION = (0.2675, 0.2565, 0.2761)
SPLIT_SEED = 42
VALIDATION_SHARE = 0.1


class _DataOnly(pickle.Unpickler):
    """Reads arrays and plain values and nothing else: a data file must not be able to run code."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype", "scalar", "encode", "_frombuffer"})

    def find_class(self, module: str, name: str) -> Any:
        if name in self.ALLOWED and (module.split(".")[0] == "numpy" or module == "_codecs"):
            # NumPy 2 names its core numpy._core; both must read each other's files.
            is_new = int(np.__version__.split(".")[0]) >= 2
            return super().find_class(module.replace("numpy._core", "numpy.core") if not is_new else module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a data file")


def read_entry(path: str) -> dict[str, Any]:
    """One pickle of the data set, checked: data (n, 3072) bytes and n labels below 100. Raises DataAccessError that names the file."""
    try:
        with open(path, "rb") as file:
            entry = _DataOnly(file, encoding="latin1").load()
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise DataAccessError(f"{path} may not be read by this user. Ask its owner for read permission.") from error
        raise DataAccessError(f"{path} cannot be read: {error.strerror}. Run `holdfast data cifar100 <dir>`.") from error
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError, ImportError, UnicodeError) as error:
        raise DataAccessError(f"{path} is damaged: {error}. Run `holdfast data cifar100 <dir>` to repair it.") from error
    data = entry.get("data") if isinstance(entry, dict) else None
    labels = np.asarray(entry.get("fine_labels", [])) if isinstance(entry, dict) else np.asarray([])
    is_whole = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2 and data.shape == (len(labels), 3072) and len(labels) > 0
    if not is_whole or labels.min() < 0 or labels.max() >= CLASSES:
        raise DataAccessError(f"{path} does not hold CIFAR-100 images with fine labels. Run `holdfast data cifar100 <dir> --verify`.")
    return {"data": data, "labels": labels.astype(np.int64), "synthetic": bool(entry.get("synthetic", False))}


def locate(directory: str) -> str:
    """The folder with the files, from either form of `data.dir`. Raises DataAccessError naming the first file that is missing or not readable."""
    folder = folder_of(directory)
    for name in ("train", "test"):
        path = os.path.join(folder, name)
        try:
            with open(path, "rb"):
                continue
        except FileNotFoundError as error:
            raise DataAccessError(f"{path} does not exist. Run `holdfast data cifar100 {directory}` on the system, or correct data.dir.") from error
        except PermissionError as error:
            raise DataAccessError(f"{path} may not be read by this user. Ask its owner for read permission.") from error
    return folder


def split_indices(count: int) -> tuple[Tensor, Tensor]:
    """(training, validation) indices: the last tenth of a permutation with seed 42 validates, as torch's random_split draws it."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    validation = int(count * VALIDATION_SHARE)
    return order[: count - validation], order[count - validation :]


@dataclass(frozen=True)
class ImageSet:
    """pixels: (n, h, w, 3) bytes, padded to 40 x 40 for training; labels: (n,). Both lie on `device`, or on the CPU if they do not fit there."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class DataSet:
    training: ImageSet
    validation: ImageSet
    test: ImageSet
    folder: str
    synthetic: bool


def _place(pixels: Tensor, labels: Tensor, device: torch.device) -> ImageSet:
    try:
        return ImageSet(pixels.to(device), labels.to(device))
    except RuntimeError as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
        logger.warning("the images do not fit on %s: batches will be copied one by one", device)
        return ImageSet(pixels, labels)


def _pixels(data: np.ndarray, padding: int) -> Tensor:
    images = torch.from_numpy(data).view(-1, 3, 32, 32).permute(0, 2, 3, 1)
    if padding == 0:
        return images.contiguous()
    padded = torch.zeros(len(images), 32 + 2 * padding, 32 + 2 * padding, 3, dtype=torch.uint8)
    padded[:, padding:-padding, padding:-padding] = images
    return padded


def _data_set(train: dict[str, Any], test: dict[str, Any], folder: str, device: torch.device) -> DataSet:
    training, validation = (index.numpy() for index in split_indices(len(train["labels"])))

    def part(entry: dict[str, Any], index: Any, padding: int) -> ImageSet:
        return _place(_pixels(entry["data"][index], padding), torch.from_numpy(entry["labels"][index]), device)

    return DataSet(
        training=part(train, training, PADDING),
        validation=part(train, validation, 0),
        test=part(test, slice(None), 0),
        folder=folder,
        synthetic=bool(train["synthetic"] or test["synthetic"] or os.path.exists(os.path.join(folder, SYNTHETIC_MARK))),
    )


def load(folder: str, device: torch.device) -> DataSet:
    """The whole data set on the device (about 250 MB for CIFAR-100). Training images are padded once for random crops; the others are not."""
    train, test = (read_entry(os.path.join(folder, name)) for name in ("train", "test"))
    return _data_set(train, test, folder, device)


def make_synthetic(count: int, device: torch.device) -> DataSet:
    """Generated images, a quarter as many for the test, without any file: for dry runs. Marked as synthetic like generated files."""
    made = synthetic.entries(count, max(100, count // 4))
    train, test = ({**made[name], "labels": np.asarray(made[name]["fine_labels"], dtype=np.int64)} for name in ("train", "test"))
    return _data_set(train, test, "", device)


class Normaliser:
    """Bytes (n, 32, 32, 3) to normalised floats (n, 3, 32, 32) on the device, in the layout the network wants."""

    def __init__(self, device: torch.device, channels_last: bool) -> None:
        self.device = device
        self.channels_last = channels_last
        self.scale = 1.0 / (255.0 * torch.tensor(DEVIATION, device=device))
        self.shift = -torch.tensor(MEAN, device=device) / torch.tensor(DEVIATION, device=device)

    def __call__(self, pixels: Tensor) -> Tensor:
        images = torch.addcmul(self.shift, pixels.to(self.device).float(), self.scale).permute(0, 3, 1, 2)
        return images if self.channels_last else images.contiguous()
