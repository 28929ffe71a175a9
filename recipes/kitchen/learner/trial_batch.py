"""One batch of training, validation and test, which meets the errors of a Learner before anything is written."""

from fastai.basics import Callback, CancelTrainException, CancelValidException, Learner

from lrlab.callbacks import Constant
from lrlab.recipes.kitchen.errors import UserCodeError
from lrlab.recipes.kitchen.learner.classification import is_classification, is_plain
from lrlab.recipes.kitchen.learner.no_validation import validate_on
from lrlab.recipes.kitchen.learner.users_code import users_code
from lrlab.recipes.kitchen.stage import stage


def try_one_batch(learn: Learner, is_scheduled: bool = True) -> int:
    """Train and validate on one batch, so that an error of the user's code is met before anything is written.

    Along a schedule, callbacks that set the LR too are refused. Returns the number of classes, where every item has one
    class, else 0.
    """
    stage("Trying one batch")
    trial = FirstBatchAlone()
    with users_code("while training on one batch"), learn.no_bar(), learn.no_logging():
        learn.fit_schedule(schedule=Constant(), steps=1, cbs=trial) if is_scheduled else learn.fit(1, cbs=trial)
    if not trial.has_validated:
        raise UserCodeError("a callback of the Learner skips the validation; schedules are compared on it")
    if len(learn.dls.loaders) > 2:
        try_test_batch(learn)
    return trial.n_classes


def try_test_batch(learn: Learner) -> None:
    "Test on one batch of the third loader, which every run is tested on after its training."
    with users_code("while testing on one batch"):
        loss, *_ = validate_on(learn, learn.dls[2], FirstBatchAlone())
    if loss is None:
        raise UserCodeError("the third loader of the Learner has no labels; leave it out, or give it labels to test on")


class FirstBatchAlone(Callback):
    "End training and validation after their first batch, when the metrics have seen it."

    order, n_classes, has_validated = 60, 0, False  # after fastai's Recorder

    def before_fit(self):
        self.scored_by = self.learn.loss_func

    def after_batch(self):
        pred, yb = self.learn.pred, self.learn.yb
        has_classes = is_plain(pred, yb) and is_classification(pred, yb[0], self.scored_by)
        self.n_classes = pred.shape[1] if has_classes else 0
        self.has_validated = not self.training
        raise CancelTrainException if self.training else CancelValidException

    def after_cancel_train(self):
        self.learn.recorder.cancel_train = False  # or the trackers of fastai would miss the values of this epoch

    def after_cancel_validate(self):
        self.learn.recorder.cancel_valid = not self.has_validated
