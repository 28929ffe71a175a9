"""fastai's datasets and Fashion-MNIST, read from small data in the real layouts: no network."""

import gzip
import struct

import numpy as np
import pytest
from fastai.data import external
from PIL import Image

from lrlab.recipes.kitchen.data import catalog as data
from lrlab.recipes.kitchen.data import fashion_mnist as fashion
from lrlab.recipes.kitchen.data import fastai_datasets as datasets
from lrlab.recipes.kitchen.errors import UserError


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture
def fastai_home(tmp_path, monkeypatch, no_network):
    "A new $FASTAI_HOME, where the datasets lie as `untar_data` leaves them. There is no network."
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "home"))
    external.fastai_cfg.cache_clear()
    data._load_dataset.cache_clear()
    yield tmp_path / "home" / "data"
    external.fastai_cfg.cache_clear()
    data._load_dataset.cache_clear()


def image(file, value=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 255, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def counts(image_set):
    return {part: len(rows) for part, rows in image_set.splits.items()}


def test_pets_are_labelled_by_the_name_without_its_number(fastai_home):
    for breed in ("Great_Pyrenees", "Abyssinian", "pug"):
        for i in range(8):
            image(fastai_home / "oxford-iiit-pet" / "images" / f"{breed}_{i * 10}.jpg", i)
    (fastai_home / "oxford-iiit-pet" / "annotations").mkdir()
    image_set = data.load("pets", 16)
    assert image_set.classes == ("Abyssinian", "Great_Pyrenees", "pug")
    assert counts(image_set) == {"train": 18, "valid": 6}, "a quarter of every breed: pets come without a split"
    for file, label in zip(image_set.files, image_set.labels, strict=True):
        assert file.rsplit("_", 1)[0].removeprefix("images/") == image_set.classes[label]


def test_unreadable_images_of_a_dataset_are_named_and_left_out(fastai_home):
    folder = fastai_home / "oxford-iiit-pet" / "images"
    for breed in ("Abyssinian", "pug"):
        for i in range(20):
            image(folder / f"{breed}_{i}.jpg", i)
    (folder / "pug_3.jpg").write_bytes(b"no image")
    image_set = data.load("pets", 16)
    assert sum(counts(image_set).values()) == 39 and list(image_set.card.unreadable) == ["images/pug_3.jpg"]
    assert "excluded: 1 unreadable image of 40: images/pug_3.jpg" in image_set.card.warnings[0]


def test_flowers_keep_their_three_parts(fastai_home):
    root = fastai_home / "oxford-102-flowers"
    for part, numbers in {"train": range(0, 6), "valid": range(6, 10), "test": range(10, 18)}.items():
        lines = []
        for i in numbers:
            image(root / "jpg" / f"image_{i:05}.jpg", i)
            lines.append(f"jpg/image_{i:05}.jpg {i % 2 + 15}")
        (root / f"{part}.txt").write_text("\n".join(lines) + "\n")
    image_set = data.load("flowers", 16)
    assert counts(image_set) == {"train": 6, "valid": 4, "test": 8}
    assert image_set.classes == ("species 015", "species 016")


@pytest.mark.parametrize(
    "name, folder, parts, classes",
    [
        ("mnist", "mnist_png", ("training", "testing"), ("0", "1")),
        ("mnist_sample", "mnist_sample", ("train", "valid"), ("3", "7")),
        ("cifar", "cifar10", ("train", "test"), ("airplane", "frog")),
        ("imagenette_160", "imagenette2-160", ("train", "val"), ("n01440764", "n03888257")),
    ],
)
def test_folders_keep_their_split(fastai_home, name, folder, parts, classes):
    for part, n in zip(parts, (6, 3), strict=True):
        for c in classes:
            for i in range(n):
                image(fastai_home / folder / part / c / f"{part}{i}.png", i)
    (fastai_home / folder / "labels.csv").write_text("name,label\n")
    image_set = data.load(name, 16)
    assert counts(image_set) == {"train": 12, "valid": 6}, "a test set alone is what there is to validate on"
    assert image_set.classes == (("parachute", "tench") if name.startswith("imagenette") else classes)
    assert image_set.flips == ("none" if name.startswith("mnist") else "horizontal")
    trained = {image_set.files[row].split("/")[0] for row in image_set.splits["train"]}
    assert trained == {parts[0]}


def test_cifar_100_has_its_fine_classes(fastai_home):
    for part in ("train", "test"):
        for coarse, fine in (("fish", "ray"), ("fish", "shark"), ("trees", "oak_tree")):
            for i in range(3):
                image(fastai_home / "cifar100" / part / coarse / fine / f"{i}.png", i)
    assert data.load("cifar_100", 16).classes == ("oak_tree", "ray", "shark")


def test_a_dataset_that_cannot_be_had_is_one_sentence(fastai_home):
    with pytest.raises(UserError, match="it is not there and cannot be downloaded") as caught:
        data.load("mnist_sample", 16)
    assert "\n" not in str(caught.value)


def test_a_dataset_of_another_layout_is_one_sentence(fastai_home):
    (fastai_home / "oxford-102-flowers").mkdir(parents=True)
    (fastai_home / "oxford-102-flowers" / "readme").write_text("")
    with pytest.raises(UserError, match="not laid out as expected"):
        data.load("flowers", 16)


def idx(file, array, compress=True):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    file.write_bytes(gzip.compress(content) if compress else content)


def fashion_files(folder, compress):
    rng = np.random.default_rng(0)
    end = ".gz" if compress else ""
    made = {}
    for part, n in (("train", 40), ("t10k", 20)):
        made[part] = rng.integers(0, 255, (n, 28, 28), dtype=np.uint8), np.arange(n, dtype=np.uint8) % 10
        idx(folder / f"{part}-images-idx3-ubyte{end}", made[part][0], compress)
        idx(folder / f"{part}-labels-idx1-ubyte{end}", made[part][1], compress)
    return made


@pytest.fixture
def fashion_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion, "DEBIAN_FOLDER", tmp_path / "debian")
    (tmp_path / "debian").mkdir()
    return tmp_path / "debian"


@pytest.mark.parametrize("compress", [True, False])
def test_fashion_mnist_from_debians_files(fashion_cache, no_network, compress):
    made = fashion_files(fashion_cache, compress)
    images = fashion.fashion_mnist(28)
    assert np.array_equal(images.images[..., 0], np.concatenate([made["train"][0], made["t10k"][0]]))
    assert np.array_equal(images.labels, np.concatenate([made["train"][1], made["t10k"][1]]))
    assert counts(images) == {"train": 40, "valid": 20} and images.classes[9] == "Ankle boot"
    assert fashion.fashion_mnist(16).images.shape == (60, 16, 16, 1)


def test_damaged_and_missing_files_of_fashion_mnist_are_one_sentence(fashion_cache, no_network):
    with pytest.raises(UserError, match="missing or damaged.*apt-get install dataset-fashion-mnist"):
        fashion.fashion_mnist(28)
    fashion_files(fashion_cache, True)
    file = fashion_cache / "t10k-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-200])
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte.gz cannot be unpacked"):
        fashion.fashion_mnist(28)
    file.write_bytes(whole)
    assert counts(fashion.fashion_mnist(28)) == {"train": 40, "valid": 20}


def test_every_name_is_one_of_fastais():
    for name in (*datasets.LABELLED, *datasets.UNLABELLED):
        assert hasattr(external.URLs, name.upper()), name
        assert name in data.DATASETS
