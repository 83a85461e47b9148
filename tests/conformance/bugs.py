"""
Each item's bug, planted: a check that passes a wrong version says nothing.  (Not here: the checks.)

Where the mistake can be made inside the real loop it is made there, at a seam that ours.py names; elsewhere a
function of the adapter is replaced.  {item: [(what is wrong, bug), ...]}; bug(adapter) is a context in which
there is an adapter with the mistake.
"""

import itertools
import json
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from safetensors.torch import load_file, save_file

from tests.conformance.interface import planted


def swapped(**makers):
    """The adapter with other functions, each made from the adapter as it is."""
    return lambda a: nullcontext(planted(a, **{name: make(a) for name, make in makers.items()}))


def inside(seam, wrap):
    """The adapter as it is, and another function inside the project."""
    @contextmanager
    def bug(a):
        with a.mistake(seam, wrap):
            yield a
    return bug


def everywhere(name, place):
    """The mask, an argument in this place, is 1 everywhere."""
    def make(a):
        right = getattr(a, name)
        return lambda *args: right(*(torch.ones_like(x) if i == place else x for i, x in enumerate(args)))
    return swapped(**{name: make})


# ---- tensors ---------------------------------------------------------------------------------------------

def at_the_last_column(score_B, kl_BT, mask_BT, beta):
    rewards_BT = torch.where(mask_BT > 0, -beta * kl_BT, 0.0)
    rewards_BT[:, -1] += score_B
    return rewards_BT


def unbiased(x_BT, mask_BT, shift_mean):
    centred_BT = x_BT - x_BT[mask_BT > 0].mean()
    return centred_BT / ((centred_BT**2 * mask_BT).sum() / (mask_BT.sum() - 1)).sqrt()


def returns_of_whitened(a):
    def gae(rewards_BT, values_BT, mask_BT, gamma, lam):
        advantages_BT, _ = a.gae(rewards_BT, values_BT, mask_BT, gamma, lam)
        return advantages_BT, a.whiten(advantages_BT, mask_BT) + values_BT
    return gae


def smaller_of_two(logp, old, advantages, mask, clip):
    rho = (logp - old).exp()
    smaller = torch.minimum(-advantages * rho, -advantages * rho.clamp(1 - clip, 1 + clip))
    return (smaller * mask).sum() / mask.sum()


def times_the_mask(values, old, returns, mask, clip):
    return (0.5 * (values - returns) ** 2 * mask).sum() / mask.sum()


# ---- loops -----------------------------------------------------------------------------------------------

def cut_at_pad(a):
    return lambda rows: [a.plain_score(prompt + (answer[:answer.index(0)] if 0 in answer else answer))
                         for prompt, answer in rows]


def stays_switched(right):
    def adapter(model, name):
        for layer in model.modules():
            if name and hasattr(layer, "active"):
                layer.active = name
        return nullcontext(model)
    return adapter


def nudges_the_trunk(right):
    def update(of, *rest):
        metrics = right(of, *rest)
        of.trunk.embed.weight.data += 1e-6
        return metrics
    return update


def thaws_the_trunk(right):
    def backward(of, *rest):
        of.trunk.requires_grad_(True)
        return right(of, *rest)
    return backward


def own_count(right):
    def backward(of, batch, part, count, *rest):
        return right(of, batch, part, batch.mask_BT[part].sum(), *rest)
    return backward


def last_of_the_batch(right):
    return lambda model, head, batch: head(model.read(batch))[-1:].expand(len(batch.lengths))


def at_temperature_1(right):
    return lambda of, name, rows, cfg, run: right(of, name, rows, replace(cfg, temperature=1.0), run)


def endless(right):
    return lambda *args, eos_id, **rest: right(*args, **rest)


def cut_by_top_p(right):
    return lambda *args, **rest: right(*args, top_p=0.5, **rest)


def deaf_to_seeds(right):
    return lambda *args, seed, **rest: right(*args, **rest)


def as_one_text(right):
    return lambda q, k, v, lengths, *rest: right(q, k, v, [sum(lengths)], *rest)


def one_late(right):
    def positions(lengths, cache, device):
        return right(lengths, cache, device) + (cache is not None and cache.length_B is not None)
    return positions


def cut_at_the_end(right):
    return lambda ids, answer, n, template: (ids[:n], answer[:n])


def drifting(right):
    calls = itertools.count()
    return lambda *args: right(*args) / (1 + 0.01 * next(calls))


def counts_its_calls(right):
    calls = itertools.count()
    return lambda step, *rest: right(next(calls), *rest)


def forgets_momentum(checkpoints):
    for path in checkpoints.rglob("state.safetensors"):
        tensors = load_file(path)
        save_file({name: x * (not name.endswith("exp_avg")) for name, x in tensors.items()}, path)


def forgets_beta(checkpoints):
    for path in checkpoints.rglob("state.json"):
        saved = json.loads(path.read_text())
        path.write_text(json.dumps(saved | {"state": saved["state"] | {"beta": 9.0}}))


def silent(a):
    def load(kind, records):
        try:
            return a.load(kind, records)
        except ValueError:
            return len(records), 0
    return load


def sees_the_prompt(a):
    return lambda prompt, answer: 0.0 if a.end_id in prompt else a.penalty(prompt, answer)


def without_cue(a):
    return lambda messages: a.stages(messages) | {"PPO": a.stages(messages)["PPO"][:-1]}


BUGS = {
    1: [("a token's own logits", swapped(answer_logp=lambda a: lambda logits, *rest: a.answer_logp(
        [x.roll(1, 0) for x in logits], *rest)))],
    2: [("prompts are scored", swapped(answer_logp=lambda a: lambda logits, rows, t: a.answer_logp(
        logits, [(ids, 1) for ids, _ in rows], t)))],
    3: [*((f"no mask in {name}", everywhere(name, place)) for name, place in
          (("gae", 2), ("whiten", 1), ("policy_loss", 3), ("value_loss", 3))),
        ("answers go on", inside("generate", endless))],
    4: [("in the last column", swapped(rewards=lambda a: at_the_last_column))],
    5: [("the last token of the batch", inside("last_token_score", last_of_the_batch))],
    6: [("the text ends at a pad", swapped(scores=cut_at_pad))],
    7: [("in training mode", swapped(if_training=lambda a: True))],
    8: [("log-probs", swapped(answer_logp=lambda a: lambda x, rows, t: a.answer_logp(x, rows, 1.0))),
        ("rollouts", inside("rollout_logp", at_temperature_1))],
    9: [("top-p 0.5", inside("generate", cut_by_top_p))],
    10: [("no mask", everywhere("gae", 2)),
         ("the next column's V", swapped(gae=lambda a: lambda r, v, *x: a.gae(r, v.roll(-1, 1), *x)))],
    11: [("of whitened ones", swapped(gae=returns_of_whitened))],
    12: [("no mask", everywhere("whiten", 1)), ("none", inside("whiten", lambda right: lambda x, m: x))],
    13: [("n - 1", swapped(whiten=lambda a: unbiased))],
    14: [("a shift", swapped(whiten=lambda a: lambda x, m, shift: a.whiten(x, m, True)))],
    15: [("swapped", swapped(kl=lambda a: lambda p, q, kind: a.kl(q, p, kind)))],
    16: [("k3 for k2", swapped(kl=lambda a: lambda p, q, kind: a.kl(p, q, "k3" if kind == "k2" else kind)))],
    17: [("a mean of 5 tokens", swapped(betas=lambda a: lambda kls, *x: a.betas([k / 5 for k in kls], *x)))],
    18: [("the new", swapped(value_loss=lambda a: lambda v, old, *x: a.value_loss(v, v.detach(), *x)))],
    19: [("no half", swapped(value_loss=lambda a: lambda *args: 2 * a.value_loss(*args))),
         ("no mask", everywhere("value_loss", 3))],
    20: [("the smaller of two", swapped(policy_loss=lambda a: smaller_of_two))],
    21: [("each part's count", inside("backward", own_count))],
    22: [("each process's count", inside("backward", own_count))],
    23: [("times the mask", swapped(value_loss=lambda a: times_the_mask))],
    24: [("the trunk is nudged", inside("update", nudges_the_trunk))],
    25: [("never switched back", inside("adapter", stays_switched))],
    26: [("a trunk that thaws", inside("backward", thaws_the_trunk))],
    27: [("nothing is loaded", inside("load_head", lambda right: lambda head, path: head))],
    28: [("texts see each other", inside("attention", as_one_text))],
    29: [("one position late", inside("positions", one_late))],
    30: [("the end is cut", inside("fit", cut_at_the_end))],
    31: [("the prompt counts", swapped(penalty=sees_the_prompt))],
    32: [("the last turn", swapped(prompt_text=lambda a: lambda talk, n: a.prompt_text(talk[-1:], n)))],
    33: [("no cue in PPO", swapped(stages=without_cue))],
    34: [("in silence", swapped(load=silent))],
    35: [("texts see each other", inside("attention", as_one_text))],
    36: [("half of it", inside("delta", lambda right: lambda layer, name: right(layer, name) / 2))],
    37: [("one seed for all", inside("generate", deaf_to_seeds))],
    38: [("it drifts", inside("score", drifting))],
    39: [("no momentum", swapped(if_tampered=lambda a: forgets_momentum)),
         ("another beta", swapped(if_tampered=lambda a: forgets_beta))],
    40: [("by the process, not the run", inside("learning_rate", counts_its_calls))],
    41: [("the oldest are kept", inside("newest", lambda right: lambda ids, n, template: ids[:n]))],
    42: [("in silence", swapped(load=lambda a: lambda kind, records: (len(records), 0)))],
    43: [("a squared error", swapped(accuracy=lambda a: lambda groups: sum(
        (good - bad - 1) ** 2 for good, bad in groups) / len(groups)))],
    44: [("always 0.1", swapped(rewards=lambda a: lambda s, kl, m, beta: a.rewards(s, kl, m, 0.1)))],
    45: [("advantages of 0", inside("whiten", lambda right: lambda x, m: x * 0))]}
