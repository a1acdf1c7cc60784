"""Asking tola_grammar: grammars and schemas in, verdicts on texts and texts that they make out."""
import collections
import struct
import subprocess

from common import BUILD

Answer = collections.namedtuple("Answer", "status message fits made")


def ask(requests):
    """requests: [(kind, text, [candidate bytes], walks, seed)], kind "gbnf" or "schema". -> [Answer]"""
    body = []
    for kind, text, candidates, walks, seed in requests:
        text = text.encode()
        body.append(struct.pack("=2I", kind == "schema", len(text)) + text + struct.pack("=I", len(candidates)))
        body += [struct.pack("=I", len(c)) + c for c in candidates]
        body.append(struct.pack("=IQ", walks, seed))
    done = subprocess.run([BUILD / "tola_grammar"], input=b"".join(body), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"tola_grammar ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    data, at, answers = done.stdout, 0, []

    def take(n):
        nonlocal at
        at += n
        return data[at - n:at]

    for kind, text, candidates, walks, seed in requests:
        status, length = struct.unpack("=2I", take(8))
        message = take(length).decode()
        fits, made = [], []
        if status == 0:
            fits = [b == 1 for b in take(len(candidates))]
            for _ in range(walks):
                finished, length = struct.unpack("=2I", take(8))
                made.append((finished == 1, take(length)))
        answers.append(Answer(status, message, fits, made))
    return answers
