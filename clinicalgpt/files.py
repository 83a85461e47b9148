"""Reading and writing JSON at the border: what is wrong is said in one line, with file and line;
what is written is written whole."""

import hashlib
import json
import os
from pathlib import Path


def read_json(path, missing=None):
    """The JSON object in a file, or `missing`, if given, where there is no file.
    Raises FileNotFoundError or ValueError."""
    path = Path(path)
    if not path.is_file():
        if missing is not None:
            return missing
        raise FileNotFoundError(f"{path}: no such file")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds a {type(value).__name__}, not a JSON object")
    return value


def model_folder(run):
    """The model folder under a run: its own, or that of the trunk on which its adapters stand; weights and
    tokenizer lie there."""
    run = Path(run)
    while (run / "adapter").is_dir():
        run = Path(read_json(run / "config.json")["trunk"])
    return run / "model" if (run / "model").is_dir() else run


def read_jsonl(path):
    """Yield (line number, object) of a JSON-lines file; blank lines are passed over.
    Raises FileNotFoundError or ValueError."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:       # also UTF-8, and numbers of 5,000 digits
                raise ValueError(f"{path}:{number}: not a JSON line ({error}); "
                                 "one record a line, UTF-8") from None
            if not isinstance(value, dict):
                raise ValueError(f"{path}:{number}: a {type(value).__name__}, not a JSON object; "
                                 "one record a line")
            yield number, value


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path, text):
    """Write a file whole or not at all: aside, synced, renamed.  Half a surrogate pair, which UTF-8 cannot
    hold, is written as JSON escapes it."""
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(aside, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def write_json(path, value):
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_jsonl(path, records):
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
