"""The transformer against the textbook, its checkpoints out and in, its cache against the full forward."""
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clinicalgpt.generate import generate
from clinicalgpt.model import KVCache, ModelConfig, Transformer, load_model
from kernels.attention import attention_decode
from tests import reference
from tests.reference import bloom_logits, close, model_logits, random_ids, tiny_model, write_bloom

CONFIGS = {"BLOOM": ModelConfig(50, 32, 2, 4), "residual after norm": ModelConfig(50, 32, 2, 4, 1e-3, True),
           "6 heads": ModelConfig(50, 36, 2, 6), "1 head": ModelConfig(50, 8, 1, 1)}


def check_checkpoint(folder, config):
    """A checkpoint in Hugging Face's layout means what BLOOM's paper says."""
    tensors = reference.bloom_tensors(config)
    model = load_model(write_bloom(folder, config, tensors), dtype=torch.float64)
    for ids in random_ids(1, 9, 20, vocabulary=config.vocabulary):
        close(model_logits(model, ids), bloom_logits(tensors, config, ids))


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_the_textbook(tmp_path, name):
    check_checkpoint(tmp_path, CONFIGS[name])


@pytest.mark.parametrize("change", [
    ("to_ours", lambda model, ours, tensor: tensor),                       # query, key, value not interleaved
    ("slopes_H", torch.full((4,), 0.1)),
    ("mlp", torch.nn.functional.gelu),                                     # gelu by erf, not tanh
])
def test_the_checkpoint_check_has_teeth(tmp_path, monkeypatch, change):
    name, value = change
    if name == "to_ours":
        monkeypatch.setattr(Transformer, name, value)
    elif name == "slopes_H":
        monkeypatch.setattr("clinicalgpt.model.alibi_slopes", lambda heads: value)
    else:
        monkeypatch.setattr("clinicalgpt.model.MLP.forward", lambda mlp, x_ND: mlp.down(value(mlp.up(x_ND))))
    with pytest.raises(AssertionError):
        check_checkpoint(tmp_path, CONFIGS["BLOOM"])


def test_residual_after_norm_is_another_model(tmp_path):
    ids, config = random_ids(9)[0], ModelConfig(96, 32, 2, 4)
    tensors = reference.bloom_tensors(config)
    write_bloom(tmp_path, config, tensors, apply_residual_connection_post_layernorm=True)
    ours = model_logits(load_model(tmp_path, dtype=torch.float64), ids)
    assert (ours - bloom_logits(tensors, config, ids)).abs().max() > 0.1


def test_save_and_load(tmp_path):
    """The same bits and names, whatever prefix they came with; what else config.json says is kept."""
    config = CONFIGS["6 heads"]
    for prefix in ("transformer.", ""):
        tensors = reference.bloom_tensors(config)
        tensors = {name.replace("transformer.", prefix): x.float() for name, x in tensors.items()}
        model = load_model(write_bloom(tmp_path / "in", config, tensors, bos_token_id=77))
        model.save(tmp_path / "out")
        saved = load_file(tmp_path / "out" / "model.safetensors")
        assert saved.keys() == tensors.keys()
        assert all(torch.equal(saved[name], tensors[name]) for name in tensors)
        assert json.loads((tmp_path / "out" / "config.json").read_text())["bos_token_id"] == 77
        again = load_model(tmp_path / "out")
        for ours, other in zip(model.parameters(), again.parameters(), strict=True):
            assert torch.equal(ours, other)


def test_shards_and_bin_files(tmp_path):
    """One .safetensors, two shards, a .bin and an unembedding that repeats the embedding: one model."""
    config = CONFIGS["BLOOM"]
    tensors = reference.bloom_tensors(config)
    whole = load_model(write_bloom(tmp_path, config, tensors), dtype=torch.float64)
    (tmp_path / "model.safetensors").unlink()
    tied = {"lm_head.weight": tensors["transformer.word_embeddings.weight"]}
    torch.save(tensors | tied, tmp_path / "pytorch_model.bin")
    from_bin = load_model(tmp_path, dtype=torch.float64)
    names = sorted(tensors)
    shards = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in shards.items():
        save_file({name: tensors[name] for name in part}, tmp_path / file)
    places = {name: file for file, part in shards.items() for name in part}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    ids = random_ids(8, vocabulary=50)[0]
    for other in (from_bin, load_model(tmp_path, dtype=torch.float64)):
        assert torch.equal(model_logits(whole, ids), model_logits(other, ids))
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="b.safetensors"):
        load_model(tmp_path)


@pytest.mark.parametrize("options", [{}, {"heads": 6, "width": 36}, {"residual_after_norm": True}])
def test_neighbours_change_nothing(options):
    """[#28] With 3 or 17 tokens before it a sequence has its hidden states; other neighbours, same bits."""
    model = tiny_model(**options)
    ours, *others = random_ids(6, 3, 17, 3)
    alone = model(torch.tensor(ours), [6])
    for before in others:
        close(model(torch.tensor(before + ours), [len(before), 6])[len(before):], alone)
    first, second = (model(torch.tensor(x + ours + x), [3, 6, 3])[3:9] for x in (others[0], others[2]))
    assert torch.equal(first, second)


def check_cache(model, Cache=KVCache):
    """[#29] Ragged prompts, read once and grown by a token a step, half of them kept on the way: at every
    step the logits of the full forward."""
    rows = random_ids(1, 5, 17, 9)
    lengths, ids = [1, 5, 17, 9], torch.tensor(sum(rows, []))
    cache = Cache(capacity=30)
    hidden_ND = model(ids, lengths, cache)[torch.tensor(lengths).cumsum(0) - 1]
    for step in range(10):
        logits_BV = hidden_ND @ model.unembed_VD.T
        close(logits_BV, torch.stack([model_logits(model, row)[-1] for row in rows]))
        token_B = logits_BV.argmax(-1)
        if step == 4:
            kept = torch.tensor([3, 1])
            cache.keep(kept)
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


@pytest.mark.parametrize("options", [{}, {"heads": 6, "width": 36}, {"residual_after_norm": True}])
def test_cached_decoding_equals_the_full_forward(options):
    check_cache(tiny_model(**options))


def test_the_cache_check_has_teeth(monkeypatch):
    for Buggy in (KeepsTheWrongRows, CountsTwice):
        with pytest.raises(AssertionError):
            check_cache(tiny_model(), Buggy)
    monkeypatch.setattr("clinicalgpt.model.attention_decode", lambda *args: attention_decode(*args[:4], None))
    with pytest.raises(AssertionError):
        check_cache(tiny_model())


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
    for empty in ([], [[]], [[5], []]):
        with pytest.raises(ValueError, match="at least one"):
            model.logits(empty)


def spoil(folder, tensors, finding):
    """A folder with one thing wrong with it."""
    name = "transformer.ln_f.bias"
    write_bloom(folder, CONFIGS["BLOOM"], tensors)
    weights = folder / "model.safetensors"
    if finding == "missing":
        save_file({n: x for n, x in tensors.items() if n != name}, weights)
    elif finding == "surplus":
        save_file({**tensors, "transformer.h.7.foo": torch.zeros(3)}, weights)
    elif finding == "shape":
        save_file({**tensors, name: torch.zeros(33)}, weights)
    elif finding == "twice":
        save_file({**tensors, "ln_f.bias": tensors[name].clone()}, weights)
    elif finding == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif finding == "truncated bin":
        torch.save(tensors, folder / "pytorch_model.bin")
        weights.unlink()
        (folder / "pytorch_model.bin").write_bytes((folder / "pytorch_model.bin").read_bytes()[:2000])
    elif finding in ("no weights", "no config"):
        (weights if finding == "no weights" else folder / "config.json").unlink()


@pytest.mark.parametrize("finding, says", [
    ("missing", r"1 tensors .*first: transformer\.ln_f\.bias"),
    ("surplus", r"transformer\.h\.7\.foo \(3,\) has no place"),
    ("shape", r"transformer\.ln_f\.bias is \(33,\).*\(32,\)"), ("twice", r"ln_f\.bias is there twice"),
    ("truncated", r"model\.safetensors: cannot be read"),
    ("truncated bin", r"pytorch_model\.bin: cannot be read"),
    ("no weights", "no model.safetensors"), ("no config", r"config\.json: no such file")])
def test_errors_of_weights(tmp_path, finding, says):
    spoil(tmp_path, reference.bloom_tensors(CONFIGS["BLOOM"]), finding)
    with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("changes, says", [
    ({"model_type": "llama"}, "'llama' is not supported"), ({"quantization_config": {}}, "quantised"),
    ({"tie_word_embeddings": False}, "tie_word_embeddings"), ({"n_head": 5}, "32 is not a multiple of 5"),
    ({"hidden_size": None}, "width is None"), ({"n_layer": 0}, "layers is 0")])
def test_errors_of_config(tmp_path, changes, says):
    config = CONFIGS["BLOOM"]
    with pytest.raises(ValueError, match=says) as error:
        load_model(write_bloom(tmp_path, config, reference.bloom_tensors(config), **changes))
    assert "\n" not in str(error.value) and "config.json" in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        load_model(tmp_path / "nowhere")
