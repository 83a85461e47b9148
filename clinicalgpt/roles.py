"""
PPO's models: one trunk and what each of its roles says of given tokens.
(Not here: the mathematics, see ppo.py; the loop and its settings, see train_ppo.py.)

    reference    the trunk with no adapter: the SFT model          log pi_ref
    policy       the adapter that learns                           log pi, and the answers
    reward       the reward run's adapter and head, frozen         one score per answer
    value        copies of those two, which learn                  one value per token

Switching is a name, and costs nothing.  A reward model with weights of its own brings a second trunk, which
reward and value then share.  `cfg` is train_ppo's configuration.

Letters: M answer tokens of all examples end to end, B answers.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from clinicalgpt.dataset import Example, micro_batches, pack, reply_examples
from clinicalgpt.files import read_json
from clinicalgpt.generate import generate
from clinicalgpt.lora import adapter, add_lora, copy_adapter
from clinicalgpt.parallel import gathered, share, span
from clinicalgpt.reward import ScalarHead, last_token_score
from clinicalgpt.rules import rules_of
from clinicalgpt.run import load_reward, open_run
from clinicalgpt.template import Template
from clinicalgpt.tokenizer import Tokenizer


@dataclass
class Roles:
    """`trunk` carries policy and reference; `judge` is the same object unless the reward model has its own
    weights."""
    trunk: torch.nn.Module
    judge: torch.nn.Module
    reward: str | None                                      # adapter of the judge, None for its own weights
    reward_head: ScalarHead
    value_head: ScalarHead
    tokenizer: Tokenizer | None = None
    template: Template | None = None
    rules: dict | None = None                               # part of the reward -> (weight, rule): rules.py

    @property
    def end_id(self):
        return self.template.end_id(self.tokenizer)


def open_roles(cfg, run, graph=None):
    """Roles of these runs.  The reward model must speak the SFT model's template; its trunk is shared if it
    stands on the same run.  --reward none: rules alone judge, and the value function starts at 0."""
    # Over the SFT model's answers the model's score deviates by 1, F1 of facts by about 0.6: hence twice.
    usual = ["model=1"] * (cfg.reward != "none") + ["facts=2"] * (graph is not None)
    rules = rules_of(cfg.rewards or usual, graph)
    if read_json(Path(cfg.init) / "config.json").get("stage") == "reward":
        raise ValueError(f"{cfg.init}: a reward model; --init is the run of the SFT model")
    trunk, tokenizer, template = open_run(cfg.init, run.device, run.dtype)
    add_lora(trunk, "policy", cfg.lora_rank, cfg.lora_alpha, 0.0, cfg.lora_targets)
    if cfg.reward == "none":
        judge, reward, reward_head = trunk, None, ScalarHead(trunk.config.width).to(run.device)
        torch.nn.init.zeros_(reward_head.linear.weight)
        if "model" in rules or not rules:
            raise ValueError("--reward none: there is no model to score answers; --rewards must name rules")
    else:
        judge, reward, reward_head, reads, spoken = load_reward(cfg.reward, run.device, run.dtype, trunk,
                                                                cfg.init)
        if (spoken, reads.core.vocab, reads.added) != (template, tokenizer.core.vocab, tokenizer.added):
            raise ValueError(f"{cfg.reward}: another template or other tokens than {cfg.init}'s; "
                             "a reward model must read what the policy writes")
    if reward:
        copy_adapter(judge, "reward", "value")
    else:
        add_lora(judge, "value", cfg.lora_rank, cfg.lora_alpha, 0.0, cfg.lora_targets)
    trunk.gradient_checkpointing = judge.gradient_checkpointing = cfg.gradient_checkpointing
    value_head = copy.deepcopy(reward_head).requires_grad_(True)
    return Roles(trunk.eval(), judge.eval(), reward, reward_head, value_head,   # eval: dropout is off
                 tokenizer, template, rules)


def answer(roles, name, prompts, end_id, cfg, run, seed):
    """Examples of sampled answers to prompts, --batch-size at a time, by the policy (name "policy") or the
    reference (None)."""
    answers = []
    with torch.no_grad(), adapter(roles.trunk, name), run.autocast():
        for start in range(0, len(prompts), cfg.batch_size):
            ids = [prompt.ids for prompt in prompts[start:start + cfg.batch_size]]
            answers += gathered(generate(roles.trunk, share(ids), cfg.max_new_tokens, cfg.temperature,
                                         eos_id=end_id, seed=seed + start, first=span(len(ids)).start))
    return [Example(p.ids + new, [False] * len(p.ids) + [True] * len(new), p.record)
            for p, new in zip(prompts, answers)]


def policy_logp(roles, name, examples, cfg, run):
    """(logp_M, entropy_M) of the answers' tokens under the policy or the reference: old, new and reference
    come from here alone."""
    with adapter(roles.trunk, name), run.autocast():
        return roles.trunk.score(pack(examples, run.device), cfg.temperature)


def token_values(roles, examples, run):
    """(V_M, V_B): what the value function expects before each token of the answers, and behind the last."""
    batch = pack(examples, run.device)
    with adapter(roles.judge, "value"), run.autocast():
        hidden_ND = roles.judge.read(batch)
        return roles.value_head(hidden_ND[batch.state_M]), roles.value_head(hidden_ND[batch.last_B])


def in_parts(fn, examples, cfg, run):
    """[fn(micro-batch), ...], of several processes each making its share of them."""
    return gathered([fn(part) for part in micro_batches(share(examples), cfg.micro_batch_tokens)], run.device)


@torch.no_grad()
def score(roles, examples, cfg, run):
    """The reward model's scores_B, each read at the answer's last token."""
    with adapter(roles.judge, roles.reward), run.autocast():
        score_B = torch.cat(in_parts(lambda part: last_token_score(
            roles.judge, roles.reward_head, pack(part, run.device)), examples, cfg, run))
    if not score_B.isfinite().all():
        raise ValueError(f"{cfg.reward}: a score is {score_B[~score_B.isfinite()][0]}; "
                         "its weights are damaged")
    return score_B


def reward_parts(roles, examples, cfg, run):
    """{part: (weight, value_B)} of the reward: the model's score within +- --score-clip, and what each rule
    says of the answers' text; nan where a rule has nothing to say."""
    parts = {}
    for name, (weight, rule) in roles.rules.items():
        if name == "model":
            value_B = score(roles, examples, cfg, run)
            limit = cfg.score_clip or float("inf")
            parts[name] = weight, value_B.clamp(-limit, limit)
        else:
            values = [rule(example.record, text_of(roles, example)) for example in examples]
            parts[name] = weight, torch.tensor(values, device=run.device)
    return parts


def total(parts):
    """score_B = sum of weight * value over the parts; a rule without a word adds nothing."""
    return sum(weight * value_B.nan_to_num(0.0) for weight, value_B in parts.values())


def text_of(roles, example):
    """The answer as text, without its end."""
    ids = [token for token, is_answer in zip(example.ids, example.answer) if is_answer]
    return roles.tokenizer.decode(ids[:-1] if ids[-1:] == [roles.end_id] else ids).strip()


def scored_texts(roles, record, texts, cfg, run):
    """The reward, all parts of it, of these texts as answers to a record's messages; None if they are too
    long for one of them."""
    examples = reply_examples(record["messages"], texts, roles.tokenizer, roles.template,
                              cfg.max_len + cfg.max_new_tokens, record)
    return total(reward_parts(roles, examples, cfg, run)).tolist() if examples else None
