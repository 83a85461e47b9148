"""
Stage 2: a reward model from ranked answers.  A scalar head on the last token, over the SFT model with an
adapter of its own (or, with --lora-rank 0, all of its weights), learns that better answers score higher:

    L = mean over prompts of mean over pairs i < j of -log sigmoid(r(x, y_i) - r(x, y_j))

    python train_reward.py                                 after train_sft.py, on the embedded preferences
    python train_reward.py --init runs/sft --data preferences.jsonl --lora-rank 8 --out runs/reward
"""

from collections import defaultdict
from dataclasses import dataclass

import torch

from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import batch_of_step, load_preferences, micro_batches, pack, steps_per_epoch
from clinicalgpt.files import read_json, write_json
from clinicalgpt.lora import adapter, add_lora
from clinicalgpt.metrics import wilson
from clinicalgpt.reward import ScalarHead, last_token_score, pair_accuracy, ranking_loss
from clinicalgpt.run import (
    Run,
    TuneConfig,
    learning_rate,
    make_optimizer,
    open_run,
    optimizer_step,
    save_run,
)
from train_sft import files_of


@dataclass(frozen=True)
class RewardConfig(TuneConfig):
    """Stage 2: train a reward model on ranked answers (the paper's: lr 2e-5, batch 128, length 1,024,
    3 epochs)."""
    init: str = arg("runs/sft", "run folder of the SFT model to start from")
    out: str = arg("runs/reward", "run folder to write")
    lr: float = arg(2e-5, "peak learning rate", tiny=2e-3)
    batch_size: int = arg(128, "prompts with their ranked answers per optimizer step", tiny=16)
    epochs: float = arg(3.0, "passes over the data")
    max_len: int = arg(1024, "tokens of a prompt with one answer; prompts lose their beginning", tiny=256)
    warmup_steps: int = arg(50, "steps of linear warm-up", tiny=10)
    lora_rank: int = arg(0, "rank of the adapter; 0: train all weights", tiny=32)
    lora_alpha: float = arg(16.0, "scale of the adapter is alpha / rank", tiny=64.0)


def main(cfg):
    run = Run(cfg, "reward")                                                    # 1. folder, seed, device
    if run.finished:
        return read_json(run.out / "done.json")
    model, tokenizer, template = open_run(cfg.init, run.device, run.dtype if cfg.lora_rank else torch.float32)
    run.note(trunk=cfg.init)
    model.gradient_checkpointing = cfg.gradient_checkpointing
    name = "reward" if cfg.lora_rank else None                                  # 2. model, adapter, head
    if name:
        add_lora(model, name, cfg.lora_rank, cfg.lora_alpha, cfg.lora_dropout, cfg.lora_targets)
    head = ScalarHead(model.config.width).to(run.device)
    trained = ({path: p for path, p in model.named_parameters() if p.requires_grad}
               | {f"head.{path}": p for path, p in head.named_parameters()})
    optimizer = make_optimizer([(trained.values(), cfg.lr)], cfg.weight_decay)
    data, valid = files_of(cfg, "preferences_train", "preferences_valid")
    train, too_long = load_preferences(data, tokenizer, template, cfg.max_len)  # 3. prompts with answers
    held_out = load_preferences(valid, tokenizer, template, cfg.max_len)[0] if valid else []
    total = cfg.steps or max(1, round(cfg.epochs * steps_per_epoch(len(train), cfg.batch_size)))
    print(f"reward: {len(train)} prompts with ranked answers ({too_long} too long left out), {total} steps")

    with adapter(model, name):
        for step in run.steps(total, trained, optimizer):                       # 4. one optimizer step a turn
            model.train()
            batch = [train[i] for i in batch_of_step(len(train), cfg.batch_size, cfg.seed, step)]
            loss, right = 0.0, []
            for part in micro_batches(batch, cfg.micro_batch_tokens, tokens_of):
                with run.autocast():
                    scores = score_groups(model, head, part, run.device)
                share = torch.stack([ranking_loss(score_K) for score_K in scores]).sum() / len(batch)
                share.backward()
                loss += share.item()
                right += [v for score_K, (_, kinds) in zip(scores, part)
                          for v in pair_accuracy(score_K, kinds).values()]
            norm = optimizer_step(optimizer, learning_rate(step, total, 1.0, cfg.warmup_steps), cfg.grad_clip)
            metrics = {"loss": loss, "accuracy": sum(right) / len(right), "grad_norm": norm}
            if held_out and ((step + 1) % cfg.eval_every == 0 or step + 1 == total):
                metrics |= {"valid_accuracy": ranking_accuracy(model, head, held_out, run)["all"][0]}
            run.log(step, **metrics)
        accuracy = ranking_accuracy(model, head, held_out or train, run)

    def save(folder):                                                           # 5. weights, head, accuracy
        head.save(folder / "head.safetensors")
        rows = {kind: dict(zip(("accuracy", "low", "high", "pairs"), row)) for kind, row in accuracy.items()}
        write_json(folder / "accuracy.json", rows)
        save_run(folder, model, tokenizer, template, name, cfg.init)
    for kind, (value, low, high, pairs) in accuracy.items():
        seen = "held-out" if held_out else "TRAINING"
        print(f"reward: accuracy {value:.3f} [{low:.3f}, {high:.3f}] on {pairs} {seen} pairs: {kind}")
    return run.finish(save, accuracy=accuracy["all"][0], loss=loss)


def tokens_of(group):
    return sum(len(example.ids) for example in group[0])


def score_groups(model, head, groups, device):
    """One (K,) tensor of scores for each prompt's K answers."""
    batch = pack([example for examples, _ in groups for example in examples], device)
    score_B = last_token_score(model(batch.ids_N, batch.lengths), batch.lengths, head)
    return score_B.split([len(examples) for examples, _ in groups])


@torch.no_grad()
def ranking_accuracy(model, head, groups, run):
    """{kind of pair: (accuracy, low, high, pairs)}, "all" first; ties count a half, intervals are
    Wilson's."""
    model.eval()
    right = defaultdict(list)
    for part in micro_batches(groups, run.cfg.micro_batch_tokens, tokens_of):
        with run.autocast():
            scores = score_groups(model, head, part, run.device)
        for score_K, (_, kinds) in zip(scores, part):
            for (better, worse), value in pair_accuracy(score_K, kinds).items():
                right["all"].append(value)
                right[f"{better} over {worse}"].append(value)
    return {kind: (sum(v) / len(v), *wilson(sum(v), len(v)), len(v)) for kind, v in right.items()}


if __name__ == "__main__":
    run_main(main, RewardConfig)
