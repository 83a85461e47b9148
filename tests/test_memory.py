"""The memory planner against what real models, caches, optimizers and backward passes hold."""
import re
import subprocess
import sys
import weakref
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clinicalgpt import memory
from clinicalgpt.config import ModelConfig, read_config
from clinicalgpt.dataset import Example, pack
from clinicalgpt.files import write_json
from clinicalgpt.lora import adapter, add_lora
from clinicalgpt.memory import GIB, MIB, SHARED, Part, check_memory, keeps, peak, plan, refusal, rollout
from clinicalgpt.model import KVCache, Transformer
from clinicalgpt.reward import ScalarHead
from clinicalgpt.rope import Rope
from clinicalgpt.run import make_optimizer
from tests.reference import write_bloom
from train_ppo import PPOConfig
from train_reward import RewardConfig
from train_sft import SFTConfig


def kin(family="llama", layers=2, tied=False, width=64, inner=160, vocabulary=300, **parts):
    """A relative of LLaMA with heads of a size that our kernels take."""
    return ModelConfig(**{
        "family": family, "vocabulary": vocabulary, "width": width, "layers": layers, "heads": 2,
        "key_heads": 1, "head_size": 32, "inner": inner, "norm": "rms", "norm_eps": 1e-6,
        "mlp": "swiglu", "rope": Rope(),
        "fused_qkv": False, "qkv_bias": family == "qwen2", "out_bias": False, "mlp_bias": False,
        "qk_norm": family == "qwen3", "tied": tied, "embed_norm": False, "residual_after_norm": False,
        "windows": (0,) * layers, **parts})


CONFIGS = {"bloom": ModelConfig.bloom(300, 64, 2, 2), "llama": kin(),
           "mistral": kin("mistral", windows=(0, 64)), "qwen2": kin("qwen2", tied=True),
           "qwen3": kin("qwen3", head_size=64)}
BLOOM_7B = ModelConfig.bloom(250880, 4096, 30, 32)


def model_of(config, rank, bfloat16, targets=()):
    model = Transformer(config).initialise(torch.Generator().manual_seed(0)).train()
    if rank:
        model = model.to(torch.bfloat16 if bfloat16 else torch.float32)
        add_lora(model, "policy", rank, targets=targets)
    return model


def batch_of(length=96, count=2, share=False, vocabulary=300):
    """Sequences of one length; with `share` they are answers to one prompt of half of it."""
    generator = torch.Generator().manual_seed(1)
    prompt = torch.randint(4, vocabulary, (length // 2,), generator=generator).tolist()
    said = [torch.randint(4, vocabulary, (length // 2,), generator=generator).tolist() for _ in range(count)]
    record = {}
    return pack([Example(prompt + ids, [True] * length, record if share else {}) for ids in said])


def kept_by_autograd(model, batch, rank, bfloat16):
    """Bytes of the storages that a pass up to the hidden states keeps, parameters apart."""
    parameters, kept = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes(), tensor        # held, so that no address comes twice
        return tensor
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), \
            adapter(model, "policy") if rank else nullcontext(), \
            torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        model.read(batch)
    return sum(size for size, _ in kept.values())


def check_kept(config, rank, targets, bfloat16, checkpointing, share, keeps=keeps, tolerance=0.002):
    model, batch = model_of(config, rank, bfloat16, targets), batch_of(share=share)
    model.gradient_checkpointing = checkpointing
    part = Part(config, rank, targets, 2 if bfloat16 else 4, False)
    ours = sum(size for _, size, _ in keeps(part, len(batch.ids_N), sum(batch.lengths), checkpointing))
    real = kept_by_autograd(model, batch, rank, bfloat16)
    assert abs(ours / real - 1) <= tolerance, f"{ours} bytes planned, {real} kept"


@pytest.mark.parametrize("share", [False, True], ids=["apart", "one prompt"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "made again"])
@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("family", CONFIGS)
def test_what_autograd_keeps(family, rank, bfloat16, checkpointing, share):
    check_kept(CONFIGS[family], rank, (), bfloat16, checkpointing, share)


def test_adapters_on_some_layers():
    for bfloat16 in (False, True):
        check_kept(CONFIGS["bloom"], 4, ("query_key_value",), bfloat16, False, False)
        # Keys have no adapter: in the first block nothing of theirs is kept, which the plan ignores.
        check_kept(kin(layers=6), 4, ("q_proj", "v_proj"), bfloat16, False, False, tolerance=0.02)


def test_the_check_of_what_is_kept_has_teeth():
    def forgets(what):
        return lambda *given: [line for line in keeps(*given) if what not in line[0]]
    for what in ("norms", "inputs", "attention", "MLP", "middles"):
        with pytest.raises(AssertionError):
            check_kept(CONFIGS["bloom"], 4, (), False, False, False, forgets(what))
    with pytest.raises(AssertionError):
        check_kept(CONFIGS["llama"], 0, (), True, False, False, forgets("casts"))
    with pytest.raises(AssertionError):
        check_kept(CONFIGS["llama"], 0, (), True, False, False, forgets("ends"))
    with pytest.raises(AssertionError):
        check_kept(CONFIGS["qwen3"], 4, (), False, True, False, forgets("blocks' inputs"))


# ---- what stays ------------------------------------------------------------------------------------------

def bytes_of(tensors):
    return sum(tensor.nbytes for tensor in tensors)


def real_lines(config, cfg, stage, judge=None):
    """{what: bytes} of real models and the optimizer of a step, by the names that the plan gives them."""
    bfloat16, full = cfg.dtype == "bfloat16", not cfg.lora_rank
    model = Transformer(config).to(torch.bfloat16 if bfloat16 and not full else torch.float32)
    lines = {"trunk": bytes_of(model.parameters())}
    other = model
    if judge:
        other = Transformer(judge).to(torch.bfloat16 if bfloat16 else torch.float32)
        lines["reward model's trunk"] = bytes_of(other.parameters())
    learn = list(model.parameters()) if full else add_lora(model, "policy", cfg.lora_rank)
    factors = [] if full else list(learn)
    if stage == "ppo":
        reward = [] if judge else add_lora(other, "reward", 8)
        value = add_lora(other, "value", cfg.lora_rank if judge else 8)
        learn, factors = learn + value, factors + reward + value
    if factors:
        lines["adapters"] = bytes_of(factors)
    optimizer = make_optimizer([(learn, 1e-4)])
    for parameter in learn:
        parameter.grad = torch.zeros_like(parameter)
    lines["gradients"] = bytes_of(parameter.grad for parameter in learn)
    optimizer.step()
    lines["Adam's moments"] = bytes_of(x for state in optimizer.state.values() for key, x in state.items()
                                       if key != "step")
    return lines


def check_lines(config, cfg, stage, judge=None, plan=plan):
    phases = plan(stage, config, cfg, "cpu", (judge, 0, ()) if judge else SHARED)
    planned = {what: size for what, size, _ in phases["backward"]}
    for what, size in real_lines(config, cfg, stage, judge).items():
        assert planned.get(what) == size, f"{what}: {planned.get(what)} planned, {size} real"


STAGES = [("sft", SFTConfig(lora_rank=4, batch_size=64)), ("sft", SFTConfig(batch_size=64)),
          ("sft", SFTConfig(batch_size=64, dtype="bfloat16")),
          ("reward", RewardConfig(lora_rank=2, dtype="bfloat16")),
          ("ppo", PPOConfig(lora_rank=4, dtype="bfloat16"))]


@pytest.mark.parametrize("family", CONFIGS)
def test_weights_adapters_gradients_moments(family):
    for stage, cfg in STAGES:
        check_lines(CONFIGS[family], cfg, stage)
    check_lines(CONFIGS[family], STAGES[-1][1], "ppo", judge=kin(layers=3))


@pytest.mark.parametrize("family", ["bloom", "llama"])
def test_gradients_of_a_reward_model(family):
    """An unembedding of its own takes no part in scores."""
    model, head = model_of(CONFIGS[family], 0, False), ScalarHead(64)
    head(model.read(batch_of())).sum().backward()
    phases = plan("reward", CONFIGS[family], RewardConfig(batch_size=64), "cpu")
    planned = {what: size for what, size, _ in phases["step"]}
    real = bytes_of(p.grad for p in model.parameters() if p.grad is not None)
    assert planned["gradients"] == real and planned["Adam's moments"] == 2 * real


def test_the_check_of_what_stays_has_teeth():
    def forgets(what):
        return lambda *given: {phase: [line for line in lines if line[0] != what]
                               for phase, lines in plan(*given).items()}
    for what in ("trunk", "Adam's moments", "gradients", "adapters", "reward model's trunk"):
        with pytest.raises(AssertionError, match=what):
            check_lines(CONFIGS["bloom"], STAGES[-1][1], "ppo", CONFIGS["llama"], forgets(what))


@pytest.mark.parametrize("family", CONFIGS)
def test_kv_cache(family):
    config, batch = CONFIGS[family], batch_of(32)
    for bfloat16 in (False, True):
        cache, model = KVCache(32 + 8), model_of(config, 4, bfloat16)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            model(batch.ids_N, batch.lengths, cache)
        part = Part(config, 4, (), 2 if bfloat16 else 4, False)
        planned = dict(line[:2] for line in rollout(part, 2, 32, 8))
        assert planned["KV cache"] == cache.kv.nbytes
        assert planned["prompts' hidden states"] == model.read(batch).nbytes


# ---- peaks -----------------------------------------------------------------------------------------------

class Watched(TorchDispatchMode):
    """Bytes of the tensors that operations make, now and at most; those that were there before apart."""

    def __init__(self, before):
        super().__init__()
        self.now = self.most = 0
        self.seen = weakref.WeakSet(tensor.untyped_storage() for tensor in before)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self.seen:
                self.seen.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.free, storage.nbytes())
                self.most = max(self.most, self.now)
        return made

    def free(self, size):
        self.now -= size


def peak_of_step(config, rank, bfloat16, checkpointing, stage, batch):
    model, head = model_of(config, rank, bfloat16), ScalarHead(config.width)
    model.gradient_checkpointing = checkpointing
    with Watched([*model.parameters(), *head.parameters()]) as watched:
        with adapter(model, "policy") if rank else nullcontext(), \
                torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model.loss(batch, 1) if stage == "sft" else head(model.read(batch)[batch.last_B]).sum()
        loss.backward()
    return watched.most


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "made again"])
@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("family", ["bloom", "llama"])
@pytest.mark.parametrize("stage, Config", [("sft", SFTConfig), ("reward", RewardConfig)])
def test_peak_of_a_step(stage, Config, family, rank, bfloat16, checkpointing):
    """Everything beyond the weights, from the forward pass to the last gradient."""
    config = replace(CONFIGS[family], vocabulary=4000, layers=4, windows=(0,) * 4)
    cfg = Config(lora_rank=rank, dtype="bfloat16" if bfloat16 else "float32", max_len=128,
                 batch_size=2 if stage == "sft" else 1, gradient_checkpointing=checkpointing,
                 micro_batch_tokens=640)
    batch = batch_of(128, 2 if stage == "sft" else 4, stage == "reward")
    phases = plan(stage, config, cfg, "cpu")
    apart = ("trunk", "adapters", "Adam's moments", "allocator, libraries", *["gradients"] * bool(rank))
    planned = max(sum(size for what, size, _ in phases[phase] if what not in apart)
                  for phase in ("forward", "backward", "step") if phase in phases)
    real = peak_of_step(config, rank, bfloat16, checkpointing, stage, batch)
    assert 0.9 <= planned / real <= 1.25, f"{planned} bytes planned, {real} held"


def check_pass_without_gradient(family, bfloat16):
    config, batch = replace(CONFIGS[family], vocabulary=4000), batch_of(256)
    model = model_of(config, 4, bfloat16)
    with Watched(model.parameters()) as watched, torch.no_grad(), adapter(model, "policy"), \
            torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        model.read(batch)
    planned = memory.without_gradient(Part(config, 4, (), 2 if bfloat16 else 4, False), len(batch.ids_N))
    assert 0.9 <= planned / watched.most <= 1.25, f"{planned} bytes planned, {watched.most} held"


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["bloom", "llama"])
def test_a_pass_without_gradient(family, bfloat16):
    check_pass_without_gradient(family, bfloat16)


def test_the_check_of_a_pass_has_teeth(monkeypatch):
    """An adapter that adds out of place holds its layer's output three times."""
    def out_of_place(layer, x):
        name = layer.active
        return layer.linear(x) + x @ layer.lora_A[name].T @ layer.lora_B[name].T * layer.scale[name]
    monkeypatch.setattr("clinicalgpt.lora.LoRALinear.forward", out_of_place)
    with pytest.raises(AssertionError, match="bytes planned"):
        check_pass_without_gradient("bloom", False)


@pytest.mark.parametrize("rank, bfloat16", [(0, False), (4, False), (4, True)])
def test_peak_where_the_vocabulary_is_most_of_it(rank, bfloat16):
    """Several tiles of it.  Not tied: while it is watched, autograd adds tied gradients less sparingly."""
    config = kin(vocabulary=16000, width=128)
    cfg = SFTConfig(max_len=16, batch_size=1, lora_rank=rank, dtype="bfloat16" if bfloat16 else "float32")
    apart = ("trunk", "adapters", "Adam's moments", "allocator, libraries", *["gradients"] * bool(rank))
    phases = plan("sft", config, cfg, "cpu")
    planned = max(sum(size for what, size, _ in phases[phase] if what not in apart)
                  for phase in ("forward", "backward", "step") if phase in phases)
    real = peak_of_step(config, rank, bfloat16, False, "sft", batch_of(16, 1))
    assert 0.9 <= planned / real <= 1.1, f"{planned} bytes planned, {real} held"


# ---- what the user is told -------------------------------------------------------------------------------

def changes_in(message, cfg):
    """The configuration with the flags that a refusal names."""
    given = re.findall(r"--([a-z-]+)(?: ([a-z0-9]+))?", message.partition("; ")[2])
    names = {name.replace("-", "_"): value for name, value in given}
    return {name: True if name == "gradient_checkpointing" else type(getattr(cfg, name))(value)
            for name, value in names.items()}


LARGE = [("sft", SFTConfig(), 24), ("sft", SFTConfig(lora_rank=8), 24), ("sft", SFTConfig(), 140),
         ("reward", RewardConfig(), 24), ("ppo", PPOConfig(), 24), ("ppo", PPOConfig(data=("x",)), 20),
         ("ppo", PPOConfig(batch_size=16, max_len=512, data=("x",)), 24)]


@pytest.mark.parametrize("stage, cfg, limit", LARGE, ids=range(len(LARGE)))
def test_a_refusal_names_flags_that_make_it_fit(stage, cfg, limit):
    assert peak(plan(stage, BLOOM_7B, cfg, "cuda"))[1] > limit * GIB
    message = refusal(stage, BLOOM_7B, cfg, "cuda", limit * GIB)
    changes = changes_in(message, cfg)
    assert changes and "\n" not in message
    needed = peak(plan(stage, BLOOM_7B, replace(cfg, **changes), "cuda"))[1]
    assert needed <= limit * GIB and f"it needs {needed / GIB:.2f}" in message
    for name in changes:                                        # and none that could be left out
        fewer = {other: value for other, value in changes.items() if other != name}
        assert peak(plan(stage, BLOOM_7B, replace(cfg, **fewer), "cuda"))[1] > limit * GIB, name


def test_least_harm_first():
    """Smaller passes change nothing but time, so they come before an adapter or fewer rollouts."""
    cfg = PPOConfig(batch_size=16, max_len=512, data=("x",))
    assert changes_in(refusal("ppo", BLOOM_7B, cfg, "cuda", 24 * GIB), cfg) == {"micro_batch_tokens": 2048}


def test_a_second_trunk_is_refused_with_the_first_shared():
    cfg = PPOConfig(batch_size=16, max_len=256, data=("x",))
    message = refusal("ppo", BLOOM_7B, cfg, "cuda", 24 * GIB, (BLOOM_7B, 0, ()))
    assert "a reward model of --lora-rank 8 on the same --init" in message


def test_several_processes_share_rollouts_and_passes():
    cfg = PPOConfig(batch_size=16, max_len=512, data=("x",))
    one, four = (plan("ppo", BLOOM_7B, cfg, "cuda", processes=count) for count in (1, 4))
    caches = [size for phases in (one, four) for what, size, _ in phases["rollout"] if what == "KV cache"]
    assert caches[0] == 4 * caches[1] and one["load"] == four["load"]
    assert peak(four)[1] < 24 * GIB < peak(one)[1]
    assert "--batch-size" not in refusal("ppo", BLOOM_7B, cfg, "cuda", 17 * GIB, processes=4)


def test_nothing_suffices():
    message = refusal("ppo", BLOOM_7B, PPOConfig(), "cuda", 10 * GIB)
    assert "the least is" in message and "smaller base or a larger device" in message


def test_ppo_of_bloom_7b_on_a_card_of_24_gib():
    """16 rollouts of 512 tokens: issue 6."""
    cfg = PPOConfig(batch_size=16, max_len=256, max_new_tokens=256, data=("x",), micro_batch_tokens=1024)
    phases = plan("ppo", BLOOM_7B, cfg, "cuda")
    trunk = 250880 * 4096 + 30 * (12 * 4096**2 + 13 * 4096) + 4 * 4096
    assert phases["rollout"][0][1] == 2 * trunk
    cache = 16 * 512 * 30 * 2 * 4096 * 2
    assert [size for what, size, _ in phases["rollout"] if what == "KV cache"] == [cache]
    assert peak(phases)[1] < 24 * GIB
    everything_apart = peak(plan("ppo", BLOOM_7B, cfg, "cuda", (BLOOM_7B, 0, ())))[1]
    assert everything_apart > 32 * GIB


def test_fields_that_the_plan_does_not_know():
    cfg = PPOConfig(lora_rank=4)
    fewer = SimpleNamespace(**{name: getattr(cfg, name) for name in (
        "dtype", "lora_rank", "lora_targets", "max_len", "batch_size", "max_new_tokens", "minibatches",
        "micro_batch_tokens", "gradient_checkpointing", "data", "valid")}, surprise=1)
    assert plan("ppo", CONFIGS["bloom"], fewer, "cpu")


@pytest.fixture
def base(tmp_path):
    write_bloom(tmp_path / "base", BLOOM_7B, {})
    return tmp_path / "base"


def test_check_memory(base, tmp_path, capsys, monkeypatch):
    run, cfg = SimpleNamespace(device=torch.device("cpu")), SFTConfig(lora_rank=8, dtype="bfloat16")
    for free, told in ((900 * GIB, "of 900.00 predicted, most in"), (None, "memory predicted, most in")):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        check_memory("sft", base, cfg, run)
        assert told in capsys.readouterr().out
    monkeypatch.setattr(memory, "free_bytes", lambda device: 24 * GIB)
    with pytest.raises(ValueError, match="memory: sft needs .* of 24.00; with --"):
        check_memory("sft", base, cfg, run)


def test_trunks_of_runs(base, tmp_path):
    """An adapter's base is found through its run; a reward model shares it only if it stands on that run."""
    for name, stage, trunk, rank in (("sft", "sft", base, 4), ("shared", "reward", tmp_path / "sft", 2),
                                     ("apart", "reward", base, 2)):
        (tmp_path / name / "adapter").mkdir(parents=True)
        memory_json = {"stage": stage, "trunk": str(trunk), "lora_rank": rank, "lora_targets": ["dense"]}
        write_json(tmp_path / name / "config.json", memory_json)
    assert memory.reward_of(tmp_path / "shared", tmp_path / "sft") == (None, 2, ("dense",))
    assert memory.reward_of(tmp_path / "apart", tmp_path / "sft") == (read_config(base)[0], 2, ("dense",))
    assert memory.reward_of("none", tmp_path / "sft") == (None, 0, ())


def test_free_bytes_are_the_least_of_what_is_known():
    free = memory.free_bytes(torch.device("cpu"))
    assert free is None or 64 * MIB < free < 2**50


def test_command_line(base, capsys):
    given = ["ppo", "--base", str(base), *"--device cuda --batch-size 16 --max-len 512 --data x".split()]
    memory.main([*given, "--micro-batch-tokens", "2048", "--limit", "24"])
    printed = capsys.readouterr().out
    assert re.search(r"^backward .* GiB  the peak$", printed, re.M)
    assert "7,069,016,064 weights x 2 B" in printed
    with pytest.raises(ValueError, match="--micro-batch-tokens 2048"):
        memory.main([*given, "--limit", "24"])
    with pytest.raises(ValueError, match="--help lists the flags"):
        memory.main([*given, "--no-such-flag"])
    for wrong in ("--minibatches 0", "--batch-size -1", "--lora-rank 0"):
        with pytest.raises(ValueError, match=wrong):
            memory.main([*given, *wrong.split()])
    with pytest.raises(ValueError, match="invalid choice: 'dpo'"):
        memory.main(["dpo"])
    with pytest.raises(ValueError, match="give --base DIR"):
        memory.main(["sft"])


CHILD = """
import sys, torch
from clinicalgpt.memory import share_heap
def held():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
if sys.argv[1] != "0":
    share_heap(int(sys.argv[1]))
large = torch.ones(2**22)
del large                                                       # from now on the heap takes less than that
before = held()
kept = [(torch.ones(2**20), torch.ones(2**14)) for _ in range(30)]
small = [pair[1] for pair in kept]
del kept
print(held() - before)
del small
print(held() - before)                                          # when nothing is left
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_share_heap():
    """The heap as it is, with pages that go, and with pages that are kept."""
    root, held = Path(__file__).parents[1], {}
    for most in (0, 2**17, 2**31 - 1):
        child = subprocess.run([sys.executable, "-c", CHILD, str(most)], cwd=root, text=True, check=True,
                               capture_output=True)
        held[most] = [int(line) / 1024 for line in child.stdout.split()]
    assert held[0][0] > 60 and held[2**17][0] < 20
    assert held[2**31 - 1][1] > 60 and held[2**17][1] < 20
