#!/usr/bin/env python3
"""src/trust/scan_tensorflow_ops.h: TensorFlow's operations that compute and do nothing else.

    scripts/make_tensorflow_ops.py FOLDER

FOLDER holds tensorflow/python/ops/gen_*_ops.py of a release (`pip download --no-deps tensorflow-cpu`, unzipped), which
name each operation of its registry by the family that it belongs to. Families that are listed here work on tensors,
variables, queues and tables in memory; what reaches files, servers, Python, other devices or compiled code is taken out
by name, and families that are not listed are not known to be plain. Names are all that is taken."""

import pathlib
import re
import sys

FAMILIES = """array audio bitwise candidate_sampling clustering control_flow count ctc cudnn_rnn data_flow functional image
linalg list logging lookup manip map math nn optional parsing ragged_array ragged_conversion ragged_math
random_index_shuffle random resource_variable rnn sdca set sparse special_math spectral state stateful_random
stateless_random stateless_random_v2 string training uniform_quant""".split()

NOT_PLAIN = {
    "Abort",  # ends the process
    "ImmutableConst",  # maps a file
    "InitializeTableFromTextFile",
    "InitializeTableFromTextFileV2",
    "PrintV2",  # its stream may be a file
    "RecordInput",  # reads files
    "RemoteCall",
}

# of families that are not plain: what every saved model has (scan_graph.c looks at the paths), and names made of parts
OTHERS = ["MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "ShardedFilespec", "DecodeCompressed",
          "BatchFunction", "_Arg", "_Retval", "_ListToArray", "_ArrayToList"]


def names_of(path):
    text = path.read_text()
    found = set(re.findall(r'_apply_op_helper\(\s*"(\w+)"', text))
    return found | set(re.findall(r'_execute\.execute\(b"(\w+)"', text))


def main():
    folder = pathlib.Path(sys.argv[1]) / "tensorflow/python/ops"
    names = set(OTHERS)
    for family in FAMILIES:
        path = folder / f"gen_{family}_ops.py"
        if path.exists():
            names |= names_of(path)
    names -= NOT_PLAIN
    assert len(names) > 700 and not names & {"ReadFile", "WriteFile", "PyFunc", "MatchingFiles"}
    out = "/* Made by scripts/make_tensorflow_ops.py from the operations that a release of TensorFlow registers. */\n"
    out += "#ifndef TRUST_SCAN_TENSORFLOW_OPS_H\n#define TRUST_SCAN_TENSORFLOW_OPS_H\n\n/* clang-format off */\n"
    out += "static const char *const tensorflow_ops[] = { /* in the order of strcmp */\n"
    line = "   "
    for name in sorted(names):
        word = f' "{name}",'
        if len(line) + len(word) > 118:
            out += line + "\n"
            line = "   "
        line += word
    out += line + "\n};\n/* clang-format on */\n\n#endif\n"
    target = pathlib.Path(__file__).resolve().parents[1] / "src/trust/scan_tensorflow_ops.h"
    target.write_text(out)
    print(f"{target}: {len(names)} operations")


main()
