"""
The reward head, its loss and what is measured of it.  (Not here: LoRA, data, the training loop; see
probes.py for what accuracy does not show.)

    r(x, y) = w . h_last + b      h_last: hidden state at the last token of the answer y to prompt x
    loss    = mean over pairs i < j of  -log sigmoid(r_i - r_j - margin) + c (r_i + r_j)^2,   y_1 the best
                                  InstructGPT (Ouyang 2022), eq. 1; margin: Llama 2 (Touvron 2023), eq. 2;
                                  centring c: Eisenstein 2023, section 5 (a score's zero is free otherwise)

A prompt with K ranked answers gives K (K - 1) / 2 pairs, less those of equal rank, and its loss is their
mean: a prompt counts once, however many answers it has.  After training, w and b are scaled so that the
SFT model's answers score 0 on average, with deviation 1.  The same head at every token is PPO's value
function.

Letters: N tokens, D model width, B answers, K answers of one prompt, P pairs.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from clinicalgpt.weights import save_tensors


class ScalarHead(nn.Module):
    """One number a hidden state, in float32.  Starts at N(0, 1 / (D + 1)),
    as in OpenAI's summarize-from-feedback."""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.normal_(self.linear.weight, std=(width + 1) ** -0.5)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden_ND):
        with torch.autocast(hidden_ND.device.type, enabled=False):
            return self.linear(hidden_ND.to(self.linear.weight.dtype)).squeeze(-1)

    @torch.no_grad()
    def normalise(self, score_B):
        """From now on these scores are 0 on average and 1 in deviation; order and differences' signs stay
        (Stiennon 2020, section 3.4)."""
        std = score_B.std(correction=0).clamp(min=1e-3)
        self.linear.weight /= std
        self.linear.bias.copy_((self.linear.bias - score_B.mean()) / std)

    def save(self, path):
        save_tensors(self.state_dict(), path)

    def load(self, path):
        """Fill from head.safetensors; a missing, surplus or misshapen tensor is an error,
        never a fresh start."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file; a reward run holds its head there")
        try:
            self.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise ValueError(f"{path}: not the head of this model ({' '.join(str(error).split())})") from None
        return self


def last_token_score(model, head, batch):
    """The head at the last token of each sequence of a dataset.Pack: (B,)."""
    return head(model.read(batch)[batch.last_B])


def pairs(rank_K):
    """(better_P, worse_P): which answers of one prompt are to be compared.  Ranks rise from the best; equal
    ones make no pair."""
    i_P, j_P = torch.triu_indices(len(rank_K), len(rank_K), offset=1)
    rank_K = torch.as_tensor(rank_K, dtype=torch.float64)
    differ = rank_K[i_P] < rank_K[j_P]
    return i_P[differ], j_P[differ]


def ranking_loss(score_K, rank_K=None, margin=0.0, centring=0.0):
    """Mean over the pairs of one prompt's answers, scores in order from best to worst (rank_K: with ties).
    No pair: 0."""
    better, worse = (x.to(score_K.device) for x in pairs(range(len(score_K)) if rank_K is None else rank_K))
    if not len(better):
        return score_K.sum() * 0
    loss = -F.logsigmoid(score_K[better] - score_K[worse] - margin).mean()
    return loss + centring * (score_K[better] + score_K[worse]).square().mean() if centring else loss


def calibration(gaps, bins=10):
    """(expected calibration error, [(confidence, accuracy, pairs), ...]) of the model's word on pairs, gaps
    being r_better - r_worse: it says with confidence sigmoid(|gap|) which is better, and is right where gap
    is above 0 (half right at 0).  Bins are equal parts of [1/2, 1] (Guo 2017, eq. 3)."""
    gap_P = torch.as_tensor(gaps, dtype=torch.float64)
    confidence_P, right_P = gap_P.abs().sigmoid(), (gap_P.sign() + 1) / 2
    bin_P = ((2 * confidence_P - 1) * bins).long().clamp(max=bins - 1)
    curve = [(confidence_P[bin_P == i].mean().item(), right_P[bin_P == i].mean().item(), n)
             for i, n in enumerate(bin_P.bincount(minlength=bins).tolist()) if n]
    return sum(n * abs(confidence - right) for confidence, right, n in curve) / max(len(gap_P), 1), curve
