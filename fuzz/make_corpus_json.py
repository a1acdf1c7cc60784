"""Makes fuzz/corpus/json: documents of every shape, right and wrong."""
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "json"
TEXTS = {
    "header": b'{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}   ',
    "config": b'{"rope_theta": 1e6, "eps": 1e-05, "limit": [0.0, Infinity], "x": -NaN, "tie": false, "n": null}',
    "numbers": b"[0,-0,1,18446744073709551615,18446744073709551616,-9223372036854775808,0.1,1e22,5e-324,1e308]",
    "strings": b'["","\\u00e9\\ud83d\\ude00\\u0000\\"\\\\\\/\\b\\f\\n\\r\\t","\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"]',
    "surrogate": b'"\\ud800\\u0041"', "overlong": b'"\xc0\x80"', "control": b'"a\nb"', "out-of-range": b"1e999",
    "zero": b"01", "point": b"1.", "exponent": b"[1e+]", "twice": b'{"a":1,"a":2}', "comma": b"[1,]", "open": b'{"a":[',
    "many": b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(40)) + b"}",
    "deep": b"[" * 130, "nested": b"[" * 60 + b"]" * 60,
    "nan": b"[NaN,-Infinity]", "after": b"{} x", "indented": b'{\n  "a": [\n    1\n  ]\n}\n',
}
OUT.mkdir(parents=True, exist_ok=True)
for name, text in TEXTS.items():
    (OUT / name).write_bytes(text)
