"""
Causal attention over sequences laid end to end: what it is, PyTorch's kernels for it, and the choice.
(Not here: the hand-written kernels, see cpu.cpp and native.py; the projections around it, rotary positions,
the KV cache's bookkeeping.)

    o_i = sum_{j <= i} p_ij v_j,  p_i = softmax_j(q_i . k_j / sqrt(K) + slope_h (j - i))  j, i in one sequence

The slopes are ALiBi's (Press 2022, section 3); None leaves the linear bias out.  With a window of w > 0 a
query sees itself and the w - 1 tokens before it (Mistral, Jiang 2023).  Heads of queries may share heads of
keys.

    attention_reference     the formula, spelled out
    attention_fused         PyTorch's fused kernels: any device, any head size
    attention_native        cpu.cpp: on a CPU, where a compiler is at hand
    attention_cuda          cuda.cu: on a card, when asked for

Two facts let PyTorch's kernels do it, and no T x T matrix is ever written.  The softmax does not see what is
added to a whole row, so slope (j - i) may be replaced by slope * j: a bias of the key alone, which the CPU's
kernel takes as such, and which elsewhere is folded into the product.  And no query sees what comes later, so
sequences may be laid into rows with room at the end, without any mask between tokens and padding.

Letters: N tokens of all sequences, T tokens of one, H query heads, G key heads (H = G * group), K head size,
B rows of a cache.
"""

import functools
import logging
import math
import os

import torch
import torch.nn.functional as F

from kernels import cuda, native
from kernels.cuda import attention_cuda, decode_cuda
from kernels.native import attention_native, decode_native

LOG = logging.getLogger(__name__)


def alibi_slopes(heads):
    """ALiBi's slopes_H, float32: 2^(-8 h / n) for h = 1..n where n is the largest power of
    two <= heads; the heads beyond take every other slope of the sequence for 2 n (Press 2022,
    the authors' code).  Powers are taken in float32, as BLOOM's reference does, and so equal to the bit."""
    n = 2 ** math.floor(math.log2(heads))
    return torch.cat([torch.tensor(2 ** (-8 / n)) ** torch.arange(1, n + 1),
                      torch.tensor(2 ** (-4 / n)) ** torch.arange(1, 2 * (heads - n) + 1, 2)])


def attention_reference(q_NHK, k_NGK, v_NGK, lengths, slopes_H=None, window=0):
    """The formula above, spelled out: (N, H, K).  Every faster version must equal this, gradients too."""
    group = q_NHK.shape[1] // k_NGK.shape[1]
    outputs = []
    for q_THK, k_TGK, v_TGK in zip(*(x.split(list(lengths)) for x in (q_NHK, k_NGK, v_NGK))):
        q_HTK = q_THK.transpose(0, 1)
        k_HTK, v_HTK = (x.repeat_interleave(group, 1).transpose(0, 1) for x in (k_TGK, v_TGK))
        position_T = torch.arange(len(q_THK), device=q_NHK.device)
        distance_TT = position_T[None, :] - position_T[:, None]                 # j - i: negative for the past
        scores_HTT = q_HTK @ k_HTK.transpose(-1, -2) / math.sqrt(q_NHK.shape[-1])
        if slopes_H is not None:
            scores_HTT = scores_HTT + slopes_H[:, None, None].to(scores_HTT.dtype) * distance_TT
        probability_HTT = scores_HTT.masked_fill(_unseen(distance_TT, window), float("-inf")).softmax(-1)
        outputs.append((probability_HTT @ v_HTK).transpose(0, 1))
    return torch.cat(outputs)


def _unseen(distance, window):
    """Which distances j - i a query does not see: the future, and what lies before its window."""
    return (distance > 0) | (distance <= -window) if window else distance > 0


def attention_fused(q_NHK, k_NGK, v_NGK, lengths, slopes_H=None, window=0):
    """The same by PyTorch's fused kernel.  Short sequences of like length share a call, laid out
    as rows with room at the end: what stands in that room comes after every real token, so
    causality alone keeps it from being seen."""
    groups, restore_N = _groups(tuple(lengths), q_NHK.device)
    outputs = []
    for token_n, slot_n, B, T in groups:
        q, k, v = (_rows(x, token_n, slot_n, B, T) for x in (q_NHK, k_NGK, v_NGK))  # (B, heads, T, K)
        attend = _windowed if 0 < window < T else _causal
        out = attend(q, k, v, slopes_H, window).transpose(1, 2).flatten(0, 1)   # (B T, H, K)
        outputs.append(out if slot_n is None else out.index_select(0, slot_n))
    return outputs[0] if restore_N is None else torch.cat(outputs).index_select(0, restore_N)


def _causal(q_BHTK, k_BGTK, v_BGTK, slopes_H, window):
    """Rows of T tokens, each query seeing all before it (a window, if any, is no narrower than T)."""
    T, K, bias = *q_BHTK.shape[2:], None
    if slopes_H is not None and q_BHTK.device.type == "cpu" and key_bias_with_causal():
        bias_dtype = torch.float32 if q_BHTK.dtype in (torch.bfloat16, torch.float16) else q_BHTK.dtype
        bias = (slopes_H[:, None, None] * torch.arange(T)).to(bias_dtype)[None]     # (1, H, 1, T)
    elif slopes_H is not None:
        q_BHTK, k_BGTK, v_BGTK = folded(q_BHTK, k_BGTK, v_BGTK, slopes_H)
    return F.scaled_dot_product_attention(q_BHTK, k_BGTK, v_BGTK, bias, is_causal=True, scale=K**-0.5,
                                          enable_gqa=q_BHTK.shape[1] != k_BGTK.shape[1])[..., :K]


def folded(q_BHTK, k_BGTK, v_BGTK, slopes_H):
    """The same with eight numbers more a head, whose product is slope * j: ALiBi for kernels that take no
    bias.  bfloat16 keeps eight digits, so each factor is a sum of two that it can hold: of positions, to
    32,768, a multiple of 128 and a rest."""
    B, H, T, K = q_BHTK.shape
    position_T = torch.arange(T, device=q_BHTK.device) - T // 2
    far_T = (position_T / 128).round() * 128
    slope_H = slopes_H.double() * K**0.5                                    # the product is scaled afterwards
    coarse_H = slope_H.to(q_BHTK.dtype)
    fine_H = (slope_H - coarse_H).to(q_BHTK.dtype)
    nothing = [torch.zeros_like(coarse_H)] * 4, [torch.zeros_like(far_T)] * 4
    slopes_H8 = torch.stack([coarse_H, coarse_H, fine_H, fine_H, *nothing[0]], -1)
    places_T8 = torch.stack([far_T, position_T - far_T] * 2 + nothing[1], -1).to(q_BHTK.dtype)
    return (torch.cat([q_BHTK, slopes_H8[:, None].expand(B, H, T, 8)], -1),
            torch.cat([k_BGTK, places_T8.expand(B, k_BGTK.shape[1], T, 8)], -1), F.pad(v_BGTK, (0, 8)))


def _windowed(q_BHTK, k_BGTK, v_BGTK, slopes_H, window):
    """A window's worth of queries at a time against the keys that any of them sees: work and memory grow with
    T times the window, not with T squared."""
    outputs, T = [], q_BHTK.shape[2]
    for start in range(0, T, window):
        first, stop = max(0, start - window + 1), min(start + window, T)
        query_T, key_T = (torch.arange(a, stop, device=q_BHTK.device) for a in (start, first))
        distance_TT = key_T - query_T[:, None]
        bias = torch.zeros((), device=q_BHTK.device) if slopes_H is None else slopes_H[:, None, None]
        bias = (bias * distance_TT).masked_fill(_unseen(distance_TT, window), float("-inf")).to(q_BHTK.dtype)
        outputs.append(F.scaled_dot_product_attention(
            q_BHTK[:, :, start:stop], k_BGTK[:, :, first:stop], v_BGTK[:, :, first:stop], attn_mask=bias,
            enable_gqa=q_BHTK.shape[1] != k_BGTK.shape[1]))
    return torch.cat(outputs, 2)


def _rows(x_NHK, token_n, slot_n, B, T):
    """These tokens as rows (B, H, T, K); a slot without a token is 0."""
    x_nHK = x_NHK if token_n is None else x_NHK.index_select(0, token_n)
    if slot_n is not None:
        x_nHK = x_nHK.new_zeros(B * T, *x_nHK.shape[1:]).index_copy(0, slot_n, x_nHK)
    return x_nHK.view(B, T, *x_nHK.shape[1:]).transpose(1, 2)


@functools.lru_cache(maxsize=16)                                                # once a batch, not a layer
def _groups(lengths, device):
    """[(tokens of the group, their slots in its rows, B, T), ...] and the order that undoes the grouping;
    None stands for 'as they are'.  Sequences beyond 256 tokens go alone; shorter ones with those that round
    up to the same power of two."""
    starts, groups = [0], {}
    for i, length in enumerate(lengths):
        starts.append(starts[-1] + length)
        groups.setdefault(i if length > 256 else -max(16, 1 << (length - 1).bit_length()), []).append(i)
    plan, order = [], []
    for members in groups.values():
        T = max(lengths[i] for i in members)
        tokens = [t for i in members for t in range(starts[i], starts[i + 1])]
        slots = [row * T + t for row, i in enumerate(members) for t in range(lengths[i])]
        order += tokens
        plan.append((None if len(groups) == 1 else torch.tensor(tokens, device=device),
                     None if len(slots) == len(members) * T else torch.tensor(slots, device=device),
                     len(members), T))
    return plan, None if len(groups) == 1 else torch.tensor(order, device=device).argsort()


@functools.cache
def key_bias_with_causal():
    """Does this PyTorch's CPU kernel take a key bias together with is_causal?  It has since
    2.5, but the documentation promises an error, so one small product decides; without it
    the bias is folded into the product."""
    q = torch.linspace(-1, 1, 2 * 5 * 4, dtype=torch.float64).view(1, 2, 5, 4)
    bias = torch.linspace(0, 3, 10, dtype=torch.float64).view(1, 2, 1, 5)
    spelled_out = bias.expand(1, 2, 5, 5).masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1),
                                                      float("-inf"))
    try:
        fused = F.scaled_dot_product_attention(q, q, q, attn_mask=bias, is_causal=True)
    except RuntimeError:
        return False
    return torch.allclose(fused, F.scaled_dot_product_attention(q, q, q, attn_mask=spelled_out), atol=1e-9)


def decode_fused(q_BHK, k_BGTK, v_BGTK, length_B, slopes_H=None, window=0):
    """attention_decode, by PyTorch's kernel."""
    B, H, K = q_BHK.shape
    G, T = k_BGTK.shape[1:3]
    distance_B1T = (torch.arange(T, device=q_BHK.device) - length_B[:, None] + 1)[:, None]      # j - i
    bias_BHT = torch.zeros(B, H, T, device=q_BHK.device)
    if slopes_H is not None:
        bias_BHT = slopes_H[:, None] * distance_B1T
    bias_BHT = bias_BHT.masked_fill(_unseen(distance_B1T, window), float("-inf")).to(q_BHK.dtype)
    out = F.scaled_dot_product_attention(q_BHK.view(B, G, H // G, K), k_BGTK, v_BGTK,
                                         attn_mask=bias_BHT.view(B, G, H // G, T))
    return out.reshape(B, H, K)


# ---- the choice ------------------------------------------------------------------------------------------

OURS = {"cpu": (attention_native, decode_native), "cuda": (attention_cuda, decode_cuda)}
OTHERS = {"pytorch": (attention_fused, decode_fused), "reference": (attention_reference, decode_fused)}
FORCED = os.environ.get("CLINICALGPT_ATTENTION", "")


@functools.cache
def backend(device_type):
    """What does attention on such a device: "native", which is OURS, "pytorch" or "reference"; the one that
    CLINICALGPT_ATTENTION names, or else the fastest there is.  (What our kernels do not take, such as heads
    of 48 numbers, is PyTorch's in any case.)  Logged once."""
    if FORCED not in ("", "native", *OTHERS):
        raise ValueError(f"CLINICALGPT_ATTENTION is {FORCED!r}; it may be native, {', '.join(OTHERS)}")
    missing = _missing(device_type) if FORCED in ("", "native") else ""
    chosen = "pytorch" if missing else FORCED or "native"
    LOG.log(logging.WARNING if missing else logging.INFO, "attention on %s: %s%s", device_type, chosen,
            f"; our own kernels are not used: {missing}" if missing else "")
    return chosen


def _missing(device_type):
    """Why kernels of ours can't or should not run on such a device, or ""."""
    if device_type == "cpu":
        return native.library()[1]
    if device_type != "cuda":
        return "there are no kernels of ours for it"
    if not FORCED:
        return "cuda.cu was never run on a card; CLINICALGPT_ATTENTION=native tries it"
    return cuda.missing()


def _chosen(q, k):
    """(attention, decoding) for tensors like these."""
    name, device_type = backend(q.device.type), q.device.type
    if name != "native":
        return OTHERS[name]
    return OURS[device_type] if (cuda if device_type == "cuda" else native).takes(q, k) else OTHERS["pytorch"]


def attention(q_NHK, k_NGK, v_NGK, lengths, slopes_H=None, window=0):
    """Causal attention of each sequence to itself: queries (N, H, K), keys and values (N, G, K) -> (N, H, K).
    lengths: tokens of each sequence, summing to N.  window: how many tokens a query sees, 0 for all."""
    with torch.autocast(q_NHK.device.type, enabled=False):         # autocast would round the bias to bfloat16
        return _chosen(q_NHK, k_NGK)[0](q_NHK, k_NGK, v_NGK, lengths, slopes_H, window)


def attention_decode(q_BHK, k_BGTK, v_BGTK, length_B, slopes_H=None, window=0):
    """One new query a row against that row's first length_B keys of a cache -> (B, H, K)."""
    return _chosen(q_BHK, k_BGTK)[1](q_BHK, k_BGTK, v_BGTK, length_B, slopes_H, window)
