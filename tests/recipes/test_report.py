"""`lrlab report`: it starts without torch, and redraws what every release has written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lrlab.recipes import cli

REFERENCE = Path(__file__).parent.parent.parent / "results" / "reference"
COUNTED = """
import sys
from lrlab.recipes import cli
code = cli.main(["report", *sys.argv[1:]])
print("loaded:", sorted({"torch", "torchvision", "fastai", "timm", "joblib"} & set(sys.modules)))
sys.exit(code)
"""


@pytest.fixture
def copied(tmp_path):
    "A copy of one of the committed results folders."
    return lambda name: Path(shutil.copytree(REFERENCE / name, tmp_path / name))


def test_a_report_of_a_folder_of_1_0_has_the_same_tables_and_needs_no_torch(copied):
    folder = copied("compare")
    done = subprocess.run([sys.executable, "-c", COUNTED, folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
    for name in ("runs", "epochs", "cycles"):
        assert (folder / f"{name}.csv").read_text() == (REFERENCE / "compare" / f"{name}.csv").read_text()
    old, new = (pd.read_csv(place / "summary.csv").set_index("schedule") for place in (REFERENCE / "compare", folder))
    old_mean = old["mean" if "mean" in old else "accuracy_mean"]
    assert new["mean"].to_dict() == pytest.approx(old_mean.to_dict())
    assert max(map(len, done.stdout.split("Report: ")[0].splitlines())) <= 100
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(f'<th scope="row">{schedule}</th>' in page for schedule in old.index)


@pytest.mark.parametrize(
    "name, figure",
    [
        ("epochs", "epochs.png"),
        ("lr_find", "lr_find.png"),
        ("lr_band", "lr_band.png"),
        ("one_cycle", "one_cycle.png"),
        ("learning_rate", "learning_rate.png"),
        ("claims", "claims.png"),
    ],
)
def test_recipes_are_redrawn_from_their_tables(copied, name, figure, capsys):
    folder = copied(name)
    (folder / figure).unlink()
    before = {file.name: file.read_bytes() for file in folder.glob("*.csv")}
    assert cli.main(["report", str(folder)]) == 0 and (folder / figure).exists()
    assert {file.name: file.read_bytes() for file in folder.glob("*.csv")} == before
    assert str(folder / figure) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["learning_rate", "snapshot_ensemble", "transfer", "transfer_vs_scratch"])
def test_tables_without_their_runs_are_kept(copied, name, capsys):
    folder = copied(name)
    (folder / "runs.zip").unlink(missing_ok=True)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert cli.main(["report", str(folder)]) == 2
    assert "no finished run yet; the same command continues" in capsys.readouterr().err
    assert {
        file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name in before
    } == before


@pytest.mark.parametrize("name", ["speed", "gradient_descent"])
def test_recipes_that_cannot_be_redrawn_say_which_command_does(copied, name, capsys):
    assert cli.main(["report", str(copied(name))]) == 2
    assert f"the same `lrlab {name.replace('_', '-')}` again redraws it" in capsys.readouterr().err


@pytest.mark.parametrize("name, table", [("compare", "lr_find.csv"), ("claims", "runs.csv")])
@pytest.mark.parametrize("content", ["", "one;column\n"])
def test_a_table_that_was_emptied_or_saved_by_excel_is_named(copied, name, table, content, capsys):
    file = copied(name) / table
    file.write_text(content)
    assert cli.main(["report", str(file.parent)]) == 2
    assert f"{file}: damaged" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_one_table_of_all_runs_for_other_tools(copied, tmp_path, capsys):
    folder, file = copied("compare"), tmp_path / "all.csv"
    assert cli.main(["report", str(folder), "--csv", str(file)]) == 0
    assert f"Table of all runs: {file}" in capsys.readouterr().out
    table, runs, summary = pd.read_csv(file), pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "summary.csv")
    assert len(table) == len(runs) and table.run_id.is_unique and table.value.equals(runs.accuracy)
    words = table.groupby("schedule").verdict.unique().str[0].to_dict()
    assert words == summary.set_index("schedule").verdict.to_dict() and set(table.judge) == {"accuracy"}
    assert list(table.columns[:2]) == ["data", "model"] and set(table.data) == {"solar"}
    assert cli.main(["report", str(folder), "--csv=-"]) == 0
    assert capsys.readouterr().out == file.read_text(), "nothing else is printed, so that it can be piped"


def test_a_table_that_cannot_be_written_is_refused_before_anything_is(copied, capsys):
    folder = copied("compare")
    assert cli.main(["report", str(folder), "--csv", "no/such/folder/runs.csv"]) == 2
    assert "--csv no/such/folder/runs.csv: there is no folder no/such/folder" in capsys.readouterr().err
    for name in ("config.json", "runs.csv"):
        assert cli.main(["report", str(folder), "--csv", str(folder / name)]) == 2
        assert f"{name}: this file is" in capsys.readouterr().err
    assert cli.main(["report", str(copied("lr_find")), "--csv", "runs.csv"]) == 2
    assert "--csv is for results of lrlab compare" in capsys.readouterr().err
