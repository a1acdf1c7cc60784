#!/usr/bin/env python3
"""JSON schemas beside the jsonschema package: every text that a grammar makes is valid, every valid instance (keys in
the order of the schema) is taken in any spacing, every invalid one refused."""
import decimal
import itertools
import json
import random
import sys

from common import Tally
from grammar_io import ask

t = Tally("schema_oracle")
try:
    import jsonschema
    import rfc3339_validator  # without it jsonschema takes any text for a time
except ImportError as missing:
    t.skip(f"schemas beside jsonschema: {missing}")
    t.finish()

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 20261121
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 700
rng = random.Random(SEED)
NAMES = ["a", "b", "ab", "abc", "name", "é", "日本", "x y", 'q"q', "back\\slash", "line\nbreak", "a/b", "~", ""]
WORDS = ["", "a", "ab", "abc", "hello world", "é€😀", 'quote"', "back\\slash", "tab\tnew\n", "/", "日本語",
         "zzzzzzzz", "\x01"]
# without \\w and \\s, which Python reads as more than ECMA-262 does
PATTERNS = ["^[a-z]+$", "^a|b$", "[0-9]{2,3}", "^(foo|ba[rz])+$", "^\\d{3}-\\d{4}$", "^[^x\"]*$", "^.{2,4}$", "a.c",
            "^[a-z]+( [a-z]+)*$", "^(?:x|y){1,3}?z*$", "^\\\\[\\]\\-]$", "^[\\u00e0-\\u00ff]*$", "^$", "x?"]


def scalar_schema(r):
    kind = r.choice(["string", "string", "integer", "number", "boolean", "null", "enum", "const", "pattern", "format"])
    if kind == "string":
        s = {"type": "string"}
        if r.random() < 0.4:
            low = r.randint(0, 5)
            s["minLength"] = low
            if r.random() < 0.6:
                s["maxLength"] = low + r.randint(0, 6)
        return s
    if kind in ("integer", "number"):
        s = {"type": kind}
        value = lambda: r.choice([r.randint(-20, 20), r.randint(-10**6, 10**6), r.randint(0, 300)]) \
            if kind == "integer" or r.random() < 0.5 else round(r.uniform(-50, 50), r.randint(1, 5))
        a, b = sorted([value(), value()])
        b = round(b + 2, 6)
        if r.random() < 0.5:
            s[r.choice(["minimum", "exclusiveMinimum"])] = a
        if r.random() < 0.5:
            s[r.choice(["maximum", "exclusiveMaximum"])] = b
        return s
    if kind == "enum":
        return {"enum": r.sample([1, -2.5, "a", "é\"\n", None, True, [1, {"k": "v"}], {"z": [], "a": {}}, "ab"],
                                 r.randint(1, 5))}
    if kind == "const":
        return {"const": r.choice([0, "x/y", [], {"b": 1, "a": [None]}, 12.25, False])}
    if kind == "pattern":
        return {"type": "string", "pattern": r.choice(PATTERNS)}
    if kind == "format":
        return {"type": "string", "format": r.choice(["date", "time", "date-time", "uuid", "ipv4"])}
    return {"type": kind}


def one_of_branch(r, depth, defs):
    """Objects that are told apart by a tag, or by what they require; others that are now and then."""
    x = r.random()
    if x < 0.4:
        return {"type": "object", "properties": {"tag": {"const": r.choice("abcdefgh")}, "v": scalar_schema(r)},
                "required": r.choice([["tag"], ["tag", "v"]])}
    if x < 0.8:
        names = r.sample(["a", "b", "ab", "abc", "name"], 2)
        return {"type": "object", "properties": {n: scalar_schema(r) for n in names}, "required": names[:1]}
    return r.choice([{"type": "null"}, {"type": "string", "maxLength": 3}, {"type": "string", "minLength": 3},
                     {"type": "integer", "minimum": 4}, {"type": "number", "maximum": 3.5}, {"enum": ["x", 7]},
                     {"type": "array", "items": schema(r, depth - 1, defs), "minItems": r.randint(0, 2)},
                     {"type": "array", "maxItems": 1}])


def schema(r, depth, defs):
    x = r.random()
    if depth == 0 or x < 0.35:
        return scalar_schema(r)
    if x < 0.65:
        names = r.sample(NAMES, r.randint(0, 5))
        s = {"type": "object", "properties": {n: schema(r, depth - 1, defs) for n in names}}
        if names and r.random() < 0.8:
            s["required"] = r.sample(names, r.randint(0, len(names)))
        if r.random() < 0.1:
            s.setdefault("required", []).append("more")
        x = r.random()
        if x < 0.4:
            s["additionalProperties"] = False
        elif x < 0.6:
            s["additionalProperties"] = schema(r, depth - 1, defs)
        if s.get("additionalProperties") is False and "more" in s.get("required", []):
            s["required"].remove("more")
        if "additionalProperties" in s and r.random() < 0.2:  # the same where nothing else is said
            s["unevaluatedProperties"] = s.pop("additionalProperties")
        return s
    if x < 0.8:
        s = {"type": "array"}
        if r.random() < 0.7:
            s["items"] = schema(r, depth - 1, defs)
        if r.random() < 0.3:
            s["prefixItems"] = [schema(r, depth - 1, defs) for _ in range(r.randint(1, 3))]
            if r.random() < 0.5:
                s["items"] = False
        if r.random() < 0.4:
            s["minItems"] = r.randint(0, len(s.get("prefixItems", [1, 2])))
        if r.random() < 0.4:
            s["maxItems"] = s.get("minItems", 0) + r.randint(0, 4)
        if "items" in s and r.random() < 0.2:
            s["unevaluatedItems"] = s.pop("items")
        return s
    if x < 0.87:
        return {r.choice(["anyOf"]): [schema(r, depth - 1, defs) for _ in range(r.randint(1, 3))]}
    if x < 0.9:
        return {"oneOf": [one_of_branch(r, depth, defs) for _ in range(r.randint(1, 4))]}
    if x < 0.94 and defs:
        return {"$ref": "#/$defs/" + r.choice(defs)}
    if x < 0.97:
        shared = r.sample(NAMES, 3)
        return {"allOf": [{"type": "object", "properties": {shared[0]: scalar_schema(r), shared[1]: {}}},
                          {"properties": {shared[2]: schema(r, depth - 1, defs)}, "required": [shared[0]]}]}
    return r.choice([{}, True, {"type": ["string", "null"], "title": "t", "description": "d"}, {"items": {}},
                     {"properties": {"a": {"type": "integer"}}}])


def random_schema(r):
    defs = ["node", "leaf", "pair"]
    s = schema(r, 3, defs)
    if not isinstance(s, dict):
        s = {"allOf": [s]}
    s["$defs"] = {"node": {"type": "object", "properties": {"v": scalar_schema(r), "next": {"$ref": "#/$defs/node"}},
                           "required": ["v"], "additionalProperties": False},
                  "leaf": scalar_schema(r),
                  "pair": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/pair"}, {"type": "integer"}]},
                           "maxItems": 2}}
    return s


def any_value(r, depth=2):
    x = r.random()
    if depth and x < 0.2:
        # names that no schema has: those would have to come in its order
        return {r.choice(["k", "a b", "zz", "ü"]): any_value(r, depth - 1) for _ in range(r.randint(0, 3))}
    if depth and x < 0.4:
        return [any_value(r, depth - 1) for _ in range(r.randint(0, 3))]
    return r.choice([None, True, False, r.choice(WORDS), r.choice(WORDS), r.randint(-30, 30), r.randint(-10**7, 10**7),
                     round(r.uniform(-60, 60), r.randint(1, 6))])


STRINGS = {"date": ["2024-02-29", "2023-02-29", "1999-12-31", "2000-04-31", "1900-02-29", "0001-01-01"],
           "time": ["12:00:00Z", "23:59:59.123+05:30", "24:00:00Z", "12:00", "00:00:00-23:59"],
           "date-time": ["2024-02-29T12:00:00Z", "2024-01-01T00:00:00.5-01:00", "2024-13-01T00:00:00Z"],
           "uuid": ["123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000", "x"],
           "ipv4": ["1.2.3.4", "255.255.255.255", "256.1.1.1", "01.2.3.4", "1.2.3"]}
MATCHES = ["abc", "b", "xa", "12", "1234", "foobarbaz", "555-1234", "a\nc", "abcd", "a c", "yyz", "]", "-", "éü", "x",
           "z"]


def instance(r, s, root, depth=6):
    """Mostly valid, sometimes not."""
    if r.random() < 0.06 or depth == 0 or not isinstance(s, dict):
        return any_value(r)
    if "$ref" in s:
        return instance(r, root["$defs"][s["$ref"].split("/")[-1]], root, depth - 1)
    if "enum" in s:
        return r.choice(s["enum"])
    if "const" in s:
        return s["const"]
    for group in ("anyOf", "oneOf"):
        if group in s:
            return instance(r, r.choice(s[group]), root, depth - 1)
    if "allOf" in s:
        out = {}
        for part in s["allOf"]:
            value = instance(r, part if isinstance(part, dict) else {}, root, depth - 1)
            if not isinstance(value, dict):
                return value
            out.update(value)
        order = [n for part in s["allOf"] if isinstance(part, dict) for n in part.get("properties", {})]
        return {n: out[n] for n in dict.fromkeys(order + list(out)) if n in out}
    kind = s.get("type")
    if isinstance(kind, list):
        kind = r.choice(kind)
    if kind == "object" or (kind is None and "properties" in s):
        out = {}
        for n, part in s.get("properties", {}).items():
            if n in s.get("required", []) or r.random() < 0.6:
                out[n] = instance(r, part, root, depth - 1)
        further = s.get("additionalProperties", s.get("unevaluatedProperties", True))
        if further is not False or r.random() < 0.1:
            for n in s.get("required", []):
                if n not in s.get("properties", {}):
                    out[n] = instance(r, further, root, depth - 1)
            for n in r.sample(NAMES + ["other", "abcd"], r.randint(0, 2)):
                if n not in s.get("properties", {}):
                    out[n] = instance(r, further, root, depth - 1)
        return out
    if kind == "array":
        prefix, rest = s.get("prefixItems", []), s.get("items", s.get("unevaluatedItems", {}))
        n = r.randint(s.get("minItems", 0), min(s.get("maxItems", 5), s.get("minItems", 0) + 5))
        return [instance(r, prefix[i] if i < len(prefix) else rest, root, depth - 1) for i in range(n)]
    if kind == "string":
        if "pattern" in s:
            return r.choice(MATCHES + WORDS)
        if "format" in s:
            return r.choice(STRINGS[s["format"]])
        n = r.randint(s.get("minLength", 0), s.get("maxLength", 8))
        return "".join(r.choice("abz é€😀\"\\\n/") for _ in range(n))
    if kind in ("integer", "number"):
        low = s.get("minimum", s.get("exclusiveMinimum", -100))
        high = s.get("maximum", s.get("exclusiveMaximum", max(low, 0) + 100))
        choices = [low, high, low + 1, high - 1, (low + high) / 2, low - 1, high + 1]
        x = r.choice(choices)
        return int(x // 1) if kind == "integer" else round(x, 6)
    return {"boolean": r.random() < 0.5, "null": None}.get(kind, any_value(r))


def plain(v):
    """As our grammars write numbers: no exponents; whole numbers of integers without a fraction."""
    if isinstance(v, float) and ("e" in repr(v) or abs(v) > 1e15):
        return False
    if isinstance(v, (list, tuple)):
        return all(plain(i) for i in v)
    return all(plain(i) for i in v.values()) if isinstance(v, dict) else True


def whole_floats(v):
    if isinstance(v, float):
        return v == int(v)
    if isinstance(v, list):
        return any(whole_floats(i) for i in v)
    return any(whole_floats(i) for i in v.values()) if isinstance(v, dict) else False


def spellings(v):
    yield json.dumps(v, ensure_ascii=False)
    yield json.dumps(v, ensure_ascii=False, separators=(",", ":"))
    yield json.dumps(v, ensure_ascii=False, indent=rng.choice([1, 2, "\t"]))


def shuffled(v):
    """The same value with its keys in another order."""
    if isinstance(v, list):
        return [shuffled(i) for i in v]
    return {k: shuffled(v[k]) for k in rng.sample(list(v), len(v))} if isinstance(v, dict) else v


checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
requests, expected = [], []
for i in range(ROUNDS):
    s = random_schema(rng)
    validator = jsonschema.Draft202012Validator(s, format_checker=checker)
    texts, verdicts = [], []
    for _ in range(25):
        v = instance(rng, s, s)
        if not plain(v) or whole_floats(v):
            continue
        valid = validator.is_valid(v)
        for text in spellings(v):
            texts.append(text.encode())
            verdicts.append(valid)
    requests.append(("schema", json.dumps(s), texts, 12, SEED * 1000 + i * 50))
    expected.append((s, validator, texts, verdicts))

reordered = []
taken = refused = made = unfinished = impossible = unclear = kept_out = 0
for (s, validator, texts, verdicts), answer in zip(expected, ask(requests)):
    if answer.status:
        # the generator does make schemas that nothing fits, and bounds with nothing between them
        if "may both hold" in answer.message:
            unclear += 1
        elif t.check(f"{json.dumps(s)}: compiles", "no value fits" in answer.message, answer.message):
            impossible += 1
            t.check(f"{json.dumps(s)}: nothing fits", not any(verdicts))
        continue
    for text, valid, fits in zip(texts, verdicts, answer.fits):
        taken, refused = taken + valid, refused + (not valid)
        if valid and not fits and b"{" in text and "oneOf" in json.dumps(s):
            kept_out += 1  # branches that only what they require tells apart take none of the other's names
            continue
        if valid and not fits and b"{" in text:
            reordered.append((s, text))  # made for one branch, it may be valid in another that has its keys otherwise
            continue
        t.check(f"{json.dumps(s)} {'takes' if valid else 'refuses'} {text.decode()}", fits == valid)
    for finished, text in answer.made:
        unfinished += not finished
        if not finished:
            continue
        made += 1
        try:
            good = validator.is_valid(json.loads(text, strict=True))
        except ValueError as why:
            t.check(f"{json.dumps(s)} made no JSON: {text!r}", False, str(why))
            continue
        t.check(f"{json.dumps(s)} made {text.decode()}", good)
answers = ask([("schema", json.dumps(s), [json.dumps(shuffled(json.loads(text)), ensure_ascii=False).encode()
                                        for _ in range(500)], 0, 0)
               for s, text in reordered])
for (s, text), answer in zip(reordered, answers):
    t.check(f"{json.dumps(s)} takes some order of {text.decode()}", any(answer.fits))
print(f"{ROUNDS} schemas ({impossible} that nothing fits, {unclear} whose branches are not told apart): {taken} valid "
      f"texts, {refused} invalid ones, {made} made, {unfinished} not finished, {len(reordered)} in need of another "
      f"order, {kept_out} with a name of another branch")

# oneOf, where branches share something; each schema with what must be in a refusal, "" where it compiles
TAG = lambda tag, **more: {"type": "object", "properties": {"t": {"const": tag}, **more}, "required": ["t", *more]}
NEED = lambda *names, **more: {"type": "object", "properties": {n: {"type": "integer"} for n in names},
                               "required": list(names), **more}
for s, message in [({"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]},
                                                                                    {"required": ["b"]}]}, ""),
                   ({"properties": {"a": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, ""),
                   ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"type": "null"}]}, ""),
                   ({"oneOf": [NEED("a"), NEED("b"), NEED("c", "d")]}, ""),
                   ({"oneOf": [NEED("a"), NEED("a", "b")]}, "1 "),
                   ({"oneOf": [NEED("a", additionalProperties=False), NEED("a", "b", additionalProperties=False)]}, ""),
                   ({"oneOf": [TAG("a", x={"pattern": "a"}), TAG("b", x={"pattern": "b"})]}, ""),
                   ({"oneOf": [TAG(str(i), v={"items": {"$ref": "#"}}) for i in range(30)]}, ""),
                   ({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
                     "$defs": {"a": TAG("a"), "b": TAG("b")}}, ""),
                   ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#/oneOf: branches 0 and 1 may both hold"),
                   ({"oneOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": 2}]}, ""),
                   ({"oneOf": [{"type": "integer", "minimum": 3}, {"maximum": 3}]}, "may both hold"),
                   ({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 2}]}, "may both hold"),
                   ({"oneOf": [{"enum": [1, 2]}, {"type": "string"}, {"enum": [2.0, 3]}]}, "branches 0 and 2 may"),
                   ({"oneOf": [{"format": "date", "type": "string"}, {"format": "uuid", "type": "string"}]}, ""),
                   ({"oneOf": [{"type": "array", "maxItems": 2}, {"type": "array", "minItems": 3}]}, ""),
                   ({"oneOf": [{"type": "null"}, {"oneOf": [{"type": "string"}, {"const": 1.0}]}]}, ""),
                   ({"oneOf": [{"type": "null"}, True]}, "may both hold"),
                   ({"oneOf": [{"required": ["a"], "type": "object"}, {"not": {"required": ["a"]}}]}, ""),
                   ({"oneOf": [{"type": "null"}, {"not": {"type": "null"}}]}, ""), ({"oneOf": [True, False]}, ""),
                   ({"oneOf": [TAG("a", x={"unevaluatedItems": 2}), TAG("b", x={})]},
                    "#/oneOf/0/properties/x/unevaluatedItems"),
                   ({"allOf": [{"oneOf": [NEED("a"), NEED("b")]}, {"oneOf": [NEED("c"), NEED("d")]}]}, ""),
                   ({"allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]},
                               {"anyOf": [{"type": "integer"}, {"type": "null"}]}]}, ""),
                   ({"allOf": [{"enum": [1, "a", [2], {"b": 1}]}, {"enum": [{"b": 1.0}, [2], [], 1.0]}]}, ""),
                   ({"allOf": [{"enum": [1]}, {"const": 2}]}, "no value fits"),
                   ({"enum": ["a", "bcd", "é", 7, 9, [1], []], "minLength": 1, "maxLength": 1, "maximum": 8,
                     "minItems": 1}, ""), ({"enum": ["a"], "format": "date"}, "look into its values"),
                   ({"type": "object", "properties": {"a": {"minimum": 3, "maximum": 2, "type": "number"}}}, ""),
                   ({"type": "string", "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 5}, ""),
                   ({"type": "string", "pattern": "^\\w{2,6}?$", "maxLength": 4}, ""),
                   ({"type": "string", "pattern": "^.$", "minLength": 1}, ""),
                   ({"type": "string", "pattern": "^x{2}$", "maxLength": 1}, "no value fits"),
                   ({"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083}, ""),
                   ({"type": "string", "format": "date", "maxLength": 9}, "no value fits"),
                   ({"type": "array", "items": {"minimum": 3, "maximum": 2, "type": "number"}}, ""),
                   ({"anyOf": [{"minimum": 3, "maximum": 2, "type": "number"}, {"type": "null"}]}, "")]:
    (answer,) = ask([("schema", json.dumps(s), [], 40, SEED)])
    if not t.check(f"{json.dumps(s)}: {answer.message}", (answer.status != 0) == (message != "") and
                   message in answer.message):
        continue
    validator = jsonschema.Draft202012Validator(s, format_checker=checker)
    for finished, text in answer.made:
        t.check(f"{json.dumps(s)} made {text!r}", not finished or validator.is_valid(json.loads(text)))

decimal.getcontext().prec = 20000
# keywords that count, exhaustively: every value of a small world, each schema; multipleOf by decimals, not by halves


def exact_multiple(validator, step, instance, schema):
    if validator.is_type(instance, "number") and decimal.Decimal(str(instance)) % decimal.Decimal(repr(step)) != 0:
        yield jsonschema.ValidationError("no multiple")


Exactly = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"multipleOf": exact_multiple})
NUMBERS = [json.loads(sign + text) for text in
           [str(i) for i in range(0, 220)] + [f"{i / 100:g}" for i in range(1, 330)] +
           [str(i) for i in (300, 999, 1000, 1001, 1024, 3600, 86400, 99999, 100000, 123456789, 4294967296, 10**15,
                             999999999999999, 2**53, 365 * 7, 10**17 + 3)] +
           ["0.001", "0.005", "0.125", "0.0625", "12.345", "1000.5", "99.95", "19.99", "2.675"] for sign in ("", "-")]
NUMBERS = [n for n in NUMBERS if "e" not in repr(n)]
LONG = [sign * (n + d) for sign in (1, -1) for n in (2**63, 2**64, 10**20 - 9, 10**25) for d in (-2, -1, 0, 1, 2)]
FEW = [2**64 - 1, 2**64, 2**64 + 1, -(2**63) - 1, 10**25, 10**25 + 1]
long_numbers = [{"const": n} for n in LONG] + [{"enum": FEW}, {"enum": [[n, {"k": n}] for n in FEW]}] + \
    [{"type": "integer", "not": {"const": n}} for n in FEW[:4]] + \
    [{"type": "integer", word: n} for n in FEW[:4] for word in ("minimum", "maximum", "exclusiveMinimum",
                                                                "exclusiveMaximum")] + \
    [{"allOf": [{"enum": FEW}, {"enum": [2**64 + 1, 10**25 + 1, 10**25 - 1]}]}, {"enum": FEW[:4], "minimum": 2**64},
     {"enum": FEW[:4], "maximum": 2**64}, {"enum": FEW, "not": {"const": 10**25}},
     {"type": "array", "items": {"enum": FEW}, "uniqueItems": True, "maxItems": 2}]
LONG += [[n, {"k": n}] for n in FEW] + [[n, m] for n in FEW for m in FEW]
OBJECTS = [dict(zip(names, values)) for n in range(5) for names in itertools.combinations("abcxy", n)
           for values in itertools.product([1, "s"], repeat=n)]
ARRAYS = [list(items) for n in range(5) for items in itertools.product([1, 2, "a", None], repeat=n)]
STEPS = [1, 2, 3, 5, 7, 10, 12, 25, 50, 64, 100, 365, 1000, 3600, 1024, 0.5, 0.1, 0.01, 0.05, 0.25, 2.5, 0.125, 1.5,
         0.3]
BOUNDS = [{}, {"minimum": 0}, {"minimum": 1, "maximum": 150}, {"exclusiveMinimum": -20, "maximum": 3.25},
          {"maximum": -1.5}, {"minimum": 1000}, {"minimum": 95, "exclusiveMaximum": 100000}]
numeric = [{"type": kind, "multipleOf": step, **bounds} for kind in ("integer", "number") for step in STEPS
           for bounds in BOUNDS] + [{"type": "integer", "allOf": [{"multipleOf": 4}, {"multipleOf": 6}]},
                                    {"enum": [1, 2, 3, 4.5, 6, 0.3], "multipleOf": 1.5}]
counting = [{"type": "object", **shape, **count}
            for shape in [{"properties": {"a": {}, "b": {"type": "integer"}, "c": {}}, "additionalProperties": False},
                          {"properties": {"a": {}, "b": {}, "c": {}}, "required": ["b"]},
                          {"properties": {"a": {}, "b": {}, "c": False}, "required": ["a"],
                           "additionalProperties": False},
                          {"additionalProperties": {"type": "integer"}}, {}, {"required": ["x"]}]
            for count in [{"minProperties": 1}, {"minProperties": 2}, {"maxProperties": 0}, {"maxProperties": 1},
                          {"maxProperties": 2}, {"minProperties": 1, "maxProperties": 2},
                          {"minProperties": 2, "maxProperties": 2}, {"minProperties": 3},
                          {"minProperties": 3, "maxProperties": 2}]]
containing = [{"type": "array", **items, **count, **size}
              for items in [{}, {"items": {"type": ["integer", "null"]}}, {"prefixItems": [{"type": "integer"}]},
                            {"prefixItems": [{"type": "string"}], "items": {"enum": [1, "a"]}}]
              for count in [{"contains": {"type": "string"}}, {"contains": {"const": 1}, "minContains": 2},
                            {"contains": {}}, {"contains": False, "minContains": 0}, {"contains": False},
                            {"minContains": 2, "maxContains": 1}, {"contains": {"type": "string"}, "maxContains": 1},
                            {"contains": {"const": 1}, "minContains": 0, "maxContains": 1},
                            {"contains": {"enum": [1, "a"]}, "minContains": 2, "maxContains": 2},
                            {"contains": {"minimum": 2}, "maxContains": 2}, {"contains": {}, "maxContains": 2},
                            {"contains": {"const": 1}, "minContains": 0, "maxContains": 0},
                            {"contains": {"type": "null"}, "minContains": 2, "maxContains": 1},
                            {"contains": False, "minContains": 0, "maxContains": 1},
                            {"contains": {"not": {"type": "number"}}, "maxContains": 1},
                            {"contains": {"anyOf": [{"type": "string"}, {"const": 2}]}, "maxContains": 9}]
              for size in [{}, {"maxItems": 2}, {"minItems": 3}, {"minItems": 2, "maxItems": 3}, {"maxItems": 0}]]
unique = [{"type": "array", "items": {"enum": values}, "uniqueItems": True, **size}
          for values in [[1], [1, 2], [1, "a", 1.0, None], [2, 1, "a", None]]
          for size in [{}, {"minItems": 2}, {"maxItems": 2}, {"minItems": 1, "maxItems": 3}, {"minItems": 5},
                       {"maxItems": 1}]] + [{"type": "array", "uniqueItems": True, "maxItems": 1}]
ANY = [None, True, False, 0, 1, 2, 3, 4, 7, -1, 1.5, 2.25, "", "a", "b", "ab", "abc", [], [1], ["a"], [1, "a"], {}] + \
    OBJECTS[:60]
AB = {"type": "object", "properties": {"a": {"enum": [1, "s"]}, "b": {}, "c": {}, "x": {}, "y": {}},
      "additionalProperties": False}
opposed = [{**base, "not": other} for base in [{}, {"type": ["integer", "string", "null"]},
                                               {"type": ["array", "boolean"]},
                                               {"type": "number", "minimum": 1, "maximum": 4}, {"enum": [1, "a", None]},
                                               {"type": "integer", "multipleOf": 2}, AB]
           for other in [{}, True, False, {"type": "null"}, {"type": ["string", "object"]}, {"const": 1},
                         {"enum": [1, "a", None, True, 2.0]}, {"enum": ["", "ab"]}, {"enum": [1, 1.0, 3, 7, -1]},
                         {"type": "string", "const": "a"}, {"minimum": 2}, {"exclusiveMaximum": 2, "type": "number"},
                         {"minLength": 2}, {"maxLength": 0}, {"minLength": 0}, {"minItems": 2}, {"maxItems": 0},
                         {"required": ["a"]}, {"required": ["a", "b"]}, {"properties": {"a": {"const": 1}}},
                         {"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"not": {"type": "string"}},
                         {"anyOf": [{"type": "string"}, {"const": 1}]}, {"allOf": [{"minimum": 1}, {"maximum": 2}]},
                         {"items": {"type": "string"}}, {"contains": {"type": "string"}}, {"minProperties": 1},
                         {"maxProperties": 0}, {"not": {"not": {"type": "string"}}}, {"description": "nothing"},
                         {"pattern": "a"}, {"pattern": "^$", "type": "string"}]]
opposed += [{**AB, **more} for more in
            [{"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}},
             {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]},
              "else": {"required": ["c"]}},
             {"if": {"required": ["x"]}, "else": {"required": ["y"]}}, {"then": False, "else": False},
             {"if": {"required": ["x"]}}, {"if": True, "then": {"required": ["a"]}},
             {"if": False, "then": False, "else": {"required": ["a"]}},
             {"if": {"properties": {"a": {"type": "string"}}, "required": ["a"]},
              "then": {"properties": {"b": {"type": "integer"}}}, "else": {"not": {"required": ["b"]}}},
             {"allOf": [{"if": {"required": ["a"]}, "then": {"required": ["b"]}},
                        {"if": {"required": ["c"]}, "then": {"required": ["x"]}}]},
             {"dependentRequired": {"a": ["b"], "x": ["y", "c"]}}, {"dependentRequired": {"a": []}},
             {"dependentSchemas": {"a": {"properties": {"b": {"type": "string"}}}}}]]
opposed += [{"type": kind, "properties": {name: {} for name in "abcxyz"},
             "allOf": [{"if": {"properties": {"a": {"const": v}}, **need}, "then": {"required": [name]}}
                       for v, name in [(1, "b"), ("s", "c"), (2, "x"), (3, "y"), (None, "z")]]}
            for kind in ("object", ["object", "string"]) for need in ({}, {"required": ["a"]})]
opposed += [{"if": {"type": "string"}, "then": {"maxLength": 1}, "else": {"minimum": 2}},
            {"dependentRequired": {"a": ["b"]}}, {"not": {"dependentRequired": {}}},
            {"$defs": {"%/~": {"type": "null"}}, "not": {"not": {"$ref": "#/$defs/%25~1~0"}}}]
KEYS = ["a", "b", "ab", "ba", "abc", "x", "", "a1", "12", "é", 'q"', "l\nx", "A", "a-b", "\\"]
PATTERN_KEYS = ["^a", "b$", "^[a-z]+$", "[0-9]", "^.{1,2}$", "a.c|^x$", "^", "^[^a]*$", "\\\\", "^(ab)*$", "é", "\""]
KEYED = [{k: v} for k in KEYS for v in (1, "s", None)] + [{"a": 1, "b": "s"}, {"ab": "s", "x": 1}, {}] + \
    [dict(zip(rng.sample(KEYS, 3), rng.choices([1, "s", None], k=3))) for _ in range(60)]
TYPES = [{"type": "integer"}, {"type": "string"}, {"type": ["integer", "null"]}, {}, False, {"enum": [1, "s"]}]
keyed = [{"type": "object", "patternProperties": {p: rng.choice(TYPES) for p in rng.sample(PATTERN_KEYS, n)},
          **rng.choice([{}, {"additionalProperties": False}, {"additionalProperties": {"type": "string"}}]),
          **rng.choice([{}, {}, {"properties": {"a": rng.choice(TYPES), "ab": {}}},
                        {"allOf": [{"patternProperties": {"b": {"type": ["string", "null"]}}}]}, {"maxProperties": 1},
                        {"required": ["ab"]}, {"not": {"required": ["x"]}}])}
         for n in (1, 1, 2, 2, 3, 4) for _ in range(40)]
keyed += [{"type": "object", "propertyNames": names, **other}
          for names in [True, False, {"type": "string"}, {"type": ["integer", "null"]}, {"pattern": "^[a-z]+$"},
                        {"maxLength": 1}, {"minLength": 2, "title": "t"}, {"minLength": 3, "maxLength": 2},
                        {"minLength": 2, "maxLength": 2, "pattern": "a"}, {"enum": ["x", "ab", "12", 5, "a"]},
                        {"const": "a"}, {"not": {"const": "a"}}, {"not": {"enum": ["a", "x", "", 1]}},
                        {"not": {"pattern": "a"}, "maxLength": 2}, {"enum": ["a", "ab", "x", ""], "pattern": "^a"},
                        {"allOf": [{"pattern": "a"}, {"pattern": "b$"}]}, {"minimum": 5}, {"enum": [1, 2]}]
          for other in [{}, {"additionalProperties": False}, {"additionalProperties": {"type": "string"}},
                        {"patternProperties": {"b$": {"type": "integer"}, "a": {"type": ["string", "integer"]}}},
                        {"patternProperties": {"^a": {}}, "additionalProperties": False},
                        {"properties": {"ab": {"type": "integer"}, "a": {}, "x": {}}, "additionalProperties": False},
                        {"properties": {"a": {"type": "string"}}}, {"required": ["ab"]}, {"minProperties": 1},
                        {"maxProperties": 1}, {"minProperties": 2, "maxProperties": 2},
                        {"allOf": [{"propertyNames": {"pattern": "a"}}]},
                        {"properties": {"a": {}}, "required": ["x"], "if": {"required": ["ab"]},
                         "then": {"propertyNames": {"not": {"const": "b"}}}}]]
BASE = {"base": {"properties": {"a": {}, "b": {"type": "integer"}}, "allOf": [{"patternProperties": {"^x": {}}}]}}
PLAIN = {"properties": {"a": {}, "b": {}}}
left = [{"type": "object", "unevaluatedProperties": rest, **other}
        for rest in (False, {"type": "string"}, True)
        for other in [{}, {"properties": {"a": {"type": "integer"}}}, {"patternProperties": {"^a": {}}},
                      {"additionalProperties": {"type": "integer"}}, {"allOf": [{"properties": {"a": {}}}]},
                      {"allOf": [{"properties": {"a": {}}, "additionalProperties": {"type": ["string", "integer"]}}]},
                      {"allOf": [{"properties": {"a": {}}, "unevaluatedProperties": {"type": "integer"}}]},
                      {"$ref": "#/$defs/base", "$defs": BASE},
                      {"$ref": "#/$defs/base", "$defs": BASE, "properties": {"ab": {}}, "required": ["b"]},
                      {"$ref": "#/$defs/base", "$defs": BASE, "allOf": [{"patternProperties": {"b$": {}}}]},
                      {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], **PLAIN},
                      {"anyOf": [{"properties": {"a": {"const": 1}}}, {"required": ["b"]}], **PLAIN},
                      {"oneOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]},
                                 {"properties": {"a": {"const": "s"}}, "required": ["a"]}], **PLAIN},
                      {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]},
                       **PLAIN},
                      {"not": {"properties": {"x": {"type": "string"}}, "required": ["x"]}},
                      {"dependentSchemas": {"a": {"properties": {"b": {"type": "string"}}}}, **PLAIN},
                      {"dependentRequired": {"a": ["b"]}, **PLAIN}, {"propertyNames": {"pattern": "a"}, **PLAIN},
                      {"properties": {"a": {"properties": {"b": {}}, "unevaluatedProperties": False}}}]]
left += [{"$defs": BASE, "allOf": [{"$ref": "#/$defs/base"}, {**more, "unevaluatedProperties": False}]}
         for more in ({"properties": {"x": {}}}, {"$ref": "#/$defs/base"})]
left += [{"$defs": BASE, "anyOf": [{"$ref": "#/$defs/base", "unevaluatedProperties": False}, {"type": "object"}]}]
undecided = [{"unevaluatedProperties": False, **other} for other in
             [{"anyOf": [PLAIN, {"required": ["x"]}]},
              {"$defs": BASE, "oneOf": [{"type": "object", "$ref": "#/$defs/base"}, {"type": "null"}]},
              {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}},
              {"anyOf": [{"anyOf": [{"patternProperties": {"a": {}}}]}], **PLAIN},
              {"dependentSchemas": {"a": {"additionalProperties": {"type": "integer"}}}, **PLAIN},
              {"allOf": [{"anyOf": [{"unevaluatedProperties": False}, {}]}], **PLAIN}]]
undecided += [{"unevaluatedItems": False, **other} for other in
              [{"contains": {"const": 1}}, {"anyOf": [{"prefixItems": [{}]}, {}]}, {"allOf": [{"contains": {}}]},
               {"prefixItems": [{}], "if": {"items": {"type": "null"}}, "then": {}},
               {"anyOf": [{"$ref": "#/$defs/i"}], "$defs": {"i": {"prefixItems": [{}]}}}]]
rest_items = [{"type": "array", "unevaluatedItems": rest, **other, **size}
              for rest in (False, {"type": "integer"}, True)
              for other in [{}, {"prefixItems": [{"type": "integer"}]}, {"items": {"type": ["string", "null"]}},
                            {"allOf": [{"prefixItems": [{}, {"type": "string"}]}], "prefixItems": [{"enum": [1, 2]}]},
                            {"allOf": [{"prefixItems": [{}], "items": {"type": ["integer", "string"]}}]},
                            {"$ref": "#/$defs/two", "$defs": {"two": {"prefixItems": [{}, {}]}}},
                            {"allOf": [{"prefixItems": [{}], "unevaluatedItems": {"type": ["string", "integer"]}}]},
                            {"anyOf": [{"prefixItems": [{"const": 1}]}, {"minItems": 3}], "prefixItems": [{}, {}]}]
              for size in ({}, {"minItems": 2}, {"maxItems": 3})]
TEXTS = ["".join(t) for n in range(5) for t in itertools.product("ab-", repeat=n)] + \
    ["é", "日本", "a\nb", '"a"', "\\a", "abcabc", "z" * 9]
worded = [{"type": "string", **pattern, **size, **other}
          for pattern in [{}, {"pattern": "a"}, {"pattern": "^(ab?)+$"}, {"pattern": "^a|b$"}, {"pattern": "^[^a]*$"},
                          {"pattern": "a.*b"}, {"pattern": "^[ab]{2,}$"}, {"pattern": "^$"}, {"pattern": "^|b$"}]
          for size in [{}, {"minLength": 2}, {"maxLength": 3}, {"minLength": 1, "maxLength": 2}]
          for other in [{}, {"not": {"const": "ab"}}, {"not": {"enum": ["a", "ab", "", "bbb", "a-"]}},
                        {"not": {"pattern": "b-"}}, {"not": {"anyOf": [{"pattern": "^b"}, {"const": "aa"}]}},
                        {"if": {"pattern": "^a"}, "then": {"maxLength": 2}},
                        {"allOf": [{"pattern": "b"}, {"pattern": "^..", "not": {"pattern": "-"}}]}]]
worded += [{"enum": ["a", "ab", "b-", "", 1, "bbb", None, "a-", "aa", "a\nb", "é"], **s} for s in worded]
worded += [{"const": "ab", "pattern": p} for p in ("^a", "^b", "[^a]$", "^.b")] + \
    [{"type": "array", "items": {"enum": ["a", "ab", "b", "bb"], "pattern": "b$"}, "uniqueItems": True}]
exhausted = refused = 0
turned = []
for schemas, world in [(numeric, NUMBERS), (long_numbers, LONG), (counting, OBJECTS), (containing, ARRAYS),
                       (unique, ARRAYS), (opposed, ANY), (keyed, KEYED), (left, KEYED), (rest_items, ARRAYS),
                       (worded, TEXTS)]:
    texts = [json.dumps(v, ensure_ascii=False).encode() for v in world]
    number = decimal.Decimal if world is NUMBERS else float
    for s, answer in zip(schemas, ask([("schema", json.dumps(s), texts, 5, SEED) for s in schemas])):
        validator = Exactly(s)
        valid = [validator.is_valid(v) for v in world]
        if answer.status:
            t.check(f"{json.dumps(s)}: {answer.message}", "names differ" in answer.message and "minProperties" in s or
                    "no value fits" in answer.message and not any(valid) or
                    "not" in s and
                    ("has no opposite" in answer.message or "excludes strings beside" in answer.message or
                     "cannot tell" in answer.message or "look into its values" in answer.message))
            refused += 1
            continue
        for v, text, good, fits in zip(world, texts, valid, answer.fits):
            if isinstance(v, float) and v == int(v):
                continue
            exhausted += 1
            if isinstance(v, dict) and good and not fits:
                turned.append((s, [json.dumps(dict(o), ensure_ascii=False).encode()
                                   for o in itertools.permutations(v.items())]))
                continue
            t.check(f"{json.dumps(s)} {'takes' if good else 'refuses'} {text.decode()}", fits == good)
        for finished, text in answer.made:
            t.check(f"{json.dumps(s)} made {text!r}",
                    not finished or validator.is_valid(json.loads(text, parse_float=number)))
for (s, texts), answer in zip(turned, ask([("schema", json.dumps(s), texts, 0, 0) for s, texts in turned])):
    t.check(f"{json.dumps(s)} takes {texts[0].decode()} in some order", any(answer.fits))
print(f"{exhausted} values of small worlds, {len(turned)} in another order, {refused} schemas refused")

# formats: what is made is one, for the standard library's and the packages' eyes
FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "ipv6", "hostname", "email", "duration", "uri"]
known = [f for f in FORMATS if f in checker.checkers]
made = ask([("schema", json.dumps({"type": "string", "format": f}), [], 200, SEED) for f in known])
for f, answer in zip(known, made):
    for finished, text in answer.made:
        t.check(f"format {f} made {text!r}", not finished or checker.conforms(json.loads(text), f))

for s in undecided:
    (answer,) = ask([("schema", json.dumps(s), [], 0, 0)])
    t.check(f"{json.dumps(s)} is refused", answer.status and
            (": what is left to it depends on branches" in answer.message or ": beside contains" in answer.message),
            answer.message)

# what is refused, by its pointer
for s, message in [({"properties": {"a": {"not": {"format": "date"}}}}, "#/properties/a/not/format: has no opposite"),
                   ({"not": {"pattern": "(?=a)"}}, "#/not/pattern: look-around"),
                   ({"not": {"pattern": 5}}, "must be a string"),
                   ({"not": {"pattern": "a"}, "format": "date"}, "#/not/pattern: excludes strings beside a format"),
                   ({"not": {"type": "integer"}}, "#/not/type: has no opposite"),
                   ({"not": {"type": ["null", "strin"]}}, "#/not/type"),
                   ({"not": {"required": [1]}}, "required/0: must"),
                   ({"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {}}}, "#/not/$ref: has no opposite"),
                   ({"if": {"type": "null"}, "then": {"multipleOf": 0}}, "#/then/multipleOf: must be"),
                   ({"patternProperties": {"a": 5}}, "#/patternProperties/a: a schema is"),
                   ({"propertyNames": 5}, "#/propertyNames: a schema is"),
                   ({"propertyNames": {"format": "date"}}, "#/propertyNames/format: names are not told apart by"),
                   ({"propertyNames": {"anyOf": [{}]}}, "#/propertyNames/anyOf: names are not told apart by"),
                   ({"propertyNames": {"maxlength": 1}}, "#/propertyNames/maxlength: a keyword"),
                   ({"not": {"propertyNames": {}}}, "#/not/propertyNames: has no opposite"),
                   ({"if": 5, "then": {}}, "#/if: a schema is"), ({"not": 5}, "#/not: a schema is"),
                   ({"not": {"not": {"$ref": "#"}}}, "refers to itself"),
                   ({"not": {"const": [1]}}, "#/not: a grammar cannot tell an array"),
                   ({"type": "string", "format": "date", "not": {"const": "a"}}, "#/not: excludes strings beside"),
                   ({"type": "integer", "multipleOf": 0}, "#/multipleOf: must be"),
                   ({"type": "integer", "multipleOf": 1009}, "#/multipleOf: multiples of this number need too many"),
                   ({"type": "number", "multipleOf": 1e-17}, "#/multipleOf: a step has at most"),
                   ({"contains": {"format": "date"}, "maxContains": 2}, "#/contains/format: has no opposite"),
                   ({"contains": {"type": "null"}, "maxContains": -1}, "#/maxContains: must be"),
                   ({"contains": {}, "maxContains": 30000}, "#/contains: too many items to count"),
                   ({"allOf": [{"contains": {}}, {"contains": {}}]}, "beside another"),
                   ({"$ref": "#/$defs/x"}, "#/$ref: $ref leads nowhere"), ({"$ref": "other.json"}, "another document"),
                   ({"$ref": "#"}, "refers to itself"),
                   ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "refers to itself"),
                   ({"type": "array", "uniqueItems": True}, "#/uniqueItems"),
                   ({"format": "regex"}, "#/format: a format"),
                   ({"pattern": "(?=a)"}, "look-around"),
                   ({"pattern": "a.*b", "minLength": 300}, "#/pattern: telling these strings apart takes too many"),
                   ({"pattern": "a", "format": "date"}, "beside another bound"),
                   ({"format": "uri", "maxLength": 100}, "#/format: beside a length"),
                   ({"type": "integer", "minimum": 3, "maximum": 2}, "no value fits"), (False, "no value fits"),
                   ({"type": "strin"}, "#/type: no such type"), ({"type": "integer", "format": "int32"}, "#/format"),
                   ({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"], "type": "object"}},
                     "$ref": "#/$defs/n"}, "can never end"),
                   ({"allOf": [{"type": "string"}, {"type": "null"}]}, "no value fits"),
                   ({"type": "string", "maxLength": 4000000}, "multiply out"), ({"minLength": -1}, "#/minLength")]:
    (answer,) = ask([("schema", json.dumps(s), [], 0, 0)])
    t.check(f"{json.dumps(s)} is refused", answer.status != 0 and message in answer.message, answer.message)
t.finish()
