"""Folders as they are in the wild, made here: each one is used, with a remark where it is odd, or refused."""

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrlab.recipes import cli
from lrlab.recipes.kitchen.data import catalog as data
from lrlab.recipes.kitchen.data import decode, image_folder
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.store.manifest import Manifest
from tests.conftest import write_images


def load(folder: Path, size: int = 12) -> data.ImageSet:
    return data.load(str(folder), size, cache=False)


def left(folder: Path) -> Path:
    return folder / "left"


def split_of(folder: Path, **classes: list[str]) -> None:
    shutil.rmtree(folder)
    for part, names in classes.items():
        for i, name in enumerate(names):
            write_images(folder / part / name, 6, seed=hash((part, i)) % 1000, size=12)


def folders_of(folder: Path, *names: str) -> None:
    "Nothing but these folders, with six images in each."
    shutil.rmtree(folder)
    for i, name in enumerate(names):
        write_images(folder / name, 6, seed=i, size=12)


def renamed(suffix: str, count: int = 24):
    "`count` images of the left class with another suffix: their content stays PNG."

    def build(folder: Path) -> None:
        for file in sorted(left(folder).glob("*.png"))[:count]:
            file.rename(file.with_suffix(suffix))

    return build


def several(count: int, make):
    def build(folder: Path) -> None:
        for i in range(count):
            make(folder, i)

    return build


def link(target: str, name: str):
    return lambda folder: (folder / name).symlink_to(target)


def only_loose(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        file.rename(folder / file.name)
    for name in ("left", "right"):
        (folder / name).rmdir()


def file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    Image.new("RGB", (8, 8)).save(folder.with_suffix(".png"))
    folder.with_suffix(".png").rename(folder)


def wrapped(folder: Path) -> None:
    (folder / "dataset").mkdir()
    for name in ("left", "right"):
        (folder / name).rename(folder / "dataset" / name)


def suffixes(folder: Path) -> None:
    for i, file in enumerate(folder.rglob("*.png")):
        file.rename(file.with_name(f"image{i}.arw"))


def only_train(folder: Path) -> None:
    (folder.parent / "train").mkdir()
    for name in ("left", "right"):
        (folder / name).rename(folder.parent / "train" / name)
    (folder.parent / "train").rename(folder / "train")


PAIR = ["cat", "dog"]
REFUSED = {  # what is done to a healthy folder, and the sentence that it gives
    "missing": (shutil.rmtree, "no such folder"),
    "a file": (file_instead, "a file; expected a folder of images"),
    "empty": (lambda f: (shutil.rmtree(f), f.mkdir()), "no images found; expected one folder per class"),
    "all classes empty": (lambda f: [x.unlink() for x in f.rglob("*.png")], "no images found"),
    "images without class folders": (only_loose, "its 48 images lie outside class folders"),
    "unknown suffixes": (suffixes, "it has 48 .arw files"),
    "one class": (lambda f: shutil.rmtree(f / "left"), r"only one class \(right\) has images"),
    "one class and an empty one": (lambda f: [x.unlink() for x in left(f).glob("*")], "only one class"),
    "one folder around it": (wrapped, "did you mean `data` .*/dataset"),
    "folders around splits": (
        lambda f: split_of(f, **{"a/b/train": PAIR, "a/b/val": PAIR}),
        "did you mean `data` .*/a/b\\?",
    ),
    "one image per class": (
        lambda f: [x.unlink() for x in f.rglob("*.png") if not x.stem.endswith("000")],
        "leaves none for validation",
    ),
    "train and valid differ": (
        lambda f: split_of(f, train=["cat", "dog"], valid=["cat", "dogs"]),
        "class dogs has no training images, only validation images; did you mean dog\\?",
    ),
    "valid is empty": (
        lambda f: (split_of(f, train=["cat", "dog"]), (f / "valid" / "cat").mkdir(parents=True)),
        "valid has no images",
    ),
    "train is empty": (
        lambda f: (split_of(f, valid=["cat", "dog"]), (f / "train").mkdir()),
        "train has no images",
    ),
    "val and valid": (
        lambda f: split_of(f, train=["cat", "dog"], val=["cat", "dog"], valid=["cat", "dog"]),
        "both val and valid; which is for valid",
    ),
    "more than 5 % unreadable": (
        several(3, lambda f, i: (left(f) / f"bad{i}.png").write_bytes(b"bad")),
        "3 of 51 images cannot be read, more than 5 %",
    ),
    "a whole class unreadable": (
        lambda f: ((f / "third").mkdir(), (f / "third" / "bad.png").write_bytes(b"bad")),
        "no image of class third can be read",
    ),
    "all links are broken": (
        lambda f: [(x.unlink(), x.symlink_to("nowhere")) for x in left(f).glob("*.png")],
        "24 of 48 images cannot be read.*no such file",
    ),
    "names that look the same": (
        lambda f: [shutil.copytree(left(f), f / name) for name in ("a b", "a\nb")],
        r"look the same in print",
    ),
    "images named like a split": (lambda f: folders_of(f, "train", "test1"), "train has 6 images outside class"),
    "two parts without a train": (
        lambda f: split_of(f, val=["cat", "dog"], test=["cat", "dog"]),
        "test and val are named like splits and not like classes|test, val are named like splits",
    ),
    "two folders for training": (
        lambda f: split_of(f, train_1=["cat", "dog"], train_2=["cat", "dog"], valid=["cat", "dog"]),
        "both train_1 and train_2; which is for train",
    ),
    "folds": (lambda f: split_of(f, fold0=["a", "b"], fold1=["a", "b"]), "fold0, fold1 are named like parts"),
    "folds without classes": (lambda f: folders_of(f, "cv1", "cv2", "cv3"), "cv1, cv2, cv3 are named like parts"),
    "images and masks": (lambda f: folders_of(f, "images", "masks"), "images, masks are images and their targets"),
    "images and ground truth": (
        lambda f: folders_of(f, "JPEGImages", "SegmentationClass"),
        "are images and their targets",
    ),
    "images and their masks under other names": (
        lambda f: folders_of(f, "train_images", "train_masks"),
        "train_images, train_masks are images and their targets",
    ),
    "images and masks in a split": (
        lambda f: split_of(f, train=["images", "masks"], valid=["images", "masks"]),
        "images, masks are images and their targets",
    ),
    "a class of test images alone": (
        lambda f: split_of(f, train=["a", "b"], valid=["a", "b"], test=["a", "unknown"]),
        "class unknown has no training images, only test images",
    ),
    "versions of the same classes": (
        lambda f: split_of(f, color=["apple", "grape"], grey=["apple", "grape"]),
        r"color, grey all hold the same folders \(apple, grape\)",
    ),
    "a split in every class": (
        lambda f: split_of(f, cat=["train", "test"], dog=["train", "test"]),
        r"cat, dog all hold the same folders \(test, train\)",
    ),
    "classes beside a train folder": (
        lambda f: (split_of(f, train=["cat", "dog"]), write_images(f / "unlabelled", 3)),
        r"is train a class, or does it hold the classes \(cat, dog\)\? Choose `data` .*/train",
    ),
    "a valid folder without classes": (
        lambda f: (split_of(f, train=["cat", "dog"]), write_images(f / "valid", 3)),
        "valid has no images in class folders",
    ),
    "a link to itself": (lambda f: (shutil.rmtree(f), f.symlink_to(f)), "no such folder|symbolic links|cannot"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_folders_that_cannot_be_used_are_refused_in_one_sentence(folder_to_spoil, case):
    build, sentence = REFUSED[case]
    build(folder_to_spoil)
    with pytest.raises(UserError, match=sentence) as refusal:
        load(folder_to_spoil)
    assert str(refusal.value).startswith(f"`data` {folder_to_spoil}")


def counts(image_set: data.ImageSet) -> dict[str, int]:
    return {name: sum(image_set.class_counts(part)[name] for part in image_set.splits) for name in image_set.classes}


def results_in(folder: Path) -> None:
    "A results folder with a figure."
    write_images(folder, 1)
    Manifest("compare", {"data": "."}, {}).write(folder)


@pytest.mark.parametrize("out", [".", "left", "../", "left/results"])
def test_results_never_lie_among_the_images(folder_to_spoil, out, capsys):
    argv = ["lr-find", "--data", str(folder_to_spoil), "--size", "16", "--seeds", "1", "--arch", "small"]
    is_among = out != "left/results"
    assert cli.main([*argv, "--fresh", "--out", str(folder_to_spoil / out)]) == 2 * is_among
    assert ("holds the images that are trained on (left/" in capsys.readouterr().err) is is_among
    assert counts(load(folder_to_spoil)) == BOTH and (folder_to_spoil / "left" / "results").exists() is not is_among


BOTH = {"left": 24, "right": 24}
USED = {  # what is done to a healthy folder, the images per class that are then used, and what is remarked
    "nothing": (lambda f: None, BOTH, None),
    "deeper folders belong to the class": (
        lambda f: write_images(left(f) / "2024" / "may" / "left", 3, seed=9),
        {"left": 27, "right": 24},
        None,
    ),
    "hidden files and folders": (
        lambda f: (write_images(f / ".git", 2), write_images(left(f) / ".thumbs", 2), (left(f) / "._a.png").touch()),
        BOTH,
        None,
    ),
    "what archivers leave": (
        lambda f: (write_images(f / "__MACOSX", 2), (f / "left" / "Thumbs.db").touch(), (f / "labels.csv").touch()),
        BOTH,
        None,
    ),
    "what file systems and network disks leave": (
        lambda f: [write_images(f / name, 2) for name in ("$RECYCLE.BIN", "System Volume Information", "#recycle")],
        BOTH,
        None,
    ),
    "files of an unknown kind": (lambda f: (left(f) / "a.dcm").touch(), BOTH, "excluded: 1 .dcm file,"),
    "files without a suffix": (lambda f: (left(f) / "a").touch(), BOTH, "excluded: 1 file without a suffix,"),
    "classes that are called like masks": (
        lambda f: folders_of(f, "with_mask", "without_mask"),
        {"with_mask": 6, "without_mask": 6},
        None,
    ),
    "results": (lambda f: (results_in(f / "results" / "a"), results_in(f / "results" / "b" / "c")), BOTH, None),
    "results in a class": (lambda f: results_in(left(f) / "results"), BOTH, None),
    "a config.json of others": (
        lambda f: (write_images(left(f) / "x", 3, seed=9), (left(f) / "x" / "config.json").write_text("{}")),
        {"left": 27, "right": 24},
        None,
    ),
    "an empty class": (lambda f: (f / "none").mkdir(), BOTH, "none has no images and is no class"),
    "loose images": (
        lambda f: write_images(f / "x", 1, seed=5) or (f / "x" / "x000.png").rename(f / "loose.png"),
        BOTH,
        "excluded: 1 image outside the class folders",
    ),
    "a linked file": (
        lambda f: (left(f) / "link.png").symlink_to("left000.png"),
        {"left": 25, "right": 24},
        r"1 of 49 images is a copy of another \(left/link.png is left/left000.png\)",
    ),
    "a linked class": (
        lambda f: (write_images(f.parent / "elsewhere", 4, seed=3), (f / "third").symlink_to(f.parent / "elsewhere")),
        BOTH | {"third": 4},
        None,
    ),
    "a loop in a class": (link(".", "left/loop"), BOTH, None),
    "a loop to the top": (link("..", "left/loop"), BOTH, None),
    "a loop to the root": (link("/", "left/loop"), BOTH, None),
    "links in a circle": (
        lambda f: (link("b", "left/a")(f), link("a", "left/b")(f)),
        BOTH,
        None,
    ),
    "a broken link": (link("nowhere", "left/gone.png"), BOTH, r"gone.png \(no such file or directory\)"),
    "a folder named like an image": (lambda f: (left(f) / "folder.png").mkdir(), BOTH, None),
    "a pipe": (lambda f: os.mkfifo(left(f) / "pipe.png"), BOTH, r"pipe.png \(not a regular file\)"),
    "an endless device": (link("/dev/zero", "left/zero.png"), BOTH, r"zero.png \(not a regular file\)"),
    "one image in a class": (
        lambda f: write_images(f / "rare", 1, seed=4),
        BOTH | {"rare": 1},
        "no validation images of rare",
    ),
    "heavy imbalance": (
        lambda f: [x.unlink() for x in left(f).glob("*.png") if x.stem > "left001"],
        {"left": 2, "right": 24},
        r"from 2 images \(left\) to 24 \(right\): always answering .* right in 85.7 %",
    ),
    "copies across our split": (
        lambda f: [shutil.copy(x, x.with_name(f"copy_{x.name}")) for x in left(f).glob("*.png")],
        {"left": 48, "right": 24},
        r"^24 of 72 images are copies of others \(left/.* is left/",
    ),
    "the same image in two classes": (
        lambda f: shutil.copy(left(f) / "left000.png", f / "right" / "copy.png"),
        {"left": 24, "right": 25},
        "1 image is in more than one class",
    ),
    "few images": (lambda f: None, BOTH, "only 48 images: where 12 are validated on, one of them is 8.3 % of accuracy"),
    "train/ alone": (only_train, BOTH, None),
    "train is a class": (
        lambda f: (left(f).rename(f / "train"), (f / "right").rename(f / "plane")),
        {"train": 24, "plane": 24},
        None,
    ),
    "copies across a given split": (
        lambda f: (split_of(f, train=["a", "b"]), shutil.copytree(f / "train", f / "valid")),
        {"a": 12, "b": 12},
        "12 of 12 validation images are also training images",
    ),
    "a class missing in valid": (
        lambda f: split_of(f, train=["a", "b", "c"], valid=["a", "b"]),
        {"a": 12, "b": 12, "c": 6},
        "no validation images of c",
    ),
    "accents of Linux and macOS": (
        lambda f: split_of(f, train=["caf\u00e9", "tea"], valid=["cafe\u0301", "tea"]),
        {"caf\u00e9": 12, "tea": 12},
        None,
    ),
    "training_set and test_set": (
        lambda f: split_of(f, training_set=["cat", "dog"], test_set=["cat", "dog"]),
        {"cat": 12, "dog": 12},
        None,
    ),
    "train and dev": (lambda f: split_of(f, train=["cat", "dog"], dev=["cat", "dog"]), {"cat": 12, "dog": 12}, None),
    "TrainData and ValData": (
        lambda f: split_of(f, TrainData=["cat", "dog"], ValData=["cat", "dog"]),
        {"cat": 12, "dog": 12},
        None,
    ),
    "a split with a common word, and predictions": (
        lambda f: (
            split_of(f, seg_train=["sea", "ice"], seg_test=["sea", "ice"]),
            write_images(f / "seg_pred", 4),
        ),
        {"sea": 12, "ice": 12},
        "seg_pred is excluded, because it is not one of the splits",
    ),
    "a split unpacked into folders of its own": (
        lambda f: split_of(f, **{"train/train": ["sea", "ice"], "test/test": ["sea", "ice"]}),
        {"sea": 12, "ice": 12},
        None,
    ),
    "a test folder without classes": (
        lambda f: (split_of(f, train=["cat", "dog"]), write_images(f / "test", 5)),
        {"cat": 6, "dog": 6},
        "test is excluded, because it has no class folders",
    ),
    "three splits, a test folder without classes": (
        lambda f: (split_of(f, train=["cat", "dog"], valid=["cat", "dog"]), write_images(f / "test", 5)),
        {"cat": 12, "dog": 12},
        "test is excluded, because it has no class folders",
    ),
    "classes with a word of a split": (
        lambda f: folders_of(f, "train_station", "test_tube", "dev_board"),
        {"train_station": 6, "test_tube": 6, "dev_board": 6},
        None,
    ),
    "classes of a test": (
        lambda f: folders_of(f, "test_positive", "test_negative"),
        {"test_positive": 6, "test_negative": 6},
        None,
    ),
    "masks as classes": (lambda f: folders_of(f, "mask", "no_mask"), {"mask": 6, "no_mask": 6}, None),
    "more suffixes of JPEG and PNG": (
        lambda f: (renamed(".jfif", 8)(f), renamed(".JPE", 8)(f), renamed(".apng", 8)(f)),
        BOTH,
        None,
    ),
    "a format that is not read": (renamed(".jxl", 6), BOTH | {"left": 18}, "excluded: 6 .jxl files,"),
    "two formats that are not read": (
        lambda f: (renamed(".JXL", 3)(f), renamed(".cr2", 2)(f)),
        BOTH | {"left": 19},
        "excluded: 2 .cr2 files,.* excluded: 3 .jxl files,",
    ),
    "a class in a format that is not read": (
        lambda f: [
            x.rename(x.with_suffix(".svg")) for x in (write_images(f / "third", 4), *(f / "third").glob("*.png")) if x
        ],
        BOTH,
        "third has no images and is no class.* excluded: 4 .svg files,",
    ),
    "class names of all kinds": (
        lambda f: [
            shutil.copytree(left(f), f / name)
            for name in ("แมว", "<b>bold", "$x_1$", "a,b", '"q"', "\x1b[31mred", "up∕..", "🐈 ")
        ],
        BOTH | dict.fromkeys(["แมว", "<b>bold", "$x_1$", "a,b", '"q"', "\ufffd[31mred", "up∕..", "🐈"], 24),
        "are in more than one class",
    ),
}


@pytest.mark.parametrize("case", USED)
def test_folders_that_can_be_used(folder_to_spoil, case, capsys):
    build, per_class, remark = USED[case]
    build(folder_to_spoil)
    image_set = load(folder_to_spoil)
    assert counts(image_set) == per_class
    text = " | ".join(image_set.card.warnings)
    if remark:
        assert re.search(remark, text), text
        assert text.split(" | ")[0][:60] in capsys.readouterr().err, "it is printed as well"
    else:
        expected = ("one of them is",) * (len(image_set.splits["valid"]) < 40)
        assert all(any(part in w for part in expected) for w in image_set.card.warnings), text
    assert all(name.isprintable() for name in (*image_set.classes, *image_set.files))


@pytest.mark.skipif(".avif" not in decode.SUFFIXES, reason="this Pillow reads no AVIF")
def test_avif_is_read_where_pillow_reads_it(folder_to_spoil):
    for file in left(folder_to_spoil).glob("*.png"):
        Image.open(file).save(file.with_suffix(".avif"))
        file.unlink()
    assert counts(load(folder_to_spoil)) == BOTH


def test_heic_is_read_where_pillow_has_a_plugin(folder_to_spoil, monkeypatch):
    "A plugin registers its format and its suffixes with Pillow."
    monkeypatch.setattr(Image, "EXTENSION", Image.registered_extensions() | {".heic": "HEIF"})
    monkeypatch.setattr(image_folder, "SUFFIXES", decode.find_suffixes())
    renamed(".heic", 5)(folder_to_spoil)
    assert counts(load(folder_to_spoil)) == BOTH


def test_thousands_of_classes(tmp_path):
    for i in range(2000):
        folder = tmp_path / "images" / f"class{i:04}"
        folder.mkdir(parents=True)
        for j in range(2):
            (folder / f"{j}.pgm").write_bytes(b"P5 2 2 255\n" + bytes([i % 256, i // 256, j, i % 7]))
    image_set = load(tmp_path / "images", 8)
    assert len(image_set.classes) == 2000 and {k: len(v) for k, v in image_set.splits.items()} == {
        "train": 2000,
        "valid": 2000,
    }


@contextmanager
def nobody():
    "Without root's right to read everything, where the tests run as root."
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder(healthy):
    "A copy of the healthy folder that other users may enter, which pytest's own temporary folders forbid."
    with tempfile.TemporaryDirectory() as folder:
        image_set = Path(shutil.copytree(healthy, Path(folder) / "images"))
        for opened in (folder, image_set, *image_set.iterdir()):
            os.chmod(opened, 0o755)
        yield image_set


def test_an_unreadable_file_is_named(open_folder):
    os.chmod(open_folder / "left" / "left000.png", 0)
    with nobody():
        image_set = load(open_folder)
    assert image_set.card.unreadable == {"left/left000.png": "permission denied"}


@pytest.mark.parametrize("where", ["left", "."])
def test_an_unreadable_folder_is_refused(open_folder, where):
    os.chmod(open_folder / where, 0)
    with nobody(), pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        load(open_folder)
    os.chmod(open_folder / where, 0o755)


def test_a_file_that_became_readable_is_decoded_again(open_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path))
    (open_folder / "left" / "gone.png").symlink_to("later.dat")
    assert data.load(str(open_folder), 12).card.unreadable
    shutil.copy(open_folder / "left" / "left000.png", open_folder / "left" / "later.dat")
    assert not data.load(str(open_folder), 12).card.unreadable


def test_data_that_changes_after_loading_changes_nothing(folder_to_spoil):
    "The pixels were read once: what happens to the files during the runs is of no consequence, and is noticed later."
    image_set = data.load(str(folder_to_spoil), 12)
    before = np.array(image_set.images)
    shutil.rmtree(folder_to_spoil / "left")
    assert np.array_equal(image_set.images, before)
    write_images(folder_to_spoil / "left", 24, seed=77, size=12)
    assert data.load(str(folder_to_spoil), 12).card.fingerprint != image_set.card.fingerprint


def test_files_that_vanish_between_listing_and_decoding_are_named(folder_to_spoil):
    found = image_folder.list_folder(folder_to_spoil)
    (folder_to_spoil / "left" / "left003.png").unlink()
    _, unreadable = decode.decode_images(found.files, 12)
    assert unreadable == {3: "no such file or directory"}
