"""tola convert against the packages that own the formats.

Every container into every container, as it is and cast; what comes out is opened by safetensors, gguf, torch and numpy
and compared with torch's and ml_dtypes' casts of what went in. Then include, exclude, rename, overrides, shards and
metadata; then every real file in the data folder, whose fingerprint must survive a change of container."""

import json
import pathlib
import subprocess

import common

tally = common.Tally("convert")
try:
    import gguf
    import ml_dtypes
    import numpy as np
    import safetensors
    import safetensors.torch
    import torch
except ImportError as error:
    tally.skip(f"the packages of the formats are not all there ({error})")
    tally.finish()

TOLA = str(common.BUILD / "tola")
TORCH = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64,
         "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8, "bool": torch.bool}
if hasattr(torch, "float8_e4m3fn"):
    TORCH.update({"f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2})
else:
    tally.skip(f"torch {torch.__version__} has no 8-bit floats: those are not converted")
NAMES = {v: k for k, v in TORCH.items()}
FLOATS = tuple(n for n in ("f64", "f32", "f16", "bf16", "f8_e4m3", "f8_e5m2") if n in TORCH)
HOLDS = {
    "safetensors": set(TORCH),
    "pt": set(TORCH),
    "gguf": {"f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8"},
    "npz": {"f64", "f32", "f16", "i64", "i32", "i16", "i8", "u8", "bool"},
}
Q = gguf.GGMLQuantizationType
GGUF_TYPES = {"f64": Q.F64, "f32": Q.F32, "f16": Q.F16, "bf16": Q.BF16, "i64": Q.I64, "i32": Q.I32, "i16": Q.I16,
              "i8": Q.I8}
GGUF_NUMPY = {Q.F64: "<f8", Q.F32: "<f4", Q.F16: "<f2", Q.I64: "<i8", Q.I32: "<i4", Q.I16: "<i2", Q.I8: "i1"}


def convert(source, target, *options, ok=True):
    done = subprocess.run([TOLA, "convert", str(source), str(target), *options], capture_output=True, text=True)
    if ok and done.returncode:
        tally.check(f"convert {source.name} {pathlib.Path(target).name} {' '.join(options)}", False, done.stderr.strip())
    return done


# ---- writing and reading each container with its own package ----

def save(path, tensors):
    kind = path.suffix[1:]
    if kind == "safetensors":
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt", "made": "by the test"})
    elif kind == "pt":
        torch.save(tensors, path)
    elif kind == "npz":
        np.savez(path, **{k: v.numpy() for k, v in tensors.items()})
    else:
        w = gguf.GGUFWriter(path, "none")
        w.add_uint32("test.number", 7)
        w.add_array("test.many", list(range(5000)))
        w.add_array("test.few", [1, 2, 3])
        for name, t in tensors.items():
            raw = t.contiguous().reshape(-1).view(torch.uint8).numpy() if t.numel() else np.zeros(0, np.uint8)
            kind = GGUF_TYPES[NAMES[t.dtype]]
            shape = list(t.shape)
            byte_shape = [*shape[:-1], shape[-1] * t.element_size()]
            w.add_tensor(name, raw.reshape(byte_shape), raw_dtype=kind)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()


def load(path):
    kind = path.suffix[1:]
    if kind == "safetensors":
        return safetensors.torch.load_file(path)
    if kind == "pt":
        return torch.load(path, weights_only=True)
    if kind == "npz":
        return {k: torch.from_numpy(v.copy()) for k, v in np.load(path).items()}
    out = {}
    for t in gguf.GGUFReader(path).tensors:
        shape = [int(n) for n in reversed(t.shape)]
        if t.tensor_type == Q.BF16:
            raw = np.ascontiguousarray(t.data).reshape(-1).view(np.int16)
            out[t.name] = torch.from_numpy(raw.copy()).view(torch.bfloat16).reshape(shape)
        else:
            data = np.ascontiguousarray(t.data).reshape(-1).view(GGUF_NUMPY[t.tensor_type])
            out[t.name] = torch.from_numpy(data.copy()).reshape(shape)
    return out


# ---- comparing ----

def cast(t, name):
    """What a float tensor becomes. ml_dtypes makes the 8-bit types, from values that are exact in f32."""
    if name not in ("f8_e4m3", "f8_e5m2"):
        return t.to(TORCH[name])
    kind = ml_dtypes.float8_e4m3fn if name == "f8_e4m3" else ml_dtypes.float8_e5m2
    raw = t.to(torch.float32).numpy().astype(kind).view(np.uint8)
    return torch.from_numpy(raw.copy()).view(TORCH[name])


def same_values(got, wanted):
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return False
    if not got.dtype.is_floating_point:
        return torch.equal(got, wanted)
    a, b = got.to(torch.float64), wanted.to(torch.float64)
    both_nan = a.isnan() & b.isnan()
    return bool((both_nan | ((a == b) & (a.signbit() == b.signbit()))).all())


def same_model(what, got, wanted):
    if not tally.equal(f"{what}: names", sorted(got), sorted(wanted)):
        return
    bad = [f"{k} {got[k].dtype} {tuple(got[k].shape)}" for k in wanted if not same_values(got[k], wanted[k])]
    tally.check(what, not bad, f"{len(bad)} tensors differ: {bad[:4]}")


def make(names, exact):
    """Tensors of each dtype with the values that matter: ties, subnormals, the ends of the ranges, NaN, infinities.
    `exact`: values of f64 that f32 holds, so that no cast rounds twice in a reference."""
    random = np.random.default_rng(7)
    special = [0.0, -0.0, 1.0, -1.0, 448.0, 449.0, 464.0, 480.0, 57344.0, 61440.0, 65504.0, 65519.0, 65520.0, 3e38, -3e38,
               2.0 ** -24, 2.0 ** -25, 3 * 2.0 ** -26, 2.0 ** -149, 2.0 ** -133, 2.0 ** -134, float("inf"),
               float("-inf"), float("nan"), 1 + 2.0 ** -8, 1 + 3 * 2.0 ** -8, 1 + 2.0 ** -11, 1 + 3 * 2.0 ** -11]
    out = {}
    for name in names:
        if name in FLOATS:
            values = random.standard_normal(5000) * 10.0 ** random.uniform(-9, 9, 5000)
            values = torch.tensor(np.concatenate([special, values])[:4996], dtype=torch.float64)
            if exact:
                values = values.to(torch.float32).to(torch.float64)
            t = cast(values, name) if name in ("f8_e4m3", "f8_e5m2") else values.to(TORCH[name])
            out[f"layer.{name}.weight"] = t.reshape(4, 1249)
        elif name == "bool":
            out["layer.bool.mask"] = torch.from_numpy(random.integers(0, 2, 33).astype(bool))
        else:
            limits = torch.iinfo(TORCH[name])
            out[f"layer.{name}.index"] = torch.from_numpy(random.integers(limits.min, limits.max, (3, 11), np.int64 if
                                                          name != "u8" else np.int64)).to(TORCH[name])
    return out


# ---- the checks ----

def check_containers(folder):
    for source in HOLDS:
        names = sorted(HOLDS[source])
        model = make(names, exact=False)
        path = folder / f"in.{source}"
        save(path, model)
        same_model(f"{source} as its own package reads it", load(path), model)
        for target in HOLDS:
            wanted = {k: v for k, v in model.items() if NAMES[v.dtype] in HOLDS[target]}
            excluded = [f"--exclude={k}" for k in model if k not in wanted]
            out = folder / f"from_{source}.{target}"
            if excluded:
                done = convert(path, folder / f"refused.{target}", ok=False)
                tally.check(f"{source} to {target} names the tensor that does not fit", done.returncode == 2 and
                            f"{target if target != 'pt' else 'pytorch'} cannot hold" in done.stderr, done.stderr)
                tally.check("and leaves no file", not (folder / f"refused.{target}").exists())
            if convert(path, out, *excluded).returncode == 0:
                same_model(f"{source} to {target}", load(out), wanted)


def check_casts(folder):
    model = make(FLOATS + ("i32",), exact=True)
    path = folder / "casts.safetensors"
    save(path, model)
    for name in FLOATS:
        wanted = {k: cast(v, name) if v.is_floating_point() else v for k, v in model.items()}
        for target in HOLDS:
            out = folder / f"cast_{name}.{target}"
            if name not in HOLDS[target]:
                done = convert(path, out, f"--dtype={name}", ok=False)
                tally.check(f"{target} refuses {name}", done.returncode == 2 and f"cannot hold {name}" in done.stderr,
                            done.stderr)
            elif convert(path, out, f"--dtype={name}").returncode == 0:
                same_model(f"casts to {name} in {target}", load(out), wanted)
    done = convert(path, folder / "saturated.safetensors", "--dtype=f16", "--overflow=saturate", "--json")
    if done.returncode == 0:
        report = json.loads(done.stdout)
        wanted, count = {}, 0
        for k, v in model.items():
            if v.is_floating_point():
                wide = v.to(torch.float64)
                half = wide.to(torch.float16)
                over = half.isinf() & (v.dtype != torch.float16)  # infinity itself, too, unless it is copied
                count += int((over & ~wide.isinf()).sum())
                half[over] = torch.where(wide[over] > 0, 65504.0, -65504.0).to(torch.float16)
                v = half
            wanted[k] = v
        same_model("saturating", load(folder / "saturated.safetensors"), wanted)
        tally.equal("overflows are counted", report["overflowed"], count)


def check_storage(folder):
    """Views of one storage, transposed and sliced, and compressed arrays longer than a block."""
    base = torch.arange(3000 * 1700, dtype=torch.float32).reshape(3000, 1700)
    views = {"whole": base, "turned": base.t(), "rows": base[5:9], "columns": base[:, 3:700:7], "scalar": base[2, 2],
             "parameter": torch.nn.Parameter(base[:2])}
    wanted = {k: v.detach().contiguous() for k, v in views.items()}
    torch.save(views, folder / "views.pt")
    for target in HOLDS:
        if target != "gguf":
            out = folder / f"views_out.{target}"
            if convert(folder / "views.pt", out).returncode == 0:
                same_model(f"views of one storage to {target}", load(out), wanted)
    if convert(folder / "views.pt", folder / "views_cast.safetensors", "--dtype=bf16").returncode == 0:
        same_model("views, cast", load(folder / "views_cast.safetensors"), {k: cast(v, "bf16") for k, v in wanted.items()})
    np.savez_compressed(folder / "packed.npz", a=base.numpy(), b=np.asfortranarray(base.numpy()), c=base.numpy()[:, 0])
    if convert(folder / "packed.npz", folder / "packed.safetensors", "--dtype=f64").returncode == 0:
        wide = base.to(torch.float64)
        same_model("compressed arrays", load(folder / "packed.safetensors"), {"a": wide, "b": wide, "c": wide[:, 0].contiguous()})


def check_choices(folder):
    model = {f"model.layers.{i}.{n}": torch.full((3, 5), float(i)) for i in range(12) for n in ("q", "k")}
    model["head"] = torch.arange(6.0)
    path = folder / "choices.safetensors"
    save(path, model)
    out = folder / "out.safetensors"
    common_options = ["--force"]
    convert(path, out, *common_options, "--include=model.layers.1*", "--exclude=*.k", "--rename=model.layers.*.*=blk.*.attn_*")
    same_model("include, exclude, rename", load(out), {f"blk.{i}.attn_q": model[f"model.layers.{i}.q"] for i in (1, 10, 11)})
    convert(path, out, *common_options, "--dtype=bf16", "--dtype-override=head=f64", "--dtype-override=*.[01].*=f32")
    wanted = {k: v.to(torch.float64 if k == "head" else torch.float32 if k.split(".")[2:3] in (["0"], ["1"])
                      else torch.bfloat16) for k, v in model.items()}
    same_model("overrides", load(out), wanted)
    for target in ("one.safetensors", "folder/"):
        convert(path, f"{folder}/{target}", "--max-shard-size=200")
        index_path = folder / (target + ".index.json" if "." in target else "folder/model.safetensors.index.json")
        index = json.loads(index_path.read_text())
        parts = {n: load(index_path.parent / n) for n in set(index["weight_map"].values())}
        tally.check("there are several shards", len(parts) > 5)
        tally.equal("the total", index["metadata"]["total_size"], sum(v.numel() * v.element_size() for v in model.values()))
        tally.equal("every shard holds what the index says", {k: n for n, p in parts.items() for k in p}, index["weight_map"])
        same_model(f"shards of {target}", {k: v for p in parts.values() for k, v in p.items()}, model)


def check_metadata(folder):
    def metadata(path):
        with safetensors.safe_open(path, "pt") as f:
            return f.metadata()

    model = {"a": torch.ones(32)}
    save(folder / "m.safetensors", model)
    save(folder / "m.gguf", model)
    convert(folder / "m.safetensors", folder / "n.safetensors")
    tally.equal("metadata stays", metadata(folder / "n.safetensors"), {"format": "pt", "made": "by the test"})
    convert(folder / "m.safetensors", folder / "n.gguf")
    fields = gguf.GGUFReader(folder / "n.gguf").fields
    tally.check("strings reach GGUF", "made" in fields and fields["made"].contents() == "by the test" and "format" not in fields)
    done = convert(folder / "m.gguf", folder / "o.safetensors")
    got = metadata(folder / "o.safetensors")
    tally.check("the large array is reported", "1 metadata entry was not carried over" in done.stderr, done.stderr)
    tally.check("numbers become text", got.get("test.number") == "7" and json.loads(got.get("test.few", "0")) == [1, 2, 3]
                and got.get("format") == "pt" and "test.many" not in got, str(got))
    convert(folder / "m.gguf", folder / "p.gguf")
    keys = [{k: f.contents() for k, f in gguf.GGUFReader(folder / n).fields.items() if not k.startswith("GGUF.")}
            for n in ("m.gguf", "p.gguf")]
    tally.equal("GGUF to GGUF keeps all keys", keys[1], keys[0])


def digest(path):
    done = subprocess.run([TOLA, "inspect", "--digest", "--json", str(path)], capture_output=True, text=True)
    return json.loads(done.stdout)["digest"] if done.returncode == 0 else None


def check_data(folder):
    """Real files: into safetensors (or GGUF, where block types are in them) with the same fingerprint."""
    if not common.DATA.is_dir():
        tally.skip("no data folder")
        return
    files = [p for p in sorted(common.DATA.rglob("*")) if p.suffix in (".safetensors", ".gguf", ".pt", ".pth", ".npz", ".bin")]
    converted = 0
    for i, path in enumerate(files):
        before = digest(path)
        if before is None:
            continue  # not weights, or broken on purpose: what the reader says is another test's business
        kinds = ["safetensors", "pt"] + (["gguf"] if path.suffix == ".gguf" else [])
        for kind in kinds:
            out = folder / f"data{i}.{kind}"
            done = convert(path, out, ok=False)
            if done.returncode == 0:
                tally.equal(f"{path.name} to {kind}: fingerprint", digest(out), before)
                converted += 1
                out.unlink()
            else:
                tally.check(f"{path.name} to {kind}: a reason", "cannot hold" in done.stderr, done.stderr.strip())
    tally.check("some real files were converted", converted > 50, str(converted))


with common.folder() as name:
    check_containers(pathlib.Path(name))
with common.folder() as name:
    check_casts(pathlib.Path(name))
with common.folder() as name:
    check_storage(pathlib.Path(name))
with common.folder() as name:
    check_choices(pathlib.Path(name))
with common.folder() as name:
    check_metadata(pathlib.Path(name))
with common.folder() as name:
    check_data(pathlib.Path(name))
tally.finish()
