"""
Reading the files of public data releases and writing records as JSON lines.  (Not here: what each means.)

A converter, prepare_<name>.py, is one function convert(release, sets): it reads records, each with its place
"file:line", and hands tasks and preferences to `sets`, which refuses unusable ones and counts why.  `command`
is the command line of them all.  Nothing is written before the whole release was read without an error; then
all files appear by renaming.
"""
import argparse
import csv
import hashlib
import html
import io
import json
import lzma
import os
import re
import sys
import tempfile
import zipfile
import zlib
from collections import Counter
from pathlib import Path

from data.privacy import deidentify_record

SPLITS = ("test", "valid", "train")                  # a question belongs to the first that asks it: `apart`
SETS = ("test", "valid", "preferences_valid", "train", "preferences_train")
KIND = {str: "text", list: "list", dict: "object", int: "number"}
GAP = {dict: re.compile(r"[\s,\[\]]*"),              # what may stand between the records of a JSON list
       list: re.compile(r"(\A\s*\[)?[\s,]*(\]\s*\Z)?")}


def digest(*texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def split_of(id, train=90):
    """The set of a record, by its id alone: `train` percent train, what is left half valid and half test."""
    percent = int(digest(id)[:8], 16) % 10_000 / 100
    return "train" if percent < train else "valid" if percent < (train + 100) / 2 else "test"


def check_there(release):
    if not release.exists():
        raise FileNotFoundError(f"{release}: no such file or folder; correct the path")


def find(release, pattern, required=True):
    """The one file of that name in the folder of a release, at any depth; None if it may be absent and is."""
    found = sorted(release.rglob(pattern))
    if len(found) > 1:
        raise ValueError(f"{release}: both {found[0]} and {found[1]} are called {pattern}; keep one")
    if not found and required:
        raise FileNotFoundError(f"{release}: no file {pattern} in it; data/README.md says where it is from")
    return found[0] if found else None


def find_all(release, *patterns):
    """All files of these names in the folder of a release, at any depth; or the file that `release` is."""
    found = sorted({path for pattern in patterns for path in release.rglob(pattern) if path.is_file()})
    if not found and not release.is_file():
        raise FileNotFoundError(f"{release}: no {' or '.join(patterns)} in it; see the head of the converter")
    return found or [release]


def official_splits(paths):
    """(split, path) of files whose names say train, dev or test; no split where all say the same."""
    words = {"train": "train", "valid": "val|dev", "test": "test"}
    named = [(next((split for split, word in words.items()
                    if re.search(rf"(?<![a-z])({word})", path.stem, re.I)), None), path) for path in paths]
    return named if len({split for split, _ in named}) > 1 else [(None, path) for path in paths]


def only_file(release, pattern):
    """The file of a release that has but one: `release` is its folder, or the file, whatever its name."""
    return release if release.is_file() else find(release, pattern)


def read_text(path):
    """The text of a file, or of the one file in a zip archive: UTF-8, marked or not, or GB18030."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name[-1] != "/" and "__MACOSX" not in name]
                if len(names) != 1:
                    raise ValueError(f"{path}:1: {len(names)} files in the archive, not one; unpack it here")
                data = archive.read(names[0])
        elif path.suffix == ".xz":
            data = lzma.decompress(path.read_bytes())
        else:
            data = path.read_bytes()
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError) as error:
        if getattr(error, "filename", None):         # no such file, no permission
            raise
        raise ValueError(f"{path}:1: the archive cannot be read ({error}); download it again") from None
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise ValueError(f"{path}:{line}: a byte 0, which no text has; save the file as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start
    try:
        text = data.decode("gb18030")                # damaged UTF-8 is hardly ever whole GB18030
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, max(start, error.start)) + 1     # of the encoding that holds for longer
        raise ValueError(f"{path}:{line}: neither UTF-8 nor GB18030; save the file as UTF-8") from None
    if char := misread(text):
        line = text.count("\n", 0, text.index(char)) + 1
        meant = char.encode("gb18030").decode("cp1252", "replace")
        raise ValueError(f"{path}:{line}: not UTF-8, and {meant!r} would be {char!r} in GB18030; "
                         "save the file as UTF-8")
    return text


def misread(text):
    """A character that GB18030 makes of Western text ("°C": 癈), or None where such are at most a third of
    those beyond ASCII.  The second byte of theirs is the letter that followed: of a character in GB2312, as
    nearly all of simplified Chinese is, it never is one, of a fifth of traditional Chinese by chance."""
    counts = Counter(text)
    beyond = [char for char in counts if not char.isascii()]
    lettered = [char for char in beyond if char >= "\u4e00" and len(pair := char.encode("gb18030")) == 2
                and pair[1] < 128]
    return lettered[0] if 3 * sum(counts[c] for c in lettered) > sum(counts[c] for c in beyond) else None


def read_records(path):
    """(place, record) of each JSON object, one a line or in a list, or of each row of CSV with a header."""
    text, place = read_text(path), None
    for place, record in (json_records if text.lstrip()[:1] in ("{", "[") else csv_records)(path, text):
        yield place, record
    if place is None:
        what = "no records in it" if text.strip() else "the file is empty"
        raise ValueError(f"{path}:1: {what}; download or save it again")


def json_records(path, text, kind=dict):
    decoder, line, end = json.JSONDecoder(), 1, 0
    while (start := GAP[kind].match(text, end).end()) < len(text):
        line += text.count("\n", end, start)
        try:
            record, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:        # also numbers of 5,000 digits, lists 1,000 deep
            reason = getattr(error, "msg", error)
            raise ValueError(f"{path}:{line}: the record here is not JSON ({reason}); repair it") from None
        if not isinstance(record, kind):
            found = text[start:start + 20].strip()
            raise ValueError(f"{path}:{line}: {found!r} is no {KIND[kind]}; repair it")
        yield f"{path}:{line}", record
        line += text.count("\n", start, end)
    if text.lstrip()[:1] == "[" and "]" not in text[end:]:
        raise ValueError(f"{path}:{line}: the list has no end, the file was cut; download it again")


def csv_records(path, text):
    first = re.sub('"[^"]*"', "", re.match(r"[^\r\n]*", text)[0])
    delimiter = max(",;\t", key=first.count)         # European spreadsheets write semicolons
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        header = next(rows, [])
        line = rows.line_num + 1
        for row in filter(None, rows):
            if len(row) != len(header):
                raise ValueError(f"{path}:{line}: {len(row)} cells, the header has {len(header)}; "
                                 "repair the separators or quotes")
            yield f"{path}:{line}", dict(zip(header, row, strict=True))
            line = rows.line_num + 1                 # where the next row begins: a cell may hold line breaks
    except csv.Error as error:
        raise ValueError(f"{path}:{line}: the row here is not CSV ({error}); repair the quotes") from None


def field(record, place, name, kind=str):
    """A field of the record, checked; text comes without the mark-up of web pages."""
    value = record.get(name)
    if not isinstance(value, kind):
        found = type(value).__name__ if name in record else f"only {', '.join(map(str, record))[:100]}"
        raise ValueError(f"{place}: no {KIND[kind]} '{name}' (found {found}); see the head of the converter")
    return clean(value) if kind is str else value


def clean(text):
    text = html.unescape(re.sub(r"<br ?/?>|\r\n?", "\n", text))
    text = re.sub(r"[\0-\x08\x0b-\x1f\x7f]", "", text).strip()         # control characters
    return text.encode(errors="ignore").decode()     # drops halves of characters that a cut in UTF-16 left


def question_key(record):
    """Equal for records that ask the same, whatever their spaces, punctuation and order of options."""
    words = "\n".join(message["content"] for message in record["messages"] if message["role"] == "user")
    return tuple(sorted(re.sub(r"^[A-Z]\. |\W", "", line) for line in words.split("\n")))


def apart(sets):
    """{set: records} without repeats, and without what a set earlier in SETS asks; counts of both."""
    kept, dropped, seen, asked_in = {name: [] for name in SETS}, Counter(), set(), {}
    for name in SETS:
        split = name.removeprefix("preferences_")
        for record in sets.get(name, []):
            key = question_key(record)
            answers = record.get("answers") or (record.get("chosen") or record["messages"][-1]["content"],
                                                record.get("rejected"))
            full_key = name, key, *answers
            asked_in.setdefault(key, split)
            if SPLITS.index(asked_in[key]) < SPLITS.index(split):
                dropped[f"asked in {asked_in[key]}"] += 1
            elif full_key in seen:
                dropped["repeated"] += 1
            else:
                seen.add(full_key)
                kept[name].append(record)
    return kept, dropped


class Sets:
    """The records made from one release, by set, and the count of those dropped, by reason."""

    def __init__(self, source, max_chars=1500, deidentify=True, seed=0):
        self.source, self.max_chars, self.records, self.dropped = source, max_chars, {}, Counter()
        self.deidentify, self.seed = deidentify, seed
        self.private = False                         # whether these are a group's own texts
        self.patients = {}                           # whose a record is, by its id, where a release says that
        self.persons = {}                            # the names that its other columns give, by its id
        self.cleaned = Counter()                     # what was taken out of records that stay, by kind

    def add_task(self, split, task, id, texts, system="", **meta):
        """texts: the turns of user and assistant, the user's first; system: what stands before them."""
        if self._usable(texts[:-1], texts[-1:]):
            roles = ["user", "assistant"] * (len(texts) // 2)
            messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
            if system:
                messages.insert(0, {"role": "system", "content": system})
            self._add(split, id, task=task, messages=messages, meta=meta)

    def add_preference(self, split, id, messages, chosen, rejected):
        if self._usable([message["content"] for message in messages], [chosen, rejected]):
            self._add(f"preferences_{split}", id, messages=messages, chosen=chosen, rejected=rejected)

    def add_ranking(self, split, id, messages, answers, **more):
        """answers: two or more, from best to worst; more: perhaps ranks and meta."""
        if self._usable([message["content"] for message in messages], answers):
            self._add(f"preferences_{split}", id, messages=messages, answers=answers, **more)

    def halve_valid(self):
        """For a release without its test file: half of the validation records become the test."""
        for record in self.records.pop("valid", []):
            self.records.setdefault(split_of(record["id"], train=0), []).append(record)

    def drop(self, reason):
        self.dropped[reason] += 1

    def _add(self, name, id, **record):
        record = {"id": f"{self.source}-{id}", "source": self.source, **record}
        self.records.setdefault(name, []).append(record)

    def _usable(self, asked, answers):
        if not all(asked + answers):
            self.drop("empty")
        elif asked[-1] in answers or len(set(answers)) < len(answers):
            self.drop("answer equal to the question or to the other answer")
        elif sum(map(len, asked)) + max(map(len, answers)) > self.max_chars:
            self.drop(f"over {self.max_chars} characters")
        else:
            return True

    def write(self, out):
        """Write out/<source>_<set>.jsonl of every set that has records; returns the line of counts."""
        total = self.dropped.total() + sum(map(len, self.records.values()))
        kept, repeats = apart(self.records)
        self.dropped.update(repeats)
        private = self._deidentify(kept) if self.deidentify else "not looked for"
        write_files(out, {f"{self.source}_{name}.jsonl": json_lines(kept[name]) for name in SETS})
        sizes = ", ".join(f"{name} {len(kept[name])}" for name in reversed(SETS) if kept[name])
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.dropped.items())) or "none"
        dropped = self.dropped.total()
        cleaned = "".join(f"; {kind} {count}" for kind, count in sorted(self.cleaned.items()) if count)
        return (f"{self.source}: in {total}, out {total - dropped} ({sizes}), "
                f"dropped {dropped} ({reasons}){cleaned}; private: {private}")

    def _deidentify(self, kept):
        """De-identify the records in place; returns the count of replacements by kind, as words."""
        private = Counter()
        for records in kept.values():
            for i, record in enumerate(records):
                id = record["id"]
                records[i], counts = deidentify_record(
                    record, self.seed, self.patients.get(id, ""), self.private, self.persons.get(id, ()))
                private.update(counts)
        return ", ".join(f"{kind} {count}" for kind, count in sorted(private.items())) or "none"


def json_lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def write_files(out, texts):
    """Write out/<name> for each name; where its text is empty, remove what an earlier run may have left."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".partial-") as partial:
        for name, text in texts.items():
            Path(partial, name).write_text(text, encoding="utf-8", newline="\n")
        for name, text in texts.items():
            if text:
                os.replace(Path(partial, name), out / name)
            else:
                (out / name).unlink(missing_ok=True)


def report_errors(action):
    """Print what action() returns; a fault in the files is one line on stderr and exit status 2."""
    try:
        print(action())
    except (ValueError, OSError) as error:
        said = " ".join(str(error).split())          # what was found may be a whole file
        print(said if len(said) < 1000 else f"{said[:500]} ... {said[-300:]}", file=sys.stderr)
        sys.exit(2)


def command(source, convert, argv=None, max_chars=1500, **flags):
    """The command line of a converter.  flags: {name: what add_argument takes}, keywords of convert."""
    parser = argparse.ArgumentParser(prog=f"python -m data.prepare_{source}", description=convert.__doc__)
    parser.add_argument("release", type=Path, help="the folder of the release, or its only file")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--max-chars", type=int, default=max_chars,
                        help=f"drop longer records (default {max_chars})")
    parser.add_argument("--no-deidentify", action="store_true",
                        help="leave names, numbers and dates as they are")
    parser.add_argument("--seed", default="0", help="of what takes their place: secret if they are private")
    for name, flag in flags.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **flag)
    args = parser.parse_args(argv)

    def convert_and_write():
        check_there(args.release)
        sets = Sets(source, args.max_chars, not args.no_deidentify, args.seed)
        convert(args.release, sets, **{name: getattr(args, name) for name in flags})
        if not sets.records:
            why = dict(sets.dropped) or "none of its files is here"
            raise ValueError(f"{args.release}: no usable record ({why}); see the head of the converter")
        if sets.private and sets.deidentify and sets.seed == "0":
            print("--seed 0 is no secret: anyone can compute again what took the place of names and dates; "
                  "give --seed something secret", file=sys.stderr)
        return sets.write(args.out)

    report_errors(convert_and_write)
