"""tola scan: every known attack is caught, every plain file is safe.

The attacks are made by scan_attacks.py, one named check each; nothing is ever loaded. $TOLA_SCAN_CORPORA names a folder
with checkouts of mmaitre314/picklescan, trailofbits/fickling and protectai/modelscan, whose files are scanned as they
are. The interpreter is compared with Python's pickletools on random pickles of every protocol: what it imports, in
which order, and whether it is called."""

import collections
import io
import json
import os
import pathlib
import pickle
import pickletools
import random
import subprocess

import common
import scan_attacks

tally = common.Tally("scan")
RANK = {"safe": 0, "unknown": 1, "dangerous": 2}
SANDBOX = os.environ.get("TOLA_SANDBOX", "auto")


def scan(path):
    """Path -> report of each file."""
    done = subprocess.run(
        [str(common.BUILD / "tola"), "scan", "--json", "--sandbox", SANDBOX, str(path)], capture_output=True
    )
    if done.returncode not in (0, 1):
        raise common.Refused(done.stderr.decode(errors="replace"))
    report = json.loads(done.stdout)
    worst = max((RANK[f["verdict"]] for f in report["files"]), default=0)
    tally.check(f"{path}: exit code and verdict", RANK[report["verdict"]] == worst and done.returncode == (worst > 0))
    return {f["path"]: f for f in report["files"]}


def told(report):
    return "; ".join(f"{x['verdict']} {x['what']}" for x in report["findings"][:3])


def check_made(kind, cases):
    with common.folder() as folder:
        paths = {}
        for name, file, data, *least in cases:
            place = pathlib.Path(folder) / name.replace("/", "_") / file
            place.parent.mkdir()
            place.write_bytes(data)
            paths[str(place)] = name, least[0] if least else None
        reports = scan(folder)
        for path, (name, least) in paths.items():
            got = reports[path]
            if any("cannot be looked into here: libarchive" in x["what"] for x in got["findings"]):
                tally.check(f"attack {name}", got["verdict"] != "safe")
                tally.skip("what attacks hide in bzip2, xz, lz4 or 7z: libarchive is not installed")
            elif least:
                tally.check(
                    f"attack {name}",
                    RANK[got["verdict"]] >= RANK[least] and got["findings"],
                    f"is {got['verdict']}, should be {least} at least ({told(got)})",
                )
            else:
                tally.check(f"harmless {name}", got["verdict"] == "safe" and not got["findings"], told(got))


# ---- public corpora ----

# of picklescan's own files, these are no attacks
HARMLESS = {
    "benign0_v0.pkl",
    "benign0_v3.pkl",
    "benign0_v4.pkl",
    "new_pytorch_model.bin",
    "pytorch_model.bin",
    "int_array.npy",
    "int_arrays.npz",
    "int_arrays_compressed.npz",
    "object_array.npy",
    "object_arrays.npz",
    "object_arrays_compressed.npz",
}


def check_corpora():
    root = os.environ.get("TOLA_SCAN_CORPORA")
    if not root or not pathlib.Path(root).is_dir():
        tally.skip("the public corpora: TOLA_SCAN_CORPORA names no folder")
        return
    for pattern in ("*picklescan/tests/data", "*picklescan/tests/data2", "*modelscan/tests/data"):
        for folder in sorted(pathlib.Path(root).glob(pattern)):
            for path, got in scan(folder).items():
                name = pathlib.Path(path).name
                good = (got["verdict"] == "safe") == (name in HARMLESS)
                tally.check(f"corpus {folder.parts[-3]}/{name}", good, f"is {got['verdict']} ({told(got)})")


def check_fickling():
    """Every import that fickling's lists name, called with nothing."""
    try:
        from fickling.analysis import UnsafeImportsML
    except ImportError:
        tally.skip("fickling's list of imports: fickling is not installed")
        return
    names = [(module, "dangerous") for module in UnsafeImportsML.UNSAFE_MODULES if module != "builtins"]
    names += [(m, f) for m, functions in UnsafeImportsML.UNSAFE_IMPORTS.items() for f in functions]
    with common.folder() as folder:
        for i, name in enumerate(names):
            (pathlib.Path(folder) / f"{i}.pkl").write_bytes(scan_attacks.call(*name))
        reports = scan(folder)
        for i, (module, name) in enumerate(names):
            got = reports[str(pathlib.Path(folder) / f"{i}.pkl")]
            tally.check(f"fickling {module}.{name}", got["verdict"] != "safe")


# ---- real files ----


def carries_code(path, got):
    """What files of the data that are not safe may be, by their own nature."""
    kinds = {x["kind"] for x in got["findings"]}
    return bool(kinds & {"torchscript", "serialized", "remote-code"})


def check_data():
    if not common.DATA.is_dir():
        tally.skip(f"real files: {common.DATA} is absent")
        return
    for path, got in scan(common.DATA).items():
        name = pathlib.Path(path).relative_to(common.DATA)
        if path.endswith("broken.pt"):
            continue
        code = path.endswith(".jit") or "torchscript" in path and path.endswith(".pt") or "CartPole" in path
        if name.suffix == ".json" and b'"auto_map"' in pathlib.Path(path).read_bytes():
            code = True
        if code:
            tally.check(f"data {name} carries code", got["verdict"] != "safe" and carries_code(path, got), told(got))
        else:
            tally.check(f"data {name}", got["verdict"] == "safe", f"is {got['verdict']} ({told(got)})")


# ---- the interpreter against Python's own ----


class Follower(pickle._Unpickler):
    """Lib/pickle.py's machine with nothing behind it: imports give markers, calls are noted and not made."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.seen = collections.OrderedDict()

    def find_class(self, module, name):
        self.seen.setdefault((module, name), False)

        def marker(*args, **kwargs):
            self.seen[module, name] = True
            return Thing()

        return type(Maker)("Maker", (Maker,), {"note": marker})()

    def persistent_load(self, pid):
        return Thing()


class Thing:
    def __call__(self, *args, **kwargs):
        return Thing()

    def __setitem__(self, key, value):
        pass

    def __setstate__(self, state):
        pass

    def append(self, x):
        pass

    def extend(self, x):
        pass

    def __hash__(self):
        return 1


class Maker(Thing):
    def __call__(self, *args, **kwargs):
        return self.note(*args, **kwargs)


def follow(data):
    """Imports by Python's own stack machine; None where it raises an error."""
    f = Follower(data)
    dispatch = dict(pickle._Unpickler.dispatch)

    def new_object(self):
        args, callee = self.stack.pop(), self.stack.pop()
        self.append(callee(*args))

    def new_object_ex(self):
        self.stack.pop()
        new_object(self)

    def instance(self):
        module = self.readline()[:-1].decode("ascii")
        name = self.readline()[:-1].decode("ascii")
        callee = self.find_class(module, name)
        self.append(callee(*self.pop_mark()))

    def object_(self):
        args = self.pop_mark()
        self.append(args[0](*args[1:]))

    dispatch.update(
        {
            pickle.NEWOBJ[0]: new_object,
            pickle.NEWOBJ_EX[0]: new_object_ex,
            pickle.INST[0]: instance,
            pickle.OBJ[0]: object_,
        }
    )
    f.dispatch = dispatch
    try:
        f.load()
    except Exception:  # whatever Python raises: it stops there
        return None, f.seen
    return True, f.seen


NAMES = [
    ("os", "system"),
    ("collections", "OrderedDict"),
    ("torch", "FloatStorage"),
    ("evil.mod", "f"),
    ("builtins", "getattr"),
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("a.b.c", "D.e"),
]


def random_value(r, depth):
    kind = r.randrange(14 if depth < 4 else 8)
    if kind < 8:
        return [
            None,
            True,
            r.randrange(-(2**40), 2**40),
            r.random(),
            "t" * r.randrange(300),
            b"b" * r.randrange(300),
            r.randrange(256),
            2 ** r.randrange(200),
        ][kind]
    if kind < 10:
        return [random_value(r, depth + 1) for _ in range(r.randrange(5))]
    if kind < 11:
        return tuple(random_value(r, depth + 1) for _ in range(r.randrange(5)))
    if kind < 12:
        return {str(i): random_value(r, depth + 1) for i in range(r.randrange(5))}
    return Reduced(
        r.choice(NAMES), tuple(random_value(r, depth + 1) for _ in range(r.randrange(3))), r.random() < 0.5
    )


class Reduced:
    """Pickled as a name and, perhaps, a call of it."""

    def __init__(self, name, args, called):
        self.name, self.args, self.called = name, args, called


class Pickler(pickle._Pickler):
    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Reduced):
            return super().save(obj, save_persistent_id)
        module, name = obj.name
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        if obj.called:
            self.save(obj.args)
            self.write(pickle.REDUCE)


def whole(r):
    out = io.BytesIO()
    Pickler(out, r.randrange(6)).dump(random_value(r, 0))
    return out.getvalue()


OPCODES = {o.name: o for o in pickletools.opcodes}


def opcode_soup(r):
    """Any opcodes in any order: most end in an error, and what came before it has to agree."""
    out = b"\x80" + bytes([r.randrange(2, 6)])
    pieces = [
        b"(",
        b"N",
        b"K\5",
        b"]",
        b"}",
        b")",
        b"\x8f",
        b"0",
        b"1",
        b"2",
        b"\x85",
        b"\x86",
        b"\x87",
        b"t",
        b"l",
        b"d",
        b"a",
        b"s",
        b"e",
        b"u",
        b"R",
        b"\x94",
        b"h\0",
        b"h\1",
        b"q\0",
        b"q\2",
        b"j\1\0\0\0",
        b"\x8c\2os",
        b"\x8c\6system",
        b"Vos\n",
        b"S'x'\n",
        b"I1\n",
        b"L5L\n",
        b"F1.5\n",
        b"\x93",
        b"cos\nsystem\n",
        b"ctorch\nSize\n",
        b"\x88",
        b"\x89",
        b"b",
        b"\x81",
        b"o",
        b"p3\n",
        b"g3\n",
        b"X\1\0\0\0a",
        b"C\1b",
        b"M\1\1",
        b"J\1\1\1\1",
        b"\x8a\1\5",
        b"G" + b"\0" * 8,
        b"U\1c",
        b"\x91",
        b"\x90",
    ]
    for _ in range(r.randrange(3, 30)):
        out += r.choice(pieces)
    return out + b"."


def check_interpreter(count=1500):
    r = random.Random(20261121)
    cases = {}
    with common.folder() as folder:
        for i in range(count):
            data = whole(r) if i % 2 else opcode_soup(r)
            place = pathlib.Path(folder) / f"{i}.pkl"
            place.write_bytes(data)
            cases[str(place)] = data
        reports = scan(folder)
    good = 0
    for path, data in cases.items():
        finished, seen = follow(data)
        got = reports[path]
        imports = {(x["module"], x["name"]): x["called"] for x in got["imports"]}
        parsed = not any(x["kind"] == "pickle" and "cannot be followed" in x["what"] for x in got["findings"])
        fine = True
        for name, called in seen.items():  # all that Python saw before it stopped
            fine = fine and name in imports and (imports[name] or not called)
        if finished:
            fine = fine and set(imports) == set(seen)
        elif got["verdict"] == "safe":
            fine = False  # Python raises an error: that is nothing to call safe
        good += fine
        if not fine:
            tally.check(
                f"random pickle {data[:200]!r}",
                False,
                f"Python: {'done' if finished else 'error'} {dict(seen)}, tola: {imports} {parsed} {told(got)}",
            )
    tally.check("random pickles", good == len(cases), f"{good} of {len(cases)}")


# ---- templates against jinja2 ----


def random_template(r):
    """Statements that put names together out of pieces and use them, or the conversation's, as keys."""
    names = ["a", "b", "c", "n.p", "n.q"]

    def text(depth):
        kind = r.randrange(20 if depth < 3 else 6)
        if kind < 3:
            return repr(r.choice(["_", "__", "class", "x", "_x", "__class__", "sss", "ssalc__", "a.b", "_{}", "%s_", "role"]))
        if kind < 5:
            return r.choice(names + ["messages", "m.role", "bos_token", "loop.index0", "m", "caller", "varargs[0]"])
        if kind < 6:
            return str(r.randrange(3))
        x, y = text(depth + 1), text(depth + 1)
        return r.choice(
            [
                f"({x} ~ {y})",
                f"({x} + {y})",
                f"({x} * {r.randrange(3)})",
                f"({x} - {y})",
                f"({x} % {y})",
                f"[{x}, {y}]",
                f"({x}, {y})|last",
                f"{{'a': {x}, 'b': {y}}}.{r.choice('ab')}",
                f"({x} if {y} else {text(depth + 1)})",
                f"({x} or {y})",
                f"({x} and {y})",
                f"({x})|{r.choice(['join', 'reverse', 'lower', 'upper', 'trim', 'first', 'last', 'list', 'sort', 'string', 'length', 'default(1)', 'tojson', 'unique', 'items', 'dictsort', 'capitalize'])}",
                f"({x})|replace({y}, {text(depth + 1)})",
                f"({x}).{r.choice(['split', 'replace', 'join', 'strip', 'format', 'get', 'upper', 'lstrip', 'partition'])}({y})",
                f"({x})[{r.choice(['0', '1:', '-1', ':2', '::-1', y])}]",
                f"({x}).{r.choice(['role', 'p', 'q', 'a', '_x', 'index'])}",
                f"k({x})",
                f"({x})|map(attribute={y})|list",
                f"({x})|map({y})|list",
                f"({x})|selectattr({y})|list",
                f"({x})|join({y}, {text(depth + 1)})",
                f"({x})|sort(attribute={y})",
                f"namespace(p={x}, q={y})",
            ]
        )

    def statements(depth):
        out = ""
        for _ in range(r.randrange(1, 4)):
            body = (lambda: statements(depth + 1)) if depth < 3 else (lambda: "{{ messages[0].role }}")
            name = r.choice("abc")
            out += r.choice(
                [
                    lambda: f"{{{{ messages[{text(0)}] }}}}",
                    lambda: f"{{{{ ({text(0)})[{text(1)}] }}}}",
                    lambda: f"{{% set {r.choice(names)} = {text(0)} %}}",
                    lambda: f"{{% set {name} %}}{text(0)}{{{{ {text(0)} }}}}{{% endset %}}",
                    lambda: f"{{% for {name} in {text(0)} %}}{body()}{{% endfor %}}",
                    lambda: f"{{% for m in messages %}}{body()}{{% endfor %}}",
                    lambda: f"{{% if {text(0)} %}}{body()}{{% else %}}{body()}{{% endif %}}",
                    lambda: f"{{% with {name} = {text(0)} %}}{body()}{{% endwith %}}",
                    lambda: f"{{% macro k({name}={text(0)}) %}}{body()}{{% endmacro %}}",
                    lambda: f"{{% call({name}) k({text(0)}) %}}{body()}{{% endcall %}}",
                    lambda: f"{{% raw %}}{{#{{% endraw %}}{{{{ {text(0)} }}}}{{# {body()} #}}",
                    lambda: f"{{% filter upper %}}{body()}{{% endfilter %}}",
                ]
            )()
        return out

    macro = r.choice(["", "{% macro k(a, b=1) %}{{ messages[a] }}{{ caller(a) if caller else a }}{% endmacro %}"])
    return "{% set n = namespace(p=1) %}" + macro + statements(0)


def check_templates(count=4000):
    """Templates that are safe never make jinja2, outside of its sandbox, look for a hidden attribute."""
    try:
        import jinja2
    except ImportError:
        tally.skip("templates against jinja2: jinja2 is not installed")
        return
    hidden = ("_", "gi_", "f_", "cr_", "tb_", "co_")
    seen = []

    class Watching(jinja2.Environment):
        def getattr(self, obj, attribute):
            seen.append(attribute)
            return self.undefined(name=attribute) if attribute.startswith(hidden) else super().getattr(obj, attribute)

        def getitem(self, obj, argument):
            if isinstance(argument, str):
                seen.append(argument)
                if argument.startswith(hidden):
                    return self.undefined(name=argument)
            return super().getitem(obj, argument)

    env = Watching(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined)
    r = random.Random(20261122)
    messages = [{"role": "user", "content": "class"}, {"role": "x", "content": "y"}]
    hidden_ones, safe_ones = 0, 0
    with common.folder() as folder:
        cases = {}
        for i in range(count):
            place = pathlib.Path(folder) / f"{i}.jinja"
            cases[str(place)] = random_template(r)
            place.write_text(cases[str(place)])
        for path, got in scan(folder).items():
            seen.clear()
            try:
                env.from_string(cases[path]).render(messages=messages, bos_token="__class__", m=messages[0])
            except Exception:  # whatever it raises: what it looked for before counts
                pass
            reached = [x for x in seen if str(x).startswith(hidden)]
            hidden_ones += bool(reached)
            safe_ones += got["verdict"] == "safe"
            if reached and got["verdict"] == "safe":
                tally.check(f"random template {cases[path]!r}", False, f"is safe and looks for {reached[:3]}")
    tally.check("random templates", hidden_ones > count // 20 and safe_ones > count // 20, f"{hidden_ones}, {safe_ones}")


check_made("attack", scan_attacks.attacks())
check_made("harmless", scan_attacks.harmless())
check_corpora()
check_fickling()
check_data()
check_interpreter()
check_templates()
tally.finish()
