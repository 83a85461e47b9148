"""The mathematics of PPO against plain Python loops.  [#n] numbers bugs known elsewhere; each check is shown
to catch them, planted.  What concerns models and their roles is in test_ppo_roles.py."""
import math

import pytest
import torch
from torch.autograd import gradcheck

from clinicalgpt import ppo
from tests import reference
from tests.reference import checked, close, mask_of, padded, random_rows

LENGTHS = (5, 1, 3, 7)
LOGP, NOISE, ADVANTAGES, VALUES, RETURNS, REWARDS, KL = (random_rows(LENGTHS, seed) for seed in range(7))
OLD_LOGP, OLD_VALUES = ([[a + 0.3 * b for a, b in zip(*pair, strict=True)]
                         for pair in zip(rows, NOISE, strict=True)] for rows in (LOGP, VALUES))
SCORES = [2.0, -1.0, 0.5, 3.0]
MASK = mask_of(LOGP)
GARBAGE = (0.0, 7.0, math.inf, -math.inf, math.nan)


def leaf(rows, fill=0.0):
    return padded(rows, fill).requires_grad_()


POLICY, VALUE = (LOGP, OLD_LOGP, ADVANTAGES), (VALUES, OLD_VALUES, RETURNS)         # what the two losses take


def policy_loss(*args):
    return checked(ppo.policy_loss)(*args, 0.2)[0]


def value_loss(*args):
    return checked(ppo.value_loss)(*args, 0.2)[0]


# ---- rewards and advantages ------------------------------------------------------------------------------

def check_shaped_rewards(fn):
    """[#4, #44] Four answers that end: in the middle, at once, in the middle, or cut off in the last column.
    What stands after the end does not matter, whatever its token id was."""
    for beta in (0.0, 0.1, 10.0):
        for fill in GARBAGE:
            rows = [reference.shaped_rewards(s, kl, beta) for s, kl in zip(SCORES, KL, strict=True)]
            close(fn(torch.tensor(SCORES).double(), padded(KL, fill), MASK, beta), padded(rows))
    by_hand = fn(torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 3.0, 9.0], [1.0, 0.0, -2.0]]),
                 torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), 0.5)
    close(by_hand, [[-0.5, 0.5, 0.0], [-0.5, 0.0, 0.0]])


def check_gae(fn):
    """[#10] The sum of deltas over the unpadded answer, whatever stands in the padding."""
    for gamma, lam in ((1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.7, 0.0)):
        expected = [reference.gae(r, v, gamma, lam) for r, v in zip(REWARDS, VALUES, strict=True)]
        for fill in GARBAGE:
            ours = fn(padded(REWARDS, fill), padded(VALUES, fill), MASK, gamma, lam)
            for part in (0, 1):
                close(ours[part], padded([rows[part] for rows in expected]))


def check_returns(fn):
    """[#11] With lambda 1 the values drop out: returns are discounted rewards, A + V of the raw A."""
    returns_BT = fn(padded(REWARDS), padded(VALUES), MASK, 0.9, 1.0)[1]
    close(returns_BT, padded([reference.discounted(row, 0.9) for row in REWARDS]))


def check_whiten(fn):
    """[#12, #13] Mean and deviation of real tokens alone; padding changes nothing; one token is finite."""
    for fill in GARBAGE:
        for columns in (0, 12):
            mask_BT = mask_of(VALUES, columns)
            ours = fn(padded(VALUES, fill, columns), mask_BT)
            close(ours[mask_BT > 0], reference.whiten([x for row in VALUES for x in row]))
            assert (ours[mask_BT == 0] == 0).all()
    assert fn(torch.tensor([[3.0, 9.0]]), torch.tensor([[1.0, 0.0]])).tolist() == [[0.0, 0.0]]


def everywhere(fn, position):
    """A buggy version: the mask in this place is 1 everywhere."""
    return lambda *args: fn(*(torch.ones_like(x) if i == position else x for i, x in enumerate(args)))


def returns_of_whitened(*args):
    advantages_BT, _ = ppo.gae(*args)
    return advantages_BT, ppo.whiten(advantages_BT, args[2]) + args[1]


def at_the_last_column(score_B, kl_BT, mask_BT, beta):
    rewards_BT = torch.where(mask_BT > 0, -beta * kl_BT, 0.0)
    rewards_BT[:, -1] += score_B
    return rewards_BT


@pytest.mark.parametrize("check, fn, bugs", [
    (check_shaped_rewards, ppo.shaped_rewards, [
        at_the_last_column, everywhere(ppo.shaped_rewards, 2),
        lambda s, kl, m, beta: ppo.shaped_rewards(s, -kl, m, beta),
        lambda s, kl, m, beta: ppo.shaped_rewards(s, kl, m, 0.1)]),
    (check_gae, ppo.gae, [
        everywhere(ppo.gae, 2), lambda r, v, m, g, lam: ppo.gae(r, v, m, g, g * lam),
        lambda r, v, m, g, lam: ppo.gae(r, v.roll(-1, 1), m, g, lam), lambda *args: ppo.gae(*args)[::-1]]),
    (check_returns, ppo.gae, [returns_of_whitened, lambda *args: (None, ppo.gae(*args)[0])]),
    (check_whiten, ppo.whiten, [
        everywhere(ppo.whiten, 1), lambda x, m: torch.where(m > 0, x - ppo.masked_mean(x, m), 0.0),
        lambda x, m: torch.where(m > 0, (x - x[m > 0].mean()) / x[m > 0].std(), 0.0)]),
], ids=["shaped_rewards", "gae", "returns", "whiten"])
def test_rewards_and_advantages(check, fn, bugs):
    check(checked(fn))
    for buggy in bugs:
        with pytest.raises(AssertionError):
            check(buggy)


def test_explained_variance():
    """1 for V = R; 0 for constant V; R = (0, 2), V = (0, 1): residuals (0, 1), variance 1/4, so 3/4."""
    mask_BT = torch.tensor([[1.0, 1.0, 0.0]])
    returns_BT = torch.tensor([[0.0, 2.0, 9.0]])
    for values, expected in (([0, 2, 5], 1.0), ([3, 3, 5], 0.0), ([0, 1, 5], 0.75)):
        close(ppo.explained_variance(torch.tensor([values]).float(), returns_BT, mask_BT), expected)
    assert ppo.masked_mean(torch.tensor([[math.nan]]), torch.zeros(1, 1)) == 0


# ---- without a critic ------------------------------------------------------------------------------------

GROUPED = random_rows([3, 1, 4, 2, 2, 5], seed=7)                  # rewards: two prompts, three answers each
WORTH = [0.5, -1.0, 2.0, 0.1, 0.3, -0.4]


def check_advantages(fn):
    """From rewards and scores alone, by loops: RLOO against the mean of the others, GRPO in units of its
    group's deviation, REINFORCE++ from the rewards still to come, whitened over the batch."""
    mask_BT, score_B = mask_of(GROUPED, 6), torch.tensor(WORTH, dtype=torch.float64)
    for fill in GARBAGE:
        rewards_BT = torch.where(mask_BT > 0, padded(GROUPED, fill, 6), 0.0)
        values_BT = padded(GROUPED, fill, 6)

        def ours(algorithm, rewards_BT=rewards_BT, values_BT=values_BT):
            return fn(algorithm, rewards_BT, values_BT, score_B, mask_BT, 3, 0.9, 0.8)
        rloo, grpo = [], []
        for start in (0, 3):
            group = list(range(start, start + 3))
            for b in group:
                others = [sum(GROUPED[i]) for i in group if i != b]
                rloo.append([sum(GROUPED[b]) - sum(others) / 2] * len(GROUPED[b]))
                mean = sum(WORTH[i] for i in group) / 3
                deviation = math.sqrt(sum((WORTH[i] - mean) ** 2 for i in group) / 2)
                grpo.append([(WORTH[b] - mean) / (deviation + 1e-4)] * len(GROUPED[b]))
        to_come = [reference.discounted(rewards, 0.9) for rewards in GROUPED]
        flat = iter(reference.whiten([x for row in to_come for x in row]))
        close(ours("rloo"), padded(rloo, columns=6))
        close(ours("grpo"), padded(grpo, columns=6))
        close(ours("reinforce++"), padded([[next(flat) for _ in row] for row in to_come], columns=6))


def test_advantages_without_a_critic():
    check_advantages(ppo.advantages)
    with pytest.raises(ValueError, match="choose ppo, rloo, grpo or reinforce"):
        ppo.advantages("reinforce", *[torch.zeros(2, 2)] * 2, torch.zeros(2), torch.ones(2, 2))

    def own_mean(algorithm, rewards_BT, values_BT, score_B, mask_BT, group, *args):
        if algorithm != "rloo":
            return ppo.advantages(algorithm, rewards_BT, values_BT, score_B, mask_BT, group, *args)
        return_BK = rewards_BT.sum(1).view(-1, group)
        return (return_BK - return_BK.mean(1, keepdim=True)).view(-1, 1) * mask_BT
    for buggy in (own_mean, lambda a, r, v, s, m, k, *args: ppo.advantages(a, r, v, s, m, 2, *args),
                  lambda a, r, v, s, m, k, *args: ppo.advantages(a, r, v, s, torch.ones_like(m), k, *args),
                  lambda a, r, v, s, m, k, g, lam: ppo.advantages(a, r, v, s, m, k, 1.0, lam)):
        with pytest.raises(AssertionError):
            check_advantages(buggy)


# ---- losses ----------------------------------------------------------------------------------------------

def check_policy_loss(fn):
    expected = sum(reference.policy_loss(*rows, 0.2) for rows in zip(*POLICY, strict=True))
    for fill in GARBAGE:
        close(fn(*(padded(rows, fill) for rows in POLICY), MASK, 0.2)[0], expected)


def check_value_loss(fn):
    """[#19]"""
    expected = sum(reference.value_loss(*rows, 0.2) for rows in zip(*VALUE, strict=True))
    for fill in GARBAGE:
        close(fn(*(padded(rows, fill) for rows in VALUE), MASK, 0.2)[0], expected)


def check_table(fn, table):
    for *inputs, loss, slope, clipped in table:
        x_BT, *others = (torch.tensor([[float(x)]], dtype=torch.float64) for x in inputs)
        ours, count = fn(x_BT.requires_grad_(), *others, torch.ones(1, 1), 0.2)
        ours.backward()
        close(torch.stack([ours, x_BT.grad.sum(), count]), [loss, slope, clipped])


def check_policy_table(fn):
    """[#20] log rho, 0, A -> loss, gradient, clipped?  The clip acts only where it makes the loss larger."""
    ratios = {rho: math.log(rho) for rho in (0.5, 1.0, 1.1, 1.5)}
    check_table(fn, [(ratios[1.0], 0, 1, -1.0, -1.0, 0), (ratios[0.5], 0, 1, -0.5, -0.5, 0),
                     (ratios[1.5], 0, 1, -1.2, 0.0, 1), (ratios[0.5], 0, -1, 0.8, 0.0, 1),
                     (ratios[1.5], 0, -1, 1.5, 1.5, 0), (ratios[1.1], 0, -2, 2.2, 2.2, 0)])


def check_value_table(fn):
    """[#18] V, old V, R -> loss, gradient, clipped?  Within 0.2 of the old value, and beyond."""
    check_table(fn, [(0.1, 0, 1, 0.405, -0.9, 0), (0.5, 0, 1, 0.32, 0.0, 1), (0.5, 0, -1, 1.125, 1.5, 0),
                     (-0.5, 0, -1, 0.32, 0.0, 1), (2.1, 2, 2, 0.005, 0.1, 0)])


def smaller_of_two(logp, old, a, m, clip):
    rho = (logp - old).exp()
    free, clipped = -a * rho, -a * rho.clamp(1 - clip, 1 + clip)
    return (torch.minimum(free, clipped) * m).sum(), (clipped < free).sum()


@pytest.mark.parametrize("checks, fn, bugs", [
    ((check_policy_loss, check_policy_table), ppo.policy_loss, [
        smaller_of_two, lambda *args: ppo.policy_loss(*args[:4], 10.0),
        lambda a, b, *args: ppo.policy_loss(b, a, *args)]),
    ((check_value_loss, check_value_table), ppo.value_loss, [
        lambda v, old, *args: ppo.value_loss(v, v.detach(), *args),
        lambda v, old, r, *args: ppo.value_loss(v, r, r, *args),
        lambda *args: (2 * ppo.value_loss(*args)[0], ppo.value_loss(*args)[1])]),
], ids=["policy", "value"])
def test_losses(checks, fn, bugs):
    for check in checks:
        check(checked(fn))
        for buggy in bugs:
            with pytest.raises(AssertionError):
                check(buggy)
    with pytest.raises(AssertionError):
        checks[0](everywhere(fn, 3))


def check_dual_clip(fn):
    """log rho, A -> loss, gradient at c = 3: where A < 0 the loss is at most 3 |A|, and flat beyond."""
    for log_rho, a, loss, slope in [(math.log(2.0), -1, 2.0, 2.0), (math.log(5.0), -1, 3.0, 0.0),
                                    (math.log(5.0), -2, 6.0, 0.0), (math.log(5.0), 1, -1.2, 0.0),
                                    (math.log(0.5), -1, 0.8, 0.0)]:
        logp_BT, zero_BT = leaf([[log_rho]]), torch.zeros(1, 1, dtype=torch.float64)
        ours = fn(logp_BT, zero_BT, zero_BT + a, zero_BT + 1, 0.2, 3.0)[0]
        ours.backward()
        close(torch.stack([ours, logp_BT.grad.sum()]), [loss, slope])


def test_dual_clip():
    check_dual_clip(ppo.policy_loss)
    x_BT, *others = leaf(POLICY[0]), *map(padded, POLICY[1:]), MASK
    assert gradcheck(lambda x_BT: ppo.policy_loss(x_BT, *others, 0.2, 1.3)[0], x_BT)
    for buggy in (lambda *args: ppo.policy_loss(*args[:5]), lambda *args: ppo.policy_loss(*args[:5], -3.0),
                  lambda *args: ppo.policy_loss(args[0], args[1], -args[2], *args[3:])):
        with pytest.raises(AssertionError):
            check_dual_clip(buggy)


@pytest.mark.parametrize("loss, rows", [(policy_loss, POLICY), (value_loss, VALUE)])
def test_loss_gradients(loss, rows):
    """Right, and 0 at tokens that the mask leaves out."""
    x_BT, *others = leaf(rows[0]), *map(padded, rows[1:]), MASK
    assert gradcheck(lambda x_BT: loss(x_BT, *others), x_BT)
    loss(x_BT, *others).backward()
    assert (x_BT.grad[MASK == 0] == 0).all() and x_BT.grad.any()


def check_infinities(loss, rows):
    """[#3, #23] inf and nan after the end, and in a row masked as a whole: the same loss and gradient, to the
    bit; the gradient of what is masked is 0."""
    mask_BT, expected = MASK.clone(), None
    mask_BT[2] = 0
    for fill in GARBAGE:
        inputs = [torch.where(mask_BT > 0, padded(x), fill).requires_grad_() for x in rows]
        total = loss(*inputs, mask_BT)
        total.backward()
        expected = expected or (total.item(), inputs[0].grad)
        assert total.item() == expected[0] and torch.equal(inputs[0].grad, expected[1])
        assert (inputs[0].grad[mask_BT == 0] == 0).all() and inputs[0].grad.any()


def test_infinities_that_are_masked_do_no_harm():
    check_infinities(policy_loss, POLICY)
    check_infinities(value_loss, VALUE)
    with pytest.raises(AssertionError):
        check_infinities(lambda v, old, r, m: (0.5 * (v - r) ** 2 * m).sum(), VALUE)
    with pytest.raises(AssertionError):
        check_infinities(lambda v, old, r, m: torch.where(m > 0, 0.5 * (v - r) ** 2, 0.0).sum(), VALUE)


def check_micro_batches(loss):
    """[#21] Answers of uneven lengths in one part, in two, in four: one gradient."""
    gradients = []
    for parts in ([[0, 1, 2, 3]], [[0, 3], [1, 2]], [[1], [0], [3], [2]]):
        logp_BT = leaf(LOGP)
        for part in parts:
            rows = [x[part] for x in (padded(OLD_LOGP), padded(ADVANTAGES), MASK)]
            loss(logp_BT[part], *rows, len(parts)).backward()
        gradients.append(logp_BT.grad)
    for gradient in gradients[1:]:
        close(gradient, gradients[0])


def test_micro_batches_change_nothing():
    check_micro_batches(lambda logp, old, a, m, parts: policy_loss(logp, old, a, m) / MASK.sum())
    with pytest.raises(AssertionError):
        check_micro_batches(lambda logp, old, a, m, parts: policy_loss(logp, old, a, m) / m.sum() / parts)


# ---- KL --------------------------------------------------------------------------------------------------

def two_policies(n=8):
    theta, other = (torch.tensor(row).double() for row in random_rows((n, n), seed=9, scale=0.7))
    return theta, theta.softmax(0), other.softmax(0)


def check_kl_estimates(fn):
    """[#15] Over samples of p, k1 and k3 are KL(p || q) within 4 standard errors; k3 is never negative."""
    _, p, q = two_policies()
    sample = torch.multinomial(p, 40_000, replacement=True, generator=torch.Generator().manual_seed(0))[None]
    for kind in ("k1", "k3"):
        estimates = fn(p.log()[sample], q.log()[sample], kind)
        error = estimates.std() / sample.numel() ** 0.5
        assert abs(estimates.mean() - reference.kl(p.tolist(), q.tolist())) < 4 * error
        assert kind == "k1" or (estimates >= 0).all()


def check_kl_gradients(fn):
    """[#16] As a loss over all tokens, weighted by probability: k1's gradient is 0, k2's that of KL(p || q),
    k3's that of KL(q || p), which is p - q."""
    theta, p, q = two_policies()
    forward = reference.kl_gradient(p.tolist(), q.tolist())
    for kind, expected in (("k1", [0.0] * len(p)), ("k2", forward), ("k3", (p - q).tolist())):
        leaf_V = theta.clone().requires_grad_()
        (p * fn(leaf_V.log_softmax(0)[None], q.log()[None], kind)).sum().backward()
        close(leaf_V.grad, expected)


def test_kl():
    for check in (check_kl_estimates, check_kl_gradients):
        check(checked(ppo.kl_estimate))
    with pytest.raises(AssertionError):
        check_kl_estimates(lambda a, b, kind: ppo.kl_estimate(b, a, kind))
    with pytest.raises(AssertionError):
        check_kl_gradients(lambda a, b, kind: ppo.kl_estimate(a, b, "k3" if kind == "k2" else kind))
    for kind in ("k1", "k2", "k3"):
        assert gradcheck(lambda x, kind=kind: ppo.kl_estimate(x, padded(OLD_LOGP), kind), leaf(LOGP))
    with pytest.raises(ValueError, match="k4"):
        ppo.kl_estimate(torch.zeros(1), torch.zeros(1), "k4")


def check_controller(trace):
    """[#17] Target 6, horizon 100, 10 episodes a time.  KL a sequence 12: clip(1, .2) / 10 = +2 %; 6: 0;
    0: -2 %; 6.6: +1 %; 5.4: -1 %."""
    close(torch.tensor(trace([12.0, 6.0, 0.0, 6.6, 5.4])),
          [0.102, 0.102, 0.102 * 0.98, 0.102 * 0.98 * 1.01, 0.102 * 0.98 * 1.01 * 0.99], 1e-6)


def test_adaptive_kl():
    def trace(kls, tokens=1, target=6.0):
        controller = ppo.AdaptiveKL(0.1, target, 100.0)
        return [controller.update(kl / tokens, 10) for kl in kls]
    check_controller(trace)
    with pytest.raises(AssertionError):
        check_controller(lambda kls: trace(kls, tokens=5))                     # the mean a token, not the sum
    assert trace([12.0, 0.0], target=0.0) == [0.1, 0.1]
