#!/usr/bin/env python3
"""Writes fuzz/corpus/logical: small models under GPTQ, AWQ, MLX, compressed-tensors, bitsandbytes and FP8, as
fuzz_logical.c wants them."""
import json
import pathlib
import random

OUT = pathlib.Path(__file__).resolve().parent / "corpus" / "logical"
SIZE = {"I32": 4, "U32": 4, "F16": 2, "BF16": 2, "F32": 4, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E8M0": 1, "I64": 8}


def write(name, config, tensors):
    source = random.Random(name)
    header, payload = {}, b""
    for tensor, (dtype, shape, *data) in tensors.items():
        count = 1
        for extent in shape:
            count *= extent
        data = data[0] if data else source.randbytes(count * SIZE[dtype])
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [len(payload), len(payload) + len(data)]}
        payload += data
    head = json.dumps(header, separators=(",", ":")).encode()
    text = json.dumps(config, separators=(",", ":")).encode() if config is not None else b""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_bytes(len(text).to_bytes(2, "little") + text + len(head).to_bytes(8, "little") + head + payload)


def quantized(**config):
    return {"torch_dtype": "float16", "quantization_config": config}


def i32(*values):
    return b"".join(v.to_bytes(4, "little") for v in values)


for bits in (2, 3, 4, 8):
    write(f"gptq{bits}", quantized(quant_method="gptq", bits=bits, group_size=32), {
        "a.qweight": ("I32", [2 * bits, 32]), "a.qzeros": ("I32", [2, bits]), "a.scales": ("F16", [2, 32]),
        "a.g_idx": ("I32", [64], i32(*[i // 32 for i in range(64)])), "n.weight": ("F16", [8])})
write("gptq_bare", None, {"a.qweight": ("I32", [8, 32]), "a.qzeros": ("I32", [2, 4]), "a.scales": ("BF16", [2, 32])})
write("awq", quantized(quant_method="awq", bits=4, group_size=32, version="gemm"), {
    "a.qweight": ("I32", [64, 4]), "a.qzeros": ("I32", [2, 4]), "a.scales": ("F16", [2, 32])})
for bits in (2, 3, 6):
    write(f"mlx{bits}", {"quantization": {"bits": bits, "group_size": 32, "a": {"bits": bits, "group_size": 32}}}, {
        "a.weight": ("U32", [2, 4, 2 * bits]), "a.scales": ("F16", [2, 4, 2]), "a.biases": ("F16", [2, 4, 2])})
write("mlx_mxfp4", {"quantization": {"bits": 4, "group_size": 32, "mode": "mxfp4"}}, {
    "a.weight": ("U32", [4, 8]), "a.scales": ("U8", [4, 2])})
group = {"weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": False},
         "targets": ["Linear"]}
write("compressed", quantized(quant_method="compressed-tensors", format="pack-quantized",
                              config_groups={"group_0": group}), {
    "a.weight_packed": ("I32", [8, 8]), "a.weight_scale": ("F16", [8, 2]), "a.weight_zero_point": ("I32", [1, 2]),
    "a.weight_shape": ("I64", [2], (8).to_bytes(8, "little") + (64).to_bytes(8, "little"))})
write("fp8", quantized(quant_method="fp8", weight_block_size=[128, 128]), {
    "a.weight": ("F8_E4M3", [4, 130]), "a.weight_scale_inv": ("F32", [1, 2])})
state = json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [2, 64]}).encode()
write("nf4", quantized(quant_method="bitsandbytes", load_in_4bit=True), {
    "a.weight": ("U8", [64, 1]), "a.weight.absmax": ("F32", [2]), "a.weight.quant_map": ("F32", [16]),
    "a.weight.quant_state.bitsandbytes__nf4": ("U8", [len(state)], state)})
