"""Conversations in the shape of ShareGPT, of whatever source: *.json or *.jsonl, a list or lines of
{"conversations": [{"from": "human" | "gpt" | "system" | "user" | "assistant", "value"}, ...]}, and perhaps
"system".  All else is as in prepare_messages.py.
"""
from data import prepare_messages
from data.dialogue import NAME
from data.releases import command


def convert(release, sets, name=""):
    """Make QA and dialogue records of ShareGPT's conversations."""
    prepare_messages.convert(release, sets, name, ("conversations", "from", "value"))


if __name__ == "__main__":
    command("sharegpt", convert, name=NAME)
