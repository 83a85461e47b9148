"""
Stage 3: PPO.  The SFT model with a `policy` adapter answers prompts, a reward says what the answers are worth
and the policy is pulled towards what scores well without leaving the SFT model too far behind.

    R(x, y) = r(x, y) - beta log(pi_RL(y | x) / pi_SFT(y | x))                    the paper, section 3

The mathematics is in clinicalgpt/ppo.py, the four roles of the one trunk in clinicalgpt/roles.py, a batch of
answers in clinicalgpt/rollouts.py; here are the settings, the loop and the updates.

    python train_ppo.py                                    after train_sft.py and train_reward.py
    python train_ppo.py --init runs/sft --reward runs/reward --data questions.jsonl --out runs/ppo
    python train_ppo.py --algorithm rloo --group 4 ...     without a critic; or grpo, or reinforce++
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from clinicalgpt import parallel, ppo
from clinicalgpt.alarms import alarms
from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import (
    batch_of_step,
    check_messages,
    load_dialogues,
    load_prompts,
    micro_batches,
    pack,
)
from clinicalgpt.files import read_json, read_jsonl
from clinicalgpt.lora import adapter
from clinicalgpt.memory import check_memory
from clinicalgpt.pretrain import tiny_data
from clinicalgpt.probes import lines_of, verdicts
from clinicalgpt.roles import open_roles, policy_logp, scored_texts, token_values
from clinicalgpt.rollouts import look, roll_out, rows_of
from clinicalgpt.rules import RULES, facts_rule
from clinicalgpt.run import Run, TuneConfig, learning_rate, make_optimizer, optimizer_step, save_run, seed_of
from data.knowledge_graph import read_graph
from train_sft import files_of

ALGORITHMS = ("ppo", "rloo", "grpo", "reinforce++")
RANGES = ((("gamma", "lam", "value_lam"), 0, 1), (("temperature",), 0.01, 100),         # names, least, most
          (("clip", "dual_clip", "value_clip", "value_coefficient", "entropy_coefficient",
            "pretrain_coefficient", "kl", "kl_target", "kl_stop", "kl_limit", "score_clip", "value_lr",
            "missing_end_penalty", "repetition_penalty", "eval_prompts", "value_warmup"), 0, 1e6),
          (("kl_horizon", "ratio_limit"), 1, 1e12))


@dataclass(frozen=True)
class PPOConfig(TuneConfig):
    """Stage 3: align the SFT model with PPO (the paper's: LoRA, lr 1e-5, 4,000 steps)."""
    init: str = arg("runs/sft", "run folder of the SFT model: start of the policy, and the reference")
    reward: str = arg("runs/reward", "run folder of the reward model; none: the rules of --rewards alone")
    out: str = arg("runs/ppo", "run folder to write")
    steps: int = arg(4000, "iterations: a batch of rollouts each", tiny=40)
    batch_size: int = arg(64, "rollouts per iteration")
    lr: float = arg(1e-5, "peak learning rate of the policy", tiny=1e-3)
    value_lr: float = arg(3e-5, "peak learning rate of the value function", tiny=2e-3)
    lora_rank: int = arg(8, "rank of the policy's adapter", tiny=16)
    warmup_steps: int = arg(20, "iterations of linear warm-up, those of --value-warmup included", tiny=2)
    value_warmup: int = arg(20, "first iterations in which only the value function learns", tiny=2)
    max_len: int = arg(512, "tokens of a prompt; the oldest beyond are cut", tiny=256)
    max_new_tokens: int = arg(256, "tokens of an answer", tiny=48)
    temperature: float = arg(1.0, "of sampling and of every log-probability alike", tiny=0.7)
    algorithm: str = arg("ppo", f"where advantages come from: {', '.join(ALGORITHMS)} (clinicalgpt/ppo.py)")
    group: int = arg(1, "answers to each prompt; rloo and grpo compare them, so 2 or more there")
    minibatches: int = arg(4, "optimizer steps per pass over the rollouts")
    ppo_epochs: int = arg(2, "passes over each batch of rollouts", tiny=1)
    clip: float = arg(0.2, "how far the probability ratio may move before its gradient stops")
    dual_clip: float = arg(0.0, "bound of the loss where the advantage is negative (3 is usual); 0: none")
    value_clip: float = arg(0.2, "how far a value may move before its gradient stops")
    value_coefficient: float = arg(0.1, "weight of the value loss")
    entropy_coefficient: float = arg(0.0, "weight of the entropy bonus")
    pretrain: tuple = arg((), "dialogues (JSON lines) that are to stay likely: InstructGPT's PPO-ptx "
                              "(default: with the embedded prompts, the embedded records of other tasks)")
    pretrain_coefficient: float = arg(1.0, "weight of their mean loss per token; 0: none are mixed in")
    gamma: float = arg(1.0, "discount")
    lam: float = arg(0.95, "GAE's lambda for the policy's advantages")
    value_lam: float = arg(0.95, "and for the returns that the value function learns; 1: the true ones")
    rewards: tuple = arg((), f"parts of the reward and their weights: model, facts, {', '.join(RULES)} "
                             "(clinicalgpt/rules.py; default: model=1 and, where there is a graph, facts=2)")
    graph: str = arg("", "knowledge graph (tsv) that facts are checked against (default: with the embedded "
                         "prompts, the embedded one)")
    kl: float = arg(0.05, "beta, the weight of KL to the SFT model in the reward", tiny=0.1)
    kl_estimator: str = arg("k1", "k1, k2, k3, or exact (over the whole vocabulary)")
    kl_target: float = arg(6.0, "nats per answer that beta is steered to; 0: beta stays")
    kl_horizon: float = arg(10_000.0, "episodes over which beta is steered", tiny=1000.0)
    kl_stop: float = arg(0.0, "end the passes when the policy is this many nats per token from the one that "
                              "answered; 0: never")
    kl_limit: float = arg(50.0, "nats per answer, from the SFT model, at which the policy goes back to its "
                                "last good state and the learning rate is halved; 0: never")
    ratio_limit: float = arg(10.0, "mean ratio of a mini-batch beyond which it is skipped")
    score_clip: float = arg(5.0, "largest score of the model; 0: no limit")
    unfinished: str = arg("penalty", "answers that do not end within --max-new-tokens: penalty, bootstrap "
                                     "(worth what the value function expects next) or drop")
    missing_end_penalty: float = arg(1.0, "the penalty, taken from the score")
    repetition_penalty: float = arg(0.0, "score lost, times the share of token pairs said before", tiny=3.0)
    eval_every: int = arg(100, "iterations between looks at held-out prompts", tiny=6)
    eval_prompts: int = arg(128, "held-out prompts to look at")
    ignore_probes: bool = arg(False, "start although the reward fails a probe (clinicalgpt/probes.py)")


def main(cfg):
    run = Run(cfg, "ppo")                                                   # 1. folder, seed, device
    if run.finished:
        return read_json(run.out / "done.json")
    check(cfg)
    check_memory("ppo", cfg.init, cfg, run)
    graph = cfg.graph or ("" if cfg.data else tiny_data(cfg.lang, cfg.seed) / "graph.tsv")
    graph = read_graph(graph) if graph else None
    roles = open_roles(cfg, run, graph)                                     # 2. one trunk, four roles
    run.note(trunk=cfg.init, parts={name: weight for name, (weight, _) in roles.rules.items()})
    trained, optimizer = learners(roles, cfg)
    prompts, held_out, mix = load(cfg, roles)                               # 3. questions without answers
    full = sum(len(prompt.ids) == cfg.max_len for prompt in prompts)
    print(f"ppo: {len(prompts)} prompts ({full} of --max-len {cfg.max_len}, to which longer ones are cut), "
          f"{cfg.steps} iterations of {cfg.batch_size} rollouts ({cfg.algorithm}"
          f"{f', {len(mix)} dialogues mixed in' if mix else ''})")
    if cfg.reward != "none" and not run.continues:
        probe(roles, cfg, run)
    state = {"beta": cfg.kl, "scale": 1.0, "retreats": 0}
    facts = facts_rule(graph) if graph else None
    good = {f"good.{name}": p.detach().clone() for name, p in trained.items()}
    for step in run.steps(cfg.steps, trained | good, optimizer, state):     # 4. one batch of rollouts a turn
        batch = [prompts[i] for i in batch_of_step(len(prompts), cfg.batch_size // cfg.group, cfg.seed, step,
                                                   whole=True) for _ in range(cfg.group)]
        rollouts, metrics = roll_out(roles, batch, state["beta"], roles.end_id, cfg, run,
                                     seed_of(cfg.seed, step, 1))
        metrics["beta"] = state["beta"]
        if rollouts is None:                                                # not one answer has an end
            pass
        elif cfg.kl_limit and not metrics["kl"] <= cfg.kl_limit:            # nan is no small KL
            go_back(trained, optimizer, good, state, cfg)
        else:
            if metrics["kl"] <= cfg.kl_limit / 2:
                copy_into(good, trained)
            try:
                metrics |= update(roles, rollouts, optimizer, step, cfg, run, state, mix)
            except ValueError as error:
                run.alarm(step, "ratio not 1", str(error))
                raise
            if policy_learns(step, cfg):                                    # before, its KL says nothing
                controller = ppo.AdaptiveKL(state["beta"], cfg.kl_target, cfg.kl_horizon)
                state["beta"] = controller.update(metrics["kl"].item(), len(batch))
        if held_out and ((step + 1) % cfg.eval_every == 0 or step in (0, cfg.steps - 1)):
            metrics |= look(roles, held_out, facts, step, cfg, run)
        run.log(step, **metrics)
        for name, sentence in alarms(run.rows, cfg.kl_limit).items():
            run.alarm(step, name, sentence)

    def save(folder):                                                       # 5. the policy's adapter
        save_run(folder, roles.trunk, roles.tokenizer, roles.template, "policy", cfg.init)
    return run.finish(save, **{k: metrics[k] for k in ("reward", "kl", "entropy", "response_length")
                               if k in metrics})


def check(cfg):
    """ValueError for settings that make no sense together."""
    if cfg.lora_rank < 1:
        raise ValueError("--lora-rank 0: PPO trains an adapter, and the model without it is the reference; "
                         "give a rank of 1 or more")
    for name in ("steps", "minibatches", "ppo_epochs", "max_new_tokens", "group"):
        if getattr(cfg, name) <= 0:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be above 0")
    if cfg.lora_dropout:
        raise ValueError(f"--lora-dropout {cfg.lora_dropout}: PPO has none, or its ratio would not be 1")
    if cfg.epochs != PPOConfig.epochs:
        raise ValueError(f"--epochs {cfg.epochs}: PPO counts --steps, and --ppo-epochs in each")
    for name, words in (("algorithm", ALGORITHMS), ("kl_estimator", ("k1", "k2", "k3", "exact")),
                        ("unfinished", ("penalty", "bootstrap", "drop"))):
        if getattr(cfg, name) not in words:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: choose {', '.join(words)}")
    if cfg.algorithm in ("rloo", "grpo") and cfg.group < 2:
        raise ValueError(f"--algorithm {cfg.algorithm} compares answers to one prompt: --group 2 or more")
    if cfg.algorithm == "grpo" and cfg.kl_estimator != "k1":
        raise ValueError(f"--kl-estimator {cfg.kl_estimator}: grpo's KL is a loss, by k3; leave it out")
    if cfg.unfinished == "drop" and cfg.group > 1:
        raise ValueError(f"--unfinished drop would tear --group {cfg.group} apart; penalty does not")
    if cfg.unfinished == "bootstrap" and cfg.algorithm != "ppo":
        raise ValueError(f"--unfinished bootstrap: {cfg.algorithm} has no value function; penalty or drop do")
    if cfg.batch_size % cfg.group or cfg.batch_size // cfg.group < cfg.minibatches:
        raise ValueError(f"--batch-size {cfg.batch_size} is no multiple of --group {cfg.group}, or less than "
                         f"--minibatches {cfg.minibatches} groups")
    for names, least, most in RANGES:
        for name in names:
            if not least <= getattr(cfg, name) <= most:                     # nan is in no range
                raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: "
                                 f"must be from {least:g} to {most:g}")
    if cfg.algorithm == "ppo" and cfg.value_warmup >= cfg.steps:
        raise ValueError(f"--value-warmup {cfg.value_warmup}: the policy would learn in none of --steps "
                         f"{cfg.steps}")
    if cfg.kl_target and cfg.kl_horizon < cfg.batch_size:
        raise ValueError(f"--kl-horizon {cfg.kl_horizon:g}: counts rollouts, so at least --batch-size "
                         f"{cfg.batch_size}")
    if 0 < cfg.dual_clip <= 1:
        raise ValueError(f"--dual-clip {cfg.dual_clip}: bounds the loss from above 1 on; 0: none")


def learners(roles, cfg):
    """(trained parameters by name, their optimizer): the policy's adapter and, under PPO, the value
    function's with its head."""
    policy = {n: p for n, p in roles.trunk.named_parameters() if n.endswith(".policy")}
    value = {f"value.{n}": p for n, p in roles.judge.named_parameters() if n.endswith(".value")}
    value |= {f"value_head.{n}": p for n, p in roles.value_head.named_parameters()}
    if cfg.algorithm != "ppo":
        value = {}
    optimizer = make_optimizer([(policy.values(), cfg.lr), (value.values(), cfg.value_lr)], cfg.weight_decay,
                               eps=1e-5)
    return policy | value, optimizer


def load(cfg, roles):
    """(prompts, held-out prompts or [], dialogues to mix in or none)."""
    words = roles.tokenizer, roles.template
    data, valid = files_of(cfg, "prompts")
    prompts = load_prompts(data, *words, cfg.max_len)
    if len(prompts) * cfg.group < cfg.batch_size:
        raise ValueError(f"{len(prompts)} prompts are fewer than --batch-size {cfg.batch_size} takes at once "
                         f"(--group {cfg.group}); give more, or a smaller batch")
    for name, (_, rule) in roles.rules.items():
        if rule and all(math.isnan(rule(prompt.record, "")) for prompt in prompts):
            raise ValueError(f"--rewards {name}: says nothing of any of the {len(prompts)} prompts; in their "
                             "meta is not what it checks (clinicalgpt/rules.py)")
    held_out = load_prompts(valid, *words, cfg.max_len) if valid else []
    tasks = {str(prompt.record.get("task")) for prompt in prompts}          # look at what is trained
    alike = [prompt for prompt in held_out if str(prompt.record.get("task")) in tasks]
    files = cfg.pretrain or ([] if cfg.data else [tiny_data(cfg.lang, cfg.seed) / "mix.jsonl"])
    mix = load_dialogues(files, *words, cfg.max_len + cfg.max_new_tokens)[0] \
        if files and cfg.pretrain_coefficient else []
    return prompts, (alike or held_out)[:cfg.eval_prompts], mix


def probe(roles, cfg, run):
    """Refuse a reward that prefers worse answers: PPO would find them."""
    path, probes, scores = f"{cfg.reward}/probes.jsonl", [], []
    if cfg.ignore_probes and not Path(path).is_file():
        print(f"ppo: {path}: no such file; the reward was not probed")
        return
    for line, record in read_jsonl(path):
        check_messages(record, f"{path}:{line}", ends_with="user")
        if not all(isinstance(record.get(name), str) for name in ("probe", "good", "worse")):
            raise ValueError(f"{path}:{line}: not a probe (found {sorted(record)}); train_reward.py writes "
                             "them")
        if pair := scored_texts(roles, record, [record["good"], record["worse"]], cfg, run):
            probes.append(record)
            scores.append(pair)
    table = verdicts(probes, scores)
    print("\n".join(f"ppo: {line}" for line in lines_of(table)))
    failed = [name for name, row in table.items() if not row["passed"]]
    if failed and not cfg.ignore_probes:
        raise ValueError(f"{path}: the reward fails {', '.join(failed)} (clinicalgpt/probes.py says what "
                         "they are): PPO would learn to answer so.  Train the reward model on such pairs, "
                         "add a rule (--rewards), or start in spite of it with --ignore-probes")


def policy_learns(step, cfg):
    return step >= cfg.value_warmup or cfg.algorithm != "ppo"


def update(roles, rollouts, optimizer, step, cfg, run, state, mix=()):
    """--ppo-epochs passes over the rollouts in --minibatches optimizer steps each.  Returns metrics,
    token-weighted means."""
    sums, tokens, ratio_gaps, norms, skipped = {}, 0, [], [], 0
    rate = state["scale"] * learning_rate(step, cfg.steps, 1.0, cfg.warmup_steps)
    train_policy = policy_learns(step, cfg)
    turns = [rows for epoch in range(cfg.ppo_epochs)
             for rows in shuffled(len(rollouts.examples), cfg, seed_of(cfg.seed, step, 3, epoch))]
    for turn, rows in enumerate(turns):
        count, these = rollouts.mask_BT[rows].sum().clamp(min=1), {}
        for part in micro_batches(parallel.share(rows), cfg.micro_batch_tokens,
                                  lambda i: len(rollouts.examples[i])):
            losses, ratio_gap = backward(roles, rollouts, part, count, train_policy, cfg, run,
                                         state["beta"])
            these = {k: these.get(k, 0.0) + v.item() for k, v in losses.items()}
            if turn == 0:                                   # before any update the ratio must be 1
                ratio_gaps.append(ratio_gap.item())
        these = parallel.added(these)
        if mix and train_policy:
            turn_of_all = step * cfg.ppo_epochs * cfg.minibatches + turn
            these["pretrain_loss"] = count.item() * mix_backward(roles, mix, turn_of_all, cfg, run)
        tokens += count.item()
        sums = {k: sums.get(k, 0.0) + v for k, v in these.items()}
        far = cfg.kl_stop and these["approximate_kl"] > cfg.kl_stop * count
        if far or not these["ratio"] <= cfg.ratio_limit * count:
            optimizer.zero_grad(set_to_none=True)
            skipped += len(turns) - turn if far else 1
            if far:
                break
        else:
            norms.append(optimizer_step(optimizer, rate, cfg.grad_clip))
    bound = 1e-3 if run.dtype == torch.float32 else 0.5    # bfloat16 rounds by the shapes of its products
    first_ratio_gap = max(parallel.gathered(ratio_gaps), key=lambda gap: (math.isnan(gap), gap))
    if not first_ratio_gap <= bound:                       # nan is not 1 either
        raise ValueError(f"the first PPO ratio is off 1 by {first_ratio_gap:.2g} (bound {bound}): "
                         "rollout and training disagree")
    means = {k: v / tokens for k, v in sums.items()}
    return means | {"first_ratio_gap": first_ratio_gap, "skipped": skipped,
                    "grad_norm": torch.stack(norms).max() if norms else math.nan}


def shuffled(count, cfg, seed):
    """--minibatches lists of rows, in this pass's order.  Answers to one prompt stay together: they share its
    tokens."""
    order = torch.randperm(count // cfg.group, generator=torch.Generator().manual_seed(seed))
    return [[row for i in chunk.tolist() for row in range(i * cfg.group, (i + 1) * cfg.group)]
            for chunk in order.tensor_split(cfg.minibatches) if len(chunk)]


def backward(roles, rollouts, part, count, train_policy, cfg, run, beta=0.0):
    """Add this micro-batch's share of the mini-batch's gradient.  Returns (sums of losses and statistics,
    max |ratio - 1|)."""
    examples = [rollouts.examples[i] for i in part]
    mask_BT = rollouts.mask_BT[part]
    sums = {}
    with nullcontext() if train_policy else torch.no_grad():
        logp_M, entropy_M = policy_logp(roles, "policy", examples, cfg, run)
        logp_BT, entropy_BT = rows_of([logp_M], mask_BT), rows_of([entropy_M], mask_BT)
        sums["policy_loss"], sums["clip_fraction"] = ppo.policy_loss(
            logp_BT, rollouts.logp_BT[part], rollouts.advantages_BT[part], mask_BT, cfg.clip, cfg.dual_clip)
        log_ratio_BT = (logp_BT - rollouts.logp_BT[part]) * mask_BT
        sums["approximate_kl"] = ppo.kl_estimate(-log_ratio_BT, torch.zeros_like(log_ratio_BT), "k3").sum()
        sums["ratio"] = (log_ratio_BT.exp() * mask_BT).sum()
    if train_policy:
        loss = sums["policy_loss"]
        if cfg.entropy_coefficient:                             # its gradient makes the logits once more
            loss = loss - cfg.entropy_coefficient * entropy_BT.sum()
        if cfg.algorithm == "grpo":
            sums["kl_loss"] = (ppo.kl_estimate(logp_BT, rollouts.ref_logp_BT[part], "k3") * mask_BT).sum()
            loss = loss + beta * sums["kl_loss"]
        (loss / count).backward()
    if cfg.algorithm == "ppo":
        values_BT = rows_of([token_values(roles, examples, run)[0]], mask_BT)
        sums["value_loss"], sums["value_clip_fraction"] = ppo.value_loss(
            values_BT, rollouts.values_BT[part], rollouts.returns_BT[part], mask_BT, cfg.value_clip)
        (cfg.value_coefficient * sums["value_loss"] / count).backward()
    return sums, log_ratio_BT.detach().exp().sub(1).abs().max()


def mix_backward(roles, mix, turn, cfg, run):
    """Add the gradient of --pretrain-coefficient times the mean loss of as many dialogues as a mini-batch has
    answers; returns that mean (Ouyang 2022, eq. 2)."""
    batch = [mix[i] for i in batch_of_step(len(mix), cfg.batch_size // cfg.minibatches, cfg.seed, turn)]
    tokens, loss = max(1, sum(sum(example.answer[1:]) for example in batch)), 0.0
    for part in micro_batches(parallel.share(batch), cfg.micro_batch_tokens):
        with adapter(roles.trunk, "policy"), run.autocast():
            share = roles.trunk.loss(pack(part, run.device), tokens)
        (cfg.pretrain_coefficient * share).backward()
        loss += share.item()
    return sum(parallel.gathered([loss]))


@torch.no_grad()
def copy_into(these, those):
    for tensor, other in zip(these.values(), those.values()):
        tensor.copy_(other)


def go_back(trained, optimizer, good, state, cfg):
    """To the weights that last answered within half of --kl-limit, without momentum, at half the rate."""
    state["scale"] /= 2
    state["retreats"] += 1
    if state["retreats"] > 3:
        raise ValueError(f"the policy left the SFT model by more than --kl-limit {cfg.kl_limit:g} nats four "
                         "times; start anew with a lower --lr or a higher --kl")
    copy_into(trained, good)
    optimizer.state.clear()


if __name__ == "__main__":
    run_main(main, PPOConfig, several=True)
