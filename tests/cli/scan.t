# tola scan: exit 0 safe, 1 not safe, 2 error.

$ tola scan --sandbox never "$FIXTURES/tiny.safetensors"
safe  $FIXTURES/tiny.safetensors (safetensors)

$ tola scan --sandbox never -q "$FIXTURES/tiny.safetensors"

$ printf 'cposix\nsystem\n(Vecho pwned\ntR.' > bad.txt; tola scan --sandbox never bad.txt
dangerous  bad.txt (pickle)
  dangerous: calls posix.system (offset 0)
[exit 1]

$ tola scan --sandbox never -q bad.txt
[exit 1]

$ printf 'cposix\nsystem\n(Vecho pwned\ntR.' > bad.txt; tola scan --sandbox never --json bad.txt
{
  "schema": "tola.scan/1",
  "verdict": "dangerous",
  "sandboxed": false,
  "files": [
    {
      "path": "bad.txt",
      "verdict": "dangerous",
      "format": "pickle",
      "bytes": 30,
      "findings": [
        {
          "verdict": "dangerous",
          "kind": "import",
          "what": "calls posix.system",
          "offset": 0,
          "member": ""
        }
      ],
      "imports": [
        {
          "verdict": "dangerous",
          "module": "posix",
          "name": "system",
          "offset": 0,
          "count": 1,
          "called": true,
          "member": ""
        }
      ]
    }
  ]
}
[exit 1]

$ mkdir -p m/sub m/.git; printf '{"auto_map": {"AutoModel": "x.Y"}}' > m/config.json; printf 'text' > m/sub/readme.md; printf 'MZ' > m/.git/x; tola scan --sandbox never m
unknown  m/config.json (json)
  unknown: auto_map: transformers would run code that comes with the model
2 files: 1 safe, 1 unknown, 0 dangerous
[exit 1]

$ tola scan --sandbox never does-not-exist
2> tola: cannot open does-not-exist: No such file or directory
[exit 2]

$ tola scan --sandbox never -v "$FIXTURES/tiny.safetensors"
safe  $FIXTURES/tiny.safetensors (safetensors)
