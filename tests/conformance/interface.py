"""
What the 45 items ask of a project, and how they ask it.  (Not here: the items, see tensors.py, pipelines.py
and runs.py; the projects, see ours.py and *_adapter.py.)

An adapter puts a project's published functions behind the names below, in one convention: float64, rows
(B, T) right-padded, column t speaks of choosing token t + 1, mask 1 counts and 0 does not, means are over the
tokens that count, nats.  A project that says otherwise (a sum, another mask) is translated; what it computes
is not.  What a project has no function for is Missing, with the reason.

    a check asserts, with what was seen in the message:   passes | fails | has no such function
"""

import copy
import math
from dataclasses import dataclass

import torch


class Missing(Exception):
    """The project has no such function, or none that can be called; says which."""


def _missing(says):
    def method(self, *args, **kwargs):
        raise Missing(self.reasons.get(says, "no such function"))
    method.__name__, method.__doc__ = says, "Missing."
    return method


class Adapter:
    """A project.  `reasons` tells, for a function that it lacks, where its code is instead; `remarks`, of an
    item, why it comes out as it does; `precision` is that in which it computes, whatever it is given."""
    name, version, reasons, remarks, precision = "", "", {}, {}, 1e-9

    # tensors
    answer_logp = _missing("answer_logp")           # (logits, rows, temperature) -> log-probs of the answers
    kl = _missing("kl")                             # (logp_BT, ref_logp_BT, "k1" | "k2" | "k3") -> (B, T)
    rewards = _missing("rewards")                   # (score_B, kl_BT, mask_BT, beta) -> (B, T)
    gae = _missing("gae")                           # (rewards_BT, values_BT, mask_BT, gamma, lam) -> (A, R)
    whiten = _missing("whiten")                     # (x_BT, mask_BT, shift_mean) -> (B, T)
    policy_loss = _missing("policy_loss")           # (logp_BT, old_logp_BT, advantages_BT, mask_BT, clip)
    value_loss = _missing("value_loss")             # (values_BT, old_values_BT, returns_BT, mask_BT, clip)
    betas = _missing("betas")                       # (KLs a sequence, beta, target, horizon, n) -> betas
    ranking_loss = _missing("ranking_loss")         # (scores, best first; ranks, equal for ties) -> loss
    accuracy = _missing("accuracy")                 # [scores, best first], ... -> share of pairs in order

    # models and runs
    answers = _missing("answers")                   # (prompts, seed) -> sampled answers; end_id ends them
    rollout_tokens = _missing("rollout_tokens")     # n -> (n tokens drawn where all are as likely, how many)
    rollout_advantages = _missing("rollout_advantages")     # tokens of a forward pass -> those that count
    first_iteration = _missing("first_iteration")   # (dropout, temperature) -> (ratio_M, k1_M), no update
    scores = _missing("scores")                     # [(prompt, answer)] as one batch -> the reward model's
    plain_score = _missing("plain_score")           # ids, alone: the model's head at the last of them
    penalty = _missing("penalty")                   # (prompt, answer) -> what is taken for not having ended
    gradient = _missing("gradient")                 # parts of 8 rollouts, each a forward pass -> the gradient
    rank_gradient = _missing("rank_gradient")       # parts of 8 rollouts, each a process's -> the gradient
    ten_updates = _missing("ten_updates")           # -> {"still" | "moving": (before, after)}, tensors
    new_roles = _missing("new_roles")               # -> a function of role_names that gives their outputs
    learners = _missing("learners")                 # whether the policy learns -> who got a gradient
    head_again = _missing("head_again")             # None or a wrong change -> (head, as loaded), tensors
    logits_behind = _missing("logits_behind")       # (family, n) -> (T, V) with n tokens or pads before them
    decoded = _missing("decoded")                   # family -> (by cache, by full forward, largest gap)
    truncated = _missing("truncated")               # (messages, max_len) -> (ids, scored)
    prompt_text = _missing("prompt_text")           # (messages, max_len) -> what the policy is asked
    stages = _missing("stages")                     # messages -> {stage: ids or text up to the last answer}
    load = _missing("load")                         # ("dialogues" or "preferences", records) -> (kept, not)
    losses = _missing("losses")                     # [ids], in one pack -> the loss of each
    merged = _missing("merged")                     # -> {"adapter", "merged": logits, "base", "restored"}
    normaliser = _missing("normaliser")             # -> scores of the reference's answers, at first and later
    training = _missing("training")                 # (stop after, tokens of a forward) -> (weights, rates)
    learns = _missing("learns")                     # seed -> (first, last) score, of an optimum of 1

    special_ids = (0, 1, 2, 3)                      # pad, begin, end, unknown: what may stand in a text
    end_id, role_names, families = 2, (), ()

    def has(self, *names):
        """Whether these functions are there."""
        return all(getattr(getattr(self, name), "__doc__", "") != "Missing." for name in names)


def planted(adapter, **functions):
    """The adapter with some of its functions replaced: a bug."""
    buggy = copy.copy(adapter)
    vars(buggy).update(functions)
    return buggy


@dataclass(frozen=True)
class Item:
    number: int
    breaks: str
    check: object


ITEMS = {}


def item(number, breaks):
    def register(check):
        ITEMS[number] = Item(number, breaks, check)
        return check
    return register


def outcome(adapter, number):
    """("pass" | "fails" | "none", what was seen or why)."""
    try:
        return "pass", ITEMS[number].check(adapter) or ""
    except AssertionError as seen:
        return "fails", " ".join(str(seen).split())
    except Missing as reason:
        return "none", str(reason)


# ---- how checks compare ----------------------------------------------------------------------------------

def same(seen, expected, what, tolerance=1e-9):
    """Assert that numbers agree; what is said otherwise is where they differ most."""
    seen, expected = (torch.as_tensor(x if torch.is_tensor(x) else torch.tensor(x, dtype=torch.float64))
                      .detach().double().flatten() for x in (seen, expected))
    assert len(seen) == len(expected), f"{what}: {len(seen)} numbers, not {len(expected)}"
    gap = torch.where(seen == expected, 0.0, (seen - expected).abs()).nan_to_num(nan=math.inf)
    if len(gap) and not (gap <= tolerance * (1 + expected.abs())).all():
        i = int(gap.argmax())
        digits = 4 if f"{seen[i]:.4g}" != f"{expected[i]:.4g}" else 12
        raise AssertionError(f"{what}: {seen[i]:.{digits}g}, not {expected[i]:.{digits}g}")


def bits(seen, expected, what):
    off = (seen - expected).abs().max()
    assert torch.equal(seen, expected), f"{what}: not the same bits, off by {off:.2g}"


def raises(call, what, *says):
    """Assert that the call refuses, with a ValueError in which these words stand."""
    try:
        result = call()
    except ValueError as error:
        assert all(word in str(error) for word in says), f"{what}: the error says {str(error)!r}"
    else:
        raise AssertionError(f"{what}: taken in silence ({result})")
