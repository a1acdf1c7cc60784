"""Files that attack whoever opens them, made here byte by byte, each named after what is known about it.

Nothing of this is ever loaded: the bytes are written to a file and `tola scan` reads them. Sources: the tests and
advisories of picklescan (GHSA-...), fickling (test/test_bypasses.py) and ModelScan, huggingface/safetensors' attacks/,
the CVEs of the loaders. attacks() yields (name, file name, bytes, the least verdict it must get)."""

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib

U, D = "unknown", "dangerous"


# ---- pickles ----


def text(s):
    data = s.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else b"X" + struct.pack("<I", len(data)) + data


def stack_global(module, name):
    return text(module) + b"\x94" + text(name) + b"\x94\x93\x94"


def call(module, name, *args, proto=4):
    """The plainest attack: import, arguments, REDUCE."""
    body = stack_global(module, name) + b"(" + b"".join(args) + b"t\x94R\x94."
    return b"\x80" + bytes([proto]) + b"\x95" + struct.pack("<Q", len(body)) + body


def global_(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


EVAL = call("builtins", "eval", text("print('456')"))
SYSTEM = call("posix", "system", text("echo pwned"))
SYSTEM0 = b"cposix\nsystem\n(S'echo pwned'\ntR."

# (module, name) of the advisories: imports that blocklists forgot, each called with one text
GADGETS = {
    "GHSA-3gf5-cxq9-w223": "idlelib.pyshell ModifiedInterpreter.runcode",
    "GHSA-3vg9-h568-4w9m": "idlelib.debugobj ObjectTreeItem.SetText",
    "GHSA-4675-36f9-wf6r": "ctypes CDLL",
    "GHSA-46h3-79wf-xr6c": "_operator attrgetter",
    "GHSA-49gj-c84q-6qm9": "cProfile run",
    "GHSA-4r9r-ch6f-vxmx": "torch.utils.bottleneck.__main__ run_cprofile",
    "GHSA-4whj-rm5r-c2v8": "torch.utils.bottleneck.__main__ run_autograd_prof",
    "GHSA-5qwp-399c-mjwf": "trace Trace.run",
    "GHSA-6vqj-c2q5-j97w": "profile Profile.runctx",
    "GHSA-6w4w-5w54-rjvr": "idlelib.autocomplete AutoComplete.get_entity",
    "GHSA-7cq8-mj8x-j263": "idlelib.autocomplete AutoComplete.fetch_completions",
    "GHSA-7wx9-6375-f5wh": "profile run",
    "GHSA-84r2-jw7c-4r5q": "pydoc locate",
    "GHSA-86cj-95qr-2p4f": "torch._dynamo.guards GuardBuilder.get",
    "GHSA-8r4j-24qv-fmq9": "idlelib.calltip Calltip.fetch_tip",
    "GHSA-955r-x9j8-7rhh": "_operator methodcaller",
    "GHSA-9m3x-qqw2-h32h": "imaplib IMAP4_stream",
    "GHSA-9w88-8rmg-7g2p": "cProfile runctx",
    "GHSA-9xph-j2h6-g47v": "idlelib.calltip get_entity",
    "GHSA-cj3c-v495-4xqh": "code InteractiveInterpreter.runcode",
    "GHSA-f4x7-rfwp-v3xw": "torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression",
    "GHSA-f54q-57x4-jg88": "lib2to3.pgen2.grammar Grammar.loads",
    "GHSA-f745-w6jp-hpxx": "torch.utils.collect_env run",
    "GHSA-fqq6-7vqf-w3fg": "doctest debug_script",
    "GHSA-g344-hcph-8vgg": "trace Trace.runctx",
    "GHSA-g38g-8gr9-h9xp-aix": "_aix_support _read_cmd_output",
    "GHSA-g38g-8gr9-h9xp-osx": "_osx_support _read_output",
    "GHSA-g38g-8gr9-h9xp-pager": "_pyrepl.pager pipe_pager",
    "GHSA-g38g-8gr9-h9xp-test": "test.support.script_helper assert_python_ok",
    "GHSA-g38g-8gr9-h9xp-uuid": "uuid _get_command_stdout",
    "GHSA-h3qp-7fh3-f8h4": "torch.utils.data.datapipes.utils.decoder basichandlers",
    "GHSA-j343-8v2j-ff7w": "idlelib.pyshell ModifiedInterpreter.runcommand",
    "GHSA-jgw4-cr84-mqxg": "asyncio.unix_events _UnixSubprocessTransport._start",
    "GHSA-jhph-76pp-mggw": "torch.utils.collect_env run_and_read_all",
    "GHSA-m273-6v24-x4m4": "distutils.file_util write_file",
    "GHSA-m869-42cg-3xwr": "idlelib.run Executive.runcode",
    "GHSA-p9w7-82w4-7q8m": "lib2to3.pgen2.pgen ParserGenerator.make_label",
    "GHSA-q77w-mwjj-7mqx": "asyncio.unix_events _UnixSubprocessTransport._start",
    "GHSA-r8g5-cgf2-4m4m": "numpy.f2py.crackfortran getlincoef",
    "GHSA-vqmv-47xg-9wpr": "pty spawn",
    "GHSA-vr7h-p6mm-wpmh": "torch.jit.unsupported_tensor_ops execWrapper",
    "GHSA-vv6j-3g6g-2pvj": "torch.utils._config_module ConfigModule.load_config",
    "GHSA-vvpj-8cmc-gx39": "pkgutil resolve_name",
    "GHSA-x696-vm39-cp64": "profile Profile.run",
    "GHSA-xp4f-hrf8-rxw7": "ensurepip _run_pip",
    "GHSA-r7v6-mfhq-g3m2": "pty spawn",
    "GHSA-565g-hwwr-4pp3": "marshal loads",
    "GHSA-wfq2-52f7-7qvj": "runpy run_path",
    "GHSA-p523-jq9w-64x9": "cProfile run",
    "GHSA-5hvc-6wx8-mvv4": "ctypes CDLL",
    "GHSA-q5qq-mvfm-j35x-importlib": "importlib import_module",
    "GHSA-q5qq-mvfm-j35x-code": "code InteractiveInterpreter",
    "GHSA-q5qq-mvfm-j35x-multiprocessing": "multiprocessing.util spawnv_passfds",
    "GHSA-h4rm-mm56-xf63": "builtins __import__",
    "GHSA-mxhj-88fx-4pcv": "smtplib SMTP",
    "GHSA-5hwf-rc88-82xm": "_osx_support _find_build_tool",
    "GHSA-5j3x-jp52-966f": "pathlib os.system",
    "GHSA-6ggj-6f2q-f7mx-interpreters": "_interpreters create",
    "GHSA-6ggj-6f2q-f7mx-subinterpreters": "_xxsubinterpreters create",
    "picklescan-http": "httplib HTTPSConnection",
    "picklescan-requests": "requests.api get",
    "picklescan-aiohttp": "aiohttp.client ClientSession",
    "picklescan-socket": "socket create_connection",
    "picklescan-subprocess": "subprocess run",
    "picklescan-sys-exit": "sys exit",
    "picklescan-exec": "__builtin__ exec",
    "picklescan-runpy": "runpy _run_code",
    "picklescan-bdb": "bdb Bdb.run",
    "picklescan-pip": "pip main",
    "picklescan-inductor": "torch._inductor.codecache compile_file",
    "picklescan-pipepager": "pydoc pipepager",
    "picklescan-partial": "functools partial",
    "picklescan-venv": "venv create",
    "picklescan-timeit": "timeit timeit",
    "picklescan-numpy-runstring": "numpy.testing._private.utils runstring",
    "picklescan-fileio": "_io FileIO",
    "picklescan-filehandler": "logging FileHandler",
    "picklescan-codetype": "types CodeType",
    "picklescan-urlopen": "urllib.request urlopen",
    "picklescan-cloudpickle": "cloudpickle.cloudpickle _make_function",
    "picklescan-ssl": "ssl get_server_certificate",
    "picklescan-pickle-loads": "_pickle loads",
    "posixsubprocess": "_posixsubprocess fork_exec",
    "codecs-open": "codecs open",
    "shutil-rmtree": "shutil rmtree",
    "torch-load": "torch.serialization load",
    "torch-hub": "torch.hub load",
    "numpy-load": "numpy load",
    "eval-dunder-call": "builtins eval.__call__",
    "joblib-load": "joblib load",
    "dill-loads": "dill loads",
    "webbrowser": "webbrowser open",
    "zipimport": "zipimport zipimporter",
}

HIDDEN = b"cos\nsystem\nVecho pwned\n\x85R"


def pickles():
    for name, target in GADGETS.items():
        yield name, "model.pkl", call(*target.split(" "), text("x")), D
    yield "protocol-0", "model.pkl", SYSTEM0, D
    yield "protocol-2", "model.pkl", b"\x80\x02cposix\nsystem\nq\0X\x02\0\0\0idq\1\x85q\2Rq\3.", D
    for proto in range(6):
        yield f"stack-global-under-protocol-{proto}", "model.pkl", call("posix", "system", text("id"), proto=proto), D
    yield "inst", "model.pkl", b"(S'id'\niposix\nsystem\n.", D
    yield "obj", "model.pkl", b"(cpty\nspawn\nS'id'\no.", D
    yield "obj-then-pop", "model.pkl", b"\x80\x04(" + text("smtplib") + text("SMTP") + b"\x93" + text(
        "h"
    ) + b"o0N.", D
    yield "newobj", "model.pkl", b"\x80\x02csubprocess\nPopen\nX\2\0\0\0id\x85\x81.", D
    yield "newobj-ex", "model.pkl", b"\x80\x04csubprocess\nPopen\nX\2\0\0\0id\x85}\x92.", D
    yield "import-only", "model.pkl", b"\x80\x04cos\nsystem\n0N.", D
    yield "sour-pickles", "model.pkl", (
        b"c__builtin__\nglobals\n(tRp100\n0c__builtin__\ncompile\n(S'x=1;'\nS''\nS'exec'\ntRp101\n0"
        b"c__builtin__\neval\n(g101\ng100\ntR."
    ), D
    yield "ctf-memo-shuffle", "model.pkl", (
        b"Vos\np2\n0Vsystem\np3\n0Vtorch\np0\n0VLongStorage\np1\n0g2\ng3\n\x93(Vcat f\ntR."
    ), D
    yield "ctf-with-bytes-behind", "model.pkl", (b"Vos\np2\n0Vsystem\np3\n0g2\ng3\n\x93(Vcat f\ntR.\n\n\t\t"), D
    data = b"\x80\x04Vcollections\np0\n0Vos\np0\n0VOrderedDict\np1\n0Vsystem\np1\n0g0\ng1\n\x93Vid\n\x85R."
    yield "memo-desync", "model.pkl", data, D
    yield "memo-number-with-underscore", "model.bin", b"Vos\np1_0\n0Vsystem\np11\n0g10\ng+11\n\x93Vid\n\x85R.", D
    yield "memo-far-away", "model.pkl", b"\x80\x04" + text("os") + b"r\xff\xff\xff\x7f0j\xff\xff\xff\x7f" + text(
        "system"
    ) + b"\x93" + text("x") + b"\x85R.", D
    yield "escaped-name", "model.pkl", b"S'\\x6fs'\nS'\\163ystem'\n\x93S'ls'\n\x85R.", D
    yield "unicode-escaped-name", "model.pkl", b"V\\u006fs\nV\\U00000073ystem\n\x93S'ls'\n\x85R.", D
    yield "memo-keyerror", "model.pkl", b"\x80\x04" + HIDDEN + b"0\x8c\x02os\x94h\x03h\x00\x93KB.", D
    yield "type-confusion", "model.pkl", b"\x80\x04" + HIDDEN + b"0J*\0\0\0\x94\x8c\x02os\x94h\0h\1\x93KB.", D
    yield "exception-after-payload", "model.pkl", b"\x80\x04" + HIDDEN + b"\xff", D
    yield "no-stop", "model.pkl", b"\x80\x04" + HIDDEN, D
    yield "truncated-string-after-payload", "model.pkl", b"cbuiltins\nexec\n(X>\nf = 1tRX.", D
    yield "stack-underflow-after-payload", "model.pkl", b"\x80\x04" + HIDDEN + b"000000.", D
    yield "two-pickles", "model.pkl", b"]." + SYSTEM, D
    yield "third-pickle", "model.pkl", b"\x80\x04].\x80\x04}." + SYSTEM, D
    yield "pickle-in-pickle", "model.pkl", call("pickle", "loads", b"C" + bytes([len(SYSTEM)]) + SYSTEM), D
    yield "marshal-and-functiontype", "model.pkl", (
        b"\x80\x04" + global_("types", "FunctionType") + global_("marshal", "loads") + b"C\x02N.\x85R}\x86R)R."
    ), D
    yield "getattr-of-import", "model.pkl", (
        b"\x80\x04"
        + global_("builtins", "getattr")
        + global_("builtins", "__import__")
        + text("os")
        + b"\x85R"
        + text("system")
        + b"\x86R"
        + text("id")
        + b"\x85R."
    ), D
    yield "computed-name", "model.pkl", b"\x80\x04" + global_("builtins", "bytes") + b")R" + text(
        "system"
    ) + b"\x93.", D
    yield "frame-straddled", "model.pkl", (
        b"\x80\x05NV"
        + b"a" * (8192 * 16 - 17)
        + b"\n0(\x95"
        + struct.pack("<Q", 2)
        + b"B\x07\x01\0\0\0\0"
        + (HIDDEN + b"(").ljust(261, b"N")
        + b"1."
    ), U
    for kind, body in {
        "binbytes": b"B" + struct.pack("<I", 20) + b"A" * 20,
        "binunicode": b"\x8c\x14" + b"A" * 20,
        "unicode": b"Vhello world\n",
        "binint": b"J\7\0\0\0",
    }.items():
        yield f"frame-straddled-{kind}", "model.pkl", b"\x80\x05\x95" + struct.pack("<Q", 3) + body + b".", U
    yield "frame-in-frame", "model.pkl", b"\x80\x05\x95" + struct.pack("<Q", 30) + b"N\x95" + struct.pack(
        "<Q", 2
    ) + b"N.", U
    yield "frame-beyond-the-end", "model.pkl", b"\x80\x05\x95" + struct.pack("<Q", 3000) + b"N.", U
    yield "unknown-module", "model.pkl", call("evil_package", "run", text("x")), U
    yield "module-override", "model.pkl", (
        b"\x80\x04" + global_("torch._utils", "_rebuild_tensor_v2") + b"}" + text("__class__") + text("x") + b"sb."
    ), U
    yield "extension-registry", "model.pkl", b"\x80\x02\x82\x01)R.", U
    yield "wrong-extension", "readme.txt", SYSTEM, D
    yield "no-header-wrong-extension", "readme.txt", SYSTEM0, D
    yield "torch-magic-by-eval", "model.pt", (
        b"\x80\x02c__builtin__\neval\nX\4\0\0\x00True\x85R.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02]." + SYSTEM
    ), D
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    yield "old-torch-object", "model.pt", magic + b"\x80\x02M\xe9\x03.\x80\x02}." + SYSTEM + b"\x80\x02].", D
    yield "old-torch-keys", "model.pt", magic + b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02}." + SYSTEM, D
    yield "old-torch-sys-info", "model.pt", magic + b"\x80\x02M\xe9\x03." + SYSTEM + b"\x80\x02}.\x80\x02].", D
    data = magic + b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02}.\x80\x02]." + b"x" * 40
    yield "old-torch-bytes-behind", "model.pt", data, U
    yield "cut-off", "model.pkl", b"\x80\x04\x95\x10", U
    yield "claims-to-be-a-pickle", "model.pkl", b"\x80\x04\x00\x01\x02", U
    yield "not-a-pickle", "model.pkl", b"cmod\n\xf8\n", U
    yield "invalid-bytes-then-code", "model.pkl", b"\x80\x04" + b"\x8c\x02\xff\xfe0" + HIDDEN + b".", D


# ---- containers ----


def zipped(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def torch_tensor(numel, size):
    """{"w": a tensor of `size` elements in a storage of `numel`}."""
    return (
        b"\x80\x02}X\1\0\0\0w"
        + global_("torch._utils", "_rebuild_tensor_v2")
        + b"((X\7\0\0\0storage"
        + global_("torch", "FloatStorage")
        + b"X\1\0\0\x000X\3\0\0\0cpuJ"
        + struct.pack("<i", numel)
        + b"tQK\0J"
        + struct.pack("<i", size)
        + b"\x85K\1\x85\x89"
        + global_("collections", "OrderedDict")
        + b")RtRs."
    )


def patched(data, *changes):
    data = bytearray(data)
    for at, value in changes:
        data[at : at + len(value)] = value
    return bytes(data)


def npy(data, descr="|O", shape="(1,)"):
    header = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)).encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def tarred(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def lz4_frame(data):
    """Stored blocks; the header's checksum is that of its two bytes under xxHash32."""
    head = b"\x60\x40"

    def xxh32(b):
        h = (374761393 + len(b)) & 0xFFFFFFFF
        for c in b:
            h = (h + c * 374761393) & 0xFFFFFFFF
            h = ((h << 11 | h >> 21) * 2654435761) & 0xFFFFFFFF
        h ^= h >> 15
        h = h * 2246822519 & 0xFFFFFFFF
        h ^= h >> 13
        h = h * 3266489917 & 0xFFFFFFFF
        return h ^ h >> 16

    return (
        b"\x04\x22\x4d\x18"
        + head
        + bytes([xxh32(head) >> 8 & 255])
        + struct.pack("<I", len(data) | 1 << 31)
        + data
        + b"\0" * 4
    )


def seven_zip(name, data):
    """One stored member (method copy)."""
    size = bytes([len(data)])
    pack = b"\x06\0\1\x09" + size + b"\0"
    folder = b"\x07\x0b\1\0\1\1\0\x0c" + size + b"\x0a\1" + struct.pack("<I", zlib.crc32(data)) + b"\0"
    names = b"\0" + name.encode("utf-16-le") + b"\0\0"
    header = b"\1\4" + pack + folder + b"\x08\0\0\5\1\x11" + bytes([len(names)]) + names + b"\0\0"
    start = struct.pack("<QQI", len(data), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + data + header


def containers():
    yield "7z", "model.pkl", seven_zip("data.pkl", SYSTEM), D
    yield "7z-in-zip", "model.zip", zipped([("a", seven_zip("data", SYSTEM))]), D
    yield "elf-in-zip", "model.zip", zipped([("libx.so.1", b"\x7fELF\2\1\1" + b"\0" * 64)]), U
    yield "script-in-torch-zip", "model.pt", zipped(
        [("archive/data.pkl", b"\x80\x02}."), ("archive/setup.py", b"import os\n")]
    ), U
    z = zipped([("data.pkl", EVAL)])
    local_flags, central = 6, z.index(b"PK\1\2")
    yield "zip", "model.zip", z, D
    yield "torch-view-beyond-storage-CVE-2026-24747", "model.pt", zipped(
        [
            ("archive/data.pkl", torch_tensor(numel=4, size=1000)),
            ("archive/version", b"3\n"),
            ("archive/data/0", b"\0" * 16),
        ]
    ), U
    yield "torch-storage-too-small", "model.pt", zipped(
        [
            ("archive/data.pkl", torch_tensor(numel=400, size=4)),
            ("archive/version", b"3\n"),
            ("archive/data/0", b"\0" * 16),
        ]
    ), U
    tensor = torch_tensor(numel=4, size=4)
    storage = ("archive/data/0", b"\0" * 16)
    for name, change in {
        "offset": (b"QK\0J", b"QK\1J"),
        "stride": (b"\x85K\1\x85\x89", b"\x85K\2\x85\x89"),
        "negative-stride": (b"\x85K\1\x85\x89", b"\x85J\xff\xff\xff\xff\x85\x89"),
        "negative-size": (b"J" + struct.pack("<i", 4) + b"\x85", b"J" + struct.pack("<i", -4) + b"\x85"),
        "more-dimensions": (b"\x85K\1\x85\x89", b"\x85K\1K\1\x86\x89"),
        "wider-type": (b"FloatStorage", b"DoubleStorage"),
        "another-key": (b"X\1\0\0\x000", b"X\1\0\0\x001"),
    }.items():
        data = tensor.replace(*change)
        assert data != tensor
        yield f"torch-storage-{name}", "model.pt", zipped([("archive/data.pkl", data), storage]), U
    yield "torch-storage-of-another-folder", "model.pt", zipped(
        [("archive/data.pkl", tensor), ("other/data.pkl", b"\x80\2}."), ("other/data/0", b"\0" * 16)]
    ), U
    yield "torch-storage-larger", "model.pt", zipped([("archive/data.pkl", tensor), ("archive/data/0", b"\0" * 20)]), U
    yield "torch-zip", "model.pt", zipped([("archive/data.pkl", SYSTEM), ("archive/version", b"3\n")]), D
    yield "zip-deflated", "model.zip", zipped([("data.pkl", EVAL)], zipfile.ZIP_DEFLATED), D
    yield "zip-bzip2", "model.zip", zipped([("data.pkl", EVAL)], zipfile.ZIP_BZIP2), D
    yield "zip-lzma", "model.zip", zipped([("data.pkl", EVAL)], zipfile.ZIP_LZMA), D
    packed = zipped([("data.pkl", EVAL)], zipfile.ZIP_LZMA)
    yield "zip-lzma-damaged", "model.zip", patched(packed, (packed.index(b"data.pkl") + 8, b"\xff" * 4)), U
    for bit in (0x1, 0x20, 0x40, 0x2000):
        flag = struct.pack("<H", bit)
        yield f"zip-flag-{bit:#x}-in-header", "model.zip", patched(z, (local_flags, flag)), D
        yield f"zip-flag-{bit:#x}-in-directory", "model.zip", patched(z, (central + 8, flag)), D
        yield f"zip-flag-{bit:#x}-in-both", "model.zip", patched(z, (local_flags, flag), (central + 8, flag)), D
    yield "zip-bad-crc", "model.zip", patched(z, (14, b"\0\0\0\0"), (central + 16, b"\0\0\0\0")), D
    yield "zip-bad-crc-in-header", "model.zip", patched(z, (14, b"\0\0\0\0")), D
    yield "zip-name-in-header-differs", "model.zip", patched(z, (30, b"datap.kl")), D
    yield "zip-method-differs", "model.zip", patched(z, (8, b"\x08\0")), D
    yield "zip-version-needed", "model.zip", patched(z, (4, b"\xff\xff"), (central + 6, b"\xff\xff")), D
    yield "zip-wrong-extension-inside", "model.zip", zipped([("data.txt", EVAL)]), D
    yield "zip-no-extension-inside", "model.zip", zipped([("config/readme", EVAL)]), D
    yield "zip-in-zip-in-zip", "model.zip", zipped([("a.zip", zipped([("b.dat", zipped([("c", EVAL)]))]))]), D
    yield "zip-hidden-member", "model.zip", z[:central] + zipped([("ok.txt", b"fine")]), U
    a, b = zipped([("a.txt", b"fine")]), zipped([("data.pkl", EVAL)])
    cut = b.index(b"PK\1\2")
    hidden = b[:cut] + a
    yield "zip-member-that-no-directory-lists", "model.zip", hidden, D
    yield "zip-bytes-before", "model.pt", b"\x80\x04N." + z, D
    yield "zip-bytes-behind", "model.zip", z + SYSTEM, U
    yield "zip-two-of-a-name", "model.zip", zipped([("data.pkl", b"\x80\x04N."), ("data.pkl", EVAL)]), D
    yield "zip-without-directory", "model.zip", z[:central], D
    yield "zip-path-traversal", "model.zip", zipped([("../../etc/x", b"text")]), D
    yield "zip-bomb-numpy-dos", "model.npz", zipped(
        [("a.npy", npy(b"\0" * (1 << 16), "<f8", "(1000000000000,)"))], zipfile.ZIP_DEFLATED
    ), U
    yield "zip-storage-is-a-pickle", "model.pt", zipped(
        [("archive/data.pkl", b"\x80\x02}."), ("archive/data/0", SYSTEM)]
    ), D
    yield "zip-password", "model.zip", patched(zipped([("a.pkl", bytes(range(40)))]), (6, b"\1\0")), U
    yield "tar", "model.tar", tarred([("a/data.bin", SYSTEM)]), D
    yield "tar-torch", "model.tar", tarred(
        [("sys_info", b"\x80\x02}."), ("pickle", SYSTEM), ("storages", b"\x80\x02K\0."), ("tensors", b"\x80\x02K\0.")]
    ), D
    yield "tar-torch-storages", "model.tar", tarred(
        [("pickle", b"\x80\x02}."), ("storages", b"\x80\x02K\1." + SYSTEM)]
    ), D
    yield "tar-link", "model.tar", (lambda t: t[:156] + b"2" + t[157:])(tarred([("a", b"")])), U
    yield "tar-traversal", "model.tar", tarred([("../../a", b"fine")]), D
    yield "tar-gz", "model.tgz", gzip.compress(tarred([("a/data.bin", SYSTEM)])), D
    yield "tar-two", "model.tar", tarred([("a", b"fine")]) + tarred([("b", SYSTEM)]), D
    yield "gzip", "model.pkl.gz", gzip.compress(SYSTEM), D
    yield "gzip-second-member", "model.gz", gzip.compress(b"fine") + gzip.compress(SYSTEM), U
    yield "gzip-bytes-behind", "model.gz", gzip.compress(b"fine text") + SYSTEM, D
    yield "zlib", "model.joblib", zlib.compress(SYSTEM), D
    yield "bz2", "model.pkl.bz2", bz2.compress(SYSTEM), D
    yield "xz", "model.pkl.xz", lzma.compress(SYSTEM), D
    yield "lzma", "model.pkl.lzma", lzma.compress(SYSTEM, lzma.FORMAT_ALONE), D
    yield "lz4", "model.pkl.lz4", lz4_frame(SYSTEM), D
    yield "gzip-in-gzip", "model.gz", gzip.compress(gzip.compress(gzip.compress(SYSTEM))), D
    deep = SYSTEM
    for _ in range(12):
        deep = gzip.compress(deep)
    yield "too-deep", "model.gz", deep, U
    yield "gzip-cut", "model.gz", gzip.compress(SYSTEM * 50)[:-20], U
    yield "npy-objects", "a.npy", npy(SYSTEM), D
    yield "npy-objects-wrong-name", "weights.bin", npy(SYSTEM), D
    yield "npz-objects", "a.npz", zipped([("arr_0.npy", npy(SYSTEM))]), D
    yield "npz-objects-deflated", "a.npz", zipped([("arr_0.npy", npy(SYSTEM))], zipfile.ZIP_DEFLATED), D
    yield "npy-damaged-header", "a.npy", b"\x93NUMPY\1\0\x20\0{'descr': __import__('os')}       \n" + SYSTEM, U
    wrapper = (
        b"\x80\x04"
        + global_("joblib.numpy_pickle", "NumpyArrayWrapper")
        + b")\x81}("
        + text("shape")
        + b"K\1\x85"
        + text("dtype")
        + global_("numpy", "dtype")
        + text("O8")
        + b"\x89\x88\x87R"
        + text("order")
        + text("C")
        + b"ub"
    )
    yield "joblib-objects", "model.joblib", wrapper + SYSTEM + b".", D
    wrapper = wrapper.replace(b"\x8c\x02O8", b"\x8c\x02f8")
    yield "joblib-code-behind-array", "model.joblib", wrapper + b"\0" * 8 + HIDDEN + b".", D
    yield "joblib-hidden-by-array", "model.joblib", wrapper + b"." * 8 + HIDDEN + b".", D

    def array(element, state, data, made=b")\x81"):
        """A wrapper around an array whose type has a state of its own."""
        return (
            b"\x80\x04"
            + global_("joblib.numpy_pickle", "NumpyArrayWrapper")
            + made
            + b"}("
            + text("shape")
            + b"K\1\x85"
            + text("dtype")
            + global_("numpy", "dtype")
            + text(element)
            + b"\x89\x88\x87R"
            + state
            + b"ub"
            + data
        )

    def state(order="|", subtype=b"N", names=b"N", fields=b"N", size=b"J\xff\xff\xff\xff", flags=b"K\0"):
        return b"(K\3" + text(order) + subtype + names + fields + size + b"J\xff\xff\xff\xff" + flags + b"tb"

    objects = global_("numpy", "dtype") + text("O8") + b"\x89\x88\x87R"
    fields = b"}" + text("a") + objects + b"K\0\x86s"
    eight = struct.pack("<I", 0x4141) * 2
    for name, element, s in (
        ("fields-of-objects", "V8", state(names=text("a") + b"\x85", fields=fields, size=b"K\x08", flags=b"K\x3f")),
        ("fields-that-deny-objects", "V8", state(names=text("a") + b"\x85", fields=fields, size=b"K\x08")),
        ("another-size", "V8", state(size=b"K\x04")),
        ("another-size-of-text", "S8", state(size=b"K\x20")),
        ("subtype", "V8", state(subtype=objects + b"K\1\x85\x86", size=b"K\x08")),
        ("objects-that-deny-it", "O8", state()),
        ("numbers-that-are-objects", "f8", state(flags=b"K\x3f")),
        ("computed-version", "f8", state().replace(b"K\3", b"N", 1)),
        ("list-of-fields", "O,i4", b""),
        ("short-state", "f8", b"K\3\x85b"),
    ):
        yield f"joblib-type-{name}", "model.joblib", array(element, s, eight + b"."), U
        yield f"joblib-type-{name}-pickle", "model.joblib", array(element, s, SYSTEM + b"."), U
        yield f"numpy-type-{name}", "model.pkl", (
            b"\x80\x04" + global_("numpy", "dtype") + text(element) + b"\x89\x88\x87R" + s + b"."
        ), U
    yield "numpy-type-of-a-list", "model.pkl", (
        b"\x80\x04" + global_("numpy", "dtype") + b"]" + text("a") + text("O") + b"\x86a\x85R."
    ), U
    swallow = b"B" + struct.pack("<I", len(SYSTEM) + 1) # the array, which seems to swallow what joblib reads
    made = global_("copyreg", "_reconstructor") + global_("joblib.numpy_pickle", "NumpyArrayWrapper")
    made += global_("builtins", "object") + b"N\x87R"
    data = array("V5", b"", swallow + SYSTEM + b"..").replace(global_("joblib.numpy_pickle", "NumpyArrayWrapper"), b"", 1)
    yield "joblib-wrapper-made-by-another-call", "model.joblib", data.replace(b")\x81", made, 1), U
    data = array("V40", b"", (b"." + SYSTEM0).ljust(40, b".") + b".")
    yield "joblib-array-that-is-code-for-pickle", "model.joblib", array("V40", b"", SYSTEM0.ljust(40, b".") + b"."), D
    data = array("f8", b"", eight + b".")
    body = data[2:]
    yield "joblib-array-inside-a-frame", "model.joblib", b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body, U
    yield "codecs-encode-another-way", "model.pkl", call("_codecs", "encode", text("x"), text("rot13")), U
    yield "joblib-cache-hijack", "model.joblib", call(
        "joblib.numpy_pickle_compat", "NDArrayWrapper", text("../x.npy")
    ), U


# ---- models of other kinds ----


def safetensors(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def gguf(tensors=0, values=0, body=b"", version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values) + body


def gtext(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def gguf_template(t):
    return gguf(0, 1, gtext("tokenizer.chat_template") + struct.pack("<I", 8) + gtext(t))


def pb(number, data):
    def varint(n):
        out = b""
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n])

    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(op):
    return pb(1, "n") + pb(2, op)


def tf_node(name, op, *inputs, value=None):
    """A node with inputs and, for constants, a text."""
    tensor = pb(1, 7) + pb(8, value) if value is not None else b""
    attribute = pb(5, pb(1, "value") + pb(2, pb(8, tensor))) if tensor else b""
    return pb(1, name) + pb(2, op) + b"".join(pb(3, x) for x in inputs) + attribute


def graph_of(*nodes, function=False):
    if function:
        graph = pb(2, pb(1, pb(1, pb(1, "f")) + b"".join(pb(3, n) for n in nodes)))
    else:
        graph = b"".join(pb(1, n) for n in nodes)
    return pb(1, 1) + pb(2, pb(1, pb(4, "serve")) + pb(2, graph))


def saved_model(*ops, library=()):
    graph = b"".join(pb(1, node(op)) for op in ops)
    if library:
        graph += pb(2, pb(1, b"".join(pb(3, node(op)) for op in library)))
    return pb(1, 1) + pb(2, pb(1, pb(4, "serve")) + pb(2, graph))


def onnx(nodes=b"", initializers=b""):
    return pb(1, 8) + pb(2, "test") + pb(7, nodes + pb(2, "g") + initializers) + pb(8, pb(1, "") + pb(2, 17))


def keras(config):
    return zipped([("metadata.json", b"{}"), ("config.json", json.dumps(config).encode())])


def h5(config, offsets=8, base=0):
    """A superblock of version 0, and behind it a document as an attribute holds it."""
    superblock = b"\0" * 5 + bytes([offsets, 8]) + b"\0\4\0\x10\0" + b"\0" * 4 + struct.pack("<Q", base)
    return b"\x89HDF\r\n\x1a\n" + superblock.ljust(88, b"\0") + b"model_config\0\0\0\0" + json.dumps(config).encode() + b"\0" * 300


LAMBDA = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {
                "class_name": "Lambda",
                "config": {"function": ["4wEAAAAAAAAAAQ==\n", None, None], "function_type": "lambda"},
            }
        ]
    },
}


def evasions():
    """What would slip through a scanner that is a little less exact."""
    pickled = base64.b64encode(SYSTEM).decode()
    serialized = '{"x": {":serialized:": "%s"}' % pickled
    yield "json-serialized-behind-duplicate-keys", "data", (
        '{"a": 1, "a": 2, "b": %s}' % (serialized + "}")
    ).encode(), U
    yield "json-serialized-behind-1e999", "data", ('{"a": 1e999, "b": %s}' % (serialized + "}")).encode(), U
    yield "json-serialized-with-surrogate", "data", ('{"a": "\\ud800", "b": %s}' % (serialized + "}")).encode(), U
    yield "json-serialized-deep", "data", ("[" * 300 + serialized + "}" + "]" * 300).encode(), U
    yield "json-lines-second", "a.jsonl", ('{"a": 1}\n' + serialized + "}\n").encode(), D
    yield "yaml-python-object", "config.yaml", b"a: !!python/object/apply:os.system ['id']\n", D
    yield "yaml-tag-in-percents", "config.yaml", b"a: !!%70ython/object/apply:os.system ['id']\n", U
    yield "yaml-tag-handle", "config.yaml", (b"%TAG ! tag:yaml.org,2002:\n--- !python/object/apply:os.system ['id']\n"), U
    yield "yaml-behind-64-mib", "config.yaml", (b"# a long comment\n" * (4 << 20)
                                                + b"a: !!python/object/apply:os.system ['id']\n"), D
    yield "template-by-name", "tokenizer_config.json", (
        b'{"chat_template": {"default": "{{ x.__class__.__mro__ }}"}}'), D
    yield "notebook", "train.ipynb", b'{"cells": [], "metadata": {}, "nbformat": 4}', U
    yield "text-that-is-named-weights", "model.pth", b"import os; os.system('id')\n", U
    yield "npy-objects-in-a-record", "a.npy", npy(SYSTEM).replace(b"'|O',", b"[('a', '|O')],"), U
    z = zipped([("data.pkl", EVAL)])
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 40
    yield "png-with-zip-behind", "a.png", png + z, D
    commented = z[:-2] + b"\5\0hello"
    yield "png-with-commented-zip-behind", "a.png", png + commented, D
    yield "png-with-zip-and-bytes-behind", "a.png", png + z + b"tail of a picture", D
    yield "safetensors-zip-and-bytes-behind", "m.safetensors", safetensors(
        {"a": {"dtype": "U8", "shape": [len(z) + 5], "data_offsets": [0, len(z) + 5]}}, z + b"12345"
    ), D
    yield "onnx-data-that-is-a-pickle", "model.onnx_data", SYSTEM, D
    yield "onnx-data-that-is-an-old-pickle", "model.onnx_data", SYSTEM0, D
    yield "zip-that-only-looks-like-torch", "a.zip", zipped([("x/data/0", gzip.compress(SYSTEM))]), D
    pax = tarred([("a", b"30 size=10\n" + b" " * 19), ("b", b"x" * 600)])
    yield "tar-pax-size", "a.tar", pax[:156] + b"x" + pax[157:], U


def skops(*nodes):
    content = [{"__class__": c, "__module__": m, "__loader__": l, "content": {}} for m, c, l in nodes]
    schema = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": content, "protocol": 2}
    return zipped([("schema.json", json.dumps(schema).encode())])


def msgpack(pairs):
    """A map of short names to what is given."""
    return bytes([0x80 | len(pairs)]) + b"".join(bytes([0xA0 | len(k)]) + k.encode() + v for k, v in pairs)


def flax(shape, data, dtype=b"float32"):
    inner = b"\x93" + bytes([0x90 | len(shape)]) + bytes(shape) + bytes([0xA0 | len(dtype)]) + dtype
    inner += b"\xc4" + bytes([len(data)]) + data
    return b"\xc7" + bytes([len(inner)]) + b"\1" + inner


def link_in_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo("weights")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        z.writestr(info, "/etc/passwd")
    return out.getvalue()


def long_name_in_tar(name, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as t:
        info = tarfile.TarInfo(name)
        info.size = 4
        t.addfile(info, io.BytesIO(b"fine"))
    return out.getvalue()


def behind():
    """Bytes that belong to nothing, and members that are no files."""
    for name, data in {
        "bz2": bz2.compress(b"fine"),
        "lzma": lzma.compress(b"fine", lzma.FORMAT_ALONE),
        "lz4": lz4_frame(b"fine"),
        "zlib": zlib.compress(b"fine text, fine text"),
        "xz": lzma.compress(b"fine"),
    }.items():
        yield f"{name}-bytes-behind", "a.bin", data + SYSTEM, U
        yield f"{name}-text-behind", "a.bin", data + b"some text", U
    yield "bz2-concatenated", "a.bz2", bz2.compress(SYSTEM[:9]) + bz2.compress(SYSTEM[9:]), D
    yield "xz-concatenated", "a.xz", lzma.compress(SYSTEM[:9]) + lzma.compress(SYSTEM[9:]), D
    yield "gzip-concatenated", "a.gz", gzip.compress(SYSTEM[:9]) + gzip.compress(SYSTEM[9:]), D
    yield "zip-link", "a.zip", link_in_zip(), U
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        yield f"tar-long-name-{kind}", "a.tar", long_name_in_tar("x" * 120 + "/../../../" + "y" * 30, kind), D
        yield f"tar-absolute-long-name-{kind}", "a.tar", long_name_in_tar("/etc/" + "y" * 130, kind), D
    yield "yaml-hydra", "config.yaml", b"model:\n  _target_: os.system\n  command: id\n", U
    yield "notebook-of-another-name", "a.json", b'{"cells": [{"source": ["import os"]}], "nbformat": 4}', U
    yield "makefile", "Makefile", b"all:\n\trm -rf /\n", U
    yield "keras-registered-class", "m.keras", keras(
        {"module": "keras.layers", "class_name": "Dense", "registered_name": "evil>Dense", "config": {}}
    ), U
    yield "trust-remote-code-as-a-number", "config.json", b'{"trust_remote_code": 1}', U
    yield "torch-load-from-bytes", "a.pkl", call("torch.storage", "_load_from_bytes", text("x")), D
    yield "persistent-id", "a.pkl", b"\x80\x02X\2\0\0\0osQ.", U
    yield "persistent-id-of-a-line", "a.pkl", b"Pcos\n.", U
    yield "module-through-a-module", "a.pkl", b"\x80\x04" + stack_global("collections", "_sys") + b".", U
    yield "dtype-method", "a.pkl", b"\x80\x04" + stack_global("numpy", "dtype.__new__") + b".", U
    yield "protocol-in-the-middle", "a.pkl", b"\x80\x04N0\x80\x02" + HIDDEN + b".", D
    yield "zip-with-an-archive-in-its-comment", "a.zip", (
        lambda a, z: a[:-2] + struct.pack("<H", len(z)) + z
    )(zipped([("ok.txt", b"fine")]), zipped([("data.pkl", EVAL)])), D
    yield "zip-behind-a-zip", "a.zip", zipped([("ok.txt", b"fine")]) + zipped([("data.pkl", EVAL)]), D
    yield "npy-version-3", "a.npy", npy(SYSTEM).replace(b"NUMPY\1\0", b"NUMPY\3\0").replace(
        npy(SYSTEM)[8:10], npy(SYSTEM)[8:10] + b"\0\0", 1
    ), D


def others():
    yield "skops-os-system", "m.skops", skops(("os", "system", "FunctionNode")), D
    yield "skops-operator-node", "m.skops", skops(("operator", "methodcaller", "OperatorFuncNode")), D
    yield "skops-method-node", "m.skops", skops(("sklearn.linear_model", "Ridge", "MethodNode")), U
    yield "skops-unknown-module", "m.skops", skops(("evil", "Model", "ObjectNode")), U
    yield "skops-builtins-eval", "m.skops", skops(("builtins", "eval", "TypeNode")), D
    yield "skops-dotted-class", "m.skops", skops(("numpy", "testing.x", "ObjectNode")), U
    yield "skops-class-that-is-no-text", "m.skops", zipped([("schema.json", b'{"__loader__": "DictNode", "__class__": 1}')]), U
    yield "msgpack-extension", "m.msgpack", msgpack([("a", b"\xd4\x2a\0")]), U
    yield "msgpack-bytes-behind", "m.msgpack", msgpack([("a", b"\1")]) + b"\xc1\xc1", U
    yield "msgpack-cut", "flax_model.msgpack", msgpack([("a", flax([2], b"\0" * 8))])[:-3], U
    yield "msgpack-extension-longer-than-its-content", "m.msgpack", msgpack([("a", b"\xc7\3\1\1\2\3")]), U
    yield "msgpack-deep", "m.msgpack", msgpack([("a", b"\x91" * 200 + b"\1")]), U
    yield "msgpack-that-is-a-pickle", "m.msgpack", msgpack([("a", flax([40], SYSTEM))]) + SYSTEM0, U
    yield "tflite", "m.tflite", b"\x1c\0\0\0TFL3" + bytes(range(1, 90)), U
    yield "r-object", "m.rds", gzip.compress(b"X\n\0\0\0\3\0\4\2\0\0\3\5\0" + bytes(range(40))), U
    yield "r-objects", "m.RData", gzip.compress(b"RDX3\nX\n\0\0\0\3" + bytes(range(40))), U
    yield "java-object", "m.bin", b"\xac\xed\0\5sr\0\x10java.util.HashMap\xff", U
    yield "core-ml", "m.mlmodel", b"\x08\x01\x12\x04\xff\xfe\xfd\xfc" * 4, U
    yield "paddle-pickle", "m.pdparams", SYSTEM, D
    yield "paddle-program", "m.pdmodel", b"\x0a\xff\xff\x01\x80\xfe" * 3, U
    yield "tensorrt", "m.engine", b"ftrt\0\1\2\3" + bytes(range(128, 200)), U
    yield "pmml-entity", "m.pmml", b'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><PMML>&x;</PMML>', U
    yield "xml-stylesheet", "m.xml", b'<?xml-stylesheet href="x.xsl"?><a/>', U


def models():
    tensor = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    yield "safetensors-bytes-behind", "m.safetensors", safetensors(tensor, b"\0\0\0\0" + SYSTEM), D
    yield "safetensors-bytes-between", "m.safetensors", safetensors(
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
        },
        b"x" * 12,
    ), U
    yield "safetensors-duplicate-keys", "m.safetensors", safetensors(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b"\0" * 4,
    ), U
    yield "safetensors-zip-behind", "m.safetensors", safetensors(
        tensor, b"\0\0\0\0" + zipped([("data.pkl", EVAL)])
    ), D
    yield "safetensors-zip-in-tensor", "m.safetensors", (
        lambda z: safetensors({"a": {"dtype": "U8", "shape": [len(z)], "data_offsets": [0, len(z)]}}, z)
    )(zipped([("data.pkl", EVAL)])), D
    yield "safetensors-abuse-overlap", "m.safetensors", safetensors(
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
        b"\0" * 4,
    ), U
    yield "safetensors-abuse-huge-header", "m.safetensors", struct.pack("<Q", 2**40) + b"{}", U
    yield "safetensors-abuse-beyond-the-end", "m.safetensors", safetensors(
        {"a": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}}
    ), U
    yield "gguf-negative-count-CVE-2024-23496", "m.gguf", gguf(2**64 - 1, 0), U
    yield "gguf-huge-values-CVE-2024-21802", "m.gguf", gguf(0, 2**62), U
    yield "gguf-string-length-2^63", "m.gguf", gguf(0, 1, struct.pack("<Q", 2**63) + b"x"), U
    yield "gguf-dims-ffffffff", "m.gguf", gguf(1, 0, gtext("t") + struct.pack("<I", 0xFFFFFFFF)), U
    yield "gguf-beyond-the-end-CVE-2025-53630", "m.gguf", gguf(
        1, 0, gtext("t") + struct.pack("<IQIQ", 1, 2**40, 0, 0) + b"\0" * 64
    ), U
    yield "gguf-alignment-0", "m.gguf", gguf(0, 1, gtext("general.alignment") + struct.pack("<II", 4, 0)), U
    one = gtext("a") + struct.pack("<II", 4, 1)
    yield "gguf-duplicate-keys", "m.gguf", gguf(0, 2, one + one), U
    tensor_entry = gtext("t") + struct.pack("<IQIQ", 1, 8, 0, 0)
    yield "gguf-duplicate-tensors", "m.gguf", gguf(2, 0, tensor_entry + tensor_entry + b"\0" * 100), U
    yield "gguf-bytes-behind", "m.gguf", gguf() + SYSTEM, D
    yield "gguf-zip-behind", "m.gguf", gguf() + zipped([("data.pkl", EVAL)]), D
    ssti = "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}"
    yield "gguf-template-CVE-2024-34359", "m.gguf", gguf_template(ssti), D
    yield "tokenizer-config-template", "tokenizer_config.json", json.dumps({"chat_template": ssti}).encode(), D
    yield "tokenizer-config-templates", "tokenizer_config.json", json.dumps(
        {"chat_template": [{"name": "default", "template": ssti}]}
    ).encode(), D
    for name, t in {
        "subscript": "{{ ''['__class__'] }}",
        "attr": "{{ ''|attr('__class__') }}",
        "escaped": "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "hidden": "{{ messages._x }}",
        "builtins": "{{ lipsum.__globals__['os'] }}",
        "octal": "{{ ''['\\137\\137class\\137\\137'] }}",
        "two-texts": "{{ x['__' 'class__'] }}",
        "long-text": "{{ x['" + "__class__" + "x" * 600 + "'] }}",
        "generator-frame": "{{ (x|map('upper')).gi_frame.f_back.f_globals }}",
        "generator-frame-item": "{{ (x|map('upper'))['gi_frame'] }}",
        "function-globals": "{{ raise_exception.func_globals }}",
        "mro": "{{ x.mro }}",
        "map-attribute": "{{ x|map(attribute='a.__class__')|list }}",
        "map-filter-attr-hidden": "{{ x|map('attr', '__class__')|list }}",
        "selectattr": "{{ x|selectattr('__class__')|list }}",
        "sort-attribute": "{{ x|sort(attribute='a.__class__') }}",
        "groupby": "{{ x|groupby('__class__') }}",
        "joined": "{{ x|join(',', '__class__') }}",
        "join-keyword": "{{ x|join(attribute='__class__') }}",
        "comment-first": "{# {% raw %} #}{{ x.__class__ }}",
        "unreadable": "{% nonsense %}{{ x.__class__ }}",
        "in-a-test": "{% if x.__class__ is defined %}{% endif %}",
        "in-an-argument": "{% macro m(a=x.__class__) %}{% endmacro %}",
        "in-a-slice": "{{ x[:y.__class__] }}",
        "in-a-print": "{% print x.__class__ %}",
        "in-a-loop-filter": "{% for a in x if a.__class__ %}{% endfor %}",
    }.items():
        yield f"template-{name}", "chat_template.jinja", t.encode(), D
    for name, t in {
        "include": "{% include '/etc/passwd' %}",
        "import": "{% import 'x' as y %}",
        "attr-variable": "{{ x|attr(y) }}",
        "extends": "{%- extends 'x' -%}",
        "comment-in-raw": "{% raw %}{#{% endraw %}{{ x.__class__ }}{# #}",
        "comment-in-text": "{{ '{#' }}{{ x.__class__ }}{{ '#}' }}",
        "tilde": "{{ x['__cla' ~ 'ss__'] }}",
        "plus": "{{ x['_' + '_class' + '_' + '_'] }}",
        "times": "{{ x['_' * 2 ~ 'class'] }}",
        "percent": "{{ x['%s%sclass' % ('_', '_')] }}",
        "set": "{% set a = '_' ~ '_class__' %}{{ x[a] }}",
        "set-twice": "{% set a = '_' ~ '_class__' %}{% set b = a %}{{ x[b] }}",
        "set-later": "{% for i in range(2) %}{{ x[a] }}{% set a = '_' ~ '_class__' %}{% endfor %}",
        "set-block": "{% set a %}_{% if true %}_class__{% endif %}{% endset %}{{ x[a] }}",
        "namespace": "{% set n = namespace(a='') %}{% set n.a = '_' ~ '_class__' %}{{ x[n.a] }}",
        "namespace-call": "{% set n = namespace(a='_' ~ '_class__') %}{{ x[n.a] }}",
        "with": "{% with a = '_' ~ '_class__' %}{{ x[a] }}{% endwith %}",
        "for": "{% for a in ['_' ~ '_class__'] %}{{ x[a] }}{% endfor %}",
        "for-two": "{% for a, b in [(1, '_' ~ '_class__')] %}{{ x[b] }}{% endfor %}",
        "macro": "{% macro m(a) %}{{ x[a] }}{% endmacro %}{{ m('_' ~ '_class__') }}",
        "macro-default": "{% macro m(a='_' ~ '_class__') %}{{ x[a] }}{% endmacro %}{{ m() }}",
        "macro-handed-on": "{% macro m(a) %}{{ x[a] }}{% endmacro %}{{ [m]|map('call')|list }}{% set f = m %}",
        "macro-varargs": "{% macro m() %}{{ x[varargs[0]] }}{% endmacro %}{{ m('_' ~ '_class__') }}",
        "macro-result": "{% macro m() %}__class__{% endmacro %}{{ x[m()] }}",
        "caller": "{% macro m() %}{{ caller('_' ~ '_class__') }}{% endmacro %}{% call(a) m() %}{{ x[a] }}{% endcall %}",
        "join": "{{ x[['_', '_class__']|join] }}",
        "replace": "{{ x['xxclass__'|replace('x', '_')] }}",
        "method-replace": "{{ x['xxclass__'.replace('x', '_')] }}",
        "method-join": "{{ x[''.join(['_', '_class__'])] }}",
        "split": "{{ x['a+_+_class__'.split('+')[1]] }}",
        "format": "{{ x['%s%sclass__'|format('_', '_')] }}",
        "method-format": "{{ x['{}_class__'.format('_')] }}",
        "format-attribute": "{{ '{0.x}'.format(messages) }}",
        "format-map": "{{ '{a}'.format_map(messages) }}",
        "lower": "{{ x['_X'|lower] }}",
        "reverse": "{{ x['__ssalc'|reverse] }}",
        "slice": "{{ x['x_class'[1:]] }}",
        "default": "{{ x[y|default('_' ~ '_class__')] }}",
        "conditional": "{{ x[1 if y else '_' ~ '_class__'] }}",
        "or": "{{ x[none or '_' ~ '_class__'] }}",
        "dict-value": "{% set d = {'a': '_' ~ '_class__'} %}{{ x[d.a] }}",
        "special-token": "{{ x[bos_token] }}",
        "special-token-under-a-branch": "{% if false %}{% set i = 1 %}{% endif %}{{ x[i] }}",
        "special-token-in-its-own-loop": "{% for i in x[i] %}{% endfor %}{% if y %}{% set i = 1 %}{% endif %}{{ i }}",
        "special-token-in-its-own-with": "{% with i = i %}{{ x[i] }}{% endwith %}",
        "special-token-behind-a-loop": "{% for i in [1] %}{% endfor %}{{ x[i] }}",
        "namespace-item": "{% set n = namespace() %}{% set n.a = '_' ~ '_x' %}{{ x[n['a']] }}",
        "namespace-map": "{% set n = namespace() %}{% set n.a = '_' ~ '_x' %}{{ x[[n]|map(attribute='a')|first] }}",
        "pieces": "{{ x['a_b'.split('a')[1]] }}",
        "list-and-text": "{% set a = [] + ['_' ~ '_x'] %}{{ x[a[0]] }}",
        "from-json": "{% if true %}{{ x['\"\\\\u005fx\"'|from_json] }}{% endif %}",
        "map-attribute-computed": "{{ x|map(attribute='_' ~ '_class__')|list }}",
        "map-filter-attr": "{{ x|map('attr', 'y')|list }}",
        "map-filter-computed": "{{ x|map('at' ~ 'tr', 'y')|list }}",
        "sort-attribute-computed": "{{ x|sort(attribute=y) }}",
        "sort-attribute-place": "{{ x|sort(false, false, y) }}",
        "sum-attribute": "{{ x|sum(y) }}",
        "groupby-computed": "{{ x|groupby(y) }}",
        "selectattr-computed": "{{ x|selectattr(y)|list }}",
        "join-attribute": "{{ x|join(',', y) }}",
        "star-arguments": "{{ x|map(**y)|list }}",
        "unknown-method": "{{ x.system('id') }}",
        "unknown-function": "{{ system('id') }}",
        "unknown-filter": "{% if true %}{{ 'id'|system }}{% endif %}",
        "call-of-an-item": "{{ x['a']('id') }}",
        "call-of-a-call": "{{ x.get('a')('id') }}",
        "set-function": "{% set range = x.a %}{{ range('id') }}",
        "config": "{{ config.SECRET }}",
        "trans": "{% trans %}x{% endtrans %}",
        "do": "{% do x.append(1) %}",
        "block": "{% block a %}{{ self.a() }}{% endblock %}",
        "never-closed": "{{ x.y",
        "not-utf-8": "{{ x }}\x00\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "lipsum": "{{ lipsum.x }}",
    }.items():
        yield f"template-{name}", "chat_template.jinja", t.encode(), U
    yield "config-auto-map", "config.json", b'{"auto_map": {"AutoModel": "modeling_x.X"}}', U
    yield "config-auto-map-elsewhere", "config.json", b'{"auto_map": {"AutoModel": "evil/repo--modeling_x.X"}}', U
    yield "config-duplicate-keys", "config.json", b'{"a": 1, "a": 2}', U
    yield "config-custom-pipelines", "config.json", b'{"custom_pipelines": {"x": {"impl": "p.P"}}}', U
    yield "config-hydra-target", "config.json", b'{"_target_": "os.system"}', U
    data = b'{"auto_mapping": {"base_model_class": "X", "parent_library": "evil"}}'
    yield "peft-auto-mapping", "adapter_config.json", data, U
    data = b'[{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]'
    yield "sentence-transformers-module", "modules.json", data, U
    data = b'{"_class_name": "X", "_diffusers_version": "0.1", "unet": ["evil", "UNet"]}'
    yield "diffusers-part", "model_index.json", data, U
    yield "jsonpickle", "a.json", b'{"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["id"]}]}', D
    yield "json-serialized-object", "data", json.dumps(
        {"x": {":type:": "f", ":serialized:": base64.b64encode(SYSTEM).decode()}}
    ).encode(), D
    yield "json-base64-pickle", "a.json", json.dumps({"state": base64.b64encode(SYSTEM).decode()}).encode(), D
    yield "keras-lambda", "m.keras", keras(LAMBDA), D
    yield "keras-lambda-h5", "m.h5", h5(LAMBDA), D
    yield "keras-lambda-h5-spaced", "m.h5", h5(LAMBDA).replace(b'{"class_name"', b'{ \n "class_name"'), D
    yield "keras-lambda-h5-cut", "m.h5", h5(LAMBDA)[:-330], U
    yield "keras-lambda-json", "model.json", json.dumps(LAMBDA).encode(), D
    link = b"\x01\x08\x40\x01x" + struct.pack("<H", 19) + b"\0" + b"../etc/passwd\0" + b"/yy\0"
    yield "hdf5-external-link", "m.h5", h5({}) + link + b"\0" * 40, D
    data = h5({})
    heap = struct.pack("<I", 1) + struct.pack("<HHQ", 4, 1, len(data) + 16)
    yield "hdf5-external-data", "m.h5", data + heap + b"HEAP" + b"\0" * 40, D
    data = h5({}, offsets=4)
    heap = struct.pack("<I", 1) + struct.pack("<HHI", 4, 1, len(data) + 12) + b"HEAP" + b"\xff" * 40
    yield "hdf5-external-data-4-byte-offsets", "m.h5", data + heap, D
    data = h5({}, offsets=2)
    heap = struct.pack("<I", 1) + struct.pack("<HHH", 4, 1, len(data) + 10) + b"HEAP" + b"\xff" * 40
    yield "hdf5-external-data-2-byte-offsets", "m.h5", data + heap, D
    data = b"user block ".ljust(512, b"-") + h5({}, base=512)
    heap = struct.pack("<I", 1) + struct.pack("<HHQ", 4, 1, len(data) - 512 + 16)
    yield "hdf5-external-data-behind-a-user-block", "m.h5", data + heap + b"HEAP" + b"\0" * 40, D
    yield "hdf5-offsets-of-3-bytes", "m.h5", h5({}, offsets=3), U
    yield "hdf5-another-base", "m.h5", h5({}, base=4096), U
    data = h5({})
    heap = b"\x04\x03" + struct.pack("<Q", len(data) + 10) + b"GCOL" + b"\0" * 40
    yield "hdf5-virtual-data", "m.h5", data + heap, D
    yield "hdf5-packed-heap", "m.h5", h5({}) + b"FRHP\0\x08\0\x0a\0" + b"\0" * 40, U
    link = b"\x01\x08\x40\x01x" + struct.pack("<H", 9) + b"\0" + b"\1\2/e\0" + b"/y\0"
    yield "hdf5-external-link-odd-name", "m.h5", h5({}) + link + b"\0" * 40, D
    name = b"x" * 3000
    link = b"\x01\x09\x40" + struct.pack("<H", 3000) + name + struct.pack("<H", 8) + b"\0" + b"../e\0" + b"y\0"
    yield "hdf5-external-link-long-name", "m.h5", h5({}) + link + b"\0" * 40, D
    escaped = h5(LAMBDA).replace(b"class_name", b"class\\u005fname")
    yield "keras-lambda-h5-escaped", "m.h5", escaped, D
    yield "keras-lambda-h5-escaped-unreadable", "m.h5", escaped.replace(b"{", b'{"a": 1, "a": 2, ', 1), U
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".ljust(1 << 16, b"\xfe")
    yield "hdf5-behind-a-picture", "m.h5", png + h5(LAMBDA), D
    yield "hdf5-behind-a-small-picture", "m.h5", png[:1024] + h5(LAMBDA, base=1024), D
    yield "keras-import-CVE-2025-1550", "m.keras", keras(
        {
            "module": "keras",
            "class_name": "Functional",
            "config": {
                "layers": [
                    {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}
                ]
            },
        }
    ), D
    yield "keras-builtins-eval", "m.keras", keras(
        {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
    ), D
    yield "keras-unsafe-mode-CVE-2025-9906", "m.keras", keras(
        {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}}
    ), D
    yield "keras-get-file", "m.keras", keras({"module": "keras.utils", "class_name": "get_file", "config": {}}), D
    yield "keras-vocabulary-CVE-2025-12058", "m.keras", keras(
        {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}
    ), D
    yield "keras-torch-module-CVE-2026-1462", "m.keras", keras(
        {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "x"}}
    ), D
    yield "keras-tfsm-layer", "m.keras", keras(
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}}
    ), D
    yield "keras-custom-class", "m.keras", keras(
        {"module": None, "class_name": "MyLayer", "config": {}, "registered_name": "x>MyLayer"}
    ), U
    yield "keras-metadata-lambda", "keras_metadata.pb", pb(
        1, pb(2, 1) + pb(3, "root") + pb(4, "_tf_keras_layer") + pb(5, json.dumps(LAMBDA))
    ), D
    yield "tensorflow-read-file", "saved_model.pb", saved_model("Placeholder", "ReadFile"), D
    yield "tensorflow-write-file", "saved_model.pb", saved_model("Const", "WriteFile"), D
    yield "tensorflow-in-a-function", "saved_model.pb", saved_model(
        "Const", library=["Const", "WriteFile", "ReadFile"]
    ), D
    yield "tensorflow-pyfunc", "saved_model.pb", saved_model("PyFunc"), D
    yield "tensorflow-frozen-graph", "graph.pb", pb(1, node("Const")) + pb(1, node("WriteFile")), D
    yield "tensorflow-other-name", "model.bin", saved_model("ReadFile"), D
    for op in ("MyCustomOp", "RemoteCall", "RecordInput", "XlaCallModule", "ImmutableConst", "Abort", "PrintV2", "MapDataset",
               "InitializeTableFromTextFile", "FileSystemSetConfiguration", "Send", "Save", "RestoreSlice", "MatMul2"):
        yield f"tensorflow-operation-{op}", "saved_model.pb", saved_model("Const", op), U
        yield f"tensorflow-operation-{op}-in-a-function", "saved_model.pb", saved_model("Const", library=["Add", op]), U
    path = tf_node("p", "Const", value="/home/user/.bashrc")
    for op in ("SaveV2", "RestoreV2", "MergeV2Checkpoints"):
        yield f"tensorflow-path-{op}", "saved_model.pb", graph_of(path, tf_node("s", op, "p", "p")), D
        yield f"tensorflow-path-{op}-in-a-function", "saved_model.pb", graph_of(
            path, tf_node("s", op, "p:output:0", "p:output:0"), function=True
        ), D
    yield "tensorflow-path-through-others", "saved_model.pb", graph_of(
        path, tf_node("i", "Identity", "p"), tf_node("a", "Placeholder"), tf_node("j", "StringJoin", "a", "i:0"),
        tf_node("s", "SaveV2", "j")
    ), D
    yield "tensorflow-path-of-pieces", "saved_model.pb", graph_of(
        tf_node("p", "Const", value="part"), tf_node("j", "StringJoin", "p", "p"), tf_node("s", "SaveV2", "j")
    ), D
    yield "tensorflow-path-of-numbers", "saved_model.pb", graph_of(
        tf_node("a", "Placeholder"), tf_node("p", "UnicodeEncode", "a", "a"), tf_node("s", "SaveV2", "p")
    ), D
    packed = pb(1, "p") + pb(2, "Const") + pb(5, pb(1, "value") + pb(2, pb(8, pb(1, 7) + pb(4, b"\4/etc"))))
    yield "tensorflow-path-in-one-piece", "saved_model.pb", graph_of(
        packed, tf_node("a", "Placeholder"), tf_node("j", "StringJoin", "a", "p"), tf_node("s", "SaveV2", "j")
    ), D
    text = pb(2, pb(8, pb(1, 7) + pb(8, "/etc/x")))
    for name, attribute in {
        "value-first": text + pb(1, "value"),
        "type-last": pb(1, "value") + pb(2, pb(8, pb(4, b"\4/etc") + pb(1, 7))),
        "type-apart": pb(1, "value") + pb(2, pb(8, pb(4, b"\4/etc")) + pb(8, pb(1, 7))),
        "two-values": text + pb(1, "value") + pb(2, pb(8, pb(1, 7) + pb(8, "part"))),
    }.items(): # fields of a message may come in any order, and in pieces
        yield f"tensorflow-path-{name}", "saved_model.pb", graph_of(
            pb(1, "p") + pb(2, "Const") + pb(5, attribute), tf_node("a", "Placeholder"),
            tf_node("j", "StringJoin", "a", "p"), tf_node("s", "SaveV2", "j")
        ), D
    halves = pb(1, path), pb(1, tf_node("s", "SaveV2", "p"))
    yield "tensorflow-path-in-another-piece", "saved_model.pb", (
        pb(1, 1) + pb(2, pb(1, pb(4, "serve")) + pb(2, halves[0]) + pb(2, halves[1]))
    ), U
    yield "tensorflow-path-long", "saved_model.pb", graph_of(
        tf_node("p", "Const", value="/etc" + "x" * 70000), tf_node("a", "Placeholder"), tf_node("j", "StringJoin", "a", "p"),
        tf_node("s", "SaveV2", "j")
    ), D
    yield "tensorflow-path-in-a-circle", "saved_model.pb", graph_of(
        tf_node("j", "StringJoin", "j"), tf_node("s", "SaveV2", "j")
    ), D
    yield "tensorflow-damaged", "saved_model.pb", saved_model("ReadFile")[:-3], U
    external = pb(8, "w") + pb(2, 1) + pb(1, 4) + pb(14, 1)
    for name, path in {
        "parent": "../../../etc/passwd",
        "absolute": "/etc/passwd",
        "middle": "a/../../b",
        "windows": "..\\..\\x",
    }.items():
        yield f"onnx-external-{name}", "m.onnx", onnx(
            initializers=pb(5, external + pb(13, pb(1, "location") + pb(2, path)))
        ), D
    yield "onnx-external-in-attribute", "m.onnx", onnx(
        nodes=pb(
            1, pb(4, "Constant") + pb(5, pb(1, "value") + pb(5, external + pb(13, pb(1, "location") + pb(2, "../x"))))
        )
    ), D
    yield "onnx-custom-operator", "m.onnx", onnx(nodes=pb(1, pb(4, "Evil") + pb(7, "evil.domain"))), U
    yield "onnx-python-operator", "m.onnx", onnx(nodes=pb(1, pb(4, "PyOp") + pb(7, "com.microsoft"))), U
    yield "onnx-custom-in-subgraph", "m.onnx", onnx(
        nodes=pb(1, pb(4, "If") + pb(5, pb(1, "then") + pb(6, pb(1, pb(4, "E") + pb(7, "evil")))))
    ), U
    yield "torchscript", "m.pt", zipped(
        [
            ("m/data.pkl", b"\x80\x02}."),
            ("m/code/__torch__.py", b"def f(x): pass\n"),
            ("m/constants.pkl", b"\x80\x02)."),
        ]
    ), U
    yield "torchscript-with-code-for-python", "m.pt", zipped(
        [("m/data.pkl", SYSTEM), ("m/code/__torch__.py", b""), ("m/constants.pkl", b"\x80\x02).")]
    ), D
    yield "torchscript-that-reads-files", "m.pt", zipped(
        [
            ("m/data.pkl", b"\x80\x02}."),
            ("m/code/__torch__.py", b"def f(x):\n  _0 = torch.from_file('/etc/passwd')\n"),
            ("m/constants.pkl", b"\x80\x02)."),
        ]
    ), D
    yield "elf", "weights.bin", b"\x7fELF\2\1\1" + b"\0" * 64, U
    yield "windows-program", "weights.dat", b"MZ" + b"\0" * 80, U
    yield "script", "run", b"#!/bin/sh\nrm -rf /\n", U
    yield "python-source", "modeling_x.py", b"import os\n", U
    yield "png-that-is-a-pickle", "a.png", b"\x89PNG\r\n\x1a\n" + SYSTEM, U
    yield "text-that-is-a-pickle", "notes.md", b"cos\nsystem\n(Vid\ntR.", D
    yield "unknown-bytes", "weights.bin", bytes(range(1, 200)), U


# ---- what others thought of ----


def raw(*parts):
    return b"\x80\x04" + b"".join(parts) + b"."


def tar_member(kind, name="a", link=""):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        t.addfile(info)
    return out.getvalue()


def keras_layer(**layer):
    return keras({"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}})


def unicode_name_in_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo("ok.txt")
        other = b"../../evil.pkl"
        info.extra = struct.pack("<HHBI", 0x7075, 5 + len(other), 1, zlib.crc32(b"ok.txt")) + other
        z.writestr(info, b"fine")
    return out.getvalue()


def fresh():
    """A second round, by somebody who did not write the scanner."""
    g = stack_global
    for name, data, verdict in (
        (
            "reconstruct-subclass",
            raw(g("numpy._core.multiarray", "_reconstruct"), b"(", g("os", "PathLike"), b"K\0\x85C\1bt\x94R"),
            D,
        ),
        ("numpy-type-by-class", raw(g("numpy", "dtype"), b"(", g("posix", "system"), b"tR"), D),
        (
            "numpy-type-with-fields",
            raw(
                g("numpy", "dtype"),
                b"(",
                text("f8"),
                b"tR(K\x04",
                text("<"),
                b"(K\1tNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
            ),
            U,
        ),
        (
            "numpy-type-made-by-newobj",
            raw(
                g("numpy", "dtype"),
                text("O8"),
                b"\x85\x81(K\x03",
                text("|"),
                b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
            ),
            U,
        ),
        (
            "reconstructor",
            raw(g("copyreg", "_reconstructor"), b"(", g("os", "_wrap_close"), g("builtins", "object"), b"NtR"),
            D,
        ),
        ("dispatch-table", raw(g("copyreg", "dispatch_table"), text("x"), text("y"), b"s"), D),
        (
            "extension-added-by-itself",
            raw(g("copyreg", "add_extension"), b"(", text("os"), text("system"), b"K\1tR0\x82\1)R"),
            D,
        ),
        (
            "attributes-of-a-class",
            raw(g("collections", "OrderedDict"), b"}", text("__setitem__"), g("collections", "Counter"), b"sb"),
            U,
        ),
        ("items-of-an-import", raw(g("torch", "FloatStorage"), text("x"), b"K\1s"), U),
        ("memo-beyond-64-bits", b"Vos\np99999999999999999999999\n0g99999999999999999999999\n.", U),
        ("length-that-wraps", raw(b"\x8d" + b"\xff" * 8 + b"x"), U),
        ("buffer-from-outside", b"\x80\x05\x97\x98.", U),
        ("persistent-id-that-is-an-import", raw(g("os", "system"), b"Q"), D),
        ("dill-code", call("dill._dill", "_create_code", text("x")), D),
        ("pandas-query", call("pandas", "DataFrame.query", text("x")), U),
        ("xgboost-handle", raw(g("xgboost.core", "Booster"), b")\x81}", text("handle"), b"C\3abcsb"), U),
        (
            "sklearn-function",
            raw(
                g("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
                b")\x81}",
                text("func"),
                g("os", "system"),
                b"sb",
            ),
            D,
        ),
        ("partial-made-by-newobj", raw(g("functools", "partial"), b"(", g("os", "system"), b"t\x81(N}}Ntb"), D),
        (
            "torch-type-by-function",
            raw(
                g("torch._tensor", "_rebuild_from_type_v2"),
                b"(",
                g("posix", "system"),
                g("torch", "Tensor"),
                text("id"),
                b"\x85}tR",
            ),
            D,
        ),
        (
            "default-factory",
            raw(g("collections", "defaultdict"), g("posix", "system"), b"\x85R", text("id"), b"K\1s"),
            D,
        ),
        ("full-width-letters", raw(g("\uff4f\uff53", "system"), text("id"), b"\x85R"), U),
        ("line-feed-in-a-name", raw(g("os\n", "system")), U),
        ("zeros-before", b"\0" * 16 + SYSTEM, U),
        ("million-zeros-then-code", b"\x80\x04N." + b"\0" * (1 << 20) + SYSTEM, U),
        ("million-marks", raw(b"(" * 2000000), U),
    ):
        yield "fresh-" + name, "a.pkl", data, verdict
    coded = lambda data: base64.b64encode(data).decode()
    for name, document, verdict in (
        ("base64-protocol-2-mark", {"a": coded(b"\x80\x02(X\2\0\0\0idcos\nsystem\n0.")}, D),
        ("base64-without-frame", {"a": coded(b"\x80\x04" + HIDDEN + b".")}, D),
        ("base64-in-a-list", {"a": [coded(SYSTEM)]}, D),
        ("base64-list", [coded(SYSTEM)], D),
        ("base64-address", {"a": "data:application/octet-stream;base64," + coded(SYSTEM)}, D),
        ("base64-behind-a-space", {"a": " \n" + coded(SYSTEM)}, D),
        ("attention-from-the-hub", {"attn_implementation": "evil/kernel@main:fn"}, U),
        ("attention-inside", {"_attn_implementation_internal": "evil/kernel"}, U),
        ("attention-of-a-part", {"attn_implementation": {"text_config": "evil/kernel"}}, U),
        ("custom-generate", {"custom_generate": "evil/repo"}, U),
        ("auto-map-nested", {"text_config": {"auto_map": {"AutoConfig": "p.X"}}}, U),
        ("megatron-core", {"peft_type": "LORA", "megatron_config": {"x": 1}, "megatron_core": "evil.core"}, U),
        ("router-types", {"types": {"q": "evil.Module"}, "structure": {"query": ["q"]}}, U),
        ("dense-activation", {"in_features": 3, "activation_function": "evil.module.fn"}, U),
        ("cross-encoder-activation", {"sentence_transformers": {"activation_fn": "evil.module.fn"}}, U),
        ("shard-outside", {"metadata": {}, "weight_map": {"a": "../../../etc/passwd"}}, U),
        ("shard-absolute", {"metadata": {}, "weight_map": {"a": "ok.safetensors", "b": "/etc/passwd"}}, U),
        ("template-in-a-map-of-maps", {"chat_template": {"a": {"template": "{{ ''.__class__ }}"}}}, D),
    ):
        yield "fresh-json-" + name, "config.json", json.dumps(document).encode(), verdict
    yield "fresh-json-auto-map-escaped", "config.json", b'{"auto\\u005fmap":{"A":"p.X"}}', U
    yield "fresh-json-auto-map-utf-16", "config.json", '{"auto_map":{"A":"p.X"}}'.encode("utf-16"), U
    yield "fresh-diffusers-without-version", "model_index.json", b'{"_class_name":"X","unet":["my_unet","U"]}', U
    yield "fresh-diffusers-pipeline-elsewhere", "a.json", b'{"_class_name":"EvilPipeline","unet":["my_unet","U"]}', U
    yield "fresh-mlflow-loader", "MLmodel", b"flavors:\n  python_function:\n    loader_module: evil\n", U
    yield "fresh-latent-diffusion-target", "v1.yaml", b"model:\n  target: os.system\n  params:\n    command: id\n", U
    for key in ("tokenizer.chat_template.tool_use", "tokenizer.chat_templates", "tokenizer.ggml.chat_template"):
        yield (
            "fresh-gguf-" + key,
            "m.gguf",
            gguf_template("{{ ''.__class__ }}").replace(gtext("tokenizer.chat_template"), gtext(key)),
            D,
        )
    listed = struct.pack("<IIQ", 9, 8, 1) + gtext("{{ ''.__class__ }}")
    yield "fresh-gguf-list-of-templates", "m.gguf", gguf(0, 1, gtext("tokenizer.chat_template") + listed), D
    for name, value in {"template": "{{ ''.__class__ }}", "pickle": coded(SYSTEM)}.items():
        yield (
            "fresh-safetensors-metadata-" + name,
            "m.safetensors",
            safetensors(
                {"__metadata__": {"chat_template": value}}
                if name == "template"
                else {"__metadata__": {"optimizer": value}}
            ),
            D,
        )
    z = zipped([("data.pkl", EVAL)])
    locator = b"PK\6\6" + struct.pack("<Q", 44) + b"\0" * 44 + b"PK\6\7" + b"\0" * 16
    bomb = zipped([("x", b"\0" * (1 << 26))], zipfile.ZIP_DEFLATED)
    nested = SYSTEM
    for _ in range(12):
        nested = zipped([("x", nested)])
    for name, file, data, verdict in (
        ("name-in-an-extra-field", "a.zip", unicode_name_in_zip(), U),
        ("backslashes", "a.zip", zipped([("../../x", b"fine")]).replace(b"../../x", b"..\\..\\x"), U),
        ("drive", "a.zip", zipped([("C:/x", b"fine")]), U),
        ("name-with-nul", "a.zip", zipped([("ok.txt0x.pkl", b"fine")]).replace(b"ok.txt0x.pkl", b"ok.txt\0x.pkl"), U),
        ("zip64-that-says-nothing", "a.zip", z.replace(b"PK\5\6", locator + b"PK\5\6"), U),
        (
            "second-root",
            "a.pt",
            zipped([("archive/data.pkl", b"\x80\2N."), ("b/data.pkl", SYSTEM), ("archive/version", b"3")]),
            D,
        ),
        (
            "mobile-constants",
            "a.ptl",
            zipped([("archive/data.pkl", b"\x80\2N."), ("archive/version", b"3"), ("archive/constants.pkl", SYSTEM)]),
            D,
        ),
        (
            "torch-package",
            "a.pt",
            zipped(
                [("a/.data/version", b"6"), ("a/model/model.pkl", b"\x80\2cos\nsystem\n."), ("a/m.py", b"import os")]
            ),
            D,
        ),
        (
            "pt2-shared-object",
            "m.pt2",
            zipped([("m/archive_format", b"pt2"), ("m/data/aotinductor/model/x.so", b"\x7fELF\2\1\1" + b"\0" * 60)]),
            U,
        ),
        ("pt2-constant", "m.pt2", zipped([("m/archive_format", b"pt2"), ("m/data/constants/custom_obj_0", SYSTEM)]), D),
        ("many-bombs", "a.zip", zipped([(f"x{i}", bomb) for i in range(80)]), U),
        ("twelve-deep", "a.zip", nested, U),
    ):
        yield "fresh-zip-" + name, file, data, verdict
    yield "fresh-executorch", "m.pte", b"\x1c\0\0\0ET12" + bytes(range(80)), U
    for name, kind in {
        "hard-link": tarfile.LNKTYPE,
        "link": tarfile.SYMTYPE,
        "pipe": tarfile.FIFOTYPE,
        "device": tarfile.CHRTYPE,
    }.items():
        yield "fresh-tar-" + name, "a.tar", tar_member(kind, link="/etc/passwd"), U
    yield "fresh-tar-sparse", "a.tar", (lambda t: t[:156] + b"S" + t[157:])(tarred([("a", SYSTEM)])), U
    yield (
        "fresh-zlib-with-a-dictionary",
        "a.z",
        (lambda c: c.compress(SYSTEM) + c.flush())(zlib.compressobj(zdict=b"system")),
        U,
    )
    for name, layer, verdict in (
        (
            "typespec",
            dict(module="builtins", class_name="__typespec__", spec_name="eval", config=["x"], registered_name=None),
            U,
        ),
        (
            "typespec-of-a-layer",
            dict(
                module="keras.layers", class_name="__typespec__", spec_name="Lambda", config=["x"], registered_name=None
            ),
            U,
        ),
        (
            "function-with-nul",
            dict(module="builtins", class_name="function", config="relu\0x", registered_name="function"),
            U,
        ),
        (
            "activation",
            dict(
                module="keras.layers",
                class_name="Dense",
                config={
                    "activation": {
                        "module": "subprocess",
                        "class_name": "function",
                        "config": "Popen",
                        "registered_name": "x",
                    }
                },
            ),
            D,
        ),
        (
            "dtype-policy",
            dict(
                module="keras.layers",
                class_name="Dense",
                config={"dtype": {"module": "evil", "class_name": "P", "config": {}}},
            ),
            D,
        ),
        (
            "standardize",
            dict(
                module="keras.layers",
                class_name="TextVectorization",
                config={"standardize": {"class_name": "function", "module": "os", "config": "system"}},
            ),
            D,
        ),
        (
            "vocabulary-object",
            dict(
                module="keras.layers",
                class_name="TextVectorization",
                config={"vocabulary": {"class_name": "__bytes__", "config": {"value": "/etc/passwd"}}},
            ),
            U,
        ),
    ):
        yield "fresh-keras-" + name, "m.keras", keras_layer(**layer), verdict
    yield (
        "fresh-keras-config-utf-16",
        "m.keras",
        zipped([("metadata.json", b"{}"), ("config.json", json.dumps(LAMBDA).encode("utf-16"))]),
        U,
    )
    yield (
        "fresh-tensorflow-in-text",
        "saved_model.pbtxt",
        b'meta_graphs { graph_def { node { name: "a" op: "WriteFile" } } }\n',
        U,
    )
    yield (
        "fresh-tensorflow-merge-checkpoints",
        "saved_model.pb",
        graph_of(tf_node("p", "Const", value="/tmp/x"), tf_node("m", "MergeV2Checkpoints", "p", "p")),
        D,
    )
    one = lambda op, domain: pb(1, pb(4, op) + pb(7, domain))
    model = lambda node, functions=b"": pb(1, 8) + pb(7, node + pb(2, "g")) + pb(8, pb(1, "") + pb(2, 17)) + functions
    yield (
        "fresh-onnx-domain-of-an-own-function",
        "m.onnx",
        model(one("Evil", "local"), pb(25, pb(1, "F") + pb(10, "local"))),
        U,
    )
    yield (
        "fresh-onnx-operator-in-a-function",
        "m.onnx",
        model(one("F", "local"), pb(25, pb(1, "F") + pb(10, "local") + pb(7, pb(4, "Evil") + pb(7, "evil")))),
        U,
    )
    yield "fresh-onnx-context-of-an-accelerator", "m.onnx", model(one("EPContext", "com.microsoft")), U
    entry = pb(13, pb(1, "location") + pb(2, b"a\0/../b"))
    yield (
        "fresh-onnx-external-with-nul",
        "m.onnx",
        onnx(initializers=pb(5, pb(1, 2) + pb(2, 1) + pb(8, "w") + entry + pb(14, 1))),
        U,
    )
    yield "fresh-onnx-in-text", "m.onnxtxt", b'ir_version: 8\ngraph { node { op_type: "Evil" domain: "evil" } }\n', U
    yield "fresh-joblib-of-old", "a.joblib", b"ZF0x" + b"10".ljust(18) + zlib.compress(SYSTEM), U


# ---- what has to stay safe ----


def harmless():
    import pickle

    for proto in range(6):
        yield f"plain-protocol-{proto}", "a.pkl", pickle.dumps(
            {"a": [1, 2.5, "x", b"y", None, True, {3}, (4, 5), 10**30, -1]}, proto
        )
    yield "several", "a.pkl", pickle.dumps([1]) + pickle.dumps({"b": 2})
    yield "long", "a.pkl", pickle.dumps(["x" * 100, list(range(10000)), b"y" * 200000])
    yield "npy", "a.npy", npy(b"\0" * 8, "<f8")
    for name, t in {
        "comment": "{# x.__class__ #}{{ messages[0].content }}",
        "raw": "{% raw %}{{ x.__class__ }}{% endraw %}",
        "index": "{% for m in messages %}{{ messages[loop.index0 - 1].role }}{{ messages[loop.index0 + 1] }}{% endfor %}",
        "key": "{% for k in tools[0] %}{{ tools[0][k] }}{% endfor %}",
        "names": "{% set names = {'user': 'U'} %}{% for m in messages %}{{ names[m['role']] }}{% endfor %}",
        "methods": "{{ messages[0].content.split('</think>')[-1].strip() ~ '{}'.format(1) }}",
        "macro": "{% macro m(a, i) %}{{ a[i] }}{% endmacro %}{{ m(messages, 1) }}",
        "set-in-a-branch": "{% if tools %}{% set i = namespace(v=0) %}{{ messages[i.v] }}{% endif %}",
        "last": "{% set ns = namespace(i=0) %}{% set ns.i = messages|length - 1 %}{{ messages[ns.i] }}",
        "filters": "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|join(', ')|trim }}",
    }.items():
        yield f"template-{name}", "chat_template.jinja", t.encode()
    yield "joblib", "a.joblib", (
        b"\x80\x04"
        + global_("joblib.numpy_pickle", "NumpyArrayWrapper")
        + b")\x81}("
        + text("shape")
        + b"K\2\x85"
        + text("dtype")
        + global_("numpy", "dtype")
        + text("f8")
        + b"\x89\x88\x87R(K\3"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        + text("numpy_array_alignment_bytes")
        + b"K\x10ub\x03...cos\nsystem\n......"
    )
    yield "safetensors", "m.safetensors", safetensors(
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4
    )
    try:
        import numpy

        kinds = [numpy.arange(3.0), numpy.array(["a", "bcd"]), numpy.array([b"ab"]), numpy.array([None, {"a": 1}])]
        kinds += [numpy.array(["2020-01-01"], "M8[D]"), numpy.array([True]), numpy.zeros(2, ">i2"), numpy.float32(1)]
        kinds += [numpy.zeros(2, "V5"), numpy.zeros(2, "c16")]
        for proto in range(6):
            yield f"numpy-protocol-{proto}", "a.pkl", pickle.dumps(kinds, proto)
    except ImportError:
        pass
    try:
        import joblib

        out = io.BytesIO()
        joblib.dump(kinds, out)
        yield "joblib-of-many", "a.joblib", out.getvalue()
        out = io.BytesIO()
        joblib.dump(numpy.array([{"k": 1}, "x"], dtype=object), out)
        yield "joblib-of-objects", "a.joblib", out.getvalue()
    except ImportError:
        pass
    yield "gguf", "m.gguf", gguf()
    yield "gguf-template", "m.gguf", gguf_template(
        "{% for m in messages %}{{ m['role'] ~ ': ' ~ m.content }}{% endfor %}"
    )
    yield "tensorflow", "saved_model.pb", saved_model("Const", "MatMul", "VarHandleOp", library=["Relu"])
    yield "tensorflow-savers", "saved_model.pb", graph_of(
        tf_node("saver_filename", "Placeholder"),
        tf_node("s3", "StaticRegexFullMatch", "saver_filename"),
        tf_node("a", "Const", value=".part"),
        tf_node("b", "Const", value="_temp/part"),
        tf_node("select", "Select", "s3", "a", "b"),
        tf_node("join", "StringJoin", "saver_filename", "select"),
        tf_node("shard", "ShardedFilename", "join"),
        tf_node("names", "Const", value="model/weights"),
        tf_node("save", "SaveV2", "shard", "names"),
        tf_node("merge", "MergeV2Checkpoints", "shard", "saver_filename", "^save"),
        tf_node("restore", "RestoreV2", "saver_filename", "names"),
    )
    yield "tensorflow-function-by-name", "saved_model.pb", graph_of(tf_node("x", "Const"), function=True) + pb(
        2, pb(2, pb(1, tf_node("y", "f", "x")) + pb(2, pb(1, pb(1, pb(1, "f")))))
    )
    yield "onnx", "m.onnx", onnx(
        nodes=pb(1, pb(4, "Relu")), initializers=pb(5, pb(8, "w") + pb(13, pb(1, "location") + pb(2, "m.data")))
    )
    yield "keras", "m.keras", keras(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {
                        "module": "keras.layers",
                        "class_name": "Dense",
                        "config": {"activation": "relu"},
                        "registered_name": None,
                    }
                ]
            },
        }
    )
    yield "h5", "m.h5", h5(
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {}}]}}
    )
    yield "onnx-data", "model.onnx_data", bytes(range(1, 200))
    yield "pmml", "m.pmml", b'<?xml version="1.0"?>\n<PMML version="4.4"><Header/></PMML>\n'
    yield "skops", "m.skops", skops(("sklearn.linear_model._ridge", "Ridge", "ObjectNode"), ("numpy", "ndarray", "NdArrayNode"))
    yield "zip-lzma", "a.zip", zipped([("a.txt", b"text " * 500)], zipfile.ZIP_LZMA)
    layer = msgpack([("kernel", flax([2, 2], b"\0" * 16)), ("bias", flax([2], b"\x80\x3f\0\xff" * 2))])
    yield "flax", "flax_model.msgpack", msgpack([("params", msgpack([("Dense_0", layer)])), ("step", b"\xcd\1\0"), ("x", b"\xc0")])
    yield "json-lines", "a.jsonl", b'{"a": 1}\n{"b": [2, "x"]}\n'
    yield "markdown-with-brackets", "readme.md", b"[link](x) and {braces}\n"
    yield "text", "readme.md", "# Ein Modell für alle\n".encode()
    yield "json", "config.json", b'{"architectures": ["LlamaForCausalLM"]}'
    yield "torch-zip", "m.pt", zipped(
        [("archive/data.pkl", torch_tensor(4, 4)), ("archive/version", b"3\n"), ("archive/data/0", b"\0" * 16)]
    )
    yield "zip", "a.zip", zipped([("a.txt", b"x"), ("b/", b"")])
    yield "gzip", "a.gz", gzip.compress(b"text")
    for name, data in {
        "bz2": bz2.compress(b"text"),
        "bz2-two": bz2.compress(b"text") + bz2.compress(b"more"),
        "xz": lzma.compress(b"text"),
        "lzma": lzma.compress(b"text", lzma.FORMAT_ALONE),
        "lz4": lz4_frame(b"text"),
    }.items():
        yield f"stream-{name}", "a.bin", data
    yield "empty", "a.bin", b""
    adam = {"module": "keras.src.backend.torch.optimizers.torch_adam", "class_name": "Adam", "config": {}}
    yield "keras-optimizer-of-torch", "m.keras", keras({"module": "keras", "class_name": "Functional", "config": {}, "compile_config": {"optimizer": adam}})
    function = pb(25, pb(1, "F") + pb(10, "local") + pb(7, pb(4, "Add")))
    yield "onnx-own-function", "m.onnx", onnx(nodes=pb(1, pb(4, "F") + pb(7, "local"))) + function
    for name, document in {
        "diffusers-blocks": {"_class_name": "AutoencoderKL", "_diffusers_version": "0.6", "down_block_types": ["A", "B"]},
        "lora": {"peft_type": "LORA", "megatron_core": "megatron.core", "auto_mapping": None},
        "activation": {"activation_function": "gelu_new", "attn_implementation": "flash_attention_2"},
        "dense": {"in_features": 3, "activation_function": "torch.nn.modules.activation.Tanh"},
        "shards": {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}},
        "prompts": {"messages": ["gAAAAABl0000000000000000", "base64,"]},
    }.items():
        yield "json-" + name, "config.json", json.dumps(document).encode()
    yield "triton", "config.pbtxt", b'name: "x"\nbackend: "onnxruntime"\n'


def attacks():
    for group in (pickles, containers, evasions, models, others, behind, fresh):
        yield from group()
