# tola fit: bytes, devices, speeds, money. Rates of this machine are measured and shown nowhere here.
# needs: python3

$ cat > q.py <<'E'
> import json, sys
> d = json.load(sys.stdin)
> for path in sys.argv[1:]:
>     v = d
>     for k in path.split("."): v = v[int(k)] if isinstance(v, list) else v[k]
>     print(path, v if not isinstance(v, float) else f"{v:.4g}")
> E

# The sizes that everybody knows: 7B and 70B in four types, 405B on 80 GB cards.
$ for n in 7B 70B; do for t in fp32 fp16 int8 int4; do tola fit --params $n --dtype $t --json | python3 q.py bytes.weights; done; done
bytes.weights 28000000000
bytes.weights 14000000000
bytes.weights 7000000000
bytes.weights 3500000000
bytes.weights 280000000000
bytes.weights 140000000000
bytes.weights 70000000000
bytes.weights 35000000000

$ tola fit --params 405B --dtype fp16 --on h100 --json | python3 q.py schema bytes.weights devices.0.name devices.0.fits devices.0.count
schema tola.fit/1
bytes.weights 810000000000
devices.0.name h100-sxm
devices.0.fits False
devices.0.count 10

$ tola fit --params 405B --dtype fp16 --on h100 -q
[exit 1]

$ tola fit --params 405B --dtype fp16 --on 10xh100,h100 -q

$ tola fit --params 109B --active 17B --dtype int4 --on h100 --json | python3 q.py devices.0.fits parameters.active
devices.0.fits True
parameters.active 17000000000

# Units that are mixed up, numbers that make no sense, names that are nearly right.
$ for a in "--params 7GB" "--params -7B" "--params 7B --context 8GB" "--params 1e30" "--params 7B --batch 0" "--params 7Q" "--params 7B --batch 1000000000 --context 1M" "--params 7B --train lora --rank 1M" "--params 7B --utilisation 2" "--params 7B --price h100=-1" "--params 7B --price h10=1"; do tola fit $a; done
2> tola: --params: '7GB' is a size in bytes; a count is needed: 7B is 7e9, 8K 8 thousand
2> tola: --params: '-7B' is negative
2> tola: --context: '8GB' is a size in bytes; a count is needed: 7B is 7e9, 8K 8 thousand
2> tola: --params: '1e30' is absurdly large
2> tola: --batch: '0' is less than 1
2> tola: --params: '7Q' ends in no unit that is known: K, M, B, T
2> tola: keys and values of 5.84652e+20 bytes are more than can be counted
2> tola: --rank 1000000: more than the model's width, 4224
2> tola: --utilisation is a share from 0 to 1
2> tola: --price: 'h100=-1' is not DEVICE=USD, dollars an hour above 0
2> tola: no device 'h10'; did you mean 'h100-sxm'? --list-devices shows them all
[exit 2]

$ for d in h101 80GB m3-max rtx4090x0 ,; do tola fit --params 7B --on $d; done
2> tola: no device 'h101'; did you mean 'h100-sxm'? --list-devices shows them all
2> tola: '80GB' is a size, not a device; a device of your own goes into a file (--devices)
2> tola: which 'm3-max'? The memory belongs to the name: m3-max-48, m3-max-64, m3-max-128, m3-max-36, m3-max-96
2> tola: no device 'rtx4090x0'; did you mean 'rtx4090'? --list-devices shows them all
2> tola: --on ,: a name is empty
[exit 2]

$ tola fit; tola fit --params 7B --config x; tola fit --params 7B --rank 3; tola fit --params 7B --active 8B; tola fit nothing.gguf
2> tola: a model is needed: MODEL, --params 7B or --config config.json
2> tola: MODEL, --params and --config exclude each other
2> tola: --optimizer, --recompute, --precision, --rank and --flash go with --train
2> tola: more active parameters than there are
2> tola: cannot open nothing.gguf: No such file or directory
[exit 2]

# A type that is nearly right; what training may be kept in.
$ tola fit --params 7B --dtype q4_k_n; tola fit --params 7B --kv-type q8_1; tola fit --params 7B --train full --dtype int4
2> tola: 'q4_k_n' is no type of weights; did you mean 'q4_k_s'?
2> tola: --kv-type: keys and values are not kept as 'q8_1'; did you mean 'q8_0'?
2> tola: --dtype int4: training all weights takes 16 or 32 bits; 'qlora' trains over fewer
[exit 2]

# ResNet-50: 26 M weights and 16 M activations, 168 MB in fp32; more than 7.5 GB to train 32 images at once.
$ echo '{"model_type":"resnet","architectures":["ResNetForImageClassification"],"depths":[3,4,6,3],"hidden_sizes":[256,512,1024,2048],"embedding_size":64,"layer_type":"bottleneck","num_channels":3}' > resnet.json; tola fit --config resnet.json --dtype fp32 --json | python3 q.py parameters.total bytes.total rates_of; tola fit --config resnet.json --train full --precision f32 --batch 32 --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"]["total"] > 7.5e9)'
parameters.total 25557032
bytes.total 168765504
rates_of examples
True

# Devices of the user's own, prices, an API; --list-devices.
$ cat > mine.yaml <<'E'
> devices:
> - { name: shed, class: gpu, memory: 20GB, bandwidth_gb_s: 1000, tops: { bf16: 100 }, usd_hour: 1 }
> E
> tola fit --params 8B --active 1B --dtype fp16 --context 1 --devices mine.yaml --on "2 x Shed, shed" --json | python3 q.py devices.0.asked devices.0.fits devices.1.name devices.1.fits devices.1.usd_per_hour devices.1.source devices.1.estimate
devices.0.asked 2
devices.0.fits True
devices.1.name shed
devices.1.fits True
devices.1.usd_per_hour 1
devices.1.source mine.yaml
devices.1.estimate True

$ mkdir -p conf/tola && cp mine.yaml conf/tola/devices.yaml && XDG_CONFIG_HOME=$PWD/conf tola fit --params 8B --on shed --price shed=0.5 --json | python3 q.py devices.0.usd_per_hour devices.0.price_source
devices.0.usd_per_hour 0.5
devices.0.price_source --price

$ echo 'devices: [{ name: shed, memory: 20, bandwidth_gb_s: 1 }]' > bad.yaml; tola fit --params 8B --devices bad.yaml
2> tola: bad.yaml: line 1, column 33: devices[0].memory: '20' is no size like 80GiB or 80GB, from 1MB to 1000TB
[exit 2]

$ tola fit --list-devices | grep -E '^(device|h100-sxm|m3-max-64|rtx4090) ' | sed 's/  */ /g'
device what memory GB/s W USD/h price of source
h100-sxm NVIDIA H100 SXM 80GB 85.90 GB 3352 700 2.69 2026-03 https://www.nvidia.com/en-us/data-center/h100/
rtx4090 NVIDIA GeForce RTX 4090 24GB 25.77 GB 1008 450 0.34 2026-03 https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf
m3-max-64 Apple M3 Max 64GB 68.72 GB 410 145 - https://support.apple.com/en-us/117737

# What people see: parts, types as stacked bars, devices, money.
$ echo '{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":4096,"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"intermediate_size":14336,"vocab_size":128256,"max_position_embeddings":131072,"torch_dtype":"bfloat16","tie_word_embeddings":false}' > llama8.json
> LC_ALL=C tola fit --config llama8.json --dtype q8_0 --context 2K --devices mine.yaml --on shed,2xshed --api-in 1 --api-out 2 | sed -e '/^cheapest/,$d' -e '/^  i*q[1-6]/d' -e 's/ *$//' | sed '$d'
llama8.json: 8.03 B parameters, llama, 32 layers
weights q8_0, 8.5 bits each; context 2048 of 131072, batch 1
\
part          bytes
weights     8.53 GB  8,532,922,624  #############################
kv cache  268.44 MB    268,435,456  #
buffers    58.18 MB     58,184,704
total       8.86 GB  8,859,542,784
\
type                   bits       total      shed    2xshed
  fp32                32.00    32.45 GB  2 needed      fits  ##########|#####   |
  fp16                16.00    16.39 GB      fits      fits  ########  |        |
  int8                 8.00     8.36 GB      fits      fits  ####      |        |
  int4                 4.00     4.34 GB      fits      fits  ##        |        |
* q8_0                 8.50     8.86 GB      fits      fits  ####      |        |
  # weights  k kv cache  b buffers  | shed 20.00 GB  | 2xshed 40.00 GB
\
device  fits  needed  each holds        of  decode t/s  prefill t/s  bound by   USD/h
shed    yes        1     9.93 GB  20.00 GB        81.6         3591  bandwidth   1.00
2xshed  yes        1     5.53 GB  20.00 GB         112         5003  bandwidth   2.00
  shed: best type that fits bf16 (16 bits); longest context 78848
  2 x shed: best type that fits bf16 (16 bits); longest context 131072 (the model's own)
  prefill: 512 tokens at once; decode: behind 2048 tokens
  rates are estimates: shares of bandwidth and peak that devices of a kind reach
  1 x shed: 0.15 USD per million tokens read, 6.81 written, batch 1, busy 50 % of the time; never cheaper than the API (1.25 for 3 read to 1 written): at most 401.46 M tokens a month, at 1.82 per million
  2 x shed: 0.22 USD per million tokens read, 9.93 written, batch 1, busy 50 % of the time; never cheaper than the API (1.25 for 3 read to 1 written): at most 551.15 M tokens a month, at 2.65 per million

# The picture: parts stacked, a line for each device.
$ tola fit --params 7B --on rtx4090,2xrtx3060 --plot p.svg -q; grep -c '<rect' p.svg | awk '$1 > 40 { print "rectangles" }'; grep -o -E '>(rtx4090|2 x rtx3060-12|fp16, 16 bits|kv cache|GB \(1e9 bytes\))[^<]*' p.svg | sort
rectangles
>2 x rtx3060-12 25.77 GB
>GB (1e9 bytes)
>fp16, 16 bits
>kv cache
>rtx4090 25.77 GB

$ tola fit --params 7B --plot p.svg; tola fit --params 7B --plot p.gif
2> tola: p.svg exists already; --force overwrites it
2> tola: p.gif: a plot is written as .svg or .png
[exit 2]

# This machine has memory and is measured.
$ tola fit --params 10M --on this --json | python3 -c 'import json, sys; d = json.load(sys.stdin)["devices"][0]; print(d["name"], d["fits"], d["count"], d["decode_tokens_per_s"] > 0, d["available_bytes"] <= d["usable_bytes"] <= d["memory_bytes"], d["estimate"])'
this True 1 True True False

# Names that say nothing and no configuration: the list of tensors is what is counted.
$ python3 -c "import json, struct; h = json.dumps({'w_a_000': {'dtype': 'F32', 'shape': [4, 8], 'data_offsets': [0, 128]}}).encode(); open('names.safetensors', 'wb').write(struct.pack('<Q', len(h)) + h + bytes(128))"; tola fit names.safetensors --json | python3 q.py parameters.total parameters.active bytes.weights notes.0
parameters.total 32
parameters.active 32
bytes.weights 128
notes.0 no configuration: counted from the list of tensors

# An encoder of texts: an example is as long as its context, and costs two operations a weight and token.
$ echo '{"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512}' > bert.json; tola fit --config bert.json --on h100 -v 2>&1 | grep -o 'prefill: 1 examples.*GOP /'
prefill: 1 examples / (max(0.2178 GB / 2849 GB/s, 96.72 GOP /
