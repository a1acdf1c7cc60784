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
$ for a in "--params 7GB" "--params -7B" "--params 7B --context 8GB" "--params 1e30" "--params 7B --batch 0" "--params 7Q"; do tola fit $a; done
2> tola: --params: '7GB' is a size in bytes; a count is needed: 7B is 7e9, 8K 8 thousand
2> tola: --params: '-7B' is negative
2> tola: --context: '8GB' is a size in bytes; a count is needed: 7B is 7e9, 8K 8 thousand
2> tola: --params: '1e30' is absurdly large
2> tola: --batch: '0' is less than 1
2> tola: --params: '7Q' ends in no unit that is known: K, M, B, T
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
