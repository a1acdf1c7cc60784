# tola stats. Values are compared with numpy in tests/oracle/stats_oracle.py.

$ tola stats "$FIXTURES/tiny.safetensors"
tensor         min   max    mean     std  -2^n  0  +2^n
layer.weight  -2.5     3  0.5833   1.858  ▅▅            ▅▅█
layer.bias      -1     1   0.125  0.7395  █       █      ██
half.weight     -2  1.75  -0.125   1.152  ▃█▅▃    ▃    ▃▅█ 
position_ids     0     4       2   1.414          ▅     ▅█▅
\
  4 tensors, 112 B

$ tola stats "$FIXTURES/tiny.safetensors" layer.weight
layer.weight  f32 [2, 3]
  elements    6
  range       -2.5 .. 3
  mean        0.583333333
  std         1.8577914
  norm        4.76969601
  kurtosis    1.89596735
  zeros       0
  outliers    0
\
        negative                     2^n    positive
               1          ██████████ 1      ███████████████████ 2
               1          ██████████ 0      ██████████          1
                                     -1     ██████████          1

$ tola stats "$FIXTURES/tiny.safetensors" layer.bias --json
{
  "schema": "tola.stats/1",
  "bytes": 16,
  "skipped": 0,
  "tensors": [
    {
      "name": "layer.bias",
      "dtype": "f32",
      "elements": 4,
      "min": -1.0,
      "max": 1.0,
      "mean": 0.125,
      "std": 0.739509972887452,
      "norm": 1.5,
      "kurtosis": 1.8457142857142856,
      "zeros": 1,
      "nan": 0,
      "inf": 0,
      "outliers": 0,
      "histogram": {
        "edges": [
          -2.0,
          -1.0,
          -5.421010862427522e-20,
          5.421010862427522e-20,
          0.5,
          1.0,
          2.0
        ],
        "counts": [
          1,
          0,
          1,
          0,
          1,
          1
        ]
      }
    }
  ]
}

$ tola stats "$FIXTURES/tiny.safetensors" 'no*'
2> tola: $FIXTURES/tiny.safetensors: no tensor matches 'no*'
[exit 2]

# the number of threads changes nothing

$ for n in 1 2 7; do tola stats "$FIXTURES/llama" --json --threads $n | sha256sum; done | uniq | wc -l
1

# pictures

$ tola stats "$FIXTURES/tiny.safetensors" --plot x.svg && head -c 4 x.svg && grep -c '<rect' x.svg && ls -A
tensor         min   max    mean     std  -2^n  0  +2^n
layer.weight  -2.5     3  0.5833   1.858  ▅▅            ▅▅█
layer.bias      -1     1   0.125  0.7395  █       █      ██
half.weight     -2  1.75  -0.125   1.152  ▃█▅▃    ▃    ▃▅█ 
position_ids     0     4       2   1.414          ▅     ▅█▅
\
  4 tensors, 112 B
<svg30
x.svg

$ tola stats "$FIXTURES/tiny.safetensors" --plot x.svg
2> tola: x.svg exists already; --force overwrites it
[exit 2]

$ tola stats "$FIXTURES/tiny.safetensors" --plot x.svg --force -q
tensor         min   max    mean     std  -2^n  0  +2^n
layer.weight  -2.5     3  0.5833   1.858  ▅▅            ▅▅█
layer.bias      -1     1   0.125  0.7395  █       █      ██
half.weight     -2  1.75  -0.125   1.152  ▃█▅▃    ▃    ▃▅█ 
position_ids     0     4       2   1.414          ▅     ▅█▅
\
  4 tensors, 112 B

$ tola stats "$FIXTURES/tiny.safetensors" --plot x.jpg
2> tola: x.jpg: a plot is written as .svg or .png
[exit 2]

$ tola stats "$FIXTURES/tiny.safetensors" --plot nowhere/x.svg
2> tola: cannot write nowhere/x.svg: No such file or directory
[exit 2]
