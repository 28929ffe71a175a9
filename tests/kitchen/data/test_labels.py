"""Labels in a table, in the names of files, or in one folder for each split."""

import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from lrlab.recipes import build, cli
from lrlab.recipes.kitchen.data import catalog
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.image_source import ImageSource, image_source
from lrlab.recipes.kitchen.store.manifest import Manifest
from tests.conftest import write_images


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    "24 images, cat_00.png to cat_11.png and dog_00.png to dog_11.png."
    folder = tmp_path_factory.mktemp("photos")
    for i, name in enumerate(("cat", "dog")):
        write_images(folder / "made" / name, 12, seed=i, size=12)
        for number, file in enumerate(sorted((folder / "made" / name).iterdir())):
            shutil.move(file, folder / f"{name}_{number:02}.png")
    shutil.rmtree(folder / "made")
    return folder


def load(source):
    return catalog.load(source, 12, cache=False)


def names(photos):
    return sorted(file.stem for file in photos.glob("*.png"))


TABLES = {
    "plain": ("train.csv", "image,label\n", "{name}.png,{label}\n"),
    "without suffixes": ("train.csv", "id,breed\n", "{name},{label}\n"),
    "semicolons, BOM and other columns": ("t.csv", "\ufeffnumber;file name;class\n", "7;{name}.png;{label}\n"),
    "tabs and a folder above": ("t.tsv", "path\ttarget\n", "data\\photos\\{name}.png\t{label}\n"),
    "labels as numbers": ("t.csv", "filename,y\n", "./{name}.png,{number}.0\n"),
    "no known names": ("t.csv", "what,which\n", "{label},{name}.png\n"),
    "upper case": ("t.csv", "Image,Label\n", " {name}.png , {label}\n"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_as_people_have_them(photos, tmp_path, kind):
    name, head, row = TABLES[kind]
    rows = [row.format(name=n, label=n[:3], number=int(n[0] == "d")) for n in names(photos)]
    (tmp_path / name).write_text(head + "".join(rows), encoding="utf-8")
    images = load(ImageSource(str(photos), labels=str(tmp_path / name)))
    by_label = {images.classes[label]: file[:3] for label, file in zip(images.labels, images.files, strict=True)}
    assert by_label in ({"cat": "cat", "dog": "dog"}, {"0": "cat", "1": "dog"})
    assert len(images.labels) == 24 and not images.has_own_split and images.card.fingerprint


@pytest.mark.parametrize(
    ("column", "values"), [("is_valid", ("True", "False")), ("is_valid", ("1", "0")), ("split", ("val", "train"))]
)
def test_a_column_with_the_split_is_honoured(photos, tmp_path, column, values):
    rows = [f"{n}.png,{n[:3]},{values[int(n[-2:]) < 9]}\n" for n in names(photos)]
    (tmp_path / "t.csv").write_text(f"file,label,{column}\n" + "".join(rows))
    images = load(ImageSource(str(photos), labels=str(tmp_path / "t.csv")))
    assert images.has_own_split and {images.files[row][4:6] for row in images.splits["valid"]} == {"09", "10", "11"}
    assert images.class_counts("train") == {"cat": 9, "dog": 9}


def test_what_cannot_be_used_is_named_and_excluded(photos, tmp_path):
    *known, unlabelled, _ = names(photos)
    rows = [f"{n}.png,{n[:3]}\n" for n in known] + ["gone.png,cat\n", f"{known[0]}.png,cat\n", f"{unlabelled}.png,\n"]
    (tmp_path / "t.csv").write_text("file,label\n" + "".join(rows))
    images = load(ImageSource(str(photos), labels=str(tmp_path / "t.csv")))
    said = "\n".join(images.card.warnings)
    assert len(images.labels) == 22
    for remark in (
        "excluded: 1 row of t.csv without an image (gone.png)",
        "1 row of t.csv without a label",
        "1 row of t.csv with the image of another",
        "1 image without a row in t.csv",
    ):
        assert remark in said


def test_columns_can_be_named_and_a_table_can_lie_with_the_images(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    rows = [f"{n}.png,{n[:3]},{n[-1]}\n" for n in names(photos)]
    (folder / "t.csv").write_text("file,label,digit\n" + "".join(rows))
    assert load(image_source(None, labels=f"{folder}/t.csv")).classes == ("cat", "dog")
    assert len(load(image_source(None, labels=f"{folder}/t.csv:file,digit")).classes) == 10
    with pytest.raises(UserError, match=r"label them by a table: `labels` .*t\.csv"):
        catalog.load(str(folder), 12)


BAD_TABLES = {
    "one column": ("file\na\n", "expected a header and rows"),
    "no images": ("file,label\nx.png,a\ny.png,b\n", "no column names images below"),
    "several labels": ("file,label\ncat_00,a|b\ncat_01,a\ncat_02,b\n", "several labels for an image"),
    "two rows": ("file,label\ncat_00,a\ncat_00,b\ncat_01,a\n", "has two labels, a and b"),
    "one class": ("file,label\ncat_00,a\ncat_01,a\n", "holds 1 class"),
    "numbers": (
        "file,label\n{numbers}",
        "no classes; name the columns: --labels t.csv:file,label. To predict numbers, make",
    ),
    "empty": ("", "cannot be read as a table"),
    "a header alone": ("file,label\n", "there are no rows below the header (file, label)"),
    "split": ("file,label,split\n{trained}", "or none to validate on"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_tables_that_label_nothing_are_refused_in_a_sentence(photos, tmp_path, kind, capsys):
    text, says = BAD_TABLES[kind]
    numbers = "".join(f"cat_{i:02},{i / 7}\n" for i in range(12))
    trained = "".join(f"cat_{i:02},{i % 2},train\n" for i in range(12))
    (tmp_path / "t.csv").write_text(text.replace("{trained}", trained).replace("{numbers}", numbers))
    argv = ["compare", "--data", str(photos), "--labels", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out")]
    assert cli.main(argv) == 2
    said = capsys.readouterr().err
    assert says in said.splitlines()[-1] and not (tmp_path / "out").exists()


def test_labels_in_the_names_of_files(photos):
    images = load(ImageSource(str(photos), label_re=r"^(.+)_\d+\.png$"))
    assert images.classes == ("cat", "dog") and len(images.labels) == 24
    some = load(ImageSource(str(photos), label_re=r"^(...)_0([0-5])"))
    assert len(some.labels) == 12 and "12 images that the pattern does not match" in some.card.warnings[0]
    for pattern, says in [
        ("(", "no regular expression"),
        ("cat", "expected a group"),
        ("^(x)", "matches no image below"),
    ]:
        with pytest.raises(UserError, match=says):
            load(image_source(str(photos), label_re=pattern))
    with pytest.raises(UserError, match="a label of its own"):
        load(ImageSource(str(photos), label_re=r"^(.+)\.png"))


def test_a_folder_for_each_split(tmp_path):
    for split, n in (("here/learning", 8), ("there", 4), ("elsewhere/exam", 2)):
        for i, name in enumerate(("left", "right")):
            write_images(tmp_path / split / name, n, seed=i + n, size=12)
    folders = {"train": "here/learning", "valid": "there", "test": "elsewhere/exam"}
    images = load(image_source(None, **{name: str(tmp_path / where) for name, where in folders.items()}))
    assert {name: len(rows) for name, rows in images.splits.items()} == {"train": 16, "valid": 8, "test": 4}
    with pytest.raises(UserError, match="there is no such folder"):
        load(image_source(None, train=str(tmp_path / "here/learning"), valid=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="`valid` .*learning/left: lies in `train`, where every folder is a class"):
        load(image_source(None, train=str(tmp_path / "here/learning"), valid=str(tmp_path / "here/learning/left")))
    (tmp_path / "there/left").rename(tmp_path / "there/up")
    with pytest.raises(UserError, match="`train` .*learning: class up has no training images, only validation images"):
        load(image_source(None, train=str(tmp_path / "here/learning"), valid=str(tmp_path / "there")))
    with pytest.raises(UserError, match="`train` .*there: the same folder as `valid`; expected one for each"):
        load(image_source(None, train=str(tmp_path / "there"), valid=str(tmp_path / "elsewhere/../there")))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train": "a"}, "expected `train` and `valid`"),
        ({"data": "x", "train": "a", "valid": "b"}, "names another folder"),
        ({"labels": "t.csv", "label_re": "(a)", "data": "x"}, "two ways to label"),
        ({"label_re": "(a)"}, "needs `data`"),
    ],
)
def test_options_that_contradict_each_other(options, says):
    with pytest.raises(UserError, match=says):
        image_source(options.pop("data", None), **options)


@pytest.mark.usefixtures("undrawn")
def test_a_recipe_resumes_and_prints_code_that_runs(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{n},{n[:3]}\n" for n in names(photos)]
    Path("labels.csv").write_text("id,label\n" + "".join(rows))
    line = ["compare", "--data", str(photos), "--labels", "labels.csv", "--size", "12", "--bs", "8", "--jobs", "1"]
    line += "--epochs 1 --seeds 1 --schedules cosine --lr-max 1e-3 --out out".split()
    assert cli.main(line) == 0 and Manifest.read(Path("out")).question["labels"] == "labels.csv"
    code = capsys.readouterr().out
    assert f"labels='{tmp_path}/labels.csv'" in code, "it runs in any working directory"
    assert cli.main(line) == 0 and "To do" not in capsys.readouterr().out
    learn = build(data=str(photos), labels="labels.csv", size=12, bs=8)
    assert list(learn.dls.vocab) == ["cat", "dog"]
    Path("labels.csv").write_text("id,label\n" + "".join(rows[1:]))
    assert cli.main(line) == 2 and "before the images or labels changed" in capsys.readouterr().err


NAMES = [f"i{i:02}" for i in range(24)]


def label_of(i):
    return "cat" if i % 2 else "dog"


def write_table(tmp_path, files, text, encoding="utf-8"):
    "A folder with an image at each of `files`, and the table train.csv beside it."
    write_images(tmp_path / "made", len(files), size=12)
    for made, file in zip(sorted((tmp_path / "made").iterdir()), files, strict=True):
        (tmp_path / "photos" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, tmp_path / "photos" / file)
    (tmp_path / "train.csv").write_text(text, encoding=encoding)
    return ImageSource(str(tmp_path / "photos"), labels=str(tmp_path / "train.csv"))


def lines(form):
    return "".join(form.format(n=name, l=label_of(i), i=i) + "\n" for i, name in enumerate(NAMES))


KINDS = {  # files, the table's head and rows, its encoding; every image gets its own label
    "upper case on disk": ("{n}.JPG", "id,label\n", "{n}.jpg,{l}", "utf-8"),
    "converted to another format": ("{n}.jpg", "id,label\n", "{n}.png,{l}", "utf-8"),
    "no header": ("{n}.jpg", "", "{n}.jpg,{l}", "utf-8"),
    "UTF-16 with tabs": ("{n}.jpg", "id\tlabel\n", "{n}\t{l}", "utf-16"),
    "a comma at the end": ("{n}.jpg", "id,label\n", "{n},{l},", "utf-8"),
    "dots in ids": ("a.{i}.jpg", "id,label\n", "a.{i},{l}", "utf-8"),
    "accents of macOS": (unicodedata.normalize("NFD", "é {n}.jpg"), "id,label\n", "é {n}.jpg,{l}", "utf-8"),
    "paths of another machine": ("sub/{n}.jpg", "id,label\n", "/kaggle/input/photos/sub/{n}.jpg,{l}", "utf-8"),
    "numbers are no splits": ("{n}.jpg", "id,label,fold\n", "{n},{l},{i}", "utf-8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_gets_its_own_label(tmp_path, kind):
    file, head, row, encoding = KINDS[kind]
    files = [file.format(n=name, i=i) for i, name in enumerate(NAMES)]
    images = load(write_table(tmp_path, files, head + lines(row), encoding))
    found = {file: images.classes[label] for file, label in zip(images.files, images.labels, strict=True)}
    assert found == {file: label_of(i) for i, file in enumerate(files)} and not images.has_own_split


def test_words_that_pandas_takes_for_nothing_are_classes(tmp_path):
    text = "id,label\n" + "".join(f"{name},{['None', 'NA'][i % 2]}\n" for i, name in enumerate(NAMES))
    assert load(write_table(tmp_path, [f"{n}.jpg" for n in NAMES], text)).class_counts("train") == {"NA": 9, "None": 9}


def test_an_image_of_another_folder_is_not_taken(tmp_path):
    "b/i12.jpg is missing; a/i12.jpg has the same name and is another image."
    text = "path,label\n" + "".join(f"{'ab'[i >= 12]}/{name}.jpg,{label_of(i)}\n" for i, name in enumerate(NAMES))
    images = load(write_table(tmp_path, [f"a/{name}.jpg" for name in NAMES], text))
    assert images.files == tuple(f"a/{name}.jpg" for name in NAMES[:12])
    assert "12 rows of train.csv without an image" in images.card.warnings[0]


def test_train_csv_is_about_train_where_test_has_the_same_names(tmp_path):
    files = [f"{split}/{name}.jpg" for split in ("test", "train") for name in NAMES]
    images = load(write_table(tmp_path, files, "id,label\n" + lines("{n},{l}")))
    assert {Path(file).parent.name for file in images.files} == {"train"} and not images.has_own_split


def test_folders_below_are_the_split(tmp_path):
    files = [f"{'valid' if i >= 18 else 'train'}/{name}.jpg" for i, name in enumerate(NAMES)]
    source = write_table(tmp_path, files, "id,label\n" + lines("{n},{l}"))
    for one in (source, ImageSource(source.data, label_re=r"i\d([0-4])")):
        images = load(one)
        assert images.has_own_split and set(images.splits) == {"train", "valid"}
        for split, rows in images.splits.items():
            assert {Path(images.files[row]).parent.name for row in rows} == {split}


def test_a_column_for_each_class(tmp_path):
    text = "image,red,green,blue\n" + "".join(
        f"{name},{i % 3 == 0:d}.0,{i % 3 == 1:d}.0,{i % 3 == 2:d}.0\n" for i, name in enumerate(NAMES)
    )
    images = load(write_table(tmp_path, [f"{name}.jpg" for name in NAMES], text))
    assert [images.classes[label] for label in images.labels] == ["red", "green", "blue"] * 8


def test_a_part_and_the_order_of_numbers(tmp_path):
    text = "id,label\n" + "".join(f"{name},{i % 12}\n" for i, name in enumerate(NAMES))
    source = write_table(tmp_path, [f"{name}.jpg" for name in NAMES], text)
    assert load(source).classes == tuple(map(str, range(12)))
    part = load(ImageSource(f"{source.data}:12", labels=source.labels))
    assert len(part.splits["train"]) == 12 and part.name.endswith(":12")


def test_other_columns_that_may_hold_the_labels_are_named(tmp_path):
    text = "id,label,class_name,breed\n" + "".join(
        f"{name},{i % 2},{'ab'[i % 2]},{'xyz'[i % 3]}\n" for i, name in enumerate(NAMES)
    )
    warnings = load(write_table(tmp_path, [f"{name}.jpg" for name in NAMES], text)).card.warnings
    assert [w for w in warnings if "column" in w] == [
        "the column label holds the labels; for breed, name train.csv:id,breed"
    ]


REFUSED = {
    "decimals": ("id,score\n" + lines("x/{n},0.5") + "y/i00,1.25\n", "score holds numbers such as 0.5"),
    "ambiguous": ("id,label\n" + lines("{n},{l}"), "may be x/i00.jpg or y/i00.jpg"),
    "which column": (
        "lesion,id,kind,age\n" + lines("L{i},x/{n},{l},{i}"),
        "which column holds the labels .*lesion, kind",
    ),
    "words": ("id,tags\n" + lines("x/{n},{l}") + "x/i01,cat dog\nx/i00,cat dog\n", "several labels for an image"),
    "two ones": ("id,a,b\n" + lines("x/{n},1,0") + "x/i00,1,1\n", "several labels, a and b"),
    "two splits": ("id,label,is_valid\n" + lines("x/{n},{l},0") + "x/i00,dog,1\n", "both in train and in valid"),
    "a word": ("id,label,split\n" + lines("x/{n},{l},train") + "y/i00,cat,holdout\n", "holdout in the column split"),
    "untrained": ("id,label,is_valid\n" + lines("x/{n},{l},0") + "y/i00,bird,1\n", "class bird has no training images"),
    "a comma": ("id,label\n" + lines("x/{n},{l}, house"), "row 2 has 3 cells"),
    "no text": ("PK\0\0", "save it as csv"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_mean_two_things_is_refused(tmp_path, kind):
    text, says = REFUSED[kind]
    files = [f"{folder}/{name}.jpg" for folder in "xy" for name in NAMES]
    with pytest.raises(UserError, match=f"^`labels` .*{says}"):
        load(write_table(tmp_path, files, text))


@pytest.mark.parametrize("where", ["", "images/", "train_images/"])
def test_a_folder_with_a_table_names_the_option(tmp_path, where):
    source = write_table(tmp_path, [f"{where}{name}.jpg" for name in NAMES], "id,label\n" + lines("{n},{l}"))
    for name in ("train.csv", "sample_submission.csv"):
        shutil.copy(source.labels, Path(source.data, name))
    with pytest.raises(UserError, match=r"label them by a table: `labels` .*train\.csv$"):
        catalog.load(source.data, 12)


def test_heic_files_are_read_where_the_plugin_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    for name in ("left", "right"):
        write_images(tmp_path / name, 8)
        pillow_heif.from_pillow(Image.open(tmp_path / name / f"{name}000.png")).save(tmp_path / name / "phone.HEIC")
    images = catalog.load(str(tmp_path), 12, cache=False)
    assert len(images.labels) == 18 and not images.card.unreadable
