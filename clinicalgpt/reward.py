"""
The reward head and its loss.  (Not here: LoRA, data, the training loop.)

    r(x, y) = w . h_last          h_last: hidden state at the last token of the answer y to prompt x
    loss    = mean over pairs i < j of -log sigmoid(r(x, y_i) - r(x, y_j)),   y_1 the best
                                  InstructGPT (Ouyang 2022), eq. 1

A prompt with K ranked answers gives K (K - 1) / 2 pairs, and its loss is their mean: a prompt counts once,
however many answers it has.  The same head read at every token is the value function of PPO.

Letters: N tokens of all answers laid end to end, D model width, B answers, K answers of one prompt.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn


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

    def save(self, path):
        save_file(self.state_dict(), path)

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


def last_token_score(hidden_ND, lengths, head):
    """The head at the last token of each sequence: (B,)."""
    last_index_B = torch.as_tensor(lengths, device=hidden_ND.device).cumsum(0) - 1
    return head(hidden_ND[last_index_B])


def ranking_loss(score_K):
    """Mean over the pairs of one prompt's answers, scores in order from best to worst.
    Fewer than two answers: 0."""
    better, worse = torch.triu_indices(len(score_K), len(score_K), offset=1, device=score_K.device)
    if not len(better):
        return score_K.sum() * 0
    return -F.logsigmoid(score_K[better] - score_K[worse]).mean()


def pair_accuracy(score_K, kinds):
    """{(kind of the better, kind of the worse): 1.0 right, 0.5 tied, 0.0 wrong}
    for the pairs of one prompt."""
    return {(kinds[i], kinds[j]): float(score_K[i] > score_K[j]) + 0.5 * float(score_K[i] == score_K[j])
            for i in range(len(kinds)) for j in range(i + 1, len(kinds))}
