"""`lrlab predict`: classes and probabilities of files, in batches; what cannot be read is named."""

import os
import pickle
import shutil
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.tabular.all import Categorify, TabularDataLoaders, tabular_learner
from PIL import Image

from lrlab.recipes import build, cli, load_model, predict
from lrlab.recipes.kitchen.data.catalog import load
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.learner.saved_model import divide_scores, predict_files, save_model
from tests.conftest import no_file_above


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "A folder with model.pkl, 12 images of digits in images/, and a broken one."
    folder, images = tmp_path_factory.mktemp("predict"), load("digits", 16)
    learn = build("digits", bs=32, precision="fp32")
    learn.logger = lambda *_: None
    with learn.no_bar():
        learn.fit(2, 1e-2)
    save_model(learn, folder / "model.pkl")
    (folder / "images" / "deeper").mkdir(parents=True)
    for row in range(12):
        Image.fromarray(images.images[row][..., 0]).save(folder / "images" / f"{row:02}.png")
    (folder / "images" / "deeper" / "broken.png").write_bytes(b"no image")
    return folder


def test_probabilities_are_those_of_fastai_whatever_the_batch(place):
    learn = load_model(place / "model.pkl")
    files = sorted((place / "images").glob("*.png"))
    found = {bs: [p for _, p, _ in predict_files(learn, files, bs)] for bs in (1, 5, 64)}
    with learn.no_bar():
        theirs, _ = learn.get_preds(dl=learn.dls.test_dl(files, num_workers=0))
    for probabilities in found.values():
        assert torch.tensor(np.stack(probabilities)).allclose(theirs.as_subclass(torch.Tensor), atol=1e-5)


def test_a_folder_is_predicted_and_a_broken_image_is_named(place, capsys):
    csv = place / "found.csv"
    assert cli.main(["predict", str(place / "model.pkl"), str(place / "images"), "--csv", str(csv)]) == 0
    printed = capsys.readouterr().out
    assert "12 images" in printed and "broken.png (not an image in a known format)" in printed
    table = pd.read_csv(csv)
    assert len(table) == 13 and table.error.notna().sum() == 1
    read = table[table.error.isna()]
    shares = read[[f"p({name})" for name in range(10)]]
    assert shares.sum(axis=1).tolist() == pytest.approx([1.0] * 12) and shares.max(axis=1).equals(read.probability)
    labels = load("digits", 16).labels[:12]
    assert (read["class"].astype(int).to_numpy() == labels).mean() > 0.5


def test_a_dash_prints_the_table_alone(place, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["predict", str(place / "model.pkl"), str(place / "images"), "--csv=-"]) == 0
    table = pd.read_csv(StringIO(capsys.readouterr().out))
    assert len(table) == 13 and not list(tmp_path.iterdir())


def test_unsure_images_are_marked(place):
    image = str(place / "images" / "00.png")
    always = predict.main(str(place / "model.pkl"), image, sure=1.0)
    assert "below 99.5 %." in predict.main(str(place / "model.pkl"), image, sure=0.995).text
    never = predict.main(str(place / "model.pkl"), image, image, sure=0.0)
    assert always.table.unsure.all() and "unsure" in always.text.splitlines()[2]
    assert not never.table.unsure.any() and len(never.table) == 1, "the same image is predicted once"


def test_a_name_that_is_no_utf8_stands_in_the_table(place, tmp_path):
    images = tmp_path / os.fsdecode(b"n\xfcsse")
    shutil.copytree(place / "images", images)
    predict.main(str(place / "model.pkl"), str(images), csv=str(tmp_path / "found.csv"))
    assert all("n\ufffdsse" in name for name in pd.read_csv(tmp_path / "found.csv").file)


def test_only_broken_images_are_a_fault(place, capsys):
    assert cli.main(["predict", str(place / "model.pkl"), str(place / "images" / "deeper")]) == 1
    assert capsys.readouterr().out.startswith("Not read: "), "no count of none"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "needs a model and images"),
        (["model.pkl"], "needs a model and images"),
        (["nowhere.pkl", "images"], "model nowhere.pkl: no such file"),
        (["images/00.png", "images"], "cannot be loaded as a Learner"),
        (["model.pkl", "nowhere"], "nowhere: no such file or folder"),
        (["model.pkl", "empty"], "empty: no images found"),
        (["model.pkl", "images", "--sure", "2"], ": expected a number from 0.0 to 1.0"),
        (["model.pkl", "images", "--csv", "nowhere/x.csv"], "there is no folder nowhere"),
        (["model.pkl", "images", "--csv", "model.pkl"], "--csv model.pkl: this file is there and is no table"),
        (["images", "images"], "model images: a folder; expected a file"),
        (["model.pkl", "images", "--csv", "empty"], "a folder; expected the name of a file"),
        (["state.pkl", "images"], "cannot be loaded as a Learner"),
        (["array.pkl", "images"], "cannot be loaded as a Learner"),
        (["numbers.pkl", "images"], "was not made by lrlab"),
    ],
)
def test_bad_arguments_are_one_sentence(place, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(place)
    (place / "empty").mkdir(exist_ok=True)
    torch.save({"weights": torch.zeros(1)}, place / "state.pkl")
    (place / "array.pkl").write_bytes(pickle.dumps(np.zeros(3)))
    table = pd.DataFrame({"x": range(8), "kind": "a", "y": 1.5})
    loaders = {"procs": [Categorify], "cat_names": ["kind"], "cont_names": ["x"], "y_names": "y", "bs": 4}
    tabular_learner(TabularDataLoaders.from_df(table, **loaders), layers=[2]).export((place / "numbers.pkl").resolve())
    assert cli.main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_learner_of_another_library_is_told_what_to_use(tmp_path):
    from fastai.test_utils import synth_learner

    with pytest.raises(UserError, match="was not made by lrlab"):
        list(predict_files(synth_learner(), [tmp_path / "x.png"]))


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_is_told_as_such_and_leaves_no_part(tmp_path):
    with no_file_above(1000), pytest.raises(OSError, match="No space left on device"):
        save_model(build("digits", precision="fp32"), tmp_path / "model.pkl")
    assert not list(tmp_path.iterdir())


def test_a_temperature_changes_probabilities_but_no_answer():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    x = torch.randn(8, 4)
    before = model(x)
    divide_scores(model, 2.5)
    assert torch.allclose(model(x), before / 2.5, atol=1e-6)
    with pytest.raises(ValueError, match="expected a linear layer"):
        divide_scores(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), 2.0)
