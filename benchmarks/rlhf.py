"""
A PPO iteration and a reward step: ours against TRL's PPOTrainer and RewardTrainer, from the same weights.

    pip install -c constraints.txt -e ".[peers]"
    pip install --no-deps --target FOLDER trl==1.12.0       the last with a PPOTrainer; rewards: the installed
    python benchmarks/rlhf.py --trl FOLDER                  about 12 minutes on two idle cores, 6 GB

transformers writes a random BLOOM (--llama: LLaMA) whose blocks and unembedding have 1 : 5 weights, as in
training.py; adapters of rank 8 on all linear layers are random too.  Nothing ends an answer, so both sides
make the same number of tokens.  Each side and turn is a process of its own: a warm-up, which is not counted,
then what is timed.  Memory is the process's peak beyond its imports, weights included.

Ours lets large tensors share glibc's heap, as the scripts do where memory is plenty (memory.check_memory).

PPO     rollout, scoring, 4 epochs of 4 mini-batches.  TRL has an adapter for the policy, whose base is the
        reference (`peft_config`, no `ref_model`), a reward model with weights of its own, and a value model
        wrapped by PEFT.  Its examples train all of the value model (--full-value): more products and memory.
reward  4 ranked answers a prompt: their 6 pairs, against all 4 in one pass that computes the prompt once.
        TRL's gradient checkpointing is off, which is quicker.

Before anything is learned both are asked the same: log-probabilities, values and scores of given answers; and
their first losses are compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ |= {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
import torch  # noqa: E402

from benchmarks.measure import table, times_faster  # noqa: E402

NEW, EPOCHS, MINIBATCHES, LR = 64, 4, 4, 1e-5
PROMPTS, K = 4, 4                                               # of a reward step
marks = []                                                      # when phases ended


def mark(*_, **__):
    marks.append(time.process_time() if "--cpu-seconds" in sys.argv else time.perf_counter())


def highest():
    """What getrusage calls ru_maxrss, less what it hands down from the process that started this one."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def ids(count, seed, cfg):
    return torch.randint(0, cfg.vocabulary, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def prompts(cfg):
    lengths = torch.linspace(*cfg.prompts, cfg.batch // cfg.group).long().tolist()
    return [ids(n, i, cfg) for i, n in enumerate(lengths) for _ in range(cfg.group)]


def given(cfg):
    """[(prompt, answer), ...] that both sides are asked about."""
    return [(prompt, ids(NEW, 300 + i, cfg)) for i, prompt in enumerate(prompts(cfg)[::3])]


def rankings(cfg):
    """[(prompt, its K answers, best first), ...]"""
    return [(ids(cfg.prompt, 100 + i, cfg), [ids(NEW, 200 + K * i + j, cfg) for j in range(K)])
            for i in range(PROMPTS)]


def write(folder, cfg):
    """The checkpoint, two adapters and the weights of a scalar head."""
    import transformers

    from clinicalgpt import load_model
    from clinicalgpt.lora import add_lora, save_adapter
    shape = {"vocab_size": cfg.vocabulary, "hidden_size": cfg.width, "num_hidden_layers": cfg.layers,
             "num_attention_heads": cfg.width // 64}
    config = (transformers.LlamaConfig(**shape, intermediate_size=cfg.width * 8 // 3)
              if cfg.llama else transformers.BloomConfig(**shape))
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder / "base")
    model = load_model(folder / "base")
    for name in ("policy", "reward"):
        for up in add_lora(model, name, 8, 16.0)[1::2]:
            torch.nn.init.normal_(up, 0, 0.02)
        save_adapter(model, folder / name, name)
    torch.save(torch.randn(1, cfg.width) * (cfg.width + 1) ** -0.5, folder / "head.pt")


# ---- ours ------------------------------------------------------------------------------------------------

def our_head(folder, cfg):
    from clinicalgpt.reward import ScalarHead
    head = ScalarHead(cfg.width)
    weight = torch.load(folder / "head.pt", weights_only=True)
    head.load_state_dict({"linear.weight": weight, "linear.bias": torch.zeros(1)})
    return head


def our_ppo(folder, cfg):
    import train_ppo
    from clinicalgpt import load_model, rollouts
    from clinicalgpt.dataset import Example
    from clinicalgpt.lora import copy_adapter, load_adapter
    from clinicalgpt.roles import Roles, policy_logp, score, token_values
    from clinicalgpt.run import Run
    imported, trunk = highest(), load_model(folder / "base")
    load_adapter(trunk, folder / "policy", "policy")
    for parameter in load_adapter(trunk, folder / "reward", "reward"):
        parameter.requires_grad_(False)
    copy_adapter(trunk, "reward", "value")
    heads = our_head(folder, cfg).requires_grad_(False), our_head(folder, cfg)
    roles = Roles(trunk, trunk, "reward", *heads, rules={"model": (1.0, None)})
    settings = train_ppo.PPOConfig(out=str(folder / f"run{os.getpid()}"), device="cpu", batch_size=cfg.batch,
                                   minibatches=MINIBATCHES, ppo_epochs=EPOCHS, max_new_tokens=NEW, lr=LR,
                                   value_lr=LR, value_warmup=0, warmup_steps=0, group=cfg.group)
    run, (_, optimizer) = Run(settings, "ppo"), train_ppo.learners(roles, settings)
    with torch.no_grad():
        asked = [Example(p + a, [False] * len(p) + [True] * NEW, {}) for p, a in given(cfg)]
        found = {"policy": policy_logp(roles, "policy", asked, settings, run)[0],
                 "reference": policy_logp(roles, None, asked, settings, run)[0],
                 "values": token_values(roles, asked, run)[0], "scores": score(roles, asked, settings, run)}
    rows, answer = prompts(cfg), rollouts.answer
    records = [{} for _ in rows[::cfg.group]]                   # one a prompt: by it pack() knows its answers
    batch = [Example(p, [False] * len(p), records[i // cfg.group]) for i, p in enumerate(rows)]

    def answer_and_mark(*args):
        said = answer(*args)
        mark()
        return said
    rollouts.answer = answer_and_mark
    state = {"beta": settings.kl, "scale": 1.0}
    mark()
    for step in range(1 + cfg.iterations):
        said, metrics = train_ppo.roll_out(roles, batch, settings.kl, None, settings, run, step)
        mark()
        metrics |= train_ppo.update(roles, said, optimizer, step, settings, run, state)
        mark()
        assert metrics["response_length"] == NEW and metrics["skipped"] == 0
    return imported, found


def our_reward(folder, cfg):
    from clinicalgpt import load_model
    from clinicalgpt.dataset import Example, Ranking, micro_batches
    from clinicalgpt.lora import adapter, load_adapter
    from clinicalgpt.run import make_optimizer, optimizer_step
    from train_reward import RewardConfig, ranking_loss, score_rankings, tokens_of
    imported, name = highest(), "reward" if cfg.lora else None
    model, head, batch, losses = load_model(folder / "base").train(), our_head(folder, cfg), [], []
    if name:
        load_adapter(model, folder / "reward", name)
    trained = [p for p in [*model.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = make_optimizer([(trained, LR)])
    for prompt, answers in rankings(cfg):
        record, asked = {}, [False] * len(prompt)
        examples = [Example(prompt + answer, asked + [True] * NEW, record) for answer in answers]
        batch.append(Ranking(examples, [""] * K, list(range(K))))
    mark()
    with adapter(model, name):
        for _ in range(1 + cfg.iterations):
            losses.append(0.0)
            for part in micro_batches(batch, RewardConfig().micro_batch_tokens, tokens_of):
                shares = map(ranking_loss, score_rankings(model, head, part, "cpu"), (r.ranks for r in part))
                share = sum(shares) / len(batch)
                share.backward()
                losses[-1] += share.item()
            optimizer_step(optimizer, 1.0, 1.0)
            mark()
    return imported, {"losses": torch.tensor(losses)}


# ---- TRL -------------------------------------------------------------------------------------------------

def common(folder, cfg):
    """(arguments, tokenizer, callback) of both trainers.  The tokenizer has one word, an id that the model
    cannot say: it pads, and stands in no answer."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    word = Tokenizer(models.WordLevel({"<pad>": cfg.vocabulary}))
    return ({"output_dir": str(folder / "trl"), "bf16": False, "use_cpu": True, "report_to": "none",
             "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "learning_rate": LR},
            PreTrainedTokenizerFast(tokenizer_object=word, pad_token="<pad>", eos_token="<pad>",
                                    padding_side="left"),
            type("Clock", (TrainerCallback,), {"on_train_begin": mark, "on_step_end": mark})())


def scorer(folder, adapted):
    """A model with a scalar head that learns; wrapped by PEFT, if asked for."""
    from peft import get_peft_model
    from transformers import AutoModelForSequenceClassification
    model = AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=1)
    model.score.load_state_dict({"weight": torch.load(folder / "head.pt", weights_only=True)})
    if adapted:
        model = get_peft_model(model, lora(folder / "reward"))
        fill(model, folder / "reward")
        model.score.requires_grad_(True)
    return model


def lora(folder):
    from peft import LoraConfig
    config = LoraConfig.from_pretrained(folder)
    config.task_type, config.inference_mode = None, False
    return config


def fill(model, folder):
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file
    set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"))


def trl_ppo(folder, cfg):
    sys.path[:0] = [str(cfg.trl)] if cfg.trl else []
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer
    imported, (arguments, words, clock), pad = highest(), common(folder, cfg), cfg.vocabulary
    value = scorer(folder, True)
    trainer = PPOTrainer(
        PPOConfig(**arguments, per_device_train_batch_size=cfg.batch, num_mini_batches=MINIBATCHES,
                  num_ppo_epochs=EPOCHS, total_episodes=cfg.batch * (1 + cfg.iterations), response_length=NEW,
                  temperature=1.0, missing_eos_penalty=1.0, num_sample_generations=0),
        words, AutoModelForCausalLM.from_pretrained(folder / "base"), None,
        scorer(folder, True).merge_and_unload().requires_grad_(False),
        Dataset.from_dict({"input_ids": prompts(cfg)}),
        value if cfg.lora else value.merge_and_unload().requires_grad_(True), callbacks=[clock],
        peft_config=lora(folder / "policy"))
    fill(trainer.policy_model, folder / "policy")

    width = max(len(p) for p, _ in given(cfg))
    rows = torch.tensor([[pad] * (width - len(p)) + p + a for p, a in given(cfg)])
    said = slice(width - 1, -1)

    def logp():
        logits = ppo_trainer.forward(trainer.policy_model, rows, pad).logits[:, said] / (1.0 + 1e-7)
        return ppo_trainer.selective_log_softmax(logits, rows[:, width:]).flatten()
    with torch.no_grad():
        found = {"policy": logp()}
        with trainer.null_ref_context():
            found["reference"] = logp()
        values, scores = (ppo_trainer.get_reward(model, rows, pad, width)
                          for model in (trainer.value_model, trainer.reward_model))
        found |= {"values": values[0][:, said].flatten(), "scores": scores[1]}

    generation = ppo_trainer.batch_generation

    def generate_and_mark(*args):
        answers = generation(*args)
        mark()                                                  # and again at the first pass of the epochs
        hook = trainer.model.register_forward_pre_hook(lambda *_: (mark(), hook.remove()) and None)
        return answers
    ppo_trainer.batch_generation = generate_and_mark
    trainer.train()
    return imported, found


def trl_reward(folder, cfg):
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer
    imported, (arguments, words, clock), losses = highest(), common(folder, cfg), []
    pairs = [{"chosen_ids": prompt + answers[i], "rejected_ids": prompt + answers[j]}
             for prompt, answers in rankings(cfg) for i, j in combinations(range(K), 2)]

    class Recorded(RewardTrainer):
        def compute_loss(self, *args, **kwargs):
            loss = super().compute_loss(*args, **kwargs)
            losses.append(loss.item())
            return loss
    Recorded(scorer(folder, cfg.lora),
             RewardConfig(**arguments, per_device_train_batch_size=len(pairs) // PROMPTS,
                          gradient_accumulation_steps=PROMPTS, max_steps=1 + cfg.iterations,
                          gradient_checkpointing=False, warmup_steps=0),
             train_dataset=Dataset.from_list(pairs), processing_class=words, callbacks=[clock]).train()
    return imported, {"losses": torch.tensor(losses).view(-1, PROMPTS).mean(1)}


# ---- side by side ----------------------------------------------------------------------------------------

def child(part, side, folder, cfg):
    import torch._dynamo  # noqa: F401                          an optimizer's first step would
    torch.set_num_threads(cfg.threads)
    if side == "ours":
        from clinicalgpt.memory import share_heap
        share_heap(2**31 - 1)
    work = {"TRL": (trl_ppo, trl_reward), "ours": (our_ppo, our_reward)}[side][part == "reward"]
    imported, found = work(Path(folder), cfg)
    print(json.dumps({"marks": marks, "growth": highest() - imported, "peak": highest(),
                      "found": {name: x.tolist() for name, x in found.items()}}))


def measure(part, ways, folder, cfg):
    """{way: medians of "phases", "seconds", "growth", "peak"; "found"} of turns in which all alternate."""
    phases, runs = 3 if part == "ppo" else 1, {way: [] for way in ways}
    for way, (side, *flags) in list(ways.items()) * cfg.turns:
        command = [sys.executable, __file__, *sys.argv[1:], *flags, "--child", part, side, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}:\n{done.stderr}")
        runs[way].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {}
    for way, these in runs.items():
        times = torch.tensor([run["marks"] for run in these], dtype=torch.float64).diff()
        times = times.view(cfg.turns, -1, phases)[:, 1:].flatten(0, 1)
        medians[way] = {"phases": list(map(median, times.T.tolist())), "found": these[0]["found"],
                        "seconds": median(times.sum(1).tolist()),
                        **{key: median(run[key] for run in these) for key in ("growth", "peak")}}
    return medians


def gap(theirs, ours):
    return max(abs(a - b) for a, b in zip(theirs, ours, strict=True))


def mebibytes(count):
    return f"{count / 2**20:.0f}"


def ppo(folder, cfg):
    ways = {"TRL": ["TRL", "--lora"], "ours": ["ours"]} | (
        {"TRL, all of the value model": ["TRL"]} if cfg.full_value else {})
    medians, rows = measure("ppo", ways, folder, cfg), []
    ours = medians["ours"]
    for way, row in medians.items():
        ratios = (times_faster(row["seconds"], ours["seconds"]),
                  f"{ours['growth'] / row['growth']:.2f} of it") if row is not ours else ("", "")
        rows.append([way, f"{row['seconds']:.1f}", *(f"{phase:.1f}" for phase in row["phases"]),
                     mebibytes(row["growth"]), mebibytes(row["peak"]), *ratios])
    table(["PPO, float32", "s an iteration", "answers", "scoring", f"{EPOCHS} epochs", "MiB", "with imports",
           "ours is", "in memory"], rows)
    print("Largest differences before the first:", ", ".join(
        f"{name} {gap(x, ours['found'][name]):.0e}" for name, x in medians["TRL"]["found"].items()), "\n")


def reward(folder, cfg):
    rows = []
    for kind, prompt, *flags in (("all weights", 128), ("all weights", 384), ("LoRA", 384, "--lora")):
        ways = {side: [side, *flags, "--prompt", str(prompt)] for side in ("TRL", "ours")}
        theirs, ours = measure("reward", ways, folder, cfg).values()
        rows.append([f"{kind}, prompts of {prompt}", f"{theirs['seconds']:.2f}", f"{ours['seconds']:.2f}",
                     times_faster(theirs["seconds"], ours["seconds"]), mebibytes(theirs["growth"]),
                     mebibytes(ours["growth"]), f"{ours['growth'] / theirs['growth']:.2f} of it",
                     f"{gap(theirs['found']['losses'][:1], ours['found']['losses'][:1]):.0e}"])
    table([f"reward, {PROMPTS} prompts", "TRL, s a step", "ours", "ours is", "TRL, MiB", "ours", "in memory",
           "first losses differ by"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--trl", type=Path, help="folder with a TRL that has a PPOTrainer")
    parser.add_argument("--only", nargs="*", default=["ppo", "reward"], help="of ppo reward")
    parser.add_argument("--full-value", action="store_true", help="a row for a value model trained in full")
    parser.add_argument("--llama", action="store_true", help="LLaMA, not BLOOM")
    parser.add_argument("--cpu-seconds", action="store_true", help="times for a machine that others use")
    for name, default, what in (
            ("width", 256, "of the model"), ("layers", 6, "of it"), ("vocabulary", 94080, "of it"),
            ("batch", 8, "rollouts of an iteration"), ("group", 1, "of them to one prompt"),
            ("threads", torch.get_num_threads(), "on both sides"), ("turns", 3, "processes a side, in turns"),
            ("iterations", 1, "timed in each"), ("prompt", 0, argparse.SUPPRESS)):
        parser.add_argument(f"--{name}", type=int, default=default, help=what)
    parser.add_argument("--prompts", type=int, nargs=2, default=(64, 512), help="tokens, from and to")
    parser.add_argument("--lora", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    cfg = parser.parse_args()
    if cfg.child:
        return child(*cfg.child, cfg)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), cfg)
        for part in cfg.only:
            {"ppo": ppo, "reward": reward}[part](folder, cfg)
    print(f"{'LLaMA' if cfg.llama else 'BLOOM'}, {cfg.layers} layers of {cfg.width}, {cfg.vocabulary} words; "
          f"{cfg.batch} answers to prompts of {cfg.prompts[0]} to {cfg.prompts[1]} tokens, {cfg.group} each; "
          f"{cfg.threads} threads; {'CPU seconds' if cfg.cpu_seconds else 'seconds'};",
          ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "trl")))


if __name__ == "__main__":
    main()
