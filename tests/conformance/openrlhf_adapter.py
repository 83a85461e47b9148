"""
OpenRLHF's published functions and models behind the adapter's names.

The package imports DeepSpeed, Ray and flash-attn; nothing that is called here uses them, so empty modules
stand for those that are missing while its own are imported, and its packages' __init__ files, which import
all of it, are passed over.  `pip install --no-deps openrlhf` is enough.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers.integrations.deepspeed  # looks for DeepSpeed before an empty one is there

from tests.conformance.interface import Adapter, Missing
from tests.conformance.peers import dataset, padded_ids, padded_logits, tiny, tokenizer
from tests.conformance.runs import TALK
from tests.conformance.tensors import rollouts

ROOT = Path(importlib.util.find_spec("openrlhf").origin).parent
EMPTY = ("deepspeed", "ray", "flash_attn", "flash_attn.bert_padding", "flash_attn.utils",
         "flash_attn.utils.distributed", "openrlhf.trainer.ray", "openrlhf.trainer.ray.launcher")


class Empty(types.ModuleType):
    """A module in which every name is there, and is nothing."""
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)


@contextlib.contextmanager
def without_the_rest():
    for package in ("models", "trainer", "trainer.ppo_utils", "utils", "datasets"):
        module = types.ModuleType(f"openrlhf.{package}")
        module.__path__ = [str(ROOT.joinpath(*package.split(".")))]
        sys.modules[module.__name__] = module
    missing = [name for name in EMPTY if name not in sys.modules]
    sys.modules.update({name: Empty(name) for name in missing})
    yield
    for name in missing:
        del sys.modules[name]


with without_the_rest():
    ACTOR, LOSS, MODEL, UTILS, CONTROLLER, MAKER, LOSS_UTILS, SFT, REWARD, PROMPTS = (
        importlib.import_module(f"openrlhf.{name}") for name in (
            "models.actor", "models.loss", "models.model", "models.utils", "trainer.ppo_utils.kl_controller",
            "trainer.ppo_utils.experience_maker", "utils.loss_utils", "datasets.sft_dataset",
            "datasets.reward_dataset", "datasets.prompts_dataset"))


class OpenRLHF(Adapter):
    name, version = "openrlhf", importlib.metadata.version("openrlhf")
    precision = 1e-5                                            # it takes KL in float32
    families = ("llama",)
    remarks = {
        23: "the loss is multiplied by the mask, and NaN times 0 is NaN",
        30: "SFTDataset cuts on the right, writes the end token over the last that it keeps, and learns it",
        42: "RewardDataset keeps pairs of equal answers, whose loss is log 2 whatever the model says"}
    reasons = {
        "answers": "left to vLLM", "rollout_tokens": "left to vLLM", "first_iteration": "needs vLLM and Ray",
        "penalty": "asks vLLM for the reason why an answer ended", "ten_updates": "needs DeepSpeed and Ray",
        "new_roles": "a model for each role", "learners": "a model for each role",
        "head_again": "left to transformers", "decoded": "left to vLLM",
        "losses": "needs flash-attn", "merged": "left to peft", "training": "needs DeepSpeed",
        "learns": "a whole trainer", "normaliser": "inline in the reward trainer's evaluate",
        "accuracy": "inline in the reward trainer's fit", "ranking_loss": "pairs alone"}

    # ---- models ------------------------------------------------------------------------------------------

    def answer_logp(self, logits, rows, temperature):
        ids_BT, mask_BT = padded_ids([ids for ids, _ in rows])
        action_BT = torch.tensor([[float(start - 1 <= t < len(ids) - 1) for t in range(ids_BT.shape[1] - 1)]
                                  for ids, start in rows])
        given = padded_logits(logits)
        model = self.actor(lambda *args, **kwargs: {"logits": given}, temperature)
        return model(ids_BT, action_BT, mask_BT)[action_BT > 0]

    @staticmethod
    def actor(says, temperature=1.0):
        actor = ACTOR.Actor(torch.nn.Module(), temperature=temperature)
        actor.packing_samples, actor.model.forward = False, says
        return actor

    @torch.no_grad()
    def logits_behind(self, family, n):
        """Its log-probs of the text's last tokens, n pads before it."""
        model, ids = tiny(family), list(range(4, 12))
        ids_BT, mask_BT = torch.tensor([[0] * n + ids]), torch.tensor([[0] * n + [1] * len(ids)])
        return self.actor(model.forward)(ids_BT, torch.ones(1, 6), mask_BT)

    @staticmethod
    def judge():
        base = transformers.LlamaModel
        plain = tiny("llama", "SequenceClassification")
        plain.config.normalize_reward = False
        model = MODEL._get_reward_model(base.__base__, base, "score")(plain.config).double().eval()
        model.load_state_dict(plain.state_dict())
        return model

    @torch.no_grad()
    def scores(self, rows):
        """As its reward data are laid: padded on the left."""
        return self.judge()(*padded_ids([prompt + answer for prompt, answer in rows], left=True)).tolist()

    @torch.no_grad()
    def plain_score(self, ids):
        model = self.judge()
        return float(model.score(model.model(torch.tensor([ids])).last_hidden_state)[0, -1])

    # ---- tensors -----------------------------------------------------------------------------------------

    def kl(self, logp_BT, ref_logp_BT, kind):
        return UTILS.compute_approx_kl(logp_BT, ref_logp_BT, kl_estimator=kind)

    def rewards(self, score_B, kl_BT, mask_BT, beta):
        return UTILS.compute_reward(score_B, beta, kl_BT, mask_BT)

    def gae(self, rewards_BT, values_BT, mask_BT, gamma, lam):
        maker = MAKER.RemoteExperienceMaker
        return maker.get_advantages_and_returns(None, values_BT, rewards_BT, mask_BT, gamma, lam)

    def whiten(self, x_BT, mask_BT, shift_mean):
        """compute_advantages_and_returns whitens over a list of batches; with values of 0 and lambda 0 the
        advantages that it whitens are the rewards that it is given, in KL."""
        if not shift_mean:
            raise Missing("rewards are not whitened")
        advantage = SimpleNamespace(estimator="gae", gamma=0.0, lambd=0.0, no_std_norm=False)
        args = SimpleNamespace(algo=SimpleNamespace(advantage=advantage),
                               rollout=SimpleNamespace(n_samples_per_prompt=1),
                               reward=SimpleNamespace(clip_range=None))
        of, maker = SimpleNamespace(strategy=SimpleNamespace(args=args), advantage_estimator="gae",
                                    kl_ctl=SimpleNamespace(value=1.0)), MAKER.RemoteExperienceMaker
        of.get_advantages_and_returns = types.MethodType(maker.get_advantages_and_returns, of)
        batch = SimpleNamespace(rewards=torch.zeros(len(x_BT)), index=list(range(len(x_BT))), kl=-x_BT,
                                action_mask=mask_BT, values=torch.zeros_like(x_BT), info={})
        maker.compute_advantages_and_returns(of, [batch])
        return batch.advantages

    def policy_loss(self, logp_BT, old_logp_BT, advantages_BT, mask_BT, clip, **counts):
        return LOSS.PolicyLoss(clip, clip)(logp_BT, old_logp_BT, advantages_BT, mask_BT, **counts)[0]

    def value_loss(self, values_BT, old_values_BT, returns_BT, mask_BT, clip):
        return LOSS.ValueLoss(clip)(values_BT, old_values_BT, returns_BT, mask_BT)

    def betas(self, kls, beta, target, horizon, episodes):
        controller, betas = CONTROLLER.AdaptiveKLController(beta, target, horizon), []
        for kl in kls:
            controller.update(kl, episodes)
            betas.append(controller.value)
        return betas

    def gradient(self, parts):
        """iter_grad_accum_global_norm hands out the counts; DeepSpeed divides each loss by their number."""
        leaf_BT, *rest = rollouts()
        leaf_BT.requires_grad_()
        counted = LOSS_UTILS.iter_grad_accum_global_norm(parts, None, len(parts), lambda part: rest[-1][part])
        for part, counts in counted:
            loss = self.policy_loss(leaf_BT[part], *(x_BT[part] for x_BT in rest), 0.2, **counts)
            (loss / len(parts)).backward()
        return leaf_BT.grad

    def rank_gradient(self, parts):
        """The count of all processes, dp_size of them, whose gradients are averaged."""
        leaf_BT, *rest = rollouts()
        leaf_BT.requires_grad_()
        for part in parts:
            loss = self.policy_loss(leaf_BT[part], *(x_BT[part] for x_BT in rest), 0.2, dp_size=len(parts),
                                    batch_num_tokens=rest[-1].sum())
            (loss / len(parts)).backward()
        return leaf_BT.grad

    # ---- data --------------------------------------------------------------------------------------------

    words = tokenizer([message["content"] for message in TALK] + ["x y yes no"])

    def dataset(self, kind, records, max_len=1000, **keys):
        keys = SimpleNamespace(data=SimpleNamespace(apply_chat_template=True, **keys))
        strategy = SimpleNamespace(args=keys, is_rank_0=lambda: False)
        data = dataset(records)
        if kind is PROMPTS.PromptDataset:
            return kind(data, self.words, strategy)
        return kind(data, self.words, max_len, strategy, num_processors=1)

    def truncated(self, messages, max_len):
        data = self.dataset(SFT.SFTDataset, [{"messages": messages}], max_len, input_key="messages",
                            output_key=None)
        if not len(data):
            return [self.end_id], [False]
        ids, _, mask = data[0]
        return ids[0].tolist(), [False, *mask[0, :-1].bool().tolist()]

    def prompt_text(self, messages, max_len):
        if max_len < 1000:
            raise Missing("prompts are not cut")
        return self.dataset(PROMPTS.PromptDataset, [{"messages": messages}], input_key="messages")[0][1]

    def stages(self, messages):
        asked, said = messages[:-1], messages[-1:]
        sft = self.dataset(SFT.SFTDataset, [{"messages": messages}], input_key="messages", output_key=None)
        pair = {"prompt": asked, "chosen": said, "rejected": [{"role": "assistant", "content": "no"}]}
        reward = self.dataset(REWARD.RewardDataset, [pair], prompt_key="prompt", chosen_key="chosen",
                              rejected_key="rejected")
        return {"SFT": sft.prompts[0], "reward": reward.prompts[0], "PPO": self.prompt_text(asked, 1000)}

    def load(self, kind, records):
        if kind == "dialogues":
            raise Missing("takes a prompt and a response each")
        pairs = []
        for record in records:
            said = [[{"role": "assistant", "content": text}] for text in record["answers"]]
            pairs.append({"prompt": record["messages"], "chosen": said[0], "rejected": said[-1]})
        kept = len(self.dataset(REWARD.RewardDataset, pairs, prompt_key="prompt", chosen_key="chosen",
                                rejected_key="rejected"))
        return kept, len(records) - kept


def adapter():
    return OpenRLHF()
