"""
TRL up to 0.11, where PPOTrainer was the one of lm-human-preferences: its methods, on a stand-in for the
trainer.  Imported only where such a TRL is.
"""

import types
from types import SimpleNamespace

import accelerate
import torch

from tests.conformance.interface import Missing
from tests.conformance.peers import padded_ids, padded_logits
from tests.conformance.tensors import rollouts
from tests.conformance.trl_adapter import Common, find


class Trl09(Common):
    remarks = {**Common.remarks,
               21: "train_minibatch takes the mean over its own tokens, accumulation the mean of those means",
               22: "so does each process, and DDP takes the mean of those means"}
    reasons = {
        "answers": "inline in PPOTrainer.generate", "rollout_tokens": "left to its caller",
        "penalty": "no penalty for an answer without an end", "ten_updates": "inline in PPOTrainer.step",
        "new_roles": "left to peft", "learners": "left to peft", "merged": "left to peft",
        "head_again": "left to transformers", "decoded": "left to transformers",
        "logits_behind": "left to transformers", "normaliser": "no normalisation of scores",
        "training": "no resuming", "learns": "a whole trainer", "prompt_text": "left to its caller",
        "stages": "left to its caller", "truncated": "left to its caller", "load": "left to its caller"}

    def stand_in(self, **changes):
        """A trainer that has these settings, and the methods that its methods call."""
        trainer = find("trainer.ppo_trainer.PPOTrainer")
        config = {"gamma": 1.0, "lam": 0.95, "whiten_rewards": False, "cliprange": 0.2,
                  "cliprange_value": 0.2, "vf_coef": 1.0, "ratio_threshold": 10.0, "kl_penalty": "kl",
                  "mini_batch_size": 64, "max_grad_norm": None, **changes}
        of = SimpleNamespace(config=SimpleNamespace(**config), is_encoder_decoder=False,
                             kl_ctl=SimpleNamespace(value=config.get("beta")))
        for name in ("loss", "compute_rewards", "compute_advantages", "_kl_penalty", "train_minibatch",
                     "batched_forward_pass"):
            setattr(of, name, types.MethodType(getattr(trainer, name), of))
        return of

    def answer_logp(self, logits, rows, temperature):
        if temperature != 1.0:
            raise Missing("batched_forward_pass takes no temperature")
        ids_BT, mask_BT = padded_ids([ids for ids, _ in rows], left=True)
        prompts, said = zip(*((torch.tensor(ids[:start]), torch.tensor(ids[start:])) for ids, start in rows))
        logp_BT, _, _, masks_BT = self.stand_in().batched_forward_pass(
            Says(padded_logits(logits, left=True)), prompts, said,
            {"input_ids": ids_BT, "attention_mask": mask_BT})
        return logp_BT[masks_BT > 0]

    def kl(self, logp_BT, ref_logp_BT, kind):
        if kind == "k3":
            raise Missing("no k3")
        return self.stand_in(kl_penalty={"k1": "kl", "k2": "mse"}[kind])._kl_penalty(logp_BT, ref_logp_BT)

    def rewards(self, score_B, kl_BT, mask_BT, beta):
        return self.stand_in(beta=beta).compute_rewards(score_B, kl_BT, torch.zeros_like(kl_BT), mask_BT)[0]

    def gae(self, rewards_BT, values_BT, mask_BT, gamma, lam):
        """Its advantages come whitened, its returns do not."""
        return None, self.stand_in(gamma=gamma, lam=lam).compute_advantages(values_BT, rewards_BT, mask_BT)[2]

    def whiten(self, *args):
        return self.whitened(*args)

    def policy_loss(self, logp_BT, old_logp_BT, advantages_BT, mask_BT, clip):
        none_BT, none_BTV = nothing(logp_BT)
        return self.stand_in(cliprange=clip).loss(old_logp_BT, none_BT, none_BTV, none_BT, logp_BT, mask_BT,
                                                  advantages_BT, none_BT)[0]

    def value_loss(self, values_BT, old_values_BT, returns_BT, mask_BT, clip):
        none_BT, none_BTV = nothing(values_BT)
        return self.stand_in(cliprange_value=clip).loss(none_BT, old_values_BT, none_BTV, values_BT, none_BT,
                                                        mask_BT, none_BT, returns_BT)[1]

    def betas(self, kls, beta, target, horizon, episodes):
        controller, betas = find("trainer.utils.AdaptiveKLController")(beta, target, horizon), []
        for kl in kls:
            controller.update(kl, episodes)
            betas.append(controller.value)
        return betas

    def accuracy(self, groups):
        return find("trainer.utils.compute_accuracy")((torch.tensor(groups).numpy(), 0))["accuracy"]

    def gradient(self, parts):
        """train_minibatch for each part, under the accelerator's accumulation, as step() does it."""
        logp_BT, old_BT, advantages_BT, mask_BT = rollouts()
        leaf_BT, (none_BT, none_BTV), of = logp_BT.clone().requires_grad_(), nothing(logp_BT), self.stand_in()
        of.accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=len(parts))
        of.optimizer = SimpleNamespace(step=lambda: None, zero_grad=lambda: None)
        of.model = torch.nn.Linear(1, 1)
        for part in parts:
            with of.accelerator.accumulate(of.model):
                of.train_minibatch(old_BT[part], none_BT[part], leaf_BT[part], none_BTV[part], none_BT[part],
                                   mask_BT[part], advantages_BT[part], none_BT[part])
        return leaf_BT.grad

    def rank_gradient(self, parts):
        """Each process divides by its own tokens; DDP takes the mean."""
        return sum(self.gradient([part]) for part in parts) / len(parts)


def nothing(x_BT):
    """Zeros for what a loss takes besides, of the same shape, and as logits of two tokens."""
    return torch.zeros_like(x_BT).detach(), torch.zeros(*x_BT.shape, 2, dtype=x_BT.dtype)


class Says(torch.nn.Module):
    def __init__(self, logits_BTV):
        super().__init__()
        self.logits_BTV = logits_BTV

    def forward(self, **inputs):
        return self.logits_BTV, None, self.logits_BTV[..., 0]
