#!/usr/bin/env python3
"""Makes src/text/jinja/unicode_tables.h: make_jinja_unicode.py > src/text/jinja/unicode_tables.h

What str.isprintable, isalpha, isdigit, ..., upper, lower and title of the Python that runs it say of each code point,
as ranges. The committed table comes from Python 3.11 (Unicode 14.0.0)."""
import sys
import unicodedata

HEAD = """#ifndef TEXT_JINJA_UNICODE_TABLES_H
#define TEXT_JINJA_UNICODE_TABLES_H

#include <stdint.h>

typedef struct unicode_range {
    uint32_t first, last;
} unicode_range;
typedef struct unicode_map { /* every `step`-th from first to last becomes itself + difference */
    uint32_t first, last;
    int32_t step, difference;
} unicode_map;
typedef struct unicode_special {
    uint32_t from, to[3];
} unicode_special;

/* clang-format off */"""
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
PROPERTIES = {
    "printable": str.isprintable, "alpha": str.isalpha, "decimal": str.isdecimal, "digit": str.isdigit,
    "numeric": str.isnumeric, "lower": str.islower, "upper": str.isupper,
    "title": lambda c: unicodedata.category(c) == "Lt",
    # words of re: what \w matches beyond alpha and numeric is the underscore
    "start": lambda c: c.isidentifier(), "continue": lambda c: ("a" + c).isidentifier(),
    # Final_Sigma: what lies between letters without being one (Case_Ignorable), and what counts as a letter (Cased)
    "ignorable": lambda c: ("a" + c + "\u03a3").lower()[-1] == "\u03c2" and not CASED(c),
}


def CASED(c):
    return c.islower() or c.isupper() or unicodedata.category(c) == "Lt"


def ranges(test):
    out = []
    for c in POINTS:
        if test(chr(c)):
            if out and out[-1][1] == c - 1:
                out[-1][1] = c
            else:
                out.append([c, c])
    return out


def rows(items, each):
    line = "   "
    for item in items:
        text = each(item)
        if len(line) + len(text) + 2 > 118:
            print(line)
            line = "   "
        line += f" {text},"
    print(line)


def maps(convert):
    """(first, last, step, difference) of code points that become one other, and (from, text) of the rest."""
    single, many = [], []
    for c in POINTS:
        text = convert(chr(c))
        if text == chr(c):
            continue
        if len(text) > 1:
            many.append((c, text))
            continue
        d = ord(text) - c
        if single:
            first, last, step, difference = single[-1]
            if d == difference and (c - last == step or (first == last and c - last in (1, 2))):
                single[-1] = (first, c, c - last, d)
                continue
        single.append((c, c, 1, d))
    return single, many


def main():
    print(f"/* Made by scripts/make_jinja_unicode.py from Unicode {unicodedata.unidata_version} (Python "
          f"{sys.version_info[0]}.{sys.version_info[1]}). */")
    print(HEAD)
    for name, test in PROPERTIES.items():
        print(f"static const unicode_range unicode_{name}[] = {{")
        rows(ranges(test), lambda r: f"{{ {r[0]:#x}, {r[1]:#x} }}")
        print("};")
    for name, convert in (("upper", str.upper), ("lower", str.lower), ("title", str.title), ("fold", str.casefold)):
        single, many = maps(convert)
        print(f"static const unicode_map unicode_to_{name}[] = {{")
        rows(single, lambda r: f"{{ {r[0]:#x}, {r[1]:#x}, {r[2]}, {r[3]} }}")
        print("};")
        print(f"static const unicode_special unicode_to_{name}_many[] = {{")
        rows(many, lambda r: "{ %#x, { %s } }" % (r[0], ", ".join(f"{ord(c):#x}" for c in r[1].ljust(3, "\0"))))
        print("};")
    print("/* clang-format on */\n\n#endif")


if __name__ == "__main__":
    main()
