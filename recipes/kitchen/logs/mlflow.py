"""MLflow: one run for each run, with its arm as a tag. Without `MLFLOW_TRACKING_URI`, in the results folder."""

import os
import re
import time
from pathlib import Path

from lrlab.recipes.kitchen.logs.log_runs import LoggedRun

BATCH = 1000  # metrics that one call may log
LONGEST = 250  # characters of a metric's name


class MLflow:
    def __init__(self, folder: Path):
        import mlflow

        self.mlflow = mlflow
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db"
        self.client = self.mlflow.MlflowClient(tracking_uri=uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "lrlab")
        found = self.client.get_experiment_by_name(name)
        artifacts = None if "MLFLOW_TRACKING_URI" in os.environ else (folder.resolve() / "mlartifacts").as_uri()
        self.experiment = found.experiment_id if found else self.client.create_experiment(name, artifacts)
        self.where = f"mlflow ui --backend-store-uri {uri}"

    def write(self, run: LoggedRun, known: str | None) -> str:
        tags = {key: str(value) for key, value in run.said.items()}
        if known is not None:
            for key, value in tags.items():
                self.client.set_tag(known, key, value)
            return known
        made = self.client.create_run(self.experiment, tags=tags | {"arm": run.arm}, run_name=run.name).info.run_id
        params = [self.mlflow.entities.Param(key, str(value)[:500]) for key, value in run.settings.items()]
        self.client.log_batch(made, params=params)
        now = int(1000 * time.time())
        points = [(step, name, value) for step, values in run.curves for name, value in values.items()]
        points += [(0, f"final/{name}", value) for name, value in run.final.items()]
        metrics = [self.mlflow.entities.Metric(_allowed(name), value, now, step) for step, name, value in points]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(made, metrics=metrics[start : start + BATCH])
        self.client.set_terminated(made, "FINISHED" if run.is_finished else "FAILED")
        return made


def _allowed(name: str) -> str:
    """A metric's name in the characters that MLflow takes.

    >>> _allowed("f1(macro)"), _allowed("top 5/<lambda>")
    ('f1_macro_', 'top 5/_lambda_')
    """
    return re.sub(r"[^\w./: -]+", "_", name)[:LONGEST]


open_writer = MLflow
