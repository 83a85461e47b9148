"""
What the reference library makes of awkward texts, written down for tests that run without it.

    python benchmarks/tokenizer_goldens.py      needs the `peers` extra; writes tests/goldens/tokenizers.json

Small tokenizers are trained on the embedded prose, one for each kind of tokenizer.json that is
understood, and saved with the ids, pieces and texts that the `tokenizers` library gives.
"""

import json
import sys
import tempfile
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from clinicalgpt.patterns import LLAMA3, QWEN2  # noqa: E402
from data.generate import generate  # noqa: E402

BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"                           # as bigscience/bloom has it
TEXTS = [
    "", " ", "  ", "\n", "\r\n\r\n", "\t\tx", "a", " a", "  a  b   c ", "fever, cough; and headache.",
    "It's what they'LL say, we'Ve said: I'm 'S 'ſ", "1 12 123 1234 12345678 ½ Ⅷ ² 三 ٣٤", "38.5℃ 120/80 mmHg",
    "流感有哪些症状？发热、咳嗽，头痛。", "患者，男，45岁，主诉“咳嗽3天”。", "中文English混合text文本",
    "　全角　空格　",
    "naïve café e\u0301 \u212b \ufb01 \u1e9b\u0323", "👩‍⚕️🩺 👨‍👩‍👧‍👦 🇨🇳", "क्षि नमस्ते สวัสดี Здравствуйте",
    "مرحبا بالعالم، كيف؟", "한국어 형태소 \u1112\u1161\u11ab", "𠀀𪛖 𝒜𝓁𝓅𝒽𝒶 a\U000323afb\U0001e5d0!\U0001d2c0",
    "\x00\x01\x1c\x1f\x7f\x85\xa0",
    "</s> <s> <unk> <pad> <|im_start|>user<|im_end|> <|eot_id|> <|endoftext|>",
    "<think>x</think> <tool_call>",
    "\u2581a\u2581\u2581b \u2581", "<0x41> <0xE4>", "f(x) = [1, 2] | (a|b) ...?!。，、",
    "a\n\n\nb\n \n c\r\nd",
    "x" * 300, "病" * 100, " \n \t  end", "https://a.b/c?d=e&f=%20#g", "tail space ",
    "\u200b\u200d\ufeff\u00ad",
    "ﷺ ﬀ Ⅳ ① ㍿"]


def byte_level(pattern, texts, special, normal=None, added=(), whole_words=False, bos=None, before=(),
               spaced=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    tokenizer.normalizer = normal
    before = [*before, *([pre_tokenizers.Split(Regex(pattern), behavior="isolated")] if pattern else [])]
    last = pre_tokenizers.ByteLevel(add_prefix_space=spaced, use_regex=not before)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*before, last]) if before else last
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=480, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens([AddedToken(content, normalized=False) for content in added])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def by_character(texts, prepend, split=False):
    """split: as some have it, with a piece for every space and no bytes for what is unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=not split))
    if split:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    elif prepend:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                           decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = [word for text in texts for word in text.split(" ") if len(word) < 20]
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(
        vocab_size=720, limit_alphabet=300, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]))
    raw = json.loads(tokenizer.to_str())
    raw["added_tokens"] = [token for token in raw["added_tokens"] if token["id"] < 3]        # not the bytes
    return Tokenizer.from_str(json.dumps(raw))


def pieces(tokenizer):
    """What each text is cut into before anything is merged, by the offsets that the library gives."""
    cut = []
    for text in TEXTS:
        text = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        parts = tokenizer.pre_tokenizer.pre_tokenize_str(text) if tokenizer.pre_tokenizer else []
        cut.append([text[first:last] for _, (first, last) in parts])
    return cut


def main():
    with tempfile.TemporaryDirectory() as folder:
        texts = []
        for lang in ("zh", "en"):
            generate(Path(folder) / lang, lang=lang, seed=0)
            texts += (Path(folder) / lang / "pretrain.txt").read_text(encoding="utf-8").splitlines()[:3000]
    llama3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
              "<|eot_id|>"]
    made = {
        "gpt2": byte_level(None, texts, ["<|endoftext|>"]),
        "bloom": byte_level(BLOOM, texts, ["<unk>", "<s>", "</s>", "<pad>"]),
        "llama3": byte_level(LLAMA3, texts, llama3, whole_words=True, bos=llama3[0]),
        "qwen2": byte_level(QWEN2, texts, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC(),
                            ["<think>", "</think>", "<tool_call>"]),
        "characters, prepended": by_character(texts, True),
        "characters, metaspace": by_character(texts, False),
        "characters, split": by_character(texts, False, split=True),
        "gpt2, spaced": byte_level(None, texts, ["<|endoftext|>"], spaced=True),
        "digits": byte_level(None, texts, ["<|endoftext|>"], before=[
            pre_tokenizers.Split(",", behavior="removed"),
            pre_tokenizers.Split(Regex("[。，]+"), behavior="isolated"),
            pre_tokenizers.Digits(individual_digits=True)])}
    goldens = {}
    for name, tokenizer in made.items():
        tokenizer.encode_special_tokens = True                  # text makes no special token
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        cut = [[*range(n, n + 9)] for n in range(5, tokenizer.get_vocab_size() - 9, 23)]
        raw = json.loads(tokenizer.to_str())
        if name == "bloom":                                     # as older files write merges
            raw["model"]["merges"] = [" ".join(pair) for pair in raw["model"]["merges"]]
        goldens[name] = {"tokenizer.json": raw, "encode": list(zip(TEXTS, ids)), "pieces": pieces(tokenizer),
                         "decode": [[i, tokenizer.decode(i, skip_special_tokens=True)] for i in ids + cut]}
    path = ROOT / "tests" / "goldens" / "tokenizers.json"
    path.write_text(json.dumps(goldens, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(goldens)} tokenizers, {len(TEXTS)} texts")


if __name__ == "__main__":
    main()
