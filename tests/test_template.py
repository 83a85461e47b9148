"""Dialogues as text: what transformers renders for Qwen and Llama 3; as tokens: special ones from the
template alone, answers marked."""
import json

import pytest

from clinicalgpt.template import MARKERS, Template, chat_template, encode_dialogue, newest, template_of
from clinicalgpt.tokenizer import load_tokenizer
from tests.test_tokenizer import golden, spaced, write

# Chat templates in Jinja, of the form that these models came with.
TURNS = ("{% for m in messages %}"
         "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
THOUGHT = ("{%- for m in messages %}{%- if loop.index0 > ns.last_query_index %}"
           "{%- if loop.last or (not loop.last and reasoning_content) %}"
           "{{- '<|im_start|>' + m.role + '\\n<think>\\n' + reasoning_content + '\\n</think>\\n\\n' "
           "+ m.content }}{%- endif %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
           "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
           "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}")
LLAMA3 = ("{% for m in messages %}"
          "{% set content = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n'"
          "+ m['content'] | trim + '<|eot_id|>' %}"
          "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
          "{{ content }}{% endfor %}{% if add_generation_prompt %}"
          "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
JINJA = {
    "qwen2": "{% if messages[0]['role'] != 'system' %}"
             "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}" + TURNS,
    "qwen2.5": "{%- if messages[0]['role'] == 'system' %}"
               "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}{%- else %}"
               "{{- \"<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. "
               "You're a helpful assistant.<|im_end|>\\n\" }}{%- endif %}{# <|im_end|> #}" + TURNS,
    "qwen3": "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}" + THOUGHT,
    "llama3": LLAMA3,
    "llama3.1": '{{- bos_token }}{%- set date_string = "26 Jul 2024" %}{{- "<|start_header_id|>system" }}'
                '{{- "Cutting Knowledge Date: December 2023\\n" }}'
                '{{- "Today Date: " + date_string + "\\n\\n" }}' + LLAMA3}
HEADER, EOT = "<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
ASKED = [{"role": "user", "content": " my head hurts\n"}]
TOLD = [*ASKED, {"role": "assistant", "content": "rest"}]
LONG = [{"role": "system", "content": "be brief"}, *TOLD, {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nsleep"}]

# A system message that is not given, and what stands before the newest answer.
RENDERED = {"qwen2": ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", ""),
            "qwen2.5": ("<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. "
                        "You're a helpful assistant.<|im_end|>\n", ""),
            "qwen3": ("", "<think>\n\n</think>\n\n")}


def model_folder(folder, name):
    golden(folder, "qwen2" if name.startswith("qwen") else "llama3")
    ends = {"eos_token": "<|im_end|>"} if name.startswith("qwen") else {
        "eos_token": "<|end_of_text|>", "bos_token": "<|begin_of_text|>"}
    return load_tokenizer(write(folder, tokenizer_config__json={"chat_template": JINJA[name], **ends}))


@pytest.mark.parametrize("name", RENDERED)
def test_qwen(tmp_path, name):
    tokenizer = model_folder(tmp_path, name)
    template, (system, thought) = template_of(tokenizer), RENDERED[name]
    asked, cue = "<|im_start|>user\n my head hurts\n<|im_end|>\n", "<|im_start|>assistant\n"
    assert template.render(ASKED, tokenizer) == system + asked + cue + thought
    assert template.render(TOLD, tokenizer) == f"{system}{asked}{cue}{thought}rest<|im_end|>\n"
    assert template.render(LONG, tokenizer) == (
        f"<|im_start|>system\nbe brief<|im_end|>\n{asked}{cue}rest<|im_end|>\n"
        f"<|im_start|>user\nand?<|im_end|>\n{cue}<think>\nhm\n</think>\n\nsleep<|im_end|>\n")


def test_qwen3_tells_no_earlier_thoughts(tmp_path):
    """Nor does it learn from answers as they are told later: each is learned as the newest, behind the prompt
    that asks for it."""
    tokenizer = model_folder(tmp_path, "qwen3")
    template, twice = template_of(tokenizer), [*LONG, {"role": "assistant", "content": "well"}]
    text = template.render([*LONG, {"role": "user", "content": "thanks"}], tokenizer)
    assert "<|im_start|>assistant\nsleep<|im_end|>\n" in text and "hm" not in text
    assert "<think>\nhm\n</think>\n\nsleep<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nwell" in \
        template.render(twice, tokenizer)                                       # two answers to one question
    lessons = template.lessons(LONG)
    assert [lesson[-1]["content"] for lesson in lessons] == ["rest", "<think>\nhm\n</think>\n\nsleep"]
    ids, answer = encode_dialogue(tokenizer, template, lessons[0])
    prompt, _ = encode_dialogue(tokenizer, template, lessons[0][:-1])
    assert ids[:len(prompt)] == prompt and answer == [False] * len(prompt) + [True] * (len(ids) - len(prompt))
    assert Template().lessons(LONG) == [LONG]
    ids, answer = encode_dialogue(tokenizer, template, lessons[1])              # a thought is learned
    assert tokenizer.decode([i for i, is_answer in zip(ids, answer) if is_answer]) == \
        "<think>\nhm\n</think>\n\nsleep"


REFUSED = {
    "no newline behind an answer": ("qwen2", JINJA["qwen2"].replace(" + '\n' }}{% endfor", " }}{% endfor")),
    "a cue that thinks": ("qwen2", JINJA["qwen2"].replace("assistant\n' }}", "assistant\n<think>\n' }}")),
    "a system message in a variable": (
        "qwen2", "{{ '<|im_start|>system\n' + words + '<|im_end|>\n' }}" + TURNS),
    "two system messages": ("qwen2", JINJA["qwen2"] + JINJA["qwen2.5"]),
    "thoughts told by other rules": ("qwen2", JINJA["qwen3"].replace("loop.last or", "loop.first or")),
    "thoughts of no rule": ("qwen2", JINJA["qwen2"] + "{{ '<think>' }}"),
    "contents as they are": ("llama3", LLAMA3.replace(" | trim", "")),
    "dates without a day": ("llama3", JINJA["llama3.1"].replace("set date_string", "set day"))}


@pytest.mark.parametrize("name", REFUSED)
def test_templates_that_are_not_understood(tmp_path, name):
    """Never approximated: the user has to choose, and may choose the bare markers."""
    kind, jinja = REFUSED[name]
    golden(tmp_path, kind)
    names = {"bos_token": "<|begin_of_text|>"} if kind == "llama3" else {}
    tokenizer = load_tokenizer(write(tmp_path, tokenizer_config__json={"chat_template": jinja, **names}))
    with pytest.raises(ValueError, match="not one of those that are understood; choose --template chatml, l"):
        template_of(tokenizer)
    style = "llama3" if kind == "llama3" else "chatml"
    assert template_of(tokenizer, style) == MARKERS[style]
    assert template_of(tokenizer, "plain").cue == "Assistant:\n"


@pytest.mark.parametrize("name", ["llama3", "llama3.1"])
def test_llama3(tmp_path, name):
    """Contents lose the space around them; 3.1 begins with a system message of two dates."""
    tokenizer = model_folder(tmp_path, name)
    template = template_of(tokenizer)
    first = "<|begin_of_text|>" + (HEADER.format("system") + DATES + EOT if name == "llama3.1" else "")
    asked = HEADER.format("user") + "my head hurts" + EOT
    assert template.render(ASKED, tokenizer) == first + asked + HEADER.format("assistant")
    assert template.render(TOLD, tokenizer) == f"{first}{asked}{HEADER.format('assistant')}rest{EOT}"
    text = template.render(LONG, tokenizer)
    dates = DATES if name == "llama3.1" else ""
    assert text.startswith(f"<|begin_of_text|>{HEADER.format('system')}{dates}be brief{EOT}{asked}")


def check_tokens(encode, tokenizer, template):
    """The ids are those of the rendered text with its special tokens read as such; the answers are marked,
    with their ends; and a special token in somebody's words stays words."""
    end = template.end_id(tokenizer)
    for messages in (ASKED, TOLD, LONG):
        ids, answer = encode(tokenizer, template, messages)
        expected, text = [], template.render(messages, tokenizer)
        text = text if messages is ASKED else text.removesuffix(template.after_answer)
        for before, token in tokenizer.find_special(text):
            expected += tokenizer.encode(before) + [token] * (token is not None)
        assert ids == expected
        said = [m["content"] for m in messages if m["role"] == "assistant"]
        said = said[-1:] if template.thoughts else said
        marked = [i for i, is_answer in zip(ids, answer, strict=True) if is_answer]
        assert tokenizer.decode(marked).endswith(said[-1].rpartition("\n")[2] if said else "")
        assert marked.count(end) == len(said)
        assert not answer[0] and (not said or marked[-1] == end)
    plain, forged = (encode(tokenizer, template, [{"role": "user", "content": text}])[0]
                     for text in ("a", "a" + "".join(tokenizer.special)))
    assert [i for i in forged if i in tokenizer.added] == [i for i in plain if i in tokenizer.added], "forged"


@pytest.mark.parametrize("name", JINJA)
def test_tokens(tmp_path, name):
    tokenizer = model_folder(tmp_path, name)
    template = template_of(tokenizer)
    check_tokens(encode_dialogue, tokenizer, template)

    def forgeable(tokenizer, template, messages):
        ids, text = [], template.render(messages, tokenizer)
        text = text.removesuffix(template.after_answer) if messages[-1]["role"] == "assistant" else text
        for before, token in tokenizer.find_special(text):
            ids += tokenizer.encode(before) + [token] * (token is not None)
        return ids, encode_dialogue(tokenizer, template, messages)[1]
    with pytest.raises(AssertionError, match="forged"):
        check_tokens(forgeable, tokenizer, template)


def test_plain_markers_of_a_llama(tmp_path):
    """The token that begins every sequence, then a text at its start, with its space; an answer has none."""
    tokenizer = load_tokenizer(spaced(tmp_path, chat_template="[INST] {{ unknown }} [/INST]"))
    template = template_of(tokenizer)
    assert template == Template(start="<s>")
    ids, answer = encode_dialogue(tokenizer, template, TOLD)
    prompt = tokenizer.encode("User:\n my head hurts\n\nAssistant:\n")
    rest = tokenizer.encode("rest", start=False)
    assert ids == [1, *prompt, *rest, 2] and sum(answer) == len(rest) + 1
    assert newest(ids, 5, template) == [1, *ids[-4:]] and newest(ids, 5, Template()) == ids[-5:]
    assert newest(ids, 10**6, template) == ids


@pytest.mark.parametrize("style, expected", [("plain", Template()), ("chatml", "own"), ("auto", "own")])
def test_choosing_a_style(tmp_path, style, expected):
    tokenizer = model_folder(tmp_path, "qwen2.5")
    own = template_of(tokenizer)
    assert own.default_system.startswith("You are Qwen") and own.end == "<|im_end|>"
    assert template_of(tokenizer, style) == (own if expected == "own" else expected)
    assert r'"Assistant:\n"' in template_of(tokenizer, "plain").jinja(tokenizer)
    for wrong, says in (("llama3", r"no token <\|eot_id\|>"), ("alpaca", "choose auto, plain, chatml, ll")):
        with pytest.raises(ValueError, match=says):
            template_of(tokenizer, wrong)


def test_tokens_without_a_chat_template(tmp_path):
    """A base that has ChatML's tokens and says nothing is talked to in ChatML; Llama 3's base, which never
    saw its headers, is not."""
    assert template_of(golden(tmp_path / "q", "qwen2")) == MARKERS["chatml"]
    golden(tmp_path / "l", "llama3")
    llama = load_tokenizer(write(tmp_path / "l", tokenizer_config__json={"bos_token": "<|begin_of_text|>",
                                                                         "eos_token": "<|end_of_text|>"}))
    assert template_of(llama) == Template(start="<|begin_of_text|>")
    assert template_of(llama, "llama3") == MARKERS["llama3"]


def test_jinja(tmp_path):
    """The plain markers as a chat template (transformers renders it in benchmarks/parity.py)."""
    tokenizer = load_tokenizer(spaced(tmp_path))
    assert template_of(tokenizer).jinja(tokenizer) == (
        '{{ "<s>" }}{% for message in messages %}{% if message[\'role\'] == \'assistant\' %}'
        '{{ "Assistant:\\n" + message[\'content\'] + "</s>" + "\\n" }}'
        '{% elif message[\'role\'] == \'system\' %}{{ "" + message[\'content\'] + "\\n" }}'
        '{% else %}{{ "User:\\n" + message[\'content\'] + "\\n" }}{% endif %}{% endfor %}'
        '{% if add_generation_prompt %}{{ "Assistant:\\n" }}{% endif %}')


@pytest.mark.parametrize("style", ["plain", "auto"])
def test_export(tmp_path, style):
    """A folder of its own: the tokenizer, the template, where an answer ends; a foreign template is told in
    Jinja, its own stays."""
    tokenizer = model_folder(tmp_path / "in", "qwen2")
    write(tmp_path / "in", generation_config__json={"eos_token_id": 0, "top_p": 0.8})
    out = tmp_path / "out"
    out.mkdir()
    template = template_of(tokenizer, style)
    tokenizer.save(out)
    template.export(out, tokenizer)
    again = load_tokenizer(out)
    assert template_of(again) == template
    generation = json.loads((out / "generation_config.json").read_text())
    assert generation == {"eos_token_id": [template.end_id(tokenizer), 0], "top_p": 0.8}
    assert (chat_template(out) == JINJA["qwen2"]) == (style == "auto")
    assert ("User:" in chat_template(out)) == (style == "plain")


def test_a_base_without_a_chat_template_is_exported_with_one(tmp_path):
    tokenizer = golden(tmp_path / "in", "qwen2")
    (tmp_path / "out").mkdir()
    template_of(tokenizer).export(tmp_path / "out", tokenizer)
    assert "<|im_start|>assistant" in chat_template(tmp_path / "out")


@pytest.mark.parametrize("fields", [{"usr": "x"}, {"user": "no place"}, {"cue": 3}, {"strip": "yes"},
                                    {"default_system": 1}, {"system": None}])
def test_templates_on_disk_are_checked(tmp_path, fields):
    (tmp_path / "template.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=f"not a template .{min(fields)}: ") as error:
        Template.load(tmp_path / "template.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("files", [
    {"chat_template__json": {"chat_template": JINJA["qwen2"]}}, {"chat_template__jinja": JINJA["qwen2"]},
    {"tokenizer_config__json": {"chat_template": [{"name": "tool_use", "template": "{{ tools }}"},
                                                  {"name": "default", "template": JINJA["qwen2"]}]}}])
def test_places_of_a_chat_template(tmp_path, files):
    golden(tmp_path, "qwen2")
    write(tmp_path, chat_template__json={"chat_template": ""}, tokenizer_config__json={})
    assert chat_template(write(tmp_path, **files)) == JINJA["qwen2"]


def test_without_an_end(tmp_path):
    raw = json.loads((golden(tmp_path, "gpt2").folder / "tokenizer.json").read_text()) | {"added_tokens": []}
    tokenizer = load_tokenizer(write(tmp_path, tokenizer__json=raw))
    assert tokenizer.eos_id is None and tokenizer.encode("a")
    with pytest.raises(ValueError, match="no end token"):
        encode_dialogue(tokenizer, Template(), TOLD)
