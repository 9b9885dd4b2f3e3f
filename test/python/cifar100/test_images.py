"""Row T5: split, augmentation, and a validation set that nothing random touches."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from payload import devices, images, learner
from payload.archive import FOLDER
from payload.epoch_plan import EpochPlan, batch_bounds, cut, mixup_share, plan_epoch
from payload.errors import DataAccessError
from payload.models.factory import ModelShape, create_model
from payload.optimisation import make_optimizer
from payload.options import read_settings

CPU = torch.device("cpu")


def test_fifty_thousand_images_are_split_as_random_split_splits_them() -> None:
    training, validation = images.split_indices(50_000)
    assert len(training) == 45_000
    assert len(validation) == 5_000
    assert len(set(training.tolist()) | set(validation.tolist())) == 50_000
    parts = torch.utils.data.random_split(range(50_000), [45_000, 5_000], generator=torch.Generator().manual_seed(42))
    assert training.tolist() == list(parts[0].indices)
    assert validation.tolist() == list(parts[1].indices)


def test_both_forms_of_the_data_directory_are_the_same_folder(data_root: Path) -> None:
    assert images.locate(str(data_root)) == images.locate(str(data_root / FOLDER)) == str(data_root / FOLDER)


def test_every_image_of_the_file_is_in_one_part(data_root: Path) -> None:
    data = images.load(images.locate(str(data_root)), CPU)
    assert (len(data.training), len(data.validation), len(data.test)) == (135, 15, 50)
    assert data.synthetic
    raw = images.read_entry(str(data_root / FOLDER / "train"))["data"]
    inner = data.training.pixels[:, 4:36, 4:36].permute(0, 3, 1, 2).reshape(135, -1).numpy()
    seen = np.concatenate([inner, data.validation.pixels.permute(0, 3, 1, 2).reshape(15, -1).numpy()])
    assert sorted(row.tobytes() for row in seen) == sorted(row.tobytes() for row in raw)


def test_normalised_pixels_are_those_of_the_formula(data_root: Path) -> None:
    data = images.load(images.locate(str(data_root)), CPU)
    for channels_last in (True, False):
        found = images.Normaliser(CPU, channels_last)(data.validation.pixels)
        wanted = (data.validation.pixels.float() / 255 - torch.tensor(images.MEAN)) / torch.tensor(images.DEVIATION)
        assert found.shape == (15, 3, 32, 32)
        assert torch.allclose(found, wanted.permute(0, 3, 1, 2), atol=1e-5)
        assert found.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def test_an_evaluation_draws_no_random_number_and_sees_the_images_as_they_are(data_root: Path) -> None:
    """Dropout and augmentation are on in the settings, and no generator moves: torch's, numpy's and Python's."""
    settings = read_settings(["--model_type", "custom", "--width_factor", "0.1", "--hidden_size", "16", "--dropout_rate", "0.5", "--augment"], None)
    data = images.load(images.locate(str(data_root)), CPU)
    network = create_model(ModelShape("custom", dropout_rate=0.5, hidden_size=16, width_factor=0.1))
    made = learner.make_learner(network, lambda each: make_optimizer(settings, each), devices.choose_device(settings), settings)
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = learner.evaluate(made, data.validation, lambda: None)
    second = learner.evaluate(made, data.validation, lambda: None)
    assert (first.loss, first.accuracy) == (second.loss, second.accuracy)
    assert torch.equal(seen[0], made.normalise(data.validation.pixels))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())


def test_a_crop_is_a_window_of_the_padded_image_and_a_flip_its_mirror(data_root: Path) -> None:
    data = images.load(images.locate(str(data_root)), CPU)
    plan = plan_epoch(1, 1, len(data.training), True, CPU)
    pixels, labels = cut(data.training, plan, 10, 60)
    assert plan.is_flipped[10:60].any()
    assert not plan.is_flipped[10:60].all()
    for row, position in enumerate(range(10, 60)):
        index, down, right = int(plan.order[position]), int(plan.down[position]), int(plan.right[position])
        wanted = data.training.pixels[index, down : down + 32, right : right + 32]
        wanted = wanted.flip(1) if plan.is_flipped[position] else wanted
        assert torch.equal(pixels[row], wanted)
        assert labels[row] == data.training.labels[index]


def test_without_augmentation_images_are_as_they_are(data_root: Path) -> None:
    data = images.load(images.locate(str(data_root)), CPU)
    plan = plan_epoch(1, 1, len(data.training), False, CPU)
    pixels, _ = cut(data.training, plan, 0, 135)
    assert torch.equal(pixels, data.training.pixels[plan.order][:, 4:36, 4:36])


def fields(plan: EpochPlan) -> list[torch.Tensor]:
    return [plan.order, plan.down, plan.right, plan.is_flipped]


def test_an_epochs_plan_depends_on_seed_and_epoch_alone() -> None:
    one = plan_epoch(7, 3, 500, True, CPU)
    torch.rand(100)
    assert all(torch.equal(a, b) for a, b in zip(fields(one), fields(plan_epoch(7, 3, 500, True, CPU))))
    for other in (plan_epoch(7, 4, 500, True, CPU), plan_epoch(8, 3, 500, True, CPU)):
        assert not torch.equal(one.order, other.order)
        assert not torch.equal(one.down, other.down)


def test_all_81_crops_occur_and_half_of_the_images_are_flipped() -> None:
    plan = plan_epoch(0, 1, 20_000, True, CPU)
    counts = torch.bincount(plan.down * 9 + plan.right, minlength=81).float()
    assert len(counts) == 81
    # 20,000 / 81 = 247 each; six standard deviations.
    assert float((counts - 20_000 / 81).abs().max()) < 6 * (20_000 / 81) ** 0.5
    assert abs(float(plan.is_flipped.float().mean()) - 0.5) < 0.03


@pytest.mark.parametrize(("count", "size", "ends"), [(10, 4, [4, 8, 10]), (9, 4, [4, 9]), (1, 4, [1]), (8, 4, [4, 8])])
def test_no_batch_has_a_single_image_unless_there_is_but_one(count: int, size: int, ends: list[int]) -> None:
    assert [end for _, end in batch_bounds(count, size)] == ends


def test_mixup_shares_are_drawn_anew_for_each_batch_and_repeat_with_the_seed() -> None:
    shares = [mixup_share(1, 1, batch, 0.4) for batch in range(2000)]
    assert shares == [mixup_share(1, 1, batch, 0.4) for batch in range(2000)]
    assert all(0 <= share <= 1 for share in shares)
    assert abs(sum(shares) / 2000 - 0.5) < 0.05


@pytest.mark.parametrize(
    "content",
    [b"", b"not a pickle", pickle.dumps({"data": 1}), pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0]}, 2)],
    ids=["empty", "text", "no images", "a label short"],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train"
    path.write_bytes(content)
    with pytest.raises(DataAccessError, match=str(path)):
        images.read_entry(str(path))


def test_a_data_file_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "train"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(DataAccessError, match=r"os\.system has no place"):
        images.read_entry(str(path))
    assert not (tmp_path / "ran").exists()
