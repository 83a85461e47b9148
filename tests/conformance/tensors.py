"""
The items that need nothing but tensors: log-probabilities, KL, rewards, advantages, losses.  (Not here: what
needs a model or a run, see pipelines.py.)

Expected values are plain Python loops from the formulas (tests/reference.py) or worked out by hand.  Results
are compared where the mask is 1; what a project leaves elsewhere is its own affair, as long as it goes
nowhere (item 3).
"""

import math

import torch

from tests import reference
from tests.conformance.interface import Missing, bits, item, same
from tests.reference import mask_of, padded, random_rows

LENGTHS = (5, 1, 3, 7)
LOGP, NOISE, ADVANTAGES, VALUES, RETURNS, REWARDS, KL = (random_rows(LENGTHS, seed) for seed in range(7))
OLD_LOGP, OLD_VALUES = ([[a + 0.3 * b for a, b in zip(*pair)] for pair in zip(rows, NOISE)]
                        for rows in (LOGP, VALUES))
SCORES, MASK, CLIP = [2.0, -1.0, 0.5, 3.0], mask_of(LOGP), 0.2
ROWS = [([3, 1, 4, 1, 5], 2), ([2, 6], 1), ([5, 3, 5, 8, 0, 7], 4)]            # (ids, tokens of the prompt)


def rollouts(seed=20):
    """Eight answers of uneven lengths: log-probs, old ones, advantages, mask."""
    lengths = (5, 1, 3, 7, 2, 9, 4, 1)
    rows = [random_rows(lengths, seed + i, scale) for i, scale in enumerate((1.0, 0.3, 1.0))]
    return padded(rows[0]), padded(rows[0]) + padded(rows[1]), padded(rows[2]), mask_of(rows[0])


def counted(x_BT, mask_BT=MASK):
    return torch.as_tensor(x_BT)[mask_BT > 0]


# ---- which token, at which position ----------------------------------------------------------------------

def said_after(ids, seed):
    """Random logits (T, 9): what a model says after each token of a row."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(ids), 9, generator=generator, dtype=torch.float64).requires_grad_()


def expected_logp(logits, temperature):
    return [math.log(reference.softmax(row[t - 1].tolist(), temperature)[ids[t]])
            for row, (ids, start) in zip(logits, ROWS) for t in range(start, len(ids))]


@item(1, "logits and tokens are off by one")
def item_01_off_by_one(a):
    """A model whose next-token table is known: the log-prob of a token is that of the row before it."""
    logits = [said_after(ids, i) for i, (ids, _) in enumerate(ROWS)]
    same(a.answer_logp(logits, ROWS, 1.0), expected_logp(logits, 1.0), "log-probs of answers", 1e-5)


@item(2, "prompt tokens are in the loss")
def item_02_prompt_in_loss(a):
    """A gradient reaches the logits one before each token of the answer, and no others."""
    logits = [said_after(ids, i) for i, (ids, _) in enumerate(ROWS)]
    a.answer_logp(logits, ROWS, 1.0).sum().backward()
    for row, (ids, start) in zip(logits, ROWS):
        reached = row.grad.any(1).nonzero().flatten().tolist()
        assert reached == list(range(start - 1, len(ids) - 1)), f"gradient at logits {reached} of {ids}"


# ---- what stands after the end ---------------------------------------------------------------------------

def results(a, fill, mask_BT=MASK, others=(-1, 2), only=""):
    """{function: tensors} of all that take rows, `fill` where the mask is 0: values, and gradients.  `others`
    times it fills what is not a model's newest word; `only` is in the functions' names."""
    def of(rows, times=1):
        return torch.where(mask_BT > 0, padded(rows), times * fill if times else 0.0)

    def loss(fn, *rows):
        x_BT, *others_BT = map(of, rows, (1, *others))
        total = fn(x_BT.requires_grad_(), *others_BT, mask_BT, CLIP)
        total.backward()
        return [total.detach(), x_BT.grad]
    score_B = torch.tensor(SCORES, dtype=torch.float64)
    given = {"rewards": lambda: [counted(a.rewards(score_B, of(KL), mask_BT, 0.1), mask_BT)],
             "gae": lambda: [counted(a.gae(of(REWARDS), of(VALUES, -1), mask_BT, 0.9, 0.95)[1], mask_BT)],
             "whiten": lambda: [counted(a.whiten(of(VALUES), mask_BT, True), mask_BT)],
             "policy_loss": lambda: loss(a.policy_loss, LOGP, OLD_LOGP, ADVANTAGES),
             "value_loss": lambda: loss(a.value_loss, VALUES, OLD_VALUES, RETURNS)}
    return {name: call() for name, call in given.items() if only in name and a.has(name)}


@item(3, "tokens after the end are in loss, KL or statistics")
def item_03_after_the_end(a):
    """Other numbers after the end: the same rewards, returns, losses and gradients, to the bit; and a rollout
    holds nothing after its end token."""
    before, sampled = results(a, 0.0), a.has("answers")
    if not before and not sampled:
        raise Missing("none of the functions that would show it")
    for fill in (7.0, -300.0):
        for name, tensors in results(a, fill).items():
            for seen, expected in zip(tensors, before[name]):
                bits(seen, expected, f"{name} with {fill} after the end")
    for row in a.answers([[5, 6, 7]] * 40, seed=3) if sampled else ():
        assert a.end_id not in row[:-1], f"an answer goes on after its end: {row}"
    return "on " + ", ".join([*before, *["rollouts"] * sampled])


@item(4, "the score lands on a pad, not on the last token")
def item_04_score_on_pad(a):
    """Four answers: ended in the middle, at once, in the middle, or cut off in the last column.  By hand:
    beta 0.5, scores 2 and -1."""
    for fill in (0.0, 7.0):
        rows = [reference.shaped_rewards(s, kl, 0.1) for s, kl in zip(SCORES, KL)]
        seen = a.rewards(torch.tensor(SCORES, dtype=torch.float64), padded(KL, fill), MASK, 0.1)
        same(counted(seen), counted(padded(rows)), "rewards", a.precision)
    kl_BT = torch.tensor([[1.0, 3.0, 9.0], [1.0, 0.0, -2.0]], dtype=torch.float64)
    mask_BT = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    seen = a.rewards(torch.tensor([2.0, -1.0], dtype=torch.float64), kl_BT, mask_BT, 0.5)
    same(counted(seen, mask_BT), [-0.5, 0.5, -0.5, 0.0, 0.0], "rewards by hand", a.precision)


# ---- advantages ------------------------------------------------------------------------------------------

@item(10, "GAE runs over pads")
def item_10_gae_over_pads(a):
    """The sum of deltas over the unpadded answer (A = R - V), whatever stands in the padding."""
    for gamma, lam in ((1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.7, 0.0)):
        expected = [reference.gae(r, v, gamma, lam)[0] for r, v in zip(REWARDS, VALUES)]
        for fill in (0.0, 7.0):
            advantages_BT, returns_BT = a.gae(padded(REWARDS, fill), padded(VALUES, fill), MASK, gamma, lam)
            what = f"advantages at gamma {gamma}, lambda {lam}, {fill} after the end"
            same(counted(returns_BT) - counted(padded(VALUES)), counted(padded(expected)), what, a.precision)
            if advantages_BT is not None:
                same(counted(advantages_BT), counted(padded(expected)), what, a.precision)


@item(11, "returns are made of whitened advantages")
def item_11_returns_of_whitened(a):
    """With lambda 1 the values drop out: returns are what is still to come, discounted."""
    returns_BT = a.gae(padded(REWARDS), padded(VALUES), MASK, 0.9, 1.0)[1]
    expected = [reference.discounted(row, 0.9) for row in REWARDS]
    same(counted(returns_BT), counted(padded(expected)), "returns", a.precision)


@item(12, "whitening counts pads, or a part of the batch alone")
def item_12_whitening_unmasked(a):
    """Columns of pads change nothing; mean 0, deviation 1 (by n or by n - 1); and rollouts are whitened over
    all of them, however they are cut into forward passes."""
    first, n = counted(a.whiten(padded(VALUES), MASK, True)), int(MASK.sum())
    for fill, columns in ((7.0, 0), (0.0, 12), (-9.0, 12)):
        mask_BT = mask_of(VALUES, columns)
        seen = counted(a.whiten(padded(VALUES, fill, columns), mask_BT, True), mask_BT)
        same(seen, first, f"whitened with {columns or 'no more'} columns of {fill}", a.precision)
    variance = float((first**2).mean())
    same(first.mean(), 0.0, "mean of whitened", a.precision)
    assert min(abs(variance - 1), abs(variance * n / (n - 1) - 1)) < 1e-6, f"variance {variance:.6g}"
    if a.has("rollout_advantages"):
        whole, parts = a.rollout_advantages(10_000), a.rollout_advantages(1)
        same(parts, whole, "rollouts whitened in parts", 1e-6)
        same(whole, reference.whiten(whole.tolist()), "rollouts' advantages whitened once more", 1e-5)


@item(13, "whitening one token gives NaN")
def item_13_whitening_one_token(a):
    seen = a.whiten(torch.tensor([[3.0, 9.0]]), torch.tensor([[1.0, 0.0]]), True)
    assert torch.isfinite(seen[0, 0]), f"one token of 3.0 whitened is {seen[0, 0].item()}"


@item(14, "whitening rewards shifts their mean")
def item_14_reward_whitening(a):
    seen, x = counted(a.whiten(padded(VALUES), MASK, False)), counted(padded(VALUES))
    same(seen.mean(), x.mean(), "mean after whitening without a shift", a.precision)
    assert abs(seen.var() - 1) < 0.1, f"variance {seen.var():.3g} after whitening without a shift"


# ---- KL --------------------------------------------------------------------------------------------------

def two_policies(n=8):
    theta, other = (torch.tensor(row).double() for row in random_rows((n, n), seed=9, scale=0.7))
    return theta, theta.softmax(0), other.softmax(0)


def known(a, kinds):
    """Those of these estimates that the project has."""
    found, none = [], torch.zeros(1, 1)
    for kind in kinds:
        try:
            a.kl(none, none, kind)
            found.append(kind)
        except Missing as missing:
            reason = missing
    if not found:
        raise reason
    return found


@item(15, "a KL estimate has the wrong sign, or its arguments swapped")
def item_15_kl_sign(a):
    """Over 40,000 samples of p, k1 and k3 are KL(p || q) within 4 standard errors; k3 is never negative."""
    _, p, q = two_policies()
    sample = torch.multinomial(p, 40_000, replacement=True, generator=torch.Generator().manual_seed(0))[None]
    exact = reference.kl(p.tolist(), q.tolist())
    for kind in known(a, ("k1", "k3")):
        estimates = a.kl(p.log()[sample], q.log()[sample], kind)
        error = float(estimates.std()) / sample.numel() ** 0.5
        assert abs(estimates.mean() - exact) < 4 * error, f"{kind} is {estimates.mean():.4f}, KL {exact:.4f}"
        assert kind == "k1" or (estimates >= -1e-6).all(), f"k3 is {estimates.min():.3g} for a token"
    return "on " + ", ".join(known(a, ("k1", "k3")))


@item(16, "KL as a loss has the wrong gradient")
def item_16_kl_gradient(a):
    """Over all tokens, weighted by probability: k1's gradient is 0, k2's that of KL(p || q), k3's that of
    KL(q || p), which is p - q."""
    theta, p, q = two_policies()
    forward = reference.kl_gradient(p.tolist(), q.tolist())
    kinds = {"k1": [0.0] * len(p), "k2": forward, "k3": (p - q).tolist()}
    for kind in known(a, kinds):
        leaf_V = theta.clone().requires_grad_()
        (p * a.kl(leaf_V.log_softmax(0)[None], q.log()[None], kind)).sum().backward()
        same(leaf_V.grad, kinds[kind], f"gradient of {kind}", max(a.precision, 1e-7))
    return "on " + ", ".join(known(a, kinds))


@item(17, "the adaptive controller is fed a mean per token")
def item_17_controller(a):
    """Target 6, horizon 100, 10 episodes a time.  KL a sequence 12: clip(1, 0.2) / 10 = +2 %; 6: 0; 0: -2 %;
    6.6: +1 %; 5.4: -1 %."""
    expected = [0.102, 0.102, 0.102 * 0.98, 0.102 * 0.98 * 1.01, 0.102 * 0.98 * 1.01 * 0.99]
    same(a.betas([12.0, 6.0, 0.0, 6.6, 5.4], 0.1, 6.0, 100.0, 10), expected, "beta", 1e-6)


@item(44, "the KL coefficient is ignored")
def item_44_kl_coefficient(a):
    """Rewards at beta 0 and 10 differ by 10 KL."""
    score_B = torch.tensor(SCORES, dtype=torch.float64)
    none, ten = (counted(a.rewards(score_B, padded(KL), MASK, beta)) for beta in (0.0, 10.0))
    same(none - ten, 10 * counted(padded(KL)), "rewards at beta 0 less those at 10", a.precision)


# ---- losses ----------------------------------------------------------------------------------------------

def check_table(fn, table, precision, argument):
    for *inputs, loss, slope in table:
        x_BT, *others = (torch.tensor([[float(x)]], dtype=torch.float64) for x in inputs)
        total = fn(x_BT.requires_grad_(), *others, torch.ones(1, 1, dtype=torch.float64), CLIP)
        total.backward()
        same(total, loss, f"loss at {argument} {inputs}", precision)
        same(x_BT.grad, slope, f"gradient at {argument} {inputs}", precision)


@item(18, "the value is clipped around the new value")
def item_18_value_clip(a):
    """V, old V, R -> loss, gradient.  Within 0.2 of the old value, and beyond, where the gradient is 0."""
    check_table(a.value_loss, [(0.1, 0, 1, 0.405, -0.9), (0.5, 0, 1, 0.32, 0.0), (0.5, 0, -1, 1.125, 1.5),
                               (-0.5, 0, -1, 0.32, 0.0), (2.1, 2, 2, 0.005, 0.1)], a.precision, "V, old V, R")


@item(19, "the value loss lacks its half or its mask")
def item_19_value_loss(a):
    """The mean of plain loops, and its gradient by finite differences."""
    def expected(rows):
        return sum(reference.value_loss(*row, CLIP) for row in zip(rows, OLD_VALUES, RETURNS)) / sum(LENGTHS)
    for fill in (0.0, 7.0):
        values_BT = padded(VALUES, fill).requires_grad_()
        total = a.value_loss(values_BT, padded(OLD_VALUES, fill), padded(RETURNS, fill), MASK, CLIP)
        total.backward()
        same(total, expected(VALUES), "value loss", a.precision)
        for i, j in ((0, 2), (1, 0), (3, 6)):
            up, down = ([[v + e * ((r, t) == (i, j)) for t, v in enumerate(row)]
                         for r, row in enumerate(VALUES)] for e in (1e-5, -1e-5))
            slope = (expected(up) - expected(down)) / 2e-5
            same(values_BT.grad[i, j], slope, "slope of the value loss", max(a.precision, 1e-6))


@item(20, "the ratio is clipped on the wrong side for A < 0")
def item_20_ratio_clip(a):
    """log rho, 0, A -> loss, gradient.  The clip acts only where it makes the loss larger."""
    log = {rho: math.log(rho) for rho in (0.5, 1.0, 1.1, 1.5)}
    check_table(a.policy_loss, [(log[1.0], 0, 1, -1.0, -1.0), (log[0.5], 0, 1, -0.5, -0.5),
                                (log[1.5], 0, 1, -1.2, 0.0), (log[0.5], 0, -1, 0.8, 0.0),
                                (log[1.5], 0, -1, 1.5, 1.5), (log[1.1], 0, -2, 2.2, 2.2)], a.precision,
                "log rho, 0, A")


@item(23, "NaN times 0")
def item_23_nan_times_zero(a):
    """A model that says NaN or inf in a row that the mask leaves out: the same loss, finite, and no gradient
    there."""
    mask_BT = MASK.clone()
    mask_BT[2] = 0
    before = results(a, 0.0, mask_BT, only="loss")
    if not before:
        raise Missing("no loss that can be called")
    for fill in (math.nan, -math.inf, math.inf):
        after = results(a, fill, mask_BT, others=(0, 0), only="loss")
        for name, (loss, gradient) in before.items():
            what = f"{name} with {fill} where the mask is 0"
            same(after[name][0], loss, what, a.precision)
            same(after[name][1], gradient, f"gradient of {what}", a.precision)
    return "" if len(before) == 2 else f"on {min(before)}"
