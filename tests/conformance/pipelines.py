"""
The items that need a model: scores, rollouts, updates, roles, decoding.  (Not here: what needs tensors alone,
see tensors.py; data and whole runs, see runs.py.)

Where two ways must agree (alone and in a batch, cached and not, merged and not), the adapter goes both and
the check compares.  What is right by itself (a score, a penalty) is worked out here.
"""

import itertools
import random

import torch

from tests.conformance.interface import Missing, bits, item, raises, same
from tests.conformance.tensors import ROWS, expected_logp, said_after

PARTS = [[[0, 1, 2, 3], [4, 5, 6, 7]], [[0], [1, 2, 3, 4, 5, 6], [7]], [[i] for i in range(8)]]


def whatever_there_is(*checks):
    """Make these checks, those that the project has no functions for left out; which they were."""
    made, reasons = [], []
    for check in checks:
        try:
            check()
            made.append(check.__name__.replace("_", "-"))
        except Missing as missing:
            reasons.append(missing)
    if not made:
        raise reasons[0]
    return "on " + ", ".join(made)


# ---- the reward model's score ----------------------------------------------------------------------------

def tokens(n, seed):
    return random.Random(seed).choices(range(4, 50), k=n)


@item(5, "the score is read in the last column, not at the last token")
def item_05_score_of_last_column(a):
    """One row's score is the head at its own last token, alone, in a batch of uneven rows, in any order."""
    rows = [(tokens(p, p), tokens(n, 9 + n)) for p, n in ((3, 4), (1, 1), (6, 2), (2, 9))]
    alone = [a.plain_score(prompt + answer) for prompt, answer in rows]
    assert len({round(x, 6) for x in alone}) == len(rows), f"scores that do not depend on the text: {alone}"
    for order in ([0], [1], range(4), (3, 1, 0, 2)):
        seen = a.scores([rows[i] for i in order])
        same(seen, [alone[i] for i in order], f"scores of rows {list(order)} as a batch", 1e-5)


@item(6, "the last token is found by searching the pad id")
def item_06_search_for_pad(a):
    """Special ids (pad and end too) inside a text, and as its last token, change nothing."""
    for special in a.special_ids:
        rows = [(tokens(3, 1), [7, special, 9, 11]), (tokens(5, 2), [13, special]), (tokens(2, 3), [21])]
        expected = [a.plain_score(prompt + answer) for prompt, answer in rows]
        same(a.scores(rows), expected, f"score of a text with id {special} in it", 1e-5)


# ---- rollouts --------------------------------------------------------------------------------------------

@item(7, "dropout is active")
def item_07_dropout(a):
    """With dropout 0.1 in the config the first iteration's ratios are 1 within 1e-6."""
    ratio_M, _ = a.first_iteration(0.1, 1.0)
    same(ratio_M, torch.ones_like(ratio_M), "a first ratio at dropout 0.1", 1e-6)


@item(8, "the temperature is in the sampling only")
def item_08_temperature(a):
    """At temperature 0.5 log-probs are those of softmax(z / 0.5); ratios are 1; a new policy's KL is 0."""
    def log_probs():
        logits = [said_after(ids, i) for i, (ids, _) in enumerate(ROWS)]
        seen = a.answer_logp(logits, ROWS, 0.5)
        same(seen, expected_logp([x.detach() for x in logits], 0.5), "log-probs at temperature 0.5", 1e-5)

    def rollouts():
        ratio_M, k1_M = a.first_iteration(0.0, 0.5)
        same(ratio_M, torch.ones_like(ratio_M), "a first ratio at temperature 0.5", 1e-6)
        same(k1_M, torch.zeros_like(k1_M), "KL of a new policy at temperature 0.5", 1e-6)
    return whatever_there_is(log_probs, rollouts)


@item(9, "sampling is truncated, log-probs are not")
def item_09_truncated_sampling(a):
    """Where all tokens are as likely, 20 draws a token leave one out with probability below 1e-6."""
    drawn, vocabulary = a.rollout_tokens(2000)
    assert len(drawn) >= 20 * vocabulary, f"{len(drawn)} draws of {vocabulary} tokens are too few to tell"
    assert len(set(drawn)) == vocabulary, f"{len(set(drawn))} of {vocabulary} tokens were ever drawn"


@item(31, "an end token in the prompt counts as having finished")
def item_31_end_in_prompt(a):
    for prompt in ([4, a.end_id, 7], [4, 6, 7]):
        seen = [a.penalty(prompt, [9, last]) for last in (5, a.end_id)]
        assert seen[0] > 0.5 and abs(seen[1]) < 1e-6, f"prompt {prompt}: {seen[0]:.3g} is taken from an " \
            f"answer without an end, {seen[1]:.3g} from one with it"


@item(37, "every process samples the same")
def item_37_same_rollouts(a):
    """Answers to one prompt differ by place and by seed, and repeat where both are the same."""
    prompts = [[5, 6, 7]] * 8
    first, again, other = (a.answers(prompts, seed=seed) for seed in (1, 1, 2))
    assert first == again, "the same seed gives other answers"
    assert len(set(map(tuple, first))) > 4, f"{len(set(map(tuple, first)))} different answers of 8"
    assert not set(map(tuple, first)) & set(map(tuple, other)), "two seeds give an answer in common"


# ---- updates ---------------------------------------------------------------------------------------------

@item(21, "a mean of micro-batches' means")
def item_21_micro_batches(a):
    """8 rollouts of uneven lengths in one forward pass, or in several: one gradient."""
    whole = a.gradient([list(range(8))])
    assert whole.abs().max() > 0, "no gradient at all"
    for parts in PARTS:
        same(a.gradient(parts), whole, f"gradient in {len(parts)} parts", max(a.precision, 1e-8))


@item(22, "a mean of processes' means")
def item_22_processes(a):
    """8 rollouts of uneven lengths on one process, or shared by two: one gradient."""
    whole = a.rank_gradient([list(range(8))])
    assert whole.abs().max() > 0, "no gradient at all"
    seen = a.rank_gradient([[0, 1, 2], [3, 4, 5, 6, 7]])
    same(seen, whole, "gradient of two processes", max(a.precision, 1e-8))


@item(24, "the reference moves")
def item_24_reference_moves(a):
    """Ten updates: trunk, reward model and the reference's log-probs are the same bits; the policy moved."""
    found = a.ten_updates()
    for before, after in zip(*found["still"], strict=True):
        bits(after, before, "a tensor of trunk, reference or reward model after ten updates")
    for before, after in zip(*found["moving"], strict=True):
        assert not torch.equal(before, after), "policy or value function: nothing has moved in ten updates"


@item(25, "adapters leak between roles")
def item_25_roles_leak(a):
    """Roles called in any order give what each gives alone, to the bit."""
    alone = {name: a.new_roles()(name) for name in a.role_names}
    for one, other in itertools.combinations(a.role_names, 2):
        assert alone[one].shape != alone[other].shape or not torch.equal(alone[one], alone[other]), \
            f"{one} and {other} are the same"
    call = a.new_roles()
    for name in random.Random(0).sample(a.role_names * 5, k=5 * len(a.role_names)):
        bits(call(name), alone[name], f"{name} after other roles")


@item(26, "a gradient reaches the trunk or another role's adapter")
def item_26_gradient_astray(a):
    for policy_learns, expected in ((True, {"policy", "value"}), (False, {"value"})):
        seen = a.learners(policy_learns)
        assert seen == expected, f"gradient in {sorted(seen)}, not in {sorted(expected)} alone"


@item(45, "it learns nothing")
def item_45_learns(a):
    """An answer scores the share of its tokens that are of a set, a half of the vocabulary: 0.95 within the
    adapter's steps, with 5 seeds of 5."""
    for seed in range(5):
        first, last = a.learns(seed)
        assert first < 0.7 and last >= 0.95, f"seed {seed}: score {first:.3f} at first, {last:.3f} at last"


# ---- models ----------------------------------------------------------------------------------------------

@item(27, "the value head starts anew on loading")
def item_27_head_again(a):
    head, again = a.head_again(None)
    for before, after in zip(head, again, strict=True):
        bits(after, before, "a head as loaded")
    for wrong in ("missing", "surplus", "misshapen"):
        raises(lambda wrong=wrong: a.head_again(wrong), f"a head with a {wrong} tensor")


@item(28, "left padding moves positions")
def item_28_left_padding(a):
    """0, 3 or 17 tokens (of another text, or pads) before a text leave its logits."""
    for family in a.families or [None]:
        alone = a.logits_behind(family, 0)
        for n in (3, 17):
            same(a.logits_behind(family, n), alone, f"logits of {family} behind {n} tokens", 1e-6)
    return "on " + ", ".join(a.families)


@item(29, "decoding with a cache differs from the full forward")
def item_29_cache(a):
    for family in a.families or [None]:
        cached, full, gap = a.decoded(family)
        assert cached == full, f"{family}: greedy tokens {cached}, by full forward {full}"
        assert gap < 1e-6, f"{family}: logits differ by {gap:.2g}"
    return "on " + ", ".join(a.families)


@item(36, "merged LoRA differs")
def item_36_merge(a):
    found = a.merged()
    same(found["merged"], found["adapter"], "logits with the adapter merged", 1e-5)
    assert not torch.allclose(found["adapter"], found["bare"]), "the adapter changes nothing"
    for before, after in zip(found["base"], found["restored"], strict=True):
        bits(after, before, "a weight of the base after undoing the merge")
