"""
Stage 1: supervised fine-tuning on dialogues.
The loss is the negative log-likelihood of every assistant token, and of nothing else:

    L = - sum_t log p(y_t | x, y_<t) / (answer tokens of the whole optimizer step)

    python train_sft.py                                    the embedded tiny base and records
    python train_sft.py --base DIR --data train.jsonl --out runs/sft
                                                           all weights; --lora-rank 8 for an adapter
"""

import math
from dataclasses import dataclass
from functools import partial

import torch

from clinicalgpt import parallel
from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import batch_of_step, load_dialogues, micro_batches, pack, steps_per_epoch
from clinicalgpt.files import read_json
from clinicalgpt.generate import generate
from clinicalgpt.lora import adapter, add_lora
from clinicalgpt.memory import check_memory
from clinicalgpt.pretrain import tiny_base, tiny_data
from clinicalgpt.run import (
    Run,
    TuneConfig,
    learning_rate,
    make_optimizer,
    open_run,
    optimizer_step,
    save_run,
)


@dataclass(frozen=True)
class SFTConfig(TuneConfig):
    """Stage 1: fine-tune a base model on dialogues
    (the paper's: lr 5e-5, batch 128, length 1,024, 3 epochs)."""
    out: str = arg("runs/sft", "run folder to write")
    lr: float = arg(5e-5, "peak learning rate", tiny=1e-3)
    batch_size: int = arg(128, "dialogues per optimizer step", tiny=24)
    epochs: float = arg(3.0, "passes over the data", tiny=1.75)
    max_len: int = arg(1024, "tokens of a dialogue; the oldest beyond are cut", tiny=256)
    template: str = arg("auto", "markers around messages: the base's own where it has ChatML's or Llama 3's, "
                                "else plain; or plain, chatml, llama3")
    token_cache: str = arg("runs/tokens", "folder that keeps the tokens of files seen before, free to be "
                                          "deleted; '' for none")


def main(cfg):
    run = Run(cfg, "sft")                                                       # 1. folder, seed, device
    if run.finished:
        return read_json(run.out / "done.json")
    trunk = cfg.init or (tiny_base(cfg.lang) if cfg.base == "tiny" else cfg.base)
    if cfg.data and cfg.base == "tiny" and not cfg.init:
        print("sft: no --base: your records teach the embedded model, of 2.5 million weights")
    check_memory("sft", trunk, cfg, run)
    model, tokenizer, template, trained, name = build(cfg, trunk, run)          # 2. model, its trained part
    optimizer = make_optimizer([(trained.values(), cfg.lr)], cfg.weight_decay)
    data, valid = files_of(cfg)
    load = partial(load_dialogues, tokenizer=tokenizer, template=template, max_len=cfg.max_len,
                   cache=cfg.token_cache)
    train, too_long = load(data)                                                # 3. data, answers marked
    held_out = load(valid)[0] if valid else []
    total = cfg.steps or max(1, round(cfg.epochs * steps_per_epoch(len(train), cfg.batch_size)))
    print(f"sft: a dialogue is read as {template.render([{'role': 'user', 'content': '...'}], tokenizer)!r}")
    print(f"sft: {len(train)} dialogues (longer than --max-len {cfg.max_len}: {train.cut} that lost their "
          f"beginning, {too_long} left out), {total} steps, "
          f"{sum(p.numel() for p in trained.values()):,} of "
          f"{sum(p.numel() for p in model.parameters()):,} weights trained")

    with adapter(model, name):
        for step in run.steps(total, trained, optimizer):                       # 4. one optimizer step a turn
            model.train()
            batch = [train[i] for i in batch_of_step(len(train), cfg.batch_size, cfg.seed, step)]
            loss, tokens = nll_backward(model, batch, run)
            norm = optimizer_step(optimizer, learning_rate(step, total, 1.0, cfg.warmup_steps), cfg.grad_clip)
            metrics = {"loss": loss, "grad_norm": norm, "lr": optimizer.param_groups[0]["lr"],
                       "tokens": tokens}
            if held_out and ((step + 1) % cfg.eval_every == 0 or step + 1 == total):
                metrics["valid_loss"] = nll(model, held_out, run)
                show(run, step, model, tokenizer, template, held_out[step // cfg.eval_every % len(held_out)])
            run.log(step, **metrics)

        def save(folder):                                                       # 5. saved as others read it
            save_run(folder, model, tokenizer, template, name, trunk)
        return run.finish(save, **{k: v for k, v in metrics.items() if "loss" in k})


def build(cfg, trunk, run):
    """(model, tokenizer, template, trained parameters by name, adapter's name or None)."""
    model, tokenizer, template = open_run(trunk, run.device, run.dtype if cfg.lora_rank else torch.float32,
                                          cfg.template)
    run.note(trunk=str(trunk))
    model.gradient_checkpointing = cfg.gradient_checkpointing
    if cfg.lora_rank:
        add_lora(model, "policy", cfg.lora_rank, cfg.lora_alpha, cfg.lora_dropout, cfg.lora_targets)
    trained = {path: parameter for path, parameter in model.named_parameters() if parameter.requires_grad}
    return model, tokenizer, template, trained, "policy" if cfg.lora_rank else None


def files_of(cfg, stem="train", valid_stem="valid"):
    """(training files, validation files): what the flags name, or the embedded records."""
    if cfg.data:
        return cfg.data, cfg.valid
    before = read_json(f"{cfg.init}/config.json") if cfg.init else {}
    if before.get("lang", cfg.lang) != cfg.lang and not before.get("data"):
        raise ValueError(f"--lang {cfg.lang}: {cfg.init} learned from embedded records in {before['lang']}")
    folder = tiny_data(cfg.lang, cfg.seed)
    return [folder / f"{stem}.jsonl"], cfg.valid or [folder / f"{valid_stem}.jsonl"]


def nll_backward(model, batch, run):
    """Gradient of the mean over all answer tokens of the batch, whatever its cut into micro-batches and
    processes.  Returns (loss, answer tokens)."""
    tokens = max(1, sum(sum(example.answer[1:]) for example in batch))
    loss = 0.0
    for part in micro_batches(parallel.share(batch), run.cfg.micro_batch_tokens):
        with run.autocast():
            share = model.loss(pack(part, run.device), tokens)
        share.backward()
        loss += share.item()
    return sum(parallel.gathered([loss])), tokens


@torch.no_grad()
def nll(model, examples, run):
    """Mean negative log-likelihood of the examples' answer tokens."""
    model.eval()
    sums = {"loss": 0.0, "tokens": 0}
    for part in micro_batches(parallel.share(examples), run.cfg.micro_batch_tokens):
        scored = pack(part, run.device)
        with run.autocast():
            sums["loss"] += model.loss(scored, 1).item()
        sums["tokens"] += len(scored.scored_M)
    sums = parallel.added(sums)
    return sums["loss"] / sums["tokens"] if sums["tokens"] else math.nan


def show(run, step, model, tokenizer, template, example):
    """Write what the model now answers to this example's first question into samples.jsonl."""
    prompt = example.ids[:example.answer.index(True)]
    answer = generate(model, [prompt], 64, eos_id=template.end_id(tokenizer))[0]
    run.sample(step, tokenizer.decode(prompt), tokenizer.decode(answer))


if __name__ == "__main__":
    run_main(main, SFTConfig, several=True)
