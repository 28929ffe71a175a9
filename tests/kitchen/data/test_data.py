"""Images from names and folders, decoded once."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lrlab.recipes.kitchen.data import catalog as data
from lrlab.recipes.kitchen.data import decode
from lrlab.recipes.kitchen.data import pixel_cache as cache
from lrlab.recipes.kitchen.data.image_set import part_of
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.workloads import ImageWorkload, build
from tests.conftest import write_images


def test_solar_is_the_published_set():
    image_set = data.load("solar", 32)
    assert image_set.images.shape == (2624, 32, 32, 1) and image_set.images.dtype == np.uint8
    assert (image_set.labels == 1).sum() == 106 + 715, "defect probabilities 2/3 and 1"
    assert len(image_set.splits["train"]) + len(image_set.splits["valid"]) == 2624
    assert not set(image_set.splits["train"]) & set(image_set.splits["valid"])
    assert image_set.majority() == pytest.approx(0.687, abs=0.001)
    assert "CC BY-NC-SA" in image_set.card.licence


def test_digits_are_enlarged():
    image_set = data.load("digits")
    assert image_set.images.shape == (1797, 16, 16, 1)
    assert len(image_set.classes) == 10 and image_set.flips == "none"


def test_a_part_of_a_dataset_has_every_class_in_its_share(image_folder):
    whole, part = data.load("digits"), data.load("digits:200")
    assert part.name == "digits:200" and len(part.splits["train"]) == pytest.approx(200, abs=5)
    assert all(set(part.splits[name]) < set(whole.splits[name]) for name in ("train", "valid"))
    counts = part.class_counts("train").values()
    assert max(counts) - min(counts) <= 2 and part.describe()["of"] == {"train": 1347, "valid": 450}
    again = data.load("digits:200")
    assert np.array_equal(part.splits["train"], again.splits["train"])
    assert part.card.fingerprint != whole.card.fingerprint
    assert np.array_equal(data.load("digits:5000").splits["train"], whole.splits["train"]), "no more than there are"
    assert len(data.load(f"{image_folder}:10").splits["train"]) == 10


def test_a_part_is_chosen_before_any_file_is_decoded(image_folder):
    "Of a large folder, a part is there soon; it holds the images that it would of the decoded folder."
    whole, part = data.load(image_folder), data.load(f"{image_folder}:10")
    rows = [whole.files.index(file) for file in part.files]
    assert len(rows) == 20 and np.array_equal(part.images, whole.images[rows])
    expected = part_of(whole, 10)
    for ours, theirs in ((part, expected), (part.split_by(3), expected.split_by(3))):
        for split in ("train", "valid"):
            files = [[images.files[row] for row in images.splits[split]] for images in (ours, theirs)]
            assert files[0] == files[1], split
    assert part.card.of == expected.card.of and part.describe()["split"] == "by seed"


def test_a_part_keeps_a_class_of_a_single_image(tmp_path):
    for part in ("train", "valid"):
        for name, number in (("many", 60), ("one", 1)):
            write_images(tmp_path / part / name, number)
    assert data.load(f"{tmp_path}:10").class_counts("train")["one"] == 1


@pytest.mark.parametrize("name", ["digits:9", "digits:0"])
def test_a_part_has_room_for_every_class(name):
    with pytest.raises(UserError, match=f"`data` {name}: expected at least one image for each of 10 classes"):
        data.load(name)


def test_a_folder_of_that_very_name_is_a_folder(tmp_path):
    for name in ("left", "right"):
        write_images(tmp_path / "images:6" / name, 8)
    assert len(data.load(str(tmp_path / "images:6")).splits["train"]) == 12
    with pytest.raises(UserError, match="`data` digit: .*did you mean digits"):
        data.load("digit:5")


def test_one_folder_per_class_is_split_by_class(image_folder):
    image_set = data.load_folder(image_folder, 16)
    assert image_set.classes == ("left", "right")
    assert image_set.class_counts("train") == {"left": 18, "right": 18}
    assert image_set.class_counts("valid") == {"left": 6, "right": 6}
    again = data.load_folder(image_folder, 16)
    assert np.array_equal(image_set.splits["valid"], again.splits["valid"])


def test_a_letter_and_a_long_number_are_a_class_and_no_fold(tmp_path):
    for name in ("k000", "k001"):
        write_images(tmp_path / name, 8)
    assert data.load_folder(tmp_path, 16).classes == ("k000", "k001")


@pytest.mark.parametrize("names", [("train", "valid"), ("Train", "VAL"), ("training", "test")])
def test_known_splits_are_kept(tmp_path, names):
    for split, count in zip(names, (8, 4), strict=True):
        for name in ("left", "right"):
            write_images(tmp_path / split / name, count)
    image_set = data.load_folder(tmp_path, 16)
    assert {k: len(v) for k, v in image_set.splits.items()} == {"train": 16, "valid": 8}
    assert all(image_set.files[row].startswith(names[1]) for row in image_set.splits["valid"])


def test_a_third_split_is_for_testing(tmp_path):
    for split in ("train", "valid", "test"):
        for name in ("left", "right"):
            write_images(tmp_path / split / name, 3)
    assert {k: len(v) for k, v in data.load_folder(tmp_path, 16).splits.items()} == {"train": 6, "valid": 6, "test": 6}


@pytest.mark.parametrize("mode, channels", [("RGB", 3), ("L", 1), ("1", 1), ("P", 3), ("RGBA", 3), ("CMYK", 3)])
def test_colour_is_kept_only_where_there_is_some(tmp_path, mode, channels):
    for name in ("left", "right"):
        write_images(tmp_path / name, 4, mode, suffix=".tif")
    image_set = data.load_folder(tmp_path, 16)
    assert image_set.channels == channels
    bright = image_set.images[image_set.labels == 0].mean((0, 3))
    assert bright[:, :7].mean() > bright[:, 9:].mean() + 30, "the left half is the bright one"


def test_16_bit_images_keep_their_contrast(tmp_path):
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pixels = decode.read_image(tmp_path / "ramp.png", 8, 1)[..., 0]
    assert np.allclose(pixels, ramp / 257, atol=1)


def test_exif_orientation_is_honoured(tmp_path):
    image = Image.fromarray(np.concatenate([np.full((8, 8), 255, np.uint8), np.zeros((8, 8), np.uint8)]))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "turned.jpg", exif=exif)
    pixels = decode.read_image(tmp_path / "turned.jpg", 8, 1)[..., 0]
    assert pixels[0].mean() < 50 and pixels[-1].mean() > 200


def test_a_few_unreadable_files_are_named_and_excluded(tmp_path):
    for name in ("left", "right"):
        write_images(tmp_path / name, 30)
    (tmp_path / "left" / "zero.png").touch()
    (tmp_path / "right" / "text.jpg").write_text("not an image")
    image_set = data.load_folder(tmp_path, 16)
    assert sorted(image_set.card.unreadable) == ["left/zero.png", "right/text.jpg"]
    assert sum(len(rows) for rows in image_set.splits.values()) == 60


def test_more_than_a_few_are_refused(tmp_path):
    for name in ("left", "right"):
        write_images(tmp_path / name, 10)
    for i in range(3):
        (tmp_path / "left" / f"bad{i}.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UserError, match="3 of 23 images cannot be read, more than 5 %"):
        data.load_folder(tmp_path, 16)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(UserError, match="did you mean solar"):
        data.load("solr")
    with pytest.raises(UserError, match="no images found"):
        data.load_folder(tmp_path, 16)
    write_images(tmp_path / "only", 4)
    with pytest.raises(UserError, match="only one class"):
        data.load_folder(tmp_path, 16)


def test_names_of_all_kinds_and_loops(tmp_path):
    for name in ("แมว", "with space 🐈", "new\nline"):
        write_images(tmp_path / name, 4)
    write_images(tmp_path / "แมว" / "deeper" / "still", 2)
    write_images(tmp_path / ".hidden", 2)
    (tmp_path / "แมว" / "loop").symlink_to(tmp_path / "แมว", target_is_directory=True)
    image_set = data.load_folder(tmp_path, 16)
    assert sorted(image_set.classes) == sorted(["แมว", "with space 🐈", "new line"])
    assert (image_set.labels == image_set.classes.index("แมว")).sum() == 6


def test_a_changed_file_is_decoded_again(image_folder):
    first = np.array(data.load_folder(image_folder, 16).images)
    Image.new("RGB", (20, 20), "red").save(image_folder / "left" / "left000.png")
    assert not np.array_equal(first, data.load_folder(image_folder, 16).images)


def test_without_a_cache_the_pixels_are_the_same(image_folder):
    with_cache, without = (data.load_folder(image_folder, 16, cache=c).images for c in (True, False))
    assert isinstance(with_cache, np.memmap) and not isinstance(without, np.memmap)
    assert np.array_equal(with_cache, without)


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("LRLAB_CACHE_GB", "0.0006")
    for i in range(4):
        cache.cached_array(f"photos-{i}", lambda file: np.save(file, np.zeros(250_000, np.uint8)) or {})
    assert sorted(f.name for f in tmp_path.iterdir()) == ["photos-2", "photos-3"]


def test_a_half_written_cache_entry_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path))
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "images.npy").write_bytes(b"half")
    array, _ = cache.cached_array("key", lambda file: np.save(file, np.arange(3)) or {})
    assert list(array) == [0, 1, 2]


def test_images_without_a_split_are_split_by_the_seed_of_the_run():
    "Equal sizes and shares, other images for another seed, over many seeds all of them; a given split is kept."
    workload = ImageWorkload("solar:200", size=32)
    images = workload.load()
    first, same, other = (images.split_by(seed) for seed in (0, 0, 1))
    assert (first.splits["valid"] == same.splits["valid"]).all()
    assert set(first.splits["valid"]) != set(other.splits["valid"])
    for split in ("train", "valid"):
        assert first.class_counts(split) == other.class_counts(split)
        rows = np.concatenate([first.splits[name] for name in ("train", "valid")])
        assert sorted(rows) == sorted(np.concatenate([images.splits[name] for name in ("train", "valid")]))
    seen = set().union(*(images.split_by(seed).splits["valid"] for seed in range(40)))
    assert len(seen) > 0.99 * len(rows)
    assert replace(images, strata=None).split_by(1).splits is images.splits
    assert workload.to_dict(images)["split"] == "by seed" and "split" not in workload.to_dict(
        replace(images, strata=None)
    )
    labels = [workload.learner(seed, images).dls.valid_ds.items for seed in (0, 1)]
    assert list(labels[0]) == first.splits["valid"].tolist() != list(labels[1])


def test_the_folds_of_a_cross_validation_cover_every_image_once(tmp_path):
    "Every seed has a fold, of equal size and shares; the seeds after them have the folds of another shuffle."
    workload = ImageWorkload("solar:200", size=32, folds=5)
    images = workload.load()
    parts = [workload.learner(seed, images).dls.valid_ds.items for seed in range(10)]
    rows = np.concatenate([images.splits[name] for name in ("train", "valid")])
    for fold in (parts[:5], parts[5:]):
        assert sorted(np.concatenate(fold)) == sorted(rows)
    assert np.array_equal(build("solar:200", size=32, folds=5, seed=1).dls.valid_ds.items, parts[1])
    assert set(parts[0]) != set(parts[5]) and np.ptp([len(part) for part in parts]) <= 1
    defective = [images.labels[part].sum() for part in parts]
    assert np.ptp(defective) <= 4, "of each of the four strata one more or less"
    assert len(images.splits["valid"]) == len(parts[0]) and workload.to_dict(images)["folds"] == 5
    assert "folds" not in ImageWorkload("solar:200", size=32).to_dict(images)
    for split in ("train", "val"):
        for i, name in enumerate(("a", "b")):
            write_images(tmp_path / split / name, 6, seed=i)
    with pytest.raises(UserError, match="`folds` 5: .* comes with a split of its own"):
        ImageWorkload(str(tmp_path), size=16, folds=5).load()
    with pytest.raises(UserError, match="`folds` 90: there are only 12 images"):
        ImageWorkload(str(tmp_path / "train"), size=16, folds=90).load()
