"""
Byte-pair encoding by hand (Sennrich 2016): text to token ids and back.
(Not here: special and added tokens, files of a folder, see tokenizer.py; patterns, see patterns.py.)

    text -> normal form -> pieces, by a pattern -> symbols -> merged -> ids

A piece is merged on its own: of all neighbours that may merge, the pair learned earliest merges first, the
leftmost of several, until none may.  Two kinds of symbols:

    bytes         GPT-2, BLOOM, Llama 3, Qwen       a piece is its UTF-8 bytes; any text can be written
    characters    Llama 1 and 2, Mistral            a space is written U+2581; a character without a token
                                                    of its own becomes tokens for its bytes

Neighbours wait in a heap, pieces are a linked list, so a line of n symbols takes n log n steps.  Words come
again and again: results are remembered, and a text seen before costs little more than cutting it up.
"""

import base64
import binascii
import functools
import itertools
import re
import unicodedata
from heapq import heapify, heappop, heappush

from clinicalgpt.patterns import GPT2, compile_pattern

SPACE = "\u2581"                                                # SentencePiece's sign for a space
BEYOND_BASIC_PLANE = re.compile("[\U00010000-\U0010ffff]")
NORMAL_FORMS = ([], ["NFC"], ["NFD"], ["NFKC"], ["NFKD"])
REMEMBERED, SHORT = 2**19, 100                                  # pieces, and how long they may be


def byte_alphabet():
    """{byte: the character that stands for it in vocab files}: itself where it prints, else one from 256 on
    (GPT-2, encoder.py)."""
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in prints]
    return dict(zip(prints + others, map(chr, [*prints, *range(256, 256 + len(others))])))


CHARACTER_OF_BYTE = byte_alphabet()
LATIN1_OF_CHARACTER = {ord(character): byte for byte, character in CHARACTER_OF_BYTE.items()}


class BPE:
    """What both kinds share.  merged(left id, right id) -> (rank << 32 | id of the pair), or None;
    every_piece_starts: a text behind a special token is treated as one at the start of a sequence."""

    def __init__(self, vocab, merged, whole_words=False, unknown=None, fuse=False):
        self.vocab, self.size = vocab, max(vocab.values(), default=-1) + 1
        self.merged, self.whole_words, self.unknown, self.fuse = merged, whole_words, unknown, fuse
        self.known = {}                                         # ids of pieces seen before

    def encode(self, text, start=True):
        """Ids of a text in normal form; `start`: it stands at the start of a sequence."""
        known = self.known.get
        return [token for piece in self.pieces(text, start) for token in known(piece) or self.word(piece)]

    def knows(self, i):
        return i in self.string_of

    @functools.cached_property
    def string_of(self):
        return {token: string for string, token in self.vocab.items()}

    def word(self, piece):
        """Ids of a piece that is not known yet; if it is short, and there is room, it is from now on."""
        token = self.token_of(piece) if self.whole_words else None
        ids = tuple(self.merge(self.symbols(piece))) if token is None else (token,)
        if len(self.known) < REMEMBERED and len(piece) < SHORT:
            self.known[piece] = ids
        return ids

    def merge(self, ids):
        """Merge neighbours, the earliest learned first, until none may be."""
        end, after, before = len(ids), list(range(1, len(ids) + 1)), list(range(-1, len(ids) - 1))
        heap = [pair >> 32 << 32 | i for i in range(end - 1)
                if (pair := self.merged(ids[i], ids[i + 1])) is not None]
        heapify(heap)
        while heap:
            entry = heappop(heap)
            i = entry & 0xFFFFFFFF
            j = after[i]
            if ids[i] is None or j == end:                      # merged into its neighbour, or now the last
                continue
            pair = self.merged(ids[i], ids[j])
            if pair is None or pair >> 32 != entry >> 32:       # one of the two has grown since
                continue
            ids[i], ids[j], after[i] = pair & 0xFFFFFFFF, None, after[j]
            if after[j] < end:
                before[after[j]] = i
            for left, right in ((before[i], i), (i, after[i])):
                if left >= 0 and right < end and (pair := self.merged(ids[left], ids[right])) is not None:
                    heappush(heap, pair >> 32 << 32 | left)
        return [token for token in ids if token is not None]


class ByteBPE(BPE):
    """Symbols are bytes.  splits: [(what is done with a pattern's matches, the pattern), ...], in order."""

    def __init__(self, vocab, merged, splits, prefix_space=False, normal_form="", **options):
        super().__init__(vocab, merged, **options)
        self.splits = [(keep, *compile_pattern(pattern)) for keep, pattern in splits]
        self.normal_form = normal_form
        self.prefix_space = self.every_piece_starts = prefix_space
        self.id_of_byte = [vocab.get(CHARACTER_OF_BYTE[byte], self.unknown) for byte in range(256)]

    def normalise(self, text, start=True):
        return unicodedata.normalize(self.normal_form, text) if self.normal_form else text

    def token_of(self, piece):
        return self.vocab.get(piece.encode().decode("latin-1").translate(CHARACTER_OF_BYTE))

    def symbols(self, piece):
        ids = map(self.id_of_byte.__getitem__, piece.encode())
        return [token for token in ids if token is not None]

    def pieces(self, text, start):
        if self.prefix_space and start and text[:1] != " ":
            text = " " + text
        pieces, is_wide = [text], BEYOND_BASIC_PLANE.search(text)
        for keep, narrow, wide in self.splits:
            split = (wide() if is_wide else narrow).split
            pieces = [part for piece in pieces for part in filter(None, split(piece)[keep])]
        return pieces

    def decode(self, ids, start=True):
        return b"".join(_bytes(self.string_of[token]) for token in ids).decode("utf-8", "replace")


def _bytes(string):
    """The bytes that an entry of a byte-level vocabulary stands for."""
    try:
        return string.translate(LATIN1_OF_CHARACTER).encode("latin-1")
    except UnicodeEncodeError:                                  # not written in the alphabet: an added token
        return string.encode()


class CharacterBPE(BPE):
    """Symbols are characters.  The sign for a space is put before a text at the start: always, if `prepend`
    (and spaces are replaced in the normal form), or where it does not begin with one, if `prefix`.  split:
    every sign begins a piece; bytes: what has no token is spelled in bytes; strip: spaces that decoding takes
    off."""

    def __init__(self, vocab, merged, prepend=False, prefix=False, every_piece_starts=True, replaces=True,
                 split=False, bytes=True, strip=0, **options):
        super().__init__(vocab, merged, **options)
        self.prepend, self.prefix, self.replaces, self.strip = prepend, prefix, replaces, strip
        self.every_piece_starts = every_piece_starts
        id_of_byte = [vocab.get(f"<0x{byte:02X}>") for byte in range(256)]
        self.byte_of_id = {token: byte for byte, token in enumerate(id_of_byte) if token is not None}
        self.id_of_byte = id_of_byte if bytes else [None] * 256
        if split:
            self.cut = re.compile(f"{SPACE}[^{SPACE}]*|[^{SPACE}]+")
        elif any(re.search(f"[^{SPACE}]{SPACE}", string) for string in vocab):
            self.cut = re.compile("(?s).+")
        else:                               # nothing merges across such a place, so words are cut there
            self.cut = re.compile(f"{SPACE}+[^{SPACE}]*|[^{SPACE}]+")

    def normalise(self, text, start=True):
        if not self.replaces:
            return text
        return (SPACE if self.prepend and start and text else "") + text.replace(" ", SPACE)

    def token_of(self, piece):
        return self.vocab.get(piece)

    def symbols(self, piece):
        ids = []
        for character in piece:
            token = self.vocab.get(character)
            if token is not None:
                ids.append(token)
            elif None not in (spelled := [self.id_of_byte[byte] for byte in character.encode()]):
                ids += spelled
            elif self.unknown is not None and not (self.fuse and ids and ids[-1] == self.unknown):
                ids.append(self.unknown)
        return ids

    def pieces(self, text, start):
        text = text.replace(" ", SPACE)
        if self.prefix and start and text[:1] != SPACE:
            text = SPACE + text
        return self.cut.findall(text)

    def decode(self, ids, start=True):
        parts = []
        for is_byte, run in itertools.groupby(ids, self.byte_of_id.__contains__):
            if is_byte:
                spelled = bytes(map(self.byte_of_id.__getitem__, run))
                try:
                    parts.append(spelled.decode())
                except UnicodeDecodeError:                      # as the reference: every byte is lost then
                    parts.append("\ufffd" * len(spelled))
            else:
                parts += [self.string_of[token].replace(SPACE, " ") for token in run]
        return "".join(parts)[self.strip if start and parts and parts[0].startswith(" ") else 0:]


# ---- from files ------------------------------------------------------------------------------------------

def from_json(raw):
    """The BPE of a tokenizer.json.  Raises ValueError, naming it, for a part that is not understood."""
    model = raw.get("model") or {}
    if model.get("type", "BPE") != "BPE" or not isinstance(model.get("vocab"), dict):
        raise ValueError(f"a model of type {model.get('type')!r}; BPE is understood")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            raise ValueError(f"{option} {model[option]!r} of the model is not understood")
    normal, decoder = steps(raw.get("normalizer"), "normalizers"), steps(raw.get("decoder"), "decoders")
    cuts = steps(raw.get("pre_tokenizer"), "pretokenizers")
    kinds, cut_kinds, decoder_kinds = ([part["type"] for part in parts] for parts in (normal, cuts, decoder))
    options = {"vocab": model["vocab"], "merged": merges(model["vocab"], model.get("merges", [])),
               "whole_words": model.get("ignore_merges", False), "fuse": model.get("fuse_unk", False),
               "unknown": model["vocab"].get(model.get("unk_token"))}
    if kinds in NORMAL_FORMS and cut_kinds[-1:] == decoder_kinds == ["ByteLevel"]:
        splits = [_split(part) for part in cuts[:-1]]
        if cuts[-1].get("use_regex", True):
            splits.append((slice(None), GPT2))
        if cuts[-1].get("add_prefix_space", True) and len(cuts) > 1:
            raise ValueError("add_prefix_space behind another pre-tokenizer is not understood")
        return ByteBPE(splits=splits, prefix_space=cuts[-1].get("add_prefix_space", True),
                       normal_form="".join(kinds), **options)
    if decoder_kinds in (["Replace", "ByteFallback", "Fuse"], ["Replace", "ByteFallback", "Fuse", "Strip"]):
        if (decoder[0].get("pattern"), decoder[0].get("content")) != ({"String": SPACE}, " "):
            raise ValueError(f"a decoder that replaces {decoder[0].get('pattern')} is not understood")
        options |= {"bytes": model.get("byte_fallback", False), "strip": decoder[-1].get("start", 0)}
        if not cuts and kinds in (["Replace"], ["Prepend", "Replace"]) \
                and normal[0].get("prepend", SPACE) == normal[-1].get("content") == SPACE \
                and normal[-1].get("pattern") == {"String": " "}:
            return CharacterBPE(prepend=len(kinds) == 2, **options)
        if not kinds and [(part["type"], part.get("replacement")) for part in cuts] == [("Metaspace", SPACE)]:
            space, = cuts
            scheme = space.get("prepend_scheme", "always" if space.get("add_prefix_space", True) else "never")
            return CharacterBPE(prefix=scheme != "never", every_piece_starts=scheme == "always",
                                replaces=False, split=space.get("split", True), **options)
    raise ValueError(f"{', '.join(kinds + cut_kinds) or 'nothing'} before the model and "
                     f"{', '.join(decoder_kinds) or 'nothing'} behind it are not understood")


def steps(part, key):
    """The steps of a part of tokenizer.json, one or a Sequence of them, as a list."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for inner in part[key] for step in steps(inner, key)]
    return [part]


def _split(part):
    """(which of a pattern's split() to keep, the pattern) of a pre-tokenizer."""
    if part["type"] == "Digits":
        return slice(None), r"\p{N}" if part.get("individual_digits") else r"\p{N}+"
    behavior, pattern = part.get("behavior"), part.get("pattern", {})
    if part["type"] != "Split" or behavior not in ("Isolated", "Removed"):
        raise ValueError(f"pre-tokenizer {part['type']} {behavior or ''} is not understood")
    keep = slice(None) if behavior == "Isolated" else slice(1 if part.get("invert") else 0, None, 2)
    return keep, pattern["Regex"] if "Regex" in pattern else re.escape(pattern["String"])


def merges(vocab, pairs):
    """The function merged() of a list of merges, "left right" or [left, right], the earliest first."""
    table = {}
    for rank, pair in enumerate(pairs):
        left, right = pair.split(" ") if isinstance(pair, str) else pair
        try:
            table[vocab[left] << 32 | vocab[right]] = rank << 32 | vocab[left + right]
        except KeyError as missing:
            raise ValueError(f"merge {rank}, {left!r} with {right!r}: "
                             f"{missing} is not in the vocabulary") from None
    get = table.get
    return lambda left, right: get(left << 32 | right)


def from_ranks(path, pattern, normal_form=""):
    """The BPE of a file of ranks as tiktoken has it: a line is a token's bytes in base 64 and its rank, which
    is its id.  Two neighbours may merge if their bytes together are a token; the lowest rank merges first."""
    ranks = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except (ValueError, binascii.Error):
                if line.strip():
                    raise ValueError(f"{path}:{number}: not a token in base 64 and its rank; "
                                     "is the download complete?") from None
    tokens = {rank: token for token, rank in ranks.items()}
    if len(tokens) != len(ranks) or any(bytes([byte]) not in ranks for byte in range(256)):
        raise ValueError(f"{path}: a rank is there twice, or a byte has none; is the download complete?")

    @functools.lru_cache(REMEMBERED)
    def merged(left, right):
        rank = ranks.get(tokens[left] + tokens[right])
        return None if rank is None else rank << 32 | rank
    vocab = {token.decode("latin-1").translate(CHARACTER_OF_BYTE): rank for token, rank in ranks.items()}
    return ByteBPE(vocab, merged, [(slice(None), pattern)], whole_words=True, normal_form=normal_form)
