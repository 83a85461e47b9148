"""
What a config.json of the Hugging Face hub says, in our words: which parts a model has.
(Not here: the parts themselves, see model.py.)

Five families of models are one Transformer with other parts:

    bloom            ALiBi, layer norms, GELU, a norm after the embedding, fused query/key/value, biases
    llama            rotary positions, RMS norms, SwiGLU, grouped keys, no biases unless config.json says so
    mistral          llama with a sliding window
    qwen2            llama with biases on query, key and value (Qwen1.5, 2, 2.5)
    qwen3            llama with norms on query and key, head by head

What this cannot honour exactly (another architecture, quantised weights, another scaling of positions) is
refused by its name, never approximated.  Dropout is the exception: it is off in every stage here.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from clinicalgpt.files import read_json
from clinicalgpt.rope import Rope

# What a key means where config.json leaves it out: the reference implementation's defaults.
LLAMA = {"rms_norm_eps": 1e-6, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
         "tie_word_embeddings": False, "head_dim": None, "num_key_value_heads": None}
QWEN = LLAMA | {"num_key_value_heads": 32, "use_sliding_window": False, "sliding_window": 4096,
                "max_window_layers": 28, "layer_types": None}
DEFAULTS = {
    "bloom": {"layer_norm_epsilon": 1e-5, "apply_residual_connection_post_layernorm": False,
              "tie_word_embeddings": True},
    "llama": LLAMA,
    "mistral": LLAMA | {"num_key_value_heads": 8, "sliding_window": 4096},
    "qwen2": QWEN,
    "qwen3": QWEN | {"head_dim": 128},
}
ALIASES = {"hidden_size": "n_embed", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}


@dataclass(frozen=True)
class ModelConfig:
    """The parts of a model.  `family` names its table of tensor names; the forward pass never asks for it."""
    family: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int                                          # of keys and values; heads is a multiple of it
    head_size: int
    inner: int                                              # width inside the MLP
    norm: str                                               # "layer" or "rms"
    norm_eps: float
    mlp: str                                                # "gelu" or "swiglu"
    rope: Rope | None                                       # None: ALiBi
    fused_qkv: bool                                         # one matrix; rows by head: query, key, value
    qkv_bias: bool
    out_bias: bool
    mlp_bias: bool
    qk_norm: bool                                           # RMS norms of each head's query and key
    embed_norm: bool                                        # a norm after the embedding
    residual_after_norm: bool                               # the residual path starts behind each norm
    tied: bool                                              # the unembedding is the embedding
    windows: tuple                                          # per layer, how many tokens it sees; 0: all

    @classmethod
    def bloom(cls, vocabulary, width, layers, heads, norm_eps=1e-5, residual_after_norm=False, tied=True):
        """A BLOOM (Scao 2022)."""
        return cls(family="bloom", vocabulary=vocabulary, width=width, layers=layers, heads=heads,
                   key_heads=heads, head_size=width // heads, inner=4 * width, norm="layer",
                   norm_eps=norm_eps, mlp="gelu", rope=None, fused_qkv=True, qkv_bias=True, out_bias=True,
                   mlp_bias=True, qk_norm=False, embed_norm=True,
                   residual_after_norm=residual_after_norm, tied=tied, windows=(0,) * layers)

    def to_json(self):
        """The config.json of a BLOOM that was born here, as transformers reads it.  (Models of other families
        keep the one that they came with.)"""
        if self.family != "bloom":
            raise ValueError(f"a {self.family} model that came with no config.json cannot be saved")
        return {"architectures": ["BloomForCausalLM"], "model_type": "bloom", "vocab_size": self.vocabulary,
                "hidden_size": self.width, "n_layer": self.layers, "n_head": self.heads,
                "layer_norm_epsilon": self.norm_eps,
                "apply_residual_connection_post_layernorm": self.residual_after_norm,
                "tie_word_embeddings": self.tied, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}


def read_config(folder):
    """(ModelConfig, config.json as it stands) of a model folder.  Raises FileNotFoundError or ValueError,
    in one line, for what is missing, impossible, or cannot be honoured exactly."""
    path = Path(folder) / "config.json"
    raw = read_json(path)
    family = raw.get("model_type")
    if not isinstance(family, str) or family not in DEFAULTS:
        raise ValueError(f"{path}: model_type {family!r} is not supported; this version reads "
                         f"{', '.join(DEFAULTS)}")
    if raw.get("quantization_config") is not None:
        raise ValueError(f"{path}: a quantised checkpoint; give the unquantised weights")
    if not raw.get("is_causal", True):
        raise ValueError(f"{path}: is_causal is false; an encoder is not supported")
    fields = DEFAULTS[family] | raw
    for name, alias in ALIASES.items():
        if fields.get(name) is None:
            fields[name] = fields.get(alias)
        elif fields.get(alias) not in (None, fields[name]):
            raise ValueError(f"{path}: {name} is {fields[name]}, but {alias} is {fields[alias]}")
    try:
        config = _bloom(fields) if family == "bloom" else _llama(family, fields)
        _check(config)
    except KeyError as missing:
        raise ValueError(f"{path}: no field {missing}; a config.json of {family} has it") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: {error}") from None
    return config, raw


def _bloom(fields):
    width, heads = _count(fields, "hidden_size"), _count(fields, "num_attention_heads")
    if width % heads:
        raise ValueError(f"hidden_size {width} is not a multiple of {heads} heads")
    return ModelConfig.bloom(_count(fields, "vocab_size"), width, _count(fields, "num_hidden_layers"), heads,
                             _number(fields, "layer_norm_epsilon"),
                             bool(fields["apply_residual_connection_post_layernorm"]),
                             bool(fields["tie_word_embeddings"]))


def _llama(family, fields):
    width, heads = _count(fields, "hidden_size"), _count(fields, "num_attention_heads")
    layers = _count(fields, "num_hidden_layers")
    key_heads = heads if fields["num_key_value_heads"] is None else _count(fields, "num_key_value_heads")
    if fields["hidden_act"] not in ("silu", "swish"):
        raise ValueError(f"hidden_act {fields['hidden_act']!r} is not supported; this family's is 'silu'")
    if fields["head_dim"] is None and width % heads:
        raise ValueError(f"hidden_size {width} is not a multiple of {heads} heads, and there is no head_dim")
    may_have_biases = family in ("llama", "qwen3")
    return ModelConfig(
        family=family, vocabulary=_count(fields, "vocab_size"), width=width, layers=layers, heads=heads,
        key_heads=key_heads,
        head_size=width // heads if fields["head_dim"] is None else _count(fields, "head_dim"),
        inner=_count(fields, "intermediate_size"), norm="rms", norm_eps=_number(fields, "rms_norm_eps"),
        mlp="swiglu", rope=_rope(fields), fused_qkv=False,
        qkv_bias=family == "qwen2" or may_have_biases and bool(fields["attention_bias"]),
        out_bias=may_have_biases and bool(fields["attention_bias"]),
        mlp_bias=family == "llama" and bool(fields["mlp_bias"]), qk_norm=family == "qwen3", embed_norm=False,
        residual_after_norm=False, tied=bool(fields["tie_word_embeddings"]),
        windows=_windows(family, fields, layers))


def _windows(family, fields, layers):
    """How many tokens each layer sees, 0 for all."""
    if family == "llama":
        return (0,) * layers
    if family == "mistral":
        if set(fields.get("layer_types") or []) - {"sliding_attention"}:
            raise ValueError("a Mistral with layer_types; this version reads those with one window for all")
        return (0 if fields["sliding_window"] is None else _count(fields, "sliding_window"),) * layers
    kinds = fields["layer_types"] or [
        "sliding_attention" if fields["use_sliding_window"] and i >= fields["max_window_layers"]
        else "full_attention" for i in range(layers)]
    if len(kinds) != layers or not set(kinds) <= {"sliding_attention", "full_attention"}:
        raise ValueError(f"layer_types names {len(kinds)} layers of kinds {sorted(set(kinds))}; "
                         f"there must be {layers}, each full_attention or sliding_attention")
    if "sliding_attention" not in kinds:
        return (0,) * layers
    if not fields["use_sliding_window"]:
        raise ValueError("layer_types has sliding_attention, but use_sliding_window is false")
    window = _count(fields, "sliding_window")
    return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)


def _rope(fields):
    """Rotary positions, in either spelling: rope_scaling with rope_theta beside it, or rope_parameters."""
    given = fields.get("rope_scaling") or fields.get("rope_parameters") or {}
    if not isinstance(given, dict) or any(isinstance(value, dict) for value in given.values()):
        raise ValueError(f"rope_scaling is {given!r}; this version reads one object for all layers")
    given = {"rope_theta": fields.get("rope_theta", 10000.0),
             "partial_rotary_factor": fields.get("partial_rotary_factor")} | given
    kind = given.get("rope_type", given.get("type", "default"))
    if kind not in ("default", "linear", "llama3", "yarn"):
        raise ValueError(f"scaling of rotary positions {kind!r} is not supported; "
                         "this version knows default, linear, llama3 and yarn")
    if given["partial_rotary_factor"] not in (None, 1):
        raise ValueError(f"partial_rotary_factor {given['partial_rotary_factor']} is not supported")
    theta = _number(given, "rope_theta")
    if kind == "default":
        return Rope(theta)
    if kind == "linear":
        return Rope(theta, kind, _number(given, "factor"))
    longest = fields.get("max_position_embeddings")
    original = _count({"original_max_position_embeddings": fields.get(
        "original_max_position_embeddings", given.get("original_max_position_embeddings", longest))},
        "original_max_position_embeddings")
    if kind == "llama3":
        rope = Rope(theta, kind, _number(given, "factor"), original, low=_number(given, "low_freq_factor"),
                    high=_number(given, "high_freq_factor"))
        if rope.high <= rope.low:
            raise ValueError(f"high_freq_factor {rope.high} is not above low_freq_factor {rope.low}")
        return rope
    if theta <= 1:
        raise ValueError(f"rope_theta is {theta}; yarn needs one above 1")
    factor = longest / original if given.get("factor") is None else _number(given, "factor")
    return Rope(theta, kind, factor, original, beta_fast=_number(given, "beta_fast", 32.0),
                beta_slow=_number(given, "beta_slow", 1.0), truncate=bool(given.get("truncate", True)),
                scale=_yarn_scale(given, factor))


def _yarn_scale(given, factor):
    """0.1 ln(factor) + 1 (Peng 2023, eq. 22) unless config.json says otherwise."""
    def scale(weight):
        return 0.1 * weight * math.log(factor) + 1 if factor > 1 else 1.0
    if given.get("attention_factor") is not None:
        return _number(given, "attention_factor")
    if given.get("mscale") and given.get("mscale_all_dim"):
        return scale(_number(given, "mscale")) / scale(_number(given, "mscale_all_dim"))
    return scale(1.0)


def _count(fields, name):
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise ValueError(f"{name} is {value!r}, not a positive whole number that a model could have")
    return value


def _number(fields, name, default=None):
    value = default if default is not None and not fields.get(name) else fields[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}, not a positive number")
    return float(value)


def _check(config):
    if config.heads % config.key_heads:
        raise ValueError(f"{config.heads} heads cannot share {config.key_heads} heads of keys evenly")
    if config.rope and config.head_size % 2:
        raise ValueError(f"a head size of {config.head_size} is odd; rotary positions turn pairs")
