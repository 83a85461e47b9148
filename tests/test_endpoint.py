"""The endpoint client against a real server that does all that servers do; the cache; answers from files."""
import json
import signal
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from clinicalgpt.answers import Cache, Failure, FileModel, Reply, key_of
from clinicalgpt.evaluation.endpoint import Endpoint, in_parallel, read_completion, seconds
from tests.server import Server, completion, events

KEY = "sk-tests-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(question):
    return [{"role": "user", "content": question}]


def endpoint(server, cache=None, **more):
    return Endpoint(server.url, "m", cache=cache, **{"backoff": 0.01, "timeout": 5, "tries": 3, **more})


MENDED = ["", "drop ok", "cut ok", "cut-json ok", "500 ok", "502 drop ok", "408 ok", "409 ok", "html ok",
          "garbage ok", "shape ok", "deep ok", "list ok", "nothing ok", "no-choices ok", "no-text ok",
          "error ok", "plain", "stream", "cut-stream ok", "ended-stream ok", "bad-stream ok",
          "wait ok"]
LOST = {"drop": "RemoteDisconnected", "cut": "IncompleteRead", "cut-json": "no completion", "500": "HTTP 500",
        "html": "Gateway", "shape": "no completion", "no-choices": "without a text",
        "nothing": "no completion", "no-text": "content_filter", "cut-stream": "ended early",
        "ended-stream": "ended early", "error": "overloaded", "bad-stream": "overloaded"}
HOPELESS = {"400": "HTTP 400", "404": "status 404", "302": "HTTP 302", "wait-long": "Retry-After: 86400 s"}


@pytest.mark.parametrize("stream", [False, True])
def test_every_item_ends_as_an_answer_or_a_failure_in_order(stream):
    scripts = [*MENDED, *LOST, *HOPELESS]
    questions = [f"{i} | {script}" if script else f"{i}" for i, script in enumerate(scripts)]
    with Server() as server:
        replies = endpoint(server, parallel=16, stream=stream).replies([ask(q) for q in questions])
        for i, (script, reply) in enumerate(zip(scripts, replies, strict=True)):
            tries = sum(question == questions[i] for question in server.questions())
            if script in MENDED:
                assert reply == f"answer to {i}" and tries == max(len(script.split()), 1), script
            else:
                reason = (LOST | HOPELESS)[script]
                assert isinstance(reply, Failure) and reason in reply.reason, (script, reply)
                assert tries == (3 if script in LOST else 1), script


def test_the_request():
    with Server() as server:
        model = endpoint(server, settings={"max_tokens": 5}, key_name="NO_SUCH_KEY")
        model.replies([[{"role": "system", "content": "s", "note": 1}, *ask("发热？")]])
        endpoint(server).replies([ask("x")])
        (_, _, body, headers), (*_, keyed) = server.asked
    assert body == {"model": "m", "temperature": 0, "max_tokens": 5, "stream": False,
                    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "发热？"}]}
    assert "Authorization" not in headers and keyed["Authorization"] == f"Bearer {KEY}"


def test_why_an_answer_ended_is_recorded(tmp_path):
    questions = ["1 | length", "2 | long-stream", "3", "4 | empty", "5 | half"]
    with Server() as server:
        replies = endpoint(server, Cache(tmp_path / "c")).replies([ask(q) for q in questions])
        again = endpoint(server, Cache(tmp_path / "c")).replies([ask(q) for q in questions])
        assert len(server.asked) == 5
    for got in (replies, again):
        assert got == ["answer to 1", "answer to 2", "answer to 3", "", "cough \ufffd"]
        assert [reply.finish for reply in got] == ["length", "length", "stop", "stop", "stop"]


def test_a_silent_server_is_asked_again():
    with Server() as server:
        model = endpoint(server, timeout=0.2, tries=2)
        mended, lost = model.replies([ask("1 | silent ok"), ask("2 | silent")])
        assert mended == "answer to 1" and "timed out (2 tries)" in lost.reason and len(server.asked) == 4


def test_a_stream_is_over_at_its_end_mark():
    with Server() as server:
        assert endpoint(server, longest=2, tries=1).replies([ask("1 | open-stream")]) == ["answer to 1"]


@pytest.mark.parametrize("act", ["trickle", "trickling-head"])
def test_a_server_that_trickles_forever_does_not_hold_us(act):
    start = time.monotonic()
    with Server() as server:
        (reply,) = endpoint(server, tries=2, longest=0.2).replies([ask(f"1 | {act}")])
    assert "no whole reply within 0.2 s" in reply.reason and time.monotonic() - start < 1


def test_waits():
    """Retry-After holds all back; a rate limit spaces requests; back-off doubles."""
    with Server() as server:
        endpoint(server, parallel=1).replies([ask("1 | wait ok"), ask("2")])
        times = [when for _, when, *_ in server.asked]
        assert 0.4 <= times[1] - times[0] < 1.5
        server.asked.clear()
        start = time.monotonic()
        endpoint(server, parallel=4, per_minute=1200).replies([ask(str(i)) for i in range(8)])   # 50 ms each
        assert 7 * 0.05 <= time.monotonic() - start < 7 * 0.05 + 1
        server.asked.clear()
        endpoint(server, tries=4, backoff=0.1).replies([ask("3 | 500")])
        first, second, third, fourth = (when for _, when, *_ in server.asked)
        for gap, least in ((second - first, 0.05), (third - second, 0.1), (fourth - third, 0.2)):
            assert least <= gap < 2 * least + 1


def test_retry_after_by_hand():
    assert [seconds(value) for value in ("3", "0.5", None, "", "soon", "-5", "nan", "inf")] \
        == [3, 0.5, 0, 0, 0, 0, 0, 0]
    assert seconds(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert seconds(formatdate(time.time() - 100, usegmt=True)) == 0


def test_requests_run_in_parallel_as_many_as_asked_for():
    with Server(delay=0.1) as server:
        start = time.monotonic()
        endpoint(server, parallel=10).replies([ask(str(i)) for i in range(20)])
        assert 0.2 <= time.monotonic() - start < 1.6
        start = time.monotonic()
        endpoint(server, parallel=2).replies([ask(str(i)) for i in range(8)])
        assert time.monotonic() - start >= 0.4


def test_the_key_is_never_shown_or_stored(tmp_path, capfd, monkeypatch):
    with Server() as server:
        model = endpoint(server, Cache(tmp_path / "c"), parallel=1)
        told, said, stopped = model.replies([ask("1 | tell"), ask("2 | say-key"), ask("3 | 401")])
        assert "HTTP 400" in told.reason and "[API" in told.reason and "OPENAI_API_KEY" in stopped.reason
        assert said == said.finish == "Bearer [API key]"
        shown = (tmp_path / "c").read_text() + repr((vars(model), told, said, said.finish, stopped))
        shown += "".join(capfd.readouterr())
        assert KEY not in shown and KEY[:8] not in shown
        asked = len(server.asked)
        assert model.replies([ask("4")]) == [stopped] and len(server.asked) == asked       # wrong for all
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nX-Other: 1")
    with pytest.raises(ValueError, match="OPENAI_API_KEY in the environment") as caught:
        endpoint(server)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["api.example.com/v1", "ftp://a/v1", "http:///v1", "http://user:pw@a/v1", "",
                                 "http://a/v 1", "http://a/v1?key=1", "http://a:99999/v1", "http://[::1/v1",
                                 "http://a/v1#x", "http://a/体温"])
def test_a_bad_url_is_one_clear_line(url):
    with pytest.raises(ValueError, match="endpoint's URL") as caught:
        Endpoint(url, "m")
    assert "pw" not in str(caught.value)


def test_nobody_listens():
    with Server() as server:
        pass
    (reply,) = endpoint(server).replies([ask("1")])
    assert "refused" in reply.reason.lower() and "(3 tries)" in reply.reason


def test_what_is_not_accepted_is_asked_again(tmp_path):
    turns = iter(["maybe", "yes", "maybe", "maybe", "maybe"])
    with Server(lambda messages: next(turns)) as server:
        model = endpoint(server, Cache(tmp_path / "c"), parallel=1)
        accepted, lost = model.replies([ask("1"), ask("2")], accept=lambda text: text == "yes")
        assert accepted == "yes" and "not what was asked for: maybe (3 tries)" in lost.reason
        assert len(server.asked) == 5
    assert len((tmp_path / "c").read_text().splitlines()) == 1


# ---- the cache -------------------------------------------------------------------------------------------

def test_two_settings_never_share_an_entry(tmp_path):
    cache = Cache(tmp_path / "c")
    with Server() as server:
        kinds = [("m", {}), ("m", {"temperature": 1}), ("m", {"max_tokens": 5}), ("n", {})]
        for i, (model, settings) in enumerate(kinds):
            for _ in range(2):
                Endpoint(server.url, model, settings, cache).replies([ask("1"), ask("1")])
                assert len(server.asked) == i + 1
        Endpoint(server.url, "m", {}, cache).replies([[{"role": "system", "content": "1"}]])
        assert len(server.asked) == 5
    assert key_of("a", "bc") != key_of("ab", "c") and key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path, jsonl):
    path = tmp_path / "c"
    for i in range(3):
        Cache(path).put(str(i), "咳嗽")
    whole = path.read_bytes()
    for cut in range(1, len(whole) // 3):                # also within a character
        path.write_bytes(whole[:-cut])
        cache = Cache(path)
        assert cache.known == {"0": "咳嗽", "1": "咳嗽"}
        cache.put("2", Reply("咳嗽"))
        assert path.read_bytes() == whole
    for bad in ("{", '{"key": "1"}', "[]"):
        with pytest.raises(ValueError, match=r"records.jsonl:1: "):
            Cache(jsonl(bad))


CHILD = """
import sys
from clinicalgpt.answers import Cache
from clinicalgpt.evaluation.endpoint import Endpoint
Endpoint(sys.argv[1], "m", cache=Cache(sys.argv[2]), parallel=3).replies(
    [[{"role": "user", "content": str(i)}] for i in range(40)])
"""


def test_a_killed_evaluation_asks_only_for_what_is_missing(tmp_path, monkeypatch):
    path, questions = tmp_path / "c", [ask(str(i)) for i in range(40)]
    with Server(delay=0.02) as server:
        child = subprocess.Popen([sys.executable, "-c", CHILD, server.url, path],
                                 cwd=Path(__file__).parents[1])
        deadline = time.monotonic() + 30
        while len(server.asked) < 20 and time.monotonic() < deadline:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        time.sleep(0.1)                                # for requests on their way
        with open(path, "a") as file:
            file.write('{"key": "cut sho')
        left = path.read_bytes()
        server.asked.clear()
        known = left.count(b"\n")
        assert endpoint(server, Cache(path)).replies(questions) == [f"answer to {i}" for i in range(40)]
        asked = server.questions()
        assert known >= 10 and len(asked) == len(set(asked)) == 40 - known
        assert len(path.read_text().splitlines()) == 40
        path.write_bytes(left)                         # a cache that forgets would be found out
        server.asked.clear()
        monkeypatch.setattr(Cache, "get", lambda self, key: None)
        endpoint(server, Cache(path)).replies(questions)
        assert len(server.asked) == 40 > 40 - known


def test_an_error_in_the_client_is_no_answer_and_stops_the_rest():
    done = []

    def work(item):
        done.append(item)
        time.sleep(0.01)
        return 1 / item
    with pytest.raises(ZeroDivisionError):
        list(in_parallel(work, [1, 0, *range(1, 99)], 2))
    time.sleep(0.1)
    assert len(done) < 20
    assert sorted(in_parallel(lambda x: x * x, range(50), 7)) == [x * x for x in range(50)]


# ---- bodies ----------------------------------------------------------------------------------------------

def test_bodies_by_hand():
    assert read_completion(b'\xef\xbb\xbf \n{"choices": [{"message": {"content": "a"}}]}') == ("a", "stop")
    two = {"choices": [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]}
    assert read_completion(json.dumps(two).encode()) == ("a", "stop")
    text = "一\u2028 line\n\ndata: [DONE]\n\n end"       # nothing in a text ends a stream
    assert read_completion("".join(events(text, "length")).encode()) == (text, "length")
    assert read_completion(json.dumps(completion(text)).encode()) == (text, "stop")
    stream = "".join(events("abc"))
    assert read_completion(stream.replace("\n\n", "\r\n\r\n").encode()) == ("abc", "stop")
    assert read_completion(stream.replace("data: [DONE]\n\n", "").encode()) == ("abc", "stop")
    for cut in range(len(stream.partition('"stop"')[0])):
        with pytest.raises(ValueError):
            read_completion(stream[:cut].encode())


@pytest.mark.parametrize("body", ["null", "[]", "{}", '{"choices": null}', '{"choices": [1]}',
                                  '{"choices": {"a": 1}}', '{"choices": [{"message": "a"}]}',
                                  '{"choices": [{"message": {"content": 5}}]}',
                                  "data: 5\n\ndata: [DONE]", "data: [DONE]", "data:\n\n", "x",
                                  '{"error": "e"}',
                                  'data: {"choices": 3}\n\ndata: [DONE]', "{" * 999])
def test_no_completion(body):
    with pytest.raises(ValueError):
        read_completion(body.encode())


# ---- answers from files ----------------------------------------------------------------------------------

def test_answers_from_a_file(jsonl):
    path = jsonl({"task": "qa", "id": "1", "model": "a", "answer": "one"}, "",
                 {"task": "qa", "id": "2", "model": "a", "answer": None, "failure": "timed out"},
                 {"task": "exam", "id": "1", "model": "a", "answer": {"text": "(B)", "logp": {"A": -1}}},
                 {"task": "dialogue", "id": "1", "model": "a", "answer": ["x", "y"]},
                 {"task": "qa", "id": "1", "model": "b", "answer": "other"})
    assert FileModel(path, "qa", "a").replies([[], []], ["2", "1"]) == [Failure("timed out"), "one"]
    assert FileModel(path, "exam", "whoever").replies([[]], ["1"]) == ["(B)"]
    assert FileModel(path, "dialogue").replies([[], []], ["1", "1"]) == ["x", "y"]
    plain = jsonl({"id": "1", "answer": "one"}, {"id": 2, "answer": ""})
    assert FileModel(plain, "qa", "c").replies([[], []], ["1", "2"]) == ["one", ""]
    assert FileModel(plain, partial=True).replies([[]], ["1"]) == ["one"]


ONE = {"id": "1", "answer": "one"}


@pytest.mark.parametrize(("lines", "says"), [
    ([ONE], "no answer to 1 of 2 records, the first has id '2'"),
    ([ONE, ONE], ":2: id '1' is in line 1 as well"),
    ([ONE, {"id": "2", "answer": "two"}, {"id": "3", "answer": "x"}], ":3: id '3' is that of no test record"),
    ([ONE, '{"id": "2", "answer": "two"'], ":2: not a JSON line"),
    ([{"answer": "one"}], ":1: no 'id'"), ([{"id": ["1"], "answer": "one"}], ":1: no 'id'"),
    ([{"id": "1"}], ":1: 'answer' is 'None'"), ([{"id": "1", "answer": 5}], ":1: 'answer' is '5'"),
    ([{"id": "1", "answer": ["a", None]}], ":1: 'answer' is"),
    ([ONE, {"id": "2", "answer": ["a", "b"]}], ":2: 2 answers of id '2', which has 1"),
    ([ONE | {"model": "a"}, ONE | {"model": "b"}], "answers of the models a, b"),
])
def test_a_bad_file_is_one_clear_line(jsonl, lines, says):
    with pytest.raises(ValueError) as caught:
        FileModel(jsonl(*lines)).replies([[], []], ["1", "2"])
    assert says in str(caught.value) and "records.jsonl" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file():
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl"):
        FileModel("nowhere.jsonl")
