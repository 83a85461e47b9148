"""
Stage 3: PPO.  The SFT model with a `policy` adapter answers prompts, the reward model scores the answers, and
the policy is pulled towards what scores well without leaving the SFT model too far behind.  The mathematics
is in clinicalgpt/ppo.py.

    R(x, y) = r(x, y) - beta log(pi_RL(y | x) / pi_SFT(y | x))                    the paper, section 3

One trunk plays four roles: no adapter is the reference (the SFT model), `policy` and `value` are trained,
`reward` judges.  The value adapter and head start as copies of the reward's.

    python train_ppo.py                                    after train_sft.py and train_reward.py
    python train_ppo.py --init runs/sft --reward runs/reward --data questions.jsonl --out runs/ppo
"""

import copy
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from clinicalgpt import ppo
from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import Example, batch_of_step, load_prompts, micro_batches, pack
from clinicalgpt.files import read_json
from clinicalgpt.generate import generate
from clinicalgpt.lora import adapter, add_lora, copy_adapter
from clinicalgpt.reward import ScalarHead, last_token_score
from clinicalgpt.run import (
    Run,
    TuneConfig,
    learning_rate,
    load_reward,
    make_optimizer,
    open_run,
    optimizer_step,
    save_run,
    seed_of,
)
from train_sft import files_of


@dataclass(frozen=True)
class PPOConfig(TuneConfig):
    """Stage 3: align the SFT model with PPO (the paper's: LoRA, lr 1e-5, 4,000 steps)."""
    init: str = arg("runs/sft", "run folder of the SFT model: start of the policy, and the reference")
    reward: str = arg("runs/reward", "run folder of the reward model")
    out: str = arg("runs/ppo", "run folder to write")
    steps: int = arg(4000, "iterations: a batch of rollouts each", tiny=40)
    batch_size: int = arg(64, "rollouts per iteration")
    lr: float = arg(1e-5, "peak learning rate of the policy", tiny=1e-3)
    value_lr: float = arg(3e-5, "peak learning rate of the value function", tiny=2e-3)
    lora_rank: int = arg(8, "rank of the policy's adapter", tiny=16)
    warmup_steps: int = arg(20, "iterations of linear warm-up", tiny=2)
    value_warmup: int = arg(20, "first iterations in which only the value function learns", tiny=2)
    max_len: int = arg(512, "tokens of a prompt; the oldest beyond are cut", tiny=256)
    max_new_tokens: int = arg(256, "tokens of an answer", tiny=48)
    temperature: float = arg(1.0, "of sampling and of every log-probability alike", tiny=0.7)
    minibatches: int = arg(4, "optimizer steps per pass over the rollouts")
    ppo_epochs: int = arg(2, "passes over each batch of rollouts", tiny=1)
    clip: float = arg(0.2, "how far the probability ratio may move before its gradient stops")
    value_clip: float = arg(0.2, "the same for the value")
    value_coefficient: float = arg(0.1, "weight of the value loss")
    entropy_coefficient: float = arg(0.0, "weight of the entropy bonus")
    gamma: float = arg(1.0, "discount")
    lam: float = arg(0.95, "GAE's lambda")
    kl: float = arg(0.05, "beta, the weight of KL to the SFT model in the reward", tiny=0.1)
    kl_target: float = arg(6.0, "nats per answer that beta is steered to; 0: beta stays")
    kl_horizon: float = arg(10_000.0, "episodes over which beta is steered", tiny=1000.0)
    score_clip: float = arg(5.0, "largest normalised score; 0: no limit")
    missing_end_penalty: float = arg(1.0, "taken from the score of an answer that does not end within "
                                          "--max-new-tokens")
    repetition_penalty: float = arg(0.0, "score lost, times the share of token pairs said before", tiny=3.0)
    eval_every: int = arg(100, "iterations between samples written to samples.jsonl", tiny=6)


@dataclass
class Roles:
    """The models of PPO.  `trunk` carries policy and reference; `judge` is the same object unless the reward
    model has its own weights."""
    trunk: torch.nn.Module
    judge: torch.nn.Module
    reward: str | None                                      # adapter of the judge, None for its own weights
    reward_head: ScalarHead
    value_head: ScalarHead


@dataclass
class Rollouts:
    """Answers as rows, right-padded: columns speak of choosing token t + 1 (ppo.py); `examples` are the same
    answers as sequences."""
    examples: list
    mask_BT: torch.Tensor
    logp_BT: torch.Tensor
    values_BT: torch.Tensor
    advantages_BT: torch.Tensor
    returns_BT: torch.Tensor


def main(cfg):
    run = Run(cfg, "ppo")                                                   # 1. folder, seed, device
    if run.finished:
        return read_json(run.out / "done.json")
    roles, tokenizer, template = build(cfg, run)                            # 2. one trunk, four roles
    policy = {n: p for n, p in roles.trunk.named_parameters() if n.endswith(".policy")}
    value = {f"value.{n}": p for n, p in roles.judge.named_parameters() if n.endswith(".value")}
    value |= {f"value_head.{n}": p for n, p in roles.value_head.named_parameters()}
    optimizer = make_optimizer([(policy.values(), cfg.lr), (value.values(), cfg.value_lr)],
                               cfg.weight_decay, eps=1e-5)
    prompts = load_prompts(files_of(cfg, "prompts")[0],                     # 3. questions without answers
                           tokenizer, template, cfg.max_len)
    if len(prompts) < cfg.batch_size:
        raise ValueError(f"{len(prompts)} prompts are fewer than --batch-size {cfg.batch_size}; "
                         "give more, or a smaller batch")
    end_id = template.end_id(tokenizer)
    state = {"beta": cfg.kl, **normaliser(roles, prompts, end_id, cfg, run)}
    print(f"ppo: {len(prompts)} prompts, {cfg.steps} iterations of {cfg.batch_size} rollouts; "
          f"the reference scores {state['mean']:.2f} +- {state['std']:.2f} before normalisation")

    for step in run.steps(cfg.steps, policy | value, optimizer, state):     # 4. one batch of rollouts a turn
        batch = [prompts[i] for i in batch_of_step(len(prompts), cfg.batch_size, cfg.seed, step)]
        rollouts, metrics = roll_out(roles, batch, state, end_id, cfg, run, seed_of(cfg.seed, step, 1))
        metrics |= update(roles, rollouts, optimizer, step, cfg, run)
        controller = ppo.AdaptiveKL(state["beta"], cfg.kl_target, cfg.kl_horizon)
        metrics["beta"], state["beta"] = state["beta"], controller.update(metrics["kl"].item(), len(batch))
        if (step + 1) % cfg.eval_every == 0:
            first = rollouts.examples[0]
            start = first.answer.index(True)
            run.sample(step, tokenizer.decode(first.ids[:start]), tokenizer.decode(first.ids[start:]))
        run.log(step, **metrics)

    def save(folder):                                                       # 5. the policy's adapter
        save_run(folder, roles.trunk, tokenizer, template, "policy", cfg.init)
    return run.finish(save, **{k: metrics[k] for k in ("reward", "kl", "entropy", "response_length")})


def build(cfg, run):
    """(Roles, tokenizer, template).  The reward model must speak the SFT model's template; its trunk is
    shared if it is the same run."""
    if cfg.lora_rank < 1:
        raise ValueError("--lora-rank 0: PPO trains an adapter, and the model without it is the reference; "
                         "give a rank of 1 or more")
    for name in ("steps", "minibatches", "ppo_epochs", "max_new_tokens", "kl_horizon"):
        if getattr(cfg, name) <= 0:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be above 0")
    if cfg.batch_size < cfg.minibatches:
        raise ValueError(f"--batch-size {cfg.batch_size} is less than --minibatches {cfg.minibatches}")
    if cfg.temperature <= 0:
        raise ValueError(f"--temperature {cfg.temperature}: rollouts are samples; it must be above 0")
    trunk, tokenizer, template = open_run(cfg.init, run.device, run.dtype)
    run.note(trunk=cfg.init)
    add_lora(trunk, "policy", cfg.lora_rank, cfg.lora_alpha, 0.0, cfg.lora_targets)
    judge, reward, reward_head, _, reward_template = load_reward(cfg.reward, run.device, run.dtype,
                                                                 trunk, cfg.init)
    if reward_template != template:
        raise ValueError(f"{cfg.reward}/template.json: another template than {cfg.init}'s; "
                         "a reward model must read what the policy writes")
    if reward:
        copy_adapter(judge, "reward", "value")
    else:
        add_lora(judge, "value", cfg.lora_rank, cfg.lora_alpha, 0.0, cfg.lora_targets)
    trunk.gradient_checkpointing = judge.gradient_checkpointing = cfg.gradient_checkpointing
    value_head = copy.deepcopy(reward_head).requires_grad_(True)
    return (Roles(trunk.eval(), judge.eval(), reward, reward_head, value_head),  # eval: dropout is off
            tokenizer, template)


def answer(roles, name, prompts, end_id, cfg, run, seed):
    """Examples of sampled answers to prompts, by the policy (name "policy") or the reference (None)."""
    with torch.no_grad(), adapter(roles.trunk, name), run.autocast():
        answers = generate(roles.trunk, [p.ids for p in prompts], cfg.max_new_tokens, cfg.temperature,
                           eos_id=end_id, seed=seed)
    return [Example(p.ids + new, [False] * len(p.ids) + [True] * len(new), p.record)
            for p, new in zip(prompts, answers)]


@torch.no_grad()
def score(roles, examples, cfg, run):
    """The reward model's raw scores_B, each read at the answer's last token."""
    scores = []
    with adapter(roles.judge, roles.reward), run.autocast():
        for part in micro_batches(examples, cfg.micro_batch_tokens, lambda example: len(example.ids)):
            batch = pack(part, run.device)
            scores.append(last_token_score(roles.judge(batch.ids_N, batch.lengths), batch.lengths,
                                           roles.reward_head))
    return torch.cat(scores)


def normaliser(roles, prompts, end_id, cfg, run):
    """Mean and deviation of the scores of the reference's own answers: a score of 0 is the SFT model's
    average (Stiennon 2020)."""
    sample = [prompts[i] for i in batch_of_step(len(prompts), 2 * cfg.batch_size, cfg.seed, 0)]
    score_B = score(roles, answer(roles, None, sample, end_id, cfg, run, seed_of(cfg.seed, 2)), cfg, run)
    return {"mean": score_B.mean().item(), "std": max(score_B.std(correction=0).item(), 1e-3)}


def rows_of(values_M, mask_BT):
    """Per-token numbers of answers laid end to end -> rows (B, T), 0 where mask is 0."""
    return torch.zeros(mask_BT.shape, device=values_M.device,
                       dtype=values_M.dtype).masked_scatter(mask_BT > 0, values_M)


def policy_logp(roles, name, examples, cfg, run):
    """(logp_M, entropy_M) of the answers' tokens under the policy or the reference: old, new and reference
    come from here alone."""
    with adapter(roles.trunk, name), run.autocast():
        return roles.trunk.score(pack(examples, run.device), cfg.temperature)


def token_values(roles, examples, run):
    """V_M: what the value function expects before each token of the answers."""
    batch = pack(examples, run.device)
    with adapter(roles.judge, "value"), run.autocast():
        return roles.value_head(roles.judge(batch.ids_N, batch.lengths)[batch.state_M])


def repeated_share(ids):
    """Share of an answer's pairs of neighbouring tokens that came before: 0 for abcd, 3/5 for ababab."""
    pairs = list(zip(ids, ids[1:]))
    return 1 - len(set(pairs)) / len(pairs) if pairs else 0.0


@torch.no_grad()
def roll_out(roles, prompts, state, end_id, cfg, run, seed):
    """Sample, score, shape rewards, estimate advantages.  Returns (Rollouts, metrics)."""
    examples = answer(roles, "policy", prompts, end_id, cfg, run, seed)
    length_B = torch.tensor([sum(example.answer) for example in examples], device=run.device)
    mask_BT = (torch.arange(int(length_B.max()), device=run.device) < length_B[:, None]).float()
    parts = list(micro_batches(examples, cfg.micro_batch_tokens, lambda example: len(example.ids)))
    logp, entropy = zip(*(policy_logp(roles, "policy", part, cfg, run) for part in parts))
    logp_BT, entropy_BT = rows_of(torch.cat(logp), mask_BT), rows_of(torch.cat(entropy), mask_BT)
    ref_logp_BT = rows_of(torch.cat([policy_logp(roles, None, part, cfg, run)[0] for part in parts]), mask_BT)
    values_BT = rows_of(torch.cat([token_values(roles, part, run) for part in parts]), mask_BT)

    raw_B = score(roles, examples, cfg, run)
    score_B = (raw_B - state["mean"]) / state["std"]
    if cfg.score_clip:
        score_B = score_B.clamp(-cfg.score_clip, cfg.score_clip)
    ended_B = torch.tensor([example.ids[-1] == end_id for example in examples], device=run.device)
    score_B = score_B - cfg.missing_end_penalty * (~ended_B).float()

    repeated_B = torch.tensor([repeated_share(e.ids[-sum(e.answer):]) for e in examples], device=run.device)
    score_B = score_B - cfg.repetition_penalty * repeated_B

    kl_BT = ppo.kl_estimate(logp_BT, ref_logp_BT)
    rewards_BT = ppo.shaped_rewards(score_B, kl_BT, mask_BT, state["beta"])
    advantages_BT, returns_BT = ppo.gae(rewards_BT, values_BT, mask_BT, cfg.gamma, cfg.lam)
    metrics = {"reward": score_B.mean(), "raw_score": raw_B.mean(), "kl": (kl_BT * mask_BT).sum(1).mean(),
               "kl3": (ppo.kl_estimate(logp_BT, ref_logp_BT, "k3") * mask_BT).sum(1).mean(),
               "return": rewards_BT.sum(1).mean(), "entropy": ppo.masked_mean(entropy_BT, mask_BT),
               "response_length": length_B.float().mean(), "ended": ended_B.float().mean(),
               "repeated": repeated_B.mean(), "value": ppo.masked_mean(values_BT, mask_BT),
               "explained_variance": ppo.explained_variance(values_BT, returns_BT, mask_BT)}
    return Rollouts(examples, mask_BT, logp_BT, values_BT, ppo.whiten(advantages_BT, mask_BT),
                    returns_BT), metrics


def update(roles, rollouts, optimizer, step, cfg, run):
    """--ppo-epochs passes over the rollouts in --minibatches optimizer steps each.  Returns metrics,
    token-weighted means."""
    sums, tokens, ratio_gaps, norms = {}, 0, [], []
    scale = learning_rate(step, cfg.steps, 1.0, cfg.warmup_steps)
    for epoch in range(cfg.ppo_epochs):
        order = torch.randperm(len(rollouts.examples), generator=torch.Generator().manual_seed(
            seed_of(cfg.seed, step, 3, epoch)))
        for turn, rows in enumerate(order.chunk(cfg.minibatches)):
            count = rollouts.mask_BT[rows].sum().clamp(min=1)
            for part in micro_batches(rows.tolist(), cfg.micro_batch_tokens,
                                      lambda i: len(rollouts.examples[i].ids)):
                losses, ratio_gap = backward(roles, rollouts, part, count, step >= cfg.value_warmup, cfg, run)
                sums = {k: sums.get(k, 0.0) + v.item() for k, v in losses.items()}
                if epoch == turn == 0:                      # before any update the ratio must be 1
                    ratio_gaps.append(ratio_gap)
            tokens += count.item()
            norms.append(optimizer_step(optimizer, scale, cfg.grad_clip))
    bound = 1e-3 if run.dtype == torch.float32 else 0.1
    first_ratio_gap = torch.stack(ratio_gaps).max().item()
    if not first_ratio_gap <= bound:                       # nan is not 1 either
        raise ValueError(f"the first PPO ratio is off 1 by {first_ratio_gap:.2g} (bound {bound}): "
                         "rollout and training disagree")
    means = {k: v / tokens for k, v in sums.items()}
    return means | {"first_ratio_gap": first_ratio_gap, "grad_norm": torch.stack(norms).max()}


def backward(roles, rollouts, part, count, train_policy, cfg, run):
    """Add this micro-batch's share of the mini-batch's gradient.  Returns (sums of losses and statistics,
    max |ratio - 1|)."""
    examples = [rollouts.examples[i] for i in part]
    mask_BT = rollouts.mask_BT[part]
    sums = {}
    with nullcontext() if train_policy else torch.no_grad():
        logp_M, entropy_M = policy_logp(roles, "policy", examples, cfg, run)
        logp_BT, entropy_BT = rows_of(logp_M, mask_BT), rows_of(entropy_M, mask_BT)
        sums["policy_loss"], sums["clip_fraction"] = ppo.policy_loss(
            logp_BT, rollouts.logp_BT[part], rollouts.advantages_BT[part], mask_BT, cfg.clip)
        log_ratio_BT = (logp_BT - rollouts.logp_BT[part]) * mask_BT
        sums["approximate_kl"] = ppo.kl_estimate(-log_ratio_BT, torch.zeros_like(log_ratio_BT), "k3").sum()
    if train_policy:
        loss = sums["policy_loss"]
        if cfg.entropy_coefficient:                             # its gradient makes the logits once more
            loss = loss - cfg.entropy_coefficient * entropy_BT.sum()
        (loss / count).backward()
    values_BT = rows_of(token_values(roles, examples, run), mask_BT)
    sums["value_loss"], sums["value_clip_fraction"] = ppo.value_loss(
        values_BT, rollouts.values_BT[part], rollouts.returns_BT[part], mask_BT, cfg.value_clip)
    (cfg.value_coefficient * sums["value_loss"] / count).backward()
    return sums, log_ratio_BT.detach().exp().sub(1).abs().max()


if __name__ == "__main__":
    run_main(main, PPOConfig)
