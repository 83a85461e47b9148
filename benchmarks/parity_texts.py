"""
The part of parity.py that is about text: tokenizers and chat templates, against the libraries they come from.
"""

import base64
import json
import math
import random
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

import sentencepiece
import tiktoken
import tokenizers
from transformers import AutoTokenizer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.tokenizer_goldens import BLOOM, by_character, byte_level  # noqa: E402
from clinicalgpt import load_tokenizer  # noqa: E402
from clinicalgpt.patterns import LLAMA3, QWEN2  # noqa: E402
from clinicalgpt.template import template_of  # noqa: E402
from clinicalgpt.tokenizer import train_sentencepiece  # noqa: E402
from data.generate import generate  # noqa: E402

AT_LEAST_ONE = range(1, 10**6)                                  # a bound from below
WILD = ["e\u0301", "👩‍⚕️", "  ", "\r\n", "'s", "'LL", "12345", "</s>", "<think>", "\u3000", "\0", "\x1c",
        "\u2581", "ﬁ"]


def mixed_texts(paths, megabytes=11.0):
    """(lines, megabytes): real ones, of the files given and the embedded records, then random ones of every
    script."""
    lines, generator = [], random.Random(0)
    for path in paths:
        data = Path(path).read_bytes()[:400_000]
        try:
            data[:-4].decode()
            lines += data.decode("utf-8", "ignore").split("\n")
        except UnicodeDecodeError:
            lines += data.decode("gb18030", "replace").split("\n")
    with tempfile.TemporaryDirectory() as folder:
        for lang in ("zh", "en"):
            generate(Path(folder) / lang, lang=lang, seed=0)
            for name in ("pretrain.txt", "train.jsonl"):
                lines += (Path(folder) / lang / name).read_text(encoding="utf-8").split("\n")[:4000]
    lines = [line[i:i + 3000] for line in lines for i in range(0, max(1, len(line)), 3000)]
    real, made = sum(len(line.encode()) for line in lines) / 1e6, 0.0
    kinds = [range(0x20, 0xD800), range(0xE000, 0x110000), range(0x20, 0x7F), range(0x4E00, 0xA000), WILD]
    while made < max(megabytes - real, 3):
        drawn = [generator.choice(generator.choice(kinds)) for _ in range(generator.randrange(200))]
        lines.append("".join(chr(part) if isinstance(part, int) else part for part in drawn))
        made += len(lines[-1].encode()) / 1e6
    return lines, real + made


def trained(folder, lines):
    """(name, ours, their encode, their decode) of the library's own kinds of tokenizer.json, trained here."""
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    made = {"GPT-2": byte_level(None, lines, special), "BLOOM": byte_level(BLOOM, lines, special),
            "Llama 3": byte_level(LLAMA3, lines, special, whole_words=True),
            "Qwen2": byte_level(QWEN2, lines, special, tokenizers.normalizers.NFC(), ["<think>"]),
            "Llama 2 (prepended)": by_character(lines, True),
            "Llama 2 (metaspace)": by_character(lines, False),
            "characters, split at spaces": by_character(lines, False, split=True),
            "digits apart": byte_level(None, lines, special, before=[
                tokenizers.pre_tokenizers.Digits(individual_digits=True)])}
    for name, tokenizer in made.items():
        path = Path(folder) / name
        path.mkdir()
        tokenizer.save(str(path / "tokenizer.json"))
        (path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        theirs = AutoTokenizer.from_pretrained(path)
        yield (f"tokenizer.json, {name}", load_tokenizer(path),
               lambda text, t=theirs: t.encode(text, add_special_tokens=False, split_special_tokens=True),
               lambda ids, t=theirs: t.decode(ids, skip_special_tokens=True))


def embedded(folder, lines):
    """The embedded base's kind of SentencePiece model, and the tokenizer.json that it is served with.  (Their
    Unigram makes </s> out of text, so texts with it are cut there; and where two ways to write a text are
    equally likely, their sums in float64 may choose the other than SentencePiece's in float32.)"""
    train_sentencepiece(lines, folder, 8000, ["User:", "Assistant:", "发热"])
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)

    def encode(text):
        ids = [token for i, part in enumerate(text.split("</s>")) for token in
               ours.encode("</s>") * (i > 0) + theirs.encode(part, add_special_tokens=False)]
        other, score = ours.encode(text), ours.core.first.get_score
        return other if math.isclose(sum(map(score, ids)), sum(map(score, other)), rel_tol=1e-6) else ids
    yield ("SentencePiece trained here, as tokenizer.json, ties apart", ours, encode,
           lambda ids: theirs.decode(ids, skip_special_tokens=True))


def given(folder):
    """The same of folders with *.tiktoken, *.model, or GPT-2's two files, by the library of each."""
    for path in sorted(folder.iterdir()):
        ours = load_tokenizer(path)
        for ranks in path.glob("*.tiktoken"):
            lines = [line.split() for line in ranks.read_bytes().splitlines() if line.strip()]
            table = {base64.b64decode(token): int(rank) for token, rank in lines}
            theirs = tiktoken.Encoding("x", pat_str=QWEN2, special_tokens={}, mergeable_ranks=table)
            yield (f"{path.name}/{ranks.name}", ours, lambda text, t=theirs: t.encode_ordinary(
                unicodedata.normalize("NFC", text)), theirs.decode)
        for model in path.glob("*.model"):
            theirs = sentencepiece.SentencePieceProcessor(model_file=str(model))
            yield f"{path.name}/{model.name}", ours, theirs.encode, theirs.decode
        if (path / "encoder.json").is_file():
            merges = (path / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
            vocab = json.loads((path / "encoder.json").read_text(encoding="utf-8"))
            theirs = tokenizers.Tokenizer(tokenizers.models.BPE(
                vocab, [tuple(line.split(" ")) for line in merges if line]))
            theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
            theirs.decoder = tokenizers.decoders.ByteLevel()
            theirs.add_special_tokens(["<|endoftext|>"])
            theirs.encode_special_tokens = True
            yield f"{path.name}/encoder.json", ours, lambda text, t=theirs: t.encode(text).ids, theirs.decode


def seconds(work):
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def texts(paths, folder):
    lines, size = mixed_texts(paths)
    with tempfile.TemporaryDirectory() as made:
        cases = [*trained(made, lines[:20000]), *embedded(f"{made}/own", lines[:9000])]
        for name, ours, encode, decode in cases + (list(given(folder)) if folder else []):
            ids, cold = seconds(lambda: [ours.encode(line) for line in lines])  # noqa: B023
            _, warm = seconds(lambda: [ours.encode(line) for line in lines])  # noqa: B023
            expected, theirs = seconds(lambda: [encode(line) for line in lines])  # noqa: B023
            generator, count = random.Random(0), ours.core.size
            some = ids[:5000] + [[generator.randrange(count) for _ in range(20)] for _ in range(5000)]
            if name.startswith("SentencePiece"):            # each library has its way with broken bytes
                some = ids[:10000]
            differ = sum(ours.decode(row) != decode(row) for row in some)
            yield name, {
                f"of {len(lines):,} texts ({size:.1f} MB) differ": (sum(map(list.__ne__, ids, expected)), 0),
                "of 10,000 decoded differ": (differ, 0),
                f"MB/s cold {size / cold:.1f}, theirs {size / theirs:.1f}, warm": (size / warm, AT_LEAST_ONE)}


def templates():
    """The chat templates of released models, as TRL keeps them, on a tokenizer that has their tokens; and the
    one in Jinja that we write for plain markers."""
    import trl
    said = [{"role": role, "content": text} for role, text in (
        ("system", " be brief "), ("user", "头痛怎么办？\n"), ("assistant", "<think>\nhm\n</think>\n\nrest "),
        ("user", "\nand then?"), ("assistant", "<think>\nwell\n</think>\n\nsleep"), ("user", "x"))]
    dialogues = [said[first:last] for first in (0, 1) for last in range(first + 1, 7)][1:] + [said[3:5]]
    llama = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    for name in ("qwen2_5", "qwen3", "qwen3_instruct_2507", "llama3", "llama3_1", "llama3_2",
                 "plain, exported"):
        special, options = ["<|im_start|>", "<|im_end|>"], {"enable_thinking": False}
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        if name.startswith("plain"):
            special = ["<s>", "</s>"]
            config |= {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}
        else:
            config["chat_template"] = (
                Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()
        if "llama" in name:
            special, config["bos_token"] = llama, llama[0]
            options["date_string"] = "26 Jul 2024"          # 3.2 asks the clock, a run must not
        with tempfile.TemporaryDirectory() as folder:
            byte_level(QWEN2, ["a"], special).save(f"{folder}/tokenizer.json")
            Path(f"{folder}/tokenizer_config.json").write_text(json.dumps(config))
            theirs, ours = AutoTokenizer.from_pretrained(folder), load_tokenizer(folder)
            options["chat_template"] = theirs.chat_template or template_of(ours).jinja(ours)
            equal = [template_of(ours).render(said, ours) == theirs.apply_chat_template(
                said, tokenize=False, add_generation_prompt=said[-1]["role"] != "assistant", **options)
                for said in dialogues]
        yield f"chat template {name}", {f"of {len(equal)} renderings equal": (sum(equal), len(equal))}
