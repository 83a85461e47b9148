"""Fixtures that several test files share."""
import json

import pytest

from clinicalgpt.tokenizer import load_tokenizer, train_sentencepiece

TEXT = ["what are the symptoms of influenza ?", "influenza causes fever , cough and headache .",
        "how is asthma treated ?", "asthma is treated with an inhaler .", "User:\nhello\nAssistant:\n",
        "my head hurts , what is it ?", "流感有什么症状？发热、咳嗽。"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """A SentencePiece tokenizer of some 350 entries, 256 of them bytes."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_sentencepiece(TEXT * 4, folder, 400, ["User:", "Assistant:"])
    return load_tokenizer(folder)


@pytest.fixture
def jsonl(tmp_path):
    """Writes its arguments, records or raw lines, to a JSON-lines file and returns its path."""
    def write(*records):
        path = tmp_path / "records.jsonl"
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path
    return write
