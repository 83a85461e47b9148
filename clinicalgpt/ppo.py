"""
The mathematics of PPO, and of its alternatives without a critic, on tensors.
(Not here: sampling, models, optimizers; see train_ppo.py for the loop.)

A rollout is one answer y_1..y_T to a prompt x.  Column t, from 0, of every (B, T) tensor speaks of choosing
token y_{t+1} after reading x and y_1..y_t; rows are right-padded, and mask_BT is 1 for real tokens (the end
token too) and 0 after.  The equations, in order of use, count from 1: D_1 stands in column 0.

    D_t  = log pi_old(y_t) - log pi_ref(y_t)                  the sampled KL, "k1"
    r_t  = -beta D_t,   and r_T gets + score                  R(x, y) = r(x, y) - beta log(pi_RL / pi_SFT),
                                                              the paper's
    A_t  = delta_t + gamma lambda A_{t+1},                    delta_t = r_t + gamma V_{t+1} - V_t
                                                              GAE (Schulman 2016, eq. 16), V_{T+1} = 0
    R_t  = A_t + V_t                                          what V learns; by --value-lam, not whitened
    L_pi = sum max(-A rho, -A clip(rho, 1 - e, 1 + e)),       rho = exp(l - l_old)
                                                              PPO (Schulman 2017, eq. 7), to be minimised
    L_V  = 1/2 sum max((V - R)^2, (V_old + clip(V - V_old, -e, e) - R)^2)

Losses are sums over the mask: the caller divides once, by the tokens of the whole mini-batch, so that its
gradient does not depend on how it was cut into forward passes.

Without a critic, K answers to each prompt say what an answer is worth; one number then stands at all of its
tokens.  L_pi is the same for all four:

    PPO           A_t by GAE, whitened over the batch         a value function is learned beside the policy
    RLOO          A = R - the others' mean R,                 R = score - beta sum_t D_t  (Ahmadian 2024)
    GRPO          A = (score - mean of K) / deviation of K,   beta KL is a loss instead   (Shao 2024, 4.1)
    REINFORCE++   A_t = sum_{s >= t} gamma^(s - t) r_s, whitened over the batch           (Hu 2025)

Letters: B answers, T tokens, K answers of one prompt.
"""

from dataclasses import dataclass

import torch


def masked_mean(x_BT, mask_BT):
    """Mean of x where mask is 1; 0 where nothing is."""
    return torch.where(mask_BT > 0, x_BT, 0.0).sum() / mask_BT.sum().clamp(min=1)


def whiten(x_BT, mask_BT, shift_mean=True):
    """(x - mean) / std over the mask (population variance + 1e-8), 0 elsewhere.
    Without shift_mean the mean is added back."""
    mean = masked_mean(x_BT, mask_BT)
    scale = torch.rsqrt(masked_mean((x_BT - mean) ** 2, mask_BT) + 1e-8)
    return torch.where(mask_BT > 0, (x_BT - mean) * scale + (0.0 if shift_mean else mean), 0.0)


def kl_estimate(logp_BT, ref_logp_BT, kind="k1"):
    """Estimates of KL(pi || ref) from tokens sampled from pi (Schulman, "Approximating KL divergence", 2020),
    D = logp - ref_logp: k1 = D, unbiased;  k2 = D^2 / 2, biased, low variance, and the one whose gradient as
    a loss is right;  k3 = exp(-D) - 1 + D, unbiased and never negative."""
    difference_BT = logp_BT - ref_logp_BT
    if kind == "k1":
        return difference_BT
    if kind == "k2":
        return difference_BT**2 / 2
    if kind == "k3":
        return torch.expm1(-difference_BT) + difference_BT
    raise ValueError(f"KL estimator {kind!r}; choose k1, k2 or k3")


def shaped_rewards(score_B, kl_BT, mask_BT, beta):
    """-beta KL at every token, and the answer's score at its last one; 0 after it."""
    rewards_BT = torch.where(mask_BT > 0, -beta * kl_BT, 0.0)
    last_B = mask_BT.sum(1).long() - 1
    row_B = torch.arange(len(score_B), device=score_B.device)
    rewards_BT[row_B, last_B] += score_B
    return rewards_BT


def gae(rewards_BT, values_BT, mask_BT, gamma=1.0, lam=0.95):
    """(advantages_BT, returns_BT), both 0 outside the mask."""
    values_BT = torch.where(mask_BT > 0, values_BT, 0.0)               # the episode is over: V is 0 there
    advantages_BT = torch.zeros_like(values_BT)
    next_advantage_B = next_value_B = torch.zeros_like(values_BT[:, 0])
    for t in reversed(range(values_BT.shape[1])):
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        next_advantage_B = torch.where(mask_BT[:, t] > 0, delta_B + gamma * lam * next_advantage_B, 0.0)
        next_value_B = values_BT[:, t]
        advantages_BT[:, t] = next_advantage_B
    return advantages_BT, advantages_BT + values_BT


def advantages(algorithm, rewards_BT, values_BT, score_B, mask_BT, group=1, gamma=1.0, lam=0.95):
    """What the policy is to learn from: (B, T), 0 outside the mask; whitened over the batch or (RLOO, GRPO)
    centred on the answers to each prompt.
    Row b answers prompt b // group; values_BT is PPO's alone, score_B GRPO's."""
    if algorithm == "ppo":
        return whiten(gae(rewards_BT, values_BT, mask_BT, gamma, lam)[0], mask_BT)
    if algorithm == "reinforce++":                                     # GAE without values is the return
        return whiten(gae(rewards_BT, torch.zeros_like(rewards_BT), mask_BT, gamma, 1.0)[0], mask_BT)
    if algorithm == "rloo":
        return_BK = rewards_BT.sum(1).view(-1, group)
        others_BK = (return_BK.sum(1, keepdim=True) - return_BK) / (group - 1)
        return (return_BK - others_BK).view(-1, 1) * mask_BT
    if algorithm == "grpo":
        score_BK = score_B.view(-1, group)
        centred_BK = score_BK - score_BK.mean(1, keepdim=True)
        return (centred_BK / (score_BK.std(1, keepdim=True) + 1e-4)).view(-1, 1) * mask_BT
    raise ValueError(f"algorithm {algorithm!r}; choose ppo, rloo, grpo or reinforce++")


def policy_loss(logp_BT, old_logp_BT, advantages_BT, mask_BT, clip=0.2, dual_clip=0.0):
    """(sum of the clipped surrogate, number of tokens at which a clip was active).  dual_clip c > 1: where A
    is negative the loss is at most -c A, however far the ratio has run (Ye 2020, eq. 3)."""
    ratio_BT = torch.where(mask_BT > 0, logp_BT - old_logp_BT, 0.0).exp()
    free_BT = -advantages_BT * ratio_BT
    clipped_BT = -advantages_BT * ratio_BT.clamp(1 - clip, 1 + clip)
    loss_BT = torch.maximum(free_BT, clipped_BT)
    if dual_clip:
        loss_BT = torch.where(advantages_BT < 0, torch.minimum(loss_BT, -dual_clip * advantages_BT), loss_BT)
    return torch.where(mask_BT > 0, loss_BT, 0.0).sum(), ((loss_BT != free_BT) & (mask_BT > 0)).sum()


def value_loss(values_BT, old_values_BT, returns_BT, mask_BT, clip=0.2):
    """(sum of the clipped squared error, halved; number of tokens at which the clip was active).
    The clip is around the OLD value."""
    values_BT = torch.where(mask_BT > 0, values_BT, 0.0)               # inf past the end would give nan
    clipped_values_BT = old_values_BT + (values_BT - old_values_BT).clamp(-clip, clip)
    free_BT, clipped_BT = (values_BT - returns_BT) ** 2, (clipped_values_BT - returns_BT) ** 2
    loss = 0.5 * torch.where(mask_BT > 0, torch.maximum(free_BT, clipped_BT), 0.0).sum()
    return loss, ((clipped_BT > free_BT) & (mask_BT > 0)).sum()


def explained_variance(values_BT, returns_BT, mask_BT):
    """1 - var(R - V) / var(R) over the mask: 1 when the values are the returns, 0 when they say nothing."""
    def variance(x_BT):
        return masked_mean((x_BT - masked_mean(x_BT, mask_BT)) ** 2, mask_BT)
    return 1 - variance(returns_BT - values_BT) / variance(returns_BT).clamp(min=1e-8)


@dataclass
class AdaptiveKL:
    """beta *= 1 + clip(KL / target - 1, -0.2, 0.2) n / horizon  after n episodes
    (Ziegler 2019, section 2.2).  KL is the mean over episodes of the SUM over tokens of k1;
    target 0 keeps beta fixed."""
    beta: float
    target: float = 6.0
    horizon: float = 10_000

    def update(self, kl_per_sequence, episodes):
        if self.target > 0:
            error = min(max(kl_per_sequence / self.target - 1, -0.2), 0.2)
            self.beta *= 1 + error * episodes / self.horizon
        return self.beta
