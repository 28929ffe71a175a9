"""What every schedule gets is the same, bit by bit: initial weights, the order of the batches, augmented pixels."""

import hashlib

from fastai.callback.core import Callback

from lrlab import callbacks
from lrlab.recipes.kitchen.runs.plan import Run
from lrlab.recipes.kitchen.runs.train import train_run
from lrlab.recipes.kitchen.workloads import ImageWorkload
from tests.conftest import write_images

SCHEDULES = [
    callbacks.Constant(),
    callbacks.OneCycle(),
    callbacks.CosineRestarts(cycle_len=1, cycle_mult=1),  # read at its cycle ends, amid the fit
    callbacks.Triangular(cycle_len="40%"),  # these are amid an epoch
]


class Fingerprint(Callback):
    "SHA-256 of the initial weights, of every training batch's pixels and of its labels."

    order = -10

    def before_fit(self):
        self.seen = hashlib.sha256()
        for value in self.learn.model.state_dict().values():
            self.seen.update(value.numpy().tobytes())
        self.weights = self.seen.hexdigest()

    def before_batch(self):
        if self.training:
            self.seen.update(self.learn.xb[0].numpy().tobytes())
            self.seen.update(self.learn.yb[0].numpy().tobytes())


class Watched(ImageWorkload):
    "A workload whose Learners are fingerprinted."

    def learner(self, seed=0, image_set=None):
        learn = super().learner(seed, image_set)
        self.fingerprints.append(Fingerprint())
        learn.add_cb(self.fingerprints[-1])
        return learn


def test_every_schedule_starts_alike_and_sees_the_same_pixels(tmp_path):
    "Images of a folder are flipped at random, so the pixels of a batch tell about augmentation too."
    for i, name in enumerate(("left", "right")):
        write_images(tmp_path / name, 40, seed=i)
    workload = Watched(str(tmp_path), size=12, bs=16)
    object.__setattr__(workload, "fingerprints", [])
    image_set = workload.load()
    for seed in (0, 1):
        for i, schedule in enumerate(SCHEDULES):
            result = train_run(Run(f"s{i}", schedule, 1e-3, seed, 2), image_set, workload)
            assert result.row.status == "ok", result.row.error
    seen = [(mark.weights, mark.seen.hexdigest()) for mark in workload.fingerprints]
    n = len(SCHEDULES)
    assert len(set(seen[:n])) == 1 and len(set(seen[n:])) == 1, "the same for every schedule"
    assert seen[0][0] != seen[n][0] and seen[0][1] != seen[n][1], "another seed is another start"
