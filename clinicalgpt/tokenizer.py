"""
The tokenizer of a model folder: text to token ids and back.
(Not here: merging, see bpe.py; dialogues, see template.py.)

    tokenizer.model               SentencePiece, by its own library     LLaMA, Mistral, the embedded base
    tokenizer.json                byte-pair encoding by hand            BLOOM, Llama 3, Qwen
    vocab.json and merges.txt     the same, in GPT-2's two files
    *.tiktoken, or a list of      the same, as ranks                    Qwen, Llama 3
    ranks named tokenizer.model

Special tokens (<s>, </s>, <|im_end|>) steer a model, so none is ever made from text: "</s>" in a question is
four characters.  Only a template writes them (template.py).  Added tokens that are not special (<think>) are
words like others, found before anything is merged.
"""

import io
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from clinicalgpt import bpe
from clinicalgpt.files import read_json, write_json
from clinicalgpt.patterns import GPT2, LLAMA3, QWEN2

FILES = ("tokenizer.json", "*.model", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe", "*.tiktoken",
         "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json",
         "chat_template.jinja", "chat_template.json", "template.json")
SPECIAL = ("eos_token", "bos_token", "unk_token", "pad_token", "additional_special_tokens",
           "extra_special_tokens")
USUAL_ENDS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>")
QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))]
LLAMA3_SPECIAL = [f"<|reserved_special_token_{i}|>" for i in range(251)]
LLAMA3_SPECIAL[4:5] = ["<|start_header_id|>", "<|end_header_id|>", LLAMA3_SPECIAL[4], "<|eot_id|>"]
LLAMA3_SPECIAL[:0] = ["<|begin_of_text|>", "<|end_of_text|>"]
WHITE = "".join(filter(str.isspace, map(chr, [*range(0x1C), *range(0x20, 0x3001)])))      # Unicode's
NO_DUMMY_PREFIX = b"\x1a\x02\x18\x00"       # protobuf, merged in: normalizer_spec { add_dummy_prefix: false }


@dataclass(frozen=True)
class Added:
    """A token beside the vocabulary, found in a text by its spelling."""
    content: str
    special: bool = False
    normalized: bool = False                                # looked for in the normal form of the text
    lstrip: bool = False                                    # swallows white space before it,
    rstrip: bool = False                                    # and behind it
    single_word: bool = False                               # is not found inside a word


class Tokenizer:
    """Text to ids and back, with added tokens beside the vocabulary of `core`.

    special: {content: id};  bos: the special token for the beginning, or "", and adds_bos, whether the model
    is used to it before every sequence;  eos, eos_id: the one that ends a text, "" and None if there is none;
    vocabulary: the largest id + 1."""

    def __init__(self, core, added, eos="", bos="", adds_bos=False, folder=None):
        self.core, self.added, self.eos, self.bos, self.folder = core, added, eos, bos, folder
        self.adds_bos = adds_bos and bool(bos)
        self.special = {token.content: i for i, token in added.items() if token.special}
        self.eos_id = self.special.get(eos)
        self.vocabulary = max([core.size, *(i + 1 for i in added)])
        self.every_piece_starts = core.every_piece_starts
        words = [(token, i) for i, token in added.items() if not token.special]
        self.find_special = _finder((token, token.content, i) for i, token in added.items() if token.special)
        self.find = _finder((token, token.content, i) for token, i in words if not token.normalized)
        self.find_normalised = _finder((token, core.normalise(token.content), i)
                                       for token, i in words if token.normalized)

    def encode(self, text, start=True):
        """Token ids of a text; nothing is added, and no special token is made.  start: the text begins a
        sequence (where some models put a space before it) and does not go on from other text."""
        ids = []
        for raw, word in self.find(whole_characters(text)):
            for piece, late_word in self.find_normalised(self.core.normalise(raw, start)):
                ids += self.core.encode(piece, start) if piece else []
                ids += [] if late_word is None else [late_word]
                start = self.every_piece_starts
            ids += [] if word is None else [word]
        return ids

    def decode(self, ids, start=True):
        """The text of token ids, without special tokens and without ids that are no token's."""
        text, run = "", []
        for i in ids:
            if i in self.added and not self.added[i].special:
                text += self.core.decode(run, start) + self.added[i].content
                run, start = [], False
            elif i not in self.added and self.core.knows(i):
                run.append(i)
        return text + self.core.decode(run, start)

    def files(self):
        return sorted({path for name in FILES for path in self.folder.glob(name)})

    def save(self, folder):
        """Copy the tokenizer's files into a folder, as they came."""
        for path in self.files():
            shutil.copyfile(path, Path(folder) / path.name)


def whole_characters(text):
    """The text with halves of surrogate pairs joined; a half without its other is U+FFFD."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _finder(tokens):
    """The function that cuts a text at added tokens, each (Added, spelling, id): (what comes before one, its
    id) for each of them, and (what is left, None)."""
    tokens = sorted(tokens, key=lambda token: -len(token[1]))                   # the longest that fits
    if not tokens:
        return lambda text: [(text, None)]
    pattern, space = re.compile("|".join(
        f"(?<!\\w)({re.escape(spelling)})(?!\\w)" if token.single_word else f"({re.escape(spelling)})"
        for token, spelling, _ in tokens)), re.compile(f"[{WHITE}]*")

    def find(text):
        position = 0
        for match in pattern.finditer(text):
            token, _, i = tokens[match.lastindex - 1]
            before = text[position:match.start()]
            yield before.rstrip(WHITE) if token.lstrip else before, i
            position = space.match(text, match.end()).end() if token.rstrip else match.end()
        yield text[position:], None
    return find


class SentencePiece:
    """A SentencePiece model, by its library.  Where it puts a space before a text (it never does if prefix is
    False), it does so at the start of a sequence, and behind every special token if every_piece_starts
    (transformers calls that legacy)."""

    def __init__(self, path, every_piece_starts=False, prefix=True):
        proto, self.every_piece_starts = Path(path).read_bytes(), every_piece_starts
        try:
            self.later = sentencepiece.SentencePieceProcessor(model_proto=proto + NO_DUMMY_PREFIX)
            self.first = sentencepiece.SentencePieceProcessor(model_proto=proto) if prefix else self.later
        except (RuntimeError, OSError) as error:
            raise ValueError(f"{path}: not a SentencePiece model ({' '.join(str(error).split())})") from None
        self.size = self.first.vocab_size()
        self.vocab = {self.first.id_to_piece(i): i for i in range(self.size)}
        self.inside_special = re.compile("(?!)")

    def forbid(self, special):
        """From now on no text makes these pieces, though the model would: texts are cut inside them."""
        stubborn = [piece for piece in special if piece in self.vocab and len(piece) > 1
                    and not self.first.is_control(self.vocab[piece])]
        self.inside_special = re.compile("|".join(
            f"(?<={re.escape(piece[0])})(?={re.escape(piece[1:])})" for piece in stubborn) or "(?!)")

    def normalise(self, text, start=True):
        return text

    def encode(self, text, start):
        first, *rest = self.inside_special.split(text)
        ids = (self.first if start else self.later).encode(first)
        return ids + [token for part in rest for token in self.later.encode(part)]

    def decode(self, ids, start):
        return (self.first if start else self.later).decode(ids)

    def knows(self, i):
        return 0 <= i < self.size


# ---- from a folder ---------------------------------------------------------------------------------------

def load_tokenizer(folder):
    """The Tokenizer of a model folder: .encode(text) -> list[int], .decode(ids) -> str.  Raises
    FileNotFoundError or ValueError, in one line, for what is missing or not understood."""
    folder = Path(folder)
    config, special, model = (read_json(folder / name, missing={}) for name in
                              ("tokenizer_config.json", "special_tokens_map.json", "config.json"))
    core, added, names, adds_bos = _core(folder, config, model)
    for i, entry in (config.get("added_tokens_decoder") or {}).items():
        added.setdefault(int(i), _added(entry))
    for content, i in read_json(folder / "added_tokens.json", missing={}).items():
        added.setdefault(i, Added(content))
    names |= {key: source[key] for source in (special, config) for key in SPECIAL if source.get(key)}
    ids = core.vocab | {token.content: i for i, token in added.items()}
    for content in (content for value in names.values() for content in _contents(value)):
        if content in ids:                                  # what is named as special is special
            added[ids[content]] = Added(content, special=True)
    known = [token.content for token in added.values() if token.special]
    if isinstance(core, SentencePiece):
        core.forbid(known)
    eos, bos = ("".join(content for content in _contents(names.get(key))[:1] if content in known)
                for key in ("eos_token", "bos_token"))
    eos = eos or next((end for end in USUAL_ENDS if end in known), "")
    return Tokenizer(core, added, eos, bos, bool(config.get("add_bos_token", adds_bos)), folder)


def _core(folder, config, model):
    """(BPE or SentencePiece, {id: Added}, names of special tokens, whether sequences begin with bos)."""
    for path in (folder / "tokenizer.model", *sorted(folder.glob("*.tiktoken")), folder / "tokenizer.json"):
        if path.name == "tokenizer.json" and path.is_file():
            return _from_json(path)
        if path.is_file():
            is_ranks = re.match(rb"[A-Za-z0-9+/]+=* \d+\r?\n", path.read_bytes()[:200])
            return _from_ranks(path, model) if is_ranks else _from_sentencepiece(path, config)
    for vocab, merges in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        if (folder / vocab).is_file():
            return _from_two_files(folder / vocab, folder / merges, config, model)
    if len(others := list(folder.glob("*.model"))) == 1:
        return _from_sentencepiece(others[0], config)
    raise FileNotFoundError(f"{folder}: no tokenizer.json, tokenizer.model, vocab.json with merges.txt, or "
                            "*.tiktoken")


def _from_sentencepiece(path, config):
    core = SentencePiece(path, bool(config.get("legacy", False)), config.get("add_prefix_space") is not False)
    names = {f"{which}_token": core.first.id_to_piece(i) for which in ("eos", "bos")
             if (i := getattr(core.first, f"{which}_id")()) >= 0}
    added = {i: Added(piece, special=True) for piece, i in core.vocab.items() if core.first.is_control(i)}
    beside = read_json(path.with_name("tokenizer.json"), missing={}).get("added_tokens") or ()
    added |= {token["id"]: _added(token) for token in beside if token["id"] >= core.size}
    return core, added, names, "bos_token" in names


def _from_json(path):
    raw = read_json(path)
    try:
        core = bpe.from_json(raw)
        added = {int(token["id"]): _added(token) for token in raw.get("added_tokens") or ()}
        for i, content in ((i, token.content) for i, token in added.items()):
            if not isinstance(content, str) or core.vocab.get(content, i) != i \
                    or core.string_of.get(i, content) != content:
                raise ValueError(f"token {i} is {content!r}, which the vocabulary contradicts")
        first = [dict(step["single"][0]) for step in bpe.steps(raw.get("post_processor"), "processors")
                 if step["type"] == "TemplateProcessing"]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: not a tokenizer.json that is understood ({error!r})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return core, added, {}, any("SpecialToken" in piece for piece in first)


def _from_two_files(vocab_path, merges_path, config, model):
    """GPT-2's two files; they do not tell the pattern, which is then known by the family."""
    if not merges_path.is_file():
        raise FileNotFoundError(f"{merges_path}: no such file; it belongs to {vocab_path.name}")
    vocab = read_json(vocab_path)
    lines = merges_path.read_text(encoding="utf-8").split("\n")
    pairs = [line.removesuffix("\r") for line in lines if line.strip() and not line.startswith("#version")]
    is_qwen = "qwen" in f"{config.get('tokenizer_class')} {model.get('model_type')}".lower()
    try:
        core = bpe.ByteBPE(vocab, bpe.merges(vocab, pairs), [(slice(None), QWEN2 if is_qwen else GPT2)],
                           normal_form="NFC" if is_qwen else "")
    except ValueError as error:
        raise ValueError(f"{merges_path}: {error}") from None
    return core, {}, {"eos_token": "<|endoftext|>"}, False


def _from_ranks(path, model):
    """Ranks hold no special tokens and no pattern: both are the family's."""
    if "qwen" in f"{path.name} {model.get('model_type')}".lower():
        core, special = bpe.from_ranks(path, QWEN2, "NFC"), QWEN_SPECIAL
        names, adds_bos = {"eos_token": "<|endoftext|>"}, False
    else:
        core, special = bpe.from_ranks(path, LLAMA3), LLAMA3_SPECIAL
        names, adds_bos = {"eos_token": "<|end_of_text|>", "bos_token": "<|begin_of_text|>"}, True
    added = {core.size + i: Added(token, special=True) for i, token in enumerate(special)}
    return core, added, names, adds_bos


def _added(entry):
    keys = ("special", "normalized", "lstrip", "rstrip", "single_word")
    return Added(entry["content"], *(bool(entry.get(key)) for key in keys))


def _contents(value):
    """The token spellings in an entry of tokenizer_config.json: a string, an object, or several of them."""
    if isinstance(value, dict):
        return _contents(value["content"] if "content" in value else list(value.values()))
    if isinstance(value, list):
        return [content for part in value for content in _contents(part)]
    return [value] if isinstance(value, str) else []


def train_sentencepiece(texts, folder, vocabulary, whole=()):
    """Train a unigram SentencePiece model on lines of text and write it into `folder`: tokenizer.model, and
    the tokenizer.json by which transformers has the same (but where strings of `whole` overlap in a text, or
    two ways to write it are equally likely).
    No text normalisation, newlines kept, bytes for what is unknown, so that every string survives encode and
    decode.  The strings in `whole` are never cut.  Raises ValueError if the vocabulary has no room for the
    characters."""
    model, folder, whole = io.BytesIO(), Path(folder), ["\n", *whole]
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, vocab_size=vocabulary, model_type="unigram",
            character_coverage=1.0, normalization_rule_name="identity", remove_extra_whitespaces=False,
            add_dummy_prefix=False, byte_fallback=True, user_defined_symbols=whole,
            unk_id=0, bos_id=1, eos_id=2, pad_id=3, hard_vocab_limit=False, num_threads=2,
            max_sentence_length=65536, minloglevel=2)
    except RuntimeError as error:
        raise ValueError(f"a vocabulary of {vocabulary}: {str(error).rpartition('] ')[2]}") from None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast",
                                                  "add_bos_token": False, **names})
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "post_processor": None, "pre_tokenizer": None,
        "added_tokens": [{"id": pieces.piece_to_id(content), "content": content, "single_word": False,
                          "lstrip": False, "rstrip": False, "normalized": False,
                          "special": content in names.values()} for content in [*names.values(), *whole]],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": bpe.SPACE},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": bpe.SPACE}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": True,
                  "vocab": [[pieces.id_to_piece(i), pieces.get_score(i)] for i in range(len(pieces))]}})
