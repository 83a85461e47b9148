"""
A model behind an OpenAI-compatible endpoint: questions in parallel, and patience.  (Not here: answers in
files and the cache, see answers.py; what is asked, see tasks.py; proxies and redirects, which would carry the
key to where it was not sent.)

    turn -> POST url/chat/completions -> read -> accept     one try; its turn comes by the rate limit

It is tried again after 408, 409, 429, 5xx, a dropped connection, silence, and a body that is cut short or has
no text in it.  Try n + 1 comes after
    min(backoff 2^(n - 1), LONGEST_WAIT) times a random number from [1/2, 1]
and after what a Retry-After asks for, which holds all others back too.  After `tries` tries, or what no try
can mend, the item is a Failure with its reason: no empty answer, and no end of the others.  Replies alone are
cached, so whoever continues asks for the rest.

The API key is read from the environment for each request and kept nowhere.  Where a server repeats it, it is
struck out of what is shown and stored.
"""
import contextlib
import http.client
import json
import math
import os
import queue
import random
import re
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from clinicalgpt.answers import Failure, Reply, key_of

AGAIN = {408, 409, 429, *range(500, 600)}
LARGEST = 1 << 25                                      # bytes of a body
LONGEST_WAIT = 60.0                                    # seconds between two tries
LONGEST_PAUSE = 600.0                                  # seconds that a Retry-After may ask for
SECRET = 8                                             # characters that make a key one: "EMPTY" is not


class Endpoint:
    """The model called `model` at `url`.  `settings` go into each request as they are: temperature,
    max_tokens, seed ...  A server may be silent for `timeout` seconds, and a try may take `longest`."""
    gives_logp = False

    def __init__(self, url, model, settings=None, cache=None, key_name="OPENAI_API_KEY", stream=False,
                 tries=6, timeout=120.0, longest=900.0, backoff=1.0, per_minute=0, parallel=8,
                 progress=lambda done, total: done):
        self.url = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[!-~]*)", self.url, re.ASCII) or re.search("[?#@]", url):
            raise ValueError("the endpoint's URL must be http(s)://host[:port]/path, with no user, query or "
                             "fragment; an API key belongs into the environment")
        try:
            self.address = urlsplit(self.url).hostname, urlsplit(self.url).port
        except ValueError as error:
            raise ValueError(f"{self.url}: {error}; correct the endpoint's URL") from None
        if tries < 1 or parallel < 1 or timeout <= 0 or longest <= 0 or backoff < 0 or per_minute < 0:
            raise ValueError(f"tries {tries}, parallel {parallel}, timeout {timeout}, longest {longest}, "
                             f"backoff {backoff}, per_minute {per_minute}: tries and parallel must be at "
                             "least 1, the times above 0, the others not below")
        self.model, self.settings, self.cache = model, {"temperature": 0, **(settings or {})}, cache
        self.key_name, self.stream, self.tries, self.timeout = key_name, stream, tries, timeout
        self.longest, self.backoff, self.parallel, self.progress = longest, backoff, parallel, progress
        self.interval, self.next = 60 / per_minute if per_minute else 0.0, 0.0
        self.lock, self.refused = threading.Lock(), None
        self._key()                                    # said now, if it cannot be one

    def replies(self, dialogues, ids=None, accept=lambda reply: True):
        """A Reply or a Failure each.  A reply that is not accepted is a try that failed.  Equal dialogues are
        asked once; ids are for models that know their answers by them."""
        bodies = [{"model": self.model, **self.settings,
                   "messages": [{"role": m["role"], "content": m["content"]} for m in dialogue]}
                  for dialogue in dialogues]
        keys, found, missing = [key_of(self.url, body) for body in bodies], {}, {}
        for key, body in zip(keys, bodies):
            known = self.cache.get(key) if self.cache else None
            if known is not None and accept(known):
                found[key] = known
            else:
                missing[key] = body

        def ask(item):
            key, body = item
            reply = self._ask(body, accept)
            if self.cache and isinstance(reply, Reply):
                self.cache.put(key, reply)
            return key, reply
        found.update(self.progress(in_parallel(ask, list(missing.items()), self.parallel), len(missing)))
        return [found[key] for key in keys]

    def _ask(self, body, accept):
        for attempt in range(self.tries):
            if attempt:
                time.sleep(min(self.backoff * 2 ** (attempt - 1), LONGEST_WAIT) * random.uniform(0.5, 1))
            self._turn()
            if self.refused:
                return self.refused
            status, pause = 200, 0.0
            try:
                status, pause, answer = self._post(body)
                if status == 200:
                    text, finish = read_completion(answer)
                    reply = Reply(self._struck(text), self._struck(finish))
                    if accept(reply):
                        return reply
                    answer = f"not what was asked for: {text}".encode(errors="replace")
                reason = f"HTTP {status}: {self._shown(answer.decode(errors='replace'))}"
            except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
                reason = f"{type(error).__name__}: {self._shown(str(error))}"
            if status == 401:                          # the key is wrong, for all
                self.refused = Failure(f"{reason} (the key is that of {self.key_name} in the environment)")
                return self.refused
            if status != 200 and status not in AGAIN:
                return Failure(reason)
            if pause > LONGEST_PAUSE:
                return Failure(f"{reason} (Retry-After: {pause:.0f} s)")
            with self.lock:
                self.next = max(self.next, time.monotonic() + pause)
        return Failure(f"{reason} ({self.tries} tries)")

    def _turn(self):
        with self.lock:
            now = time.monotonic()
            at = max(now, self.next)
            if self.interval:
                self.next = at + self.interval
        time.sleep(at - now)

    def _post(self, body):
        """(status, seconds to wait, body)"""
        kind = http.client.HTTPSConnection if self.url.startswith("https") else http.client.HTTPConnection
        connection, start, timer = kind(*self.address, timeout=self.timeout), time.monotonic(), None
        try:
            connection.connect()
            timer = threading.Timer(self.longest, hang_up, [connection.sock])      # ends a read that trickles
            timer.daemon = True
            timer.start()
            headers = {"Content-Type": "application/json", "Connection": "close"}
            if key := self._key():
                headers["Authorization"] = f"Bearer {key}"
            content = json.dumps(body | {"stream": self.stream})
            connection.request("POST", urlsplit(self.url).path, content, headers)
            with connection.getresponse() as response:
                answer = read_body(response)
            if time.monotonic() - start >= self.longest:
                raise TimeoutError                     # what has no length just ends
            return response.status, seconds(response.headers.get("Retry-After")), answer
        except (OSError, http.client.HTTPException):
            if time.monotonic() - start >= self.longest:
                raise TimeoutError(f"no whole reply within {self.longest:g} s") from None
            raise
        finally:
            if timer:
                timer.cancel()
            connection.close()

    def _key(self):
        key = os.environ.get(self.key_name, "").strip()
        if not re.fullmatch("[!-~]*", key):
            raise ValueError(f"{self.key_name} in the environment has characters that no API key has; "
                             "set it anew")
        return key

    def _struck(self, text):
        key = self._key()
        return text.replace(key, "[API key]") if len(key) >= SECRET else text

    def _shown(self, text):
        return " ".join(self._struck(text).split())[:200]


def hang_up(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def in_parallel(work, items, threads):
    """Yield work(item) as each is done.  The threads are daemons: Ctrl-C does not wait for the network."""
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def loop():
        with contextlib.suppress(queue.Empty):
            while True:
                item = waiting.get_nowait()
                try:
                    done.put((work(item), None))
                except BaseException as error:
                    done.put((None, error))
    for _ in range(min(threads, len(items))):
        threading.Thread(target=loop, daemon=True).start()
    try:
        for _ in items:
            result, error = done.get()
            if error:
                raise error
            yield result
    finally:                                           # nobody waits for the rest
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()


def read_body(response):
    """Up to its length; or to its end, or to the mark after which some servers keep the line open."""
    if response.length is not None:
        body = response.read(LARGEST)
        if response.length:
            raise http.client.IncompleteRead(body, response.length)
        return body
    lines, size = [], 0
    for line in response:
        lines.append(line)
        size += len(line)
        if size > LARGEST:
            raise ValueError(f"a body of more than {LARGEST} bytes")
        if line.strip() == b"data: [DONE]":
            break
    return b"".join(lines)


def read_completion(body):
    """(text, finish reason) of a chat completion, an object or server-sent events, whatever its header calls
    it.  Raises ValueError for all else, and for a stream without an end."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if body.startswith(b"{"):
        events, ended, part = [body], True, "message"
    else:
        events = [b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
                  for event in re.split(rb"\r?\n\r?\n", body)]
        ended, part = b"[DONE]" in events, "delta"
    texts, finish = [], None
    for event in filter(None, events):
        try:
            value = json.loads(event) if event != b"[DONE]" else {}
            if value.get("error"):
                raise ValueError(str(value["error"]))
            for choice in value.get("choices") or ():
                if choice.get("index", 0) == 0:
                    texts.append((choice.get(part) or {}).get("content"))
                    finish = choice.get("finish_reason") or finish
        except (AttributeError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"no completion ({error}): {event.decode(errors='replace')}") from None
    if not any(events):
        raise ValueError(f"no completion: {body.decode(errors='replace')}")
    if not (ended or finish):
        raise ValueError("a stream that ended early")
    texts = [text for text in texts if isinstance(text, str)]
    if not texts:
        raise ValueError(f"a completion without a text (finish_reason {finish})")
    return "".join(texts), str(finish or "stop")


def seconds(retry_after):
    """What a Retry-After asks for, a number or a date; 0 for none and for nonsense."""
    try:
        wait = float(retry_after)
    except (TypeError, ValueError):
        try:
            wait = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return max(wait, 0.0) if math.isfinite(wait) else 0.0
