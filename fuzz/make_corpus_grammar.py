"""Makes fuzz/corpus/gbnf, schema and grammar: notation of every kind, right and wrong."""
import json
import pathlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
JSON = r'''root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
'''
GRAMMARS = {
    "json": (JSON, '{"a": [1, {"b\\n": "é😀"}, null, -1.5e3]}'),
    "nest": ('root ::= "(" root ")" | ""', "((()))"),
    "expression": ('root ::= term ([-+*] term)*\nterm ::= "(" root ")" | [0-9]+', "1+2*(3-4)"),
    "ambiguous": ('root ::= s s\ns ::= "a" t?\nt ::= s s?', "aaaaaaaa"),
    "binary": ('root ::= e "$"?\ne ::= "a" e "b" e | ""', "aabbab$"),
    "loops": ('root ::= ((("a"?)* "b"*)* | "c"{0,3}){2,4}', "abccab"),
    "escapes": ('root ::= "\\x41\\u00e9\\U0001F600\\n\\t\\r\\\\\\"" [\\]\\[\\-^] . # end\n', 'Aé😀\n\t\r\\"]x'),
    "classes": ("root ::= [^a-z\\n]* [é-€]+ [\\U0001F600-\\U0001F64F]?", "A9é€😀"),
    "tokens": ('root ::= <think> !<[5]>* <[300]> | "b" !<think>', "b"),
    "lines": ('root ::= (\n "a"\n | # or\n "b" ) |\n "c"\n\n# rule\nx-1 ::= "d"\n', "a"),
    "left": ('root ::= a\na ::= b? a "x" | "y"\nb ::= "z"', ""), "endless": ('root ::= "a" root', ""),
    "missing": ("root ::= a", ""), "large": ("root ::= ([a-z]{1,50}){1,40}", "abc"),
    "many": ('root ::= "a"{1,1000000}', "a"),
    "twice": ('root ::= "a"\nroot ::= "b"', ""), "open": ('root ::= ("a" | "b', ""), "empty": ("root ::= []", ""),
}
SCHEMAS = {
    "object": {"type": "object", "properties": {"a": {"type": "integer", "minimum": -5, "maximum": 120}, "é": {}},
               "required": ["a", "more"], "additionalProperties": {"type": ["string", "null"]}, "title": "t"},
    "array": {"prefixItems": [{"const": {"k": [1, 2.5, "x\n"]}}, {"enum": ["a", None, True]}],
              "items": {"type": "number"}, "minItems": 1, "maxItems": 4, "type": "array"},
    "string": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 3}, {"type": "string", "format": "date-time"},
                         {"type": "string", "format": "uuid"}, {"type": "string", "format": "ipv4"}]},
    "pattern": {"type": "string", "pattern": "^([a-z]{2,3}|\\d+\\.[^\\w\\]x-z]?)(?:\\u00e9|.)*$|b+?$"},
    "number": {"type": "number", "exclusiveMinimum": -1.25, "maximum": 1e3},
    "recursive": {"$ref": "#/$defs/n~0~1", "$defs": {"n~/": {"type": "object", "properties": {
        "v": {"$ref": "#/$defs/n~0~1"}, "w": {"type": "array", "items": {"$ref": "#"}}},
        "additionalProperties": False}}},
    "all": {"allOf": [{"properties": {"a": {"minimum": 2}}, "type": "object"},
                      {"properties": {"a": {"type": "integer"}, "b": False}, "required": ["a"]}],
            "oneOf": [{"additionalProperties": False, "properties": {"a": {}}}, True]},
    "itself": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "nowhere": {"$ref": "#/x"}, "not": {"not": {}},
    "never": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "false": False, "true": True,
    "steps": {"type": "number", "multipleOf": 0.05, "minimum": -3, "maximum": 1e4},
    "counts": {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1, "maxProperties": 3,
               "patternProperties": {"^x": {"type": "null"}}},
    "items": {"anyOf": [{"type": "array", "items": {"enum": [1, 2, "a"]}, "uniqueItems": True},
                        {"type": "array", "contains": {"const": 1}, "minContains": 2, "maxItems": 5}]},
    "opposite": {"type": ["object", "string"], "not": {"enum": ["a", "ab", 1]}, "if": {"required": ["a"]},
                 "then": {"properties": {"b": {"not": {"type": "null"}}}}, "else": {"not": {"minProperties": 2}},
                 "dependentRequired": {"c": ["d"]}},
    "long": {"type": "string", "maxLength": 3000}, "unknown": {"x": 1}, "unsupported": {"uniqueItems": True},
}
for folder in ("gbnf", "grammar", "schema"):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
for name, (grammar, text) in GRAMMARS.items():
    (CORPUS / "gbnf" / name).write_bytes(grammar.encode())
    (CORPUS / "grammar" / name).write_bytes(grammar.encode() + b"\0" + text.encode())
for name, schema in SCHEMAS.items():
    (CORPUS / "schema" / name).write_bytes(json.dumps(schema).encode())
