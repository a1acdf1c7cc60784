#!/usr/bin/env python3
"""Makes fuzz/corpus/scheme: matrices that open under each scheme, and configurations. For the input's form see
fuzz_scheme.c."""
import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "scheme"
DTYPES = {"u8": 3, "i8": 4, "i32": 8, "i64": 10, "u32": 7, "f32": 17, "f16": 18, "bf16": 19, "f8": 20}
GPTQ, AWQ, MLX, COMPRESSED, BNB, FP8, MXFP4 = range(7)
WIDTH = {"u8": 1, "i8": 1, "f8": 1, "f16": 2, "bf16": 2, "i32": 4, "u32": 4, "f32": 4, "i64": 8}


def matrix(scheme, how, slots, parts):
    """parts: {slot: (dtype, shape, bytes or None)}"""
    head, body = bytes([scheme, how]), b""
    for slot in range(slots):
        if slot not in parts:
            head += bytes([0, 0, 0])
            continue
        dtype, shape, data = parts[slot]
        size = WIDTH[dtype]
        for extent in shape:
            size *= extent
        head += bytes([DTYPES[dtype], len(shape)]) + b"".join(struct.pack("<H", e) for e in shape) + b"\0"
        body += (data or bytes(i * 37 % 251 for i in range(size)))[:size]
    return head + body


def shape(*extents):
    return struct.pack(f"<{len(extents)}q", *extents)


def state(**fields):
    return json.dumps(fields).encode()


NF4 = state(quant_type="nf4", blocksize=64, dtype="bfloat16", shape=[8, 33])
FP4 = state(quant_type="fp4", blocksize=32, dtype="float16", shape=[4, 64], nested_blocksize=4, nested_dtype="float32",
            nested_offset=0.25)
SEEDS = {
    "ct-int4": matrix(COMPRESSED, 0, 12, {1: ("i32", (4, 8), None), 2: ("bf16", (4, 2), None),
                                          4: ("i64", (2,), shape(4, 64))}),
    "ct-int3-asymmetric": matrix(COMPRESSED, 0, 12, {1: ("i32", (33, 9), None), 2: ("f16", (33, 3), None),
                                                     3: ("i32", (4, 3), None), 4: ("i64", (2,), shape(33, 96))}),
    "ct-int4-order": matrix(COMPRESSED, 0, 12, {1: ("i32", (4, 8), None), 2: ("f32", (4, 2), None),
                                                4: ("i64", (2,), shape(4, 64)),
                                                5: ("i32", (64,), struct.pack("<64i", *[i % 2 for i in range(64)]))}),
    "ct-int8": matrix(COMPRESSED, 0, 12, {0: ("i8", (5, 7), None), 2: ("f32", (5, 1), None), 3: ("i8", (5, 1), None)}),
    "ct-f8-blocks": matrix(COMPRESSED, 128, 12, {0: ("f8", (130, 140), None), 2: ("f32", (2, 2), None)}),
    "ct-mxfp4": matrix(COMPRESSED, 0, 12, {1: ("u8", (3, 32), None), 2: ("u8", (3, 2), None)}),
    "ct-mxfp6": matrix(COMPRESSED, 0, 12, {1: ("u8", (3, 48), None), 2: ("u8", (3, 2), None)}),
    "ct-mxfp8": matrix(COMPRESSED, 0, 12, {0: ("f8", (3, 64), None), 2: ("u8", (3, 2), None)}),
    "ct-nvfp4": matrix(COMPRESSED, 0, 12, {1: ("u8", (3, 32), None), 2: ("f8", (3, 4), None), 6: ("f32", (1,), None)}),
    "ct-stacked": matrix(COMPRESSED, 0, 12, {0: ("f8", (2, 3, 64), None), 2: ("bf16", (2, 3, 1), None)}),
    "bnb-nf4": matrix(BNB, 0, 9, {0: ("u8", (132, 1), None), 1: ("f32", (5,), None), 2: ("f32", (16,), None),
                                  5: ("u8", (len(NF4),), NF4)}),
    "bnb-fp4-nested": matrix(BNB, 0, 9, {0: ("u8", (128, 1), None), 1: ("u8", (8,), None), 2: ("f32", (16,), None),
                                         3: ("f32", (2,), None), 4: ("f32", (256,), None),
                                         6: ("u8", (len(FP4),), FP4)}),
    "bnb-int8": matrix(BNB, 0, 9, {0: ("i8", (4, 6), None), 7: ("f32", (4,), None), 8: ("u8", (), b"\0")}),
    "fp8-blocks": matrix(FP8, 0, 9, {0: ("f8", (130, 140), None), 1: ("f32", (2, 2), None)}),
    "fp8-rows": matrix(FP8, 0, 9, {0: ("f8", (4, 10), None), 2: ("bf16", (4, 1), None), 5: ("f32", (), None)}),
    "fp8-nvfp4": matrix(FP8, 0, 9, {0: ("u8", (4, 16), None), 2: ("f8", (4, 2), None), 3: ("f32", (), None)}),
    "mxfp4": matrix(MXFP4, 0, 2, {0: ("u8", (2, 3, 2, 16), None), 1: ("u8", (2, 3, 2), None)}),
    "gptq": matrix(GPTQ, 0, 4, {0: ("i32", (8, 16), None), 1: ("i32", (2, 2), None), 2: ("f16", (2, 16), None)}),
    "awq": matrix(AWQ, 0, 3, {0: ("i32", (64, 2), None), 1: ("i32", (2, 2), None), 2: ("f16", (2, 16), None)}),
    "mlx": matrix(MLX, 0, 3, {0: ("u32", (4, 8), None), 1: ("f16", (4, 1), None), 2: ("f16", (4, 1), None)}),
}
CONFIGS = {
    "compressed": (COMPRESSED, {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {
        "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "group",
                                                       "group_size": 128, "symmetric": False}},
        "group_1": {"weights": {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]}}}}),
    "bnb": (BNB, {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}),
    "fp8": (FP8, {"quant_method": "fp8", "weight_block_size": [128, 128]}),
    "modelopt": (FP8, {"quant_algo": "NVFP4", "producer": {"name": "modelopt"}}),
    "gptq": (GPTQ, {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True}),
    "mlx": (MLX, {"bits": 4, "group_size": 64}),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (OUT / name).write_bytes(data)
for name, (scheme, config) in CONFIGS.items():
    (OUT / f"config-{name}").write_bytes(bytes([scheme, 255]) + json.dumps(config).encode())
