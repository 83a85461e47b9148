"""
A batch of answers, and all that PPO needs to learn from them.
(Not here: the mathematics, see ppo.py; what each role says, see roles.py; the updates, see train_ppo.py.)

    sample answers -> score them -> KL to the reference -> a reward a token -> advantages, returns

`cfg` is train_ppo's configuration.  Letters: B answers, T columns of rows, M answer tokens end to end; column
t speaks of choosing token t + 1 (ppo.py).
"""

from dataclasses import dataclass

import torch

from clinicalgpt import ppo
from clinicalgpt.dataset import pack
from clinicalgpt.lora import adapter
from clinicalgpt.roles import answer, in_parts, policy_logp, reward_parts, text_of, token_values, total
from clinicalgpt.run import seed_of
from kernels.head import token_kl


@dataclass
class Rollouts:
    """Answers as rows, right-padded, with a mask; `examples` are the same answers as sequences."""
    examples: list
    mask_BT: torch.Tensor
    logp_BT: torch.Tensor
    ref_logp_BT: torch.Tensor
    values_BT: torch.Tensor
    advantages_BT: torch.Tensor
    returns_BT: torch.Tensor


@torch.no_grad()
def roll_out(roles, prompts, beta, end_id, cfg, run, seed):
    """(Rollouts, metrics) of one answer to each prompt.  (None, metrics) if --unfinished drop leaves none."""
    examples = answer(roles, "policy", prompts, end_id, cfg, run, seed)
    ended_B = ended(examples, end_id, run)
    metrics = {"ended": ended_B.float().mean()}
    if cfg.unfinished == "drop":
        examples = [example for example, has_end in zip(examples, ended_B.tolist()) if has_end]
        ended_B = ended_B[ended_B]
        if not examples:
            return None, metrics
    mask_BT = mask_of(examples, run)
    logp, entropy = zip(*in_parts(lambda part: policy_logp(roles, "policy", part, cfg, run), examples, cfg,
                                  run))
    logp_BT, entropy_BT = rows_of(logp, mask_BT), rows_of(entropy, mask_BT)
    ref_logp = in_parts(lambda part: policy_logp(roles, None, part, cfg, run)[0], examples, cfg, run)
    ref_logp_BT = rows_of(ref_logp, mask_BT)
    values_BT, next_value_B = torch.zeros_like(logp_BT), torch.zeros_like(logp_BT[:, 0])
    if cfg.algorithm == "ppo":
        values, next_values = zip(*in_parts(lambda part: token_values(roles, part, run), examples, cfg, run))
        values_BT, next_value_B = rows_of(values, mask_BT), torch.cat(next_values)

    rewards, repeated_B, score_B = judged(roles, examples, ended_B, cfg, run)
    if cfg.unfinished == "bootstrap":
        score_B = torch.where(ended_B, score_B, cfg.gamma * next_value_B)
    kl_BT = ppo.kl_estimate(logp_BT, ref_logp_BT)
    if cfg.kl_estimator == "exact":
        cost_BT = rows_of(in_parts(lambda part: exact_kl(roles, part, cfg, run), examples, cfg, run), mask_BT)
    else:
        cost_BT = ppo.kl_estimate(logp_BT, ref_logp_BT, cfg.kl_estimator)
    beta = 0.0 if cfg.algorithm == "grpo" else beta                         # there it weighs a loss
    rewards_BT = ppo.shaped_rewards(score_B, cost_BT, mask_BT, beta)
    advantages_BT = ppo.advantages(cfg.algorithm, rewards_BT, values_BT, score_B, mask_BT, cfg.group,
                                   cfg.gamma, cfg.lam)
    returns_BT = ppo.gae(rewards_BT, values_BT, mask_BT, cfg.gamma, cfg.value_lam)[1]

    metrics |= {f"reward_{name}": value_B.nanmean() for name, (_, value_B) in rewards.items()}
    metrics |= {"reward": score_B.mean(), "kl": (kl_BT * mask_BT).sum(1).mean(),
                "kl3": (ppo.kl_estimate(logp_BT, ref_logp_BT, "k3") * mask_BT).sum(1).mean(),
                "return": rewards_BT.sum(1).mean(), "entropy": ppo.masked_mean(entropy_BT, mask_BT),
                "response_length": mask_BT.sum(1).mean(), "repeated": repeated_B.mean()}
    if cfg.algorithm == "ppo":
        metrics |= {"value": ppo.masked_mean(values_BT, mask_BT),
                    "explained_variance": ppo.explained_variance(values_BT, returns_BT, mask_BT)}
    return Rollouts(examples, mask_BT, logp_BT, ref_logp_BT, values_BT, advantages_BT, returns_BT), metrics


def ended(examples, end_id, run):
    return torch.tensor([example.ids[-1] == end_id for example in examples], device=run.device)


def judged(roles, examples, ended_B, cfg, run):
    """(parts of the reward, share of repeated pairs, score_B: the parts' sum less the penalties)."""
    rewards = reward_parts(roles, examples, cfg, run)
    repeated_B = torch.tensor([repeated_share(e.ids[-sum(e.answer):]) for e in examples], device=run.device)
    fined_B = cfg.repetition_penalty * repeated_B
    if cfg.unfinished == "penalty":
        fined_B = fined_B + cfg.missing_end_penalty * ~ended_B
    return rewards, repeated_B, total(rewards) - fined_B


@torch.no_grad()
def look(roles, prompts, facts, step, cfg, run):
    """Metrics of the policy's answers to prompts that it never learns from, drawn by the same numbers at each
    look; the first few are written to samples.jsonl.  facts: a rule (rules.py), or None."""
    examples = answer(roles, "policy", prompts, roles.end_id, cfg, run, seed_of(cfg.seed, 5))
    ended_B = ended(examples, roles.end_id, run)
    mask_BT = mask_of(examples, run)
    logp_BT, ref_logp_BT = (
        rows_of(in_parts(lambda part, name=name: policy_logp(roles, name, part, cfg, run)[0], examples, cfg,
                         run), mask_BT) for name in ("policy", None))
    metrics = {"valid_reward": judged(roles, examples, ended_B, cfg, run)[2].mean(),
               "valid_kl": (logp_BT - ref_logp_BT).sum(1).mean(), "valid_length": mask_BT.sum(1).mean()}
    if facts:
        known = torch.tensor([facts(example.record, text_of(roles, example)) for example in examples])
        known = known[~known.isnan()]
        if len(known) > 1:
            metrics |= {"valid_facts": known.mean(), "valid_facts_error": known.std() / len(known)**0.5}
    for prompt, example in list(zip(prompts, examples))[:3]:
        run.sample(step, roles.tokenizer.decode(prompt.ids), text_of(roles, example))
    return metrics


@torch.no_grad()
def exact_kl(roles, examples, cfg, run):
    """KL(policy || reference) of each answer token's distribution, over the whole vocabulary: (M,)."""
    batch, hidden = pack(examples, run.device), {}
    for name in ("policy", None):
        with adapter(roles.trunk, name), run.autocast():
            hidden[name] = roles.trunk.read(batch)[batch.state_M]
    return token_kl(hidden["policy"], roles.trunk.unembed_VD, hidden[None], cfg.temperature)


def mask_of(examples, run):
    length_B = torch.tensor([sum(example.answer) for example in examples], device=run.device)
    return (torch.arange(int(length_B.max()), device=run.device) < length_B[:, None]).float()


def rows_of(parts, mask_BT):
    """Per-token numbers of answers laid end to end, a tensor a micro-batch -> rows (B, T), 0 where mask is
    0."""
    values_M = torch.cat(list(parts))
    return torch.zeros(mask_BT.shape, device=values_M.device,
                       dtype=values_M.dtype).masked_scatter(mask_BT > 0, values_M)


def repeated_share(ids):
    """Share of an answer's pairs of neighbouring tokens that came before: 0 for abcd, 3/5 for ababab."""
    pairs = list(zip(ids, ids[1:]))
    return 1 - len(set(pairs)) / len(pairs) if pairs else 0.0
