"""
The vocabulary's log-probabilities: ours against logits of all tokens and PyTorch's cross-entropy.

    python benchmarks/head.py [--bfloat16]      about 5 minutes on two cores and 9 GB; needs no peer

BLOOM-560m's unembedding (250,880 x 1,024), frozen as under LoRA and trained, 1,024 tokens of which 40 % are
scored; loss and its gradients.  The limits are the products for the scored tokens alone, at the pace of a
large one: logits, their gradient times W and, where W is trained, times the hidden states.  bfloat16 only if
asked for: on a CPU without avx512_bf16 the peer takes an hour.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.attention import pace  # noqa: E402
from benchmarks.measure import medians, peak, table, times_faster  # noqa: E402
from kernels.head import token_logp  # noqa: E402

N, V, D = 1024, 250880, 1024


def main(dtype):
    generator = torch.Generator().manual_seed(0)
    weight_VD = (torch.randn(V, D, generator=generator) * 0.02).to(dtype)
    hidden_ND = torch.randn(N, D, generator=generator).to(dtype).requires_grad_()
    targets_N = torch.randint(V, (N,), generator=generator)
    scored_M = (torch.rand(N, generator=generator) < 0.4).nonzero().squeeze(1)
    labels_N = torch.full_like(targets_N, -100).index_copy(0, scored_M, targets_N[scored_M])

    def plain():
        return F.cross_entropy((hidden_ND @ weight_VD.T).float(), labels_N)

    def plain_scored():
        return F.cross_entropy((hidden_ND[scored_M] @ weight_VD.T).float(), targets_N[scored_M])

    def ours():
        return -token_logp(hidden_ND[scored_M], weight_VD, targets_N[scored_M]).mean()

    ways = {"logits of all tokens": plain, "logits of scored tokens": plain_scored, "ours": ours}
    print(f"{str(dtype).removeprefix('torch.')}, {len(scored_M)} of {N} scored\n")
    for name, learns, products in (("W frozen", [hidden_ND], 2), ("W trained", [hidden_ND, weight_VD], 3)):
        weight_VD.requires_grad_(len(learns) > 1)
        works = {way: lambda loss=loss, learns=learns: torch.autograd.grad(loss(), learns)
                 for way, loss in ways.items()}
        gradients = {way: work()[0] for way, work in works.items()}
        exact = gradients["logits of all tokens"]
        seconds, memory = medians(works), {way: peak(work) for way, work in works.items()}
        rows = [[way, f"{seconds[way]:.2f}", f"{memory[way] / 2**20:.0f}",
                 times_faster(seconds[way], seconds["ours"]), f"{memory[way] / memory['ours']:.1f}x",
                 f"{(gradients[way] - exact).norm() / exact.norm():.0e}"] for way in ways]
        rows.append(["limit", f"{products * len(scored_M) * V * D / pace():.2f}", "", "", "", ""])
        table([name, "s", "MiB", "ours is", "in memory", "gradient differs by"], rows)


if __name__ == "__main__":
    main(torch.bfloat16 if "--bfloat16" in sys.argv[1:] else torch.float32)
