#!/usr/bin/env python3
"""Writes src/kernels/dequantize/grids.c: the codebooks of ggml's IQ types, read from the gguf package (pip install gguf).

They are part of the formats: an index stored in a block names eight (iq2, iq1) or four (iq3) values."""
import pathlib

import numpy as np
from gguf import quants

OUT = pathlib.Path(__file__).parents[1] / "src" / "kernels" / "dequantize" / "grids.c"
GRIDS = [("iq2_xxs", quants.IQ2_XXS), ("iq2_xs", quants.IQ2_XS), ("iq2_s", quants.IQ2_S), ("iq1", quants.IQ1_S),
         ("iq3_xxs", quants.IQ3_XXS), ("iq3_s", quants.IQ3_S)]

lines = ["/* Made by scripts/make_grids.py from the gguf package; see grids.h. */",
         '#include "kernels/dequantize/grids.h"', ""]
for name, cls in GRIDS:
    cls.init_grid()
    entries, values = cls.grid_shape
    words = np.ascontiguousarray(cls.grid.reshape(entries, values).astype(np.int8)).view(f"<u{values}").ravel()
    per_line = 5 if values == 8 else 9
    lines.append(f"const uint{8 * values}_t grid_{name}[{entries}] = {{")
    for at in range(0, entries, per_line):
        lines.append("    " + " ".join(f"0x{word:0{2 * values}x}," for word in words[at:at + per_line]))
    lines += ["};", ""]
OUT.write_text("\n".join(lines))
