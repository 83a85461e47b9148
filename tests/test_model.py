"""The transformer against the textbook, its checkpoints out and in, its cache against the full forward."""
import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from clinicalgpt import model as MODEL
from clinicalgpt.config import ModelConfig, read_config
from clinicalgpt.dataset import Example, pack
from clinicalgpt.generate import generate
from clinicalgpt.model import NAMES, KVCache, load_model
from clinicalgpt.rope import Rope, rotate, rotation
from kernels.attention import attention_decode, attention_reference
from tests import reference
from tests.reference import (
    bloom_logits,
    close,
    llama_config,
    llama_logits,
    llama_tensors,
    model_logits,
    random_ids,
    tiny_model,
    write_bloom,
    write_folder,
)

BLOOM = {"BLOOM": ModelConfig.bloom(50, 32, 2, 4), "6 heads": ModelConfig.bloom(50, 36, 2, 6),
         "residual after norm": ModelConfig.bloom(50, 32, 2, 4, 1e-3, residual_after_norm=True),
         "1 head": ModelConfig.bloom(50, 8, 1, 1)}
KIN = {"LLaMA": llama_config(), "tied": llama_config(tie_word_embeddings=True),
       "biases": llama_config(attention_bias=True, mlp_bias=True, num_key_value_heads=1),
       "a key head each": llama_config(num_key_value_heads=4),
       "wide heads": llama_config(head_dim=10, rope_scaling={"type": "linear", "factor": 4.0}),
       "Mistral": llama_config("mistral"), "Mistral's window": llama_config("mistral", sliding_window=4),
       "Qwen2": llama_config("qwen2", tie_word_embeddings=True),
       "Qwen2's window": llama_config("qwen2", use_sliding_window=True, sliding_window=3,
                                      max_window_layers=1),
       "Qwen3": llama_config("qwen3", head_dim=8),
       "Qwen3's biases": llama_config("qwen3", attention_bias=True)}
FAMILIES = [name for name in (*BLOOM, *KIN) if name not in ("1 head", "tied", "wide heads", "biases")]


def write(folder, name, dtype=torch.float64):
    """The folder of a random checkpoint, and the tensors in it."""
    tensors = reference.bloom_tensors(BLOOM[name]) if name in BLOOM else llama_tensors(KIN[name])
    tensors = {theirs: tensor.to(dtype) for theirs, tensor in tensors.items()}
    write_bloom(folder, BLOOM[name], tensors) if name in BLOOM else write_folder(folder, KIN[name], tensors)
    return folder, tensors


def check_checkpoint(folder, name):
    """A checkpoint in Hugging Face's layout means what the papers say.  (Rotations are float32 by design.)"""
    _, tensors = write(folder, name)
    model = load_model(folder, dtype=torch.float64)
    for ids in random_ids(1, 9, 20, vocabulary=50):
        if name in BLOOM:
            close(model_logits(model, ids), bloom_logits(tensors, BLOOM[name], ids))
        else:
            close(model_logits(model, ids), llama_logits(tensors, KIN[name], ids), 1e-5)


@pytest.mark.parametrize("name", [*BLOOM, *KIN])
def test_equals_the_textbook(tmp_path, name):
    check_checkpoint(tmp_path, name)


@pytest.mark.parametrize("name, change", [
    ("BLOOM", (MODEL.FusedAttention, "project", lambda layer, x_ND: layer.qkv(x_ND).view(  # not by head
        len(x_ND), 3, layer.heads, layer.head_size).unbind(1))),
    ("BLOOM", (MODEL, "alibi_slopes", lambda heads: torch.full((heads,), 0.1))),
    ("BLOOM", (MODEL.GELU, "forward", lambda mlp, x_ND: mlp.down(torch.nn.functional.gelu(mlp.up(x_ND))))),
    ("LLaMA", (MODEL, "rotate", lambda x_NHK, cos_NK, sin_NK: rotate(x_NHK, cos_NK, -sin_NK))),
    ("LLaMA", (MODEL.SwiGLU, "forward", lambda mlp, x_ND: mlp.down(mlp.gate(x_ND) * mlp.up(x_ND).sigmoid()))),
    ("LLaMA", (MODEL.RMSNorm, "forward", lambda norm, x: x / (x.std(-1, keepdim=True)) * norm.weight)),
    ("Mistral's window", (MODEL, "attention", lambda *args: attention_reference(*args[:5], args[5] + 1))),
    ("Qwen2's window", (MODEL, "attention", lambda *args: attention_reference(*args[:5], 3))),
    ("wide heads", (Rope, "frequencies", lambda rope, K: rope.theta ** -(torch.arange(0, K, 2) / K))),
])
def test_the_checkpoint_check_has_teeth(tmp_path, monkeypatch, name, change):
    MODEL.slopes_on.cache_clear()
    monkeypatch.setattr(*change)
    with pytest.raises(AssertionError):
        check_checkpoint(tmp_path, name)
    MODEL.slopes_on.cache_clear()


def test_residual_after_norm_is_another_model(tmp_path):
    ids, config = random_ids(9)[0], ModelConfig.bloom(96, 32, 2, 4)
    tensors = reference.bloom_tensors(config)
    write_bloom(tmp_path, config, tensors, apply_residual_connection_post_layernorm=True)
    ours = model_logits(load_model(tmp_path, dtype=torch.float64), ids)
    assert (ours - bloom_logits(tensors, config, ids)).abs().max() > 0.1


# ---- rotary positions ------------------------------------------------------------------------------------

# What transformers 5.23 makes of these, for a head size of 8.
FREQUENCIES = {
    "llama3": ({"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
               [1, 0.09761663, 0.00559017, 0.001182177, 1]),
    "yarn": ({"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0,
              "original_max_position_embeddings": 64},
             [1, 0.1111425, 0.007905695, 0.001405853, 1.138629]),
    "yarn, as it is written": ({"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "beta_fast": 8.0,
                                "beta_slow": 0.5, "attention_factor": 1.5, "truncate": False,
                                "original_max_position_embeddings": 64},
                               [1, 0.1063764, 0.007905695, 0.001405853, 1.5]),
    "linear": ({"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0},
               [0.25, 0.04445698, 0.007905695, 0.001405853, 1])}


@pytest.mark.parametrize("name", FREQUENCIES)
def test_scaled_frequencies(tmp_path, name):
    """In both spellings: rope_parameters, and rope_scaling with rope_theta beside it."""
    new, (*expected, scale) = FREQUENCIES[name]
    old = {key.replace("rope_type", "type"): value for key, value in new.items() if key != "rope_theta"}
    for spelling in ({"rope_parameters": new}, {"rope_scaling": old, "rope_theta": new["rope_theta"]}):
        write_folder(tmp_path, llama_config(max_position_embeddings=256, **spelling), {"x": torch.zeros(1)})
        rope = read_config(tmp_path)[0].rope
        close(rope.frequencies(8), expected, 1e-6)
        assert abs(rope.scale - scale) < 1e-6
        cos_NK, sin_NK = rotation(rope, 8, torch.tensor([0, 3]))                # rotated queries are longer
        close(cos_NK**2 + sin_NK**2, torch.full((2, 8), scale**2), 1e-5)


# ---- out and in ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["6 heads", "LLaMA", "Qwen3's biases", "Qwen2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_save_and_load(tmp_path, name, dtype):
    """The same bits and names, whatever prefix they came with; what else config.json says is kept."""
    prefix = NAMES["bloom" if name in BLOOM else "llama"][0]
    for given in (prefix, ""):
        folder, tensors = write(tmp_path / "in", name, dtype)
        tensors = {theirs.replace(prefix, given): tensor for theirs, tensor in tensors.items()}
        save_file(tensors, folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text()) | {"bos_token_id": 77}
        (folder / "config.json").write_text(json.dumps(config))
        model = load_model(folder, dtype)
        model.save(tmp_path / "out", shard_bytes=3000 if given else 10**9)
        saved = {}
        for path in (tmp_path / "out").glob("*.safetensors"):
            saved |= load_file(path)
        assert saved.keys() == tensors.keys()
        assert all(torch.equal(saved[name], tensors[name]) for name in tensors)
        files = shards(tmp_path / "out") + ["index"] if given else ["model"]
        assert len(list((tmp_path / "out").iterdir())) == len(files) + 1
        written = json.loads((tmp_path / "out" / "config.json").read_text())
        assert written["bos_token_id"] == 77 and written["torch_dtype"] == str(dtype).removeprefix("torch.")
        again = load_model(tmp_path / "out", dtype)
        for ours, other in zip(model.parameters(), again.parameters(), strict=True):
            assert torch.equal(ours, other)


def shards(folder):
    """The files that an index names; each is no larger than was asked for, or holds one tensor."""
    places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    files = sorted(set(places.values()))
    for file in files:
        tensors = load_file(folder / file)
        assert sorted(tensors) == sorted(name for name in places if places[name] == file)
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors.values()) <= 3000
    return files


def test_saving_over_what_was_loaded(tmp_path):
    """The parameters lie in the file's pages: a file is replaced, never written over, and training a model
    changes no file."""
    folder, tensors = write(tmp_path, "LLaMA", torch.float32)
    model = load_model(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    assert all(torch.equal(load_file(folder / "model.safetensors")[name], tensors[name]) for name in tensors)
    model.save(folder)
    saved = load_file(folder / "model.safetensors")
    assert all(torch.equal(saved[name], tensors[name] + 1) for name in tensors)


def test_shards_and_bin_files(tmp_path):
    """One .safetensors, two shards, a .bin and an unembedding that repeats the embedding: one model."""
    folder, tensors = write(tmp_path, "BLOOM")
    whole = load_model(folder, dtype=torch.float64)
    (tmp_path / "model.safetensors").unlink()
    tied = {"lm_head.weight": tensors["transformer.word_embeddings.weight"]}
    torch.save(tensors | tied, tmp_path / "pytorch_model.bin")
    from_bin = load_model(tmp_path, dtype=torch.float64)
    names = sorted(tensors)
    files = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, tmp_path / file)
    places = {name: file for file, part in files.items() for name in part}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    ids = random_ids(8, vocabulary=50)[0]
    for other in (from_bin, load_model(tmp_path, dtype=torch.float64)):
        assert torch.equal(model_logits(whole, ids), model_logits(other, ids))
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="b.safetensors: a shard named by .* is missing"):
        load_model(tmp_path)
    for outside in ("../b.safetensors", "/b.safetensors", ".."):
        index.write_text(json.dumps({"weight_map": {"x": outside}}))
        with pytest.raises(ValueError, match="index.json: shard .* lies outside the folder"):
            load_model(tmp_path)


@pytest.mark.parametrize("stop", range(4))
def test_an_interrupted_save_is_no_mixture(tmp_path, monkeypatch, stop):
    """Stopped at any rename, a folder holds the old model, or one that cannot be loaded."""
    folder, tensors = write(tmp_path, "LLaMA", torch.float32)
    model = load_model(folder)
    model.save(folder, shard_bytes=9000)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    calls, replace = [], os.replace

    def failing(*args):
        if len(calls) == stop:
            raise OSError("no space left on device")
        calls.append(args)
        replace(*args)
    monkeypatch.setattr("os.replace", failing)
    with pytest.raises(OSError, match="no space"):
        model.save(folder, shard_bytes=9000)
    assert not list(folder.glob(".*.tmp"))
    with pytest.raises((ValueError, FileNotFoundError), match="no model.safetensors or pytorch_model.bin"):
        load_model(folder)


def test_copies_are_made_piece_by_piece(tmp_path, monkeypatch):
    """In another precision than the file's a parameter is a copy; in the file's, its very pages."""
    monkeypatch.setattr("clinicalgpt.weights.PIECE_BYTES", 300)
    folder, tensors = write(tmp_path, "LLaMA", torch.bfloat16)
    for theirs, parameter in zip(*(lambda m: ([m.their_name(n) for n, _ in m.named_parameters()],
                                              m.parameters()))(load_model(folder)), strict=True):
        assert torch.equal(parameter, tensors[theirs].float())
    source = torch.arange(6.0)
    for dtype, is_same in ((torch.float32, True), (torch.float64, False)):
        copy = MODEL.materialise(source, dtype, "cpu")
        assert copy.dtype == dtype and (copy.data_ptr() == source.data_ptr()) == is_same and copy[5] == 5


def test_tied_and_not(tmp_path):
    """lm_head.weight beside a tied embedding may repeat it, and nothing else; untied, it must be there."""
    folder, tensors = write(tmp_path, "tied", torch.float32)
    for change in (0, 1):
        save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"] + change},
                  folder / "model.safetensors")
        if change:
            with pytest.raises(ValueError, match="lm_head.weight differs .* tie_word_embeddings to false"):
                load_model(folder)
        else:
            assert "unembed.weight" not in dict(load_model(folder).named_parameters())
    folder, tensors = write(tmp_path, "LLaMA", torch.float32)
    tensors.pop("lm_head.weight")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match="1 tensors are not in the checkpoint, the first: lm_head.weight"):
        load_model(folder)


def test_tables_of_old_files_are_passed_over(tmp_path):
    folder, tensors = write(tmp_path, "LLaMA", torch.float32)
    save_file(tensors | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)},
              folder / "model.safetensors")
    load_model(folder)


@pytest.mark.parametrize("name", FAMILIES)
def test_neighbours_change_nothing(tmp_path, name):
    """[#28] With 3 or 17 tokens before it a sequence has its hidden states; other neighbours, same bits."""
    model = load_model(write(tmp_path, name)[0], torch.float64)
    ours, *others = random_ids(6, 3, 17, 3, vocabulary=50)
    alone = model(torch.tensor(ours), [6])
    for before in others:
        close(model(torch.tensor(before + ours), [len(before), 6])[len(before):], alone)
    first, second = (model(torch.tensor(x + ours + x), [3, 6, 3])[3:9] for x in (others[0], others[2]))
    assert torch.equal(first, second)


def siblings(vocabulary=50):
    """Three answers to one prompt, one to another, and one that is but a beginning of its neighbour."""
    prompt, other, *answers = random_ids(7, 5, 3, 6, 1, 4, vocabulary=vocabulary)
    one, two = {}, {}
    rows = [(prompt + answers[0], 7, one), (prompt + answers[1], 7, one), (prompt + answers[2], 7, one),
            (other + answers[3], 5, two), (other + answers[3][:2], 5, two)]
    return [Example(ids, [i >= n for i in range(len(ids))], record) for ids, n, record in rows]


def check_shared_prompts(model, make_pack=pack):
    """Answers that share their prompt have the hidden states, log-probs and last tokens that they have alone,
    and the gradients of all weights are the same."""
    found = []
    for rows in (siblings(), [Example(row.ids, row.answer, {}) for row in siblings()]):
        batch = (make_pack if not found else pack)(rows)
        model.zero_grad()
        logp_M, last_BD = model.score(batch)[0], model.read(batch)[batch.last_B]
        (logp_M.sin().sum() + last_BD.cos().sum()).backward()
        found.append([logp_M, last_BD, *(p.grad.clone() for p in model.parameters())])
    assert len(pack(siblings()).ids_N) == 26 and len(batch.ids_N) == 47
    for shared, alone in zip(*found, strict=True):
        close(shared, alone)


@pytest.mark.parametrize("name", FAMILIES)
def test_shared_prompts(tmp_path, name):
    check_shared_prompts(load_model(write(tmp_path, name)[0], torch.float64))


def test_the_check_of_shared_prompts_has_teeth(tmp_path):
    """States of another place, and answers that see their prompt in part, are noticed."""
    model = load_model(write(tmp_path, "Qwen2's window")[0], torch.float64)

    def another_place(rows):
        batch = pack(rows)
        return replace(batch, place_N=batch.place_N.roll(1))

    def prompt_in_part(rows):
        batch, token = pack(rows), pack(rows).token_E.clone()
        token[10:13] = token[9]                                # of the prompt, to the second answer
        return replace(batch, token_E=token)
    for buggy in (another_place, prompt_in_part):
        with pytest.raises(AssertionError):
            check_shared_prompts(model, buggy)


def check_cache(model, Cache=KVCache):
    """[#29] Ragged prompts, read once and grown by a token a step, half of them kept on the way: at every
    step the logits of the full forward."""
    rows = random_ids(1, 5, 17, 9, vocabulary=50)
    lengths, ids = [1, 5, 17, 9], torch.tensor(sum(rows, []))
    cache = Cache(capacity=30)
    hidden_ND = model(ids, lengths, cache)[torch.tensor(lengths).cumsum(0) - 1]
    for step in range(10):
        logits_BV = hidden_ND @ model.unembed_VD.T
        close(logits_BV, torch.stack([model_logits(model, row)[-1] for row in rows]))
        token_B = logits_BV.argmax(-1)
        if step == 4:
            kept = torch.tensor([3, 1])
            place = cache.kv.data_ptr()
            cache.keep(kept)
            assert cache.kv.data_ptr() == place                 # no second cache beside the first
            rows, token_B = [rows[i] for i in kept.tolist()], token_B[kept]
        rows = [row + [token] for row, token in zip(rows, token_B.tolist(), strict=True)]
        hidden_ND = model(token_B, [1] * len(rows), cache)


class KeepsTheWrongRows(KVCache):
    def keep(self, rows):
        super().keep(rows.flip(0))


class CountsTwice(KVCache):
    def advance(self, lengths):
        super().advance(lengths)
        self.length_B = self.length_B + (max(lengths) == 1)


@pytest.mark.parametrize("name", FAMILIES)
def test_cached_decoding_equals_the_full_forward(tmp_path, name):
    check_cache(load_model(write(tmp_path, name)[0], torch.float64))


def test_the_cache_check_has_teeth(monkeypatch):
    for Buggy in (KeepsTheWrongRows, CountsTwice):
        with pytest.raises(AssertionError):
            check_cache(tiny_model(), Buggy)
    monkeypatch.setattr("clinicalgpt.model.attention_decode", lambda *args: attention_decode(*args[:4], None))
    with pytest.raises(AssertionError):
        check_cache(tiny_model())


def test_the_cache_check_sees_windows_and_positions(tmp_path, monkeypatch):
    model = load_model(write(tmp_path, "Mistral's window")[0], torch.float64)
    monkeypatch.setattr(MODEL, "attention_decode", lambda *args: attention_decode(*args[:5], 0))
    with pytest.raises(AssertionError):
        check_cache(model)
    monkeypatch.undo()
    right = MODEL.positions
    monkeypatch.setattr(MODEL, "positions", lambda lengths, cache, device: right(lengths, cache, device) + (
        cache is not None and cache.length_B is not None))                # one too far, but for prompts
    with pytest.raises(AssertionError):
        check_cache(model)


def test_greedy_tokens_equal_those_of_the_full_forward():
    """[#29]"""
    model, prompts = tiny_model(), random_ids(1, 5, 17, 9)
    for prompt, answer in zip(prompts, generate(model, prompts, 12), strict=True):
        row = list(prompt)
        for _ in range(12):
            row.append(int(model_logits(model, row)[-1].argmax()))
        assert prompt + answer == row


def test_logits_of_sequences():
    model, rows = tiny_model(), random_ids(4, 1, 7)
    for row, logits_TV in zip(rows, model.logits(rows), strict=True):
        close(logits_TV, model_logits(model, row).float(), 1e-5)
    for fn in (model.logits, lambda rows: generate(model, rows, 2)):
        for empty in ([[]], [[5], []]):
            with pytest.raises(ValueError, match="at least one"):
                fn(empty)
        for strange in ([[5, 96]], [[-1]]):
            with pytest.raises(ValueError, match="but the vocabulary has 96 entries"):
                fn(strange)


def spoil(folder, tensors, finding):
    """A folder with one thing wrong with it."""
    name = "transformer.ln_f.bias"
    write_bloom(folder, BLOOM["BLOOM"], tensors)
    weights = folder / "model.safetensors"
    if finding == "missing":
        save_file({n: x for n, x in tensors.items() if n != name}, weights)
    elif finding == "surplus":
        save_file({**tensors, "transformer.h.7.foo": torch.zeros(3)}, weights)
    elif finding == "shape":
        save_file({**tensors, name: torch.zeros(33)}, weights)
    elif finding == "twice":
        save_file({**tensors, "ln_f.bias": tensors[name].clone()}, weights)
    elif finding == "integers":
        save_file({**tensors, name: torch.zeros(32, dtype=torch.int8)}, weights)
    elif finding == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif finding.endswith("bin"):
        odd = {"no tensor in a bin": {"step": 3}, "sparse bin": {name: tensors[name].to_sparse()},
               "meta bin": {name: tensors[name].to("meta")}}
        torch.save(tensors | odd.get(finding, {}), folder / "pytorch_model.bin")
        weights.unlink()
        if finding == "truncated bin":
            (folder / "pytorch_model.bin").write_bytes((folder / "pytorch_model.bin").read_bytes()[:2000])
    elif finding in ("no weights", "no config"):
        (weights if finding == "no weights" else folder / "config.json").unlink()


@pytest.mark.parametrize("finding, says", [
    ("missing", r"1 tensors .*first: transformer\.ln_f\.bias"),
    ("surplus", r"transformer\.h\.7\.foo \(3,\) has no place"),
    ("shape", r"transformer\.ln_f\.bias is \(33,\).*\(32,\)"),
    ("twice", r"ln_f\.bias \(32,\) is there twice"),
    ("truncated", r"model\.safetensors: cannot be read"),
    ("truncated bin", r"pytorch_model\.bin: cannot be read"),
    ("no tensor in a bin", r"pytorch_model\.bin: step is a int"),
    ("sparse bin", "ln_f.bias is not a dense one"), ("meta bin", "ln_f.bias is not a dense one"),
    ("integers", r"ln_f.bias is torch.int8; give unquantised weights"),
    ("no weights", "no model.safetensors"), ("no config", r"config\.json: no such file")])
def test_errors_of_weights(tmp_path, finding, says):
    spoil(tmp_path, reference.bloom_tensors(BLOOM["BLOOM"]), finding)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("base, changes, says", [
    ("bloom", {"model_type": "mamba"}, "'mamba' is not supported; this version reads bloom, llama"),
    ("bloom", {"model_type": ["bloom"]}, r"\['bloom'\] is not supported"),
    ("bloom", {"quantization_config": {}}, "quantised"), ("llama", {"is_causal": False}, "is_causal is"),
    ("bloom", {"num_attention_heads": 8}, "num_attention_heads is 8, but n_head is 4"),
    ("mistral", {"layer_types": ["sliding_attention", "full_attention"]}, "one window for all"),
    ("mistral", {"sliding_window": 2**64}, "that a model could have"),
    ("bloom", {"n_head": 5}, "32 is not a multiple of 5"),
    ("bloom", {"hidden_size": None}, "hidden_size is None"), ("bloom", {"n_layer": 0}, "layers is 0"),
    ("llama", {"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
    ("llama", {"num_key_value_heads": 3}, "4 heads cannot share 3"),
    ("llama", {"head_dim": 7}, "head size of 7 is odd"),
    ("llama", {"rms_norm_eps": "1e-6"}, "rms_norm_eps is"),
    ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic' is not supported"),
    ("llama", {"rope_scaling": {"type": "linear"}}, "no field 'factor'"),
    ("llama", {"rope_scaling": {"type": "linear", "factor": -1}}, "factor is -1, not a positive number"),
    ("llama", {"rope_scaling": 3}, "rope_scaling is 3"),
    ("llama", {"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}, "one object for all layers"),
    ("llama", {"rope_scaling": {"type": "yarn", "factor": 2.0, "rope_theta": 1.0}}, "rope_theta is 1.0"),
    ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
    ("llama", {"rope_scaling": {"type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                                "high_freq_factor": 4.0}}, "high_freq_factor 4.0 is not above"),
    ("qwen2", {"layer_types": ["full_attention"]}, "layer_types names 1 layers"),
    ("qwen2", {"layer_types": ["linear_attention"] * 2}, "linear_attention"),
    ("qwen2", {"layer_types": ["sliding_attention"] * 2}, "but use_sliding_window is false")])
def test_errors_of_config(tmp_path, base, changes, says):
    if base == "bloom":
        write_bloom(tmp_path, BLOOM["BLOOM"], {"x": torch.zeros(1)}, **changes)
    else:
        write_folder(tmp_path, llama_config(base, **changes), {"x": torch.zeros(1)})
    with pytest.raises(ValueError, match=says) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value) and "config.json" in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_model(tmp_path / "nowhere")
