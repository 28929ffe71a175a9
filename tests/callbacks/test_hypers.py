"""Schedules of any hyper-parameter and of single groups, other schedulers beside them, and groups that come and go."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from fastai.basics import SGD, Adam, Callback, Lookahead, OptimWrapper, RMSProp, trainable_params
from fastai.callback.schedule import ParamScheduler, SchedCos, SchedLin
from fastai.callback.tracker import ReduceLROnPlateau

from lrlab.callbacks import (
    Constant,
    CosineDecay,
    Custom,
    MultiStep,
    OneCycle,
    PolynomialDecay,
    ReduceOnPlateau,
    ScheduleHyper,
    ScheduleLR,
    SnapshotEnsemble,
    Triangular,
)
from tests.callbacks.conftest import split

LINEAR = PolynomialDecay()
ADAMW = partial(OptimWrapper, opt=torch.optim.AdamW)


class Values(Callback):
    "A hyper-parameter of every group at every step."

    order = 1000

    def __init__(self, name):
        self.hyper_name, self.seen = name, []

    def before_step(self):
        self.seen.append([hyper[self.hyper_name] for hyper in self.learn.opt.hypers])


# Other hyper-parameters


@pytest.mark.parametrize(
    ("opt_func", "name"), [(Adam, "wd"), (ADAMW, "wd"), (Adam, "eps"), (Adam, "sqr_mom"), (ADAMW, "mom")]
)
def test_any_hyper_follows_a_schedule_and_comes_back(make_learner, opt_func, name):
    learn, values = make_learner(groups=3, opt_func=opt_func), Values(name)
    learn.create_opt()
    before = learn.opt.hypers[0][name]
    learn.fit_schedule(2, CosineDecay(), 1e-3, cbs=[ScheduleHyper(name, LINEAR), values])
    np.testing.assert_allclose(values.seen, np.outer(before * LINEAR.multipliers(20, 10), [1, 1, 1]))
    assert [hyper[name] for hyper in learn.opt.hypers] == [before] * 3


@pytest.mark.parametrize(
    "other", [ParamScheduler({"wd": SchedCos(0.1, 0.01)}), ParamScheduler({"mom": SchedLin(0.9, 0.8)})]
)
def test_fastais_scheduler_of_another_hyper_is_welcome(make_learner, witness, other):
    learn, values = make_learner(opt_func=Adam), Values(next(iter(other.scheds)))
    learn.fit_schedule(2, LINEAR, 0.1, cbs=[witness, other, values])
    np.testing.assert_allclose(np.ravel(witness.lrs), 0.1 * LINEAR.multipliers(20, 10))
    (f,) = other.scheds.values()
    np.testing.assert_allclose(np.ravel(values.seen), [f(i / 20) for i in range(20)])


RIVALS = {
    "LR and LR": (ScheduleLR(LINEAR), ScheduleLR(Constant()), "two schedules in one fit set lr"),
    "wd and wd": (ScheduleHyper("wd", LINEAR), ScheduleHyper("wd", LINEAR), "two schedules in one fit set wd"),
    "LR as a hyper": (ScheduleLR(LINEAR), ScheduleHyper("lr", LINEAR), "two schedules in one fit set lr"),
    "momentum": (ScheduleLR(LINEAR, (0.9, 0.8)), ScheduleHyper("mom", LINEAR), "two schedules in one fit set mom"),
    "fastai's LR": (ScheduleLR(LINEAR), ParamScheduler({"lr": SchedCos(1, 0)}), "fastai's ParamScheduler .* the LR"),
    "fastai's wd": (ScheduleHyper("wd", LINEAR), ParamScheduler({"wd": SchedCos(1, 0)}), "both set the wd"),
    "fastai's mom": (ScheduleLR(LINEAR, (0.9, 0.8)), ParamScheduler({"mom": SchedCos(1, 0)}), "both set the mom"),
    "fastai's GAN": (ScheduleLR(LINEAR), type("GANDiscriminativeLR", (Callback,), {})(), "the critic parameter groups"),
    "fastai's plateau": (ScheduleLR(LINEAR), ReduceLROnPlateau(), "use lrlab.callbacks.ReduceOnPlateau"),
}


@pytest.mark.parametrize(("one", "other", "message"), RIVALS.values(), ids=RIVALS)
def test_two_that_set_the_same_are_refused(make_learner, one, other, message):
    with pytest.raises(ValueError, match=message):
        make_learner(opt_func=Adam).fit(1, cbs=[one, other])


@pytest.mark.parametrize(
    "other", [ReduceLROnPlateau(), ReduceOnPlateau(verbose=False), ParamScheduler({"lr": SchedCos(1, 0)})]
)
def test_a_schedule_of_wd_stands_beside_anything_that_sets_the_lr(make_learner, other):
    learn, values = make_learner(opt_func=Adam), Values("wd")
    learn.fit(2, cbs=[ScheduleHyper("wd", LINEAR), other, values])
    np.testing.assert_allclose(np.ravel(values.seen), 0.01 * LINEAR.multipliers(20, 10))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScheduleHyper(1, LINEAR), "hyper must be the name of a hyper-parameter such as 'wd', got 1"),
        (lambda: ScheduleHyper("wd", 0.1), "schedule must be a Schedule"),
        (lambda: ScheduleLR({}), "with at least one"),
        (lambda: ScheduleLR({"head": LINEAR}), "whole numbers of parameter groups as keys, got 'head'"),
        (lambda: ScheduleLR({0: 0.1}), r"schedule must be a Schedule .* got 0.1"),
    ],
)
def test_errors_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("opt_func", "hyper"),
    [(Adam, "beta3"), (ADAMW, "beta3"), (ADAMW, "betas"), (ADAMW, "amsgrad"), (ADAMW, "foreach"), (ADAMW, "params")],
)
def test_what_is_no_number_of_the_optimizer_is_refused_with_those_that_there_are(make_learner, opt_func, hyper):
    learn = make_learner(opt_func=opt_func)
    with pytest.raises(ValueError, match=rf"hyper must be one of [a-z_, ]*\bmom\b[a-z_, ]*; got '{hyper}'") as error:
        learn.fit(1, cbs=ScheduleHyper(hyper, LINEAR))
    assert "foreach," not in str(error.value)
    learn.fit(1)


@pytest.mark.parametrize("lr", [slice(1e-3, 1e-1), [1e-3, 1e-1]], ids=str)
def test_an_optimizer_with_groups_of_its_own(make_learner, witness, lr):
    def without_decay_of_biases(params, lr):
        weight, bias = params
        return OptimWrapper(opt=torch.optim.SGD([{"params": [weight]}, {"params": [bias], "weight_decay": 0}], lr))

    learn = make_learner(opt_func=without_decay_of_biases)
    preview = learn.preview_schedule(1, LINEAR, lr).to_df()
    learn.fit_schedule(1, LINEAR, lr, cbs=witness)
    assert witness.lrs[0] == pytest.approx([1e-3, 1e-1])
    np.testing.assert_allclose(np.ravel(witness.lrs), preview.lr)


@pytest.mark.parametrize("opt_func", [SGD, partial(SGD, lr=0.5), partial(OptimWrapper, opt=torch.optim.SGD, lr=0.5)])
def test_the_preview_has_the_lr_of_a_fit_that_names_none(make_learner, witness, opt_func):
    learn = make_learner(opt_func=opt_func)
    preview = learn.preview_schedule(1, LINEAR).to_df()
    learn.fit_schedule(1, LINEAR, cbs=witness)
    np.testing.assert_allclose(np.ravel(witness.lrs), preview.lr)


@pytest.mark.parametrize("opt_func", [SGD, RMSProp, partial(OptimWrapper, opt=torch.optim.Adagrad)])
def test_momentum_is_refused_where_no_step_reads_it(make_learner, opt_func):
    with pytest.raises(ValueError, match="needs an optimizer with momentum"):
        make_learner(opt_func=opt_func).fit_schedule(1, OneCycle(), 0.1, moms=(0.95, 0.85))


@pytest.mark.parametrize("opt_func", [partial(SGD, mom=0.9), Adam, ADAMW, lambda p, lr: Lookahead(Adam(p, lr=lr))])
def test_momentum_is_cycled_where_a_step_reads_it(make_learner, witness, opt_func):
    make_learner(opt_func=opt_func).fit_schedule(1, OneCycle(), 1e-3, moms=(0.95, 0.85), cbs=witness)
    assert max(map(max, witness.momenta)) == 0.95 and min(map(min, witness.momenta)) < 0.86


# A schedule per parameter group


@pytest.mark.parametrize("opt_func", [Adam, ADAMW])
@pytest.mark.parametrize(
    ("schedules", "expected"),
    [
        ({0: Constant(), -1: LINEAR}, [Constant(), Constant(), LINEAR]),
        ({0: Constant(), 1: CosineDecay(), 2: LINEAR}, [Constant(), CosineDecay(), LINEAR]),
        ({-1: LINEAR}, [LINEAR] * 3),
        ({1: MultiStep()}, [MultiStep()] * 3),
        ({0: Custom(lambda p: p), -2: LINEAR}, [Custom(lambda p: p), LINEAR, LINEAR]),
    ],
)
def test_groups_have_schedules_of_their_own(make_learner, witness, opt_func, schedules, expected):
    learn = make_learner(groups=3, opt_func=opt_func)
    learn.fit_schedule(2, schedules, [0.1, 0.2, 0.3], cbs=witness)
    curves = np.stack([schedule.multipliers(20, 10) for schedule in expected], axis=1)
    np.testing.assert_allclose(witness.lrs, curves * [0.1, 0.2, 0.3])
    preview = learn.preview_schedule(2, schedules, [0.1, 0.2, 0.3])
    assert preview.to_df().lr.tolist() == np.ravel(witness.lrs).tolist()
    assert len(preview.plot().lines) == 3


def test_momentum_and_cycles_of_groups(make_learner, witness):
    learn, ensemble = make_learner(groups=3, opt_func=Adam), SnapshotEnsemble()
    schedules = {0: Constant(), -1: Triangular(1)}
    learn.fit_schedule(2, schedules, 0.01, moms=(0.95, 0.85), cbs=[witness, ensemble])
    assert ensemble.steps == Triangular(1).cycle_ends(20, 10)
    shapes = [schedule.momentum_shape(20, 10) for schedule in (Constant(), Constant(), Triangular(1))]
    np.testing.assert_allclose(witness.momenta, 0.95 - 0.1 * np.stack(shapes, 1))


def test_a_group_that_is_not_there_is_refused(make_learner):
    with pytest.raises(ValueError, match="schedule is for parameter group 3, and the optimizer has 3"):
        make_learner(groups=3).fit_schedule(1, {3: LINEAR}, 0.1)


# Groups that change


@pytest.mark.parametrize("lr_max", [slice(1e-5, 1e-3), [1e-5, 1e-4, 1e-3], slice(1e-3), 1e-3])
def test_a_new_optimizer_has_the_lrs_of_its_own_groups(make_learner, witness, lr_max):
    learn = make_learner(groups=3)
    learn.splitter = trainable_params
    learn.fit(1)
    learn.splitter = split
    learn.fit_schedule(1, Constant(), lr_max, reset_opt=True, cbs=witness)
    ours = witness.lrs[0]
    learn.fit(1, lr_max, reset_opt=True, cbs=witness)
    assert ours == pytest.approx(witness.lrs[0])


def test_a_new_optimizer_with_fewer_groups(make_learner, witness):
    learn = make_learner(groups=3)
    learn.fit(1)
    learn.splitter = trainable_params
    with pytest.raises(ValueError, match="must be one LR or 1, one for each"):
        learn.fit_schedule(1, Constant(), [1e-5, 1e-4, 1e-3], reset_opt=True)
    learn.fit_schedule(1, Constant(), slice(1e-5, 1e-3), reset_opt=True, cbs=witness)
    assert witness.lrs[0] == [1e-3]


class AtEpoch(Callback):
    "Does something to the optimizer before an epoch."

    def __init__(self, epoch, what):
        self.when, self.what = epoch, what

    def before_epoch(self):
        if self.learn.epoch == self.when:
            self.what(self.learn)


def add_group(learn):
    learn.extra = torch.nn.Parameter(torch.zeros(1))
    if isinstance(learn.opt, OptimWrapper):
        learn.opt.opt.add_param_group({"params": [learn.extra], "lr": 0.5})
    else:
        learn.opt.param_lists.append([learn.extra])
        learn.opt.hypers.append(dict(learn.opt.hypers[0]) | {"lr": 0.5})


@pytest.mark.parametrize("opt_func", [Adam, ADAMW])
def test_a_group_that_is_added_joins_with_its_own_lr(make_learner, opt_func):
    values = Values("lr")
    learn = make_learner(opt_func=opt_func)
    learn.fit_schedule(2, LINEAR, 0.1, moms=(0.95, 0.85), cbs=[AtEpoch(1, add_group), values])
    multipliers = LINEAR.multipliers(20, 10)
    assert values.seen[:10] == [[0.1 * m] for m in multipliers[:10]]
    np.testing.assert_allclose(values.seen[10:], np.outer(multipliers[10:], [0.1, 0.5]))
    assert [hyper["lr"] for hyper in learn.opt.hypers] == [0.1, 0.5]  # as before the fit
    assert learn.opt.hypers[0]["mom"] == 0.9


@pytest.mark.parametrize(
    "what", [lambda learn: learn.freeze(), lambda learn: learn.create_opt(), lambda learn: learn.freeze_to(1)]
)
def test_freezing_or_a_new_optimizer_in_mid_fit_leaves_the_schedule(make_learner, witness, what):
    learn = make_learner(groups=3)
    learn.fit_schedule(3, LINEAR, slice(1e-3, 1e-1), cbs=[AtEpoch(1, what), witness])
    np.testing.assert_allclose(witness.lrs, np.outer(LINEAR.multipliers(30, 10), [1e-3, 1e-2, 1e-1]))


# The Recorder


@pytest.mark.parametrize("moms", [None, (0.95, 0.85)])
def test_the_recorder_plots_the_schedule(make_learner, witness, moms):
    import matplotlib.pyplot as plt

    learn = make_learner(opt_func=Adam)
    learn.fit_one_cycle(1, 0.1)
    learn.fit_schedule(2, OneCycle(), 0.1, moms=moms, cbs=witness)
    learn.recorder.plot_sched()
    lines = [ax.lines[0].get_ydata().tolist() for ax in plt.gcf().axes]
    plt.close("all")
    assert lines[0] == np.ravel(witness.lrs).tolist()
    assert lines[1:] == ([] if moms is None else [np.ravel(witness.momenta).tolist()])


@pytest.mark.parametrize("moms", [None, (0.95, 0.85)])
def test_the_recorder_plots_a_scheduler_of_fastais_too(make_learner, witness, moms):
    learn = make_learner(opt_func=Adam)
    learn.fit_schedule(2, LINEAR, 0.1, moms=moms, cbs=[witness, ParamScheduler({"wd": SchedLin(0.1, 0.01)})])
    hps = learn.recorder.hps
    assert hps["lr"] == np.ravel(witness.lrs).tolist()
    assert hps["wd"] == pytest.approx(np.linspace(0.1, 0.01, 20, endpoint=False).tolist())
    assert ("mom" in hps) == (moms is not None)
