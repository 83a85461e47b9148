"""
This project's models, data and whole runs behind the adapter's names.  (Not here: tensors and roles, see
ours.py; these two files alone know the project's modules.)

A run is a real one: base, SFT, reward model and PPO of a model of two layers, on seven records.
"""

import functools
import itertools
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
from safetensors.torch import load_file, save_file

import train_ppo
import train_reward
import train_sft
from clinicalgpt import roles
from clinicalgpt.config import ModelConfig
from clinicalgpt.dataset import Example, load_dialogues, load_preferences, load_prompts, pack
from clinicalgpt.evaluation import speakers
from clinicalgpt.files import write_jsonl
from clinicalgpt.generate import generate
from clinicalgpt.lora import adapter, add_lora, merge
from clinicalgpt.model import KVCache, load_model
from clinicalgpt.reward import ScalarHead
from clinicalgpt.run import Run, make_optimizer
from clinicalgpt.template import Template
from clinicalgpt.tokenizer import load_tokenizer, train_sentencepiece
from tests import reference
from tests.conformance.interface import Adapter
from tests.conformance.runs import ITERATIONS, TALK
from tests.reference import random_ids, tiny_model

TEXT = [message["content"] for message in TALK] + [
    "it began long ago .", "what are the symptoms of influenza ?", "influenza causes fever and cough .",
    "how is asthma treated ?", "asthma is treated with an inhaler ."]
FAMILIES = {"bloom": ModelConfig.bloom(50, 32, 2, 4), **{
    kind: reference.llama_config(kind, head_dim=8 if kind == "qwen3" else 6)
    for kind in ("llama", "mistral", "qwen2", "qwen3")}}
ANSWERS = ["influenza .", "an inhaler", "cough and fever , fever and cough", "hello"]
SHARED = {"steps": ITERATIONS, "save_every": 1, "log_every": 1000, "warmup_steps": 2, "batch_size": 4,
          "lr": 0.01}


class OnDisk(Adapter):
    families = tuple(FAMILIES)
    if_tampered = None                                  # called between a stop and the resumption

    def __init__(self, folder):
        self.folder, self.numbers = Path(folder), itertools.count()

    def path(self, name):
        """A path in the folder that is new."""
        return self.folder / f"{next(self.numbers)}-{name}"

    # ---- models ------------------------------------------------------------------------------------------

    def model(self, family):
        folder, config = self.path(family), FAMILIES[family]
        if family == "bloom":
            reference.write_bloom(folder, config, reference.bloom_tensors(config))
        else:
            reference.write_folder(folder, config, reference.llama_tensors(config))
        return load_model(folder, torch.float64)

    @torch.no_grad()
    def logits_behind(self, family, n):
        """There are no pads: what stands before a text is another one."""
        model, (ids, before) = self.model(family), random_ids(6, n or 1, vocabulary=50)
        sequences = [before, ids] if n else [ids]
        hidden_ND = model(torch.tensor(sum(sequences, [])), [len(x) for x in sequences])
        return hidden_ND[-6:] @ model.unembed_VD.T

    @torch.no_grad()
    def decoded(self, family, steps=12):
        model, rows = self.model(family), random_ids(1, 5, 17, vocabulary=50)
        cached = [ids + new for ids, new in zip(rows, generate(model, rows, steps))]
        cache, gap, lengths = KVCache(capacity=30), 0.0, [len(ids) for ids in rows]
        hidden_ND = model(torch.tensor(sum(rows, [])), lengths, cache)[torch.tensor(lengths).cumsum(0) - 1]
        full = [list(ids) for ids in rows]
        for _ in range(steps):
            logits_BV = torch.stack([(model(torch.tensor(ids), [len(ids)]) @ model.unembed_VD.T)[-1]
                                     for ids in full])
            gap = max(gap, float((hidden_ND @ model.unembed_VD.T - logits_BV).abs().max()))
            for ids, token in zip(full, logits_BV.argmax(-1).tolist()):
                ids.append(token)
            hidden_ND = model(torch.tensor([ids[-1] for ids in full]), [1] * len(full), cache)
        return cached, full, gap

    def losses(self, rows):
        batch = pack([Example(ids, [True] * len(ids), {}) for ids in rows])
        logp_M = tiny_model().score(batch)[0].detach()
        return [-float(part.sum()) for part in logp_M.split([len(ids) - 1 for ids in rows])]

    @torch.no_grad()
    def merged(self):
        """Undoing is loading the base again, which no merge writes to."""
        folder, ids = self.path("base"), torch.tensor(random_ids(9)[0])
        tiny_model(dtype=torch.float32).save(folder)
        model = load_model(folder)
        base = [x.clone() for x in model.parameters()]
        found = {"base": base, "bare": model(ids, [9]) @ model.unembed_VD.T}
        for factor in add_lora(model, "policy", 4):
            factor.normal_(std=0.2, generator=torch.Generator().manual_seed(0))
        with adapter(model, "policy"):
            found["adapter"] = model(ids, [9]) @ model.unembed_VD.T
        merge(model, "policy")
        found["merged"] = model(ids, [9]) @ model.unembed_VD.T
        return found | {"restored": list(load_model(folder).parameters())}

    def head_again(self, wrong):
        path, head = self.path("head.safetensors"), ScalarHead(8)
        head.save(path)
        tensors = load_file(path)
        changes = {None: tensors, "missing": {"linear.weight": tensors["linear.weight"]},
                   "surplus": tensors | {"linear.more": torch.zeros(1)},
                   "misshapen": tensors | {"linear.weight": torch.zeros(1, 9)}}
        save_file(changes[wrong], path)
        again = ScalarHead(8).load(path)
        return list(head.parameters()), list(again.parameters())

    # ---- data --------------------------------------------------------------------------------------------

    @functools.cached_property
    def tokenizer(self):
        folder = self.path("tokenizer")
        folder.mkdir()
        train_sentencepiece(TEXT * 4, folder, 400, ["User:", "Assistant:"])
        return load_tokenizer(folder)

    def records(self, *records):
        path = self.path("records.jsonl")
        write_jsonl(path, records)
        return [path]

    def read(self, load, record, max_len):
        return load(self.records(record), self.tokenizer, Template(), max_len)

    def truncated(self, messages, max_len):
        example = self.read(load_dialogues, {"messages": messages}, max_len)[0][0]
        return example.ids, example.answer

    def prompt_text(self, messages, max_len):
        prompt, = self.read(load_prompts, {"messages": messages}, max_len)
        return self.tokenizer.decode(prompt.ids)

    def stages(self, messages):
        record, asked = {"messages": messages}, {}
        asked["SFT"] = self.read(load_dialogues, record, 500)[0][0]
        ranked = {"messages": messages[:-1], "answers": [messages[-1]["content"], "no idea"]}
        asked["reward"] = self.read(load_preferences, ranked, 500)[0][0].examples[0]
        asked = {name: x.ids[:len(x.ids) - x.answer[::-1].index(False)] for name, x in asked.items()}
        asked["PPO"] = self.read(load_prompts, record, 500)[0].ids
        cfg = SimpleNamespace(max_len=500, max_new_tokens=1, batch_size=1)

        def listens(model, prompts, *rest, **settings):
            asked["evaluation"] = prompts[0]
            return [[] for _ in prompts]
        model = tiny_model(2, 16, torch.float32, self.tokenizer.vocabulary)
        with patch.object(speakers, "generate", listens), redirect_stderr(StringIO()):
            speakers.Speaker(model, self.tokenizer, Template(), cfg, "").replies([messages[:-1]])
        return asked

    def load(self, kind, records):
        """(how many are kept, how many left out)."""
        load = {"dialogues": load_dialogues, "preferences": load_preferences}[kind]
        kept, left_out = load(self.records(*records), self.tokenizer, Template(), 500)
        return len(kept), sum(left_out.values()) if kind == "preferences" else left_out

    # ---- runs --------------------------------------------------------------------------------------------

    @functools.cached_property
    def made(self):
        """Base, SFT and reward runs, and the settings of a PPO run."""
        base = self.path("base")
        tiny_model(2, 16, torch.float32, self.tokenizer.vocabulary).save(base)
        self.tokenizer.save(base)
        asked = [{"role": "user", "content": f"what is it , {i} ?"} for i in range(7)]
        told = self.records(*({"messages": [ask, {"role": "assistant", "content": ANSWERS[i % 4] * (i + 1)}]}
                              for i, ask in enumerate(asked)))
        ranked = self.records(*({"messages": [ask], "answers": ANSWERS} for ask in asked))
        sft, reward = str(self.path("sft")), str(self.path("reward"))
        lora = {"init": sft, "lora_rank": 2}
        self.run(train_sft, train_sft.SFTConfig(base=str(base), data=(str(told[0]),), out=sft, **SHARED))
        judge = train_reward.RewardConfig(data=(str(ranked[0]),), out=reward, samples=16, max_new_tokens=5,
                                          **lora, **SHARED)
        self.run(train_reward, judge)
        return judge, train_ppo.PPOConfig(
            data=(str(told[0]),), reward=reward, minibatches=2, max_new_tokens=5, value_warmup=3,
            kl_target=0.1, kl_horizon=50.0, score_clip=0.0, ignore_probes=True, **lora, **SHARED)

    def run(self, script, cfg, until=None):
        """A run, stopped when it has logged iteration `until`: {iteration: learning rates of its steps}."""
        rates, pending, log, step = {}, [], Run.log, script.optimizer_step

        def logs(run, iteration, **metrics):
            log(run, iteration, **metrics)
            rates[iteration] = pending[:]
            pending.clear()
            if iteration + 1 == until:
                raise KeyboardInterrupt

        def steps(optimizer, *rest):
            norm = step(optimizer, *rest)
            pending.append([group["lr"] for group in optimizer.param_groups])
            return norm
        with ExitStack() as stack:
            stack.enter_context(patch.object(Run, "log", logs))
            stack.enter_context(patch.object(script, "optimizer_step", steps))
            stack.enter_context(redirect_stdout(StringIO()))
            stack.enter_context(redirect_stderr(StringIO()))
            try:
                script.main(cfg)
            except KeyboardInterrupt:
                assert until
        return rates

    def training(self, until, budget=None):
        """A PPO run, perhaps stopped and resumed: (weights as bytes, learning rates in order)."""
        _, cfg = self.made
        cfg = replace(cfg, out=str(self.path("ppo")), micro_batch_tokens=budget or cfg.micro_batch_tokens)
        rates = self.run(train_ppo, cfg, until)
        if until:
            if self.if_tampered:
                self.if_tampered(Path(cfg.out) / "checkpoint")
            rates |= self.run(train_ppo, replace(cfg, resume=True))
        weights = {path.name: path.read_bytes() for path in Path(cfg.out).rglob("*.safetensors")}
        return weights, [tuple(rate) for step in sorted(rates) for rate in rates[step]]

    def normaliser(self):
        """Scores of the SFT model's own answers, as the reward run left them, after PPO, and of the reward
        model that is opened again."""
        judge, cfg = self.made
        cfg = replace(cfg, out=str(self.path("ppo")))
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            run = Run(cfg, "ppo")
            of = roles.open_roles(cfg, run)
            prompts = load_preferences(judge.data, of.tokenizer, of.template, judge.max_len)[0]
            rows = train_reward.sampled(of.trunk, of.tokenizer, of.template, prompts, judge, run)
            scores = [roles.score(of, rows, cfg, run)]
            optimizer = make_optimizer([([x for x in of.trunk.parameters() if x.requires_grad], 0.01)])
            state = {"beta": cfg.kl, "scale": 1.0}
            for step in range(3):
                prompts = load_prompts(cfg.data, of.tokenizer, of.template, cfg.max_len)
                batch, _ = train_ppo.roll_out(of, prompts, cfg.kl, of.end_id, cfg, run, step)
                train_ppo.update(of, batch, optimizer, step, cfg, run, state)
                scores.append(roles.score(of, rows, cfg, run))
            return [*scores, roles.score(roles.open_roles(cfg, run), rows, cfg, run)]
