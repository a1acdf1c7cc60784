"""Makes fuzz/corpus/choice: lines of multiple-choice files, right and wrong."""

import json
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "choice"


def lines(*objects):
    return "\n".join(o if isinstance(o, str) else json.dumps(o, ensure_ascii=False) for o in objects) + "\n"


FILES = {
    "index": lines({"question": "2 + 2 =", "choices": ["three", "four"], "answer": 1}),
    "letter": lines({"context": "a ", "choices": ["b", " c", "d"], "answer": "C", "id": [1, {"x": None}]}),
    "text": lines({"prompt": "", "choices": ["\u00e4\u00f6", "\u65e5\u672c"], "answer": "\u65e5\u672c"}),
    "several": lines({"question": "q", "choices": ["A", "B"], "answer": "B"}, "", " \t\r",
                     {"question": "q\n", "choices": ["x"] * 9, "answer": 8}),
    "ambiguous": lines({"question": "q", "choices": ["B", "A"], "answer": "A"}),
    "wrong": lines({"question": "q", "choices": ["a", ""], "answer": 0}, {"choices": []}, "[1]", "{"),
    "no-end": '{"question":"q","choices":["a","b"],"answer":0}',
}

OUT.mkdir(parents=True, exist_ok=True)
for name, content in FILES.items():
    (OUT / name).write_bytes(content.encode())
