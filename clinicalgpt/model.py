"""
The transformer, by hand, and how a base model's weights come in and go out.
(Not here: attention's arithmetic and the vocabulary's, see kernels/; LoRA; sampling; training.)

    x = norm(embed(ids))                                     BLOOM (Scao 2022): a norm after the embedding,
                                                             ALiBi instead of positions
    x = x + attention(norm1(x));   x = x + mlp(norm2(x))     a block, pre-norm
    hidden = final_norm(x);        logits = hidden embed^T   unembedding tied to the embedding

Sequences are laid end to end: ids are (N,), hidden states (N, D), and `lengths` says where each
sequence ends.  There is no padding, so linear layers and norms see real tokens only, and no
mask exists outside attention.  Logits are not made here: a caller takes the positions that it
scores and hands them to kernels/head.py.

Letters: N tokens of all sequences, D width, H heads, K head size, G key heads, B sequences,
T slots of a cache row, V vocabulary.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from clinicalgpt.files import read_json, write_json
from kernels.attention import alibi_slopes, attention, attention_decode
from kernels.head import logits, token_logp_entropy


@dataclass(frozen=True)
class ModelConfig:
    """What config.json says about a BLOOM checkpoint, in our words."""
    vocabulary: int
    width: int
    layers: int
    heads: int
    norm_eps: float = 1e-5
    residual_after_norm: bool = False                       # HF: apply_residual_connection_post_layernorm

    @property
    def head_size(self):
        return self.width // self.heads

    @classmethod
    def from_folder(cls, folder):
        """Read config.json.  Raises FileNotFoundError or ValueError, in one line,
        for what cannot be honoured exactly."""
        path = Path(folder) / "config.json"
        raw = read_json(path)
        if raw.get("model_type") != "bloom":
            raise ValueError(f"{path}: model_type {raw.get('model_type')!r} is not supported; "
                             "this version reads 'bloom'")
        if "quantization_config" in raw:
            raise ValueError(f"{path}: a quantised checkpoint; give the unquantised weights")
        if not raw.get("tie_word_embeddings", True):
            raise ValueError(f"{path}: tie_word_embeddings is false; BLOOM's unembedding is its embedding")
        try:
            config = cls(vocabulary=raw["vocab_size"], width=raw.get("hidden_size", raw.get("n_embed")),
                         layers=raw.get("n_layer", raw.get("num_hidden_layers")),
                         heads=raw.get("n_head", raw.get("num_attention_heads")),
                         norm_eps=raw.get("layer_norm_epsilon", 1e-5),
                         residual_after_norm=raw.get("apply_residual_connection_post_layernorm", False))
        except KeyError as missing:
            raise ValueError(f"{path}: no field {missing}; a BLOOM config.json has it") from None
        for name in ("vocabulary", "width", "layers", "heads"):
            if not isinstance(getattr(config, name), int) or getattr(config, name) < 1:
                raise ValueError(f"{path}: {name} is {getattr(config, name)!r}, not a positive whole number")
        if config.width % config.heads:
            raise ValueError(f"{path}: width {config.width} is not a multiple of {config.heads} heads")
        return config

    def to_json(self):
        """The config.json that transformers reads, for a model that was born here."""
        return {"architectures": ["BloomForCausalLM"], "model_type": "bloom", "vocab_size": self.vocabulary,
                "hidden_size": self.width, "n_layer": self.layers, "n_head": self.heads,
                "layer_norm_epsilon": self.norm_eps,
                "apply_residual_connection_post_layernorm": self.residual_after_norm,
                "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
                "torch_dtype": "float32"}


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.head_size = config.heads, config.head_size
        self.qkv = nn.Linear(config.width, 3 * config.width)        # rows: all queries, all keys, all values
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x_ND, attend):
        q, k, v = (x.view(len(x), self.heads, self.head_size) for x in self.qkv(x_ND).chunk(3, dim=-1))
        return self.out(attend(q, k, v).flatten(1))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.width, 4 * config.width)
        self.down = nn.Linear(4 * config.width, config.width)

    def forward(self, x_ND):
        return self.down(F.gelu(self.up(x_ND), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.residual_after_norm = config.residual_after_norm
        self.norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x_ND, attend):
        h_ND = self.norm1(x_ND)
        x_ND = (h_ND if self.residual_after_norm else x_ND) + self.attention(h_ND, attend)
        h_ND = self.norm2(x_ND)
        return (h_ND if self.residual_after_norm else x_ND) + self.mlp(h_ND)


class KVCache:
    """Keys and values of B sequences, each at its own length:
    one tensor (layers, 2, B, G, T, K), written in place."""

    def __init__(self, capacity):
        self.capacity, self.kv, self.length_B = capacity, None, None

    def attend(self, layer, layers, slopes_H, lengths, q_NHK, k_NGK, v_NGK):
        """The first call of a layer takes whole prompts; later ones take one token a row."""
        if self.length_B is not None:
            row_B = torch.arange(len(lengths), device=q_NHK.device)
            self.kv[layer][:, row_B, :, self.length_B] = torch.stack([k_NGK, v_NGK]).transpose(0, 1)
            length_B = self.length_B + 1
            used = slice(int(length_B.max()))
            return attention_decode(q_NHK, self.kv[layer, 0][:, :, used], self.kv[layer, 1][:, :, used],
                                    length_B, slopes_H)
        if self.kv is None:
            G, K = k_NGK.shape[1:]
            self.kv = k_NGK.new_zeros(layers, 2, len(lengths), G, self.capacity, K)
        for row, (k_TGK, v_TGK) in enumerate(zip(k_NGK.split(lengths), v_NGK.split(lengths))):
            self.kv[layer, :, row, :, :len(k_TGK)] = torch.stack([k_TGK, v_TGK]).transpose(1, 2)
        return attention(q_NHK, k_NGK, v_NGK, lengths, slopes_H)

    def advance(self, lengths):
        """After all layers of a step: these many tokens of each row are now in the cache."""
        added_B = torch.as_tensor(lengths, device=self.kv.device)
        self.length_B = added_B if self.length_B is None else self.length_B + added_B

    def keep(self, rows):
        """Go on with these rows only."""
        self.kv, self.length_B = self.kv[:, :, rows], self.length_B[rows]


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.raw_config, self.prefix = config.to_json(), "transformer."  # replaced by a loaded folder's
        self.embed = nn.Embedding(config.vocabulary, config.width)
        self.embed_norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.register_buffer("slopes_H", alibi_slopes(config.heads), persistent=False)

    @property
    def unembed_VD(self):
        return self.embed.weight

    @property
    def device(self):
        return self.embed.weight.device

    def forward(self, ids_N, lengths, cache=None):
        """Hidden states (N, D) after the final norm.
        lengths: tokens of each sequence, a list of ints that sums to N.
        With a KVCache the first call stores the prompts, and each later call takes one more token a row."""
        x_ND = self.embed_norm(self.embed(ids_N))
        for i, block in enumerate(self.blocks):
            if cache is None:
                x_ND = block(x_ND, lambda q, k, v: attention(q, k, v, lengths, self.slopes_H))
            else:
                x_ND = block(x_ND, lambda q, k, v: cache.attend(
                    i, len(self.blocks), self.slopes_H, lengths, q, k, v))  # noqa: B023
        if cache is not None:
            cache.advance(lengths)
        return self.final_norm(x_ND)

    def score(self, pack, temperature=1.0):
        """(logp_M, entropy_M) of a dataset.Pack's scored tokens:
        the one place where SFT, PPO, the reference and the exam get theirs."""
        hidden_ND = self(pack.ids_N, pack.lengths)
        return token_logp_entropy(hidden_ND[pack.state_M], self.unembed_VD, pack.target_M, temperature)

    @torch.no_grad()
    def logits(self, sequences):
        """One (T, V) float32 tensor for each list of token ids;
        row t speaks of the token after ids[: t + 1]."""
        lengths = [len(ids) for ids in sequences]
        if min(lengths, default=0) < 1:
            raise ValueError("logits needs at least one sequence, and at least one token in each")
        ids_N = torch.tensor([token for ids in sequences for token in ids], device=self.device)
        hidden_ND = self(ids_N, lengths)
        return list(logits(hidden_ND, self.unembed_VD).float().split(lengths))

    def initialise(self, generator):
        """Random weights for a model that is trained from nothing
        (GPT-2's: normal 0.02, residual outputs smaller by depth)."""
        residual = 0.02 / (2 * len(self.blocks)) ** 0.5
        for name, parameter in self.named_parameters():
            with torch.no_grad():
                if parameter.ndim == 2:
                    std = residual if name.endswith(("out.weight", "down.weight")) else 0.02
                    parameter.normal_(0, std, generator=generator)
                else:
                    parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        return self

    def save(self, folder):
        """Write config.json and model.safetensors, with the tensor names that came in
        (adapters are saved by lora.save_adapter)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {theirs: tensor for theirs, tensor in self.tensors_out()}
        raw = {**self.raw_config, "torch_dtype": str(self.embed.weight.dtype).removeprefix("torch.")}
        write_json(folder / "config.json", raw)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    def tensors_out(self):
        for ours, parameter in self.named_parameters():
            if ".lora_" not in ours:
                theirs = self.their_name(ours.replace(".linear.", "."))
                yield theirs, self.to_theirs(ours, parameter.detach()).contiguous()

    def their_name(self, ours):
        """blocks.3.mlp.up.weight -> transformer.h.3.mlp.dense_h_to_4h.weight."""
        for mine, theirs in BLOOM_NAMES:
            if mine in ours:
                return self.prefix + ours.replace("blocks.", "h.").replace(mine, theirs)
        raise KeyError(f"{ours} has no name in a BLOOM checkpoint")

    def to_ours(self, ours, tensor):
        """BLOOM stores query, key and value interleaved by head, rows (H, 3, K); ours are (3, H, K).
        For weight, bias and LoRA's B."""
        return _swap_rows(tensor, self.config.heads, 3) if "qkv" in ours else tensor

    def to_theirs(self, ours, tensor):
        return _swap_rows(tensor, 3, self.config.heads) if "qkv" in ours else tensor


# One line a kind of tensor: our name, BLOOM's name.  Layers are blocks.<i>. here and h.<i>. there.
BLOOM_NAMES = [
    ("embed_norm", "word_embeddings_layernorm"),
    ("embed.", "word_embeddings."),
    ("norm1", "input_layernorm"),
    ("attention.qkv", "self_attention.query_key_value"),
    ("attention.out", "self_attention.dense"),
    ("norm2", "post_attention_layernorm"),
    ("mlp.up", "mlp.dense_h_to_4h"),
    ("mlp.down", "mlp.dense_4h_to_h"),
    ("final_norm", "ln_f"),
]


def _swap_rows(tensor, outer, inner):
    return tensor.view(outer, inner, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)


def load_model(folder, dtype=torch.float32, device="cpu"):
    """A Transformer from a Hugging Face folder (config.json + safetensors or .bin, in shards or not).
    Raises FileNotFoundError or ValueError, in one line, for what is missing, surplus, misshapen or
    unreadable."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give a model folder in Hugging Face format")
    config = ModelConfig.from_folder(folder)
    with torch.device("meta"):
        model = Transformer(config)
    model = model.to(dtype).to_empty(device=device)
    model.slopes_H = alibi_slopes(config.heads).to(device)          # stays float32, whatever the weights are
    model.raw_config = read_json(folder / "config.json")
    wanted = dict(model.named_parameters())
    rows = {theirs.removeprefix("transformer."): ours
            for ours in wanted for theirs in [model.their_name(ours)]}
    for path, theirs, tensor in read_tensors(folder):
        if theirs == "lm_head.weight":                                 # the embedding again, tied
            continue
        bare = theirs.removeprefix("transformer.")
        model.prefix = theirs[:len(theirs) - len(bare)]
        if bare not in rows:
            raise ValueError(f"{path}: tensor {theirs} {tuple(tensor.shape)} "
                             f"has no place in a BLOOM model of {config.layers} layers")
        ours = rows[bare]
        if ours not in wanted:
            raise ValueError(f"{path}: tensor {theirs} is there twice")
        parameter = wanted.pop(ours)
        if parameter.shape != tensor.shape:
            raise ValueError(f"{path}: {theirs} is {tuple(tensor.shape)}, "
                             f"but config.json makes it {tuple(parameter.shape)}")
        with torch.no_grad():
            parameter.copy_(model.to_ours(ours, tensor))
    if wanted:
        raise ValueError(f"{folder}: {len(wanted)} tensors are not in the checkpoint, "
                         f"the first: {model.their_name(min(wanted))}")
    return model.eval()


def read_tensors(folder):
    """(path, name, tensor) for every tensor of the folder, one at a time."""
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        index, single = folder / f"{stem}.{suffix}.index.json", folder / f"{stem}.{suffix}"
        if index.is_file() or single.is_file():
            break
    else:
        raise FileNotFoundError(f"{folder}: no model.safetensors or pytorch_model.bin "
                                "(nor an index of shards)")
    if single.is_file():
        files = [single]
    else:
        files = [folder / name for name in sorted(set(read_json(index).get("weight_map", {}).values()))]
    for path in files:
        if path.parent != folder:
            raise ValueError(f"{index}: shard {path} lies outside the folder")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: a shard named by {index.name} is missing")
        try:
            if suffix == "bin":
                yield from ((path, name, tensor)
                            for name, tensor in torch.load(path, weights_only=True, mmap=True).items())
            else:
                with safe_open(path, framework="pt") as file:
                    yield from ((path, name, file.get_tensor(name)) for name in file.keys())
        except Exception as error:                                     # each library has kinds of its own
            raise ValueError(f"{path}: cannot be read ({str(error).splitlines()[0]}); "
                             "is the download complete?") from None
