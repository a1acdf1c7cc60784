"""Makes fuzz/corpus/refs: addresses, references and headers of every shape."""
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "refs"
TEXTS = {
    "url": "https://User:p%40ss@Example.org:8443/a%20b/c d?x=1&y=/2#frag", "ipv6": "http://[2001:db8::1]:80/x",
    "bare": "https://h", "query": "http://h?q", "at": "http://a@b@c/d@e", "backslash": "http://h\\x",
    "hub": "hf://org/name", "hub-file": "hf://org/na.me@v1.0/sub/model.safetensors", "hub-old": "hf://gpt2@main",
    "hub-pr": "hf://org/name@refs/pr/1/x.bin", "hub-encoded": "hf://org/name@refs%2Fpr%2F1",
    "hub-out": "hf://org/name/a/../b", "range": "bytes 0-65535/1234567", "range-star": "bytes 5-9/*",
    "head": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nX-Linked-Etag: \"a\"\r\nX-Repo-Commit: c\r\n\r\n"
            "HTTP/2 206 \r\nContent-Range: bytes 0-1/2\r\ncontent-length:2\r\nETag: W/\"b\"\r\n\r\n",
    "head-error": "HTTP/1.1 401 No\nX-Error-Code: GatedRepo\nX-Error-Message: \t ask \nContent-Encoding: gzip\n"
                  "Last-Modified: today\nContent-Length: 99999999999999999999\n\n",
    "range-none": "bytes */100",
}
OUT.mkdir(parents=True, exist_ok=True)
for name, text in TEXTS.items():
    (OUT / name).write_bytes(text.encode())
