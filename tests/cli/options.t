# How options are parsed, on verbs that exist; the tables decide, so one verb stands for all.

$ tola inspect
2> tola: inspect: an argument is missing: tola inspect MODEL [options]
[exit 2]

$ tola inspect a b
2> tola: inspect: 'b' is one argument too many: tola inspect MODEL [options]
[exit 2]

$ tola diff a
2> tola: diff: an argument is missing: tola diff A B [options]
[exit 2]

$ tola inspect --tensr x
2> tola: inspect: unknown option --tensr; did you mean --tensors?
[exit 2]

$ tola inspect --xyzzy x
2> tola: inspect: unknown option --xyzzy; 'tola inspect -h' lists them
[exit 2]

$ tola inspect -z x
2> tola: inspect: unknown option -z; 'tola inspect -h' lists them
[exit 2]

$ tola inspect --json=yes x
2> tola: --json takes no value
[exit 2]

$ tola convert a b --dtype
2> tola: --dtype needs a value: --dtype DTYPE
[exit 2]

$ tola convert a b --dtype bf17
2> tola: --dtype: unknown dtype 'bf17'; did you mean 'bf16'?
[exit 2]

$ tola convert a b --dtype=banana
2> tola: --dtype: unknown dtype 'banana'; known ones are f32, f16, bf16, f8_e4m3, i8, q8_0 and others
[exit 2]

$ tola convert a b --max-shard-size -1
2> tola: --max-shard-size: '-1' is negative, a size like 4GiB, 4GB, 512MiB or a number of bytes is needed
[exit 2]

$ tola convert a b --max-shard-size 5XB
2> tola: --max-shard-size: '5XB' is not a size, a size like 4GiB, 4GB, 512MiB or a number of bytes is needed
[exit 2]

$ tola convert a b --max-shard-size 99999999999GiB
2> tola: --max-shard-size: 99999999999GiB is too large, 64 bits do not hold it
[exit 2]

$ tola convert a b --threads many
2> tola: --threads: 'many' is not a whole number
[exit 2]

$ tola convert a b --threads -2
2> tola: --threads: '-2' is negative, a whole number from 0 is needed
[exit 2]

$ tola convert a b --threads 4096
2> tola: --threads: 4096 is too large, the largest is 1024
[exit 2]

$ tola convert a b --progress sometimes
2> tola: --progress: 'sometimes' is not one of auto, always, never
[exit 2]

$ tola diff a b --tolerance close
2> tola: --tolerance: 'close' is not a number
[exit 2]

# Everything after -- is an argument; options may stand anywhere; the last of two wins.
$ cp "$FIXTURES/tiny.safetensors" ./--json && tola inspect -- --json | head -n 2
--json
  format        safetensors, 1 file, 424 B

$ tola diff --tolerance 5 "$FIXTURES/tiny.safetensors" --tolerance=0.5 "$FIXTURES/changed.safetensors" -q

# The same help on both ways to it.
$ tola diff -h | head -n 3
Show how two models differ
\
Usage: tola diff A B [options]

$ tola help diff | diff - <(tola diff --help) && echo same
same
