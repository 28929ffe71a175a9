"""The Ray engine: two nodes, one of them killed amid the grid; nothing is lost, and the numbers are the same."""

import threading
import time

import pandas as pd
import pytest

from lrlab.recipes import compare, epochs
from lrlab.recipes.kitchen.store.store import Store
from tests.conftest import write_images
from tests.kill_grid import numbers
from tests.kitchen.tasks import SCRIPT

ray = pytest.importorskip("ray")
QUESTION = {"epochs": "15", "seeds": "3", "schedules": "constant,cosine", "lr_max": "3e-3", "size": 12, "bs": 16}


@pytest.fixture
def cluster(monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    memory = {"object_store_memory": 100 * 2**20}
    head = {"num_cpus": 1, "include_dashboard": False, **memory}
    cluster = Cluster(initialize_head=True, head_node_args=head, connect=False)
    cluster.second = cluster.add_node(num_cpus=1, **memory)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.usefixtures("undrawn")
def test_a_killed_node_loses_no_run_and_your_own_learner_trains_there(cluster, tmp_path, monkeypatch):
    for i, name in enumerate(("left", "right")):
        write_images(tmp_path / "images" / name, 32, seed=i, size=12)
    question = QUESTION | {"data": str(tmp_path / "images")}
    alone = compare.main(**question, jobs="1", out=tmp_path / "alone")

    out, left = tmp_path / "ray", []

    def kill_second_node():
        "With one core a node, both nodes are training all the time, so a run is lost."
        while not (done := list(out.glob("runs/*/run.json"))):
            time.sleep(0.05)
        cluster.remove_node(cluster.second, allow_graceful=False)
        left.append(6 - len(done))

    killer = threading.Thread(target=kill_second_node, daemon=True)
    killer.start()
    result = compare.main(**question, engine="ray", address=cluster.address, jobs="2", out=out)
    killer.join(30)
    assert left and left[0] >= 3, "the node was killed amid the grid"
    until = time.monotonic() + 30
    while sum(node["Alive"] for node in ray.nodes()) > 1 and time.monotonic() < until:
        time.sleep(0.2)
    assert sum(node["Alive"] for node in ray.nodes()) == 1
    assert list(result.runs.status) == ["ok"] * 6
    pd.testing.assert_frame_equal(numbers(out), numbers(alone.out), check_exact=True)
    assert Store(out).manifest.engine == "ray"

    (tmp_path / "train.py").write_text(SCRIPT)
    own = {"learner": f"{tmp_path / 'train.py'}:make", "epochs": 2, "seeds": 2, "schedules": "constant,cosine"}
    own |= {"lr_max": 1e-2}
    remote = compare.main(**own, engine="ray", address=cluster.address, jobs=1, out=tmp_path / "own-ray")
    local = compare.main(**own, jobs=1, out=tmp_path / "own")
    assert list(remote.runs.status) == ["ok"] * 4
    pd.testing.assert_frame_equal(numbers(remote.out), numbers(local.out), check_exact=True)

    trunks = own | {"epochs": "1,2", "beside": "none", "untuned": True, "jobs": 1}
    del trunks["schedules"]
    epochs.main(**trunks, engine="ray", address=cluster.address, out=tmp_path / "trunks-ray")
    epochs.main(**trunks, out=tmp_path / "trunks")
    pd.testing.assert_frame_equal(numbers(tmp_path / "trunks-ray"), numbers(tmp_path / "trunks"), check_exact=True)
