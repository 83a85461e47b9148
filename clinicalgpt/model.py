"""
The transformer, by hand: BLOOM, LLaMA, Mistral and Qwen are one model with other parts.
(Not here: what config.json says, see config.py; attention's arithmetic and the vocabulary's, see kernels/;
checkpoint files, see weights.py; LoRA; sampling; training.)

    x = embed(ids)                                            BLOOM: with a norm behind it
    x = x + attention(norm1(x));   x = x + mlp(norm2(x))      a block
    hidden = final_norm(x);        logits = hidden W^T        W the embedding again, where they are tied

                 BLOOM (Scao 2022)              LLaMA (Touvron 2023) and its kin
    norm         (x - mean) / std * w + b       x / rms(x) * w                     Zhang 2019, eq. 4
    mlp          W2 gelu(W1 x + b1) + b2        W3 (silu(W1 x) * W2 x)             Shazeer 2020, eq. 5
    positions    ALiBi, inside attention        rotation of queries and keys       rope.py

A part is chosen when the model is built; the forward pass never asks which family it is.

Sequences are laid end to end: ids are (N,), hidden states (N, D), and `lengths` says where each
sequence ends.  There is no padding, so linear layers and norms see real tokens only, and no
mask exists outside attention.  Logits are not made here: a caller takes the positions that it
scores and hands them to kernels/head.py.

Letters: N tokens of all sequences, E places of sequences that share tokens, D width, H heads, K head size,
G key heads, B sequences, T slots of a cache row, V vocabulary.
"""

import functools
import re
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from clinicalgpt.config import read_config
from clinicalgpt.files import write_json
from clinicalgpt.lora import as_now
from clinicalgpt.rope import rotate, rotation
from clinicalgpt.weights import equal, materialise, read_tensors, write_tensors
from kernels.attention import alibi_slopes, attention, attention_decode
from kernels.head import logits, token_logp, token_logp_entropy


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))       # the mean square in float32 at least
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight * scaled.to(x.dtype)).to(x.dtype)         # under autocast the weight is wider


def make_norm(config):
    return {"layer": nn.LayerNorm, "rms": RMSNorm}[config.norm](config.width, eps=config.norm_eps)


class Attention(nn.Module):
    """Queries, keys and values by `project`, then whatever attends, then the output matrix."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.key_heads, self.head_size = config.heads, config.key_heads, config.head_size
        self.out = nn.Linear(config.heads * config.head_size, config.width, bias=config.out_bias)

    def forward(self, x_ND, attend):
        return self.out(attend(*self.project(x_ND)).flatten(1))


class FusedAttention(Attention):
    """One matrix makes all three; its rows are, head by head, K of query, K of key, K of value."""

    def __init__(self, config):
        super().__init__(config)
        self.qkv = nn.Linear(config.width, 3 * config.heads * config.head_size, bias=config.qkv_bias)

    def project(self, x_ND):
        return self.qkv(x_ND).view(len(x_ND), self.heads, 3, self.head_size).unbind(2)


class SplitAttention(Attention):
    def __init__(self, config):
        super().__init__(config)
        D, K, bias = config.width, config.head_size, config.qkv_bias
        self.q = nn.Linear(D, config.heads * K, bias=bias)
        self.k = nn.Linear(D, config.key_heads * K, bias=bias)
        self.v = nn.Linear(D, config.key_heads * K, bias=bias)
        self.q_norm = RMSNorm(K, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(K, config.norm_eps) if config.qk_norm else nn.Identity()

    def project(self, x_ND):
        return (self.q_norm(self.q(x_ND).view(len(x_ND), self.heads, self.head_size)),
                self.k_norm(self.k(x_ND).view(len(x_ND), self.key_heads, self.head_size)),
                self.v(x_ND).view(len(x_ND), self.key_heads, self.head_size))


class GELU(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.width, config.inner, bias=config.mlp_bias)
        self.down = nn.Linear(config.inner, config.width, bias=config.mlp_bias)

    def forward(self, x_ND):
        return self.down(F.gelu(self.up(x_ND), approximate="tanh"))


class SwiGLU(GELU):
    def __init__(self, config):
        super().__init__(config)
        self.gate = nn.Linear(config.width, config.inner, bias=config.mlp_bias)

    def forward(self, x_ND):
        return self.down(F.silu(self.gate(x_ND)) * self.up(x_ND))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.residual_after_norm = config.residual_after_norm
        self.norm1 = make_norm(config)
        self.attention = (FusedAttention if config.fused_qkv else SplitAttention)(config)
        self.norm2 = make_norm(config)
        self.mlp = {"gelu": GELU, "swiglu": SwiGLU}[config.mlp](config)

    def forward(self, x_ND, attend):
        h_ND = self.norm1(x_ND)
        x_ND = (h_ND if self.residual_after_norm else x_ND) + self.attention(h_ND, attend)
        h_ND = self.norm2(x_ND)
        return (h_ND if self.residual_after_norm else x_ND) + self.mlp(h_ND)


class KVCache:
    """Keys and values of B sequences, each at its own length:
    one tensor (layers, 2, B, G, T, K), written in place."""

    def __init__(self, capacity):
        self.capacity, self.kv, self.length_B, self.longest = capacity, None, None, 0

    def attend(self, layer, layers, lengths, q_NHK, k_NGK, v_NGK, slopes_H, window):
        """The first call of a layer takes whole prompts; later ones take one token a row."""
        if self.length_B is not None:
            row_B = torch.arange(len(lengths), device=q_NHK.device)
            self.kv[layer][:, row_B, :, self.length_B] = torch.stack([k_NGK, v_NGK]).transpose(0, 1)
            length_B = self.length_B + 1
            used = slice(self.longest + 1)
            return attention_decode(q_NHK, self.kv[layer, 0][:, :, used], self.kv[layer, 1][:, :, used],
                                    length_B, slopes_H, window)
        if self.kv is None:
            G, K = k_NGK.shape[1:]
            self.kv = k_NGK.new_zeros(layers, 2, len(lengths), G, self.capacity, K)
        for row, (k_TGK, v_TGK) in enumerate(zip(k_NGK.split(lengths), v_NGK.split(lengths))):
            self.kv[layer, :, row, :, :len(k_TGK)] = torch.stack([k_TGK, v_TGK]).transpose(1, 2)
        return attention(q_NHK, k_NGK, v_NGK, lengths, slopes_H, window)

    def advance(self, lengths):
        """After all layers of a step: these many tokens of each row are now in the cache."""
        added_B = torch.as_tensor(lengths, device=self.kv.device)
        self.length_B = added_B if self.length_B is None else self.length_B + added_B
        self.longest += max(lengths)

    def keep(self, rows):
        """Go on with these rows only, which move up within the same memory."""
        for layer in range(len(self.kv)):
            self.kv[layer, :, :len(rows)] = self.kv[layer, :, rows]
        self.kv, self.length_B = self.kv[:, :, :len(rows)], self.length_B[rows]
        self.longest = max(self.length_B.tolist(), default=0)


def positions(lengths, cache, device):
    """Of each token in its sequence: from 0, or, behind a cache that is not new, one more a row."""
    if cache is not None and cache.length_B is not None:
        return cache.length_B
    return torch.cat([torch.arange(length, device=device) for length in lengths])


@functools.lru_cache(maxsize=8)
def slopes_on(device, heads):
    return alibi_slopes(heads).to(device)                       # float32, whatever the weights are


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.raw_config, self.prefix = None, self.usual_prefix         # replaced by a loaded folder's
        self.gradient_checkpointing = False     # backward makes a block's activations again (Chen 2016)
        empty_VD = torch.empty(config.vocabulary, config.width)           # to be loaded, or initialised
        self.embed = nn.Embedding.from_pretrained(empty_VD, freeze=False)
        self.embed_norm = make_norm(config) if config.embed_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final_norm = make_norm(config)
        if not config.tied:
            self.unembed = nn.Linear(config.width, config.vocabulary, bias=False)

    @property
    def unembed_VD(self):
        return self.embed.weight if self.config.tied else self.unembed.weight

    @property
    def usual_prefix(self):
        """Of tensor names in a checkpoint with all of the model, its unembedding included."""
        return NAMES[self.config.family][0]

    @property
    def device(self):
        return self.embed.weight.device

    def forward(self, ids_N, lengths, cache=None, shared=None):
        """Hidden states (N, D) after the final norm.
        lengths: tokens of each sequence, a list of ints that sums to N.
        With a KVCache the first call stores the prompts, and each later call takes one more token a row.
        shared, (token_E, place_N) of a dataset.Pack: sequences with tokens in common, whose lengths sum to E.
        Each token is computed once; only attention sees it at every place where it stands."""
        config, slopes_H, turn = self.config, None, None
        if config.rope:
            position_N = positions(lengths, cache, ids_N.device)
            turn = rotation(config.rope, config.head_size, position_N[shared[1]] if shared else position_N)
        else:
            slopes_H = slopes_on(ids_N.device, config.heads)

        def attend(layer, q_NHK, k_NGK, v_NGK):
            if turn:
                q_NHK, k_NGK = rotate(q_NHK, *turn), rotate(k_NGK, *turn)
            if shared:
                q_EHK, k_EGK, v_EGK = (x.index_select(0, shared[0]) for x in (q_NHK, k_NGK, v_NGK))
                return attention(q_EHK, k_EGK, v_EGK, lengths, slopes_H,
                                 config.windows[layer]).index_select(0, shared[1])
            if cache is None:
                return attention(q_NHK, k_NGK, v_NGK, lengths, slopes_H, config.windows[layer])
            return cache.attend(layer, config.layers, lengths, q_NHK, k_NGK, v_NGK, slopes_H,
                                config.windows[layer])
        x_ND = self.embed_norm(self.embed(ids_N))
        for layer, block in enumerate(self.blocks):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x_ND = checkpoint(block, x_ND, functools.partial(attend, layer), use_reentrant=False,
                                  context_fn=lambda block=block: (nullcontext(), as_now(block)))
            else:
                x_ND = block(x_ND, functools.partial(attend, layer))
        if cache is not None:
            cache.advance(lengths)
        return self.final_norm(x_ND)

    def end_to_end(self, sequences):
        """(ids_N, lengths) of lists of token ids.  Raises ValueError for none, an empty one, or an id that is
        not in the vocabulary."""
        ids = [token for sequence in sequences for token in sequence]
        if not all(len(sequence) for sequence in sequences) or not ids:
            raise ValueError("at least one sequence is needed, and at least one token in each")
        if min(ids) < 0 or max(ids) >= self.config.vocabulary:
            raise ValueError(f"token ids run from {min(ids)} to {max(ids)}, but the vocabulary has "
                             f"{self.config.vocabulary} entries")
        return torch.tensor(ids, device=self.device), [len(sequence) for sequence in sequences]

    def read(self, pack):
        """Hidden states (N, D) of a dataset.Pack's tokens."""
        shared = (pack.token_E, pack.place_N) if len(pack.token_E) > len(pack.ids_N) else None
        return self(pack.ids_N, pack.lengths, shared=shared)

    def score(self, pack, temperature=1.0):
        """(logp_M, entropy_M) of a dataset.Pack's scored tokens:
        the one place where PPO, the reference and the exam get theirs."""
        hidden_ND = self.read(pack)
        return token_logp_entropy(hidden_ND[pack.state_M], self.unembed_VD, pack.target_M, temperature)

    def loss(self, pack, count):
        """Sum over a Pack's scored tokens of -log p, over `count`: a micro-batch's share of the mean."""
        hidden_MD = self.read(pack)[pack.state_M]
        return -token_logp(hidden_MD, self.unembed_VD, pack.target_M).sum() / count

    @torch.no_grad()
    def logits(self, sequences):
        """One (T, V) float32 tensor for each list of token ids;
        row t speaks of the token after ids[: t + 1]."""
        ids_N, lengths = self.end_to_end(sequences)
        hidden_ND = self(ids_N, lengths)
        return list(logits(hidden_ND, self.unembed_VD).float().split(lengths))

    def initialise(self, generator):
        """Random weights for a model that is trained from nothing: normal, the embedding's deviation 0.02,
        that of matrices 1 / sqrt(D), smaller by depth where they add to the residual path (Radford 2019)."""
        std = self.config.width ** -0.5
        for name, parameter in self.named_parameters():
            with torch.no_grad():
                if parameter.ndim == 2:
                    depth = 2 * len(self.blocks) if name.endswith(("out.weight", "down.weight")) else 1
                    deviation = 0.02 if name == "embed.weight" else std * depth ** -0.5
                    parameter.normal_(0, deviation, generator=generator)
                else:
                    parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        return self

    def tensors_out(self):
        """(checkpoint's name, tensor) of every parameter of the base; lora.save_adapter has the adapters."""
        for ours, parameter in self.named_parameters():
            if ".lora_" not in ours:
                yield self.their_name(ours.replace(".linear.", ".")), parameter.detach().contiguous()

    def save(self, folder, shard_bytes=5 * 10**9):
        """Write config.json and safetensors (in shards, beyond shard_bytes), with the tensor names that came
        in.  Raises OSError if the disk refuses."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder, self.tensors_out(), shard_bytes)
        raw, dtype = dict(self.raw_config or self.config.to_json()), str(self.embed.weight.dtype)
        raw["dtype" if "dtype" in raw else "torch_dtype"] = dtype.removeprefix("torch.")
        write_json(folder / "config.json", raw)

    def their_name(self, ours, prefix=None):
        """blocks.3.mlp.up.weight -> transformer.h.3.mlp.dense_h_to_4h.weight, with the prefix of the
        checkpoint that came in unless another is given."""
        _, layers, names = NAMES[self.config.family]
        layer, stem, ending = re.fullmatch(r"(?:blocks\.(\d+)\.)?(.+?)(\.weight|\.bias)?", ours).groups()
        inside = "" if layer is None else f"{layers}.{layer}."
        prefix = "" if stem == "unembed" else self.prefix if prefix is None else prefix
        return f"{prefix}{inside}{names[stem]}{ending or ''}"


LLAMA_NAMES = ("model.", "layers", {
    "embed": "embed_tokens", "norm1": "input_layernorm",
    "attention.q": "self_attn.q_proj", "attention.k": "self_attn.k_proj", "attention.v": "self_attn.v_proj",
    "attention.q_norm": "self_attn.q_norm", "attention.k_norm": "self_attn.k_norm",
    "attention.out": "self_attn.o_proj", "norm2": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj", "mlp.up": "mlp.up_proj", "mlp.down": "mlp.down_proj",
    "final_norm": "norm", "unembed": "lm_head"})
BLOOM_NAMES = ("transformer.", "h", {
    "embed": "word_embeddings", "embed_norm": "word_embeddings_layernorm", "norm1": "input_layernorm",
    "attention.qkv": "self_attention.query_key_value", "attention.out": "self_attention.dense",
    "norm2": "post_attention_layernorm", "mlp.up": "mlp.dense_h_to_4h", "mlp.down": "mlp.dense_4h_to_h",
    "final_norm": "ln_f", "unembed": "lm_head"})
NAMES = {"bloom": BLOOM_NAMES, "llama": LLAMA_NAMES, "mistral": LLAMA_NAMES, "qwen2": LLAMA_NAMES,
         "qwen3": LLAMA_NAMES}                                  # prefix, name of the layers, ours -> theirs
NO_WEIGHTS = re.compile(r".*\.(rotary_emb\.inv_freq|scale_mask_softmax\.causal_mask)")     # of old files


def load_model(folder, dtype=torch.float32, device="cpu"):
    """A Transformer from a Hugging Face folder: config.json and safetensors or .bin, in shards or not, of
    BLOOM, LLaMA, Mistral, Qwen2 or Qwen3.  dtype None: each tensor's own.  Raises FileNotFoundError or
    ValueError, in one line, for what is missing, surplus, misshapen or unreadable, and for what cannot be
    honoured exactly."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give a model folder in Hugging Face format")
    config, raw = read_config(folder)
    with torch.device("meta"):                                  # shapes without memory
        model = Transformer(config)
    model.raw_config = raw
    wanted = dict(model.named_parameters())
    rows, tied = {model.their_name(ours, prefix=""): ours for ours in wanted}, {}
    for path, theirs, tensor in read_tensors(folder):
        bare = theirs.removeprefix(model.usual_prefix)
        if NO_WEIGHTS.fullmatch(theirs):
            continue
        if config.tied and bare in ("lm_head.weight", model.their_name("embed.weight", prefix="")):
            tied[bare] = tensor                                 # to be compared below
            if bare == "lm_head.weight":
                continue
        ours = rows.get(bare)
        if ours not in wanted:
            place = f"has no place in a {config.family} model of {config.layers} layers"
            raise ValueError(f"{path}: tensor {theirs} {tuple(tensor.shape)} "
                             f"{'is there twice' if ours else place}")
        if not tensor.is_floating_point() or tensor.dtype.itemsize < 2:
            raise ValueError(f"{path}: tensor {theirs} is {tensor.dtype}; give unquantised weights")
        if wanted.pop(ours).shape != tensor.shape:
            raise ValueError(f"{path}: {theirs} is {tuple(tensor.shape)}, but config.json makes it "
                             f"{tuple(model.get_parameter(ours).shape)}")
        if ours != "unembed.weight":
            model.prefix = theirs[:len(theirs) - len(bare)]
        parent, _, leaf = ours.rpartition(".")
        parameter = nn.Parameter(materialise(tensor, dtype or tensor.dtype, device))
        setattr(model.get_submodule(parent), leaf, parameter)
    if wanted:
        raise ValueError(f"{folder}: {len(wanted)} tensors are not in the checkpoint, "
                         f"the first: {model.their_name(min(wanted))}")
    if len(tied) > 1 and not equal(*tied.values()):
        raise ValueError(f"{folder}: config.json ties the unembedding to the embedding, but lm_head.weight "
                         "differs from it; set tie_word_embeddings to false if both are meant")
    return model.eval()
