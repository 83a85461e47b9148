"""
What the tests compare with: the textbook in plain Python numbers and loops, written from the formulas, never
from the code under test; and small models and batches to try things on.

A row is a list with as many numbers as its answer has tokens, so no mask occurs here; `padded` makes (B, T)
tensors of rows.  The two forward passes below are BLOOM's (Scao 2022, section 3.2; ALiBi: Press 2022) and
that of LLaMA and its kin (Touvron 2023), over checkpoints as Hugging Face lays them out.
"""

import inspect
import json
import math
import re

import torch
from safetensors.torch import save_file

from clinicalgpt.config import ModelConfig
from clinicalgpt.dataset import Example, pack
from clinicalgpt.model import Transformer


def checked(fn):
    """fn, which now asserts that equal letters at the end of its arguments' names stand for equal sizes."""
    names = list(inspect.signature(fn).parameters)

    def wrapper(*args, **kwargs):
        sizes = {}
        for name, x in {**dict(zip(names, args, strict=False)), **kwargs}.items():
            letters = re.search(r"_([A-Z]+)$", name)
            if letters and x is not None:
                assert x.ndim == len(letters[1]), f"{name} has shape {tuple(x.shape)}"
                for letter, n in zip(letters[1], x.shape, strict=True):
                    known = sizes.setdefault(letter, n)
                    assert known == n, f"{letter} is {known} and, in {name}, {n}"
        return fn(*args, **kwargs)
    return wrapper


# ---- PPO -------------------------------------------------------------------------------------------------

def gae(rewards, values, gamma, lam):
    """A_t = sum_l (gamma lam)^l d_{t+l},  d_t = r_t + gamma V_{t+1} - V_t,  R_t = A_t + V_t;  V ends in 0."""
    T, values = len(rewards), [*values, 0.0]
    delta = [rewards[t] + gamma * values[t + 1] - values[t] for t in range(T)]
    advantages = [sum((gamma * lam) ** (s - t) * delta[s] for s in range(t, T)) for t in range(T)]
    return advantages, [a + v for a, v in zip(advantages, values, strict=False)]


def discounted(rewards, gamma):
    """What is still to come: sum_l gamma^l r_{t+l}."""
    return [sum(gamma ** (s - t) * rewards[s] for s in range(t, len(rewards))) for t in range(len(rewards))]


def shaped_rewards(score, kl, beta):
    return [-beta * k + (score if t == len(kl) - 1 else 0.0) for t, k in enumerate(kl)]


def policy_loss(logp, old_logp, advantages, clip):
    """Sum of -min(rho A, clip(rho) A), Schulman 2017 eq. 7."""
    total = 0.0
    for new, old, a in zip(logp, old_logp, advantages, strict=True):
        rho = math.exp(new - old)
        total -= min(rho * a, min(max(rho, 1 - clip), 1 + clip) * a)
    return total


def value_loss(values, old_values, returns, clip):
    """Half the sum of the larger of two squared errors: of V, and of V kept within `clip` of the old V."""
    total = 0.0
    for v, old, r in zip(values, old_values, returns, strict=True):
        near = min(max(v, old - clip), old + clip)
        total += 0.5 * max((v - r) ** 2, (near - r) ** 2)
    return total


def whiten(numbers):
    mean = sum(numbers) / len(numbers)
    std = math.sqrt(sum((x - mean) ** 2 for x in numbers) / len(numbers) + 1e-8)
    return [(x - mean) / std for x in numbers]


def kl(p, q):
    """KL(p || q) = sum_i p_i log(p_i / q_i)."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def kl_gradient(p, q):
    """d KL(softmax(theta) || q) / d theta_i = p_i (log(p_i / q_i) - KL)."""
    return [a * (math.log(a / b) - kl(p, q)) for a, b in zip(p, q, strict=True)]


def ranking_loss(scores):
    """Mean over the pairs i < j of log(1 + exp(-(s_i - s_j))), the scores from best to worst."""
    pairs = [(a, b) for i, a in enumerate(scores) for b in scores[i + 1:]]
    return sum(math.log1p(math.exp(b - a)) for a, b in pairs) / len(pairs)


# ---- attention, head, BLOOM ------------------------------------------------------------------------------

def slopes(heads):
    """ALiBi (Press 2022): a geometric sequence from 2^(-8/n) with that ratio for n a power of 2; other counts
    take the sequence of the power below, and then every other slope of the power above."""
    if heads & (heads - 1) == 0:
        return [2 ** (-8 / heads * (h + 1)) for h in range(heads)]
    below = 1 << (heads.bit_length() - 1)
    return slopes(below) + slopes(2 * below)[0::2][:heads - below]


def attention(q, k, v, lengths, slope=None, window=0):
    """Nested lists (N, H, K), (N, G, K): one query, one head, one key at a time."""
    group, out, start = len(q[0]) // len(k[0]), [], 0
    for length in lengths:
        for i in range(start, start + length):
            out.append([])
            for h, query in enumerate(q[i]):
                scores, first = [], max(start, i - window + 1) if window else start
                for j in range(first, i + 1):
                    dot = sum(a * b for a, b in zip(query, k[j][h // group], strict=True))
                    scores.append(dot / math.sqrt(len(query)) + (slope[h] * (j - i) if slope else 0.0))
                p = softmax(scores)
                seen = [v[first + j][h // group] for j in range(len(p))]
                columns = zip(*seen, strict=True)
                out[-1].append([sum(a * b for a, b in zip(p, column, strict=True)) for column in columns])
        start += length
    return out


def softmax(scores, temperature=1.0):
    top = max(scores)
    e = [math.exp((s - top) / temperature) for s in scores]
    return [x / sum(e) for x in e]


def bloom_tensors(config, seed=0):
    """A random checkpoint as Hugging Face stores BLOOM: its names, its shapes."""
    generator, D = torch.Generator().manual_seed(seed), config.width

    def random(*shape, around=0.0, scale=0.3):
        return around + scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    tensors = {"word_embeddings.weight": random(config.vocabulary, D, scale=1.0)}
    matrices = {"self_attention.query_key_value": (3 * D, D), "self_attention.dense": (D, D),
                "mlp.dense_h_to_4h": (4 * D, D), "mlp.dense_4h_to_h": (D, 4 * D)}
    norms = ["word_embeddings_layernorm", "ln_f"]
    for i in range(config.layers):
        norms += [f"h.{i}.input_layernorm", f"h.{i}.post_attention_layernorm"]
        for name, shape in matrices.items():
            tensors |= {f"h.{i}.{name}.weight": random(*shape), f"h.{i}.{name}.bias": random(shape[0])}
    for name in norms:
        tensors |= {f"{name}.weight": random(D, around=1.0), f"{name}.bias": random(D)}
    return {f"transformer.{name}": tensor for name, tensor in tensors.items()}


def bloom_logits(tensors, config, ids):
    """Logits (T, V) of one sequence.  query_key_value's rows, head by head: K of query, of key, of value."""
    w = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    K, T = config.width // config.heads, len(ids)

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + config.norm_eps)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    x = norm(w["word_embeddings.weight"][torch.tensor(ids)], "word_embeddings_layernorm")
    for i in range(config.layers):
        h = norm(x, f"h.{i}.input_layernorm")
        rows, heads = linear(h, f"h.{i}.self_attention.query_key_value"), []
        for n, slope in enumerate(slopes(config.heads)):
            q, k, v = (rows[:, (3 * n + part) * K:(3 * n + part + 1) * K] for part in range(3))
            scores = q @ k.T / math.sqrt(K)
            for t in range(T):
                for s in range(T):
                    scores[t, s] = scores[t, s] + slope * (s - t) if s <= t else -math.inf
            heads.append(scores.softmax(-1) @ v)
        out = linear(torch.cat(heads, -1), f"h.{i}.self_attention.dense")
        x = out + (h if config.residual_after_norm else x)
        h = norm(x, f"h.{i}.post_attention_layernorm")
        out = linear(gelu(linear(h, f"h.{i}.mlp.dense_h_to_4h")), f"h.{i}.mlp.dense_4h_to_h")
        x = out + (h if config.residual_after_norm else x)
    return norm(x, "ln_f") @ w["word_embeddings.weight"].T


def write_bloom(folder, config, tensors, **changes):
    """The checkpoint as a folder, config.json as transformers writes it."""
    return write_folder(folder, {
        "architectures": ["BloomForCausalLM"], "model_type": "bloom", "vocab_size": config.vocabulary,
        "hidden_size": config.width, "n_layer": config.layers, "n_head": config.heads,
        "layer_norm_epsilon": config.norm_eps, "tie_word_embeddings": True,
        "apply_residual_connection_post_layernorm": config.residual_after_norm, **changes}, tensors)


def llama_config(model_type="llama", **changes):
    """A config.json of LLaMA's kin, small."""
    return {"model_type": model_type, "vocab_size": 50, "hidden_size": 24, "intermediate_size": 36,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "rope_theta": 100.0, "tie_word_embeddings": False, "sliding_window": None,
            "head_dim": 6, "max_position_embeddings": 64, **changes}


def llama_tensors(config, seed=0):
    """A random checkpoint as Hugging Face stores LLaMA, Mistral, Qwen2 and Qwen3: names and shapes."""
    generator, D, K = torch.Generator().manual_seed(seed), config["hidden_size"], config["head_dim"]
    heads, groups, inner = (config[name] for name in
                            ("num_attention_heads", "num_key_value_heads", "intermediate_size"))
    kind = config["model_type"]

    def random(*shape, around=0.0, scale=0.3):
        return around + scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    tensors = {"model.embed_tokens.weight": random(config["vocab_size"], D, scale=1.0),
               "model.norm.weight": random(D, around=1.0)}
    if not config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = random(config["vocab_size"], D, scale=1.0)
    for i in range(config["num_hidden_layers"]):
        shapes = {"self_attn.q_proj": (heads * K, D), "self_attn.k_proj": (groups * K, D),
                  "self_attn.v_proj": (groups * K, D), "self_attn.o_proj": (D, heads * K),
                  "mlp.gate_proj": (inner, D), "mlp.up_proj": (inner, D), "mlp.down_proj": (D, inner)}
        for name, shape in shapes.items():
            tensors[f"model.layers.{i}.{name}.weight"] = random(*shape)
            if config.get("mlp_bias" if "mlp" in name else "attention_bias") or \
                    kind == "qwen2" and name[10:] in ("q_proj", "k_proj", "v_proj"):
                tensors[f"model.layers.{i}.{name}.bias"] = random(shape[0])
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{i}.{name}.weight"] = random(D, around=1.0)
        for name in ("q_norm", "k_norm") if kind == "qwen3" else ():
            tensors[f"model.layers.{i}.self_attn.{name}.weight"] = random(K, around=1.0)
    return tensors


def llama_logits(tensors, config, ids):
    """Logits (T, V) of one sequence: rotary positions (Su 2021, eq. 34) turn x_m and x_{m + K/2} together."""
    w, K = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}, config["head_dim"]
    scaling = config.get("rope_scaling") or {"type": "default"}
    factor = scaling["factor"] if scaling["type"] == "linear" else 1.0

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def norm(x, name):
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + config["rms_norm_eps"]) * w[f"{name}.weight"]

    def turn(x_TK):
        out = x_TK.clone()
        for t in range(len(x_TK)):
            for m in range(K // 2):
                angle = t / factor * config["rope_theta"] ** (-2 * m / K)
                a, b = x_TK[t, m], x_TK[t, m + K // 2]
                out[t, m] = a * math.cos(angle) - b * math.sin(angle)
                out[t, m + K // 2] = b * math.cos(angle) + a * math.sin(angle)
        return out
    x = w["embed_tokens.weight"][torch.tensor(ids)]
    for i in range(config["num_hidden_layers"]):
        h, at = norm(x, f"layers.{i}.input_layernorm"), f"layers.{i}.self_attn"
        q, k, v = (linear(h, f"{at}.{part}_proj").split(K, -1) for part in "qkv")
        if config["model_type"] == "qwen3":
            q, k = ([norm(x, f"{at}.{part}_norm") for x in heads] for part, heads in (("q", q), ("k", k)))
        q, k = ([turn(x) for x in heads] for heads in (q, k))
        window = config["sliding_window"] or 0
        if config["model_type"].startswith("qwen"):
            window = window if config.get("use_sliding_window") and i >= config["max_window_layers"] else 0
        out = attention(*(torch.stack(heads, 1).tolist() for heads in (q, k, v)), [len(ids)], None, window)
        x = x + linear(torch.tensor(out, dtype=torch.float64).flatten(1), f"{at}.o_proj")
        h = norm(x, f"layers.{i}.post_attention_layernorm")
        gate = linear(h, f"layers.{i}.mlp.gate_proj")
        x = x + linear(gate / (1 + torch.exp(-gate)) * linear(h, f"layers.{i}.mlp.up_proj"),
                       f"layers.{i}.mlp.down_proj")
    unembed = w["embed_tokens.weight"] if config["tie_word_embeddings"] else w["lm_head.weight"]
    return norm(x, "norm") @ unembed.T


def write_folder(folder, config, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


# ---- small things to try on ------------------------------------------------------------------------------

def tiny_model(heads=4, width=32, dtype=torch.float64, vocabulary=96, residual_after_norm=False, seed=0):
    """A random BLOOM of 2 layers, every weight of it at work."""
    config = ModelConfig.bloom(vocabulary, width, 2, heads, residual_after_norm=residual_after_norm)
    model, generator = Transformer(config), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            around = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(around + 0.2 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype).eval()


def model_logits(model, ids):
    """Logits (T, V) of one sequence, in the model's own precision."""
    return model(torch.tensor(ids), [len(ids)]) @ model.unembed_VD.T


def random_ids(*lengths, vocabulary=96, seed=0):
    """A list of token ids for each length; 0-3 are left to special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, vocabulary, (n,), generator=generator).tolist() for n in lengths]


def examples(shapes, vocabulary=96, seed=0):
    """An Example for each (tokens of the prompt, tokens of the answer)."""
    rows = random_ids(*(p + a for p, a in shapes), vocabulary=vocabulary, seed=seed)
    return [Example(ids, [False] * p + [True] * a, {}) for ids, (p, a) in zip(rows, shapes, strict=True)]


def random_pack(shapes, **kwargs):
    return pack(examples(shapes, **kwargs))


def random_rows(lengths, seed=0, scale=1.0):
    """A list of random numbers for each length."""
    generator = torch.Generator().manual_seed(seed)
    return [(scale * torch.randn(n, generator=generator, dtype=torch.float64)).tolist() for n in lengths]


def padded(rows, fill=0.0, columns=0):
    """Rows as a float64 tensor (B, T), `fill` where a row has ended."""
    T = max(columns, *(len(row) for row in rows))
    return torch.tensor([[*row, *[fill] * (T - len(row))] for row in rows], dtype=torch.float64)


def mask_of(rows, columns=0):
    return padded([[1.0] * len(row) for row in rows], columns=columns)


def close(ours, expected, tolerance=1e-9):
    expected = torch.as_tensor(expected, dtype=ours.dtype)
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
