"""
Log-prob accuracy of exams against lm-evaluation-harness, on the same models and questions.

    python benchmarks/exam_parity.py RECORDS.jsonl ... [--models DIR ...] [--tokenizers DIR ...] [--limit 200]

RECORDS: exam records, as data/README.md describes them.  Models: folders in Hugging Face format.
Tokenizers: folders with GPT-2's two files or LLaMA's tokenizer.model, for each of which transformers writes a
random BLOOM and a random LLaMA.  An option is scored in three forms, after the same question:

    letters    User:\\n{question}\\nAssistant:\\n答案：    A            of English questions "Answer: "
    texts      User:\\n{question}\\nAssistant:\\n答案：    {text}
    replies    User:\\n{question}\\nAssistant:\\n         答案：{text}（{letter}）

Theirs is their own machinery: a ConfigurableTask of the type multiple_choice, HFLM, its acc, acc_norm (log p
per character) and acc_bytes (per UTF-8 byte).  Ours is Transformer.score over packs that share the question,
with ids of our tokenizer, cut as theirs are: white space at the end of a context goes to the option, and

    ids of the option = ids of (context + option), less as many as the ids of the context are

So where a token spans both, the option loses its beginning: of 60% and 70% behind 答案：, the digit.  The
column `merged` counts such options.  In brackets stands the accuracy of our own way, that of training, in
which context and option are encoded apart and nothing is lost; it is shown, and not compared.

Printed: the largest difference of an option's log p (float32; at most 1e-3), both accuracies, and how many
questions the two sides answer otherwise, in any of the three: those whose best two options are further apart
than that bound differ, and none may; the others are ties.  Exit status 1 where it is not so.  Needs lm_eval.
"""
import argparse
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
import datasets  # noqa: E402
import lm_eval  # noqa: E402
import transformers  # noqa: E402
from lm_eval.api.task import ConfigurableTask  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from clinicalgpt import load_model, load_tokenizer  # noqa: E402
from clinicalgpt.dataset import Example, micro_batches, pack  # noqa: E402
from clinicalgpt.exam import ANSWER  # noqa: E402
from clinicalgpt.files import read_jsonl  # noqa: E402

METRICS, FORMS, BOUND = ("acc", "acc_norm", "acc_bytes"), ("letters", "texts", "replies"), 1e-3


def asked(record, form):
    """{"context", "choices", "gold"} of a record."""
    question, options = record["messages"][-2]["content"], record["meta"]["options"]
    written = ANSWER["zh" if re.search("[\u4e00-\u9fff]", question) else "en"]
    cue, context = written[:written.index("{")], f"User:\n{question}\nAssistant:\n"
    choices = {"letters": list(options), "texts": list(options.values()), "replies": [
        written.format(text=text, letter=letter) for letter, text in options.items()]}[form]
    return {"context": context + cue * (form != "replies"), "choices": choices,
            "gold": list(options).index(record["meta"]["answer"])}


# ---- theirs

def theirs(folder, items):
    """(log p of each item's options, {metric: right or not, an item}, {metric: the accuracy reported})."""
    task = ConfigurableTask(config={
        "task": "parity", "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(items)},
        "test_split": "test", "output_type": "multiple_choice", "target_delimiter": "",
        "doc_to_text": "context", "doc_to_choice": "choices", "doc_to_target": "gold",
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True}
                        for name in METRICS]})
    model = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=8)
    found = lm_eval.simple_evaluate(model, tasks=[task], log_samples=True, bootstrap_iters=0)
    samples = sorted(found["samples"]["parity"], key=lambda sample: sample["doc_id"])
    assert [sample["doc"] for sample in samples] == items, "the harness changed the items"
    return ([[logp for logp, _ in sample["filtered_resps"]] for sample in samples],
            {name: [sample[name] == 1 for sample in samples] for name in METRICS},
            {name: found["results"]["parity"][f"{name},none"] for name in METRICS})


# ---- ours

def as_theirs(tokenizer, context, choice):
    """(ids, how many of them are the option's)"""
    before, whole = tokenizer.encode(context.rstrip()), tokenizer.encode(context + choice)
    return beginning(tokenizer) + before + whole[len(before):], len(whole) - len(before)


def apart(tokenizer, context, choice):
    option = tokenizer.encode(choice, start=False)
    return beginning(tokenizer) + tokenizer.encode(context) + option, len(option)


def merged(tokenizer, items):
    """Options whose first token holds the end of the context, too."""
    pairs = [(tokenizer.encode(item["context"].rstrip()), tokenizer.encode(item["context"] + choice))
             for item in items for choice in item["choices"]]
    return sum(whole[:len(before)] != before for before, whole in pairs)


def beginning(tokenizer):
    return [tokenizer.special[tokenizer.bos]] if tokenizer.adds_bos else []


@torch.no_grad()
def ours(model, tokenizer, items, encode):
    """log p of each item's options."""
    examples = []
    for item in items:
        for choice in item["choices"]:
            ids, said = encode(tokenizer, item["context"], choice)
            examples.append(Example(ids, [i >= len(ids) - said for i in range(len(ids))], item))
    totals = []
    for part in micro_batches(examples, 4096):
        logp_M, _ = model.score(pack(part))
        totals += [share.double().sum().item()
                   for share in logp_M.split([sum(example.answer) for example in part])]
    left = iter(totals)
    return [[next(left) for _ in item["choices"]] for item in items]


def chosen(logps, item):
    """{metric: (which option, how far it is before the next)}"""
    sizes = {"acc": [1 for _ in item["choices"]], "acc_norm": [len(choice) for choice in item["choices"]],
             "acc_bytes": [len(choice.encode()) for choice in item["choices"]]}
    scores = {name: np.array(logps) / np.array(size) for name, size in sizes.items()}
    return {name: (int(score.argmax()), float(np.diff(np.sort(score))[-1])) for name, score in scores.items()}


def compare(folder, items):
    """(largest difference, {metric: (ours, theirs, our own way's)}, merged options, how many questions
    differ, ties)"""
    their_logp, their_right, their_accuracy = theirs(folder, items)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    our_logp = ours(model, tokenizer, items, as_theirs)
    largest = max(abs(a - b) for x, y in zip(our_logp, their_logp, strict=True)
                  for a, b in zip(x, y, strict=True))
    row, differ, ties = {}, set(), set()
    own = [chosen(logps, item) for logps, item in zip(ours(model, tokenizer, items, apart), items)]
    for name in METRICS:
        picks = [chosen(logps, item)[name] for logps, item in zip(our_logp, items)]
        their_picks = [chosen(logps, item)[name][0] for logps, item in zip(their_logp, items)]
        right = [pick == item["gold"] for (pick, _), item in zip(picks, items)]
        for i, ((pick, margin), other) in enumerate(zip(picks, their_picks)):
            if pick != other or right[i] != their_right[name][i]:
                (differ if margin > BOUND else ties).add(i)
        row[name] = (float(np.mean(right)), their_accuracy[name],
                     float(np.mean([pick[name][0] == item["gold"] for pick, item in zip(own, items)])))
    return largest, row, merged(tokenizer, items), len(differ), len(ties)


# ---- models made here

def byte_pairs(path):
    """GPT-2's two files, as a tokenizer of transformers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    vocab = json.loads((path / "encoder.json").read_text(encoding="utf-8"))
    lines = (path / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    made = Tokenizer(models.BPE(vocab, [tuple(line.split(" ")) for line in lines if line]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>")


def made(tokenizers, folder):
    """Folders of random models, one a tokenizer and family."""
    sizes = {"Bloom": {"hidden_size": 64, "n_head": 4, "n_layer": 2},
             "Llama": {"hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 2,
                       "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096}}
    for path in map(Path, tokenizers):
        for seed, (family, size) in enumerate(sizes.items()):
            place = Path(folder) / f"random {family} with {path.name}"
            if (path / "encoder.json").is_file():
                tokenizer = byte_pairs(path)
                tokenizer.save_pretrained(place)
            else:
                place.mkdir()
                model = next(path.glob("*.model"))
                shutil.copyfile(model, place / "tokenizer.model")
                tokenizer = transformers.LlamaTokenizer.from_pretrained(place, add_bos_token=True)
                tokenizer.save_pretrained(place)
                shutil.copyfile(model, place / "tokenizer.model")
            torch.manual_seed(seed)
            config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), **size)
            model = transformers.AutoModelForCausalLM.from_config(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(0, 0.1) if parameter.ndim > 1 else parameter.normal_(0.5, 0.3)
            model.save_pretrained(place)
            yield place


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("records", nargs="+", help="exam records, JSON lines")
    parser.add_argument("--models", nargs="*", default=[], help="model folders")
    parser.add_argument("--tokenizers", nargs="*", default=[], help="folders of tokenizers for random models")
    parser.add_argument("--limit", type=int, default=200, help="questions of each file")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    failed = False
    print("| model | questions | form | largest difference of log p | acc: ours = theirs (own way) "
          "| acc_norm | acc_bytes | merged | differ | ties |\n|" + " --- |" * 10)
    with tempfile.TemporaryDirectory() as folder:
        for model in [*map(Path, args.models), *made(args.tokenizers, folder)]:
            for path in args.records:
                records = [record for _, record in read_jsonl(path)][:args.limit]
                for form in FORMS:
                    items = [asked(record, form) for record in records]
                    largest, row, across, differ, ties = compare(model, items)
                    equal = all(round(abs(a - b) * len(items)) <= ties for a, b, _ in row.values())
                    failed |= largest > BOUND or differ > 0 or not equal
                    shown = [f"{a:.4f} {'=' if a == b else 'and'} {b:.4f} ({own:.4f})"
                             for a, b, own in row.values()]
                    print(f"| {model.name} | {Path(path).stem}, {len(items)} | {form} | {largest:.1e} | "
                          f"{' | '.join(shown)} | {across} | {differ} | {ties} |", flush=True)
    print("\n" + ", ".join(f"{module.__name__} {module.__version__}" for module in
                           (lm_eval, transformers, torch)))
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
