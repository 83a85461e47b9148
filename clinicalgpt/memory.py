"""
How much memory a run will need: from its base's config.json and its flags, before anything is loaded.
(Not here: real lengths: each sequence counts as --max-len tokens, each answer as --max-new-tokens; what needs
less than training does, as validation and merging; masks of windows on CUDA.)

    python -m clinicalgpt.memory ppo --base DIR --batch-size 16 --limit 24      the budget, line by line

    peak = max over phases of the sum of what a phase holds

    load        weights, a piece of their file         rollout     + KV cache, a step's logits
    scoring     + a pass without gradient              forward     + what backward needs, a tile of logits
    backward    + that, and a block's gradients        step        + all gradients (where all weights learn)

What backward needs is counted operation by operation, as autograd keeps it, in float32 and under bfloat16's
autocast.  A trunk is float32 where all its weights learn; adapters always are.

Letters: N tokens of a pass, E places in its sequences (more where answers share a prompt), M tokens scored,
D width, H heads, G key heads, K head size, V vocabulary.
"""

import ctypes
import functools
import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from clinicalgpt import parallel
from clinicalgpt.cli import Parser, number, parse
from clinicalgpt.config import ModelConfig, read_config
from clinicalgpt.files import model_folder, read_json
from clinicalgpt.lora import add_lora, lora_layers
from clinicalgpt.model import Transformer
from clinicalgpt.run import dtype_of
from clinicalgpt.weights import PIECE_BYTES
from kernels.head import TILE

GIB, MIB = 2**30, 2**20
SLACK = {"cpu": (0.03, 112 * MIB), "cuda": (0.05, 256 * MIB)}    # a share, and libraries, records, workspaces
HOLES = 1.5                                                     # of glibc's heap: at most so many times more
ANSWERS = 4                                                     # to a ranked prompt, each as long as it
SAMPLED = 64                                                    # rows that train_reward.py samples together
SHARED = (None, 8, ())                                          # reward model: own trunk, rank, targets


@dataclass(frozen=True)
class Part:
    """A model, what of it learns (an adapter of this rank; 0: all weights), bytes of a number in products."""
    config: ModelConfig
    rank: int
    targets: tuple
    item: int
    cuda: bool

    @property
    def stream(self):
        """Bytes of a number on the residual path.  Under CUDA's autocast layer norms give float32, and one of
        them is the beginning of BLOOM's."""
        narrow = self.item == 2 and self.rank and not (self.cuda and self.config.norm == "layer")
        return 2 if narrow else 4

    @property
    def weight(self):
        return self.item if self.rank else 4

    @property
    def table(self):
        """Bytes of the unembedding's gradient, where it learns."""
        return 0 if self.rank else 4 * self.config.vocabulary * self.config.width


@functools.cache
def shapes(config, rank=0, targets=()):
    """(weights, an adapter's numbers, {linear layer of a block: (inputs, outputs, has it an adapter)})."""
    with torch.device("meta"):                                  # shapes without memory
        model = Transformer(config)
    weights = sum(p.numel() for p in model.parameters())
    factors = sum(p.numel() for p in add_lora(model, "planned", rank, 1.0, 0.0, targets)) if rank else 0
    adapted = {name for name, layer in lora_layers(model.blocks[0]).items() if layer.lora_A}
    linears = {name.removesuffix(".linear"): layer for name, layer in model.blocks[0].named_modules()
               if isinstance(layer, nn.Linear)}
    return weights, factors, {name: (layer.in_features, layer.out_features, name in adapted)
                              for name, layer in linears.items()}


# ---- what backward needs ---------------------------------------------------------------------------------

def norm_keeps(part, N):
    """A layer norm keeps its input, mean and deviation; an RMS norm the input and its size in float32, and
    the scaled input if the weight learns."""
    D = part.config.width
    if part.config.norm == "layer":
        return N * (D + 2) * part.stream
    return N * (D + 1) * 4 + (0 if part.rank else N * D * part.stream)


def block_keeps(part, N, E):
    """{what: bytes} that autograd keeps of one block."""
    config, item, full = part.config, part.item, not part.rank
    D, H, G, K, inner = config.width, config.heads, config.key_heads, config.head_size, config.inner
    linears = shapes(config, part.rank, part.targets)[2]
    used = {name for name, (_, _, adapted) in linears.items() if full or adapted}
    inputs = 0
    for names in ({"attention.qkv", "attention.q", "attention.k", "attention.v"}, {"mlp.up", "mlp.gate"}):
        copies = len(used & names)                              # under autocast each matrix has its own
        inputs += (copies if item == 2 else min(1, copies)) * N * D * item
    if "mlp.down" in used:
        inputs += N * inner * item
    if "attention.out" in used and (E > N or part.cuda or item == 2 and not full):
        inputs += N * H * K * item                              # else attention's output, which it keeps too
    wide = K + 8 if part.cuda and not config.rope else K        # with ALiBi as factors of the product
    attention = E * (2 * (H + G) * wide * item + 4 * H)         # query, key, value, output, log of the sum
    if config.rope and item == 2:
        attention += 4 * N * K * item                           # cosines and sines, cast for each use
    if config.qk_norm:
        attention += N * (H + G) * (4 * K + 4 + (K * item if full else 0))
    return {"norms": 2 * norm_keeps(part, N), "inputs of matrices": inputs, "attention": attention,
            "MLP": N * inner * item * (1 if config.mlp == "gelu" else 3),
            "adapters' middles": 0 if full else len(used) * N * part.rank * item,
            "casts of weights": block_casts(part)}


def block_casts(part):
    """bfloat16 copies that autocast makes of float32 weights that learn."""
    linears = shapes(part.config, part.rank, part.targets)[2].values()
    return (part.item == 2) * 2 * sum(part.rank * (n + m) * adapted if part.rank else n * m
                                      for n, m, adapted in linears)


def keeps(part, N, E, checkpointing=False):
    """[(what, bytes, how)] that autograd keeps of a pass up to the last hidden states."""
    config, blocks = part.config, part.config.layers
    ends = norm_keeps(part, N)
    if not part.rank:
        ends += 8 * N + (norm_keeps(part, N) if config.embed_norm else 0)
    if checkpointing:
        return [("blocks' inputs", blocks * N * config.width * part.stream,
                 f"{blocks} x {N} x {config.width} x {part.stream} B"), ("last norm", ends, f"{N} tokens")]
    if part.rank:
        ends -= norm_keeps(part, N)                             # before the first adapter nothing learns
    ends += 8 * N * config.head_size if config.rope and part.item == 4 else 0
    ends += 8 * (N + E) if E > N else 0                         # which place holds which token
    return [(f"kept: {what}", blocks * size, f"{blocks} blocks x {size / MIB:.1f} MiB")
            for what, size in block_keeps(part, N, E).items() if size] + [("kept: ends", ends, f"{N} tokens")]


def block_gradients(part, N):
    """What a block's backward needs at most beyond what was kept."""
    config = part.config
    if part.item == 2 and part.rank:
        return N * (6 * config.inner + 4 * config.width)        # an adapter takes its input in float32
    matrix = 0 if part.rank else max(n * m for n, m, _ in shapes(config)[2].values())
    return N * (config.inner * part.item * (1 if config.mlp == "gelu" else 2) + 4 * config.width) + 4 * matrix


def without_gradient(part, N):
    """What a pass needs that keeps nothing."""
    config = part.config
    each = part.item * (2 + (config.mlp == "swiglu"))
    each = 8 if part.item == 2 and part.rank else each
    casts = 0 if part.rank else config.layers * block_casts(part)
    turns = 8 * config.head_size if config.rope else 0          # cosines and sines
    return N * (config.inner * each + 3 * config.width * part.stream + turns) + casts


def vocabulary(part, M, learns, models=1):
    """kernels/head.py's tiles of logits and sums over W, the scored hidden states and their gradient.  A CPU
    widens one tile of W while the last is held."""
    D, half = part.config.width, part.weight == 2
    most_rows, most = TILE["cuda" if part.cuda else "cpu"]
    v, n = min(part.config.vocabulary, most_rows), -(-M // max(1, -(-M // most)))
    tile = v * n * (10 if part.cuda and half and learns else 8) + (8 * v * D if half and not part.cuda else 0)
    return models * tile + learns * 8 * n * D + M * D * part.stream * (models + learns)


def rollout(part, rows, prompt, new):
    """[(what, bytes, how)] of answers to so many prompts, sampled together."""
    config = part.config
    cache = rows * (prompt + new) * config.layers * 2 * config.key_heads * config.head_size * part.item
    sampling = rows * config.vocabulary * 20 + (0 if part.cuda else vocabulary(part, rows, 0))
    return [("KV cache", cache, f"{rows} rows x {prompt + new} x {config.layers} layers x 2 x "
                                f"{config.key_heads} x {config.head_size} x {part.item} B"),
            ("half of a layer's", cache // (2 * config.layers), "rows move up when half have ended"),
            ("prompts' hidden states", rows * prompt * config.width * part.stream, f"{rows * prompt} tokens"),
            ("reading or sampling", max(without_gradient(part, rows * prompt), sampling),
             f"a block of {rows * prompt} tokens, or {rows} x {config.vocabulary} x 20 B")]


# ---- the phases of a stage -------------------------------------------------------------------------------

def plan(stage, config, cfg, device_type, reward=SHARED, processes=1):
    """{phase: [(what, bytes, how), ...]} of "sft", "reward" or "ppo" with this configuration, in
    each of so many processes."""
    cuda, item = device_type == "cuda", dtype_of(cfg.dtype, torch.device(device_type)).itemsize
    part = critic = Part(config, cfg.lora_rank, tuple(cfg.lora_targets), item, cuda)
    weights, factors, _ = shapes(config, part.rank, part.targets)
    trained = factors or weights
    if stage == "reward" and not factors and not config.tied:   # an unembedding of its own gets no gradient
        trained -= config.vocabulary * config.width
    held = [("trunk", weights * part.weight, f"{weights:,} weights x {part.weight} B")]
    if stage == "ppo":
        judge, rank, targets = reward
        critic = Part(judge or config, rank or cfg.lora_rank, targets if rank else part.targets, item, cuda)
        weights, theirs, _ = shapes(critic.config, critic.rank, critic.targets)
        if judge:
            held.append(("reward model's trunk", weights * item, f"{weights:,} weights x {item} B"))
        factors += theirs * (2 if rank else 1)
        trained += theirs if getattr(cfg, "algorithm", "ppo") == "ppo" else 0
    trunks = sum(size for _, size, _ in held)
    phases = {"load": [*held, ("piece of a file", 0 if cuda else PIECE_BYTES, "copied at a time")]}
    held += [("adapters", 4 * factors, f"{factors:,} numbers x 4 B")] if factors else []
    before = list(held)
    held.append(("Adam's moments", 8 * trained, f"{trained:,} that learn x 8 B"))
    held += [("last good state", 4 * trained, f"{trained:,} that learn x 4 B")] if stage == "ppo" else []

    length, sequences, rows, new, places = cfg.max_len, cfg.batch_size, 0, 0, 1
    if stage == "reward":                                       # a prompt, and its answers
        length, places = cfg.max_len * (1 + ANSWERS) // 2, 2 * ANSWERS / (1 + ANSWERS)
        rows, new = min(SAMPLED, getattr(cfg, "samples", 0)), getattr(cfg, "max_new_tokens", 0)
    if stage == "ppo":
        new, sequences = cfg.max_new_tokens, -(-cfg.batch_size // cfg.minibatches)
        length, rows = cfg.max_len + new, -(-cfg.batch_size // processes)
    sequences = -(-sequences // processes)
    N = min(sequences * length, max(cfg.micro_batch_tokens, length))
    E, M = int(N * places), {"sft": N, "reward": 0, "ppo": -(-N * new // length)}[stage]
    if rows:
        phases["rollout"] = (held if stage == "ppo" else before) + rollout(part, rows, cfg.max_len, new)
    if stage == "ppo":
        n = min(rows * length, max(cfg.micro_batch_tokens, length))
        models = 2 if getattr(cfg, "kl_estimator", "") == "exact" else 1
        passes = [vocabulary(part, -(-n * new // length), 0, models), *(without_gradient(p, n)
                                                                        for p in (part, critic))]
        phases["scoring"] = [*held, ("a pass", max(passes), f"a block of {n} tokens, or a tile of logits")]

    several, table = sequences * length > N or part.rank > 0, part.table if M else 0
    gradients = ("gradients", 4 * trained, f"{trained:,} that learn x 4 B")
    grown = [*held, ("batch", 64 * N + 48 * sequences * new, "ids, places, rows"), *several * [gradients]]
    kept, again = keeps(part, N, E, cfg.gradient_checkpointing), cfg.gradient_checkpointing
    logits = vocabulary(part, M, 1) if M else 0
    casts = [("casts of weights", config.layers * block_casts(part), "while autocast lasts")] * again
    phases["forward"] = [*grown, *kept, *casts, ("logits", logits, f"{M} tokens scored, a tile at a time")]
    learns = max((part, critic), key=lambda p: sum(size for _, size, _ in keeps(p, N, E)))
    anew = [("a block, made again", sum(block_keeps(learns, N, E).values()), f"{N} tokens")] * again
    twice = bool(table or getattr(cfg, "entropy_coefficient", 0))       # backward makes logits as well
    slice_of_table = table and min(table, 4 * TILE[device_type][0] * config.width)
    last = [table + slice_of_table + twice * logits, table + block_gradients(learns, N)]
    phases["backward"] = [*grown, *keeps(learns, N, E, again), *anew,
                          ("gradients on the way", max(last), f"{N} tokens of a block, or the embedding's")]
    if not cfg.lora_rank:
        last = 4 * config.vocabulary * config.width * ((config.tied and M > 0) + several)
        phases["step"] = [*held, gradients, ("the embedding's", last, "before they are added")]
    share, least = SLACK["cuda" if cuda else "cpu"]
    for lines in phases.values():
        slack = int(share * (sum(size for _, size, _ in lines) - trunks)) + least
        lines.append(("allocator, libraries", slack, f"{least // MIB} MiB; {share:.0%} of all but trunks"))
    return phases


def peak(phases):
    """(phase, bytes) of the one that holds most."""
    held = {name: sum(size for _, size, _ in lines) for name, lines in phases.items()}
    return max(held.items(), key=lambda item: item[1])


# ---- what would make it fit ------------------------------------------------------------------------------

def remedies(stage, cfg, reward):
    """(field, values to try) in order of least harm."""
    def halves(name, least):
        value = getattr(cfg, name, 0)
        return name, [value >> i for i in range(1, 20) if value >> i >= least]
    yield halves("micro_batch_tokens", 128)
    yield "gradient_checkpointing", [True]
    yield "dtype", ["bfloat16"]
    yield halves("samples", 8)
    yield "lora_rank", [8] if not cfg.lora_rank else []
    yield "reward", [SHARED] if reward[0] else []
    if stage == "ppo":
        yield halves("batch_size", cfg.minibatches)
    yield halves("max_new_tokens", 16)
    yield halves("max_len", 32)


def refusal(stage, config, cfg, device_type, limit, reward=SHARED, processes=1):
    """Why a run does not fit into so many bytes, and what would make it: no more changes than that takes."""
    def need(changes):
        changed = replace(cfg, **{name: value for name, value in changes.items() if name != "reward"})
        return peak(plan(stage, config, changed, device_type, changes.get("reward", reward), processes))[1]
    tried, changes = list(remedies(stage, cfg, reward)), {}
    for name, value in [(name, value) for name, values in tried for value in values]:
        if need(changes) > limit:
            changes[name] = value
    least = max(limit, need(changes))
    for name, values in reversed(tried):                        # back as far as goes, what harms most first
        trials = [{k: v for k, v in changes.items() if k != name}, *(changes | {name: v} for v in values)]
        changes = next((trial for trial in trials if need(trial) <= least), changes)
    flags = " ".join("a reward model of --lora-rank 8 on the same --init" if name == "reward" else
                     f"--{name.replace('_', '-')}" + f" {value}" * (value is not True)
                     for name, value in changes.items())
    phase, needed = peak(plan(stage, config, cfg, device_type, reward, processes))
    what = (f"with {flags} it needs {need(changes) / GIB:.2f}" if need(changes) <= limit else
            f"the least is {need(changes) / GIB:.2f}, with {flags}: take a smaller base or a larger device")
    return f"memory: {stage} needs {needed / GIB:.2f} GiB (most in {phase}) of {limit / GIB:.2f}; {what}"


def reward_of(folder, trunk):
    """(ModelConfig of its trunk if that is its own, rank, targets) of a reward run beside this trunk.
    "none" is no reward model; the value adapter then has the policy's rank."""
    if folder == "none":
        return None, 0, ()
    config = read_json(Path(folder) / "config.json")
    rank, base = config.get("lora_rank", 0), config.get("trunk", "")
    shares = rank and Path(base).resolve() == Path(trunk).resolve()
    own = None if shares else read_config(model_folder(base if rank else folder))[0]
    return own, rank, tuple(config.get("lora_targets", ()))


def free_bytes(device):
    """What may still be taken there: of the device, the machine, a control group; None if nothing says so."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        groups = ["", *(line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines())]
    except OSError:
        return None
    limits = [int(fields["MemAvailable"].split()[0]) * 1024]
    for file in (file for group in groups for file in (f"{group}/memory.max",
                                                       f"/memory{group}/memory.limit_in_bytes")):
        path = Path(f"/sys/fs/cgroup{file}")
        if path.is_file() and (text := path.read_text().strip()).isdigit():     # else "max"
            limits.append(int(text))
    return min(limits)


def share_heap(most):
    """From now on tensors of up to so many bytes share glibc's heap, which keeps as many of their pages when
    they go.  Larger ones have pages of their own, which go with them and are zeroed anew for the next: that
    takes time.  The heap, being full of holes, takes up to HOLES times the memory."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(-3, most)                                       # M_MMAP_THRESHOLD
        mallopt(-1, most)                                       # M_TRIM_THRESHOLD


def check_memory(stage, trunk, cfg, run):
    """Say what each process of a run over this trunk will need.  ValueError, with what would help, if it is
    not there."""
    processes = parallel.size()
    try:
        config, frees = read_config(model_folder(trunk))[0], parallel.gathered([free_bytes(run.device)])
        reward = reward_of(cfg.reward, trunk) if stage == "ppo" else SHARED
    except (OSError, ValueError):
        return                                                  # loading says what is wrong, and better
    free = None if None in frees else min(frees) // (processes if run.device.type == "cpu" else 1)
    phase, needed = peak(plan(stage, config, cfg, run.device.type, reward, processes))
    if free is not None and needed > free:
        raise ValueError(refusal(stage, config, cfg, run.device.type, free, reward, processes))
    if free and run.device.type == "cpu":
        share_heap(2**31 - 1 if HOLES * needed < free else 2**17)
    of = f" of {free / GIB:.2f}" if free else ""
    print(f"{stage}: {needed / GIB:.2f} GiB of memory{of} predicted, most in {phase} "
          f"(python -m clinicalgpt.memory {stage}{f' --processes {processes}' * (processes > 1)}, with the "
          "same flags, shows why)")


def main(argv=None):
    """Print what a stage will need, phase by phase.  Its script's flags, and:"""
    parser = Parser(prog="python -m clinicalgpt.memory", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("stage", choices=("sft", "reward", "ppo"))
    parser.add_argument("--limit", type=number, default=float("inf"), help="GiB that there are")
    parser.add_argument("--processes", type=int, default=1, help="that torchrun will start")
    own, flags = parser.parse_known_args(argv)
    if own.processes < 1:
        raise ValueError(f"--processes {own.processes}: must be at least 1")
    stage, script = own.stage, importlib.import_module(f"train_{own.stage}")
    if "--base" in flags and "--init" not in flags:
        flags += ["--init", ""]                                 # before the stages that precede it have run
    Config = next(value for name, value in vars(script).items() if name.lower() == f"{stage}config")
    cfg = parse(Config, flags)
    for name in ("batch_size", "micro_batch_tokens", "max_len", "minibatches", "max_new_tokens"):
        if getattr(cfg, name, 1) < 1:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be at least 1")
    if stage == "ppo" and cfg.lora_rank < 1:
        raise ValueError(f"--lora-rank {cfg.lora_rank}: PPO trains an adapter; give a rank of 1 or more")
    trunk = cfg.init or cfg.base
    if trunk == "tiny":
        raise ValueError("memory: the embedded base is made when first used; give --base DIR or --init RUN")
    config, device = read_config(model_folder(trunk))[0], cfg.device.partition(":")[0]
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    reward = reward_of(cfg.reward, trunk) if stage == "ppo" and (cfg.init or "--reward" in flags) else SHARED
    phases = plan(stage, config, cfg, device, reward, own.processes)
    for name, lines in phases.items():
        total = sum(size for _, size, _ in lines)
        print(f"{name:26}{total / GIB:9.2f} GiB" + "  the peak" * (name == peak(phases)[0]))
        for what, size, how in lines:
            print(f"  {what:24}{size / GIB:9.2f}      {how}")
    if peak(phases)[1] > own.limit * GIB:
        raise ValueError(refusal(stage, config, cfg, device, own.limit * GIB, reward, own.processes))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
