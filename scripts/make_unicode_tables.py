#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c: what tokenizers need to know of Unicode.

    make_unicode_tables.py > src/text/unicode_tables.c

Ids must be those of the reference packages, which know different versions of Unicode: the expressions of tokenizers
(Oniguruma) and of tiktoken 16, lower case 17, normal forms 12, BERT's punctuation 8. So categories are those of
unicodedata2 (16.0.0, which agrees with Oniguruma's: checked here), and everything else is asked of tokenizers, one
character after the other. Needs tokenizers and unicodedata2==16.0.0."""

import struct
import sys

import tokenizers
import unicodedata2 as ud
from tokenizers import normalizers, pre_tokenizers

assert ud.unidata_version == "16.0.0", ud.unidata_version
CHARS = [c for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000]
CATEGORIES = ["Cn", "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No", "Pc", "Pd",
              "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"]
SCRIPTS = ["Arabic", "Armenian", "Bengali", "Bopomofo", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek",
           "Gujarati", "Gurmukhi", "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao", "Latin",
           "Malayalam", "Mongolian", "Myanmar", "Oriya", "Sinhala", "Tamil", "Telugu", "Thai", "Tibetan", "Common",
           "Inherited", "Alphabetic", "Alnum", "Punct", "Lower", "Upper"]


def matched(expression):
    """The characters that Oniguruma takes for it."""
    split = pre_tokenizers.Split(tokenizers.Regex(expression), "removed", True)
    found = set()
    for i in range(0, len(CHARS), 5000):
        part = CHARS[i:i + 5000]
        for text, _ in split.pre_tokenize_str("".join(chr(c) + "\0" for c in part)):
            found.update(map(ord, text))
    return found - {0}


def ranges(chars):
    out = []
    for c in sorted(chars):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def put(declaration, items, comment):
    print(f"\n/* {comment} */\n{declaration} = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 118:
            print(line)
            line = "   "
        line += f" {item},"
    print(line + "\n};")


def put_ranges(name, chars, comment):
    items = ranges(chars)
    put(f"const unicode_range {name}[]", [f"{{ {a:#x}, {b:#x} }}" for a, b in items], comment)
    print(f"const size_t {name}_count = {len(items)};")


for letter in "LMNPSZ":
    assert matched(rf"\p{{{letter}}}") == {c for c in CHARS if ud.category(chr(c))[0] == letter}, letter

print("""/* Written by scripts/make_unicode_tables.py; see there for what comes from where. Facts of the Unicode Character
 * Database (https://www.unicode.org/Public/16.0.0/ucd/). */
#include "text/unicode_tables.h"

/* clang-format off */""")

# ---- categories ----
steps, last = [], None
for c in range(0x110000):
    category = "Cs" if 0xd800 <= c < 0xe000 else ud.category(chr(c))
    if category != last:
        steps.append(f"{c << 8 | CATEGORIES.index(category):#x}")
        last = category
put("const uint32_t unicode_categories[]", steps, "First character << 8 | category, up to the next")
print(f"const size_t unicode_categories_count = {len(steps)};")
put("const char unicode_category_names[][3]", [f'"{name}"' for name in CATEGORIES], "Their names, by number")

# ---- scripts ----
everything, places = [], []
for script in SCRIPTS:
    found = ranges(matched(rf"\p{{{script}}}"))
    places.append(f'{{ "{script}", {len(everything)}, {len(found)} }}')
    everything += found
put("const unicode_range unicode_script_ranges[]", [f"{{ {a:#x}, {b:#x} }}" for a, b in everything], "Scripts, and what POSIX has")
put("const unicode_script unicode_scripts[]", places, "Name, place and count of ranges")
print(f"const size_t unicode_scripts_count = {len(places)};")

# ---- what single steps of tokenizers take a character for ----
bert = pre_tokenizers.BertPreTokenizer()
digits = pre_tokenizers.Digits(individual_digits=True)
clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
marks = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
accents = normalizers.StripAccents()


def gone(step):
    return {c for c in CHARS if step.normalize_str(f"a{chr(c)}a") == "aa"}


put_ranges("unicode_punctuation", {c for c in CHARS if len(bert.pre_tokenize_str(f"a{chr(c)}a")) == 3},
           "Punctuation of BERT's pre-tokenizer and of Punctuation")
put_ranges("unicode_numeric", {c for c in CHARS if len(digits.pre_tokenize_str(f"a{chr(c)}a")) == 3}, "Digits")
put_ranges("unicode_dropped", gone(clean), "What BERT's normalizer drops")
put_ranges("unicode_nonspacing", gone(marks), "Mn of BERT's normalizer")
put_ranges("unicode_marks", gone(accents), "M of StripAccents")

# ---- grapheme clusters, as far as those of fewer than 6 bytes go, which is what Precompiled shows of them ----
def charsmap(key):
    """A precompiled_charsmap (a double array) that replaces `key` by X."""
    units, node, offset = [0] * 8192, 0, 256
    units[0] = offset << 10
    for i, byte in enumerate(key.encode()):
        node ^= offset ^ byte
        offset *= 2
        units[node] = byte | offset << 10 | (i + 1 == len(key.encode())) << 8
    units[node ^ offset] = 1 << 31
    data = struct.pack("<8192I", *units)
    return normalizers.Precompiled(struct.pack("<I", len(data)) + data + b"X\0")


acute, step = "\u0301", charsmap("a")
extending = {c for c in CHARS if step.normalize_str("a" + chr(c)) == "X"}
prepending = {c for c in CHARS if c != ord("a") and step.normalize_str(chr(c) + "a" + acute) != chr(c) + "X"}
assert ord(acute) in extending and 0x600 in prepending
put_ranges("unicode_extending", extending, "Extend, SpacingMark and ZWJ of grapheme clusters")
put_ranges("unicode_prepending", prepending, "Prepend")
put_ranges("unicode_alone",
           {c for c in CHARS if ud.category(chr(c)) in ("Cc", "Cf", "Zl", "Zp") and c not in extending | prepending
            and (c > 0xffff or charsmap(chr(c)).normalize_str(chr(c) + acute) != "X")}, "Control, CR and LF")

# ---- lower case ----
lower = normalizers.Lowercase()
pairs = [(c, ord(low)) for c in CHARS if len(low := lower.normalize_str(chr(c))) == 1 and ord(low) != c]
assert [c for c in CHARS if len(lower.normalize_str(chr(c))) != 1] == [0x130]
runs = []
for c, low in pairs:
    if runs:
        first, end, delta, stride = runs[-1]
        if low - c == delta and c - end in (1, 2) and (stride == 0 or c - end == stride):
            runs[-1] = (first, c, delta, c - end)
            continue
    runs.append((c, c, low - c, 0))
put("const unicode_case_run unicode_lower[]", [f"{{ {a:#x}, {b:#x}, {d}, {s or 1} }}" for a, b, d, s in runs],
    "First, last, what is added, stride; U+0130 becomes two and is not here")
print(f"const size_t unicode_lower_count = {len(runs)};")

# ---- case folding, of single characters: beyond lower case ----
folds = []
for c in CHARS:
    folded, low = chr(c).casefold(), lower.normalize_str(chr(c))
    if len(folded) == 1 and len(low) == 1 and folded != low:
        folds.append(f"{{ {c:#x}, {ord(folded):#x} }}")
put("const unicode_range unicode_folds[]", folds, "Character, and what it is folded to, where that is not its lower case")
print(f"const size_t unicode_folds_count = {len(folds)};")

# ---- normal forms ----
nfc, nfd, nfkd = normalizers.NFC(), normalizers.NFD(), normalizers.NFKD()
pool, seen, rows, classes, joined = [], {}, [], {}, []


def place(text):
    if text not in seen:
        seen[text] = len(pool)
        pool.extend(map(ord, text))
    return seen[text]


for c in CHARS:
    if 0xac00 <= c < 0xd7a4:
        continue  # Hangul is arithmetic
    own = chr(c)
    canonical, compatible = nfd.normalize_str(own), nfkd.normalize_str(own)
    if compatible != own:
        rows.append(f"{{ {c:#x}, {place(canonical) if canonical != own else 0}, {place(compatible)}, "
                    f"{len(canonical) if canonical != own else 0}, {len(compatible)} }}")
    combining = ud.combining(own)
    if combining:
        # The crate may not know it: then it does not move.
        probe = "a\u0301" + own if combining < 230 else "a" + own + "\u0334"
        if nfd.normalize_str(probe) != probe:
            classes[c] = combining
    parts = ud.decomposition(own).split()
    if len(parts) == 2 and not parts[0].startswith("<"):
        first, second = (chr(int(p, 16)) for p in parts)
        if nfc.normalize_str(first + second) == own:
            joined.append((ord(first), ord(second), c))
put("const uint32_t unicode_pool[]", [f"{c:#x}" for c in pool], "Characters of decompositions")
put("const unicode_decomposition unicode_decompositions[]", rows,
    "Character, places of its canonical and compatible decomposition in the pool, their lengths (0: itself)")
print(f"const size_t unicode_decompositions_count = {len(rows)};")
items = []
for a, b in ranges(classes):
    for c in range(a, b + 1):
        if items and items[-1][1] == c - 1 and items[-1][2] == classes[c]:
            items[-1][1] = c
        else:
            items.append([c, c, classes[c]])
put("const unicode_class unicode_classes[]", [f"{{ {a:#x}, {b:#x}, {k} }}" for a, b, k in items],
    "First, last, canonical combining class")
print(f"const size_t unicode_classes_count = {len(items)};")
put("const unicode_pair unicode_pairs[]", [f"{{ {a:#x}, {b:#x}, {c:#x} }}" for a, b, c in sorted(joined)],
    "First and second, and what they compose to")
print(f"const size_t unicode_pairs_count = {len(joined)};")
print("/* clang-format on */")
