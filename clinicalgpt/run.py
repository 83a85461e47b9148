"""
What every training run does besides training:
folder, seed, device, precision, schedule, log, checkpoint, resume.

    runs/sft/config.json        written first          metrics.jsonl   a line a step
             samples.jsonl      what the model says    template.json   how dialogues become text
             alarms.jsonl       what went wrong
             checkpoint/step-N  the newest state       model/ | adapter/, head.safetensors    at the end

A run can be killed at any instant.  Folders are written aside, synced and renamed, so each is whole or
absent; the order of the data and every random number are functions of (seed, step); so weights, optimizer
state and the step are all that is needed to go on to the same bits.
"""

import dataclasses
import json
import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from clinicalgpt.cli import arg
from clinicalgpt.files import model_folder, read_json, read_jsonl, sha256, write_json, write_jsonl
from clinicalgpt.lora import load_adapter, merge, save_adapter
from clinicalgpt.model import load_model
from clinicalgpt.parallel import add_up_gradients, from_first, make_alike, rank, size
from clinicalgpt.report import write_report
from clinicalgpt.reward import ScalarHead
from clinicalgpt.template import open_words
from clinicalgpt.weights import save_tensors

LIVE = ("loss", "accuracy", "reward", "kl", "ended", "valid_reward")      # on the terminal's live line
MAY_CHANGE = {"resume", "overwrite", "log_every", "save_every", "out", "device",    # in a continuation
              "token_cache", "gradient_checkpointing"}


@dataclass(frozen=True)
class RunConfig:
    """What all training shares."""
    out: str = arg("runs/out", "run folder to write")
    seed: int = arg(0, "seed of weights, order and sampling")
    device: str = arg("auto", "cpu, cuda or auto")
    dtype: str = arg("auto", "float32, bfloat16 or auto (bfloat16 on cuda)")
    steps: int = arg(0, "optimizer steps; 0: as many as --epochs make")
    epochs: float = arg(3.0, "passes over the data")
    batch_size: int = arg(128, "sequences, prompts with ranked answers, or rollouts per optimizer step")
    micro_batch_tokens: int = arg(8192, "tokens per forward pass; memory only, never the gradient")
    lr: float = arg(5e-5, "peak learning rate")
    warmup_steps: int = arg(50, "steps of linear warm-up")
    weight_decay: float = arg(0.0, "AdamW's, on matrices")
    grad_clip: float = arg(1.0, "largest norm of the gradient; 0: no clipping")
    max_len: int = arg(1024, "tokens of a sequence; the oldest beyond are cut")
    log_every: int = arg(10, "steps between lines on the terminal")
    eval_every: int = arg(100, "steps between validations")
    save_every: int = arg(100, "steps between checkpoints; 0: none")
    resume: bool = arg(False, "continue the run in --out from its last checkpoint")
    overwrite: bool = arg(False, "delete what is in --out and start anew")


@dataclass(frozen=True)
class TuneConfig(RunConfig):
    """What the stages that start from a model share."""
    base: str = arg("tiny", "base model: a Hugging Face folder, or 'tiny', the embedded one")
    init: str = arg("", "run folder to start from")
    data: tuple = arg((), "training files, JSON lines (default: the embedded records)")
    valid: tuple = arg((), "validation files (default: the embedded ones, if --data is not given)")
    lang: str = arg("zh", "language of the embedded records: zh or en")
    lora_rank: int = arg(0, "rank of the adapter; 0: train all weights")
    lora_alpha: float = arg(16.0, "scale of the adapter is alpha / rank")
    lora_dropout: float = arg(0.0, "dropout before the adapter")
    lora_targets: tuple = arg((), "layers with an adapter, by the checkpoint's names "
                                  "(default: every linear layer of the blocks)")
    gradient_checkpointing: bool = arg(False, "keep only the blocks' inputs for backward, which computes the "
                                              "rest again: less memory, more time, the same gradient")


class Run:
    def __init__(self, cfg, stage):
        self.cfg, self.stage, self.out = cfg, stage, Path(cfg.out)
        self.device = device_of(cfg.device)
        if size() > 1 and self.device.index is not None:
            raise ValueError(f"--device {cfg.device}: each of {size()} processes takes a card of its own; "
                             "say cuda")
        self.dtype = dtype_of(cfg.dtype, self.device)
        for name, least in (("batch_size", 1), ("micro_batch_tokens", 1), ("max_len", 2),
                            ("eval_every", 1), ("log_every", 1), ("save_every", 0), ("steps", 0), ("seed", 0),
                            ("lr", 0), ("warmup_steps", 0), ("weight_decay", 0), ("grad_clip", 0)):
            if not getattr(cfg, name) >= least:                 # nan is not enough either
                raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be at least {least}")
        if not cfg.steps and cfg.epochs <= 0:
            raise ValueError(f"--epochs {cfg.epochs}: must be above 0 where --steps does not say how long")
        if getattr(cfg, "init", "") and cfg.base != TuneConfig.base:
            raise ValueError(f"--base {cfg.base}: this run starts from --init {cfg.init}; leave --base out")
        self.continues = from_first(self._open_folder)
        torch.manual_seed(seed_of(cfg.seed, 2**32 - 1))     # of what precedes the first step: adapters, heads
        self.started = time.perf_counter()

    def _open_folder(self):
        """Whether this run goes on with one that is there.  Raises ValueError if it cannot."""
        config = {"stage": self.stage, **dataclasses.asdict(self.cfg), "processes": size(),
                  "command": " ".join(["python", *sys.argv]), "versions": versions()}
        path = self.out / "config.json"
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"{self.out}: a file; --out must name a new or empty folder")
        named = [getattr(self.cfg, name, "") for name in ("base", "init", "reward", "data", "valid", "text",
                                                          "graph", "pretrain", "dialogues", "names")]
        flat = [p for value in named for p in ((value,) if isinstance(value, str) else value)]
        reads = [Path(p).resolve() for p in flat if p]
        config["sha256"] = {str(p): sha256(p) for p in flat if p and Path(p).is_file()}
        if any(self.out.resolve() in (path, *path.parents) for path in reads):
            raise ValueError(f"{self.out}: this run reads from it; --out must name another folder")
        before = read_json(path) if path.is_file() else {}
        if self.out.exists() and not before.get("stage") and any(self.out.iterdir()):
            raise ValueError(f"{self.out}: holds files that are not a run's; "
                             "--out must name a new or empty folder")
        if self.cfg.overwrite and self.cfg.resume:
            raise ValueError("--overwrite deletes what --resume would continue; choose one")
        if self.cfg.overwrite:
            shutil.rmtree(self.out, ignore_errors=True)
        continues = any((self.out / name).exists() for name in ("metrics.jsonl", "checkpoint", "done.json"))
        if continues:                                       # a run that never made a step is in nobody's way
            if not self.cfg.resume:
                raise ValueError(f"{self.out}: holds a run already; --resume continues it, "
                                 "--overwrite deletes it, --out names another")
            for name, value in dataclasses.asdict(self.cfg).items():
                was = tuple(before[name]) if isinstance(before.get(name), list) else before.get(name)
                if name not in MAY_CHANGE and was != value:
                    raise ValueError(f"{path}: --{name.replace('_', '-')} was {was!r} and is now {value!r}; "
                                     f"a continued run keeps it (to start anew, delete {self.out})")
            for name, was in before.get("sha256", {}).items():
                if config["sha256"].get(name, was) != was:
                    raise ValueError(f"{name}: changed since this run began; a continued run keeps its data "
                                     f"(to start anew, delete {self.out})")
        else:
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(path, config)
        return continues

    def note(self, **facts):
        """Add to config.json what was found out after it was written: the trunk, say, that an adapter of this
        run stands on."""
        if rank() == 0:
            write_json(self.out / "config.json", {**read_json(self.out / "config.json"), **facts})

    @property
    def finished(self):
        return from_first((self.out / "done.json").is_file)

    def autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def steps(self, total, parameters, optimizer, state=None):
        """Yield the steps still to do, 0-based, with the random state of each set; checkpoints are made in
        between.  `parameters` (name -> tensor), the optimizer and `state` (a dict of numbers) are restored
        first, in place, if this is a continuation."""
        if total < self.cfg.warmup_steps:
            self._tell(f"{self.stage}: its {total} steps are all warm-up, so the learning rate stays below "
                       "--lr; lower --warmup-steps or --batch-size, or raise --epochs or --steps")
        first = self._restore(parameters, optimizer, state)
        make_alike(parameters.values())
        self.bar = tqdm(range(first, total), initial=first, total=total, desc=self.stage, unit="step",
                        mininterval=1, file=sys.stderr, disable=rank() > 0)
        for step in self.bar:
            torch.manual_seed(seed_of(self.cfg.seed, step, rank()))
            yield step
            if self.cfg.save_every and (step + 1) % self.cfg.save_every == 0 and step + 1 < total:
                from_first(partial(self._save, step + 1, parameters, optimizer, state))

    def log(self, step, **metrics):
        """Append a line to metrics.jsonl; steps are counted from 1 here.  Tell the terminal every --log-every
        steps."""
        record = {"step": step + 1, **{k: float(f"{float(v):.6g}") for k, v in metrics.items()},
                  "time": round(time.perf_counter() - self.started, 2)}
        self.rows.append(record)
        self._append("metrics.jsonl", record)
        live = ", ".join(f"{name} {record[name]:.3g}" for name in LIVE if name in record)
        self.bar.set_postfix_str(live, refresh=False)
        if (step + 1) % self.cfg.log_every == 0 or any(name.startswith("valid") for name in metrics):
            shown = "  ".join(f"{k} {v:.4g}" for k, v in record.items() if k not in ("step", "time"))
            self._tell(f"{self.stage} {step + 1}: {shown}")

    def sample(self, step, prompt, answer):
        self._append("samples.jsonl", {"step": step + 1, "prompt": prompt, "answer": answer})

    def alarm(self, step, name, sentence):
        """Say, and write to alarms.jsonl, what goes wrong: each name when it first does."""
        if name not in self.alarmed:
            self._tell(f"{self.stage} {step + 1}: ALARM, {name}: {sentence}")
            self._append("alarms.jsonl", {"step": step + 1, "alarm": name, "why": sentence})
            self.alarmed.add(name)

    def _tell(self, line):
        if rank() == 0:
            tqdm.write(line, file=sys.stderr)

    def _append(self, name, record):
        if rank():
            return
        with open(self.out / name, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def finish(self, save, **metrics):
        """Write the results (save(folder) puts them into a folder that is renamed piece by piece) and mark
        the run as done."""
        metrics = {name: round(float(value), 6) for name, value in metrics.items()}
        from_first(partial(self._finish, save, metrics))
        return metrics

    def _finish(self, save, metrics):
        aside = self.out / f".result.{os.getpid()}.tmp"
        for left in self.out.glob(".result.*.tmp"):              # by one that was killed
            shutil.rmtree(left)
        aside.mkdir()
        save(aside)
        sync(aside)
        for item in sorted(aside.iterdir()):
            if (self.out / item.name).is_dir():
                shutil.rmtree(self.out / item.name)
            os.replace(item, self.out / item.name)
        aside.rmdir()
        write_report(self.out, f"ClinicalGPT: {self.stage}", {self.stage: self.out})
        write_json(self.out / "done.json", metrics)
        shutil.rmtree(self.out / "checkpoint", ignore_errors=True)
        self._tell(f"{self.stage}: done; {self.out}/report.html")

    def _save(self, step, parameters, optimizer, state):
        tensors = {f"parameter.{name}": tensor.detach() for name, tensor in parameters.items()}
        names = {id(tensor): name for name, tensor in parameters.items()}
        for parameter, moments in optimizer.state.items():
            tensors |= {f"optimizer.{names[id(parameter)]}.{key}": torch.as_tensor(value)
                        for key, value in moments.items()}
        folder, aside = (self.out / "checkpoint" / f"step-{step:08d}",
                         self.out / "checkpoint" / f".step-{step}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()},
                     aside / "state.safetensors")
        write_json(aside / "state.json", {"step": step, "state": state or {}})
        sync(aside)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(aside, folder)
        sync(folder.parent)
        for old in sorted(folder.parent.glob("step-*"))[:-1]:
            shutil.rmtree(old)

    def _restore(self, parameters, optimizer, state):
        saved, folder, self.rows, self.alarmed = from_first(self._go_back)
        if not folder:
            return 0
        tensors = load_file(folder / "state.safetensors")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors.pop(f"parameter.{name}"))
                keys = [key for key in tensors if key.startswith(f"optimizer.{name}.")
                        and "." not in key[len(f"optimizer.{name}."):]]
                if keys:
                    optimizer.state[parameter] = {
                        key.rpartition(".")[2]: tensors.pop(key).to(parameter.device) for key in keys}
        if tensors:
            raise ValueError(f"{folder}: {min(tensors)} belongs to no parameter of this run")
        if state is not None:
            state.update(saved["state"])
        return saved["step"]

    def _go_back(self):
        """(what the last checkpoint says, its folder or None, the log's rows and the alarms up to it)."""
        folders = sorted((self.out / "checkpoint").glob("step-*"))
        saved = read_json(folders[-1] / "state.json") if folders else {"step": 0}
        kept = {}
        for name in ("metrics.jsonl", "samples.jsonl", "alarms.jsonl"):     # the rest will be logged again
            records = whole_lines(self.out / name) if (self.out / name).is_file() else ()
            kept[name] = [record for record in records if record["step"] <= saved["step"]]
            if (self.out / name).is_file():
                write_jsonl(self.out / name, kept[name])
        return (saved, folders[-1] if folders else None, kept["metrics.jsonl"],
                {record["alarm"] for record in kept["alarms.jsonl"]})


def whole_lines(path):
    """The records of a log, without a last line that a kill cut short."""
    records = read_jsonl(path)
    while True:
        try:
            yield next(records)[1]
        except (StopIteration, ValueError):
            return


def device_of(name):
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"--device {name}: PyTorch sees no such device here; choose cpu or auto")
    try:
        return torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    except RuntimeError:
        raise ValueError(f"--device {name}: choose cpu, cuda or auto") from None


def dtype_of(name, device):
    names = {"auto": torch.bfloat16 if device.type == "cuda" else torch.float32, "float32": torch.float32,
             "bfloat16": torch.bfloat16}
    if name not in names:
        raise ValueError(f"--dtype {name}: choose float32, bfloat16 or auto")
    return names[name]


def sync(folder):
    """Force a folder's files and names to the disk."""
    for path in [*(p for p in Path(folder).rglob("*") if p.is_file()), Path(folder)]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def seed_of(seed, *numbers):
    """A 63-bit seed that is a function of these numbers; neighbours in seed or step share nothing."""
    return int(np.random.SeedSequence([seed % 2**32, *numbers]).generate_state(1, np.uint64)[0]
               >> np.uint64(1))


def learning_rate(step, total, peak, warmup, floor=0.0):
    """Linear from 0 over `warmup` steps (the first step already moves), then linear to `floor` times the peak
    at the last."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 - (1 - floor) * (step - warmup) / max(1, total - warmup))


def make_optimizer(groups, weight_decay=0.0, eps=1e-8):
    """AdamW over [(parameters, lr), ...]; weight decay on matrices only."""
    split = []
    for parameters, lr in groups:
        parameters = list(parameters)
        split.append({"params": [p for p in parameters if p.ndim > 1], "peak": lr, "lr": lr,
                      "weight_decay": weight_decay})
        split.append({"params": [p for p in parameters if p.ndim <= 1], "peak": lr, "lr": lr,
                      "weight_decay": 0.0})
    return torch.optim.AdamW([group for group in split if group["params"]], betas=(0.9, 0.99), eps=eps,
                             fused=True)


def optimizer_step(optimizer, scale, grad_clip):
    """One step at `scale` times each group's peak rate, by the gradients of all processes.  Returns the norm
    before clipping; a gradient that is not finite is skipped."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    add_up_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, grad_clip or float("inf"))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * scale
    if torch.isfinite(norm):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def versions():
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
            "threads": torch.get_num_threads(), "machine": platform.machine()}


def open_run(folder, device="cpu", dtype=torch.float32, style="auto"):
    """(model, tokenizer, template) of a finished run, or of a model folder, whose template may be chosen by
    its style.  A run with an adapter is its base with the adapter merged in."""
    folder = Path(folder)
    if (folder / "model").is_dir():
        model = load_model(folder / "model", dtype, device)
        return model, *open_words(folder)
    if (folder / "adapter").is_dir():
        model = open_run(read_json(folder / "config.json")["trunk"], device, dtype)[0]
        load_adapter(model, folder / "adapter", "policy")
        return merge(model, "policy"), *open_words(folder)
    if (folder / "checkpoint").is_dir() or (folder / "metrics.jsonl").is_file():
        raise ValueError(f"{folder}: this run has not ended; continue it with --resume")
    model = load_model(folder, dtype, device)
    tokenizer, template = open_words(folder, style)
    words = [i for i, token in tokenizer.added.items() if not token.special]
    largest = max([tokenizer.core.size - 1, template.end_id(tokenizer), *words])    # that a dialogue can hold
    if largest >= model.config.vocabulary:
        raise ValueError(f"{folder}: the tokenizer makes ids up to {largest}, the model knows "
                         f"{model.config.vocabulary}; take both from one source")
    return model, tokenizer, template


def save_run(folder, model, tokenizer, template, name=None, trunk=""):
    """A run's results: template.json, and adapter/, the adapter `name` as a PEFT folder over `trunk`; or,
    without a name, model/, all weights as a Hugging Face folder that stands alone.  PEFT stacks no adapters:
    over a trunk that is one itself the folder names that, which PEFT refuses, and export.py merges both."""
    template.save(folder / "template.json")
    if name:
        stacked = (Path(trunk) / "adapter").is_dir()
        save_adapter(model, folder / "adapter", name, trunk if stacked else model_folder(trunk))
    else:
        model.save(folder / "model")
        tokenizer.save(folder / "model")
        template.export(folder / "model", tokenizer)


def load_reward(folder, device="cpu", dtype=torch.float32, trunk=None, trunk_folder=""):
    """(model, adapter's name or None, head, tokenizer, template) of a reward run.  `trunk`, opened from
    `trunk_folder`, is shared if the reward model was trained on just that run."""
    config = read_json(Path(folder) / "config.json", missing={})
    if not config:
        raise FileNotFoundError(f"{folder}/config.json: no such file; train_reward.py makes a reward run")
    if config.get("stage") != "reward":
        raise ValueError(f"{folder}: a {config.get('stage')} run, not a reward model's; "
                         "train_reward.py writes one")
    if "trunk" not in config:
        raise ValueError(f"{folder}: this run has not begun to train; start it anew")
    name = "reward" if (Path(folder) / "adapter").is_dir() else None
    if trunk is not None and name and Path(config["trunk"]).resolve() == Path(trunk_folder).resolve():
        model = trunk
    else:
        model = open_run(config["trunk"] if name else folder, device, dtype)[0]
    for parameter in load_adapter(model, Path(folder) / "adapter", name) if name else ():
        parameter.requires_grad_(False)
    head = ScalarHead(model.config.width).to(device).load(Path(folder) / "head.safetensors")
    return model.eval(), name, head.requires_grad_(False), *open_words(folder)
