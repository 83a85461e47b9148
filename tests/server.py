"""
A real chat endpoint for the tests, in a thread, which misbehaves as its questions ask: "7 | drop 500 ok" has
the connection dropped, then status 500, then the answer; the last word holds for all further requests.

    with Server() as server:
        server.url, server.asked                    [(question, seconds, body, headers), ...] of all requests
"""
import json
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def echo(messages):
    return f"answer to {messages[-1]['content'].partition('|')[0].strip()}"


def completion(text, finish="stop", **more):
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                         "finish_reason": finish}], **more}


def events(text, finish="stop"):
    """A stream as servers send it: a comment, a role, pieces, an end, a usage without choices."""
    pieces = [{"role": "assistant", "content": ""}]
    pieces += [{"content": text[i:i + 3]} for i in range(0, len(text), 3)]
    chunks = [{"choices": [{"index": 0, "delta": piece, "finish_reason": None}]} for piece in pieces]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]
    chunks += [{"choices": [], "usage": {}}]
    return [": waiting\r\n\r\n", *(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]


class Server:
    def __init__(self, answer=echo, act=None, delay=0.0):
        self.answer, self.act, self.delay, self.asked = answer, act, delay, []
        self.times, self.lock = Counter(), threading.Lock()

    def __enter__(self):
        class Handler(Conversation):
            server_of_tests = self
        self.http = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def questions(self):
        with self.lock:
            return [question for question, *_ in self.asked]


class Listener(ThreadingHTTPServer):
    request_queue_size = 128


class Conversation(BaseHTTPRequestHandler):
    server_of_tests = None

    def log_message(self, *_):
        pass

    def do_POST(self):
        tests = self.server_of_tests
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        script = [tests.act(body["messages"])] if tests.act else question.partition("|")[2].split()
        with tests.lock:
            tests.asked.append((question, time.monotonic(), body, dict(self.headers)))
            act = script[min(tests.times[question], len(script) - 1)] if script else "ok"
            tests.times[question] += 1
        time.sleep(tests.delay)
        try:
            self.play(act, tests.answer(body["messages"]), body["stream"])
        except OSError:
            pass                                       # the client left

    def send(self, status, body, kind="application/json", length=None, **headers):
        body = json.dumps(body) if isinstance(body, (dict, list)) else body
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, parts, pause=0.0, end=True):
        """Chunked, as servers stream; without `end`, the connection breaks off."""
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(f"{len(part.encode()):x}\r\n{part}\r\n".encode())
            self.wfile.flush()
            time.sleep(pause)
        if end:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def play(self, act, text, streams):
        whole = json.dumps(completion(text))
        if act == "ok" and streams:
            self.stream(events(text))
        elif act == "ok":
            self.send(200, whole)
        elif act == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif act == "silent":
            time.sleep(0.5)
        elif act == "trickle":                         # never silent for long, and never done
            self.send_response(200)
            self.end_headers()
            for _ in range(60):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)
        elif act == "trickling-head":
            for _ in range(60):
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.02)
        elif act == "cut":
            self.send(200, whole[:-9], length=len(whole))
        elif act == "cut-json":                        # of the announced length
            self.send(200, whole[:-9])
        elif act == "cut-stream":
            self.stream(events(text)[:4], end=False)
        elif act == "ended-stream":                    # ends as it should, and too early
            self.stream(events(text)[:4])
        elif act == "open-stream":                     # goes on after its end
            self.stream([*events(text), *[": still here\n\n"] * 60], pause=0.05)
        elif act == "stream":
            self.stream(events(text))
        elif act == "long-stream":
            self.stream(events(text, "length"))
        elif act == "bad-stream":
            self.stream([*events(text)[:3], 'data: {"error": {"message": "overloaded"}}\n\n'])
        elif act == "wait":
            self.send(429, {"error": "slow down"}, Retry_After="0.4")
        elif act == "wait-long":
            self.send(429, {"error": "no more today"}, Retry_After="86400")
        elif act == "html":
            self.send(200, "<html><body>Gateway</body></html>", "text/html")
        elif act == "garbage":
            self.send(200, b'{"choices": \xff\xfe')
        elif act == "shape":
            self.send(200, {"choices": ["text"]})
        elif act == "deep":
            self.send(200, '{"a":' * 100_000)
        elif act == "list":
            self.send(200, [1, 2])
        elif act == "nothing":
            self.send(200, "")
        elif act == "no-choices":
            self.send(200, {"choices": []})
        elif act == "no-text":
            self.send(200, completion(None, "content_filter"))
        elif act == "error":
            self.send(200, {"error": {"message": "overloaded"}})
        elif act == "empty":
            self.send(200, completion(""))
        elif act == "plain":
            self.send(200, whole, "text/plain")
        elif act == "length":
            self.send(200, completion(text, "length"))
        elif act == "half":                            # of an emoji
            self.send(200, completion("cough \ud83d"))
        elif act == "tell":                            # repeats the key
            self.send(400, {"error": "x" * 165 + "bad key " + self.headers["Authorization"]})
        elif act == "say-key":
            self.send(200, completion(self.headers["Authorization"], self.headers["Authorization"]))
        else:
            self.send(int(act), {"error": f"status {act}"})
