"""
A small base model from nothing: a SentencePiece tokenizer and a BLOOM trained on plain text, stored as a
Hugging Face folder.

    python -m clinicalgpt.pretrain --text FILES --out DIR
                                                     the model is then DIR/model, and --base DIR finds it

It exists so that everything after it can run, and be understood, on a laptop: `--base tiny` is this script on
the prose of the embedded knowledge graph.  Every line of text is one sequence (cut where it is longer than
--max-len) and every token of it is learned.
"""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from clinicalgpt.cli import arg, run_main
from clinicalgpt.config import ModelConfig
from clinicalgpt.dataset import Example, batch_of_step, micro_batches, pack, steps_per_epoch
from clinicalgpt.files import read_json, read_jsonl
from clinicalgpt.model import Transformer
from clinicalgpt.parallel import from_first, size
from clinicalgpt.run import (
    Run,
    RunConfig,
    learning_rate,
    make_optimizer,
    optimizer_step,
    save_run,
    seed_of,
)
from clinicalgpt.template import Template
from clinicalgpt.tokenizer import load_tokenizer, train_sentencepiece
from data.generate import generate


@dataclass(frozen=True)
class PretrainConfig(RunConfig):
    """Train a tokenizer and a small BLOOM on text files, a paragraph a line."""
    text: tuple = arg((), "text files, UTF-8, a paragraph a line (default: the embedded graph's prose)")
    dialogues: tuple = arg((), "JSON-lines files whose words the tokenizer learns too; "
                               "the model does not see them")
    names: str = arg("", "file of names, the first column of a line each, that the tokenizer never cuts")
    lang: str = arg("zh", "language of the embedded prose: zh or en")
    out: str = arg("runs/base", "run folder to write; the model is its model/")
    vocabulary: int = arg(4096, "entries of the tokenizer")
    width: int = arg(256, "width of the model")
    layers: int = arg(2, "blocks")
    heads: int = arg(8, "attention heads")
    max_len: int = arg(256, "tokens of a sequence; longer lines are cut into several")
    batch_size: int = arg(16, "lines per optimizer step")
    epochs: float = arg(2.0, "passes over the text")
    lr: float = arg(2e-3, "peak learning rate")
    weight_decay: float = arg(0.01, "AdamW's, on matrices")


def main(cfg):
    run = Run(cfg, "pretrain")                                                # 1. folder, seed, device
    if run.finished:
        return read_json(run.out / "done.json")
    if size() > 1:
        raise ValueError(f"{run.out}: no base yet, and one process makes it: python -m clinicalgpt.pretrain "
                         f"--lang {cfg.lang} --out {run.out}")
    cfg = embedded(cfg)
    lines = read_lines(cfg.text)                                              # 2. tokenizer, from the text
    template = Template()
    if not run.continues:
        dialogues = ["".join(text for text, _ in template.parts(record["messages"]))
                     for path in cfg.dialogues for _, record in read_jsonl(path)]
        names = [line.split("\t")[0] for line in read_lines([cfg.names])] if cfg.names else []
        train_sentencepiece(lines + dialogues, run.out / "tokenizer", cfg.vocabulary,
                            ["User:", "Assistant:", *names])
    tokenizer = load_tokenizer(run.out / "tokenizer")
    examples = []                                                             # 3. every token is learned
    for line in lines:
        ids = tokenizer.encode(line) + [tokenizer.eos_id]
        examples += [Example(part, [True] * len(part), {})
                     for part in (ids[i:i + cfg.max_len] for i in range(0, len(ids), cfg.max_len))]
    config = ModelConfig.bloom(tokenizer.vocabulary, cfg.width, cfg.layers, cfg.heads)
    model = Transformer(config).initialise(torch.Generator().manual_seed(seed_of(cfg.seed, 0))).to(run.device)
    optimizer = make_optimizer([(model.parameters(), cfg.lr)], cfg.weight_decay)
    total = cfg.steps or max(1, round(cfg.epochs * steps_per_epoch(len(examples), cfg.batch_size)))
    for step in run.steps(total, dict(model.named_parameters()), optimizer):  # 4. one optimizer step a turn
        batch = [examples[i] for i in batch_of_step(len(examples), cfg.batch_size, cfg.seed, step)]
        count, loss = sum(len(example.ids) - 1 for example in batch), 0.0
        for run_of in micro_batches(batch, cfg.micro_batch_tokens):
            with run.autocast():
                nll = model.loss(pack(run_of, run.device), count)
            nll.backward()
            loss += nll.item()
        optimizer_step(optimizer, learning_rate(step, total, 1.0, cfg.warmup_steps, floor=0.1), cfg.grad_clip)
        run.log(step, loss=loss, tokens=count)

    def save(folder):                                                         # 5. the model, marked as ours
        origin = {"clinicalgpt": "pretrained from nothing by clinicalgpt.pretrain"}
        model.raw_config = config.to_json() | origin
        save_run(folder, model, tokenizer, template)
    return run.finish(save, loss=loss)


def read_lines(paths):
    lines = []
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            lines += [line for line in Path(path).read_text(encoding="utf-8-sig").splitlines()
                      if line.strip()]
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error})") from None
    if not lines:
        raise ValueError("--text: no lines of text; name files with a paragraph a line")
    return lines


def tiny_data(lang="zh", seed=0):
    """The folder of the embedded records for this language and seed, made on first use."""
    if lang not in ("zh", "en"):
        raise ValueError(f"--lang {lang}: choose zh or en")
    folder = Path(f"runs/tiny-{lang}/data-{seed}")

    def make():
        if not folder.is_dir():
            aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
            generate(aside, lang=lang, seed=seed)
            aside.rename(folder)
    from_first(make)
    return folder


def embedded(cfg):
    """Without --text: the embedded graph's prose.  Its Chinese names are single tokens; the English ones, of
    several words, are not."""
    if cfg.text:
        return cfg
    data = tiny_data(cfg.lang)
    return dataclasses.replace(
        cfg, text=(str(data / "pretrain.txt"),), dialogues=(str(data / "train.jsonl"),),
        names="data/sample/names.tsv" if cfg.lang == "zh" else "")


def tiny_base(lang="zh"):
    """The embedded base for this language, trained on first use (about a minute); its run folder."""
    folder = Path(f"runs/tiny-{lang}/base")
    main(PretrainConfig(out=str(folder), lang=lang, resume=True))
    return folder


if __name__ == "__main__":
    run_main(main, PretrainConfig)
