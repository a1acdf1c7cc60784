"""Makes fuzz/corpus/safetensors and fuzz/corpus/index from the fixtures of the tests: small files, right and wrong."""

import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "fixtures"))
import make_fixtures as made  # noqa: E402

DTYPES = {"BOOL": 1, "U8": 1, "I8": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8,
          "I64": 8, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "C64": 8}


def fill(name, files):
    folder = HERE / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)
    print(f"{folder.relative_to(HERE.parent)}: {len(files)} files")


def safetensors():
    files = {
        "tiny": made.safetensors(made.TINY, {"format": "pt", "né": "\u2603 \"quoted\" \\ \n"}),
        "none": made.safetensors_raw("{}"),
        "metadata-only": made.safetensors_raw('{"__metadata__":{"a":"b"}}'),
        "dtypes": made.safetensors([(d.lower(), d, [2], b"\0" * (2 * n)) for d, n in DTYPES.items()]),
        "scalar-and-empty": made.safetensors([("s", "F32", [], b"\0" * 4), ("e", "F32", [0, 7], b"")]),
        "half-bytes": made.safetensors([("f4", "F4", [4], b"\x21\x43"), ("f6", "F6_E2M3", [4], b"\0" * 3)]),
        "escaped-names": made.safetensors_raw(
            '{"\\u00e9\\ud83d\\ude00":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"),
        "trailing-bytes": made.safetensors(made.TINY) + b"more",
    }
    with tempfile.TemporaryDirectory() as folder:
        made.write_bad(folder)
        for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
            if path.name != "deep.safetensors":  # 10 kB of brackets; a shorter one does
                files["bad-" + path.stem] = path.read_bytes()
    files["bad-deep"] = made.safetensors_raw('{"a":{"shape":' + "[" * 200 + "]" * 200 + "}}")
    return files


def index():
    shard = "model-{:05}-of-00002.safetensors".format

    def text(weight_map, **more):
        return json.dumps({"metadata": {"total_size": 64}, "weight_map": weight_map, **more})

    return {
        "two-shards": text({"a": shard(1), "b": shard(2), "c": shard(1)}),
        "one-shard": text({"a": "model.safetensors"}),
        "empty": text({}),
        "no-map": '{"metadata":{}}',
        "map-is-list": '{"weight_map":["a"]}',
        "shard-is-number": '{"weight_map":{"a":1}}',
        "twice": '{"weight_map":{"a":"x.bin","a":"y.bin"}}',
        "climbs": text({"a": "../x.safetensors"}),
        "absolute": text({"a": "/etc/passwd"}),
        "no-name": text({"a": "", "": "x.bin"}),
        "nul": '{"weight_map":{"a\\u0000b":"x.bin","c":"y\\u0000z.bin"}}',
        "unicode": '{"weight_map":{"\\ud83d\\ude00":"\\u00e9.bin"}}',
        "deep": '{"metadata":' + "[" * 100 + "]" * 100 + ',"weight_map":{}}',
        "total-overflows": '{"metadata":{"total_size":18446744073709551616},"weight_map":{"a":"x.bin"}}',
        "not-closed": '{"weight_map":{"a":"x.bin"',
    }


fill("safetensors", safetensors())
fill("index", index())
