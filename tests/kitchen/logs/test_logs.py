"""Finished runs in experiment trackers: what is written, once, and the verdict that changes later."""

import json
import math
import struct
import sys

import pandas as pd
import pytest

from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.logs import log_runs as logs
from lrlab.recipes.kitchen.store.manifest import Manifest
from lrlab.recipes.kitchen.store.store import Store
from lrlab.recipes.kitchen.store.tables import RunKey, RunResult, RunRow

ARMS = ("cosine", "OneCycle(pct_start=0.3)")


def run_id(arm: str) -> str:
    return f"run-of-{ARMS.index(arm)}"


def result(arm: str, status: str = "ok", seconds: float = 1.5) -> RunResult:
    "A run of 4 steps in 2 epochs, with two layer groups."
    key = RunKey(run_id(arm), arm, "1e-3", 0)
    steps = [(step, step // 2, group, 1e-3 * 10**group, 0.9, 2.0 - step / 10) for step in range(4) for group in (0, 1)]
    epochs = pd.DataFrame(
        {
            "epoch": [1, 2], "step": [2, 4], "lr": 1e-2, "train_loss": [1.9, 1.7], "valid_loss": [1.8, math.nan],
            "accuracy": [0.5, 0.75], "seconds": 0.1, "f1": [0.4, 0.6],
        }
    )  # fmt: skip
    ended = {"status": status, "epochs": 2, "steps": 4, "accuracy": 0.75, "seconds": seconds}
    row = RunRow(**vars(key), **ended, budget=2, measures={"brier": 0.25})
    return RunResult(row, key.label(epochs), pd.DataFrame(steps, columns="step epoch group lr mom loss".split()))


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "out") as store:
        question = {"data": "digits", "wd": 0.1, "seeds": [0], "schedules": {"2": {"cosine": "CosineDecay()"}}}
        plan = [result(arm).row.run_id for arm in ARMS]
        store.begin(Manifest("compare", question, groups=["body", "head"], plan=plan))
        for arm in ARMS:
            store.write_run(result(arm))
        yield store


def said(word: str) -> dict:
    return {run_id(arm): {"verdict": word} for arm in ARMS}


class Notebook:
    "A tracker that remembers what it was told."

    where = "here"

    def __init__(self):
        self.told = []

    def write(self, run, known):
        self.told.append((run, known))
        return known or f"name of {run.name}"


@pytest.fixture
def notebook(monkeypatch):
    made = Notebook()
    monkeypatch.setattr(logs, "open_writer", lambda tool, folder: made)
    return made


def test_a_run_has_its_settings_curves_and_verdict(store, notebook):
    assert logs.log_runs(store, "tensorboard", said("best")) == "2 runs in tensorboard: here"
    (run, known), _ = notebook.told
    assert known is None and run.arm == "cosine" and run.said == {"status": "ok", "verdict": "best"}
    expected = {"data": "digits", "wd": 0.1, "schedule": "cosine", "call": "CosineDecay()", "seed": 0, "epochs": 2}
    assert expected.items() <= run.settings.items() and "seeds" not in run.settings
    assert run.final == {"steps": 4.0, "accuracy": 0.75, "seconds": 1.5, "brier": 0.25}
    curves = dict(run.curves)
    assert list(curves) == [0, 1, 2, 3, 4] and curves[0] == {"lr/body": 1e-3, "lr/head": 1e-2, "train_loss/step": 2.0}
    assert curves[2]["accuracy"] == 0.5 and curves[2]["f1"] == 0.4 and curves[2]["lr/head"] == 1e-2
    assert curves[4] == {"epoch": 2, "train_loss": 1.7, "accuracy": 0.75, "f1": 0.6}, "a loss of nan is omitted"


def test_the_verdict_of_a_run_is_that_of_its_arm_at_its_budget_and_lr():
    runs = pd.DataFrame({"run_id": list("abc"), "schedule": ["x", "x", "y"], "budget": [1, 2, 3], "lr_max": "1e-3"})
    by_budget = pd.DataFrame({"schedule": ["x", "x", "y"], "budget": [1, 2, 3], "verdict": ["open", "best", math.nan]})
    assert logs.verdicts(runs, by_budget) == {"a": {"verdict": "open"}, "b": {"verdict": "best"}, "c": {}}
    one_budget = pd.DataFrame({"schedule": ["x", "y"], "budget": 3, "verdict": ["best", "behind"]})
    assert [own["verdict"] for own in logs.verdicts(runs, one_budget).values()] == ["best", "best", "behind"]
    by_lr = pd.DataFrame({"schedule": "x", "lr_max": ["1e-2", "1e-3"], "verdict": ["costly", "safe"]})
    assert logs.verdicts(runs, by_lr) == {"a": {"verdict": "safe"}, "b": {"verdict": "safe"}, "c": {}}
    assert logs.verdicts(runs, pd.DataFrame({"model": ["x"]})) == {"a": {}, "b": {}, "c": {}}


def test_only_what_is_new_is_written(store, notebook):
    logs.log_runs(store, "tensorboard", said("open"))
    logs.log_runs(store, "tensorboard", said("open"))
    assert len(notebook.told) == 2
    logs.log_runs(store, "tensorboard", said("open") | {run_id("cosine"): {"verdict": "best"}})
    run, known = notebook.told[2]
    assert len(notebook.told) == 3 and known == f"name of {run.name}" and run.said["verdict"] == "best"
    store.write_run(result("cosine", seconds=2.5))  # trained again, because its process was killed
    logs.log_runs(store, "tensorboard", said("open") | {run_id("cosine"): {"verdict": "best"}})
    assert len(notebook.told) == 4 and notebook.told[3][1] is None
    logs.log_runs(store, "wandb", said("open"))
    assert len(notebook.told) == 6, "another tracker has none of them"


def test_what_was_written_before_a_fault_is_not_written_again(store, notebook):
    write = notebook.write

    def full_disk(run, known):
        if notebook.told:
            raise RuntimeError("no room\nleft.")
        return write(run, known)

    notebook.write = full_disk
    with pytest.raises(logs.NotLogged, match="`log` wandb: RuntimeError: no room left. The same command"):
        logs.log_runs(store, "wandb", {})
    notebook.write = write
    logs.log_runs(store, "wandb", {})
    assert [run.arm for run, _ in notebook.told] == list(ARMS)


def test_a_missing_package_is_named_with_its_extra(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import fails, as of a version that is too old
    with pytest.raises(UserError, match=r"`log` wandb needs the package wandb: pip install 'lrlab\[wandb\]'"):
        logs.log_runs(store, "wandb", {})


def test_tensorboard_shows_every_run_below_its_arm(store):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for word in ("open", "best"):
        logs.log_runs(store, "tensorboard", said(word))
    folders = sorted(file.parent for file in (store.out / "tensorboard").rglob("events*"))
    assert {folder.parent.name for folder in folders} == {"cosine", "OneCycle_pct_start_0.3_"}
    events = EventAccumulator(str(folders[0])).Reload()
    assert {"lr/body", "lr/head", "accuracy", "f1", "final/accuracy"} <= set(events.Tags()["scalars"])
    assert [(e.step, e.value) for e in events.Scalars("accuracy")] == [(2, 0.5), (4, 0.75)], "once"
    written = b"".join(file.read_bytes() for file in (store.out / "tensorboard" / "cosine").rglob("events*"))
    assert b"CosineDecay()" in written and b"best" in written and b"open" not in written


def test_wandb_offline(store, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for word in ("open", "best"):
        assert "wandb sync" in logs.log_runs(store, "wandb", said(word))
    names = [entry["name"] for entry in json.loads((store.out / logs.LOGGED).read_text())["wandb"].values()]
    files = sorted((store.out / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 4 and {file.stem.removeprefix("run-") for file in files} == set(names)
    records = list(_records(files[-1]))
    run = next(record.run for record in records if record.HasField("run"))
    assert run.project == "lrlab" and run.run_group in ARMS
    rows = [record.history for record in records if record.HasField("history")]
    assert [row.step.num for row in rows] == [0, 1, 2, 3, 4]
    summary = {item.key or item.nested_key[0]: item.value_json for r in records for item in r.summary.update}
    assert json.loads(summary["verdict"]) == "best" and json.loads(summary["brier"]) == 0.25


def _records(file):
    "The records of a file of wandb: blocks of 32 kB, in which a record has a checksum, a length and a kind before it."
    from wandb.proto import wandb_internal_pb2

    data, at, part = file.read_bytes(), 7, b""
    while at < len(data):
        room = 2**15 - at % 2**15
        if room < 7:
            at += room
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


def test_mlflow_in_the_results_folder(store, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for word in ("open", "best"):
        logs.log_runs(store, "mlflow", said(word))
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{store.out.resolve()}/mlflow.db")
    (experiment,) = (e for e in client.search_experiments() if e.name == "lrlab")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["arm"] for run in runs} == set(ARMS) and {run.data.tags["verdict"] for run in runs} == {
        "best"
    }
    history = client.get_metric_history(runs[0].info.run_id, "lr/head")
    assert [(point.step, point.value) for point in history] == [(step, 1e-2) for step in range(4)]
    assert runs[0].data.params["data"] == "digits" and runs[0].data.metrics["final/brier"] == 0.25


def test_trackio_in_its_own_database(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio")
    for word in ("open", "best"):
        logs.log_runs(store, "trackio", said(word))
    runs = list(trackio.Api().runs("lrlab"))
    assert len(runs) == 2 and {run.config["_Group"] for run in runs} == set(ARMS)
