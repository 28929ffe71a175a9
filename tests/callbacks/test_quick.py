"""A callback is called at the events it has a method for, wherever that method comes from, and at no other."""

import pytest
from fastai.basics import Callback, CancelFitException
from fastai.test_utils import synth_learner

from lrlab.callbacks.events import QuickCallback, answers
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner


class Noting(QuickCallback):
    def __init__(self, **methods) -> None:
        super().__init__(**methods)
        self.seen = []

    def before_batch(self) -> None:
        self.seen.append("before_batch")

    def after_fit(self) -> None:
        self.seen.append("after_fit")


def fit(cb: Callback, kind=None):
    learn = synth_learner(n_trn=2, n_val=1)
    learn.__class__ = kind or type(learn)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=cb)
    return cb


@pytest.mark.parametrize("kind", [None, QuickLearner])
def test_methods_of_the_class_and_those_given_to_it_are_called(kind):
    cb = fit(Noting(), kind)
    assert cb.seen == ["before_batch"] * 3 + ["after_fit"]
    given = []
    fit(Noting(after_epoch=lambda self: given.append("after_epoch")), kind)
    assert given == ["after_epoch"]


@pytest.mark.parametrize("kind", [None, QuickLearner])
def test_a_callback_that_was_switched_off_is_on_again_after_the_fit(kind):
    class Off(QuickCallback):
        def before_train(self) -> None:
            self.run = False

    assert fit(Off(), kind).run is True


def test_a_quick_learner_calls_the_same_methods_in_the_same_order():
    def trace(kind) -> list[str]:
        calls = []

        class Second(Callback):
            order = 70

            def before_batch(self):
                calls.append("second before_batch")

            def after_loss(self):
                calls.append("second after_loss")

        class First(Second):
            order = -70

            def before_batch(self):
                calls.append("first before_batch")

            def after_step(self):
                raise CancelFitException

            def after_cancel_fit(self):
                calls.append("first after_cancel_fit")

        learn = synth_learner(n_trn=2, n_val=1)
        learn.__class__ = kind or type(learn)
        with learn.no_bar(), learn.no_logging():
            learn.fit(2, cbs=[Second(), First()])
        return calls

    assert trace(QuickLearner) == trace(None)
    assert trace(None)[:2] == ["first before_batch", "second before_batch"] and trace(None)[-1].endswith("cancel_fit")


def test_a_callback_that_looks_on_at_all_events_is_called_at_all():
    class Tracer(Callback):
        def __init__(self):
            self.seen = []

        def __call__(self, event_name):
            self.seen.append(event_name)

    assert fit(Tracer(), QuickLearner).seen == fit(Tracer()).seen != []


def test_nobody_answers_what_it_has_no_method_for():
    assert answers(Noting(), "before_batch") and not answers(Noting(), "after_step")
    assert not answers(Callback(), "before_fit") and answers(Callback(), "after_fit")
