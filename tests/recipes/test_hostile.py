"""What strangers send is data: nothing in a file is run, nothing is written elsewhere, nothing steers a terminal."""

import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lrlab.recipes import cli, compare
from lrlab.recipes.kitchen import errors, text
from lrlab.recipes.kitchen.data import archives
from lrlab.recipes.kitchen.data import pixel_cache as cache
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.figures import style
from lrlab.recipes.kitchen.models import weights
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.studies.compare import results as stored
from lrlab.recipes.studies.one_cycle import figure as one_cycle_figure
from tests.conftest import write_images

HOSTILE = ("left<img src=x onerror=alert(1)>", "right\x1b[2J\x1b]0;owned\x07$x_1$ & 'q' {{7*7}}")


class Bomb:
    "Unpickling it leaves a file behind."

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.fixture
def bomb(tmp_path):
    "Bytes that must not be unpickled, and the file that would tell."
    return pickle.dumps(Bomb(tmp_path / "owned")), tmp_path / "owned"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    "A results folder, of images in classes with hostile names."
    folder = tmp_path_factory.mktemp("hostile")
    for i, name in enumerate(HOSTILE):
        write_images(folder / "images" / name, 12, seed=i, size=12)
    options = {"epochs": "1", "seeds": "2", "schedules": "constant,cosine", "lr_max": "1e-3", "size": 12, "bs": 8}
    compare.main(data=str(folder / "images"), jobs="1", out=str(folder / "out"), **options)
    return folder / "out"


@pytest.fixture
def results(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.mark.usefixtures("undrawn")
def test_class_names_can_script_neither_the_report_nor_the_terminal(finished, capsys):
    html = (finished / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in html and "&lt;img src=x" in html
    assert "{{7*7}}" in html.replace("&#39;", "'") or "{{7*7}}" in html, "a template in a name is not filled in"
    assert "\x1b" not in html
    assert cli.main(["report", str(finished)]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err


def test_a_confusion_matrix_takes_any_class_name(tmp_path):
    "matplotlib would read what is between dollar signs as a formula, and stop where it is none."
    names = [text.printable(name) for name in (*HOSTILE, r"$\frac{$", "<b>")]
    fig = Figure()
    one_cycle_figure.confusion_matrix(fig.subplots(), pd.DataFrame(np.eye(4, dtype=int), index=names, columns=names))
    style.save(fig, tmp_path / "confusion.png")
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == [name[:16] for name in names]
    assert not any(label.get_parse_math() for label in fig.axes[0].get_yticklabels() if "$" in label.get_text())


def test_a_name_in_any_script_is_drawn_in_a_font_that_has_it_or_a_note_says_that_none_has(tmp_path, capsys, recwarn):
    in_math, nowhere = Figure(), Figure()
    in_math.suptitle("class \U0001d7ce\U0001d7d8")  # digits that STIX has, and DejaVu Sans only in part
    nowhere.suptitle("class \uabcd")
    nowhere.text(0, 0, "class \uabce")
    for fig in (in_math, nowhere):
        style.save(fig, tmp_path / "named.png")
    told = capsys.readouterr().err
    assert not recwarn.list and told.count("Note:") == 1 and "characters \uabcd\uabce;" in told


def test_one_share_in_two_precisions_is_drawn_at_one_height(tmp_path):
    fig = Figure()
    ax = fig.subplots()
    ax.plot([1, 2], [12 / 23, np.float32(12 / 23)])
    style.in_percent(ax.yaxis)
    style.save(fig, tmp_path / "level.png")
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == len(set(labels)) and np.diff(ax.get_ylim()) == pytest.approx(style.LEAST_SHARE)


def test_runs_on_other_images_are_no_continuation(results, finished, tmp_path):
    image_set = Path(shutil.copytree(finished.parent / "images", tmp_path / "images"))
    next(image_set.glob("left*/*.png")).unlink()
    options = {"epochs": "1", "seeds": "2", "schedules": "constant,cosine", "lr_max": "1e-3", "size": 12, "bs": 8}
    config = json.loads((results / "config.json").read_text())
    config["question"]["data"] = str(image_set)  # as if the images had changed where they are
    (results / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.Refused, match="holds results from before the images or labels changed; "):
        compare.main(data=str(image_set), jobs="1", out=str(results), **options)


@pytest.mark.usefixtures("undrawn")
def test_a_report_fetches_nothing_that_a_stranger_names(results, capsys):
    (results / "samples.json").write_text(json.dumps({text.printable(HOSTILE[0]): ["http://localhost:1/x.png"]}))
    assert outcome(results, capsys) == 0
    assert "localhost:1" not in (results / "report.html").read_text(encoding="utf-8")


# ---- a results folder from a stranger -------------------------------------------------------------------------------


def outcome(folder: Path, capsys) -> int:
    "The exit code of `lrlab report`: never an exception, and nothing on the terminal but text."
    capsys.readouterr()
    code = cli.main(["report", str(folder)])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and "\x1b" not in printed.out + printed.err
    return code


def files_outside(folder: Path) -> set[str]:
    return {str(f) for f in folder.parent.rglob("*") if not f.is_relative_to(folder)}


@pytest.mark.parametrize("run_id", ["../../elsewhere", "/tmp/elsewhere", "..", ".", "", "a\0b", "\x1b[2J", "x" * 5000])
def test_run_ids_are_not_paths(results, run_id):
    before = files_outside(results)
    run = next(results.glob("runs/*/run.json"))
    run.write_text(json.dumps(json.loads(run.read_text()) | {"run_id": run_id}))
    config = json.loads((results / "config.json").read_text())
    config["plan"] = [run_id, *config["plan"]]
    (results / "config.json").write_text(json.dumps(config))
    assert len(stored.read(Store(results)).runs) == 3, "the other runs are reported"
    assert files_outside(results) == before
    assert len(list(results.glob("runs/.damaged-*"))) == 1, "and the one that lies about its name is set aside"


def test_escape_sequences_in_a_strangers_results_are_shown_and_not_obeyed(results, capsys):
    for run in results.glob("runs/*/run.json"):
        row = json.loads(run.read_text())
        row["error"] = "\x1b]0;owned\x07 <script>alert(1)</script>"
        run.write_text(json.dumps(row))
    config = json.loads((results / "config.json").read_text())
    config["command"] = "lrlab \x1b[2J<script>alert(2)</script>"
    config["data"]["title"] = "\x1b[31m<script>alert(3)</script>"
    (results / "config.json").write_text(json.dumps(config))
    assert outcome(results, capsys) == 0
    html = (results / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html and "\x1b" not in html


DAMAGED = [
    "pickle",
    "",
    "[" * 100_000,
    "null",
    '{"question": 5}',
    '{"question": {"schedules": {}}, "data": {}}',
    "a,b\n1",
]


@pytest.mark.parametrize("name", ["config.json", "samples.json", "lr_find.csv", "run.json", "epochs.csv", "steps.csv"])
def test_damaged_files_are_named_or_replaced(results, finished, name, bomb, capsys):
    file = results / name if (results / name).exists() else next(results.glob(f"runs/*/{name}"))
    for content in DAMAGED:  # drawing takes a second: most are only read
        shutil.rmtree(results)
        shutil.copytree(finished, results)
        file.write_bytes(bomb[0] if content == "pickle" else content.encode())
        if content == "pickle" or (content in ("null", "a,b\n1") and name in ("samples.json", "lr_find.csv")):
            assert outcome(results, capsys) in (0, 2)
        else:
            read_or_refused(results)
    assert not bomb[1].exists()


def read_or_refused(results: Path) -> None:
    try:
        read = stored.read(Store(results))
    except UserError as error:
        assert str(error)
    else:
        assert len(read.runs) <= 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=30)
@given(data=st.data())
def test_no_content_of_a_results_folder_does_more_than_be_refused(results, finished, data):
    "Any value in the place of any other in run.json and config.json, and random bytes in any table."
    shutil.rmtree(results)
    shutil.copytree(finished, results)
    file = data.draw(st.sampled_from(sorted(f for f in results.rglob("*") if f.suffix in (".json", ".csv"))))
    if file.suffix == ".json" and file.name != "samples.json":
        content = json.loads(file.read_text(encoding="utf-8"))
        where = data.draw(st.sampled_from(sorted(content)))
        content[where] = data.draw(JSON)
        file.write_text(json.dumps(content), encoding="utf-8")
    else:
        start = data.draw(st.integers(0, file.stat().st_size))
        with open(file, "r+b") as stream:
            stream.seek(start)
            stream.write(data.draw(st.binary(max_size=50)))
    read_or_refused(results)


# ---- files that could carry code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_are_tensors_and_nothing_else(tmp_path, bomb, suffix):
    for content in (bomb[0], _zipped(bomb[0]), b"", b"\x80\x05."):
        (tmp_path / f"weights{suffix}").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as weights|holds no weights"):
            weights.read_weights(tmp_path / f"weights{suffix}")
    torch.save({"layer": Bomb(bomb[1])}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="cannot be read as weights"):
        weights.read_weights(tmp_path / "weights.pth")
    assert not bomb[1].exists()


def _zipped(content: bytes) -> bytes:
    "As torch.save packs it."
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


@settings(max_examples=100)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".pth", ".safetensors"]), whole=st.booleans())
def test_random_bytes_are_no_weights(tmp_path, content, suffix, whole):
    stream = io.BytesIO()
    torch.save({"layer": torch.zeros(3)}, stream)
    saved = stream.getvalue()
    middle = len(saved) // 2
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(content if whole else saved[:middle] + content + saved[middle:])
    try:
        read = weights.read_weights(file)
    except UserError as error:
        assert str(file) in str(error)
    else:
        assert all(isinstance(tensor, torch.Tensor) for tensor in read.values())


@pytest.mark.parametrize("damage", ["pickle", "truncated", "random", "notes"])
def test_a_damaged_cache_entry_is_made_again(tmp_path, monkeypatch, bomb, damage):
    monkeypatch.setenv("LRLAB_CACHE", str(tmp_path / "cache"))

    def fill(file):
        np.save(file, np.arange(1000))
        return {}

    cache.cached_array("photos-x", fill)
    file = tmp_path / "cache" / "photos-x" / ("notes.json" if damage == "notes" else "images.npy")
    if damage == "pickle":
        np.save(file, np.array([Bomb(bomb[1])], object), allow_pickle=True)
    else:
        file.write_bytes({"truncated": file.read_bytes()[:500], "random": os.urandom(500), "notes": b"\xff["}[damage])
    array, notes = cache.cached_array("photos-x", fill)
    assert np.array_equal(array, np.arange(1000)) and notes == {} and not bomb[1].exists()


# ---- archives -------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive_folder(tmp_path, monkeypatch):
    "Where fastai puts what it downloads, below a home of the test's own."
    from fastai.data.external import fastai_cfg

    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "fastai"))
    fastai_cfg.cache_clear()
    folder = tmp_path / "fastai" / "archive"
    folder.mkdir(parents=True)
    yield folder
    fastai_cfg.cache_clear()


def tar(file: Path, *entries: tuple[str, bytes | None, str]) -> None:
    "(name, content, kind) -> a .tgz; `content` of a link is where it points."
    with tarfile.open(file, "w:gz") as archive:
        for name, content, kind in entries:
            member = tarfile.TarInfo(name)
            member.type = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
                           "pipe": tarfile.FIFOTYPE, "folder": tarfile.DIRTYPE}[kind]  # fmt: skip
            if kind in ("link", "hard"):
                member.linkname = content.decode()
            member.size = len(content) if kind == "file" else 0
            archive.addfile(member, io.BytesIO(content) if kind == "file" else None)


@pytest.mark.parametrize(
    "entry, says",
    [
        (("../owned", b"x", "file"), "outside"),
        (("/tmp/owned", b"x", "file"), "outside"),
        (("set/../../owned", b"x", "file"), "outside"),
        (("C:/owned", b"x", "file"), "outside"),
        (("set\\..\\..\\owned", b"x", "file"), "outside"),
        (("set/link", b"/etc/passwd", "link"), "a link or a device"),
        (("set/link", b"../..", "link"), "a link or a device"),
        (("set/hard", b"../../etc/passwd", "hard"), "a link or a device"),
        (("set/pipe", None, "pipe"), "a link or a device"),
        (("../\x1b[2Jowned", b"x", "file"), "outside"),
    ],
)
def test_archives_write_nothing_outside_their_folder(tmp_path, archive_folder, entry, says):
    archive = archive_folder / "set.tgz"
    tar(archive, ("set/train/cat/1.png", b"x", "file"), entry)
    before = {f for f in tmp_path.rglob("*") if f.is_file() and f.suffix not in (".lock", ".ini")}
    with pytest.raises(UserError, match=says) as refusal:
        archives.untar("http://localhost:1/set.tgz")
    assert str(refusal.value).isprintable()
    assert {f for f in tmp_path.rglob("*") if f.is_file() and f.suffix not in (".lock", ".ini")} == before


def test_good_archives_are_unpacked_and_damaged_ones_named(tmp_path, archive_folder):
    folder = archive_folder
    tar(folder / "set.tgz", ("set", None, "folder"), ("set/train/cat/1.png", b"x", "file"))
    found = archives.untar("http://localhost:1/set.tgz")
    assert found == tmp_path / "fastai" / "data" / "set" and (found / "train/cat/1.png").read_bytes() == b"x"
    (folder / "half.tgz").write_bytes((folder / "set.tgz").read_bytes()[:60])
    with pytest.raises(UserError, match="half.tgz is damaged"):
        archives.untar("http://localhost:1/half.tgz")
    with pytest.raises(UserError, match="cannot be downloaded"):
        archives.untar("http://localhost:1/none.tgz")
    with zipfile.ZipFile(folder / "set2.zip", "w") as archive:
        archive.writestr("../owned", "x")
    with pytest.raises(UserError, match="outside"):
        archives.untar("http://localhost:1/set2.zip")


# ---- the code itself ------------------------------------------------------------------------------------------------

ROOT = Path(cli.__file__).resolve().parent.parent
SOURCES = [file for folder in ("recipes", "callbacks") for file in sorted((ROOT / folder).rglob("*.py"))]
FORBIDDEN = {
    r"\bpickle\.loads?\(|\bread_pickle\(|joblib\.load\(|load_learner\(|\byaml\.load\(": "runs what a pickle says",
    r"(?<![\w.])(eval|exec|compile)\(": "runs text",
    r"os\.system\(|shell=True": "runs text in a shell",
    r"torch\.load\((?!.*weights_only=True)": "may run what a file says",
    r"np\.load\((?!.*allow_pickle=False)": "should say allow_pickle=False",
}


# `lrlab predict MODEL`: the user names the file, and the help says to trust it.
TRUSTED = {("saved_model.py", "load_learner(")}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_the_code_has_no_way_to_run_a_file(pattern):
    assert len(SOURCES) > 40
    found = [
        f"{file.name}:{number}: {line.strip()}: {FORBIDDEN[pattern]}"
        for file in SOURCES
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (match := re.search(pattern, line)) and (file.name, match[0]) not in TRUSTED
    ]
    assert not found


def test_ruffs_security_rules_find_nothing():
    "Bandit's checks, as ruff has them; exceptions are justified where they are."
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--select", "S", "--no-cache", "recipes", "callbacks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
