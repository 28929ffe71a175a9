"""Results on disk: atomic runs, continuing, refusing, moving away."""

import json

import pandas as pd
import pytest

from lrlab.recipes.kitchen.errors import Refused, UserError
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import EPOCH_COLUMNS, RUN_COLUMNS, STEP_COLUMNS, RunResult, RunRow


def result(run_id: str, **values) -> RunResult:
    row = RunRow(run_id, "cosine", "1e-3", 0, epochs=1, **values)
    epochs = pd.DataFrame([[run_id, "cosine", "1e-3", 0, 1, 10, 1e-3, 0.5, 0.6, 0.7, 1.0]], columns=EPOCH_COLUMNS)
    return RunResult(row, epochs, pd.DataFrame([[0, 0, 0, 1e-3, 0.9, 0.7]], columns=STEP_COLUMNS))


def test_a_run_is_complete_only_with_its_run_json(tmp_path):
    with Store(tmp_path / "out") as store:
        store.write_run(result("a"))
        store.write_run(result("b"))
        (store.runs / "b" / "run.json").unlink()
        assert list(store.complete()) == ["a"]
        runs, epochs = store.tables()
    assert list(runs.run_id) == ["a"] and list(runs.columns) == RUN_COLUMNS
    assert list(epochs.columns) == EPOCH_COLUMNS


@pytest.mark.parametrize("name", ["epochs.csv", "steps.csv"])
def test_a_shortened_table_makes_a_damaged_run(tmp_path, capsys, name):
    "A power cut or an interrupted copy can leave run.json whole and a table cut off."
    with Store(tmp_path / "out") as store:
        store.write_run(result("a"))
        file = store.runs / "a" / name
        file.write_bytes(file.read_bytes()[:-3])
        assert store.complete() == {}
        assert f"{name} should have" in capsys.readouterr().out


def test_a_run_appears_with_all_its_files_or_not_at_all(tmp_path):
    with Store(tmp_path / "out") as store:
        store.write_run(result("a"))
        (store.runs / ".part-b").mkdir()  # left by a process that was killed amid writing
        (store.runs / ".part-b" / "epochs.csv").write_text("half")
        assert list(store.complete()) == ["a"]
        store.write_run(result("b"))
        assert list(store.complete()) == ["a", "b"] and not (store.runs / ".part-b").exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"run_id": "other"}', '{"run_id": "a"}', "\x00\xff"])
def test_a_damaged_run_is_moved_away_and_named(tmp_path, capsys, damage):
    with Store(tmp_path / "out") as store:
        store.write_run(result("a"))
        (store.runs / "a" / "run.json").write_text(damage, encoding="latin-1")
        assert store.complete() == {}
        assert "a is damaged" in capsys.readouterr().out
        assert [f.name.startswith(".damaged-a-") for f in store.runs.iterdir()] == [True]
        store.write_run(result("a"))
        assert list(store.complete()) == ["a"]


def test_another_question_is_refused_with_the_difference_named(tmp_path):
    with Store(tmp_path / "out") as store:
        store.begin(Manifest(question={"epochs": 7, "arch": "small"}))
        store.begin(Manifest(question={"epochs": 7, "arch": "small"}))
        with pytest.raises(Refused, match="epochs = 7, this command has epochs = 8"):
            store.begin(Manifest(question={"epochs": 8, "arch": "small"}))
        with pytest.raises(Refused, match="results of lrlab compare, this is lrlab lr-find"):
            store.begin(Manifest("lr-find", question={"num_it": 8, "arch": "small"}))


def test_fresh_moves_the_old_folder_away(tmp_path):
    with Store(tmp_path / "out") as store:
        store.begin(Manifest(question={"epochs": 7}))
        store.write_run(result("a"))
        store.begin(Manifest(question={"epochs": 8}), fresh=True)
        assert store.complete() == {} and store.manifest.question == {"epochs": 8}
    aside = next(f for f in tmp_path.iterdir() if f.name.startswith("out."))
    assert (aside / "runs" / "a" / "run.json").exists()
    assert json.loads((aside / "config.json").read_text())["question"] == {"epochs": 7}


def test_two_writers_are_one_too_many(tmp_path):
    with Store(tmp_path / "out"), pytest.raises(Refused, match="another lrlab command"):
        Store(tmp_path / "out").__enter__()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        Store(tmp_path / "file" / "out").__enter__()


def test_a_damaged_config_is_named(tmp_path):
    with Store(tmp_path / "out") as store:
        (store.out / "config.json").write_text("{")
        with pytest.raises(UserError, match="cannot be read"):
            store.begin(Manifest())


def test_a_manifest_keeps_what_it_does_not_know(tmp_path):
    "A folder of another version is continued without losing its keys."
    (tmp_path / "config.json").write_text('{"recipe": "compare", "question": {"epochs": 7}, "of the future": [1]}')
    with Store(tmp_path) as store:
        store.update(lr_find=3e-3, plan=["a"])
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["of the future"] == [1] and values["lr_find"] == 3e-3 and values["question"] == {"epochs": 7}
    assert Manifest.read(tmp_path).plan == ["a"]
