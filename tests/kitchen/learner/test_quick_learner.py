"""QuickLearner: the same fit as fastai's Learner, in any precision, and in parts where memory runs out."""

import pytest
import torch
from fastai.basics import Callback, Learner
from fastai.callback.core import CancelBatchException, CancelStepException
from fastai.callback.training import GradientAccumulation
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.metrics import accuracy
from fastai.optimizer import SGD
from fastai.torch_core import set_seed
from torch import nn

from lrlab.callbacks import CosineDecay, HyperHistory, ScheduleFree, TailAverage, lr_range_test, schedule_free_sgd
from lrlab.recipes.kitchen.learner import out_of_memory
from lrlab.recipes.kitchen.learner.quick_learner import QuickLearner

BS, FEATURES, CLASSES = 12, 6, 3


class Greedy(nn.Module):
    "Asks for memory that no machine has when it trains on more than `most` images."

    def __init__(self, most: int):
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, x):
        self.seen.append(len(x))
        if self.training and len(x) > self.most:
            torch.empty(2**60)
        return x


def make_learner(kind=QuickLearner, most: int = BS, bs: int = BS, **kwargs) -> Learner:
    set_seed(0)
    x, y = torch.randn(3 * bs, FEATURES), torch.arange(3 * bs) % CLASSES
    dls = DataLoaders(*(DataLoader(list(zip(x, y, strict=True)), bs=bs) for _ in range(2)))
    model = nn.Sequential(Greedy(most), nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, CLASSES))
    return kind(dls, model, nn.CrossEntropyLoss(), metrics=accuracy, opt_func=SGD, **kwargs)


def fit(learn: Learner, epochs: int = 2, **kwargs) -> Learner:
    with learn.no_bar(), learn.no_logging():
        learn.fit_schedule(epochs, CosineDecay(), lr_max=0.1, **kwargs)
    return learn


def weights(learn: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in learn.model.parameters()])


class Events(Callback):
    order = 90

    def __init__(self):
        self.seen = []

    def __call__(self, name):
        self.seen.append(name)
        return super().__call__(name)


def test_the_fit_is_fastais_bit_for_bit():
    ours, theirs = (
        fit(make_learner(kind), cbs=(events := Events())) and (events, kind) for kind in (QuickLearner, Learner)
    )
    assert ours[0].seen == theirs[0].seen
    assert torch.equal(weights(fit(make_learner())), weights(fit(make_learner(Learner))))


@pytest.mark.parametrize("make", [ScheduleFree, lambda: TailAverage("30%")])
def test_weights_that_are_exchanged_for_evaluation_are_fastais(make):
    def results(kind):
        learn = make_learner(kind)
        learn.opt_func = schedule_free_sgd if make is ScheduleFree else SGD
        fit(learn, cbs=make())
        return weights(learn), learn.recorder.values, learn.validate()

    (ours, *our_values), (theirs, *their_values) = results(QuickLearner), results(Learner)
    assert torch.equal(ours, theirs) and our_values == their_values


def test_metrics_and_losses_are_fastais():
    ours, theirs = (fit(make_learner(kind)).recorder for kind in (QuickLearner, Learner))
    assert ours.values == theirs.values and ours.losses == theirs.losses


def test_a_subclass_may_override_call_one():
    seen = []

    class Told(QuickLearner):
        def _call_one(self, event_name):
            seen.append(event_name)
            super()._call_one(event_name)

    fit(make_learner(Told), epochs=1)
    assert seen[0] == "after_create" and {"before_fit", "after_step", "after_fit"} <= set(seen)


def test_an_event_that_fastai_does_not_have_is_an_error():
    with pytest.raises(AttributeError, match="fastai has no event before_lunch"):
        make_learner()("before_lunch")


@pytest.mark.parametrize("most, parts", [(12, 1), (6, 2), (5, 3), (4, 3), (3, 4), (2, 6)])
def test_a_batch_that_does_not_fit_is_computed_in_parts(most, parts):
    "Without batch norm the gradient is that of the whole batch, so the weights are the same up to rounding."
    whole, history = fit(make_learner()), HyperHistory()
    learn = fit(make_learner(most=most), cbs=history)
    assert learn.parts.count == parts
    torch.testing.assert_close(weights(learn), weights(whole), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(learn.recorder.values, whole.recorder.values, rtol=1e-4, atol=1e-6)
    assert len(history.to_df()) == 6, "one step per batch"
    expected = f"out of memory with batches of 12: done with {parts} x {12 // parts}, accumulated"
    assert learn.parts.note == (None if parts == 1 else expected)


def test_memory_runs_out_once_and_not_in_every_batch():
    learn = fit(make_learner(most=6))
    assert [n for n in learn.model[0].seen if n > 6][0] == 12
    trained = learn.model[0].seen
    assert trained.count(12) == 1, "validation is split too"


def test_predictions_are_the_same_in_parts():
    learn, whole = fit(make_learner(most=4)), make_learner()
    whole.model.load_state_dict(learn.model.state_dict())
    with learn.no_bar(), whole.no_bar():
        (a, b), (c, d) = learn.get_preds(), whole.get_preds()
        assert list(learn.validate()) == pytest.approx(list(whole.validate()))
    torch.testing.assert_close(a, c)
    assert torch.equal(b, d)


@pytest.mark.parametrize("most, bs", [(0, 12), (1, 12), (3, 7), (1, 2)])
def test_memory_for_less_than_two_images_is_an_error(most, bs):
    with pytest.raises(RuntimeError) as caught:
        fit(make_learner(most=most, bs=bs))
    assert out_of_memory.is_out_of_memory(caught.value)


def test_another_error_is_raised_as_it_is():
    learn = make_learner()
    learn.model.append(nn.Linear(99, 99))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        fit(learn)
    assert learn.parts.count == 1


def test_gradients_of_earlier_batches_are_never_lost():
    "Under accumulation a batch cannot be repeated, because its gradients are added to those of earlier ones."
    with pytest.raises(RuntimeError) as caught:
        fit(make_learner(most=6), cbs=GradientAccumulation(2 * BS))
    assert out_of_memory.is_out_of_memory(caught.value)


@pytest.mark.parametrize("error, event", [(CancelBatchException, "after_pred"), (CancelStepException, "before_step")])
def test_a_cancelled_batch_or_step_is_cancelled_as_in_fastai(error, event):
    def cancel(self):
        if self.training and self.train_iter % 2:
            raise error

    ours, theirs = (fit(make_learner(kind, cbs=Callback(**{event: cancel}))) for kind in (QuickLearner, Learner))
    assert torch.equal(weights(ours), weights(theirs))


def test_the_range_test_finds_out_for_the_fit():
    learn = make_learner(most=6)
    with learn.no_bar():
        lr_range_test(learn, num_it=10)
    assert learn.parts.count == 2
    fit(learn)
    assert learn.model[0].seen.count(12) == 1


@pytest.mark.parametrize("precision, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_model_computes_in_the_precision_and_the_loss_in_fp32(precision, dtype):
    learn, seen = make_learner(precision=precision), set()
    learn.model[1].register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    learn.add_cb(Callback(after_pred=lambda self: seen.add(("pred", self.pred.dtype))))
    fit(learn)
    with learn.no_bar():
        assert learn.get_preds()[0].dtype == torch.float32
    assert seen == {dtype, ("pred", torch.float32)}


def test_autocast_is_left_where_a_forward_pass_raises():
    learn = make_learner(precision="bf16")
    learn.model.append(nn.Linear(99, 99))
    with pytest.raises(RuntimeError):
        fit(learn)
    assert not torch.is_autocast_enabled("cpu")


def test_bf16_in_parts_learns_from_the_weights_that_were_updated():
    "The first attempt converts the weights to bf16; the parts that follow must not train on those copies."
    learn = fit(make_learner(most=6, precision="bf16"), epochs=20)
    assert learn.recorder.losses[-1] < learn.recorder.losses[0]
    torch.testing.assert_close(weights(learn), weights(fit(make_learner(), epochs=20)), rtol=0.1, atol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("most, parts", [(12, 1), (6, 2)])
def test_fp16_scales_the_loss(most, parts):
    learn = make_learner(most=most, precision="fp16")
    learn.dls.cuda(), learn.model.cuda()
    fit(learn, epochs=20)
    assert learn.parts.count == parts and learn.recorder.losses[-1] < learn.recorder.losses[0]
