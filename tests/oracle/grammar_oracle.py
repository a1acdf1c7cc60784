#!/usr/bin/env python3
"""GBNF beside a recognizer that reads the same rules without any automaton: random grammars, texts that they make, and
these with a change."""
import functools
import random
import sys

from common import Tally
from grammar_io import ask

t = Tally("grammar_oracle")
SEED, ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 20261121, int(sys.argv[2]) if len(sys.argv) > 2 else 1500
rng = random.Random(SEED)
LETTERS = "abcé€😀\"\\-]\n "
sys.setrecursionlimit(20000)

# A grammar is {name: node}; nodes: ("lit", text), ("class", [(low, high)], negated), ("any",), ("ref", name),
# ("seq", [node]), ("alt", [node]), ("rep", node, low, high or None). Rule k refers to itself and earlier rules only
# behind a character, so that there is no left recursion.


def node(depth, names, guarded):
    x = rng.random()
    if depth == 0 or x < 0.3:
        x = rng.random()
        if x < 0.5:
            return ("lit", "".join(rng.choice(LETTERS) for _ in range(rng.randint(0 if guarded else 1, 3))))
        if x < 0.9 or not names:
            ranges = [tuple(sorted(rng.choices(LETTERS, k=2))) if rng.random() < 0.4 else (c, c)
                      for c in rng.choices(LETTERS, k=rng.randint(1, 3))]
            return ("class", ranges, rng.random() < 0.25)
        return ("any",)
    if x < 0.45 and names:
        return ("seq", [("lit", rng.choice(LETTERS)), ("ref", rng.choice(names))])
    if x < 0.65:
        return ("seq", [node(depth - 1, names, guarded) for _ in range(rng.randint(0, 3))])
    if x < 0.85:
        return ("alt", [node(depth - 1, names, guarded) for _ in range(rng.randint(1, 3))])
    low = rng.randint(0, 2)
    return ("rep", node(depth - 1, names, guarded), low, rng.choice([None, low + rng.randint(0, 2), max(low, 1)]))


def random_grammar():
    names = ["root"] + [f"r-{i}" for i in range(rng.randint(0, 3))]
    # every rule has an alternative without references, so that it can end
    return {n: ("alt", [node(0, [], True), node(rng.randint(1, 4), names, True)]) for n in names}


def escape(c, inside):
    if c == "\n":
        return "\\n"
    if c in "\"\\]" or (inside and c in "-^"):
        return "\\" + c if c != "^" else "\\x5e"
    return rng.choice([c, "\\U%08x" % ord(c)]) if rng.random() < 0.3 else c


def write(n):
    kind = n[0]
    if kind == "lit":
        return '"' + "".join(escape(c, False) for c in n[1]) + '"'
    if kind == "class":
        return "[" + "^" * n[2] + "".join(escape(a, True) + ("-" + escape(b, True) if a != b else "")
                                          for a, b in n[1]) + "]"
    if kind == "any":
        return "."
    if kind == "ref":
        return n[1]
    if kind == "seq":
        return "(" + " ".join(map(write, n[1])) + ")"
    if kind == "alt":
        return "(" + rng.choice([" | ", "|", " |\n ", "\n| # or\n"]).join(map(write, n[1])) + ")"
    low, high = n[2], n[3]
    suffix = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
    if suffix is None or rng.random() < 0.2:
        suffix = "{%d}" % low if low == high else "{%d,%s}" % (low, "" if high is None else high)
    return "(" + write(n[1]) + ")" + suffix


def recognizer(grammar, text):
    @functools.lru_cache(maxsize=None)
    def rule(name, at):
        return frozenset(ends(grammar[name], at))

    def ends(n, at):
        kind = n[0]
        if kind == "lit":
            return {at + len(n[1])} if text.startswith(n[1], at) else set()
        if kind == "any":
            return {at + 1} if at < len(text) else set()
        if kind == "class":
            if at >= len(text):
                return set()
            return {at + 1} if any(a <= text[at] <= b for a, b in n[1]) != n[2] else set()
        if kind == "ref":
            return rule(n[1], at)
        if kind == "seq":
            here = {at}
            for part in n[1]:
                here = set().union(*(ends(part, i) for i in here))
            return here
        if kind == "alt":
            return set().union(*(ends(part, at) for part in n[1]))
        here, out, seen, count = {at}, set(), set(), 0
        while True:
            if count >= n[2]:
                if here <= seen:  # also an end: nothing new comes
                    return out
                seen |= here
                out |= here
            if count == n[3] or not here:
                return out
            here = set().union(*(ends(n[1], i) for i in here)) if here else set()
            count += 1

    return len(text) in rule("root", 0)


def make(grammar, n, budget):
    kind = n[0]
    if kind == "lit":
        return n[1]
    if kind == "any":
        return rng.choice(LETTERS)
    if kind == "class":
        fitting = [c for c in LETTERS + "zZ0" if any(a <= c <= b for a, b in n[1]) != n[2]]
        return rng.choice(fitting) if fitting else "?"
    if kind == "ref":
        return make(grammar, grammar[n[1]] if budget > 0 else grammar[n[1]][1][0], budget - 1)
    if kind == "seq":
        return "".join(make(grammar, part, budget) for part in n[1])
    if kind == "alt":
        return make(grammar, rng.choice(n[1]), budget)
    high = n[2] + 2 if n[3] is None else n[3]
    return "".join(make(grammar, n[1], budget) for _ in range(rng.randint(n[2], high)))


def change(text):
    at = rng.randint(0, len(text))
    return rng.choice([text[:at] + text[at + 1:], text[:at] + rng.choice(LETTERS) + text[at:], text[:at]])


requests, expected = [], []
for i in range(ROUNDS):
    grammar = random_grammar()
    order = list(grammar)
    rng.shuffle(order)
    source = "# made at random\n" + "\n".join(f"{name} ::= {write(grammar[name])}" for name in order) + "\n"
    texts = [make(grammar, grammar["root"], 4) for _ in range(6)]
    texts = [x for x in texts + [change(x) for x in texts for _ in range(2)] if len(x) < 60]
    requests.append(("gbnf", source, [x.encode() for x in texts], 4, SEED * 100 + i))
    expected.append((grammar, source, texts))
good = bad = made = 0
for (grammar, source, texts), answer in zip(expected, ask(requests)):
    if not t.check(f"{source}: compiles", answer.status == 0, answer.message):
        continue
    for text, fits in zip(texts, answer.fits):
        want = recognizer(grammar, text)
        good, bad = good + want, bad + (not want)
        t.check(f"{source} {'takes' if want else 'refuses'} {text!r}", fits == want)
    for finished, text in answer.made:
        if finished and len(text) < 120:
            made += 1
            t.check(f"{source} made {text!r}", recognizer(grammar, text.decode()))
print(f"{ROUNDS} grammars: {good} texts that fit, {bad} that do not, {made} made")
t.finish()
