"""Makes fuzz/corpus/jinja: small templates, those that work by the dozen and some that do not, with a conversation.

Needs transformers, which says which of them work."""
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
OUT = HERE / "corpus" / "jinja"
sys.path.insert(0, str(HERE.parent / "tests" / "oracle"))
os.environ.setdefault("TOLA_BUILD", ".")
import chat_oracle  # noqa: E402
import chat_snippets  # noqa: E402

TOGETHER = 24  # snippets in one file
MESSAGES = json.dumps([{"role": "user", "content": "\u2603 hi"}, {"role": "assistant", "content": "a\u2603",
                       "tool_calls": [{"function": {"name": "f\u2603", "arguments": {"x": ["\u2603", 1.5, None]}}}]}],
                      ensure_ascii=False)
TEMPLATE = ("{%- for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('no') }}{% endif %}"
            "<|{{ m.role }}|>{{ m['content'] | trim }}{% for c in m.tool_calls or [] %}{{ c | tojson(indent=2) }}"
            "{% set n = c.function.name.split('f')[-1] %}{{ n }}{% endfor %}{% generation %}{{ m.content[1:] }}"
            "{% endgeneration %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    good, bad = [], []
    for snippet in sorted(set(chat_snippets.snippets())):
        arguments = {"variables": chat_snippets.VARIABLES}
        text, _ = chat_oracle.reference(snippet, chat_snippets.MESSAGES, arguments)
        (bad if text is None else good).append(snippet)
    variables = json.dumps(chat_snippets.VARIABLES, ensure_ascii=False)
    packs = ["\n".join(good[i::len(good) // TOGETHER // 5][:TOGETHER]) for i in range(24)]
    for i, pack in enumerate([TEMPLATE, *packs, *bad[::60]]):
        (OUT / f"{i:03}").write_bytes("\0".join((pack, MESSAGES, variables)).encode())


if __name__ == "__main__":
    main()
