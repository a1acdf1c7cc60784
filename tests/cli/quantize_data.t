# tola quantize on real weights: a bound beats the mixture of the same size.
# needs: data

$ cp "$DATA/llm/stories260K/stories260Ktok512.gguf" f32.gguf && tola inspect f32.gguf | grep parameters
  parameters    292,800
  role          parameters   share  
$ tola quantize -q f32.gguf mixture.gguf --to Q4_K_M --report mixture.json
$ tola quantize -q f32.gguf best.gguf --max-size $(stat -c %s mixture.gguf) --report best.json
$ "$PYTHON" -c "
> import json
> a, b = (json.load(open(f + '.json')) for f in ('mixture', 'best'))
> print(b['bytes'] <= a['bytes'], b['rmse'] < a['rmse'], round(a['snr_db']), '->', round(b['snr_db']), 'dB')
> print(sorted({t['type'] for t in b['tensors']}))"
True True 29 -> 30 dB
['f16', 'f32', 'iq4_nl', 'mxfp4', 'q5_0', 'q8_0']
