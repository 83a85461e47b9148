"""
cuda.cu on a card: is it right, and how fast is it beside PyTorch's kernels, in the same run?

    python benchmarks/attention_cuda.py               on a machine with an NVIDIA card; needs no peer

Attention forward and backward in bfloat16 with BLOOM-7B1's 32 heads of 128, eight sequences of 1,024 and of
2,048, and decoding for 32 rows.  FlashAttention as PyTorch has it takes no ALiBi: it does less, and is the
mark.  The errors are those of outputs and gradients against the reference in float64, on the same numbers.

No card has run this script yet; its parts have run on the simulator of tests/test_cuda.py.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import medians, table, times_faster  # noqa: E402
from kernels import cuda  # noqa: E402
from kernels.attention import alibi_slopes, attention_fused, attention_reference, decode_fused  # noqa: E402
from kernels.cuda import attention_cuda, decode_cuda  # noqa: E402

H, K, ROWS = 32, 128, 8


def masked(q_NHK, k_NHK, v_NHK, lengths, slopes_H):
    """PyTorch's kernel with a mask (H, T, T) of ALiBi and causality, for rows of one length."""
    position_T = torch.arange(lengths[0], device=q_NHK.device)
    distance_TT = position_T - position_T[:, None]
    bias_HTT = (slopes_H[:, None, None] * distance_TT).masked_fill(distance_TT > 0, float("-inf"))
    bias_HTT = bias_HTT.to(q_NHK.dtype)
    q, k, v = (x.view(len(lengths), lengths[0], H, K).transpose(1, 2) for x in (q_NHK, k_NHK, v_NHK))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias_HTT).transpose(1, 2).flatten(0, 1)


def both(fn, q, k, v, lengths, slopes_H, grad):
    """Output and gradients."""
    out = fn(q, k, v, lengths, slopes_H)
    return out, *torch.autograd.grad(out, (q, k, v), grad)


def waited(work):
    """The same, until the card has done it."""
    def run():
        work()
        torch.cuda.synchronize()
    return run


def compare(T, slopes_H):
    q, k, v, grad = (torch.randn(ROWS * T, H, K, device=slopes_H.device).bfloat16().requires_grad_()
                     for _ in range(4))
    ways = {"mask, PyTorch's kernel": (masked, slopes_H),
            "folded, PyTorch's kernel": (attention_fused, slopes_H),
            "no ALiBi, PyTorch's kernel": (attention_fused, None), "ours": (attention_cuda, slopes_H)}
    seconds = medians({name: waited(lambda fn=fn, slopes=slopes: both(fn, q, k, v, [T] * ROWS, slopes, grad))
                       for name, (fn, slopes) in ways.items()}, 11)
    table([f"forward and backward, {ROWS} x {T}", "ms", "ours is"],
          [[name, f"{1e3 * seconds[name]:.2f}", times_faster(seconds[name], seconds["ours"])
            if name != "ours" else ""] for name in ways])


def main(device="cuda", lengths=(1024, 2048), decoded=1024):
    slopes_H, rows = alibi_slopes(H).to(device), []
    q, k, v, grad = (torch.randn(300, H, K, device=device).bfloat16().requires_grad_() for _ in range(4))
    exact = both(attention_reference, *(x.detach().double().requires_grad_() for x in (q, k, v)), [170, 130],
                 slopes_H, grad.double())
    for name, fn in (("folded, PyTorch's kernel", attention_fused), ("ours", attention_cuda)):
        found = both(fn, q, k, v, [170, 130], slopes_H, grad)
        rows.append([name, *(f"{((a - b).norm() / b.norm()).item():.1e}" for a, b in zip(found, exact))])
    table(["relative error", "output", "dq", "dk", "dv"], rows)

    for T in lengths:
        compare(T, slopes_H)

    q = torch.randn(32, H, K, device=device).bfloat16()
    k, v = (torch.randn(32, H, decoded, K, device=device).bfloat16() for _ in range(2))
    length_B = torch.linspace(decoded // 4, decoded, 32, device=device).long()
    seconds = medians({name: waited(lambda fn=fn: fn(q, k, v, length_B, slopes_H))
                       for name, fn in (("SDPA", decode_fused), ("ours", decode_cuda))}, 51)
    read = 2 * int(length_B.sum()) * H * K * 2 / seconds["ours"]
    table(["decoding, 32 rows", "ms", "ours is", "GB / s of the cache"],
          [["SDPA", f"{1e3 * seconds['SDPA']:.3f}", times_faster(*seconds.values()), ""],
           ["ours", f"{1e3 * seconds['ours']:.3f}", "", f"{read / 1e9:.0f}"]])


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("PyTorch sees no card here")
    if why := cuda.missing():
        sys.exit(why)
    print(torch.cuda.get_device_name(), torch.version.cuda, torch.__version__)
    main()
