"""Adapters: the formula, who gets a gradient, roles that do not disturb each other, merging, PEFT folders."""
import json
import math
import random
from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.autograd import gradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import CheckpointError

from clinicalgpt import model as transformer
from clinicalgpt.lora import (
    LoRALinear,
    adapter,
    adapter_parameters,
    add_lora,
    copy_adapter,
    load_adapter,
    lora_layers,
    merge,
    save_adapter,
)
from clinicalgpt.model import load_model
from tests.reference import (
    bloom_logits,
    close,
    llama_config,
    llama_logits,
    llama_tensors,
    model_logits,
    random_ids,
    random_pack,
    tiny_model,
    write_folder,
)

IDS = random_ids(9)[0]
ROLES = ("policy", "value", "reward")


def with_adapters(*names, rank=3, targets=(), **options):
    """A float64 model whose adapters all do something."""
    model = tiny_model(**options)
    for seed, name in enumerate(names):
        add_lora(model, name, rank, alpha=6.0, targets=targets)
        generator = torch.Generator().manual_seed(seed)
        for factor in adapter_parameters(model, name):
            factor.data = 0.2 * torch.randn(factor.shape, generator=generator, dtype=torch.float64)
    return model


def logits(model, name):
    with torch.no_grad(), adapter(model, name):
        return model_logits(model, IDS)


def test_formula_and_gradient():
    """y = W x + b + (alpha / r) B A x, here with alpha / r = 6 / 2 = 3."""
    layer = LoRALinear(torch.nn.Linear(4, 5))
    layer.add("p", 2, 6.0, 0.0)
    layer.active = "p"
    layer.double()
    generator = torch.Generator().manual_seed(0)
    x_ND, A, B = (torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
                  for shape in ((3, 4), (2, 4), (5, 2)))

    def forward(x_ND, A, B):
        return torch.func.functional_call(layer, {"lora_A.p": A, "lora_B.p": B}, x_ND)
    expected = x_ND @ layer.linear.weight.T + layer.linear.bias + 3 * x_ND @ (B @ A).T
    close(forward(x_ND, A, B), expected)
    assert gradcheck(forward, (x_ND, A, B))


def test_a_new_adapter_changes_nothing():
    model = tiny_model()
    before = model_logits(model, IDS)
    add_lora(model, "policy", 3, dropout=0.5)
    assert torch.equal(logits(model, "policy"), before) and torch.equal(logits(model, None), before)


def test_only_the_active_adapter_gets_a_gradient():
    """[#25, #26] Not the base, which requires none at all, nor the factors of other roles."""
    for active in ROLES:
        model = with_adapters(*ROLES)
        with adapter(model, active):
            model.score(random_pack([(3, 4)]))[0].sum().backward()
        for name, parameter in model.named_parameters():
            if name.endswith(f".{active}"):
                assert parameter.grad.any(), name
            else:
                assert parameter.grad is None and parameter.requires_grad == (".lora_" in name), name


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_checkpointed_gradients_are_the_same(monkeypatch, dropout):
    """Even where backward comes when another adapter, or none, is active; a recomputation that asks what is
    active then would give another gradient, or none."""
    def gradients(gradient_checkpointing):
        model = with_adapters(*ROLES).train()
        model.gradient_checkpointing = gradient_checkpointing
        for layer in lora_layers(model).values():
            layer.dropout = dict.fromkeys(ROLES, dropout)
        torch.manual_seed(0)
        with adapter(model, "policy"):
            total = model.score(random_pack([(3, 4), (2, 2)]))[0].sum()
        with adapter(model, "value"):
            total.backward()
        return [parameter.grad for name, parameter in model.named_parameters() if name.endswith(".policy")]
    plain = gradients(False)
    assert all(map(torch.equal, gradients(True), plain)) and all(gradient.any() for gradient in plain)
    monkeypatch.setattr(transformer, "as_now", lambda block: nullcontext())
    with pytest.raises((AssertionError, CheckpointError, TypeError)):
        assert all(map(torch.equal, gradients(True), plain))


def test_checkpointing_keeps_only_what_blocks_get():
    """Numbers that forward keeps for backward, weights aside."""
    def kept(gradient_checkpointing):
        model, sizes = tiny_model(), {}
        model.gradient_checkpointing = gradient_checkpointing
        with saved_tensors_hooks(lambda x: sizes.update({x.data_ptr(): x.numel()}) or x, lambda x: x):
            model(torch.arange(40), [40])
        for parameter in model.parameters():
            sizes.pop(parameter.data_ptr(), None)
        return sum(sizes.values())
    assert kept(True) < kept(False) / 4


def test_roles_in_any_order_are_as_alone():
    """[#25]"""
    model, order = with_adapters(*ROLES), random.Random(0)
    alone = {name: logits(with_adapters(*ROLES), name) for name in (*ROLES, None)}
    for name in order.choices(list(alone), k=20):
        assert torch.equal(logits(model, name), alone[name])
    assert len({x.sum().item() for x in alone.values()}) == 4


def test_what_was_active_is_active_again():
    model = with_adapters(*ROLES)
    with adapter(model, "value"):
        with pytest.raises(RuntimeError), adapter(model, None):
            raise RuntimeError
        with adapter(model, "reward"):
            pass
        assert torch.equal(model_logits(model, IDS), logits(model, "value"))
    assert all(layer.active is None for layer in lora_layers(model).values())


def check_merge(function):
    for options in ({}, {"targets": ("query_key_value",)}):
        model = with_adapters("policy", **options)
        unmerged = logits(model, "policy")
        function(model, "policy")
        close(model_logits(model, IDS), unmerged)
        assert not lora_layers(model) and not any("lora" in name for name, _ in model.named_parameters())


def test_merged_equals_unmerged():
    """[#36]"""
    check_merge(merge)


def test_merge_leaves_other_adapters():
    model = with_adapters("policy", "value")
    delta = {path: layer.delta("value") for path, layer in lora_layers(model).items()}
    policy = logits(model, "policy")
    merge(model, "policy")
    close(logits(model, None), policy)
    assert all(torch.equal(layer.delta("value"), delta[path]) for path, layer in lora_layers(model).items())


def test_the_merge_check_has_teeth(monkeypatch):
    monkeypatch.setattr(LoRALinear, "delta", lambda layer, name: layer.lora_B[name] @ layer.lora_A[name])
    with pytest.raises(AssertionError):
        check_merge(merge)


def test_dropout_in_training_only():
    model = with_adapters("policy")
    plain = logits(model, "policy")
    for layer in lora_layers(model).values():
        layer.dropout["policy"] = 0.5
    assert torch.equal(logits(model, "policy"), plain)
    model.train()
    assert not torch.equal(logits(model, "policy"), logits(model, "policy"))
    assert torch.equal(logits(model.eval(), "policy"), plain)


def test_copy():
    """A copy is equal, trainable though its source is frozen, and apart from it."""
    model = with_adapters("reward")
    for factor in adapter_parameters(model, "reward"):
        factor.requires_grad_(False)
    factors = [factor.data for factor in copy_adapter(model, "reward", "value") if factor.requires_grad]
    assert len(factors) == 2 * len(lora_layers(model))
    close(logits(model, "value"), logits(model, "reward"), 1e-5)                # new factors are float32
    before = logits(model, "reward")
    for factor in factors:
        factor.zero_()
    assert torch.equal(logits(model, "reward"), before) and not torch.equal(logits(model, "value"), before)


def single(*names, **options):
    """As with_adapters, in float32, the precision of adapter files."""
    return with_adapters(*names, **options).float()


def check_peft_layout(folder):
    """The files mean to PEFT what the model does here: W + (alpha / r) B A for all tensors of a checkpoint,
    query, key and value interleaved by head, is a BLOOM with the adapter's logits."""
    model = single("policy", rank=2)
    save_adapter(model, folder / "adapter", "policy", "base")
    tiny_model(dtype=torch.float32).save(folder / "base")
    tensors, factors = (load_file(folder / file) for file in
                        ("base/model.safetensors", "adapter/adapter_model.safetensors"))
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"]
    for name in list(tensors):
        A = factors.pop(f"base_model.model.{name.removesuffix('.weight')}.lora_A.weight", None)
        if A is not None:
            B = factors.pop(f"base_model.model.{name.removesuffix('.weight')}.lora_B.weight")
            tensors[name] = tensors[name] + config["lora_alpha"] / config["r"] * B @ A
    assert not factors
    close(logits(model, "policy"), bloom_logits(tensors, model.config, IDS), 1e-4)


def test_peft_layout(tmp_path):
    check_peft_layout(tmp_path)


def test_the_layout_check_has_teeth(tmp_path, monkeypatch):
    monkeypatch.setattr("clinicalgpt.model.FusedAttention.project", lambda layer, x_ND: layer.qkv(x_ND).view(
        len(x_ND), 3, layer.heads, layer.head_size).unbind(1))                       # not head by head
    with pytest.raises(AssertionError):
        check_peft_layout(tmp_path)


@pytest.mark.parametrize("targets", [(), ("query_key_value", "dense")])
def test_peft_round_trip(tmp_path, targets):
    model = single("policy", "value", targets=targets)
    save_adapter(model, tmp_path / "adapter", "value")
    tiny_model(dtype=torch.float32).save(tmp_path / "base")
    other = load_model(tmp_path / "base")
    factors = load_adapter(other, tmp_path / "adapter", "renamed")
    assert torch.equal(logits(other, "renamed"), logits(model, "value"))
    assert len(factors) == 2 * (2 * len(targets) or 8) and all(factor.requires_grad for factor in factors)


def llama(folder, kind="llama", **changes):
    """The folder of a random model of LLaMA's kin, and its tensors and config.json."""
    config = llama_config(kind, **changes)
    tensors = {name: tensor.float() for name, tensor in llama_tensors(config).items()}
    return write_folder(folder, config, tensors), tensors, config


def write_peft(folder, tensors, **config):
    """Write an adapter over linear weights of a checkpoint as PEFT does; returns the weights it means."""
    generator, factors, merged = torch.Generator().manual_seed(1), {}, {}
    for name, weight in tensors.items():
        A, B = (0.3 * torch.randn(*shape, generator=generator) for shape in
                ((2, weight.shape[1]), (weight.shape[0], 2)))
        theirs = f"base_model.model.{name.removesuffix('.weight')}"
        factors |= {f"{theirs}.lora_A.weight": A, f"{theirs}.lora_B.weight": B}
        merged[name] = weight + 6 / (2**0.5 if config.get("use_rslora") else 2) * B @ A
    folder.mkdir(parents=True, exist_ok=True)
    save_file(factors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, **config}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return merged


@pytest.mark.parametrize("kind, names, config", [
    ("llama", ["q_proj", "v_proj"], {"target_modules": ["q_proj", "v_proj"]}),
    ("mistral", ["o_proj", "gate_proj"], {"target_modules": ["self_attn.o_proj", "gate_proj"],
                                          "use_rslora": True}),
    ("qwen2", ["_proj"], {"target_modules": "all-linear"}),
    ("qwen3", ["1.mlp.down_proj"], {"target_modules": ".*1.mlp.down_proj"}),
    ("qwen3", ["0.self_attn.k_proj"], {"target_modules": ["k_proj"], "layers_to_transform": [0]})])
@pytest.mark.parametrize("prefix", ["model.", ""])
def test_adapters_of_other_families(tmp_path, kind, names, config, prefix):
    """A PEFT adapter means what it does to the checkpoint's tensors, and is saved with the bits that came in
    and the names that PEFT knows, whatever names the base came with."""
    folder, tensors, base = llama(tmp_path / "base", kind)
    targets = {name: weight for name, weight in tensors.items() if name.endswith("proj.weight")
               and any(f"{part}.weight" in name for part in names)}
    merged = write_peft(tmp_path / "adapter", targets, **config)
    renamed = {name.replace("model.", prefix): tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / "model.safetensors")
    model = load_model(folder)
    factors = load_adapter(model, tmp_path / "adapter", "x")
    assert len(factors) == 2 * len(targets) > 0
    ids = random_ids(9, vocabulary=50)[0]
    expected = llama_logits({name: x.double() for name, x in (tensors | merged).items()}, base, ids).float()
    with adapter(model, "x"):
        close(model_logits(model, ids), expected, 1e-3)
    save_adapter(model, tmp_path / "again", "x")
    before, after = (load_file(tmp_path / name / "adapter_model.safetensors")
                     for name in ("adapter", "again"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    other = load_model(folder)
    load_adapter(other, tmp_path / "again", "y")
    close(model_logits(merge(other, "y"), ids), expected, 1e-3)


def spoil(folder, finding):
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    tensors, fields = load_file(weights), json.loads(config.read_text())
    first = min(tensors)
    if finding == "truncated":
        weights.write_bytes(weights.read_bytes()[:-50])
    elif finding in ("missing", "surplus", "shape"):
        removed = tensors.pop(first)
        tensors |= {"surplus": {first: removed, "surplus.weight": torch.zeros(1)},
                    "shape": {first: torch.zeros(2, 2)}, "missing": {}}[finding]
        save_file(tensors, weights)
    elif finding == "a layer":
        save_file({name: x for name, x in tensors.items() if "h.0.self_attention.q" not in name}, weights)
    elif finding == "no config":
        config.unlink()
    else:
        config.write_text(json.dumps(fields | finding))


@pytest.mark.parametrize("finding, says", [
    ("truncated", "cannot be read"), ("missing", "no tensor .*lora_A.weight"),
    ("surplus", "surplus.weight has no place"), ("shape", r"has factors \(2, 2\) and .* does not fit"),
    ("a layer", "no tensor h.0.self_attention.query_key_value.lora_A"),
    ("no config", "adapter_config.json: no such file"), ({"lora_alpha": "8"}, "lora_alpha is '8'"),
    ({"lora_alpha": math.inf}, "lora_alpha is inf"), ({"lora_dropout": None}, "lora_dropout is None"),
    ({"lora_dropout": 1.5}, "lora_dropout is 1.5"),
    ({"use_dora": True}, "use_dora"), ({"peft_type": "IA3"}, "IA3"), ({"r": 7}, "r = 7"),
    ({"init_lora_weights": "pissa"}, "init_lora_weights"),                      # changes the base
    ({"alora_invocation_tokens": [3]}, "alora_invocation_tokens"), ({"unheard_of": 1}, "unheard_of")])
def test_errors_of_adapter_folders(tmp_path, finding, says):
    save_adapter(single("policy"), tmp_path, "policy")
    spoil(tmp_path, finding)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
        load_adapter(tiny_model(dtype=torch.float32), tmp_path, "policy")
    assert "\n" not in str(error.value)


def test_errors():
    model = with_adapters("policy")
    with pytest.raises(KeyError, match="valeu"), adapter(model, "valeu"):
        pass
    with pytest.raises(KeyError, match="valeu"):
        save_adapter(model, "nowhere", "valeu")
    for name, rank, says in (("a.b", 2, "free of dots"), ("policy", 2, "has already"), ("a", 0, "rank")):
        with pytest.raises(ValueError, match=says):
            add_lora(model, name, rank)
    with pytest.raises(ValueError, match=r"\['q_proj'\] name no linear layer; this model has \['dense'"):
        add_lora(model, "a", 2, targets=("q_proj",))
