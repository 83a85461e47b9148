"""
Low-rank adapters by name, over frozen linear layers.
(Not here: which adapter plays which role, see roles.py.)

    y = W x + b + (alpha / r) B A dropout(x)   A: (r, in), B: (out, r), B starts at 0   LoRA (Hu 2021, eq. 3)

One frozen base carries any number of adapters; at most one is active, and with none active the base is itself
again: that is how one copy of the weights is policy, reward model, value function and reference.  Nothing is
merged unless merge() is called.

Adapters come in and go out as PEFT folders (adapter_config.json + adapter_model.safetensors),
under the base checkpoint's own names.
"""

import math
import re
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from clinicalgpt.files import read_json, write_json
from clinicalgpt.weights import save_tensors

PEFT_PREFIX = "base_model.model."
PLAIN = {"peft_type", "task_type", "base_model_name_or_path", "revision", "peft_version", "inference_mode",
         "r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules", "exclude_modules", "auto_mapping",
         "layers_to_transform", "layers_pattern", "megatron_core", "qalora_group_size"}
STARTS = (None, True, False, "gaussian", "orthogonal")          # that leave the base as it is


class LoRALinear(nn.Module):
    """A frozen linear layer and its adapters' factors;
    `active` names the one in use, None for the layer alone."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.training = linear.training                         # else dropout would be on in eval()
        self.lora_A, self.lora_B = nn.ParameterDict(), nn.ParameterDict()
        self.scale, self.dropout, self.active = {}, {}, None

    def add(self, name, rank, alpha, dropout):
        device = self.linear.weight.device                      # factors are float32, whatever the base is
        self.lora_A[name] = nn.Parameter(torch.empty(rank, self.linear.in_features, device=device))
        self.lora_B[name] = nn.Parameter(torch.zeros(self.linear.out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.lora_A[name], a=math.sqrt(5))    # PEFT's and the authors' start
        self.scale[name], self.dropout[name] = alpha / rank, dropout

    def forward(self, x_ND):
        y_ND = self.linear(x_ND)
        if self.active is None or self.active not in self.lora_A:      # it may leave this layer alone
            return y_ND
        A, B = self.lora_A[self.active], self.lora_B[self.active]
        low_NR = F.linear(F.dropout(x_ND.to(A.dtype), self.dropout[self.active], self.training), A)
        low_NR = (low_NR * self.scale[self.active]).to(y_ND.dtype)
        return y_ND.addmm_(low_NR, B.to(y_ND.dtype).T)                 # nothing else holds y

    def delta(self, name):
        """The adapter as one matrix, (out, in)."""
        return self.lora_B[name] @ self.lora_A[name] * self.scale[name]

    def remove(self, name):
        del self.lora_A[name], self.lora_B[name], self.scale[name], self.dropout[name]


def lora_layers(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def _linears(model):
    """{our path: linear layer} of the blocks, whether it carries adapters yet or not."""
    return {path.removesuffix(".linear"): module for path, module in model.named_modules()
            if path.startswith("blocks.") and isinstance(module, nn.Linear)}


def _prepare(model, name):
    """Freeze the base and make its blocks' linear layers ready to carry an adapter of this name."""
    if "." in name or any(name in layer.lora_A for layer in lora_layers(model).values()):
        raise ValueError(f"adapter {name!r}: a name is free of dots, and not one the model has already")
    for parameter_name, parameter in model.named_parameters():
        if ".lora_" not in parameter_name:
            parameter.requires_grad_(False)
    for path, linear in _linears(model).items():
        if not isinstance(model.get_submodule(path), LoRALinear):
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, LoRALinear(linear))


def add_lora(model, name, rank=8, alpha=16.0, dropout=0.0, targets=()):
    """Add adapter `name` to the blocks' linear layers whose checkpoint name ends in one of `targets` (all of
    them if empty), freeze the base, and return the adapter's parameters.  A new adapter changes no output: B
    is 0.  Raises ValueError if nothing matches."""
    if rank < 1:
        raise ValueError(f"adapter {name!r} of rank {rank}: the rank must be at least 1")
    _prepare(model, name)
    chosen = {path: layer for path, layer in lora_layers(model).items()
              if not targets or model.their_name(path).rpartition(".")[2] in targets}
    known = {model.their_name(path).rpartition(".")[2] for path in lora_layers(model)}
    if missing := set(targets) - known:
        raise ValueError(f"LoRA targets {sorted(missing)} name no linear layer; "
                         f"this model has {sorted(known)}")
    for layer in chosen.values():
        layer.add(name, rank, alpha, dropout)
    return adapter_parameters(model, name)


def adapter_parameters(model, name):
    """The adapter's factors, to be handed to an optimizer; they are trainable afterwards."""
    factors = [f for layer in lora_layers(model).values() if name in layer.lora_A
               for f in (layer.lora_A[name], layer.lora_B[name])]
    return [factor.requires_grad_(True) for factor in factors]


@contextmanager
def adapter(model, name):
    """Inside, adapter `name` is active (None: the bare base); outside, whatever was before."""
    layers = list(lora_layers(model).values())
    if name is not None and not any(name in layer.lora_A for layer in layers):
        raise KeyError(f"no adapter named {name!r} on this model")
    with _switched(layers, [name] * len(layers)):
        yield model


def as_now(module):
    """A context that, entered later, activates the adapters that are active now: backward may compute a block
    again when the caller's `with adapter(...)` is over."""
    layers = list(lora_layers(module).values())
    return _switched(layers, [layer.active for layer in layers])


@contextmanager
def _switched(layers, names):
    before = [layer.active for layer in layers]
    for layer, name in zip(layers, names):
        layer.active = name
    try:
        yield
    finally:
        for layer, was in zip(layers, before):
            layer.active = was


@torch.no_grad()
def copy_adapter(model, source, target):
    """Add adapter `target` as an exact copy of `source`; returns its parameters."""
    for layer in lora_layers(model).values():
        if source in layer.lora_A:
            rank = len(layer.lora_A[source])
            layer.add(target, rank, layer.scale[source] * rank, layer.dropout[source])
            layer.lora_A[target].copy_(layer.lora_A[source])
            layer.lora_B[target].copy_(layer.lora_B[source])
    return adapter_parameters(model, target)


@torch.no_grad()
def merge(model, name, dtype=None):
    """Add adapter `name` to the base weights, product and sum in float32, rounded once to `dtype` (None: the
    weights' own), and remove it.  Layers without adapters left become plain."""
    for path, layer in lora_layers(model).items():
        if name in layer.lora_A:
            weight = layer.linear.weight
            wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
            merged = (wide + layer.delta(name)).to(dtype or weight.dtype)
            layer.linear.weight = nn.Parameter(merged, requires_grad=False)
            layer.remove(name)
        if not layer.lora_A:
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.linear)
    return model


def save_adapter(model, folder, name, base=""):
    """Write adapter `name` as a PEFT folder; `base` is the base model's folder or hub name,
    for the reader's sake."""
    folder = Path(folder)
    layers = {path: layer for path, layer in lora_layers(model).items() if name in layer.lora_A}
    if not layers:
        raise KeyError(f"no adapter named {name!r} on this model")
    folder.mkdir(parents=True, exist_ok=True)
    names = {path: model.their_name(path, model.usual_prefix) for path in _linears(model)}
    kinds = {names[path].rpartition(".")[2] for path in layers}
    whole = all(path in layers for path in names if names[path].rpartition(".")[2] in kinds)
    tensors = {}
    for path, layer in layers.items():
        theirs = PEFT_PREFIX + names[path]
        tensors[f"{theirs}.lora_A.weight"] = layer.lora_A[name].detach().contiguous()
        tensors[f"{theirs}.lora_B.weight"] = layer.lora_B[name].detach().contiguous()
    layer = next(iter(layers.values()))
    rank = len(layer.lora_A[name])
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(base), "r": rank,
              "lora_alpha": layer.scale[name] * rank, "lora_dropout": layer.dropout[name], "bias": "none",
              "fan_in_fan_out": False, "inference_mode": True,
              "target_modules": sorted(kinds if whole else (names[path] for path in layers))}
    save_tensors(tensors, folder / "adapter_model.safetensors")
    write_json(folder / "adapter_config.json", config)


def load_adapter(model, folder, name):
    """Add the PEFT adapter in `folder` under `name` to the layers that its tensors name; every tensor must
    find its place.  Returns its parameters.  Raises FileNotFoundError or ValueError for what is missing,
    misshapen, or a kind of adapter that is not plain LoRA; the model is then as it was."""
    folder = Path(folder)
    config, weights = read_json(folder / "adapter_config.json"), folder / "adapter_model.safetensors"
    known = config | {"bias": config.get("bias") not in (None, "none"),
                      "init_lora_weights": config.get("init_lora_weights") not in STARTS}
    refused = [key for key, value in known.items() if value and key not in PLAIN]
    if config.get("peft_type") != "LORA" or refused:
        raise ValueError(f"{folder}/adapter_config.json: not plain LoRA "
                         f"({', '.join(refused) or config.get('peft_type')}); "
                         "export it merged, or retrain it without that option")
    alpha, dropout = config.get("lora_alpha"), config.get("lora_dropout", 0.0)
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise ValueError(f"{folder}/adapter_config.json: lora_alpha is {alpha!r}, not a number")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"{folder}/adapter_config.json: lora_dropout is {dropout!r}, not a share below 1")
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such file; an adapter's weights are safetensors")
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{weights}: cannot be read ({error})") from None
    factors = _by_layer(model, tensors, weights, config)
    _prepare(model, name)
    layers = lora_layers(model)
    for path, (A, B) in factors.items():
        rank = len(A)
        layers[path].add(name, rank, alpha * (rank**0.5 if config.get("use_rslora") else 1), dropout)
        with torch.no_grad():
            layers[path].lora_A[name].copy_(A)
            layers[path].lora_B[name].copy_(B)
    return adapter_parameters(model, name)


def _by_layer(model, tensors, weights, config):
    """{our path: (A, B)} of a PEFT file's tensors.  ValueError for the first that does not fit, or is not
    there although adapter_config.json names its layer."""
    linears = {model.their_name(path, ""): (path, layer) for path, layer in _linears(model).items()}
    factors = {}
    for key, tensor in tensors.items():
        match = re.fullmatch(r"(base_model\.model\.)?(transformer\.|model\.)?(?P<layer>.+)"
                             r"\.lora_(?P<factor>[AB])\.weight", key)
        if not match or match["layer"] not in linears:
            raise ValueError(f"{weights}: tensor {key} has no place in this model")
        factors.setdefault(match["layer"], {})[match["factor"]] = tensor
    found = {}
    targeted = _targeted(linears, config, model.usual_prefix)
    for theirs, pair in {**dict.fromkeys(targeted, {}), **factors}.items():
        path, linear = linears[theirs]
        if missing := {"A", "B"} - set(pair):
            raise ValueError(f"{weights}: no tensor {theirs}.lora_{min(missing)}.weight")
        A, B = (tuple(pair[factor].shape) for factor in "AB")
        r, width, out = config.get("r"), linear.in_features, linear.out_features
        if not r or A != (r, width) or B != (out, r):
            raise ValueError(f"{weights}: {theirs} has factors {A} and {B}, which does not fit a layer from "
                             f"{width} to {out} with r = {r}")
        found[path] = pair["A"], pair["B"]
    if not found:
        raise ValueError(f"{weights}: no tensors")
    return found


def _targeted(names, config, prefix):
    """Those of the layers that adapter_config.json names, as far as it names them simply."""
    targets = config.get("target_modules")
    if targets == "all-linear":
        return names
    if not isinstance(targets, list) or config.get("exclude_modules") \
            or config.get("layers_to_transform") is not None:
        return ()                                           # a pattern: the tensors there are what it meant
    return [name for name in names if any(f".{prefix}{name}".endswith(f".{target}") for target in targets)]
