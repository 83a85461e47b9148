"""
Text to tokens and back, and a dialogue to tokens with a mark on those that are the assistant's.
(Not here: batches, see dataset.py.)

The template turns messages into text.  Plain markers serve every base model:

    User:\\n<content>\\nAssistant:\\n<content><eos>\\nUser:\\n...

Pieces of the template and answers are encoded apart and joined, so the ids of a prompt are the same whether
its answer follows (training) or is still to come (rollouts, evaluation), and the mark on the answer is exact
by construction.  An answer's mark covers its <eos>: ending is part of what is learned.  The template is
stored with a run (template.json) and used by every later stage.
"""

import io
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import sentencepiece

from clinicalgpt.files import read_json, write_json

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Template:
    """Text around a message's content, by role;
    an answer is preceded by `cue` and followed by the end token."""
    system: str = "{content}\n"
    user: str = "User:\n{content}\n"
    cue: str = "Assistant:\n"
    after_answer: str = "\n"

    @classmethod
    def load(cls, path):
        try:
            return cls(**read_json(path))
        except TypeError as error:
            raise ValueError(f"{path}: not a template ({error}); a run of this project writes one") from None

    def save(self, path):
        write_json(path, asdict(self))

    def segments(self, messages):
        """[(text, is_answer), ...], ending with the cue where the assistant is to speak next."""
        segments, prompt = [], ""
        for message in messages:
            if message["role"] == "assistant":
                segments += [(prompt + self.cue, False), (message["content"], True)]
                prompt = self.after_answer
            else:
                prompt += getattr(self, message["role"]).replace("{content}", message["content"])
        if messages[-1]["role"] != "assistant":
            segments.append((prompt + self.cue, False))
        return segments


class SentencePiece:
    """A tokenizer.model of SentencePiece.  Special tokens are never made from text:
    "</s>" in a question is four characters."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise ValueError(f"{path}: not a SentencePiece model ({error})") from None
        self.eos_id, self.vocabulary = self.processor.eos_id(), self.processor.vocab_size()
        if self.eos_id < 0:
            raise ValueError(f"{path}: this SentencePiece model has no end token; answers could not end")

    def encode(self, text):
        return self.processor.encode(text)

    def decode(self, ids):
        return self.processor.decode([i for i in ids if not self.processor.is_control(i)])

    def save(self, folder):
        """tokenizer.model, and the tokenizer_config.json by which transformers builds the same tokenizer."""
        shutil.copyfile(self.path, Path(folder) / "tokenizer.model")
        config = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": False,
                  "add_eos_token": False, "add_prefix_space": False}
        config |= {f"{name}_token": self.processor.id_to_piece(i) for name in ("bos", "eos", "unk", "pad")
                   if (i := getattr(self.processor, f"{name}_id")()) >= 0}
        write_json(Path(folder) / "tokenizer_config.json", config)


def load_tokenizer(folder):
    """The tokenizer of a model folder: .encode(text) -> list[int], .decode(ids) -> str, .eos_id;
    nothing is added unless asked."""
    path = Path(folder) / "tokenizer.model"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; this version reads SentencePiece tokenizers")
    return SentencePiece(path)


def encode_dialogue(tokenizer, template, messages):
    """(ids, answer): token ids of the dialogue and, for each,
    whether the assistant says it (end tokens included)."""
    ids, answer = [], []
    for text, is_answer in template.segments(messages):
        tokens = tokenizer.encode(text) + [tokenizer.eos_id] * is_answer
        ids += tokens
        answer += [is_answer] * len(tokens)
    return ids, answer


def train_sentencepiece(texts, path, vocabulary, whole=()):
    """Train a unigram SentencePiece model on lines of text and write it to `path`: no text
    normalisation, newlines kept, bytes for what is unknown, so that every string survives encode and
    decode.  The strings in `whole` are never cut."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=vocabulary, model_type="unigram",
        character_coverage=1.0, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False, byte_fallback=True, user_defined_symbols=["\n", *whole],
        unk_id=0, bos_id=1, eos_id=2, pad_id=3, hard_vocab_limit=False, num_threads=2,
        max_sentence_length=65536, minloglevel=2)
    Path(path).write_bytes(model.getvalue())
