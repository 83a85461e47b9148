"""
Attention: ours against PyTorch's fused kernels and the operations of transformers' BLOOM, in the same run.

    python benchmarks/attention.py          about 10 minutes on two cores; needs no peer
    python benchmarks/attention.py --decoding       the last table alone: seconds

Forward and backward, 16 heads of 64.  The last row of a table is the time of as many multiplications at the
pace of one large float32 product here: no attention in float32 can be much faster.
"""

import functools
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import medians, peak, table, times_faster  # noqa: E402
from kernels.attention import alibi_slopes, attention, attention_fused, backend, decode_fused  # noqa: E402
from kernels.native import decode_native  # noqa: E402

H, K = 16, 64
SLOPES = alibi_slopes(H)


def eager(q_NHK, k_NHK, v_NHK, lengths):
    """The operations of transformers' BloomAttention: the bias of the keys added by the product itself, a
    mask added to the scores, a softmax in float32, all T x T."""
    T, dtype = lengths[0], q_NHK.dtype
    q, k, v = (x.view(-1, T, H, K).transpose(1, 2).reshape(-1, T, K) for x in (q_NHK, k_NHK, v_NHK))
    alibi = (SLOPES[:, None, None] * torch.arange(T)).to(dtype).repeat(len(lengths), 1, 1)
    scores = alibi.baddbmm(q, k.transpose(1, 2), alpha=K**-0.5).view(len(lengths), H, T, T)
    mask = torch.full((T, T), torch.finfo(dtype).min, dtype=dtype).triu(1)
    p = F.softmax(scores + mask, -1, dtype=torch.float32).to(dtype)
    return torch.bmm(p.view(-1, T, T), v).view(-1, H, T, K).transpose(1, 2).reshape(-1, H, K)


def masked(q_NHK, k_NHK, v_NHK, lengths):
    """One call with a dense (H, N, N) mask: ALiBi, causality and the documents' borders."""
    N = sum(lengths)
    document_N = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    distance_NN = torch.arange(N) - torch.arange(N)[:, None]
    unseen_NN = (distance_NN > 0) | (document_N != document_N[:, None])
    mask = (SLOPES[:, None, None] * distance_NN).masked_fill(unseen_NN, float("-inf")).to(q_NHK.dtype)
    q, k, v = (x.transpose(0, 1)[None] for x in (q_NHK, k_NHK, v_NHK))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[None])[0].transpose(0, 1)


def ours(q_NHK, k_NHK, v_NHK, lengths):
    return attention(q_NHK, k_NHK, v_NHK, lengths, SLOPES)


def key_bias(q_NHK, k_NHK, v_NHK, lengths):
    return attention_fused(q_NHK, k_NHK, v_NHK, lengths, SLOPES)


def pace():
    """Multiply-adds a second of a large float32 product."""
    a = torch.randn(2048, 2048)
    return 2048**3 / medians({"product": lambda: a @ a})["product"]


def compare(title, ways, lengths, dtype, limit):
    q, k, v, grad = (torch.randn(sum(lengths), H, K).to(dtype).requires_grad_() for _ in range(4))

    def both(fn):
        return lambda: torch.autograd.grad(fn(q, k, v, lengths), (q, k, v), grad)
    works = {name: both(fn) for name, fn in ways.items()}
    seconds, memory = medians(works), {name: peak(work) for name, work in works.items()}
    last = list(ways)[-1]
    rows = [[name, f"{1e3 * seconds[name]:.0f}", f"{memory[name] / 2**20:.0f}",
             times_faster(seconds[name], seconds[last]) if name != last else "",
             f"{memory[name] / memory[last]:.0f}x" if name != last else ""] for name in ways]
    bound = sum(7 * length * (length + 1) // 2 * H * K for length in lengths) / limit
    table([title, "ms", "MiB", "ours is", "in memory"], [*rows, ["limit", f"{1e3 * bound:.0f}", "", "", ""]])


def main():
    limit = pace()
    print(f"{torch.get_num_threads()} threads; attention on cpu: {backend('cpu')}; "
          f"a large product: {2 * limit / 1e9:.0f} GFLOP/s\n")
    if "--decoding" not in sys.argv[1:]:
        forward_and_backward(limit)
    decoding()


def forward_and_backward(limit):
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        for T in (1024, 2048):
            compare(f"{name}, T = {T}", {"BLOOM's operations": eager, "dense mask": masked,
                                         "key bias": key_bias, "ours": ours}, [T], dtype, limit)
        compare(f"{name}, 8 x 256", {"dense mask": masked, "key bias": key_bias, "ours": ours}, [256] * 8,
                dtype, limit)


def decoding():
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for B, G in ((8, 16), (32, 16), (16, 4)):
            q, k, v = (torch.randn(shape).to(dtype) for shape in ((B, H, K), (B, G, 768, K), (B, G, 768, K)))
            length_B = torch.linspace(128, 768, B).long()
            given = (q, k, v, length_B, SLOPES)
            seconds = medians({"SDPA": functools.partial(decode_fused, *given),
                               "ours": functools.partial(decode_native, *given)}, 15)
            read = 2 * int(length_B.sum()) * G * K * k.itemsize
            rows.append([f"{str(dtype).removeprefix('torch.')}, B = {B}, {G} heads of keys",
                         f"{1e3 * seconds['SDPA']:.2f}", f"{1e3 * seconds['ours']:.2f}",
                         times_faster(*seconds.values()), f"{1e3 * read / bandwidth():.2f}"])
    table(["decoding, lengths 128 to 768", "SDPA ms", "ours ms", "ours is", "limit: cache read once"], rows)


def bandwidth():
    """Bytes a second that a sum over a large tensor reads."""
    x = torch.ones(2**26)
    return x.nbytes / medians({"sum": x.sum})["sum"]


if __name__ == "__main__":
    main()
