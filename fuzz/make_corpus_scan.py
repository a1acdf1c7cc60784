"""Makes fuzz/corpus/scan and scan_pickle from the attacks of tests/oracle/scan_attacks.py: small ones of each kind.

The first byte of those in scan chooses the name under which fuzz_scan gives the rest to the scanner."""

import pathlib
import sys
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "oracle"))
import scan_attacks  # noqa: E402

warnings.simplefilter("ignore")
NAMES = [".none", ".pkl", ".json", ".jinja", ".safetensors", ".gguf", ".pb", ".onnx", ".h5", ".npy", ".zip", ".data"]
LIMIT = 1500  # bytes

cases = [*scan_attacks.attacks(), *scan_attacks.harmless()]
for folder in ("scan", "scan_pickle"):
    place = HERE / "corpus" / folder
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        old.unlink()
gadgets = 0
for name, file, data, *_ in cases:
    if len(data) > LIMIT:
        continue
    if name in scan_attacks.GADGETS:  # differ by their names alone
        gadgets += 1
        if gadgets > 3:
            continue
    number = next((i for i, end in enumerate(NAMES) if file.endswith(end)), 0)
    (HERE / "corpus" / "scan" / name).write_bytes(bytes([number]) + data)
    if file.endswith(".pkl"):
        (HERE / "corpus" / "scan_pickle" / name).write_bytes(data)
