"""
Stage 2: a reward model from ranked answers.  A scalar head on the last token, over the SFT model with an
adapter of its own (or, with --lora-rank 0, all of its weights), learns that better answers score higher:

    L = mean over prompts of mean over pairs i < j of -log sigmoid(r(x, y_i) - r(x, y_j))

A prompt's K answers are read in one pass that computes the prompt once.  At the end the head is scaled so
that the SFT model's own answers score 0 +- 1, and probes.py says what the reward would fall for.

    python train_reward.py                                 after train_sft.py, on the embedded preferences
    python train_reward.py --init runs/sft --data preferences.jsonl --lora-rank 8 --out runs/reward
"""

from collections import defaultdict
from dataclasses import dataclass

import torch

from clinicalgpt import parallel
from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import (
    Example,
    batch_of_step,
    common_beginning,
    load_preferences,
    micro_batches,
    pack,
    reply_examples,
    steps_per_epoch,
)
from clinicalgpt.files import read_json, write_json, write_jsonl
from clinicalgpt.generate import generate
from clinicalgpt.lora import adapter, add_lora
from clinicalgpt.memory import SAMPLED, check_memory
from clinicalgpt.probes import lines_of, make_probes, verdicts
from clinicalgpt.reward import ScalarHead, calibration, last_token_score, pairs, ranking_loss
from clinicalgpt.run import (
    Run,
    TuneConfig,
    learning_rate,
    make_optimizer,
    open_run,
    optimizer_step,
    save_run,
    seed_of,
)
from clinicalgpt.statistics import wilson
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
    margin: float = arg(0.0, "by how much a better answer should score higher")
    centring: float = arg(0.0, "weight of (r_i + r_j)^2, which holds scores near 0 (0.01 is usual)")
    samples: int = arg(256, "answers of the SFT model whose scores become 0 +- 1; 0: scores stay as they are")
    max_new_tokens: int = arg(256, "tokens of such an answer", tiny=48)
    temperature: float = arg(1.0, "of sampling them", tiny=0.7)


def main(cfg):
    run = Run(cfg, "reward")                                                    # 1. folder, seed, device
    if run.finished:
        return read_json(run.out / "done.json")
    check(cfg)
    check_memory("reward", cfg.init, cfg, run)
    model, tokenizer, template = open_run(cfg.init, run.device, run.dtype if cfg.lora_rank else torch.float32)
    run.note(trunk=cfg.init)
    data, valid = files_of(cfg, "preferences_train", "preferences_valid")       # 2. prompts with answers
    train, left_out = load_preferences(data, tokenizer, template, cfg.max_len)
    held_out = load_preferences(valid, tokenizer, template, cfg.max_len)[0] if valid else []
    total = cfg.steps or max(1, round(cfg.epochs * steps_per_epoch(len(train), cfg.batch_size)))
    print(f"reward: {len(train)} prompts with {sum(len(r.examples) for r in train)} ranked answers "
          f"(left out: {dict(left_out) or 'none'}), {total} steps")
    probes = make_probes([ranking.examples[0].record for ranking in held_out or train], seed=cfg.seed)
    samples = sampled(model, tokenizer, template, held_out or train, cfg, run)  # while it is the SFT model
    model.gradient_checkpointing = cfg.gradient_checkpointing
    name = "reward" if cfg.lora_rank else None                                  # 3. adapter, head, optimizer
    if name:
        add_lora(model, name, cfg.lora_rank, cfg.lora_alpha, cfg.lora_dropout, cfg.lora_targets)
    head = ScalarHead(model.config.width).to(run.device)
    trained = ({path: p for path, p in model.named_parameters() if p.requires_grad}
               | {f"head.{path}": p for path, p in head.named_parameters()})
    optimizer = make_optimizer([(trained.values(), cfg.lr)], cfg.weight_decay)

    with adapter(model, name):
        for step in run.steps(total, trained, optimizer):                       # 4. one optimizer step a turn
            model.train()
            batch = [train[i] for i in batch_of_step(len(train), cfg.batch_size, cfg.seed, step)]
            loss, gaps = 0.0, []
            for part in micro_batches(parallel.share(batch), cfg.micro_batch_tokens, tokens_of):
                with run.autocast():
                    scores = score_rankings(model, head, part, run.device)
                share = torch.stack([ranking_loss(score_K, ranking.ranks, cfg.margin, cfg.centring)
                                     for score_K, ranking in zip(scores, part)]).sum() / len(batch)
                share.backward()
                loss += share.item()
                gaps += [gap for row in zip(scores, part) for _, gap in gaps_of(*row)]
            norm = optimizer_step(optimizer, learning_rate(step, total, 1.0, cfg.warmup_steps), cfg.grad_clip)
            loss = sum(parallel.gathered([loss]))
            metrics = {"loss": loss, "accuracy": right(parallel.gathered(gaps)), "grad_norm": norm}
            if held_out and ((step + 1) % cfg.eval_every == 0 or step + 1 == total):
                metrics |= {"valid_accuracy": measure(model, head, held_out, run)["all"]["accuracy"]}
            run.log(step, **metrics)
        if samples:                                                             # 5. 0 +- 1; what it is worth
            head.normalise(scores_of(model, head, samples, run))
        report = measure(model, head, held_out or train, run)
        probes, scores = probed(model, head, probes, tokenizer, template, cfg, run)
        table = verdicts(probes, scores)

    def save(folder):
        head.save(folder / "head.safetensors")
        write_json(folder / "accuracy.json", {"seen": "held-out" if held_out else "training", **report,
                                              "probes": table})
        write_jsonl(folder / "probes.jsonl", probes)
        save_run(folder, model, tokenizer, template, name, cfg.init)
    for kind, row in report.items():
        print(f"reward: accuracy {row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}] on "
              f"{row['pairs']} {'held-out' if held_out else 'TRAINING'} pairs, calibration error "
              f"{row['ece']:.3f}: {kind}")
    print("\n".join(f"reward: {line}" for line in lines_of(table)))
    return run.finish(save, accuracy=report["all"]["accuracy"], loss=loss)


def check(cfg):
    """ValueError for settings that make no sense."""
    for name, least in (("margin", 0), ("centring", 0), ("samples", 0), ("max_new_tokens", 1),
                        ("temperature", 0)):
        if not getattr(cfg, name) >= least:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be at least {least}")
    if cfg.samples == 1:
        raise ValueError("--samples 1: one score has no deviation; give 0, or 2 and more")


def sampled(model, tokenizer, template, rankings, cfg, run):
    """Examples: answers of the SFT model to the prompts of rankings, from the first again if they run out."""
    prompts, end_id = [], template.end_id(tokenizer)
    for i in range(cfg.samples):
        example = rankings[i % len(rankings)].examples[0]
        prompts.append(example.ids[:len(example.ids) - example.answer[::-1].index(False)])
    with run.autocast():
        answers = [answer for start in range(0, len(prompts), SAMPLED) for answer in
                   generate(model, prompts[start:start + SAMPLED], cfg.max_new_tokens, cfg.temperature,
                            eos_id=end_id, seed=seed_of(cfg.seed, 4, start))]
    return [Example(prompt + answer, [False] * len(prompt) + [True] * len(answer), {})
            for prompt, answer in zip(prompts, answers)]


def tokens_of(ranking):
    shared = common_beginning(ranking.examples)
    return shared + sum(len(example.ids) - shared for example in ranking.examples)


def score_rankings(model, head, rankings, device):
    """One (K,) tensor of scores for each prompt's K answers."""
    batch = pack([example for ranking in rankings for example in ranking.examples], device)
    return last_token_score(model, head, batch).split([len(ranking.examples) for ranking in rankings])


@torch.no_grad()
def scores_of(model, head, examples, run):
    model.eval()
    scores = []
    for part in micro_batches(examples, run.cfg.micro_batch_tokens):
        with run.autocast():
            scores.append(last_token_score(model, head, pack(part, run.device)))
    return torch.cat(scores)


def gaps_of(score_K, ranking):
    """[((kind of the better, kind of the worse), its score - the other's), ...]"""
    better, worse = pairs(ranking.ranks)
    gap_P = score_K.detach()[better] - score_K.detach()[worse]
    kinds = [(ranking.kinds[i], ranking.kinds[j]) for i, j in zip(better.tolist(), worse.tolist())]
    return list(zip(kinds, gap_P.tolist()))


def right(gaps):
    """Share of pairs in their true order; ties count a half."""
    return sum((gap > 0) + 0.5 * (gap == 0) for gap in gaps) / len(gaps)


@torch.no_grad()
def measure(model, head, rankings, run):
    """{"all", each source, each kind of pair: {"accuracy", "low", "high", "pairs", "prompts", "ece",
    "calibration"}}.  The interval is Wilson's over prompts: pairs of one prompt are no independent draws."""
    model.eval()
    gaps, prompts = defaultdict(list), defaultdict(int)
    for part in micro_batches(rankings, run.cfg.micro_batch_tokens, tokens_of):
        with run.autocast():
            scores = score_rankings(model, head, part, run.device)
        for score_K, ranking in zip(scores, part):
            rows = defaultdict(list)
            for (better, worse), gap in gaps_of(score_K, ranking):
                for kind in ("all", f"source {ranking.examples[0].record.get('source', 'unnamed')}",
                             f"{better} over {worse}"):
                    rows[kind].append(gap)
            for kind, values in rows.items():
                gaps[kind] += values
                prompts[kind] += 1
    table = {}
    for kind, values in gaps.items():
        accuracy, (error, curve) = right(values), calibration(values)
        low, high = wilson(accuracy * prompts[kind], prompts[kind])
        table[kind] = {"accuracy": accuracy, "low": low, "high": high, "pairs": len(values),
                       "prompts": prompts[kind], "ece": error, "calibration": curve}
    return table


def probed(model, head, probes, tokenizer, template, cfg, run):
    """(probes that fit into --max-len, the (good, worse) scores of each)."""
    kept, scores = [], []
    for probe in probes:
        examples = reply_examples(probe["messages"], [probe["good"], probe["worse"]], tokenizer, template,
                                  cfg.max_len, probe)
        if examples:
            kept.append(probe)
            scores.append(tuple(scores_of(model, head, examples, run).tolist()))
    return kept, scores


if __name__ == "__main__":
    run_main(main, RewardConfig, several=True)
