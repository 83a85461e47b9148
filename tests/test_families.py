"""Every family of base models through the stages, from a hub's folder to one that stands alone."""
import json

import pytest
import torch

import evaluate
import train_ppo
import train_reward
import train_sft
from clinicalgpt import export, generate, load_model, load_tokenizer
from clinicalgpt.config import ModelConfig
from clinicalgpt.files import write_jsonl
from clinicalgpt.lora import load_adapter, merge
from clinicalgpt.run import open_run
from clinicalgpt.template import Template, encode_dialogue, template_of
from tests.reference import bloom_tensors, close, llama_config, llama_tensors, write_bloom, write_folder
from tests.test_tokenizer import GOLDENS, write

ASKED = [{"role": "user", "content": "what are the symptoms of influenza?"}]
TOLD = [*ASKED, {"role": "assistant", "content": "fever <|im_end|> and cough"}]
RECORDS = [{"messages": TOLD, "task": "qa", "id": str(i)} for i in range(4)]
SMALL = {"steps": 2, "batch_size": 2, "warmup_steps": 0, "token_cache": ""}
FAMILIES = {"bloom": ("bloom", Template()), "llama": ("llama3", Template(start="<|begin_of_text|>")),
            "mistral": ("characters, metaspace", Template()), "qwen2": ("qwen2", None),
            "qwen3": ("qwen2", None)}


def base_of(folder, family):
    """A random model with a tokenizer of its family, as a hub has them; no template where it has its own."""
    tokenizer, _ = FAMILIES[family]
    vocabulary = 500 if tokenizer != "characters, metaspace" else 730
    if family == "bloom":
        config = ModelConfig.bloom(vocabulary, 24, 2, 3)
        tensors = {name: tensor.float() for name, tensor in bloom_tensors(config).items()}
        write_bloom(folder, config, tensors)
    else:
        config = llama_config(family, vocab_size=vocabulary)
        write_folder(folder, config, {name: x.float() for name, x in llama_tensors(config).items()})
    names = {"bos_token": "<|begin_of_text|>"} if tokenizer == "llama3" else {}
    write(folder, tokenizer__json=GOLDENS[tokenizer]["tokenizer.json"], tokenizer_config__json=names)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_sft_and_export(tmp_path, family):
    """All weights, and an adapter: what comes out stands alone, speaks the same template, equals the run."""
    base, data = str(base_of(tmp_path / "base", family)), str(tmp_path / "data.jsonl")
    write_jsonl(data, RECORDS)
    expected = FAMILIES[family][1] or template_of(load_tokenizer(base))
    for rank, out in ((0, "full"), (2, "adapter")):
        cfg = train_sft.SFTConfig(base=base, data=(data,), valid=(data,), out=str(tmp_path / out),
                                  lora_rank=rank, lr=1e-2, **SMALL)
        assert train_sft.main(cfg)["loss"] > 0
        export.main(export.ExportConfig(init=str(tmp_path / out), out=str(tmp_path / f"{out}-alone")))
        model, tokenizer, template = open_run(tmp_path / out)
        alone = load_model(tmp_path / f"{out}-alone")
        ids, _ = encode_dialogue(tokenizer, template, TOLD)
        close(alone.logits([ids])[0], model.logits([ids])[0], 1e-6)
        assert (alone.logits([ids])[0] - load_model(base).logits([ids])[0]).abs().max() > 1e-3
        again = load_tokenizer(tmp_path / f"{out}-alone")
        assert template == expected == template_of(again)
        assert again.encode("fever") == tokenizer.encode("fever")
        end = json.loads((tmp_path / f"{out}-alone" / "generation_config.json").read_text())["eos_token_id"]
        assert end == [template.end_id(tokenizer)]
        assert json.loads((tmp_path / f"{out}-alone" / "config.json").read_text())["model_type"] == family


def test_export_is_rounded_once(tmp_path):
    """To bfloat16: the file says so, and each weight is the float32 sum, rounded."""
    base, data = str(base_of(tmp_path / "base", "llama")), str(tmp_path / "data.jsonl")
    write_jsonl(data, RECORDS)
    run, out = tmp_path / "run", tmp_path / "out"
    train_sft.main(train_sft.SFTConfig(base=base, data=(data,), out=str(run), lora_rank=2, lr=1e-2, **SMALL))
    export.main(export.ExportConfig(init=str(run), out=str(out), dtype="bfloat16"))
    model = load_model(base)
    load_adapter(model, run / "adapter", "x")
    expected = dict(merge(model, "x").named_parameters())
    for name, parameter in load_model(out, dtype=None).named_parameters():
        assert parameter.dtype == torch.bfloat16 and torch.equal(parameter, expected[name].bfloat16()), name
    assert json.loads((out / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_a_reward_model_is_not_exported(tmp_path):
    write(tmp_path / "run", config__json={"stage": "reward"})
    with pytest.raises(ValueError, match="a reward model's head has no place"):
        export.main(export.ExportConfig(init=str(tmp_path / "run"), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("family", ["mistral", "qwen3"])
def test_all_weights_in_bfloat16(tmp_path, family):
    """Norms over heads and hidden states are float32 inside and leave in the dtype that they were given."""
    base, data = str(base_of(tmp_path / "base", family)), str(tmp_path / "data.jsonl")
    write_jsonl(data, RECORDS)
    losses = [train_sft.main(train_sft.SFTConfig(
        base=base, data=(data,), out=str(tmp_path / dtype), dtype=dtype, lr=1e-3, **SMALL))["loss"]
        for dtype in ("float32", "bfloat16")]
    assert abs(losses[0] - losses[1]) < 0.05 * losses[0]


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_every_stage(tmp_path, family):
    """SFT, reward model, PPO and evaluation on another base than BLOOM."""
    base, data = str(base_of(tmp_path / "base", family)), str(tmp_path / "data")
    ranked = str(tmp_path / "ranked")
    write_jsonl(data, RECORDS)
    write_jsonl(ranked, ({"messages": ASKED, "answers": ["fever", "gout", "no"]} for _ in range(4)))
    sft, reward, ppo = (str(tmp_path / name) for name in ("sft", "reward", "ppo"))
    train_sft.main(train_sft.SFTConfig(base=base, data=(data,), out=sft, lora_rank=2, **SMALL))
    small = {name: value for name, value in SMALL.items() if name != "token_cache"}
    train_reward.main(train_reward.RewardConfig(init=sft, data=(ranked,), out=reward, lora_rank=2, **small))
    train_ppo.main(train_ppo.PPOConfig(init=sft, reward=reward, data=(data,), out=ppo, lora_rank=2,
                                       ignore_probes=True, minibatches=1, max_new_tokens=6, value_warmup=0,
                                       **small))
    rows = evaluate.main(evaluate.EvalConfig(models=(f"sft={sft}", f"ppo={ppo}"), tasks="qa", data=(data,),
                                             graph="none", out=str(tmp_path / "eval"), max_new_tokens=4))
    assert ("qa", "characters") in rows
    export.main(export.ExportConfig(init=ppo, out=str(tmp_path / "alone"), dtype="bfloat16"))
    alone, tokenizer = load_model(tmp_path / "alone", torch.bfloat16), load_tokenizer(tmp_path / "alone")
    template = template_of(tokenizer)
    assert template == template_of(load_tokenizer(base)) and alone.embed.weight.dtype == torch.bfloat16
    prompt, _ = encode_dialogue(tokenizer, template, ASKED)
    assert len(generate(alone, [prompt], 3)[0]) == 3


def test_export_refuses(tmp_path):
    (tmp_path / "there").mkdir()
    for flags, says in (({"out": str(tmp_path / "there")}, "is there already"),
                        ({"dtype": "int8"}, "--dtype int8"),
                        ({"init": str(tmp_path / "nowhere")}, "nowhere/config.json: no such file")):
        with pytest.raises((ValueError, FileNotFoundError), match=says):
            export.main(export.ExportConfig(**{"out": str(tmp_path / "out"), **flags}))
        assert not (tmp_path / "out").exists()
