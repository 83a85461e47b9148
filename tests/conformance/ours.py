"""
This project's tensors and roles behind the adapter's names.  (Not here: its models, data and runs, see
ours_runs.py; these two files alone know the project's modules.)

All roles stand on one tiny random trunk.  The attributes that begin with `if_` are switches: bugs.py throws
them to have a mistake made inside the real loop.
"""

import copy
import pkgutil
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import torch

import train_ppo
import train_reward
from clinicalgpt import ppo, roles, rollouts
from clinicalgpt.dataset import Example, pack
from clinicalgpt.lora import adapter, adapter_parameters, add_lora, copy_adapter
from clinicalgpt.model import Transformer
from clinicalgpt.reward import ScalarHead, ranking_loss
from clinicalgpt.run import make_optimizer
from tests.conformance.ours_runs import OnDisk
from tests.reference import examples, tiny_model

CPU = SimpleNamespace(device="cpu", dtype=torch.float32, autocast=nullcontext)
CONFIG = train_ppo.PPOConfig(
    steps=1000, batch_size=8, warmup_steps=0, value_warmup=0, max_new_tokens=9, score_clip=0.0, minibatches=2,
    micro_batch_tokens=30, ppo_epochs=2, missing_end_penalty=1.0, repetition_penalty=0.0, kl_target=0.0)
SEAMS = {                                               # where bugs.py makes its mistakes
    "adapter": "clinicalgpt.roles.adapter", "attention": "clinicalgpt.model.attention",
    "backward": "train_ppo.backward", "delta": "clinicalgpt.lora.LoRALinear.delta",
    "fit": "clinicalgpt.dataset.fit", "generate": "clinicalgpt.roles.generate",
    "last_token_score": "clinicalgpt.roles.last_token_score", "learning_rate": "train_ppo.learning_rate",
    "load_head": "clinicalgpt.reward.ScalarHead.load", "newest": "clinicalgpt.dataset.newest",
    "positions": "clinicalgpt.model.positions", "rollout_logp": "clinicalgpt.rollouts.policy_logp",
    "score": "clinicalgpt.roles.score", "update": "train_ppo.update", "whiten": "clinicalgpt.ppo.whiten"}
BETA, STATE, END = 0.1, {"beta": 0.1, "scale": 1.0}, 2
PROMPTS = examples([(n, 0) for n in (3, 1, 6, 2, 4, 4, 5, 1)])


def example(prompt, answer):
    return Example(prompt + answer, [False] * len(prompt) + [True] * len(answer), {})


class Said:
    """A "model" that says given logits: its unembedding is the identity."""
    score, read, unembed_VD = Transformer.score, Transformer.read, torch.eye(9, dtype=torch.float64)

    def __init__(self, logits):
        self.logits = logits

    def __call__(self, ids_N, lengths, cache=None, shared=None):
        return torch.cat(self.logits)


class Ours(OnDisk):
    name, end_id, role_names = "ours", END, ("reference", "policy", "value", "reward")
    if_training = False

    @staticmethod
    @contextmanager
    def mistake(seam, wrap):
        """Inside, wrap(function) stands for the function at this seam."""
        with patch(SEAMS[seam], wrap(pkgutil.resolve_name(SEAMS[seam]))):
            yield

    # ---- tensors -----------------------------------------------------------------------------------------

    def answer_logp(self, logits, rows, temperature):
        batch = pack([example(ids[:start], ids[start:]) for ids, start in rows])
        return Said(logits).score(batch, temperature)[0]

    kl, rewards, whiten = map(staticmethod, (ppo.kl_estimate, ppo.shaped_rewards, ppo.whiten))
    gae = staticmethod(ppo.gae)

    @staticmethod
    def policy_loss(logp_BT, old_logp_BT, advantages_BT, mask_BT, clip):
        return ppo.policy_loss(logp_BT, old_logp_BT, advantages_BT, mask_BT, clip)[0] / mask_BT.sum()

    @staticmethod
    def value_loss(values_BT, old_values_BT, returns_BT, mask_BT, clip):
        return ppo.value_loss(values_BT, old_values_BT, returns_BT, mask_BT, clip)[0] / mask_BT.sum()

    @staticmethod
    def betas(kls, beta, target, horizon, episodes):
        controller = ppo.AdaptiveKL(beta, target, horizon)
        return [controller.update(kl, episodes) for kl in kls]

    @staticmethod
    def accuracy(groups):
        rankings = [SimpleNamespace(ranks=[1, 2], kinds=["good", "bad"]) for _ in groups]
        gaps = [gap for scores, ranking in zip(groups, rankings)
                for _, gap in train_reward.gaps_of(torch.tensor(scores), ranking)]
        return train_reward.right(gaps)

    @staticmethod
    def ranking_loss(scores, ranks):
        return ranking_loss(torch.tensor(scores, dtype=torch.float64), ranks)

    # ---- roles on one tiny trunk -------------------------------------------------------------------------

    def make_roles(self, dropout=0.0, moved=False, dtype=torch.float32):
        """Policy (new, or moved away from the reference), reward and value adapters on a random trunk."""
        trunk = tiny_model(dtype=torch.float32)
        with torch.no_grad():
            trunk.embed.weight[END] *= 1.4                                  # so that some answers end
        torch.manual_seed(0)
        add_lora(trunk, "policy", 2, dropout=dropout)
        for factor in add_lora(trunk, "reward", 2, dropout=dropout):
            factor.requires_grad_(False).normal_(std=0.2)
        copy_adapter(trunk, "reward", "value")
        for name, std in (("policy", 0.3), ("value", 0.25)) if moved else ():
            for factor in adapter_parameters(trunk, name):
                factor.data.normal_(std=std)
        head = ScalarHead(32).to(dtype)
        trunk.to(dtype).train(self.if_training)
        return roles.Roles(trunk, trunk, "reward", copy.deepcopy(head).requires_grad_(False), head,
                           rules={"model": (1.0, None)})

    @staticmethod
    def roll_out(of, cfg=CONFIG, seed=0):
        return rollouts.roll_out(of, PROMPTS, BETA, END, cfg, CPU, seed)

    def answers(self, prompts, seed):
        rows = roles.answer(self.make_roles(), "policy", [example(ids, []) for ids in prompts], END,
                            replace(CONFIG, max_new_tokens=30), CPU, seed)
        return [row.ids[len(ids):] for row, ids in zip(rows, prompts)]

    def rollout_tokens(self, count):
        of = self.make_roles()
        for parameter in of.trunk.final_norm.parameters():
            parameter.data.zero_()                                          # all logits are equal
        rows = roles.answer(of, "policy", [example([5], [])] * (count // 8), None,
                            replace(CONFIG, max_new_tokens=8), CPU, 0)
        return [token for row in rows for token in row.ids[1:]], 96

    def rollout_advantages(self, budget):
        of, cfg = self.make_roles(moved=True, dtype=torch.float64), replace(CONFIG, micro_batch_tokens=budget)
        batch, _ = self.roll_out(of, cfg)
        return batch.advantages_BT[batch.mask_BT > 0]

    def first_iteration(self, dropout, temperature):
        """Dropout stands before the adapter, and a new one's B is 0: so it is tried on one that has moved."""
        of = self.make_roles(dropout, moved=dropout > 0, dtype=torch.float64)
        cfg = replace(CONFIG, temperature=temperature)
        batch, _ = self.roll_out(of, cfg)
        logp_M, reference_M = (roles.policy_logp(of, name, batch.examples, cfg, CPU)[0].detach()
                               for name in ("policy", None))
        old_M = batch.logp_BT[batch.mask_BT > 0]
        return (logp_M - old_M).exp(), old_M - reference_M

    def scores(self, rows):
        return roles.score(self.make_roles(), [example(*row) for row in rows], CONFIG, CPU).tolist()

    def plain_score(self, ids):
        of = self.make_roles()
        with torch.no_grad(), adapter(of.trunk, "reward"):
            hidden_TD = of.trunk(torch.tensor(ids), [len(ids)])
        return float(hidden_TD[-1] @ of.reward_head.linear.weight[0] + of.reward_head.linear.bias[0])

    def penalty(self, prompt, answer):
        """Without KL and discount, the return of each token is the score that is left."""
        of, row = self.make_roles(), example(prompt, answer)
        cfg = replace(CONFIG, lam=1.0, value_lam=1.0)
        with patch.object(rollouts, "answer", lambda *args: [row]):
            batch, _ = self.roll_out(of, cfg)
        return self.plain_score(row.ids) - float(batch.returns_BT[0, 0])

    # ---- updates -----------------------------------------------------------------------------------------

    @staticmethod
    def learning(of):
        return [*adapter_parameters(of.trunk, "policy"), *adapter_parameters(of.judge, "value"),
                *of.value_head.parameters()]

    def gradient(self, parts):
        """By update() itself: plain descent at rate 1 moves the weights by the gradient."""
        of = self.make_roles(moved=True, dtype=torch.float64)
        cfg = replace(CONFIG, minibatches=1, ppo_epochs=1, grad_clip=0.0)
        batch, _ = self.roll_out(of)
        before = [x.detach().clone() for x in self.learning(of)]
        optimizer = torch.optim.SGD([{"params": self.learning(of), "peak": 1.0}], lr=1.0)
        with patch.object(train_ppo, "micro_batches", lambda *args: iter(parts)):
            train_ppo.update(of, batch, optimizer, 0, cfg, CPU, STATE)
        return torch.cat([(b - x.detach()).flatten() for b, x in zip(before, self.learning(of))])

    def rank_gradient(self, parts):
        """Two processes are two copies of the roles here, with one count; test_parallel.py has real ones."""
        total = 0.0
        for part in parts:
            of = self.make_roles(moved=True, dtype=torch.float64)
            batch, _ = self.roll_out(of)
            train_ppo.backward(of, batch, part, batch.mask_BT.sum(), True, CONFIG, CPU)
            total = total + torch.cat([x.grad.flatten() for x in self.learning(of)])
        return total

    def ten_updates(self):
        of, fixed = self.make_roles(), examples([(3, 4), (1, 6)])
        optimizer = make_optimizer([(self.learning(of), 1e-2)])

        def state():
            weights = [x.detach().clone() for name, x in of.trunk.named_parameters()
                       if not name.endswith((".policy", ".value"))]
            still = [*weights, roles.policy_logp(of, None, fixed, CONFIG, CPU)[0],
                     roles.score(of, fixed, CONFIG, CPU)]
            moving = [roles.policy_logp(of, "policy", fixed, CONFIG, CPU)[0],
                      roles.token_values(of, fixed, CPU)[0]]
            return [x.detach() for x in still], [x.detach() for x in moving]
        still, moving = state()
        for step in range(10):
            batch, _ = self.roll_out(of, seed=step)
            train_ppo.update(of, batch, optimizer, step, CONFIG, CPU, STATE)
        still_after, moving_after = state()
        return {"still": (still, still_after), "moving": (moving, moving_after)}

    def new_roles(self):
        of, rows = self.make_roles(moved=True), examples([(3, 4), (1, 6)])
        calls = {"reference": lambda: roles.policy_logp(of, None, rows, CONFIG, CPU)[0],
                 "policy": lambda: roles.policy_logp(of, "policy", rows, CONFIG, CPU)[0],
                 "value": lambda: roles.token_values(of, rows, CPU)[0],
                 "reward": lambda: roles.score(of, rows, CONFIG, CPU)}
        return lambda name: calls[name]().detach()

    def learners(self, policy_learns):
        of = self.make_roles(moved=True)
        batch, _ = self.roll_out(of)
        train_ppo.backward(of, batch, [0, 1, 2], 10, policy_learns, CONFIG, CPU)
        found = {name.rpartition(".")[2] if ".lora_" in name else "trunk"
                 for name, x in of.trunk.named_parameters() if x.grad is not None and x.grad.any()}
        for name, head in (("value", of.value_head), ("reward", of.reward_head)):
            found |= {name} if any(x.grad is not None and x.grad.any() for x in head.parameters()) else set()
        return found

    def learns(self, seed, steps=30):
        """An answer's score is the share of its tokens below 48; as a reward its mean is 0 and its deviation
        1 at first."""
        of, scores = self.make_roles(), []
        optimizer = make_optimizer([(self.learning(of), 3e-2)])
        cfg = replace(CONFIG, missing_end_penalty=0.0, micro_batch_tokens=1000, kl=0.01, seed=seed)

        def rule(of, rows, cfg, run):
            said = [[token for token, is_answer in zip(row.ids, row.answer) if is_answer] for row in rows]
            share_B = torch.tensor([sum(token < 48 for token in ids) / len(ids) for ids in said])
            return {"model": (1.0, (share_B - 0.5) / 0.15)}
        for step in range(steps):
            with patch.object(rollouts, "reward_parts", rule):
                batch, metrics = rollouts.roll_out(of, PROMPTS * 4, 0.01, END, cfg, CPU, 1000 * seed + step)
            train_ppo.update(of, batch, optimizer, step, cfg, CPU, STATE)
            scores.append(float(metrics["reward"]) * 0.15 + 0.5)
        return scores[0], sum(scores[-3:]) / 3
