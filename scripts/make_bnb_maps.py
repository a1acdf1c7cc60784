#!/usr/bin/env python3
"""Makes src/codecs/scheme_bnb_maps.h from the bitsandbytes package: make_bnb_maps.py > src/codecs/scheme_bnb_maps.h

The codebooks define the format (Dettmers et al., arXiv 2305.14314 and 2110.02861); they are what
bitsandbytes.functional.get_4bit_type and create_dynamic_map return, as f32."""

import bitsandbytes.functional as bnb
import numpy as np


def table(name, values, why):
    print(f"/* {why} */")
    print(f"static const float {name}[{len(values)}] = {{")
    texts = [float(v).hex().replace("0x1.0000000000000p", "0x1p") + "f" for v in values]
    texts = [t.replace("0000000p", "p") for t in texts]
    for i in range(0, len(texts), 6):
        print("    " + ", ".join(texts[i:i + 6]) + ",")
    print("};")


print("/* Made by scripts/make_bnb_maps.py from bitsandbytes; do not edit. */")
print("#ifndef CODECS_SCHEME_BNB_MAPS_H\n#define CODECS_SCHEME_BNB_MAPS_H\n")
table("bnb_nf4", np.asarray(bnb.get_4bit_type("nf4", device="cpu"), np.float32), "NF4, by code, ascending.")
print()
table("bnb_fp4", np.asarray(bnb.get_4bit_type("fp4", device="cpu"), np.float32),
      "FP4, by code: the sign is the highest bit.")
print()
table("bnb_dynamic", np.asarray(bnb.create_dynamic_map(), np.float32),
      "The signed dynamic 8-bit map, ascending, of nested scales.")
print("\n#endif")
