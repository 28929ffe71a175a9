"""The Learner of a workload: everything fastai does with a Learner works on it, and its seed decides everything."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.data.transforms import Normalize
from fastai.interpret import ClassificationInterpretation
from fastai.learner import load_learner
from fastcore.basics import noop
from fasttransform import Pipeline

from lrlab.recipes.kitchen.data import dataloaders as loaders
from lrlab.recipes.kitchen.data.catalog import load
from lrlab.recipes.kitchen.data.dataloaders import BatchFlips, Normalized, ToFloat, augmentation
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.grid.judging import resolve_measure
from lrlab.recipes.kitchen.workloads import ImageWorkload, build, make_workload
from tests.conftest import write_images


@pytest.fixture(scope="module")
def trained():
    learn = build("digits", size=16)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(3, 1e-2)
    return learn


def test_it_learns(trained):
    assert trained.recorder.values[-1][2] > 0.9


def test_fastais_own_tools_work(trained, capsys):
    with trained.no_bar():
        trained.dls.show_batch(max_n=4)
        trained.show_results(max_n=4)
        interpretation = ClassificationInterpretation.from_learner(trained)
        matrix = interpretation.confusion_matrix()
        interpretation.plot_top_losses(4)
    plt.close("all")
    assert matrix.sum() == len(trained.dls.valid_ds) and np.trace(matrix) > 0.9 * matrix.sum()


def test_a_new_file_is_predicted(trained, tmp_path):
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    Image.fromarray((digits.images[0] * (255 / 16)).astype(np.uint8)).save(tmp_path / "digit.png")
    with trained.no_bar():
        label, _, probabilities = trained.predict(tmp_path / "digit.png")
        preds, _ = trained.get_preds(dl=trained.dls.test_dl([tmp_path / "digit.png"] * 3))
    assert label == str(digits.target[0]) and probabilities.sum().item() == pytest.approx(1, abs=1e-4)
    assert preds.shape == (3, 10)


def _first_batches(seed: int) -> tuple:
    learn = build("digits", seed=seed)
    x, y = learn.dls.train.one_batch()
    return [p.detach().clone() for p in learn.model.parameters()], x, y


def test_the_seed_decides_weights_order_and_augmentation():
    (a_weights, ax, ay), (b_weights, bx, by), (c_weights, cx, _) = (_first_batches(s) for s in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(a_weights, b_weights, strict=True))
    assert torch.equal(ax, bx) and torch.equal(ay, by)
    assert not torch.equal(ax, cx) and not all(torch.equal(a, c) for a, c in zip(a_weights, c_weights, strict=True))


def test_an_epoch_serves_every_training_image_once_and_labels_fit(image_folder):
    learn = build(str(image_folder), size=16, bs=6)
    dl = learn.dls.train.new(after_batch=[], drop_last=False)
    seen = torch.cat([x.as_subclass(torch.Tensor).flatten(1).float().sum(1) for x, _ in dl])
    image_set = dl.pixels.images
    expected = torch.from_numpy(image_set.images[image_set.splits["train"]].reshape(36, -1).astype(np.float32)).sum(1)
    assert torch.allclose(seen.sort().values, expected.sort().values)
    for x, y in learn.dls.valid:
        left_brighter = x[..., :8].mean((1, 2, 3)) > x[..., 8:].mean((1, 2, 3))
        assert torch.equal(left_brighter.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor) == 0)


@pytest.mark.parametrize("kind, symmetries", [("none", 1), ("horizontal", 2), ("dihedral", 8)])
def test_flips_are_all_symmetries_and_nothing_else(kind, symmetries):
    from fastai.vision.core import TensorImage

    torch.manual_seed(0)
    image = torch.arange(9.0).view(1, 1, 3, 3)
    out = BatchFlips(kind)(TensorImage(image.expand(400, -1, -1, -1)), split_idx=0)
    found = {tuple(o.flatten().tolist()) for o in out}
    assert len(found) == symmetries and all(sorted(f) == list(range(9)) for f in found)
    validation = BatchFlips(kind)(TensorImage(image.expand(9, -1, -1, -1)), split_idx=1)
    assert torch.equal(validation.as_subclass(torch.Tensor), image.expand(9, -1, -1, -1))


FLIPS = {  # what is asked for, and the flips that are known to keep the label -> the flips of the batches
    (None, None): "none",
    (None, "dihedral"): "dihedral",
    ("none", "dihedral"): "none",
    ("flips", None): "horizontal",
    ("flips", "none"): "horizontal",
    ("flips", "dihedral"): "dihedral",
}


@pytest.mark.parametrize("asked, known", FLIPS)
def test_nothing_is_flipped_unless_it_is_known_or_asked_for(asked, known):
    assert [tfm.kind for tfm in augmentation(asked, known)] == [FLIPS[asked, known]]


@pytest.mark.parametrize("data, has_flips", [("digits", False), ("folder", True)])
def test_fastais_augmentation_is_on_training_batches_only_and_decided_by_the_seed(data, has_flips, image_folder):
    from fastai.vision.augment import Brightness, Flip

    source = str(image_folder) if data == "folder" else data

    def learner(seed: int):
        return build(source, size=16, bs=8, seed=seed, aug="fastai", precision="fp32")

    first, same, other = (learner(seed).dls.train.one_batch()[0] for seed in (0, 0, 1))
    dls = learner(0).dls
    kinds = [type(tfm) for tfm in dls.train.after_batch.fs]
    assert Brightness in kinds and (Flip in kinds) == has_flips and BatchFlips not in kinds
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert torch.equal(dls.valid.one_batch()[0], dls.valid.one_batch()[0])


def test_what_is_not_set_is_the_question_of_before(image_folder):
    "So that folders of results written before can be continued, but for images that were flipped unasked."
    digits, own = load("digits"), load(str(image_folder))

    def asked(data, images, **knobs):
        return make_workload(data, "small", None, None, "fp32", **knobs).to_dict(images)

    plain = asked("digits", digits)
    assert plain == asked("digits", digits, opt="adam", scratch=True) and "opt" not in plain
    assert plain["aug"] is None and plain["wd"] is None and asked("own", own)["aug"] == "none"
    hints = make_workload("own", "small", None, None, "fp32").hints(own)
    assert len(hints) == 1 and "--aug flips, or --aug fastai" in hints[0]
    assert not make_workload("own", "small", None, None, "fp32", aug="none").hints(own)
    assert not make_workload("digits", "small", None, None, "fp32").hints(digits)
    others = [{"opt": "sgd"}, {"wd": 0.0}, {"aug": "none"}]
    assert all(asked("digits", digits, **knob) == plain | knob for knob in others)


def test_the_head_of_a_pretrained_model_is_trained_alone_for_as_long_as_was_asked(resnet_file):
    arguments = ("digits:40", "test_resnet", 32, 16, "fp32", resnet_file)
    for epochs, trained in ((0, 0), (2, 2), (None, 1)):
        workload = make_workload(*arguments, freeze_epochs=epochs)
        learn = workload.learner()
        body, head = ([p.detach().clone() for p in part.parameters()] for part in learn.model)
        with learn.no_bar(), learn.no_logging():
            workload.warm_up_head(learn)
        assert getattr(learn.recorder, "values", []) == [] if not trained else len(learn.recorder.values) == trained
        same_head = all(map(torch.equal, head, learn.model[1].parameters()))
        assert same_head == (trained == 0) and all(p.requires_grad for p in learn.model.parameters())
        moved = [not torch.equal(a, b) for a, b in zip(body, learn.model[0].parameters(), strict=True) if a.ndim > 1]
        assert moved and not any(moved), "only the batch norms of the body are trained, as in fastai"


@pytest.mark.parametrize("channels, colour", [(1, False), (3, False), (3, True), (1, True)])
def test_inputs_are_what_fastais_own_transforms_make_of_them(channels, colour):
    from fastai.data.transforms import IntToFloatTensor
    from fastai.vision.core import TensorCategory, TensorImage

    mean, std = [0.4, 0.5, 0.6][: 3 if colour else channels], [0.2, 0.25, 0.3][: 3 if colour else channels]
    images = torch.randint(0, 256, (5, 8, 8, channels), dtype=torch.uint8).permute(0, 3, 1, 2)
    batch = TensorImage(images), TensorCategory(torch.arange(5))
    ours = Pipeline([ToFloat(colour), Normalized.from_stats(mean, std, cuda=False)])
    theirs = Pipeline([IntToFloatTensor(), Normalize.from_stats(mean, std, cuda=False)])
    (x, y), (expected, _) = ours(batch), theirs(batch)
    assert type(x) is TensorImage and y is batch[1] and x.shape == (5, 3 if colour else channels, 8, 8)
    torch.testing.assert_close(x.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor).expand_as(x))
    shown = ours.decode((x, y))[0].as_subclass(torch.Tensor)
    torch.testing.assert_close(shown, (images / 255).expand_as(shown), atol=1e-6, rtol=1e-5)


def test_the_normalization_goes_where_the_batches_go():
    dls = build("digits", precision="fp32").dls
    dls.to(torch.device("meta"))  # stands for a GPU
    normalized = next(tfm for tfm in dls.train.after_batch.fs if isinstance(tfm, Normalized))
    assert {normalized.mean.device.type, normalized.std.device.type} == {"meta"}
    x = normalized(torch.empty(4, 1, 16, 16, device="meta"))
    assert x.device.type == "meta" and x.dtype == torch.float32


def test_a_users_batch_transform_sees_floats_before_they_are_normalized():
    from fastai.vision.augment import Brightness

    seen = []

    class Looks(Brightness):
        def __call__(self, batch, **kwargs):
            seen.append(batch[0].as_subclass(torch.Tensor))
            return super().__call__(batch, **kwargs)

    dls = build("digits", precision="fp32").dls
    dls.add_tfms([Looks(max_lighting=0.1, p=1.0)], "after_batch")
    dls.train.one_batch()
    assert seen[0].min() == 0 and 0.9 < seen[0].max() <= 1
    assert sum(isinstance(tfm, Normalize) for tfm in dls.train.after_batch.fs) == 1, "as vision_learner looks for it"


def test_colour_images_and_batches_larger_than_the_data(tmp_path):
    for name in ("left", "right"):
        write_images(tmp_path / name, 8)
    learn = build(str(tmp_path), size=16, bs=64)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-2)
    assert next(learn.model.parameters()).shape[1] == 3 and len(learn.recorder.values) == 1


def test_precision_is_a_choice():
    seen = {}
    for precision in ("fp32", "bf16"):
        learn = build("digits", precision=precision)
        learn.model[1].register_forward_hook(lambda m, i, out, p=precision: seen.update({p: out.dtype}))
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 1e-3)
        assert learn.recorder.values[0][0] < 3
    assert seen == {"fp32": torch.float32, "bf16": torch.bfloat16}


def test_images_that_lie_on_the_device_give_the_same_batches(monkeypatch):
    "What a GPU does, on a device that is named so: `Pixels` keeps the images as tensors and indexes there."
    image_set = load("digits")
    on_cpu = loaders.Pixels(image_set, torch.device("cpu"))
    assert on_cpu.resident is None
    rows = np.array([5, 0, 7])
    monkeypatch.setattr(loaders, "free_memory", lambda device: 1e12)
    meta = loaders.Pixels(image_set, torch.device("meta"))
    assert [tensor.shape for tensor in meta.resident] == [image_set.images.shape, image_set.labels.shape]
    assert [tensor.shape for tensor in meta.batch(rows)] == [tensor.shape for tensor in on_cpu.batch(rows)]
    meta.device, meta.resident = torch.device("cpu"), tuple(map(torch.from_numpy, (image_set.images, image_set.labels)))
    for resident, indexed in zip(meta.batch(rows), on_cpu.batch(rows), strict=True):
        assert torch.equal(resident, indexed) and resident.stride() == indexed.stride()
    monkeypatch.setattr(loaders, "free_memory", lambda device: 1.0)
    assert loaders.Pixels(image_set, torch.device("meta")).resident is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_on_images_that_lie_there():
    learn = build("digits", precision="fp32")
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 3e-3)
    assert next(learn.model.parameters()).is_cuda and learn.recorder.values[-1][2] > 0.5
    assert learn.dls.train.pixels.resident


def test_data_may_be_a_path(image_folder):
    assert build(image_folder, size=16, precision="fp32").dls.c == 2


@pytest.mark.parametrize("count, bs", [(4, 2), (12, 2), (24, 4), (100, 16), (400, 64)])
def test_a_small_folder_trains_with_its_default_batch_size(tmp_path, count, bs):
    "At least eight steps in an epoch, as far as two images a step allow; batch norm needs two."
    for name in ("left", "right"):
        write_images(tmp_path / name, count, size=8)
    images = load(str(tmp_path), 8)
    workload = ImageWorkload(str(tmp_path), size=8, precision="fp32")
    learn = workload.learner(0, images)
    n_train = len(images.splits["train"])
    assert learn.dls.train.bs == bs == workload.resolve(images).bs == workload.to_dict(images)["bs"]
    assert len(learn.dls.train) == n_train // bs >= min(8, n_train // 2)
    assert ImageWorkload(str(tmp_path), size=8, bs=6, precision="fp32").learner(0, images).dls.train.bs == min(
        6, n_train
    )


def test_an_exported_learner_predicts_and_does_not_carry_the_images(image_folder, tmp_path):
    learn = build(str(image_folder), size=64, precision="fp32")
    file = next((image_folder / "left").iterdir())
    with learn.no_bar():
        expected = learn.predict(file)
        learn.path = tmp_path
        learn.export("model.pkl")
        loaded = load_learner(tmp_path / "model.pkl")
        with loaded.no_bar():
            label, _, probabilities = loaded.predict(file)
    assert label == expected[0] and torch.allclose(probabilities, expected[2], atol=1e-5)
    weights = sum(p.numel() * p.element_size() for p in learn.model.parameters())
    assert (tmp_path / "model.pkl").stat().st_size < 1.5 * weights
    with learn.no_bar():
        learn.validate()  # the Learner that was exported still has its images


def test_a_validation_of_the_head_that_nobody_reads_is_skipped_and_changes_nothing(resnet_file):
    workload = make_workload("digits:40", "test_resnet", 32, 16, "fp32", resnet_file, freeze_epochs=2)
    trained, rows = [], []
    for logger in (noop, rows.append):
        learn = workload.learner()
        learn.logger = logger
        with learn.no_bar():
            workload.warm_up_head(learn)
            validations = sum(len(values) == 3 for values in learn.recorder.values)
            learn.fit(1, 1e-3)
        trained.append((validations, torch.rand(1), *(p.detach() for p in learn.model.parameters())))
    (unread, *without), (read, *with_them) = trained
    assert (unread, read) == (0, 2) and len(rows) == 3
    assert all(map(torch.equal, without, with_them)), "the next training draws the same random numbers"


def test_no_study_takes_a_tolerance_of_everything():
    workload = ImageWorkload("digits", size=8)
    images = workload.load()
    assert resolve_measure(None, workload, images, 0.5).name == "accuracy"
    with pytest.raises(UserError, match="`tolerance` 5: expected less than 1 of the accuracy"):
        resolve_measure(None, workload, images, 5.0)
