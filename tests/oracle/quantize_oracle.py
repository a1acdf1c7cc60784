#!/usr/bin/env python3
"""tola quantize against the gguf package: what was written is read and dequantized there, and the figures of the report
are computed again from it; sizes of a dry run are those of the file."""
import json
import pathlib
import subprocess
import sys

import common

try:
    import numpy as np
    import gguf
    from gguf.quants import dequantize
except ImportError as e:
    print(f"0 passed, 0 failed, 1 skipped: {e}")
    sys.exit(0)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ3_S",
         "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "mxfp4", "F16", "BF16"]
MIXTURES = ["Q4_K_M", "Q3_K_L", "Q2_K", "IQ3_M"]
passed = failed = 0


def check(what, good):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print("FAIL", what)


def read(path):
    """{name: (type, f64 array)} of a GGUF file, as the package has them."""
    out = {}
    for t in gguf.GGUFReader(path).tensors:
        out[t.name] = (t.tensor_type.name, dequantize(t.data, t.tensor_type).astype(np.float64).ravel())
    return out


def close(a, b):
    return a is not None and abs(a - b) <= 1e-6 * max(abs(b), 1e-12)


def tola(*arguments):
    return subprocess.run([str(common.BUILD / "tola"), *map(str, arguments)], check=True, capture_output=True)


def run(kind, flags, source, truth, folder):
    out, report = folder / "q.gguf", folder / "q.json"
    done = tola("quantize", source, out, "--to", kind, "--force", "--report", report, "--threads", 2, *flags)
    dry = json.loads(tola("quantize", source, folder / "none.gguf", "--to", kind, "--dry-run", "--json", *flags).stdout)
    said = json.loads(report.read_text())
    check(f"{kind}: no warning", not done.stderr)
    check(f"{kind}: dry run", dry["bytes"] == said["bytes"] == out.stat().st_size)
    there = read(out)
    check(f"{kind}: names", sorted(there) == sorted(t["name"] for t in said["tensors"]) == sorted(truth))
    noise = signal = count = 0
    for t in said["tensors"]:
        a, (written, b) = truth[t["name"]][1], there[t["name"]]
        check(f"{kind}: {t['name']} is {written}, reported {t['type']}", written.lower() == t["type"])
        d = a - b
        noise, signal, count = noise + (d * d).sum(), signal + (a * a).sum(), count + a.size
        check(f"{kind}: {t['name']} rmse", close(t["rmse"], np.sqrt((d * d).mean())))
        check(f"{kind}: {t['name']} max", close(t["max_abs"], np.abs(d).max()))
        if d.any():
            check(f"{kind}: {t['name']} snr", close(t["snr_db"], 10 * np.log10((a * a).sum() / (d * d).sum())))
            check(f"{kind}: {t['name']} cosine", close(t["cosine"], (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())))
        else:
            check(f"{kind}: {t['name']} exact", t["snr_db"] is None and t["cosine"] == 1)
    check(f"{kind}: rmse of all", close(said["rmse"], np.sqrt(noise / count)))
    keys = gguf.GGUFReader(out).fields
    check(f"{kind}: quantization_version", keys["general.quantization_version"].parts[-1][0] == 2)


def main():
    with common.folder() as name:
        folder = pathlib.Path(name)
        fixtures = folder / "fixtures"
        subprocess.run([sys.executable, ROOT / "tests/fixtures/make_fixtures.py", fixtures], check=True,
                       capture_output=True)
        subprocess.run([sys.executable, ROOT / "tests/fixtures/make_model.py", folder / "model", fixtures / "llama"],
                       check=True, capture_output=True)
        source = folder / "f16.gguf"
        tola("convert", "-q", folder / "model", source)
        truth = read(source)
        for kind in TYPES:
            run(kind, ["--pure"], source, truth, folder)
        for kind in MIXTURES: # straight from the folder: names, permuted rows and types in one pass
            run(kind, [], folder / "model", truth, folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
