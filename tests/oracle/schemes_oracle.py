#!/usr/bin/env python3
"""Matrices under schemes against the packages that define them: compressed-tensors, bitsandbytes; DeepSeek's,
modelopt's and gpt-oss' layouts against their published formulas.

What the packages write is read to the same numbers, bit for bit; what is written here, the packages read to the same
numbers. The packages' arithmetic is asked for in f32 (scales widened), in which it is exact wherever theirs is.
Arguments name sections; none: all."""

import json
import os
import pathlib
import sys

import common

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # bitsandbytes would compile what runs for a millisecond

tally = common.Tally("schemes")

try:
    import numpy as np
    import torch
    from safetensors.torch import save_file
except ImportError as missing:
    tally.skip(missing)
    tally.finish()

if not hasattr(torch, "float8_e4m3fn"):
    print(f"skipped: torch {torch.__version__} has no 8-bit floats")
    print("schemes: 0 passed, 0 failed, 1 skipped")
    sys.exit(0)
torch.manual_seed(5)
rng = np.random.default_rng(5)
TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i8": torch.int8, "u8": torch.uint8,
         "i32": torch.int32, "i64": torch.int64, "f8_e4m3": torch.float8_e4m3fn}


def weights(rows, cols, spread=0.02):
    """Bell-shaped, with rows of different sizes, a row of zeros and a few values far out."""
    w = rng.standard_normal((rows, cols)).astype(np.float32) * spread
    w *= np.exp(rng.standard_normal((rows, 1)).astype(np.float32))
    w[rng.integers(rows, size=3), rng.integers(cols, size=3)] *= 20
    if rows > 2:
        w[1] = 0
    return torch.from_numpy(w)


def bits(t):
    return t.contiguous().float().numpy().view(np.uint32)


def same(what, got, expected):
    """Equal as f32, +0 and -0 alike, NaN as NaN."""
    got, expected = got.float().numpy(), expected.float().numpy()
    if not tally.check(f"{what}: shape", got.shape == expected.shape, f"{got.shape} {expected.shape}"):
        return
    wrong = ~((got == expected) | (np.isnan(got) & np.isnan(expected)))
    where = np.argwhere(wrong)[:1]
    tally.check(what, not wrong.any(), f"{wrong.sum()} differ, first at {where.tolist()}: "
                f"{got[wrong][:2]} {expected[wrong][:2]}")


def decode(folder, scheme, tensors, module="m", config=None, separator="."):
    source, out = pathlib.Path(folder) / "in.safetensors", pathlib.Path(folder) / "out.f32"
    save_file({f"{module}{separator}{k}": v.contiguous() for k, v in tensors.items()}, source)
    path = "-"
    if config is not None:
        path = pathlib.Path(folder) / "config.json"
        path.write_text(json.dumps({"quantization_config": config}))
    words = common.run("tola_scheme", "decode", scheme, source, module, path, out).decode().split()
    rows, cols, matrices = map(int, words[:3])
    got = torch.from_numpy(np.fromfile(out, np.float32).reshape(rows, cols))
    return got if matrices == 1 else got.reshape(matrices, rows // matrices, cols)


def encode(folder, kind, w, importance=None, **keys):
    """The parts, as tensors, and the document that describes them."""
    source, out, given = (pathlib.Path(folder) / n for n in ("in.f32", "part", "-"))
    w.numpy().astype(np.float32).tofile(source)
    given = "-"
    if importance is not None:
        given = pathlib.Path(folder) / "importance.f32"
        importance.numpy().astype(np.float32).tofile(given)
    document = json.loads(common.run("tola_scheme", "encode", kind, *w.shape, source, given, out,
                                     *[f"{k}={v}" for k, v in keys.items()]))
    parts = {}
    for name, part in document["parts"].items():
        data = np.fromfile(f"{out}.{name}", np.uint8)
        parts[name] = torch.from_numpy(data).view(TORCH[part["dtype"]]).reshape(part["shape"])
    return parts, document


def error_of(got, w):
    return float(((got.double() - w.double()) ** 2).sum())


# ---- compressed-tensors ----

try:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    HAVE_COMPRESSED = True
except ImportError as missing:
    tally.skip(missing)
    HAVE_COMPRESSED = False


def shaped(w, args):
    """The least and the largest value of each block that has a scale."""
    if args.strategy == "tensor":
        return w.min().reshape(1), w.max().reshape(1)
    if args.strategy == "channel":
        return w.amin(1, keepdim=True), w.amax(1, keepdim=True)
    if args.strategy == "block":
        r, c = args.block_structure
        padded = torch.zeros(-(-w.shape[0] // r) * r, -(-w.shape[1] // c) * c)
        padded[:w.shape[0], :w.shape[1]] = w
        blocks = padded.reshape(padded.shape[0] // r, r, padded.shape[1] // c, c)
        return blocks.amin((1, 3)), blocks.amax((1, 3))
    groups = w.reshape(w.shape[0], -1, args.group_size)
    return groups.amin(2), groups.amax(2)


def theirs(w, args, form, scale_dtype):
    """What the package itself makes of w: its smallest and largest values, its rounding, its packing."""
    state = {"weight": w.to(scale_dtype)}
    low, high = shaped(w.to(scale_dtype).float(), args)
    if args.strategy == "tensor_group":
        state["weight_global_scale"] = generate_gparam(w.min(), w.max())
        scale, zero = calculate_qparams(low, high, args, global_scale=state["weight_global_scale"])
    else:
        scale, zero = calculate_qparams(low.to(scale_dtype), high.to(scale_dtype), args)
    state["weight_scale"] = scale.to(scale_dtype) if args.scale_dtype is None else scale
    if not args.symmetric:
        state["weight_zero_point"] = zero
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    return BaseCompressor.get_value_from_registry(form).compress(state, scheme), scheme


def widened(state, scheme, form):
    """Decompressed by the package, in f32 where it lets the scale choose."""
    state = dict(state)
    if state["weight_scale"].dtype in (torch.float16, torch.bfloat16):
        state["weight_scale"] = state["weight_scale"].float()
    return BaseCompressor.get_value_from_registry(form).decompress(state, scheme)["weight"]


def expected_floats(state, element, group):
    """fp4 and fp6 in f32, where the package answers in bf16: its codes, its scales."""
    from compressed_tensors.compressors.mxfp6.helpers import unpack_fp6_from_uint8
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
    packed = state["weight_packed"]
    m, n = packed.shape
    codes = (unpack_fp4_from_uint8(packed, m, n * 2) if element == 4 else
             unpack_fp6_from_uint8(packed, m, n * 4 // 3)).float()
    scale = state["weight_scale"]
    scale = torch.exp2(scale.float() - 127) if scale.dtype == torch.uint8 else scale.float()
    if "weight_global_scale" in state:
        scale = scale / state["weight_global_scale"]
    return codes * scale.repeat_interleave(group, dim=1)


def config_of(args, form):
    groups = {"group_0": QuantizationScheme(targets=["Linear"], weights=args)}
    return json.loads(QuantizationConfig(config_groups=groups, format=form,
                                         quantization_status="compressed").model_dump_json())


def compressed_ints(folder):
    for width in range(1, 9):
        for strategy, extra in (("tensor", {}), ("channel", {}), ("group", {"group_size": 32}),
                                ("group", {"group_size": 160})):
            for symmetric in (True, False):
                for scale_dtype in (torch.bfloat16, torch.float16, torch.float32):
                    args = QuantizationArgs(num_bits=width, type="int", strategy=strategy, symmetric=symmetric, **extra)
                    w = weights(37, 320)
                    name = f"int{width} {strategy} {extra} {'' if symmetric else 'a'}symmetric {scale_dtype}"
                    state, scheme = theirs(w, args, "pack-quantized", scale_dtype)
                    expected = widened(state, scheme, "pack-quantized")
                    same(f"read {name}", decode(folder, "compressed-tensors", state,
                                                config=config_of(args, "pack-quantized")), expected)
                    if scale_dtype == torch.bfloat16:
                        same(f"read {name} without configuration", decode(folder, "compressed-tensors", state),
                             expected)
                    if width == 8:
                        state, scheme = theirs(w, args, "int-quantized", scale_dtype)
                        same(f"read int-quantized {name}", decode(folder, "compressed-tensors", state),
                             widened(state, scheme, "int-quantized"))
    # columns that do not fill words
    for width, cols in ((3, 77), (4, 5), (5, 31), (1, 1), (7, 33)):
        args = QuantizationArgs(num_bits=width, type="int", strategy="channel", symmetric=False)
        state, scheme = theirs(weights(5, cols), args, "pack-quantized", torch.float32)
        same(f"read int{width} of {cols} columns",
             decode(folder, "compressed-tensors", state, config=config_of(args, "pack-quantized")),
             widened(state, scheme, "pack-quantized"))


def compressed_order(folder):
    """weight_g_idx: column j belongs to group g_idx[j]."""
    args = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=32, symmetric=False)
    w = weights(9, 128)
    state, scheme = theirs(w, args, "pack-quantized", torch.float32)
    order = torch.randperm(128)
    plain = widened(state, scheme, "pack-quantized")
    from compressed_tensors.compressors import pack_quantized
    unpack = pack_quantized.helpers.unpack_from_int32
    codes = unpack(state["weight_packed"], 4, w.shape).float()
    zeros = unpack(state["weight_zero_point"], 4, (9, 4), packed_dim=0).float()
    g = (order // 32).long()
    expected = (codes - zeros[:, g]) * state["weight_scale"][:, g]
    state["weight_g_idx"] = g.to(torch.int32)
    same("read with weight_g_idx", decode(folder, "compressed-tensors", state), expected)
    state["weight_g_idx"] = torch.full((128,), -1, dtype=torch.int32)
    same("read with weight_g_idx of -1", decode(folder, "compressed-tensors", state), plain)


def compressed_floats(folder):
    for strategy, extra in (("tensor", {}), ("channel", {}), ("group", {"group_size": 64}),
                            ("block", {"block_structure": [16, 64]}), ("block", {"block_structure": [16, 48]})):
        args = QuantizationArgs(num_bits=8, type="float", strategy=strategy, symmetric=True, **extra)
        for scale_dtype in (torch.bfloat16, torch.float32):
            state, scheme = theirs(weights(35, 320), args, "float-quantized", scale_dtype)
            for form in ("float-quantized", "naive-quantized"):
                if strategy == "block":
                    # the package's own way back leaves out the padding that its way there has
                    rows = (torch.arange(35) // args.block_structure[0])[:, None]
                    cols = (torch.arange(320) // args.block_structure[1])[None, :]
                    expected = state["weight"].float() * state["weight_scale"].float()[rows, cols]
                else:
                    expected = widened(state, scheme, form)
                same(f"read {form} {strategy} {extra}",
                     decode(folder, "compressed-tensors", state, config=config_of(args, form)), expected)
    for width, form in ((4, "mxfp4-pack-quantized"), (6, "mxfp6-pack-quantized"), (8, "mxfp8-quantized")):
        args = QuantizationArgs(num_bits=width, type="float", strategy="group", symmetric=True, group_size=32,
                                scale_dtype=torch.uint8, zp_dtype=torch.uint8)
        state, scheme = theirs(weights(7, 192), args, form, torch.bfloat16)
        got = decode(folder, "compressed-tensors", state, config=config_of(args, form))
        if width == 8:
            same(f"read {form}", got, state["weight"].float() *
                 torch.exp2(state["weight_scale"].float() - 127).repeat_interleave(32, dim=1))
        else:
            same(f"read {form}", got, expected_floats(state, width, 32))
        same(f"read {form} in the package's bf16", got.bfloat16(), widened(state, scheme, form).bfloat16())
        same(f"read {form} without configuration", decode(folder, "compressed-tensors", state), got)
    args = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", symmetric=True, group_size=16,
                            scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn)
    state, scheme = theirs(weights(7, 192), args, "nvfp4-pack-quantized", torch.bfloat16)
    got = decode(folder, "compressed-tensors", state, config=config_of(args, "nvfp4-pack-quantized"))
    same("read nvfp4", got, expected_floats(state, 4, 16))
    same("read nvfp4 in the package's bf16", got.bfloat16(), widened(state, scheme, "nvfp4-pack-quantized").bfloat16())


def args_of(document):
    weights_config = document["config"]["config_groups"]["group_0"]["weights"]
    return QuantizationConfig.model_validate(document["config"]).config_groups["group_0"].weights, weights_config


def compressed_written(folder):
    """What the package reads from what is written here is what is decoded here; the error is below the package's."""
    for width in range(1, 9):
        for grain in ("tensor", "channel", "group"):
            for symmetric in (1, 0):
                w = weights(45, 384)
                keys = {"grain": grain, "symmetric": symmetric, "scale": "bf16" if width % 2 else "f16", "step": 20}
                if grain == "group":
                    keys["group"] = 64
                parts, document = encode(folder, f"int{width}", w, **keys)
                args, _ = args_of(document)
                name = f"int{width} {grain} {'' if symmetric else 'a'}symmetric"
                tally.equal(f"{name}: the scheme's bits", args.num_bits, width)
                scheme = QuantizationScheme(targets=["Linear"], weights=args)
                got = decode(folder, "compressed-tensors", parts, config=document["config"])
                same(f"write {name}", got, widened(parts, scheme, "pack-quantized"))
                state, scheme = theirs(w, args, "pack-quantized", torch.bfloat16)
                other = widened(state, scheme, "pack-quantized")
                tally.check(f"{name}: error", error_of(got, w) <= error_of(other, w) * 1.0001,
                            f"{error_of(got, w):.6g}, the package's {error_of(other, w):.6g}")
                importance = torch.from_numpy(np.exp(rng.standard_normal(384)).astype(np.float32) ** 2)
                if grain == "group":
                    parts, _ = encode(folder, f"int{width}", w, importance, **keys)
                    weighted = decode(folder, "compressed-tensors", parts)
                    root = importance.sqrt()
                    with_it, without = (error_of(x * root, w * root) for x in (weighted, got))
                    tally.check(f"{name}: weighted error", with_it <= without, f"{with_it:.6g}, without {without:.6g}")
    for kind, form, width, group in (("mxfp4", "mxfp4-pack-quantized", 4, 32),
                                     ("mxfp6", "mxfp6-pack-quantized", 6, 32),
                                     ("mxfp8", "mxfp8-quantized", 8, 32), ("nvfp4", "nvfp4-pack-quantized", 4, 16)):
        w = weights(45, 384)
        parts, document = encode(folder, kind, w, step=7)
        args, _ = args_of(document)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        got = decode(folder, "compressed-tensors", parts, config=document["config"])
        if width == 8:
            scale = torch.exp2(parts["weight_scale"].float() - 127)
            expected = parts["weight"].float() * scale.repeat_interleave(32, 1)
        else:
            expected = expected_floats(parts, width, group)
        same(f"write {kind}", got, expected)
        same(f"write {kind}, the package in bf16", got.bfloat16(), widened(parts, scheme, form).bfloat16())
        state, scheme = theirs(w, args, form, torch.bfloat16)
        other = widened(state, scheme, form)
        tally.check(f"{kind}: error", error_of(got, w) <= error_of(other, w) * 1.0001,
                    f"{error_of(got, w):.6g}, the package's {error_of(other, w):.6g}")
    for grain, keys in (("tensor", {}), ("channel", {}), ("group", {"group": 64}), ("block", {"block": 32})):
        w = weights(45, 384)
        parts, document = encode(folder, "f8_e4m3", w, grain=grain, scale="f32", step=7, **keys)
        args, _ = args_of(document)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        got = decode(folder, "compressed-tensors", parts, config=document["config"])
        if grain != "block":
            same(f"write f8 {grain}", got, widened(parts, scheme, "float-quantized"))
        else:
            scale = parts["weight_scale"].repeat_interleave(32, 0)[:45].repeat_interleave(32, 1)[:, :384]
            same(f"write f8 {grain}", got, parts["weight"].float() * scale)


def compressed(folder):
    compressed_ints(folder)
    compressed_order(folder)
    compressed_floats(folder)
    compressed_written(folder)


# ---- bitsandbytes ----

try:
    import bitsandbytes.functional as bnb
    HAVE_BNB = True
except ImportError as missing:
    tally.skip(missing)
    HAVE_BNB = False


def packed(q, state):
    return {"weight": q} | {f"weight.{k}": v for k, v in state.as_dict(packed=True).items()}


def unpacked(parts):
    """What the package makes of the parts."""
    state = bnb.QuantState.from_dict({k[len("weight."):]: v for k, v in parts.items() if k != "weight"},
                                     device=torch.device("cpu"))
    return bnb.dequantize_4bit(parts["weight"], state).float()


def bitsandbytes(folder):
    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            for block, rows, cols in ((64, 40, 192), (128, 9, 70), (4096, 5, 1000), (64, 33, 130), (32, 7, 96)):
                name = f"{kind}{' nested' if nested else ''} blocks of {block}, {rows} x {cols}"
                w = weights(rows, cols)
                q, state = bnb.quantize_4bit(w, blocksize=block, quant_type=kind, compress_statistics=nested)
                expected = bnb.dequantize_4bit(q, state)
                same(f"read {name}", decode(folder, "bitsandbytes", packed(q, state)), expected)
                parts, document = encode(folder, kind, w, group=block, double=int(nested), logical="f32", step=3)
                same(f"write {name}", decode(folder, "bitsandbytes", parts, config=document["config"]), unpacked(parts))
                tally.equal(f"{name}: codes", parts["weight"].flatten().tolist(), q.flatten().tolist())
                if not nested:
                    tally.equal(f"{name}: absmax", bits(parts["weight.absmax"]).tolist(), bits(state.absmax).tolist())
                else:
                    # the mean of the scales depends on the order of additions; the codes under it hardly
                    far = (parts["weight.absmax"].int() - state.absmax.int()).abs().max().item()
                    tally.check(f"{name}: nested codes", far <= 1, f"{far} apart")
                    text = bytes(parts[f"weight.quant_state.bitsandbytes__{kind}"].numpy())
                    offset, theirs_offset = json.loads(text)["nested_offset"], float(state.offset)
                    tally.check(f"{name}: offset", abs(offset - theirs_offset) <= 1e-6 * abs(theirs_offset))
                    tally.equal(f"{name}: nested map", parts["weight.nested_quant_map"].tolist(),
                                state.state2.code.tolist())
                tally.equal(f"{name}: map", bits(parts["weight.quant_map"]).tolist(), bits(state.code).tolist())
    w = weights(6, 65)  # the package pads the last byte
    q, state = bnb.quantize_4bit(w[:5, :13].contiguous(), blocksize=64, quant_type="nf4")
    same("read nf4 of odd size", decode(folder, "bitsandbytes", packed(q, state)), bnb.dequantize_4bit(q, state))
    q, state = bnb.quantize_4bit(weights(6, 64).bfloat16(), blocksize=64, quant_type="nf4",
                                 quant_storage=torch.bfloat16)
    same("read nf4 stored as bf16, in bf16", decode(folder, "bitsandbytes", packed(q, state)).bfloat16(),
         bnb.dequantize_4bit(q, state))
    w = weights(20, 96)
    q, scale, _ = bnb.int8_vectorwise_quant(w.half())
    for extra in ({}, {"weight_format": torch.tensor(0, dtype=torch.uint8)}):
        same("read int8", decode(folder, "bitsandbytes", {"weight": q, "SCB": scale} | extra),
             bnb.int8_vectorwise_dequant(q, scale))


# ---- fp8 with scales, modelopt, gpt-oss: their published formulas ----

F8 = torch.float8_e4m3fn


def spread_blocks(scale, rows, cols, down, across):
    return scale.repeat_interleave(down, 0)[:rows].repeat_interleave(across, 1)[:, :cols]


def fp8(folder):
    for rows, cols in ((256, 384), (200, 130), (1, 1), (129, 127)):
        w = weights(rows, cols)
        # https://huggingface.co/deepseek-ai/DeepSeek-V3, inference/kernel.py: weight_dequant, and act_quant's scale
        parts, document = encode(folder, "fp8", w, step=128)
        scale = spread_blocks(parts["weight_scale_inv"], rows, cols, 128, 128)
        expected = parts["weight"].float() * scale
        name = f"fp8 blocks {rows} x {cols}"
        same(name, decode(folder, "fp8", parts, config=document["config"]), expected)
        same(f"{name} without configuration", decode(folder, "fp8", parts), expected)
        padded = torch.zeros(-(-rows // 128) * 128, -(-cols // 128) * 128)
        padded[:rows, :cols] = w
        largest = padded.reshape(padded.shape[0] // 128, 128, -1, 128).abs().amax((1, 3))
        theirs_scale = torch.where(largest == 0, torch.ones(()), largest / 448)
        tally.equal(f"{name}: scales", bits(parts["weight_scale_inv"]).tolist(), bits(theirs_scale).tolist())
        codes = (w / spread_blocks(theirs_scale, rows, cols, 128, 128)).to(F8)
        tally.equal(f"{name}: codes", parts["weight"].view(torch.uint8).tolist(), codes.view(torch.uint8).tolist())
        exponent = torch.randint(100, 140, parts["weight_scale_inv"].shape, dtype=torch.uint8)
        same(f"{name}, powers of two", decode(folder, "fp8", {"weight": parts["weight"], "scale": exponent}),
             parts["weight"].float() * spread_blocks(torch.exp2(exponent.float() - 127), rows, cols, 128, 128))
    codes = weights(20, 96, 50).to(F8)
    config = {"quant_method": "fp8", "weight_block_size": [16, 32]}
    scale = torch.rand(2, 3)
    same("fp8 blocks of 16 x 32", decode(folder, "fp8", {"weight": codes, "weight_scale_inv": scale}, config=config),
         codes.float() * spread_blocks(scale, 20, 96, 16, 32))
    for shape in ((), (1,), (20,), (20, 1)):
        scale = torch.rand(shape).bfloat16()
        extra = {"input_scale": torch.ones(1)}
        expected = codes.float() * (scale.float()[:, None] if shape == (20,) else scale.float())
        same(f"fp8 scale {shape}", decode(folder, "fp8", {"weight": codes, "weight_scale": scale} | extra,
                                          config={"quant_method": "fbgemm_fp8"}), expected)
    # modelopt: nvfp4 with a second scale that multiplies
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
    q = torch.randint(0, 256, (12, 48), dtype=torch.uint8)
    scale, second = (torch.rand(12, 6) * 400).to(F8), torch.rand(()) / 100
    nibbles = torch.stack((q & 15, q >> 4), -1).reshape(12, 96).long()
    same("modelopt nvfp4", decode(folder, "fp8", {"weight": q, "weight_scale": scale, "weight_scale_2": second},
                                  config={"quant_method": "modelopt", "quant_algo": "NVFP4"}),
         values[nibbles] * (scale.float() * second).repeat_interleave(16, 1))


def gpt_oss(folder):
    try:
        from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    except ImportError as missing:
        tally.skip(missing)
        return
    blocks = torch.randint(0, 256, (3, 20, 4, 16), dtype=torch.uint8)
    scales = torch.randint(100, 140, (3, 20, 4), dtype=torch.uint8)
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    got = decode(folder, "mxfp4", {"blocks": blocks, "scales": scales}, module="mlp.experts.down_proj", separator="_",
                 config={"quant_method": "mxfp4"})
    same("gpt-oss experts", got, expected)


# ---- configurations of real models ----

def configurations():
    if not (common.DATA / "configs").is_dir():
        tally.skip(f"no {common.DATA / 'configs'}: configurations of real models")
        return
    expected = {"fp8": "fp8", "modelopt": "fp8", "": "fp8", "compressed-tensors": "compressed-tensors",
                "mxfp4": "mxfp4", "bitsandbytes": "bitsandbytes", "gptq": "gptq", "awq": "awq"}
    for path in sorted((common.DATA / "configs").rglob("*config.json")):
        config = json.loads(path.read_text())
        config = config.get("quantization_config") or config.get("text_config", {}).get("quantization_config")
        if not config:
            continue
        method = config.get("quant_method", "")
        got = common.run("tola_scheme", "recognize", path).decode().split()
        tally.equal(f"{path.name}: {method}", got[:1], [expected[method]])


SECTIONS = {"compressed": compressed if HAVE_COMPRESSED else None, "bitsandbytes": bitsandbytes if HAVE_BNB else None,
            "fp8": fp8, "gpt_oss": gpt_oss, "configurations": lambda _: configurations()}

with common.folder() as work:
    for title, section in SECTIONS.items():
        if section and (len(sys.argv) == 1 or title in sys.argv[1:]):
            section(work)
tally.finish()
