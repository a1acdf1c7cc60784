#!/usr/bin/env python3
"""Remote models against a server that behaves well, badly and maliciously. Standard library only.

usage: remote_test.py [TOLA]     (TOLA: the program; default: that of $TOLA_BUILD, else of the newest build folder)

Every test runs `tola inspect --json` against an http.server on 127.0.0.1; the first component of the URL's path says
how the server behaves. The server counts requests and bytes, and keeps the headers it was sent.
"""
import concurrent.futures
import functools
import glob
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOKEN = "hf_secretTokenThatMustNotLeak"


def find_tola():
    if len(sys.argv) > 1:
        return sys.argv[1]
    if os.environ.get("TOLA_BUILD"):
        return os.path.join(os.environ["TOLA_BUILD"], "tola")
    built = glob.glob(os.path.join(ROOT, "build", "*", "tola"))
    return max(built, key=os.path.getmtime) if built else sys.exit("remote_test: no tola under build/: build it first")


TOLA = find_tola()

# ---- models ----


def safetensors(tensors, metadata=None):
    header, at = ({"__metadata__": metadata} if metadata else {}), 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + (b"\x3f" * at)


SMALL = safetensors({"a.weight": ("F32", [4, 4], 64), "b.weight": ("F16", [8], 16)}, {"format": "pt"})
BIG = safetensors({"w%d" % i: ("F32", [1280, 1024], 1280 * 1024 * 4) for i in range(10)})  # 52 MB
# a header of 3 MB: many names, no bytes
WIDE = safetensors({"layers.%d.%s.weight" % (i, "x" * 60): ("F32", [0], 0) for i in range(24000)})
CONFIG = json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8}).encode()


def sharded(count):
    files, weight_map = {}, {}
    for i in range(count):
        name = "model-%05d-of-%05d.safetensors" % (i + 1, count)
        files[name] = safetensors({"layer.%d.weight" % i: ("BF16", [16, 16], 512)})
        weight_map["layer.%d.weight" % i] = name
    index = {"metadata": {"total_size": 512 * count}, "weight_map": weight_map}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    return files


FILES = {"small.safetensors": SMALL, "big.safetensors": BIG, "wide.safetensors": WIDE, "empty.safetensors": b"",
         "page.safetensors": b"<!DOCTYPE html><html><body>not here</body></html>"}
for key, value in sharded(150).items():
    FILES["sharded/" + key] = value
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PICKLED = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x85R."
HUB = {"org/attack": {"model.safetensors": SMALL, "config.json": CONFIG, "sub/optimizer.pt": PICKLED, "x.h5": b"text"},
       "org/huge": {"f%d.txt" % i: b"text" for i in range(1000)},
       "org/climbing": {"../x.json": b"{}"},
       "org/single": {"model.safetensors": SMALL, "config.json": CONFIG},
       "org/sharded": {**sharded(5), "config.json": CONFIG},
       "org/odd": {"weights.safetensors": SMALL, "README.md": b"hello"},
       "org/many": {"a-Q4_0.gguf": b"GGUF", "a-Q8_0.gguf": b"GGUF"},
       "org/shards": {"model-00001-of-00002.safetensors": SMALL},
       "org/none": {"README.md": b"hello"},
       "org/gated": {"model.safetensors": SMALL},
       "old": {"model.safetensors": SMALL}}

# ---- the server ----


class Log:
    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.requests, self.bytes, self.connections, self.state = [], 0, set(), {}


LOG = Log()


@functools.lru_cache(maxsize=None)
def tag(data):
    return hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError, socket.timeout):
            pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        with LOG.lock:
            LOG.requests.append((self.command, self.headers.get("Host", ""), self.path, dict(self.headers)))
            LOG.connections.add(self.client_address)
        path = self.path.split("?")[0].lstrip("/")
        mood, _, rest = path.partition("/")
        getattr(self, "mood_" + mood, self.hub)(rest if hasattr(self, "mood_" + mood) else path)

    # -- pieces --

    def nth(self, key):
        with LOG.lock:
            LOG.state[key] = LOG.state.get(key, 0) + 1
            return LOG.state[key]

    def put(self, data):
        try:
            for i in range(0, len(data), 65536):
                self.wfile.write(data[i:i + 65536])
                with LOG.lock:
                    LOG.bytes += len(data[i:i + 65536])
        except (ConnectionError, BrokenPipeError):
            self.close_connection = True

    def reply(self, status, headers=(), body=b"", length=True):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, str(value))
        if length and "Content-Length" not in dict(headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.put(body)

    def range_of(self, data):
        m = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(m[1]), min(int(m[2]), len(data) - 1)) if m else None

    def serve(self, data, headers=(), cut=None, shift=0, total=None):
        headers = {"ETag": '"%s"' % tag(data), **dict(headers)}
        span = self.range_of(data)
        if not span or self.command == "HEAD":
            return self.reply(200, headers, data)
        if span[0] >= len(data):
            return self.reply(416, {"Content-Range": "bytes */%d" % len(data)})
        body = data[span[0]:span[1] + 1]
        headers["Content-Range"] = "bytes %d-%d/%s" % (span[0] + shift, span[1] + shift, total or len(data))
        headers["Content-Length"] = len(body)
        if cut is not None and len(body) > cut:
            body = body[:cut]
            self.close_connection = True
        self.reply(206, headers, body)

    def file(self, rest):
        data = FILES.get(rest)
        if data is None:
            self.reply(404, {}, b"no")
        return data

    # -- moods --

    def mood_plain(self, rest):
        data = self.file(rest)
        if data is not None:
            self.serve(data)

    def mood_whole(self, rest):
        data = self.file(rest)
        if data is not None:
            self.reply(200, {"ETag": '"x"'}, data)

    def mood_chunked(self, rest):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = FILES[rest]
        for i in range(0, len(data), 1000):
            piece = data[i:i + 1000]
            self.put(b"%x\r\n" % len(piece) + piece + b"\r\n")
        self.put(b"0\r\n\r\n")

    def mood_endless(self, rest):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        piece = (FILES["small.safetensors"] + b"\0" * (1 << 20))[:1 << 20]
        while not self.wfile.closed and LOG.bytes < 1 << 30:
            before = LOG.bytes
            self.put(piece)
            if LOG.bytes == before:
                return

    def mood_redirect(self, rest):
        n, _, target = rest.partition("/")
        if int(n) > 0:
            self.reply(302, {"Location": "/redirect/%d/%s" % (int(n) - 1, target)})
        else:
            self.mood_plain(target)

    def mood_loop(self, rest):
        self.reply(302, {"Location": "/loop/" + rest})

    def mood_elsewhere(self, rest):  # to another host: localhost instead of 127.0.0.1
        self.reply(302, {"Location": "http://localhost:%d/plain/%s" % (PORT, rest), "X-Linked-Etag": '"linked"'})

    def mood_scheme(self, rest):
        self.reply(302, {"Location": "file:///etc/passwd"})

    def mood_userinfo(self, rest):
        self.reply(302, {"Location": "http://user:word@127.0.0.1:%d/plain/%s" % (PORT, rest)})

    def mood_nowhere(self, rest):
        self.reply(302)

    def mood_changes(self, rest):
        self.serve(FILES[rest], {"ETag": '"version-%d"' % self.nth("changes")})

    def mood_grows(self, rest):
        data = FILES[rest]
        self.serve(data, {"ETag": '"same"'}, total=len(data) + self.nth("grows"))

    def mood_busy(self, rest):
        if self.nth("busy") <= 2:
            self.reply(503, {"Retry-After": "1"}, b"later")
        else:
            self.serve(FILES[rest])

    def mood_ratelimit(self, rest):
        if self.nth("ratelimit") <= 1:
            self.reply(429, {}, b"slow down")
        else:
            self.serve(FILES[rest])

    def mood_always503(self, rest):
        self.reply(503, {}, b"never")

    def mood_later(self, rest):
        self.reply(429, {"Retry-After": "3600"}, b"much later")

    def mood_status(self, rest):
        self.reply(int(rest.split("/")[0]), {}, b"<html>error</html>" * 10)

    def mood_cut(self, rest):  # every response stops after 20,000 bytes
        self.serve(FILES[rest], cut=20000)

    def mood_cut1(self, rest):  # every response stops after one byte
        self.serve(FILES[rest], cut=1)

    def mood_narrow(self, rest):  # a smaller range than asked for, properly announced
        data = FILES[rest]
        first, last = self.range_of(data)
        last = min(last, first + 29999)
        self.reply(206, {"Content-Range": "bytes %d-%d/%d" % (first, last, len(data))}, data[first:last + 1])

    def mood_shifted(self, rest):
        self.serve(FILES[rest], shift=8)

    def mood_norange206(self, rest):
        self.reply(206, {}, FILES[rest][:1000])

    def mood_startotal(self, rest):
        self.serve(FILES[rest], total="*")

    def mood_gzip(self, rest):
        self.serve(FILES[rest], {"Content-Encoding": "gzip"})

    def mood_headers(self, rest):
        self.send_response(200)
        for i in range(3000):
            self.send_header("X-Filler-%d" % i, "y" * 200)
        self.end_headers()
        self.close_connection = True

    def mood_slow(self, rest):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.close_connection = True
        for _ in range(100):
            time.sleep(0.2)
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except (ConnectionError, BrokenPipeError):
                return

    def mood_dropped(self, rest):  # the connection is closed without an answer, once
        if self.nth("dropped") == 1:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.serve(FILES[rest])

    def mood_password(self, rest):
        if self.headers.get("Authorization") == "Basic dXNlcjpwYXNz":  # user:pass
            self.serve(FILES[rest])
        else:
            self.reply(401, {"WWW-Authenticate": "Basic"}, b"no")

    # -- a hub --

    def hub(self, path):
        m = re.fullmatch(r"(?:api/models/)?(org/\w+|old)/(resolve|tree)/([^/]+)(?:/(.*))?", path)
        if not m or m[1] not in HUB:
            return self.reply(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."})
        repo, kind, revision, rest = HUB[m[1]], m[2], m[3], urllib.parse.unquote(m[4] or "")
        if revision not in ("main", COMMIT, "refs%2Fpr%2F1"):
            return self.reply(404, {"X-Error-Code": "RevisionNotFound",
                                    "X-Error-Message": "Invalid rev id: " + revision})
        if m[1] == "org/gated" and self.headers.get("Authorization") != "Bearer " + TOKEN:
            return self.reply(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to it is restricted."})
        if kind == "tree":
            files = [{"type": "file", "path": p, "size": len(d)} for p, d in repo.items()]
            return self.serve(json.dumps(files).encode())
        if rest not in repo:
            return self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        if rest.endswith(".json"):
            return self.serve(repo[rest], {"X-Repo-Commit": COMMIT})
        FILES["hub/" + m[1] + "/" + rest] = repo[rest]
        self.reply(302, {"X-Repo-Commit": COMMIT, "X-Linked-Etag": '"%s"' % hashlib.sha256(repo[rest]).hexdigest(),
                         "Location": "http://localhost:%d/plain/hub/%s/%s?Signature=abc" % (PORT, m[1], rest)})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


SERVER = Server(("127.0.0.1", 0), Handler)
PORT = SERVER.server_address[1]
BASE = "http://127.0.0.1:%d" % PORT
threading.Thread(target=SERVER.serve_forever, daemon=True).start()

# ---- running tola ----

HOME = tempfile.TemporaryDirectory()


def run(*args, **env):
    """Exit code, parsed JSON or None, stderr. The log is kept where several run at once."""
    if threading.current_thread() is threading.main_thread():
        LOG.reset()
    base = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
    base.update({"HOME": HOME.name, "HF_ENDPOINT": BASE, "LC_ALL": "C", **env})
    base.pop("XDG_CACHE_HOME", None)
    done = subprocess.run([TOLA, "inspect", "--json", *args], env=base, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120)
    try:
        value = json.loads(done.stdout)
    except ValueError:
        value = None
    return done.returncode, value, done.stderr.decode("utf-8", "replace")


PASSED = FAILED = 0


def check(name, good, detail=""):
    global PASSED, FAILED
    if good:
        PASSED += 1
    else:
        FAILED += 1
        print("FAIL %s %s" % (name, detail))


def opens(name, ref, tensors, **env):
    code, value, err = run(ref, **env)
    count = len(value["tensors"]) if value else None
    check(name, code == 0 and count == tensors, "exit %s, %s tensors, %s" % (code, count, err.strip()))
    return value


def fails(name, ref, *words, **env):
    """Exit 2, nothing on stdout, one line that holds all the words and no secret."""
    code, value, err = run(ref, **env)
    missing = [w for w in words if w not in err]
    good = code == 2 and value is None and err.count("\n") == 1 and not missing
    good = good and TOKEN not in err and "pass@" not in err
    check(name, good, "exit %s, %s, lacks %s" % (code, err.strip(), missing))
    return err


# ---- tests ----


def test_ranges():
    value = opens("small", BASE + "/plain/small.safetensors", 2)
    check("metadata", value and value["metadata"].get("format") == "pt")
    check("small: one request", len(LOG.requests) == 1, str([r[:3] for r in LOG.requests]))
    headers = {k.lower(): v for k, v in LOG.requests[0][3].items()}
    check("user agent", headers.get("user-agent") == "tola/0.1.0", str(headers))
    check("identity", headers.get("accept-encoding") == "identity", str(headers))
    opens("big", BASE + "/plain/big.safetensors", 10)
    check("big: only the header travels", LOG.bytes < 1 << 20, "%d bytes" % LOG.bytes)
    opens("wide", BASE + "/plain/wide.safetensors", 24000)
    check("wide: few requests", len(LOG.requests) <= 12, "%d requests" % len(LOG.requests))
    check("wide: little more than the header", LOG.bytes < len(WIDE) + (1 << 21), "%d bytes" % LOG.bytes)
    text = lambda s: struct.pack("<Q", len(s)) + s
    values = text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 200000) + text(b"token") * 200000
    values += text(b"tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 200000) + bytes(800000)
    FILES["vocab.gguf"] = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + values
    opens("vocabulary", BASE + "/plain/vocab.gguf", 0)
    check("vocabulary: nothing travels twice", LOG.bytes < len(FILES["vocab.gguf"]) + 65536, "%d bytes" % LOG.bytes)
    opens("150 shards", BASE + "/plain/sharded/model.safetensors.index.json", 150)
    check("150 shards: connections are used again", len(LOG.connections) <= 40, "%d" % len(LOG.connections))
    opens("narrow ranges", BASE + "/narrow/wide.safetensors", 24000)
    opens("query and fragment", BASE + "/plain/small.safetensors?download=true#x", 2)


def test_no_ranges():
    opens("whole: small", BASE + "/whole/small.safetensors", 2)
    opens("whole: big", BASE + "/whole/big.safetensors", 10)
    check("whole: stopped after the header", LOG.bytes < 8 << 20, "%d bytes" % LOG.bytes)
    opens("whole: wide", BASE + "/whole/wide.safetensors", 24000)
    opens("chunked without a length", BASE + "/chunked/small.safetensors", 2)
    fails("endless", BASE + "/endless/x.safetensors", "does not say how long")
    check("endless: given up", LOG.bytes < 128 << 20, "%d bytes" % LOG.bytes)
    code, value, err = run(BASE + "/whole/big.safetensors", "--digest")
    local = os.path.join(HOME.name, "big.safetensors")
    with open(local, "wb") as f:
        f.write(BIG)
    other = run(local, "--digest")[1]
    check("digest over a server without ranges", code == 0 and value["digest"] == other["digest"], err)
    value = run(BASE + "/plain/big.safetensors", "--digest")[1]
    check("digest over ranges", value and value["digest"] == other["digest"])


def test_redirects():
    opens("redirects: 1", BASE + "/redirect/1/small.safetensors", 2)
    opens("redirects: 10", BASE + "/redirect/10/small.safetensors", 2)
    fails("redirects: 11", BASE + "/redirect/11/small.safetensors", "redirects more than 10")
    fails("redirects: loop", BASE + "/loop/small.safetensors", "redirects more than 10")
    fails("redirects: file:", BASE + "/scheme/small.safetensors", "redirects to what is not a usable URL")
    fails("redirects: user information", BASE + "/userinfo/small.safetensors", "password")
    fails("redirects: nowhere", BASE + "/nowhere/small.safetensors", "nowhere")
    opens("redirects: another host", BASE + "/elsewhere/wide.safetensors", 24000, HF_TOKEN=TOKEN)
    for command, host, path, headers in LOG.requests:
        there = "Authorization" in headers
        check("token on %s" % host.split(":")[0], there == host.startswith("127.0.0.1"), path)
    check("the redirect is remembered", sum(r[1].startswith("127.") for r in LOG.requests) == 1)
    opens("the token stays at the hub", "http://localhost:%d/plain/small.safetensors" % PORT, 2, HF_TOKEN=TOKEN)
    check("no token elsewhere", all("Authorization" not in r[3] for r in LOG.requests))


def test_changes():
    fails("ETag changes", BASE + "/changes/wide.safetensors", "changed on the server", "version-1", "version-2")
    fails("size changes", BASE + "/grows/wide.safetensors", "changed on the server")


def test_giving_up():
    """Side by side, since most of their time is waiting."""
    LOG.reset()
    with socket.socket() as closed, concurrent.futures.ThreadPoolExecutor(8) as pool:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        nobody = "http://127.0.0.1:%d/x.safetensors" % closed.getsockname()[1]
        for done in [
            pool.submit(fails, "always 503", BASE + "/always503/small.safetensors", "503 (Service Unavailable)",
                        "5 attempts"),
            pool.submit(fails, "truncated again and again", BASE + "/cut/wide.safetensors", "5 attempts"),
            pool.submit(fails, "one byte at a time", BASE + "/cut1/small.safetensors", "5 attempts"),
            pool.submit(fails, "connection refused", nobody, "onnect", "5 attempts"),
            pool.submit(fails, "slow server", BASE + "/slow/small.safetensors", "too slow", TOLA_HTTP_TIMEOUT="1"),
        ]:
            done.result()
    busy = [r for r in LOG.requests if "always503" in r[2]]
    check("attempts are limited", len(busy) == 5, str(len(busy)))


def test_retries():
    start = time.time()
    opens("503 with Retry-After", BASE + "/busy/small.safetensors", 2)
    check("Retry-After is honoured", time.time() - start >= 2, "%.1f s" % (time.time() - start))
    opens("429", BASE + "/ratelimit/small.safetensors", 2)
    opens("dropped connection", BASE + "/dropped/small.safetensors", 2)
    start = time.time()
    fails("Retry-After of an hour", BASE + "/later/small.safetensors", "429", "3600 seconds")
    check("no long wait", time.time() - start < 5)
    opens("truncated bodies are resumed", BASE + "/cut/small.safetensors", 2)


def test_bad_answers():
    fails("shifted range", BASE + "/shifted/wide.safetensors", "was asked for the bytes from 0 and sends those from 8")
    fails("206 without Content-Range", BASE + "/norange206/small.safetensors", "Content-Range")
    fails("no total", BASE + "/startotal/small.safetensors", "does not say how long")
    fails("gzip", BASE + "/gzip/small.safetensors", "compressed (Content-Encoding: gzip)")
    fails("endless headers", BASE + "/headers/small.safetensors", "headers")
    fails("404", BASE + "/plain/absent.safetensors", "404 (Not Found)", "/plain/absent.safetensors")
    fails("401", BASE + "/status/401/x", "401 (Unauthorized)", "credentials")
    fails("403", BASE + "/status/403/x", "403 (Forbidden)")
    fails("410", BASE + "/status/410/x", "410 (Gone)")
    fails("418", BASE + "/status/418/x", "418")
    fails("empty file", BASE + "/plain/empty.safetensors", "empty")
    fails("web page", BASE + "/plain/page.safetensors", "HTML")
    fails("no host", "http://user:pass@/x", "http:///x", "no host")
    fails("bad port", "http://127.0.0.1:99999/x", "port")
    fails("unknown scheme", "ftp://127.0.0.1/x", "ftp://")


def test_credentials():
    host = "127.0.0.1:%d" % PORT
    value = opens("user and password", "http://user:pass@%s/password/small.safetensors" % host, 2)
    check("no password in the output", "pass@" not in json.dumps(value))
    err = fails("wrong password", "http://user:wrong@%s/password/small.safetensors" % host, "401")
    check("no password in the message", "wrong" not in err, err)
    err = fails("signature", BASE + "/plain/absent?X-Signature=abc", "404")
    check("no signature in the message", "abc" not in err, err)


def test_hub():
    value = opens("hf: single", "hf://org/single", 2)
    check("hf: config", value and value["architecture"] == "llama", str(value and value["architecture"]))
    opens("hf: sharded", "hf://org/sharded", 5)
    shards = [r[2] for r in LOG.requests if "/resolve/" in r[2] and "-of-" in r[2]]
    check("hf: shards of one commit", shards and all(COMMIT in p for p in shards), str(shards))
    check("hf: signed queries stay out of the output", "Signature" not in json.dumps(run("hf://org/sharded")[1]))
    opens("hf: revision", "hf://org/single@" + COMMIT, 2)
    opens("hf: pull request", "hf://org/single@refs/pr/1", 2)
    opens("hf: one file", "hf://org/single/model.safetensors", 2)
    opens("hf: the index", "hf://org/sharded/model.safetensors.index.json", 5)
    opens("hf: listing", "hf://org/odd", 2)
    opens("hf: no organisation", "hf://old", 2)
    opens("hf: gated with a token", "hf://org/gated", 2, HF_TOKEN=TOKEN)
    for _, host, path, headers in LOG.requests:
        check("hf: token only at the hub", ("Authorization" in headers) == host.startswith("127."), path)
    fails("hf: gated without", "hf://org/gated", "Access to it is restricted.", "HF_TOKEN")
    fails("hf: several files", "hf://org/many", "files of weights (2)", "a-Q4_0.gguf")
    fails("hf: a shard without an index", "hf://org/shards", "none that stands for the whole", "model-00001-of-00002")
    fails("hf: no weights", "hf://org/none", "holds no weights")
    fails("hf: no such file", "hf://org/single/absent.safetensors", "404", "Entry not found")
    fails("hf: no such model", "hf://org/absent", "no such repository")
    fails("hf: no such revision", "hf://org/single@v9", "Invalid rev id: v9")
    for bad in ["hf://", "hf://org/", "hf://../x", "hf://org/na..me", "hf://org/a/../../b", "hf://org/name@",
                "hf://o rg/x", "hf://org/name@a..b/../x", "hf://datasets/org/x", "hf://org/name/a//b"]:
        fails("bad reference " + bad, bad, "hf://")
    home = os.path.join(HOME.name, "tokens")
    os.makedirs(home)
    with open(os.path.join(home, "token"), "w") as f:
        f.write(TOKEN + "\n")
    opens("hf: token file", "hf://org/gated", 2, HF_HOME=home)
    opens("hf: token path", "hf://org/gated", 2, HF_TOKEN_PATH=os.path.join(home, "token"))
    fails("hf: token with a line break", "hf://org/gated", "HF_TOKEN", HF_TOKEN="a\r\nX-Evil: 1")


def scans(ref, **env):
    """Exit code, verdicts by the ends of paths, message."""
    LOG.reset()
    base = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
    base.update({"HOME": HOME.name, "HF_ENDPOINT": BASE, "LC_ALL": "C", **env})
    done = subprocess.run([TOLA, "scan", "--json", ref], env=base, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120)
    files = json.loads(done.stdout)["files"] if done.stdout else []
    return done.returncode, {f["path"]: f["verdict"] for f in files}, done.stderr.decode("utf-8", "replace")


def test_scan():
    code, got, err = scans("hf://org/attack")
    at = "hf://org/attack@" + COMMIT + "/"
    check("scan: a whole model", code == 1 and got == {
        at + "model.safetensors": "safe", at + "config.json": "safe", at + "sub/optimizer.pt": "dangerous",
        at + "x.h5": "unknown"}, str((code, got, err)))
    code, got, err = scans("hf://org/single@refs/pr/1")
    check("scan: a revision", code == 0 and len(got) == 2, str((code, got, err)))
    code, got, err = scans("hf://org/attack/sub/optimizer.pt")
    check("scan: one file", code == 1 and list(got.values()) == ["dangerous"], str((code, got, err)))
    code, got, err = scans("hf://org/gated", HF_TOKEN=TOKEN)
    check("scan: gated", code == 0 and got, str((code, got, err)))
    for repo, words in {"org/absent": "no such repository", "org/huge": "more files", "org/climbing": "no file",
                        "org/gated": "HF_TOKEN"}.items():
        code, got, err = scans("hf://" + repo)
        check("scan: " + repo, code == 2 and not got and words in err and TOKEN not in err, str((code, got, err)))
    hub = os.path.join(HOME.name, "scanned")
    cache(hub, "cached/attack", {"model.safetensors": SMALL, "pytorch_model.bin": PICKLED})
    code, got, err = scans("hf://cached/attack", HF_HUB_CACHE=hub, HF_HUB_OFFLINE="1")
    check("scan: the cache, offline", code == 1 and sorted(got.values()) == ["dangerous", "safe"], str((code, got, err)))
    check("scan: no request", not LOG.requests)
    code, got, err = scans("hf://cached/absent", HF_HUB_CACHE=hub, HF_HUB_OFFLINE="1")
    check("scan: not in the cache, offline", code == 2 and "HF_HUB_OFFLINE" in err, str((code, got, err)))
    code, got, err = scans(BASE + "/plain/small.safetensors")
    check("scan: an address", code == 0 and len(got) == 1, str((code, got, err)))


def cache(folder, repo, files, revision="main"):
    base = os.path.join(folder, "models--" + repo.replace("/", "--"))
    snapshot = os.path.join(base, "snapshots", COMMIT)
    for sub in ["refs", "blobs", os.path.join("snapshots", COMMIT)]:
        os.makedirs(os.path.join(base, sub), exist_ok=True)
    with open(os.path.join(base, "refs", revision), "w") as f:
        f.write(COMMIT)
    for name, data in files.items():
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(base, "blobs", digest), "wb") as f:
            f.write(data)
        os.symlink(os.path.join("..", "..", "blobs", digest), os.path.join(snapshot, name))


def test_cache():
    hub = os.path.join(HOME.name, "hub")
    cache(hub, "cached/single", {"model.safetensors": SMALL, "config.json": CONFIG})
    cache(hub, "cached/sharded", sharded(3))
    cache(hub, "org/sharded", {k: v for k, v in sharded(5).items() if "00002" not in k})
    cache(hub, "org/single", {"model-00001-of-00002.safetensors": SMALL})
    cache(hub, "cached/odd", {"q.safetensors": SMALL})
    value = opens("cache: single", "hf://cached/single", 2, HF_HUB_CACHE=hub)
    check("cache: no request", not LOG.requests, str([r[:3] for r in LOG.requests]))
    check("cache: config", value and value["architecture"] == "llama")
    opens("cache: sharded", "hf://cached/sharded", 3, HF_HUB_CACHE=hub)
    opens("cache: other name", "hf://cached/odd", 2, HF_HUB_CACHE=hub)
    opens("cache: one file", "hf://cached/odd/q.safetensors", 2, HF_HUB_CACHE=hub)
    opens("cache: by commit", "hf://cached/single@" + COMMIT, 2, HF_HUB_CACHE=hub)
    check("cache: no request at all", not LOG.requests)
    opens("cache: incomplete, asks the hub", "hf://org/sharded", 5, HF_HUB_CACHE=hub)
    check("cache: requests then", len(LOG.requests) > 0)
    opens("cache: a lone shard is no model, asks the hub", "hf://org/single", 2, HF_HUB_CACHE=hub)
    check("cache: requests for it", len(LOG.requests) > 0)
    opens("cache: HF_HOME", "hf://cached/single", 2, HF_HOME=HOME.name, HF_HUB_OFFLINE="1")
    value = opens("offline: incomplete", "hf://org/sharded", 5, HF_HUB_CACHE=hub, HF_HUB_OFFLINE="1")
    check("offline: says what is missing", value and any("00002" in w for w in value["warnings"]))
    fails("offline: absent", "hf://org/single", "HF_HUB_OFFLINE", HF_HUB_CACHE=hub, HF_HUB_OFFLINE="1")
    check("offline: no request", not LOG.requests)


def test_tls():
    """A server with a certificate of its own: refused unless it is trusted; never left for plain http."""
    if not shutil.which("openssl"):
        print("skipped: https (no openssl to make a certificate)")
        return
    key, certificate = os.path.join(HOME.name, "key.pem"), os.path.join(HOME.name, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = "https://localhost:%d" % server.server_address[1]
    trust = {"CURL_CA_BUNDLE": certificate}
    opens("https", base + "/plain/big.safetensors", 10, **trust)
    fails("https: unknown certificate", base + "/plain/small.safetensors", "ertificate")
    other = base.replace("localhost", "127.0.0.1")
    fails("https: another name", other + "/plain/small.safetensors", "127.0.0.1", **trust)
    fails("https to http", base + "/elsewhere/small.safetensors", "redirects from https to http", **trust)
    opens("https: token", base + "/plain/small.safetensors", 2, HF_ENDPOINT=base, HF_TOKEN=TOKEN, **trust)
    check("https: token arrives", "Authorization" in LOG.requests[-1][3])
    server.shutdown()


def test_parts():
    """Models of several files, by address and by reference: split GGUF, ONNX with external data."""
    local = os.path.join(HOME.name, "local.safetensors")
    with open(local, "wb") as f:
        f.write(safetensors({"t%d" % i: ("F32", [32, 8], 1024) for i in range(4)}))
    done = subprocess.run([TOLA, "convert", local, os.path.join(HOME.name, "x.gguf"), "--max-shard-size", "2000"],
                          stdout=subprocess.DEVNULL)
    names = sorted(n for n in os.listdir(HOME.name) if n.startswith("x-0000"))
    check("a split GGUF is made", done.returncode == 0 and len(names) > 1, str(names))
    HUB["org/split"] = {}
    for name in names:
        with open(os.path.join(HOME.name, name), "rb") as f:
            HUB["org/split"][name] = FILES[name] = f.read()
    opens("split GGUF", BASE + "/plain/" + names[0], 4)
    opens("split GGUF from a hub", "hf://org/split", 4)
    # ModelProto: ir_version 8, graph with one initializer f32[2] "w" in weights.bin
    entry = b"\x0a\x08location\x12\x0bweights.bin"
    w = b"\x08\x02\x10\x01\x42\x01w\x6a" + bytes([len(entry)]) + entry + b"\x70\x01"
    graph = b"\x2a" + bytes([len(w)]) + w
    model = b"\x08\x08\x3a" + bytes([len(graph)]) + graph
    FILES["onnx/model.onnx"], FILES["onnx/weights.bin"] = model, bytes(8)
    HUB["org/onnx"] = {"model.onnx": model, "weights.bin": bytes(8)}
    opens("ONNX", BASE + "/plain/onnx/model.onnx", 1)
    opens("ONNX from a hub", "hf://org/onnx", 1)
    code, _, err = run("hf://org/onnx", "--digest")
    check("ONNX: digest", code == 0, err)
    hub = os.path.join(HOME.name, "onnxhub")
    cache(hub, "cached/onnx", {"model.onnx": model, "weights.bin": bytes(8)})
    opens("ONNX from the cache, links to blobs", "hf://cached/onnx", 1, HF_HUB_CACHE=hub, HF_HUB_OFFLINE="1")


def main():
    start = time.time()
    chosen = os.environ.get("ONLY")
    for name, test in list(globals().items()):
        if name.startswith("test_") and (not chosen or chosen in name):
            test()
    print("remote_test: %.0f s, %d passed, %d failed" % (time.time() - start, PASSED, FAILED))
    sys.exit(1 if FAILED else 0)


main()
