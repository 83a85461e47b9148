"""
TRL's published functions behind the adapter's names: what the installed version has of them.

    from 1.0        losses and log-probs of GRPOTrainer, on a stand-in for it; utilities; the reward trainer
    with PPO        (to 1.12) whitening and truncation of experimental.ppo; the loop's mathematics is inline
    0.9             rewards, advantages and losses of PPOTrainer, on a stand-in for it

Imported only where TRL is.
"""

import importlib
import warnings
from collections import defaultdict
from contextlib import nullcontext
from types import SimpleNamespace

import torch
import trl

from tests.conformance.interface import Adapter, Missing
from tests.conformance.peers import dataset, padded_ids, tiny, tokenizer
from tests.conformance.runs import TALK
from tests.conformance.tensors import rollouts


def find(*names):
    """The first of these functions that there is, or None."""
    for name in names:
        module, _, function = name.rpartition(".")
        try:
            with warnings.catch_warnings():                 # that what is experimental may change
                warnings.simplefilter("ignore")
                return getattr(importlib.import_module(f"trl.{module}"), function)
        except (ImportError, AttributeError, RuntimeError):
            continue
    return None


class Given(torch.nn.Module):
    """A "model" of transformers that says given logits: hidden states, under a head that is the identity."""

    def __init__(self, logits_BTV):
        super().__init__()
        self.logits_BTV, V = logits_BTV, logits_BTV.shape[-1]
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(model_type="given"))
        self.head = torch.nn.Linear(V, V, bias=False).double()
        self.head.weight = torch.nn.Parameter(torch.eye(V, dtype=torch.float64), requires_grad=False)

    def forward(self, *args, **kwargs):
        return SimpleNamespace(logits=self.logits_BTV)

    def base_model(self, *args, **kwargs):
        return SimpleNamespace(last_hidden_state=self.logits_BTV)

    def get_output_embeddings(self):
        return self.head


def laid_out(logits, rows):
    """Rows as TRL lays them: prompts left-padded, answers right-padded; logits with them."""
    P, A = max(start for _, start in rows), max(len(ids) - start for ids, start in rows)
    ids_BT, mask_BT = torch.zeros(len(rows), P + A, dtype=torch.long), torch.zeros(len(rows), P + A)
    logits_BTV = []
    for b, (ids, start) in enumerate(rows):
        place = slice(P - start, P - start + len(ids))
        ids_BT[b, place], mask_BT[b, place] = torch.tensor(ids), 1
        before, after = (torch.zeros(n, logits[b].shape[1], dtype=torch.float64)
                         for n in (place.start, P + A - place.stop))
        logits_BTV.append(torch.cat([before, logits[b], after]))
    return torch.stack(logits_BTV), ids_BT, mask_BT.long(), A


class Common(Adapter):
    """What versions from 0.9 on have alike."""
    name, version = "trl", trl.__version__
    remarks = {
        6: "get_reward knows a row's end by its pad id; TRL asks for one that stands in no text",
        7: "GPT-2, whose dropout is in modules, gives 1; LLaMA's attention_dropout is a number in its config "
           "(0 unless it is set), which disable_dropout_in_model does not see",
        13: "masked_var divides by n - 1, and says so in a comment",
        23: "the loss is multiplied by the mask, and NaN times 0 is NaN"}

    def first_iteration(self, dropout, temperature):
        """Models that its disable_dropout_in_model was given, in training as the trainers have them."""
        if temperature != 1.0:
            raise Missing("inline in the trainers")
        ratios, ids_BT = [], torch.tensor([[5, 9, 13, 6, 8, 40]])
        for kind, names in (("gpt2", ("resid_pdrop", "embd_pdrop", "attn_pdrop")),
                            ("llama", ("attention_dropout",))):
            model = tiny(kind, **dict.fromkeys(names, dropout)).train()
            find("trainer.utils.disable_dropout_in_model")(model)
            torch.manual_seed(0)
            old, new = (find("trainer.utils.selective_log_softmax", "core.logprobs_from_logits")(
                model(ids_BT).logits[:, :-1], ids_BT[:, 1:]).detach() for _ in range(2))
            ratios.append((new - old).exp().flatten())
        return torch.cat(ratios), torch.zeros(1)

    def scores(self, rows):
        prompt_BT, _ = padded_ids([prompt for prompt, _ in rows], left=True)
        answer_BT, _ = padded_ids([answer for _, answer in rows])
        get_reward = find("experimental.utils.get_reward", "trainer.utils.get_reward")
        with torch.no_grad():
            return get_reward(tiny("llama", "SequenceClassification"), torch.cat([prompt_BT, answer_BT], 1),
                              0, prompt_BT.shape[1])[1].tolist()

    @torch.no_grad()
    def plain_score(self, ids):
        model = tiny("llama", "SequenceClassification")
        return float(model.score(model.model(torch.tensor([ids])).last_hidden_state)[0, -1])

    def whitened(self, x_BT, mask_BT, shift_mean):
        whiten = find("experimental.ppo.ppo_trainer.masked_whiten", "core.masked_whiten")
        return whiten(x_BT, mask_BT, shift_mean)


class Trl(Common):
    role_names = ("reference", "policy", "value")
    reasons = {
        "rewards": "inline in PPOTrainer.train; GRPO has its KL in the loss",
        "gae": "inline in PPOTrainer.train; GRPO has none",
        "value_loss": "inline in PPOTrainer.train; GRPO has none",
        "kl": "inline in PPOTrainer.train and GRPOTrainer._compute_loss", "betas": "no adaptive controller",
        "answers": "inline in the trainers", "rollout_tokens": "inline in the trainers",
        "penalty": "inline in PPOTrainer.train", "truncated": "inline in SFTTrainer._prepare_dataset",
        "load": "inline in the trainers' _prepare_dataset", "ten_updates": "inline in the trainers",
        "learners": "left to peft", "merged": "left to peft", "head_again": "left to transformers",
        "decoded": "left to transformers", "normaliser": "no normalisation of scores",
        "training": "left to transformers' Trainer", "learns": "a whole trainer"}

    def __init__(self):
        self.grpo = find("trainer.grpo_trainer.GRPOTrainer")
        self.judge = find("trainer.reward_trainer.RewardTrainer")
        if not find("experimental.ppo.ppo_trainer.masked_whiten"):
            self.reasons = {**self.reasons, "whiten": "this version has no PPO, nor a masked whitening",
                            **{name: "this version has no PPO; GRPO has none" for name in
                               ("gae", "value_loss", "rewards", "penalty")}}
        else:
            self.whiten = self.whitened

    # ---- log-probs ---------------------------------------------------------------------------------------

    def stand_in(self, temperature=1.0, **changes):
        def same(x, *args, **kwargs):
            return x
        accelerator = SimpleNamespace(autocast=nullcontext, num_processes=1, is_main_process=False,
                                      sync_gradients=True, gather=same, gather_for_metrics=same, reduce=same)
        return SimpleNamespace(**{
            "accelerator": accelerator, "temperature": temperature, "model_kwarg_keys": set(),
            "_entropy_bonus_enabled": False, "aux_loss_enabled": False, "top_entropy_quantile": 1.0,
            "off_policy_mask_threshold": None, "importance_sampling_level": "token", "beta": 0.0,
            "loss_type": "bnpo", "epsilon_low": 0.2, "epsilon_high": 0.2, "use_vllm": False,
            "vllm_importance_sampling_correction": False, "current_gradient_accumulation_steps": 1,
            "model": SimpleNamespace(training=True), "_metrics": {"train": defaultdict(list)},
            "use_adaptive_entropy": False, "_tp_size": 1, "_total_train_tokens": 0,
            "args": SimpleNamespace(delta=None, steps_per_generation=1, report_to=[],
                                    use_bias_correction_kl=False, center_rewards_coefficient=None),
            **changes})

    def model_logp(self, model, ids_BT, mask_BT, keep, temperature=1.0):
        if add_head := find("trainer.utils.add_fused_lm_head"):
            add_head(model, temperature=temperature)
        of = self.stand_in(temperature)
        return self.grpo._get_per_token_logps_and_entropies(of, model, ids_BT, mask_BT, keep)[0]

    def answer_logp(self, logits, rows, temperature):
        logits_BTV, ids_BT, mask_BT, keep = laid_out(logits, rows)
        logp_BT = self.model_logp(Given(logits_BTV), ids_BT, mask_BT, keep, temperature)
        return logp_BT[mask_BT[:, -keep:] > 0]

    families = ("llama", "bloom")

    def logits_behind(self, family, n):
        """Its log-probs of the text's last tokens, n pads before it (in float32: BLOOM in transformers has
        no other mask)."""
        ids = list(range(4, 12))
        ids_BT, mask_BT = torch.tensor([[0] * n + ids]), torch.tensor([[0] * n + [1] * len(ids)])
        return self.model_logp(tiny(family).float(), ids_BT, mask_BT, 6).detach()

    # ---- losses ------------------------------------------------------------------------------------------

    def policy_loss(self, logp_BT, old_logp_BT, advantages_BT, mask_BT, clip, **changes):
        changes = {"epsilon_low": clip, "epsilon_high": clip, **changes}
        of = self.stand_in(_get_per_token_logps_and_entropies=lambda *args, **kwargs: (
            logp_BT, torch.zeros_like(logp_BT), None), **changes)
        inputs = {"prompt_ids": torch.ones(len(mask_BT), 1), "prompt_mask": torch.ones(len(mask_BT), 1),
                  "completion_ids": torch.ones_like(mask_BT), "completion_mask": mask_BT,
                  "advantages": advantages_BT, "old_per_token_logps": old_logp_BT,
                  "num_items_in_batch": self.tokens or mask_BT.sum()}
        return self.grpo._compute_loss(of, None, inputs)

    tokens = None                                       # of the whole batch, where a call sees a part of it

    def parts_gradient(self, parts, processes):
        """GRPO's default loss, "dapo": a sum over the tokens of the whole batch.  DDP averages processes."""
        leaf_BT, *rest = rollouts()
        leaf_BT.requires_grad_()
        of, steps = self.stand_in(), 1 if processes else len(parts)
        of.accelerator.num_processes, of.args.steps_per_generation = len(parts) // steps, steps
        self.tokens = rest[-1].sum()
        for part in parts:
            loss = self.policy_loss(leaf_BT[part], *(x_BT[part] for x_BT in rest), 0.2, loss_type="dapo",
                                    current_gradient_accumulation_steps=steps, accelerator=of.accelerator,
                                    args=of.args)
            (loss / of.accelerator.num_processes).backward()
        self.tokens = None
        return leaf_BT.grad

    def gradient(self, parts):
        return self.parts_gradient(parts, processes=False)

    def rank_gradient(self, parts):
        return self.parts_gradient(parts, processes=True)

    def accuracy(self, groups):
        of = self.stand_in()
        logits = torch.tensor([good for good, _ in groups] + [bad for _, bad in groups])[:, None]
        self.judge.compute_loss(of, lambda **inputs: SimpleNamespace(logits=logits),
                                {"attention_mask": torch.ones(len(logits), 1)})
        return of._metrics["train"]["accuracy"][0]

    # ---- models, data ------------------------------------------------------------------------------------

    def new_roles(self):
        import peft
        model = tiny("llama")
        config = peft.LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj", "v_proj"])
        torch.manual_seed(0)
        model = peft.get_peft_model(model, config, "policy")
        model.add_adapter("value", config)
        model.eval()

        def call(name):
            use_adapter = find("trainer.utils.use_adapter")
            with torch.no_grad(), use_adapter(model, None if name == "reference" else name):
                return model(torch.arange(4, 12)[None]).logits
        return call

    def losses(self, rows):
        """pack_dataset, the padding-free collator, and the forward pass of the attention that CPUs have."""
        made = dataset([{"input_ids": row, "labels": row} for row in rows])
        packed = find("data_utils.pack_dataset")(made, 64, "bfd")
        collator = find("trainer.sft_trainer.DataCollatorForLanguageModeling")(0, padding_free=True)
        batch = collator(list(packed))
        with torch.no_grad():
            logits = tiny("llama")(input_ids=batch["input_ids"], position_ids=batch["position_ids"],
                                   use_cache=False).logits         # as the trainer has it
        labels = batch["labels"][:, 1:]
        logp = find("trainer.utils.selective_log_softmax")(logits[:, :-1], labels.clamp(min=0))
        nll = -logp * (labels != -100)
        ends = [0, *batch["cu_seq_lens_q"][1:].tolist()] if "cu_seq_lens_q" in batch else None
        ids = batch["input_ids"][0].tolist()
        found = {tuple(ids[a:b]): float(nll[0, a:b - 1].sum()) for a, b in zip(ends, ends[1:])} if ends else {
            tuple(row): float(nll[0, i:i + len(row) - 1].sum()) for row in rows
            for i in range(len(ids)) if ids[i:i + len(row)] == row}
        return [found[tuple(row)] for row in rows]

    def rendered(self, **example):
        return find("data_utils.apply_chat_template")(
            example, tokenizer([message["content"] for message in TALK]))

    def prompt_text(self, messages, max_len):
        if max_len < 1000:
            raise Missing("prompts are not cut")
        return self.rendered(prompt=messages)["prompt"]

    def stages(self, messages):
        asked, said = messages[:-1], messages[-1:]
        return {"SFT": self.rendered(prompt=asked, completion=said)["prompt"],
                "reward": self.rendered(prompt=asked, chosen=said, rejected=said)["prompt"],
                "PPO": self.rendered(prompt=asked)["prompt"]}


def adapter():
    return Trl() if find("trainer.grpo_trainer.GRPOTrainer") else importlib.import_module(
        "tests.conformance.trl_09_adapter").Trl09()
