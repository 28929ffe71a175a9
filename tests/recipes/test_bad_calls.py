"""Public functions and schedule expressions with arguments that cannot be: a ValueError that names the argument."""

import numpy as np
import pytest
from fastai.test_utils import synth_learner
from hypothesis import given, settings
from hypothesis import strategies as st

from lrlab import callbacks
from lrlab.recipes.kitchen import learning_rates, options, schedule_names
from lrlab.recipes.kitchen.data import catalog as data
from lrlab.recipes.kitchen.data import image_set
from lrlab.recipes.kitchen.errors import UserError

pytestmark = pytest.mark.usefixtures("nothing_trains")

LITERALS = ["1", "0.3", "'10%'", "'3 steps'", "nan", "x", "()", "None", "True", "1e308", "-1", "'\\x1b'"]
CALLED = st.sampled_from([*schedule_names.CALLS, "eval", "slice"])


def nested(inner):
    "A call or a list of what there is."
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.builds("{}({})".format, CALLED, arguments) | arguments.map("[{}]".format)


@settings(max_examples=300)
@given(st.recursive(st.sampled_from(LITERALS), nested, max_leaves=6))
def test_schedule_expressions_are_schedules_or_one_sentence(expression):
    "Schedules nested at random: one that can be made gives its LRs, or says in a sentence why it cannot."
    try:
        (schedule,) = schedule_names.parse_schedules(expression, 3).values()
    except UserError as error:
        assert str(error).startswith("`schedules`")
        return
    try:
        multipliers = schedule.multipliers(30, 10)
    except ValueError as error:
        assert str(error)
    else:
        assert multipliers.shape == (30,) and np.isfinite(multipliers).all()


def workload(**values):
    from lrlab.recipes.kitchen import workloads

    return workloads.build(**({"data": "digits"} | values))


PUBLIC = [  # public functions, called from somebody's notebook: (call, what the ValueError says)
    (lambda: workload(data="solr"), "did you mean solar"),
    (lambda: workload(data=5), "`data` 5"),
    (lambda: workload(arch="smal"), "did you mean .*small"),
    (lambda: workload(arch=None), "`arch` None"),
    (lambda: workload(bs=0), "`bs` 0"),
    (lambda: workload(bs="many"), "`bs` many: expected a whole number"),
    (lambda: workload(bs=float("nan")), "`bs` nan"),
    (lambda: workload(bs=5000), "`bs` 5000: there are only"),
    (lambda: workload(size=1), "`size` 1"),
    (lambda: workload(size=10_000), "`size` 10000"),
    (lambda: workload(size=True), "`size` True"),
    (lambda: workload(seed=-1), "`seed` -1"),
    (lambda: workload(seed=2**40), "`seed`"),
    (lambda: workload(seed=0.5), "`seed` 0.5"),
    (lambda: workload(precision="fp61"), "`precision` fp61"),
    (lambda: data.load("digits", size=0), "`size` 0"),
    (lambda: image_set.stratified_split([0, 1], share=2.0), "share"),
    (lambda: learning_rates.parse_lr(None), "`lr_max`"),
    (lambda: learning_rates.parse_lr([1e-3]), "`lr_max`"),
    (lambda: learning_rates.parse_lr(True), "`lr_max`"),
    (lambda: learning_rates.parse_lr(slice(None)), "`lr_max`"),
    (lambda: learning_rates.parse_lr(slice(1, "x")), "`lr_max`"),
    (lambda: learning_rates.parse_lr(b"1e-3"), "`lr_max`"),
    (lambda: options.parse_seeds(None), "`seeds`"),
    (lambda: options.parse_seeds(2.5), "`seeds`"),
    (lambda: schedule_names.parse_schedules(None, 5), "`schedules`"),
    (lambda: schedule_names.parse_schedules(5, 5), "`schedules`"),
    (lambda: options.parse_jobs("many"), "`jobs`"),
    (lambda: options.number(1, 9)("3.5", "epochs"), "`epochs` 3.5"),
    (lambda: options.number(0.0, 9.0)(float("nan"), "noise"), "`noise` nan"),
    (lambda: callbacks.OneCycle(pct_start=float("nan")), "pct_start must be .* got nan"),
    (lambda: callbacks.CosineRestarts(cycle_len=float("inf")), "cycle_len must be .* got inf"),
    (lambda: callbacks.StepDecay(gamma="0.5"), "gamma must be .* got '0.5'"),
    (lambda: callbacks.Points(()), "."),
    (lambda: callbacks.Custom(5), "."),
    (lambda: callbacks.warmup(5, 1), "."),
    (lambda: callbacks.join([]), "."),
    (lambda: callbacks.CosineDecay().multipliers(0, 10), "total_steps must be"),
    (lambda: callbacks.CosineDecay().multipliers(10, 0), "steps_per_epoch must be"),
    (lambda: callbacks.CosineDecay().multipliers(10.5, 10), "total_steps must be"),
    (lambda: callbacks.ScheduleLR(5), "."),
    (lambda: callbacks.ScheduleLR("cosine"), "."),
    (lambda: callbacks.StopOnDivergence(factor=float("nan")), "factor must be"),
    (lambda: callbacks.StopOnDivergence(patience=0), "patience must be"),
    (lambda: callbacks.ReduceOnPlateau(factor=0.5), "factor must be"),
    (lambda: callbacks.ReduceOnPlateau(monitor=None), "monitor must be .* got None"),
    (lambda: callbacks.ReduceOnPlateau(comp=0), "comp must be .* got 0"),
    (lambda: callbacks.Resumable(float("nan")), "file must be a path, got nan"),
    (lambda: callbacks.Resumable(""), "file must be a path, got ''"),
    (lambda: callbacks.join(5), "parts must be pairs .* got 5"),
    (lambda: synth_learner().fit_schedule(0, callbacks.SGDR()), "n_epoch must be"),
    (lambda: synth_learner().fit_schedule(1, callbacks.SGDR(), wd=float("nan")), "wd must be .* got nan"),
    (lambda: synth_learner().fit_schedule(1, callbacks.SGDR(), lr_max=slice(None)), "lr_max.stop must be"),
    (lambda: synth_learner().fit_schedule(1, callbacks.SGDR(), moms=(0.9,)), "moms must be two numbers"),
    (lambda: synth_learner().preview_schedule(1, "sgdr"), "schedule must be a Schedule .* got 'sgdr'"),
    (lambda: synth_learner().preview_schedule(1.5, callbacks.SGDR()), "n_epoch must be .* got 1.5"),
    (lambda: synth_learner().lr_range_test(suggest=None), "suggest must be a list .* got None"),
    (lambda: synth_learner().lr_range_test(suggest="valley"), "suggest must be a list .* got 'valley'"),
    (lambda: synth_learner().lr_range_test(suggest=["vally"]), "suggest must be some of .* got 'vally'"),
    (lambda: synth_learner().lr_range_test(start_lr=1, end_lr=0.1), "start_lr must be above 0 and below end_lr=0.1"),
    (lambda: synth_learner().lr_range_test(num_it=0), "num_it must be"),
    (lambda: synth_learner().lr_range_test(suggest=np.array(1)), r"suggest must be a list .* got array\(1\)"),
    (lambda: callbacks.MultiStep(np.array(1)), r"milestones must be a list .* got array\(1\)"),
    (lambda: callbacks.Extendable("x", budgets=np.array(1)), r"budgets must be a list .* got array\(1\)"),
    (lambda: callbacks.CosineRestarts(10**400), "cycle_len must be .* got 10000"),
    (lambda: callbacks.CosineDecay().plot(1, "10"), "steps_per_epoch must be .* got '10'"),
    (lambda: synth_learner().extend(1, 5), "path must be a path, got 5"),
    (lambda: synth_learner().cool_down(1, cbs=5), "cbs must be a callback .* got 5"),
    (lambda: callbacks.SnapshotEnsemble(keep=0), "keep must be"),
    (lambda: callbacks.GradualUnfreeze(every=0), "every must be"),
    (lambda: callbacks.Resumable("x", every=0), "every must be"),
]


@pytest.mark.parametrize("case", range(len(PUBLIC)))
def test_public_functions_raise_value_errors_that_name_the_argument(case):
    call, says = PUBLIC[case]
    with pytest.raises(ValueError, match=says):
        call()
