"""
What the peers' adapters share: tiny random models of transformers, a tokenizer, and who of them is installed.
(Not here: the peers, see trl_adapter.py and openrlhf_adapter.py.)

A method of a trainer is called on a stand-in for the trainer, which has the settings that the method reads
and no others; the code that runs is the published one.
"""

import importlib
import importlib.util
import warnings

import torch

TEMPLATE = ("{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }} "
            "{% if message['role'] == 'assistant' %}</s> {% endif %}{% endfor %}"
            "{% if add_generation_prompt %}[assistant] {% endif %}")


def installed():
    """The adapters whose projects can be imported here."""
    found = []
    for project, module in (("trl", "trl_adapter"), ("openrlhf", "openrlhf_adapter")):
        if (spec := importlib.util.find_spec(project)) and spec.origin:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(importlib.import_module(f"tests.conformance.{module}").adapter())
    return found


def tiny(kind, task="CausalLM", seed=0, **changes):
    """A random model of two layers, in float64."""
    import transformers
    sizes = {"llama": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                       "num_attention_heads": 4, "num_key_value_heads": 2},
             "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
             "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4}}
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, initializer_range=0.1,
        **sizes[kind], **changes)
    torch.manual_seed(seed)
    if task != "CausalLM":
        config.num_labels = 1
    return getattr(transformers, f"AutoModelFor{task}").from_config(config).double().eval()


def dataset(records):
    import datasets
    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(records)


def tokenizer(texts):
    """A word is a token; ids 0 to 3 are pad, begin, end and unknown."""
    import tokenizers
    import transformers
    words = sorted({word for text in texts for word in text.split()} | {"[user]", "[assistant]", "[system]"})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *words])}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", bos_token="<s>",
                                                eos_token="</s>", unk_token="<unk>")
    made.chat_template = TEMPLATE
    return made


def padded_logits(logits, left=False):
    """Logits (T, V) of rows as (B, T, V), 0 for pads."""
    T = max(map(len, logits))
    pads = [torch.zeros(T - len(x), x.shape[1], dtype=x.dtype) for x in logits]
    return torch.stack([torch.cat([pad, x] if left else [x, pad]) for pad, x in zip(pads, logits)])


def padded_ids(rows, left=False, pad=0):
    """Lists of ids as (ids_BT, mask_BT)."""
    T = max(map(len, rows))

    def fill(row, value):
        return [value] * (T - len(row)) + row if left else row + [value] * (T - len(row))
    return (torch.tensor([fill(list(row), pad) for row in rows]),
            torch.tensor([fill([1] * len(row), 0) for row in rows]))
