"""Models by name, their layer groups, and weights from a package, a cache or a file."""

import shutil
import socket
from types import SimpleNamespace

import pytest
import torch

from lrlab.recipes import cli
from lrlab.recipes.kitchen.errors import UserError
from lrlab.recipes.kitchen.machine.torchvision_compat import prepare_torchvision
from lrlab.recipes.kitchen.models import create as models
from lrlab.recipes.kitchen.models import weights
from lrlab.recipes.kitchen.models.layer_groups import group_names, layer_groups, one_group
from lrlab.recipes.kitchen.workloads import ImageWorkload, make_workload

prepare_torchvision()  # timm imports torchvision
pytest.importorskip("timm")


def names_in(model, group):
    "The names of a group's parameters, without what fastai and timm wrap around them."
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {by_id[id(p)].removeprefix("0.").removeprefix("model.") for p in group}


@pytest.mark.parametrize(
    "arch, size, stem, early, late",
    [
        ("resnet18", 64, {"0", "1"}, {"4", "5"}, {"6", "7"}),  # conv1, bn1; layer1, layer2; layer3, layer4
        ("resnet18.a1_in1k", 64, {"conv1", "bn1"}, {"layer1", "layer2"}, {"layer3", "layer4"}),
        ("efficientnet_lite0", 64, {"conv_stem", "bn1"}, {f"blocks.{i}" for i in range(4)}, None),
        ("test_vit", 64, {"cls_token", "pos_embed", "patch_embed"}, None, None),
        (
            "vit_tiny_patch16_224",
            32,
            {"cls_token", "pos_embed", "patch_embed"},
            {f"blocks.{i}" for i in range(6)},
            None,
        ),
        ("vgg16_bn", 32, {"0.0"}, None, None),
    ],
)
def test_layer_groups_run_from_the_input_to_the_head(arch, size, stem, early, late):
    model = models.create(arch, 3, size=size, pretrained=False)
    groups = layer_groups(model)
    assert group_names(len(groups)) == ["stem", "early", "late", "head"]
    ids = [id(p) for group in groups for p in group]
    assert len(ids) == len(set(ids)), "no parameter twice"
    assert set(ids) == {id(p) for p in model.parameters()}, "and none left out"
    assert {id(p) for p in groups[-1]} == {id(p) for p in model[1].parameters()}
    for group, expected in zip(groups, (stem, early, late), strict=False):
        if expected is not None:
            found = {next((e for e in expected if f"{n}.".startswith(f"{e}.")), n) for n in names_in(model, group)}
            assert found == expected


def test_one_group_holds_everything():
    model = models.create("small", 2, 1, 32)
    assert [len(group) for group in one_group(model)] == [len(list(model.parameters()))]
    assert group_names(1) == ["all"]


@pytest.mark.parametrize(
    "arch, size, sentence",
    [
        ("resnet43", 64, "did you mean resnet34"),
        ("vit_b_16", 64, "no pooling"),
        ("vgg16_bn", 28, "cannot take images of 28 px"),
        ("test_vit", 8, "8 px"),
    ],
)
def test_a_model_that_cannot_be_is_one_sentence(arch, size, sentence):
    with pytest.raises(UserError, match=sentence):
        models.create(arch, 2, size=size, pretrained=False)


def test_efficientnet_lite0_has_imagenet_weights_that_were_checked(monkeypatch, tmp_path):
    file = models._lite0_file()
    assert weights.sha256(file) == models.LITE0_SHA256
    theirs = list(torch.load(file, weights_only=True).values())
    ours = list(models.create("efficientnet_lite0", 2)[0].state_dict().values())
    assert len(ours) == 294 or len(ours) <= len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=False))
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(file, folder)
    with open(next(folder.iterdir()), "r+b") as stream:
        stream.seek(1000)
        stream.write(b"\0" * 16)
    package = SimpleNamespace(__file__=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(models, "require", lambda module, why: package)
    with pytest.raises(UserError, match="SHA-256"):
        models.create("efficientnet_lite0", 2)


@pytest.fixture(scope="module")
def squeezenet_file(tmp_path_factory):
    "A whole torchvision state dict, classifier of 1,000 classes and all, with weights that are recognised again."
    import torchvision

    state = torchvision.models.squeezenet1_1(weights=None).state_dict()
    state = {name: torch.full_like(tensor, 0.125) for name, tensor in state.items()}
    file = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(state, file)
    return file


def is_loaded(model):
    return all(bool((p == 0.125).all()) for p in model[0].parameters())


def test_weights_of_torchvision_from_a_pth_file(squeezenet_file):
    model = models.create("squeezenet1_1", 2, weights=squeezenet_file)
    assert is_loaded(model)
    assert not any(bool((p == 0.125).all()) for p in model[1].parameters()), "the head is new"


@pytest.mark.parametrize("nest", ["state_dict", "model"])
def test_weights_within_a_checkpoint_of_a_training_script(squeezenet_file, tmp_path, nest):
    state = {f"module.{name}": tensor for name, tensor in torch.load(squeezenet_file).items()}
    torch.save({nest: state, "epoch": 3}, tmp_path / "checkpoint.pt")
    assert is_loaded(models.create("squeezenet1_1", 2, weights=tmp_path / "checkpoint.pt"))


def test_weights_of_timm_from_safetensors_at_another_image_size(tmp_path):
    import timm
    from safetensors.torch import save_file

    whole = timm.create_model("test_vit", pretrained=False)
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    model = models.create("test_vit", 2, size=64, weights=tmp_path / "vit.safetensors")
    assert torch.equal(model[0].model.blocks[0].mlp.fc1.weight, whole.blocks[0].mlp.fc1.weight)
    assert model[0].model.pos_embed.shape != whole.pos_embed.shape, "resampled to fewer patches"


def test_weights_of_a_learner_that_was_saved(tmp_path):
    learn = ImageWorkload("digits", "test_resnet", size=32, scratch=True, cache=False).learner()
    learn.path = tmp_path
    file = learn.save("mine")
    again = models.create("test_resnet", 10, size=32, weights=file)
    assert all(torch.equal(a, b) for a, b in zip(learn.model[0].parameters(), again[0].parameters(), strict=True))


def damaged(folder, squeezenet_file):
    "Files that are not weights, and what the sentence about each says."
    content = squeezenet_file.read_bytes()
    (folder / "half.pth").write_bytes(content[: len(content) // 2])
    (folder / "noise.safetensors").write_bytes(bytes(range(256)) * 10)
    (folder / "empty.pth").write_bytes(b"")
    torch.save([1, 2], folder / "list.pth")
    torch.save({"weights": torch.optim.SGD}, folder / "code.pth")
    state = torch.load(squeezenet_file)
    torch.save(state | {"features.0.weight": torch.zeros(7, 3, 3, 3)}, folder / "shape.pth")
    torch.save({name: t for name, t in state.items() if "features.3" not in name}, folder / "part.pth")
    (folder / "notes.txt").write_text("weights")
    return {
        "half.pth": "cannot be read as weights",
        "noise.safetensors": "cannot be read as weights",
        "empty.pth": "cannot be read as weights",
        "list.pth": "holds no weights",
        "code.pth": "cannot be read as weights",
        "shape.pth": r"features.0.weight has shape \[7, 3, 3, 3\], the model's has \[64, 3, 3, 3\]",
        "part.pth": "not in it, first features.3",
        "notes.txt": "expected a file that ends in",
        "none.pth": "no such file",
    }


def test_a_file_that_does_not_fit_is_one_sentence(tmp_path, squeezenet_file):
    for name, sentence in damaged(tmp_path, squeezenet_file).items():
        with pytest.raises(UserError, match=sentence) as caught:
            models.create("squeezenet1_1", 2, weights=tmp_path / name)
        assert "\n" not in str(caught.value)


def test_weights_on_the_command_line(tmp_path, squeezenet_file, capsys):
    (tmp_path / "half.pth").write_bytes(squeezenet_file.read_bytes()[:5000])
    options = ["--data", "digits", "--arch", "squeezenet1_1", "--size", "32", "--out", str(tmp_path / "out")]
    for recipe in ("compare", "one-cycle"):
        assert cli.main([recipe, *options, "--weights", str(tmp_path / "half.pth")]) == 2
        assert "half.pth: cannot be read as weights" in capsys.readouterr().err
    assert cli.main(["one-cycle", *options[:2], "--arch", "small", "--weights", str(squeezenet_file)]) == 2


def test_a_workload_knows_its_file_by_content(squeezenet_file, tmp_path):
    workload = make_workload("digits", "squeezenet1_1", 32, 64, "fp32", squeezenet_file)
    assert workload.pretrained and workload.weights_sha256 == weights.sha256(squeezenet_file)
    assert is_loaded(workload.learner().model)


def test_resnet34_from_torchs_cache_and_without_it(tmp_path, monkeypatch):
    "The tutorial's model, where the only source is TORCH_HOME: no network."
    import huggingface_hub.constants
    import torchvision

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    for owner, name in ((socket.socket, "connect"), (socket, "create_connection"), (socket, "getaddrinfo")):
        monkeypatch.setattr(owner, name, refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "full"))
    cache = tmp_path / "full" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    url = torchvision.models.ResNet34_Weights.DEFAULT.url
    state = torchvision.models.resnet34(weights=None).state_dict()
    torch.save({name: torch.full_like(tensor, 0.125) for name, tensor in state.items()}, cache / url.rsplit("/")[-1])
    assert all((p == 0.125).all() for p in models.create("resnet34", 2, size=64)[0].parameters())
    for home, arch in (("full", "test_resnet"), ("empty", "resnet34")):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / home))
        with pytest.raises(UserError, match="neither in the cache nor could they be downloaded.*`weights` FILE"):
            models.create(arch, 2, size=64)
