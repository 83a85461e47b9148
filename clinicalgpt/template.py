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
from dataclasses import fields as dataclass_fields
from pathlib import Path

from clinicalgpt.files import model_folder, read_json, write_json, write_text
from clinicalgpt.tokenizer import load_tokenizer

ROLES = ("system", "user", "assistant")
STYLES = ("auto", "plain", "chatml", "llama3")
TRIMMED = r"content\S*\s*\|\s*trim"
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
        fields, kinds = read_json(path), {field.name: type(field.default) for field in dataclass_fields(cls)}
        wrong = [name for name, value in fields.items() if name not in kinds or not isinstance(
            value, kinds[name]) and not (name == "default_system" and isinstance(value, str))]
        template = cls(**{name: value for name, value in fields.items() if name not in wrong})
        wrong += [role for role in ("system", "user") if getattr(template, role).count("{content}") != 1]
        if wrong:
            raise ValueError(f"{path}: not a template ({wrong[0]}: {fields.get(wrong[0])!r}); "
                             "a run of this project writes one")
        return template

    def end_id(self, tokenizer):
        """The id of the token that ends an answer.  Raises ValueError if the tokenizer has none."""
        end = tokenizer.special.get(self.end) if self.end else tokenizer.eos_id
        if end is None:
            raise ValueError(f"{tokenizer.folder}: no end token {self.end}; answers could not end")
        return end

    def parts(self, messages):
        """Yield (text, kind): "mark" for the template's own, "content" for what others say, "answer" for what
        the assistant says, "told" for an answer that is told otherwise than it was given.  The tokens at the
        start and behind an answer are left to the caller.  Ends with the cue where the assistant is to speak
        next."""
        if messages[0]["role"] != "system" and self.default_system is not None:
            messages = [{"role": "system", "content": self.default_system}, *messages]
        asked = max((i for i, m in enumerate(messages) if m["role"] == "user" and not (
            m["content"].startswith("<tool_response>") and m["content"].endswith("</tool_response>"))),
            default=len(messages))
        for i, message in enumerate(messages):
            role, content = message["role"], message["content"].strip() if self.strip else message["content"]
            if role == "assistant" and self.thoughts:
                yield from self._with_thought(content, i > asked, i == len(messages) - 1)
            elif role == "assistant":
                yield self.cue, "mark"
                yield content, "answer"
            else:
                before, after = getattr(self, role).split("{content}")
                yield before + self.preamble * (i == 0 and role == "system"), "mark"
                yield content, "content"
                yield after, "mark"
            if role == "assistant" and i < len(messages) - 1:
                yield self.after_answer, "mark"
        if messages[-1]["role"] != "assistant":
            yield self.cue + NO_THOUGHT * self.thoughts, "mark"

    def _with_thought(self, content, is_new, is_last):
        """Qwen3's: an answer since the last question is told with its thought, the last one with an empty one
        if it has none; of earlier answers, thoughts are not told.  A thought is the assistant's, and learned;
        the empty one asks for an answer without (as rollouts and evaluation do)."""
        before, thinks, after = content.rpartition("</think>")
        thought = before.partition("</think>")[0].rpartition("<think>")[2].strip("\n") if thinks else ""
        content = after.lstrip("\n") if thinks else content
        if is_new and thought:
            content = f"<think>\n{thought}\n</think>\n\n" + content.lstrip("\n")
        elif is_new and is_last:
            content = content.lstrip("\n")
        yield self.cue + NO_THOUGHT * (is_new and is_last and not thought), "mark"
        yield content, "answer" if is_last else "told"

    def lessons(self, messages):
        """The dialogues that a dialogue is learned from: itself; or, where earlier answers are told otherwise
        than they are given, one for each answer, which ends it."""
        if not self.thoughts:
            return [messages]
        return [messages[:i + 1] for i, message in enumerate(messages) if message["role"] == "assistant"]

    def render(self, messages, tokenizer):
        """The dialogue as one text, special tokens spelled out."""
        end = self.end or tokenizer.eos
        text = "".join(part + end * (kind in ("answer", "told")) for part, kind in self.parts(messages))
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
        if not chat_template(folder) or recognised(tokenizer) != self:
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
    included).  Under Qwen3's template, of several answers the last alone is marked: see Template.lessons."""
    ids, answer, text, start = [], [], "", True             # text: not yet encoded, so that it merges as one

    def put(tokens, is_answer=False):
        ids.extend(tokens)
        answer.extend([is_answer] * len(tokens))
    if template.start:
        put([tokenizer.special[template.start]])
    for part, kind in template.parts(messages):
        if kind in ("answer", "told"):
            put(tokenizer.encode(text, start))
            put(tokenizer.encode(part, False) + [template.end_id(tokenizer)], kind == "answer")
            text, start = "", tokenizer.every_piece_starts
            continue
        for words, token in tokenizer.find_special(part) if kind == "mark" else [(part, None)]:
            text += words
            if token is not None:
                put([*tokenizer.encode(text, start), token])
                text, start = "", tokenizer.every_piece_starts
    put(tokenizer.encode(text, start))
    return ids, answer


def newest(ids, max_len, template):
    """The newest max_len of a dialogue's tokens, the one that begins every sequence kept."""
    kept = 1 if template.start else 0
    return ids if len(ids) <= max_len else [*ids[:kept], *ids[len(ids) - max_len + kept:]]


# ---- which template a model has --------------------------------------------------------------------------

def open_words(folder, style="auto"):
    """(tokenizer, template) of a run or a model folder, whose template may be chosen by its style."""
    tokenizer = load_tokenizer(model_folder(folder))
    if tokenizer.folder == Path(folder):
        return tokenizer, template_of(tokenizer, style)
    return tokenizer, Template.load(Path(folder) / "template.json")


def template_of(tokenizer, style="auto"):
    """The Template of a model folder: the one that it says is its own, or the plain one; or the style asked
    for.  Raises ValueError for a style that the tokenizer has no tokens for."""
    if style not in STYLES:
        raise ValueError(f"--template {style}: choose {', '.join(STYLES)}")
    stored = tokenizer.folder / "template.json"
    if style == "auto" and stored.is_file():
        return Template.load(stored)
    if style in ("auto", "plain"):
        return style == "auto" and recognised(tokenizer) or plain(tokenizer)
    if MARKERS[style].end not in tokenizer.special:
        raise ValueError(f"--template {style}: this tokenizer has no token {MARKERS[style].end}")
    try:
        own = recognised(tokenizer)
    except ValueError:                                      # asked for by name, the bare markers will do
        own = None
    return own if own and own.end == MARKERS[style].end else MARKERS[style]


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
    """The Template that a folder's chat template means; None if it has none, or markers of another kind.
    Raises ValueError for a ChatML or Llama 3 template that is not understood to the last byte."""
    jinja = chat_template(tokenizer.folder)
    if "<|im_end|>" in tokenizer.special and (not jinja or "<|im_start|>" in jinja):
        template = _chatml(jinja, tokenizer) if jinja else MARKERS["chatml"]
    elif "<|eot_id|>" in tokenizer.special and "<|start_header_id|>" in jinja:
        template = _llama3(jinja)
    else:
        return None
    if template is None:
        raise ValueError(f"{tokenizer.folder}: its chat template is not one of those that are understood; "
                         "choose --template chatml, llama3 or plain")
    return template


def _chatml(jinja, tokenizer):
    """A chat template of the form of Qwen1.5's to Qwen3's, or None."""
    text = _literals(jinja)
    systems = re.findall(r"\[<\|im_start\|>system\n([^\]]*)\](.*?)<\|im_", text + "<|im_", flags=re.S)
    defaults = {words.removesuffix("<|im_end|>\n") for words, _ in systems if words}
    thinks = "last_query_index" in text
    if (_cue(text) != MARKERS["chatml"].cue or len(defaults) > 1
            or any(words and not words.endswith("<|im_end|>\n") for words, _ in systems)
            or any(not words and "content" not in code for words, code in systems)
            or re.search(r"<\|im_end\|>(?!\n|\]\s*\+\s*\[\n)", text)
            or thinks != ("<think>" in text)
            or thinks and "loop.last or (not loop.last and reasoning_content)" not in text):
        return None
    return replace(MARKERS["chatml"], start=tokenizer.bos if "bos_token" in text else "", thoughts=thinks,
                   default_system=next(iter(defaults), None), strip=bool(re.search(TRIMMED, text)))


def _llama3(jinja):
    """A chat template of the form of Llama 3's to 3.3's, or None."""
    text = _literals(jinja)
    cutting = re.search(r"Cutting Knowledge Date: [^\n]+", text)
    today = re.search(r"date_string = \[([^\]]+)", text)
    if _cue(text) != MARKERS["llama3"].cue or not re.search(TRIMMED, text) or "bos_token" not in text \
            or bool(cutting) != bool(today):
        return None
    if not cutting:
        return MARKERS["llama3"]
    return replace(MARKERS["llama3"], default_system="",    # 3.2 asks the clock for the day; a run must not
                   preamble=f"{cutting[0]}\nToday Date: {today[1]}\n\n")


def _cue(text):
    """What a chat template writes where the assistant is to speak."""
    found = re.search(r"\[([^\]]*)\]", text.rpartition("add_generation_prompt")[2])
    return found[1] if found else ""


def _literals(jinja):
    """A chat template without comments, each of its texts in brackets, escapes undone (and brackets of its
    own, which would stand in the way, made round)."""
    out, quoted = [], r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""

    def bracketed(words):
        words = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), words)
        return f"[{words.translate({91: '(', 93: ')'})}]"
    for part in re.split(rf"(\{{#.*?#\}}|\{{[{{%](?:{quoted}|[^'\"])*?[}}%]\}})", jinja, flags=re.S):
        if part.startswith(("{{", "{%")):
            pieces = re.split(f"({quoted})", part, flags=re.S)
            out += [bracketed(piece[1:-1]) if i % 2 else piece.translate({91: "(", 93: ")"})
                    for i, piece in enumerate(pieces)]
        elif part.strip() and not part.startswith("{#"):
            out.append(bracketed(part))
    return "".join(out)


def chat_template(folder):
    """The Jinja text of a folder's chat template, or ""."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        if found := read_json(folder / name, missing={}).get("chat_template"):
            named = found if isinstance(found, list) else [{"name": "default", "template": found}]
            return next((entry["template"] for entry in named if entry.get("name") == "default"), "")
    return ""
