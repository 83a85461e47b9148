"""
The template: a dialogue as text, and as tokens with a mark on those that are the assistant's.
(Not here: tokens, see tokenizer.py; batches, see dataset.py.)

    plain     User:\\n<content>\\nAssistant:\\n<content></s>\\nUser:\\n...                   any base model
    chatml    <|im_start|>user\\n<content><|im_end|>\\n<|im_start|>assistant\\n...          Qwen
    llama3    <|start_header_id|>user<|end_header_id|>\\n\\n<content><|eot_id|>...         Llama 3

A model that came with ChatML's or Llama 3's markers keeps them: its chat template is recognised, and what is
rendered here equals what transformers renders, to the byte.  A template is stored with a run (template.json)
and used by every later stage.

Special tokens come from the template's own strings alone, never from what somebody says.  What stands before
an answer and the answer itself are encoded apart: so the ids of a prompt are the same whether its answer
follows (training) or is still to come (rollouts, evaluation), and the mark on the answer is exact by
construction.  It covers the end token: ending is part of what is learned.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clinicalgpt.files import read_json, write_json, write_text

ROLES = ("system", "user", "assistant")
STYLES = ("auto", "plain", "chatml", "llama3")
NO_THOUGHT = "<think>\n\n</think>\n\n"


@dataclass(frozen=True)
class Template:
    """Text around a message's content, by role; an answer is preceded by `cue` and followed by `end`."""
    start: str = ""                                         # the token that begins every sequence
    system: str = "{content}\n"
    user: str = "User:\n{content}\n"
    cue: str = "Assistant:\n"
    end: str = ""                                           # the token that ends an answer ("": the usual)
    after_answer: str = "\n"
    preamble: str = ""                                      # begins the first system message
    default_system: str | None = None                       # for a dialogue without one
    strip: bool = False                                     # contents lose the white space around them
    thoughts: bool = False                                  # Qwen3: <think> before the newest answer alone

    @classmethod
    def load(cls, path):
        try:
            return cls(**read_json(path))
        except TypeError as error:
            raise ValueError(f"{path}: not a template ({error}); a run of this project writes one") from None

    def end_id(self, tokenizer):
        """The id of the token that ends an answer.  Raises ValueError if the tokenizer has none."""
        end = tokenizer.special.get(self.end) if self.end else tokenizer.eos_id
        if end is None:
            raise ValueError(f"{tokenizer.folder}: no end token {self.end}; answers could not end")
        return end

    def parts(self, messages):
        """Yield (text, kind): "mark" for the template's own, "content" for what others say, and "answer".
        The tokens at the start and behind an answer are left to the caller.  Ends with the cue where the
        assistant is to speak next."""
        if messages[0]["role"] != "system" and self.default_system is not None:
            messages = [{"role": "system", "content": self.default_system}, *messages]
        for i, message in enumerate(messages):
            role, content = message["role"], message["content"].strip() if self.strip else message["content"]
            if role == "assistant":
                newest = i == len(messages) - 1 and any(m["role"] == "user" for m in messages)
                yield from self._answer(content, newest)
                if i < len(messages) - 1:
                    yield self.after_answer, "mark"
            else:
                before, after = getattr(self, role).split("{content}")
                yield before + self.preamble * (i == 0 and role == "system"), "mark"
                yield content, "content"
                yield after, "mark"
        if messages[-1]["role"] != "assistant":
            yield self.cue + NO_THOUGHT * self.thoughts, "mark"

    def _answer(self, content, newest):
        thought = ""
        if self.thoughts and "</think>" in content:
            thought = content.split("</think>")[0].rpartition("<think>")[2].strip("\n")
            content = content.split("</think>")[-1].lstrip("\n")
        if not (self.thoughts and newest):                  # of earlier answers, thoughts are not told
            yield self.cue, "mark"
            yield content, "answer"
        elif thought:
            yield self.cue, "mark"
            yield f"<think>\n{thought}\n</think>\n\n{content.lstrip(chr(10))}", "answer"
        else:
            yield self.cue + NO_THOUGHT, "mark"
            yield content.lstrip("\n"), "answer"

    def render(self, messages, tokenizer):
        """The dialogue as one text, special tokens spelled out."""
        end = self.end or tokenizer.eos
        text = "".join(part + end * (kind == "answer") for part, kind in self.parts(messages))
        return self.start + text + self.after_answer * (messages[-1]["role"] == "assistant")

    def save(self, path):
        write_json(path, asdict(self))

    def export(self, folder, tokenizer):
        """Tell others, in a model folder that has its tokenizer, how this model is talked to: template.json
        for us; for transformers and vLLM a chat template in Jinja (the folder's own stays, if this is it)
        and, in generation_config.json, the end of an answer."""
        folder, end = Path(folder), self.end_id(tokenizer)
        self.save(folder / "template.json")
        generation = read_json(folder / "generation_config.json", missing={})
        ends = generation.get("eos_token_id", [])
        ends = [end, *(other for other in (ends if isinstance(ends, list) else [ends])
                       if other not in (end, None))]
        write_json(folder / "generation_config.json", generation | {"eos_token_id": ends})
        if recognised(tokenizer) != self:
            config = read_json(folder / "tokenizer_config.json", missing={})
            write_json(folder / "tokenizer_config.json", config | {"chat_template": self.jinja(tokenizer)})
            write_text(folder / "chat_template.jinja", self.jinja(tokenizer))

    def jinja(self, tokenizer):
        """render() in the language of transformers' chat templates."""
        def around(role):
            before, after = map(json.dumps, getattr(self, role).split("{content}"))
            return f"{before} + message['content']{' | trim' * self.strip} + {after}"
        start, cue, after = map(json.dumps, (self.start, self.cue, self.after_answer))
        end = json.dumps(self.end or tokenizer.eos)
        return (f"{{{{ {start} }}}}{{% for message in messages %}}{{% if message['role'] == 'assistant' %}}"
                f"{{{{ {cue} + message['content']{' | trim' * self.strip} + {end} + {after} }}}}"
                f"{{% elif message['role'] == 'system' %}}{{{{ {around('system')} }}}}"
                f"{{% else %}}{{{{ {around('user')} }}}}{{% endif %}}{{% endfor %}}"
                f"{{% if add_generation_prompt %}}{{{{ {cue} }}}}{{% endif %}}")


def encode_dialogue(tokenizer, template, messages):
    """(ids, answer): token ids of the dialogue and, for each, whether the assistant says it (end tokens
    included)."""
    ids, answer, text, start = [], [], "", True             # text: not yet encoded, so that it merges as one

    def put(tokens, is_answer=False):
        ids.extend(tokens)
        answer.extend([is_answer] * len(tokens))
    if template.start:
        put([tokenizer.special[template.start]])
    for part, kind in template.parts(messages):
        for words, token in tokenizer.find_special(part) if kind == "mark" else [(part, None)]:
            text += words if kind != "answer" else ""
            if kind == "answer" or token is not None:
                put(tokenizer.encode(text, start))
                text, start = "", tokenizer.core.every_piece_starts
            if kind == "answer":
                put(tokenizer.encode(words, False) + [template.end_id(tokenizer)], True)
            elif token is not None:
                put([token])
    put(tokenizer.encode(text, start))
    return ids, answer


def newest(ids, max_len, template):
    """The newest max_len of a dialogue's tokens, the one that begins every sequence kept."""
    kept = 1 if template.start else 0
    return ids if len(ids) <= max_len else [*ids[:kept], *ids[len(ids) - max_len + kept:]]


# ---- which template a model has --------------------------------------------------------------------------

def template_of(tokenizer, style="auto"):
    """The Template of a model folder: the one that it says is its own, or the plain one; or the style asked
    for.  Raises ValueError for a style that the tokenizer has no tokens for."""
    if style not in STYLES:
        raise ValueError(f"--template {style}: choose {', '.join(STYLES)}")
    own = recognised(tokenizer)
    stored = tokenizer.folder / "template.json"
    if style == "auto":
        return Template.load(stored) if stored.is_file() else own or plain(tokenizer)
    if style == "plain":
        return plain(tokenizer)
    template = own if own and own.end == MARKERS[style].end else MARKERS[style]
    if template.end not in tokenizer.special:
        raise ValueError(f"--template {style}: this tokenizer has no token {template.end}")
    return template


def plain(tokenizer):
    return Template(start=tokenizer.bos if tokenizer.adds_bos else "")


MARKERS = {
    "chatml": Template(system="<|im_start|>system\n{content}<|im_end|>\n", end="<|im_end|>",
                       user="<|im_start|>user\n{content}<|im_end|>\n", cue="<|im_start|>assistant\n"),
    "llama3": Template(start="<|begin_of_text|>", end="<|eot_id|>", after_answer="", strip=True,
                       system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
                       user="<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
                       cue="<|start_header_id|>assistant<|end_header_id|>\n\n")}


def recognised(tokenizer):
    """The Template that a folder's chat template means, or None if it has none or another kind of markers."""
    jinja = chat_template(tokenizer.folder)
    if "<|im_end|>" in tokenizer.special and (not jinja or "<|im_start|>" in jinja):
        system = re.search(r"<\|im_start\|>system(?:\\n|\n)([^<>{}'\"]+)<\|im_end\|>", jinja)
        return replace(MARKERS["chatml"], start=tokenizer.bos if "bos_token" in jinja else "",
                       default_system=system[1].replace("\\n", "\n") if system else None,
                       strip=bool(re.search(r"\|\s*trim", jinja)), thoughts="last_query_index" in jinja)
    if "<|eot_id|>" in tokenizer.special and "<|start_header_id|>" in jinja:
        cutting = re.search(r"Cutting Knowledge Date: [^\\\"'\n]+", jinja)
        today = re.search(r"date_string = [\"']([^\"']+)", jinja)       # 3.2 asks the clock; a run must not
        if cutting and today:
            return replace(MARKERS["llama3"], default_system="",
                           preamble=f"{cutting[0]}\nToday Date: {today[1]}\n\n")
        return MARKERS["llama3"]
    return None


def chat_template(folder):
    """The Jinja text of a folder's chat template, or ""."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        if found := read_json(folder / name, missing={}).get("chat_template"):
            named = found if isinstance(found, list) else [{"name": "default", "template": found}]
            return next((entry["template"] for entry in named if entry.get("name") == "default"), "")
    return ""
