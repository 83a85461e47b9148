"""Tokenizers against what the reference made of awkward texts, against byte-pair encoding as it is defined,
and on whatever text there is."""
import base64
import json
import random
import sys
import unicodedata
from pathlib import Path

import pytest
import sentencepiece

from clinicalgpt import bpe, patterns
from clinicalgpt.bpe import BPE, CHARACTER_OF_BYTE, byte_alphabet
from clinicalgpt.tokenizer import load_tokenizer, train_sentencepiece, whole_characters

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "tokenizers.json").read_text())
BYTE_LEVEL = ("gpt2", "bloom", "llama3", "qwen2")


def write(folder, **files):
    """Files of a tokenizer, JSON or text, by name with __ for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def golden(folder, name):
    return load_tokenizer(write(folder, tokenizer__json=GOLDENS[name]["tokenizer.json"]))


def check_goldens(tokenizer, name):
    for text, ids in GOLDENS[name]["encode"]:
        assert tokenizer.encode(text) == ids, repr(text)
    for ids, text in GOLDENS[name]["decode"]:
        assert tokenizer.decode(ids) == text, ids
    for (text, _), pieces in zip(GOLDENS[name]["encode"], GOLDENS[name]["pieces"], strict=True):
        if name in BYTE_LEVEL:
            assert [p for p in tokenizer.core.pieces(tokenizer.core.normalise(text), True) if p] == pieces


@pytest.mark.parametrize("name", GOLDENS)
def test_equals_the_reference(tmp_path, name):
    check_goldens(golden(tmp_path, name), name)


@pytest.mark.parametrize("name, change", [
    ("gpt2", (bpe, "GPT2", patterns.QWEN2)),
    ("qwen2", (bpe.ByteBPE, "normalise", lambda core, text, _=True: text)),
    ("llama3", (patterns, "SINCE_UNICODE_14", {})),
    ("bloom", (bpe, "merges", lambda vocab, pairs: latest_first(vocab, pairs))),
    ("characters, prepended", (bpe.CharacterBPE, "normalise", lambda core, text, _=True: text)),
    ("characters, metaspace", (bpe.CharacterBPE, "pieces", lambda core, text, _: [text.replace(" ", "▁")])),
    ("characters, split", (bpe.CharacterBPE, "symbols", lambda core, text: [
        core.vocab.get(character, 0) for character in text])),
    ("gpt2, spaced", (bpe.ByteBPE, "pieces", lambda core, text, _: PIECES(core, text, False))),
    ("digits", (bpe, "_split", lambda part: (slice(None), bpe_split(part)[1])))])
def test_the_check_has_teeth(tmp_path, monkeypatch, name, change):
    monkeypatch.setattr(*change)
    with pytest.raises((AssertionError, ValueError)):
        check_goldens(golden(tmp_path, name), name)


PIECES, bpe_split, MERGES = bpe.ByteBPE.pieces, bpe._split, bpe.merges


def latest_first(vocab, pairs):
    merged = MERGES(vocab, pairs)

    def other(left, right):
        pair = merged(left, right)
        return None if pair is None else (2**30 - (pair >> 32)) << 32 | pair & 0xFFFFFFFF
    return other


# ---- merging ---------------------------------------------------------------------------------------------

def merge_by_definition(ids, rank_of):
    """Sennrich 2016, applied: the best-ranked pair anywhere, the leftmost of equals, until there is none."""
    ids = list(ids)
    while pairs := [(rank_of[pair], i) for i, pair in enumerate(zip(ids, ids[1:])) if pair in rank_of]:
        (_, new), i = min(pairs)
        ids[i:i + 2] = [new]
    return ids


def random_merges(seed, symbols=4, count=60):
    """{(left, right): (rank, new id)}: pairs of what there is so far, as training makes them."""
    generator, rank_of = random.Random(seed), {}
    while len(rank_of) < count:
        pair = generator.randrange(symbols + len(rank_of)), generator.randrange(symbols + len(rank_of))
        rank_of.setdefault(pair, (len(rank_of), symbols + len(rank_of)))
    return rank_of


def counted(rank_of):
    def merged(left, right):
        merged.calls += 1
        rank, new = rank_of.get((left, right), (None, None))
        return None if rank is None else rank << 32 | new
    merged.calls = 0
    return merged


def check_merge(merge):
    for seed in range(30):
        rank_of, generator = random_merges(seed), random.Random(seed)
        for length in (0, 1, 2, 3, 7, 40, 200):
            ids = [generator.randrange(4) for _ in range(length)]
            assert merge(BPE({}, counted(rank_of)), list(ids)) == merge_by_definition(ids, rank_of)


def test_merging_equals_its_definition():
    check_merge(BPE.merge)

    def rightmost(core, ids):
        return BPE.merge(core, ids[::-1])[::-1]
    with pytest.raises(AssertionError):
        check_merge(rightmost)


def test_merging_a_long_line_is_not_quadratic():
    calls = []
    for length in (4000, 8000):
        merged, generator = counted(random_merges(0)), random.Random(0)
        BPE({}, merged).merge([generator.randrange(4) for _ in range(length)])
        calls.append(merged.calls)
    assert calls[0] < 8 * 4000 and calls[1] < 2.2 * calls[0]


# ---- any text --------------------------------------------------------------------------------------------

def random_texts(count=300):
    """Of every script, with combining marks, emoji, control characters and halves of surrogate pairs."""
    generator = random.Random(0)
    wild = ["e\u0301", "👩‍⚕️", "  ", "\r\n", "\ud83d\ude00", "\udc00", "</s>", "<|im_end|>", "\0", "a"]
    for _ in range(count):
        kinds = [range(0x110000), range(32, 0x3000), range(0x4e00, 0xa000), wild]
        drawn = [generator.choice(generator.choice(kinds)) for _ in range(generator.randrange(40))]
        yield "".join(chr(part) if isinstance(part, int) else part for part in drawn)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_any_text_survives(tmp_path, name):
    tokenizer = golden(tmp_path, name)
    special = set(tokenizer.special.values())
    assert special
    for text in random_texts():
        ids = tokenizer.encode(text)
        text = whole_characters(text)
        assert tokenizer.decode(ids) == (unicodedata.normalize("NFC", text) if name == "qwen2" else text)
        assert not special & set(ids)


def test_surrogates():
    """Pairs of halves are the character that they spell, and a half alone cannot be written in UTF-8."""
    assert whole_characters("a\ud83d\ude00b") == "a\U0001f600b"
    assert whole_characters("\ud83d a \ude00") == "\ufffd a \ufffd"


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_any_bytes_are_decoded(tmp_path, name):
    """As UTF-8 is decoded, with U+FFFD for each part that is none."""
    tokenizer, generator = golden(tmp_path, name), random.Random(0)
    for length in range(200):
        some = [generator.randrange(256), 0xE7, 0x97, 0x85]
        spelled = bytes(generator.choice(some) for _ in range(length % 20))
        ids = [tokenizer.core.vocab[CHARACTER_OF_BYTE[byte]] for byte in spelled]
        assert tokenizer.decode(ids) == spelled.decode("utf-8", "replace")
    assert tokenizer.decode([10**6, -1]) == ""                                  # no token's


def test_byte_alphabet():
    """GPT-2's: a space is written U+0120, a newline U+010A, and letters as they are."""
    alphabet = byte_alphabet()
    assert (alphabet[32], alphabet[10], alphabet[65]) == ("\u0120", "\u010a", "A")
    assert len(set(alphabet.values())) == 256


# ---- patterns --------------------------------------------------------------------------------------------

def matched(pattern, text):
    narrow, wide = patterns.compile_pattern(pattern)
    pieces = [piece for piece in wide().split(text) if piece]
    if max(text) <= "\uffff":
        assert [piece for piece in narrow.split(text) if piece] == pieces
    return pieces


@pytest.mark.parametrize("pattern, text, pieces", [
    (patterns.GPT2, "It's 2,000  mg\nI'S", ["It", "'s", " 2", ",", "000", " ", " mg", "\n", "I", "'", "S"]),
    (patterns.LLAMA3, "IT'S 12345 (mg)\n x", ["IT", "'S", " ", "123", "45", " (", "mg", ")\n", " x"]),
    (patterns.QWEN2, "120/80\u3000血压。\r\n", ["1", "2", "0", "/", "8", "0", "\u3000血压", "。\r\n"]),
    (r" ?[^(\s|[.,!?…。，、।۔،])]+", "a.b (c)，病 d", ["a", ".", "b", " (", "c", ")，", "病", " d"]),
    (r"\p{L}+", "a\x1cb½Ⅷ三𠀀\U000323af", ["a", "\x1c", "b", "½Ⅷ", "三𠀀\U000323af"]),
    (r"[^\s\p{N}]+", "a\x1c b1\x85", ["a\x1c", " ", "b", "1\x85"]),
    (r"\s+$|^b|c.", "a  \nb c\nxc", ["a", "  ", "\n", "b", " c\nxc"]),          # of every line; not a newline
    (r"[a-c&&&]", "x", "'&&'"), (r"\w+", "x", r"\\w"), (r"(?<a>b)", "x", "understood"),
    (r"\p{Han}", "x", "Han"), (r"[a", "x", "not closed"), (r"\1", "x", r"\\1"), ("a)", "x", "unbalanced")])
def test_patterns(pattern, text, pieces):
    if isinstance(pieces, str):
        with pytest.raises(ValueError, match=pieces) as error:
            patterns.compile_pattern(pattern)
        assert "\n" not in str(error.value)
    else:
        assert matched(pattern, text) == pieces


@pytest.mark.parametrize("name", ["L", "N", "Lu"])
def test_categories(name):
    """Every code point of them, and (beyond what this Python knows) no other that it knows."""
    inside = {code for first, last in patterns.category(name) for code in range(first, last + 1)}
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        assert (code in inside) == kind.startswith(name) or (kind == "Cn" and name in "LN"), hex(code)


# ---- folders ---------------------------------------------------------------------------------------------

def two_files(name):
    model = GOLDENS[name]["tokenizer.json"]["model"]
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    return model["vocab"], "#version: 0.2\n" + "\n".join(pairs) + "\n"


def ranks(name):
    """Every token of a vocabulary as its bytes in base 64 and its rank, special ones left out."""
    vocab, _ = two_files(name)
    special = {token["content"] for token in GOLDENS[name]["tokenizer.json"]["added_tokens"]}
    byte = {character: byte for byte, character in CHARACTER_OF_BYTE.items()}
    tokens = [token for token in sorted(vocab, key=vocab.get) if token not in special]
    spelled = [bytes(byte[character] for character in token) for token in tokens]
    return "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(spelled))


def without_special(tokenizer, ids):
    """The strings of ids, by which tokenizers with other numbers can be compared."""
    return [tokenizer.core.string_of[i] for i in ids]


def test_vocab_and_merges(tmp_path):
    vocab, merges = two_files("gpt2")
    for names in ({"vocab__json": vocab, "merges__txt": merges},
                  {"encoder__json": vocab, "vocab__bpe": merges}):
        tokenizer = load_tokenizer(write(tmp_path / min(names), **names))
        check_goldens(tokenizer, "gpt2")
        assert tokenizer.eos == "<|endoftext|>" and tokenizer.eos_id == vocab["<|endoftext|>"]
    vocab, merges = two_files("qwen2")
    config = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {
        str(token["id"]): token for token in GOLDENS["qwen2"]["tokenizer.json"]["added_tokens"]}}
    check_goldens(load_tokenizer(write(tmp_path / "qwen", vocab__json=vocab, merges__txt=merges,
                                       tokenizer_config__json=config)), "qwen2")


@pytest.mark.parametrize("name, file, end, bos", [
    ("qwen2", "qwen.tiktoken", "<|endoftext|>", ""),
    ("llama3", "tokenizer.model", "<|end_of_text|>", "<|begin_of_text|>")])
def test_ranks(tmp_path, name, file, end, bos):
    """Ranks are merges with the order of the tokens that they make: the same pieces, other numbers."""
    tokenizer = load_tokenizer(write(tmp_path, **{file.replace(".", "__"): ranks(name)}))
    for text, ids in GOLDENS[name]["encode"]:
        if "<think>" not in text:                                       # an added token there, not here
            expected = without_special(golden(tmp_path / "json", name), ids)
            assert without_special(tokenizer, tokenizer.encode(text)) == expected
    assert (tokenizer.eos, tokenizer.bos, tokenizer.adds_bos) == (end, bos, bool(bos))
    for token, place in ({"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<|extra_204|>": 207}
                         if name == "qwen2" else {"<|begin_of_text|>": 0, "<|end_of_text|>": 1,
                         "<|start_header_id|>": 6, "<|eot_id|>": 9, "<|reserved_special_token_250|>": 255}
                         ).items():                                     # as Qwen and Llama 3 number them
        assert tokenizer.special[token] == tokenizer.core.size + place


def spaced(folder, **config):
    """A SentencePiece model that, as LLaMA's, puts a space before a text."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["fever and cough", "a headache", "cough"] * 9),
        model_prefix=str(folder / "tokenizer"), vocab_size=300, model_type="bpe",
        byte_fallback=True, minloglevel=2, hard_vocab_limit=False,
        normalization_rule_name="identity", remove_extra_whitespaces=False)
    (folder / "tokenizer.vocab").unlink()
    return write(folder, **({"tokenizer_config__json": config} if config else {}))


def test_sentencepiece_and_its_space(tmp_path):
    """A space comes before a text at the start, none where the text goes on; decoding takes it away again."""
    tokenizer = load_tokenizer(spaced(tmp_path))
    library = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    for text in ("cough", " cough", "  a  b ", "", "\n", "发热 </s>"):
        assert tokenizer.encode(text) == library.encode(text)
        assert tokenizer.decode(library.encode(text)) == text
        later = tokenizer.encode(text, start=False)
        assert tokenizer.decode(later, start=False) == text
        assert not text or tokenizer.encode(text)[0] != later[0] or text[0] == " "
    assert (tokenizer.eos, tokenizer.bos, tokenizer.adds_bos) == ("</s>", "<s>", True)
    (tmp_path / "tokenizer.model").rename(tmp_path / "zh.model")
    assert load_tokenizer(tmp_path).encode("cough") == library.encode("cough")


def test_pieces_that_are_special(tmp_path):
    """SentencePiece makes a user-defined piece wherever it reads it; if it is special, no text makes it."""
    train_sentencepiece(["fever and cough", "a headache"] * 9, tmp_path, 300, whole=["<turn>", "mg"])
    (tmp_path / "tokenizer.json").unlink()
    turn, mg = load_tokenizer(tmp_path).encode("<turn>mg")
    write(tmp_path, special_tokens_map__json={"additional_special_tokens": ["<turn>"]})
    tokenizer = load_tokenizer(tmp_path)
    ids = tokenizer.encode("fever<turn>mg<turn><turn>")
    assert turn not in ids and mg in ids and tokenizer.decode(ids) == "fever<turn>mg<turn><turn>"
    assert list(tokenizer.find_special("a<turn>b")) == [("a", turn), ("b", None)]


def test_settings_of_spaces(tmp_path):
    """add_prefix_space false: no space before a text; a tokenizer.json beside a .model knows added tokens."""
    added = [{"id": 300, "content": "[DRUG]", "special": False}, {"id": 4, "content": "[NOT]"}]
    tokenizer = load_tokenizer(write(spaced(tmp_path, add_prefix_space=False),
                                     tokenizer__json={"added_tokens": added}))
    assert tokenizer.encode("cough") == tokenizer.encode("cough", start=False)
    assert tokenizer.decode(tokenizer.encode("cough")) == "cough"
    assert tokenizer.encode("[DRUG]") == [300] and 4 not in tokenizer.encode("[NOT]")


def test_added_tokens(tmp_path):
    """Found before merging, and a text behind one starts anew only where every piece does (legacy)."""
    added = {"[DRUG]": 300, "[PAD]": 301}
    for legacy in (False, True):
        folder = tmp_path / str(legacy)
        folder.mkdir()
        spaced(folder, legacy=legacy, pad_token="[PAD]", add_bos_token=False)
        tokenizer = load_tokenizer(write(folder, added_tokens__json=added))
        cough = tokenizer.encode("cough")
        ids = tokenizer.encode("[DRUG]cough[PAD]")
        assert ids[:1 + len(cough) * legacy] == [300, *cough * legacy] and 301 not in ids
        assert tokenizer.decode([*cough, 300, 301]) == "cough[DRUG]" and tokenizer.vocabulary == 302
        assert not tokenizer.adds_bos
    tokenizer = golden(tmp_path / "q", "qwen2")
    assert tokenizer.encode("<think>") == [tokenizer.encode("a<think>b")[1]]
    assert len(tokenizer.encode("<|im_end|>")) > 3


def test_spaces_around_added_tokens(tmp_path):
    raw = json.loads(json.dumps(GOLDENS["gpt2"]["tokenizer.json"]))
    raw["added_tokens"] += [{"id": 480, "content": "[X]", "lstrip": True, "rstrip": True},
                            {"id": 481, "content": "mg", "single_word": True}]  # U+001C: no white space here
    tokenizer = load_tokenizer(write(tmp_path, tokenizer__json=raw))
    plain = tokenizer.core.encode
    assert tokenizer.encode("a  [X] \n b") == [*plain("a"), 480, *plain("b")]
    assert tokenizer.encode("\x1c [X]\x1c") == [*plain("\x1c"), 480, *plain("\x1c")]
    assert tokenizer.encode("5 mg, 5mg") == [*plain("5 "), 481, *plain(", 5mg")]


@pytest.mark.parametrize("name", ["qwen2", "sentencepiece"])
def test_saving_copies_the_files(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    tokenizer = golden(tmp_path / "in", name) if name in GOLDENS else load_tokenizer(spaced(tmp_path / "in"))
    tokenizer.save(tmp_path / "out")
    for path in (tmp_path / "in").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def json_with(name="gpt2", **changes):
    raw = json.loads(json.dumps(GOLDENS[name]["tokenizer.json"])) | changes
    return {"tokenizer__json": raw}


@pytest.mark.parametrize("files, says", [
    ({}, "no tokenizer.json, tokenizer.model, vocab.json"),
    ({"tokenizer__json": "{"}, "tokenizer.json: not JSON"),
    ({"tokenizer__json": {"model": {"type": "Unigram"}}}, "tokenizer.json: a model of type 'Unigram'"),
    ({"tokenizer__json": {"model": []}}, "tokenizer.json: "),
    (json_with(decoder={"type": "WordPiece"}), "ByteLevel before the model and WordPiece behind it are not"),
    (json_with(model=GOLDENS["gpt2"]["tokenizer.json"]["model"] | {"dropout": 0.1}), "dropout 0.1 of the m"),
    (json_with(model={"vocab": {"a": 0}, "merges": ["a b"]}), "merge 0, 'a' with 'b': '.*' is not in the"),
    (json_with(pre_tokenizer={"type": "BertPreTokenizer"}), "BertPreTokenizer .*not understood"),
    (json_with(normalizer={"type": "Lowercase"}), "Lowercase, ByteLevel .*not understood"),
    (json_with(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": r"\w"}},
        {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False}]}), r"\\w at 0 is not"),
    (json_with(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Split", "behavior": "MergedWithNext", "pattern": {"Regex": "a"}},
        {"type": "ByteLevel"}]}), "MergedWithNext is not understood"),
    (json_with(added_tokens=[{"content": "x"}]), "not a tokenizer.json that is understood"),
    (json_with(added_tokens=[{"id": None, "content": "x"}]), "not a tokenizer.json that is understood"),
    (json_with(added_tokens=[{"id": 480, "content": "lo"}]), "token 480 is 'lo', which the vocabulary"),
    (json_with(added_tokens=[{"id": 480, "content": None}]), "token 480 is None"),
    (json_with(added_tokens=[{"id": 9, "content": "<q>"}]), "token 9 is '<q>', which the vocabulary"),
    (json_with("characters, prepended", normalizer={"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "x"},
        {"type": "Replace", "pattern": {"String": " "}, "content": bpe.SPACE}]}), "Prepend, Replace before"),
    (json_with("characters, metaspace", decoder={"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "x"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}]}), "replaces {'String': 'x'}"),
    ({"vocab__json": {"a": 0}}, "merges.txt: no such file; it belongs to vocab.json"),
    ({"vocab__json": {"a": 0}, "merges__txt": "a b\n"}, "merges.txt: merge 0"),
    ({"tokenizer__model": "not a model"}, "not a SentencePiece model"),
    ({"x__tiktoken": "YQ== 0\nYg==\n"}, "x.tiktoken:2: not a token in base 64 and its rank"),
    ({"x__tiktoken": "YQ== 0\n"}, "a byte has none")])
def test_files_are_refused(tmp_path, files, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says) as error:
        load_tokenizer(write(tmp_path, **files))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_vocabulary_without_room(tmp_path):
    with pytest.raises(ValueError, match="a vocabulary of 20: Vocabulary size is smaller than") as error:
        train_sentencepiece(["abcdefghijklmnopqrstuvwxyz"] * 9, tmp_path / "out", 20)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_whole_words_that_no_merge_makes(tmp_path):
    """Llama 3 has tokens that merging would not reach; a piece that is such a token is that token."""
    files = json_with("llama3")
    model = files["tokenizer__json"]["model"]
    model["vocab"]["zqzq"] = 480
    for whole, count in ((True, 1), (False, 4)):
        model["ignore_merges"] = whole
        assert len(load_tokenizer(write(tmp_path, **files)).encode("zqzq")) == count
