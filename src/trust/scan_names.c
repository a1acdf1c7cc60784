/* How a name that a pickle imports is judged.
 *
 * Safe is what formats/pickle_globals.c has, which is torch's list for weights_only=True and a few kinds of plain
 * values, and what joblib writes around arrays. Everything else is unknown. The table below only chooses the word
 * "dangerous" for what is known to run code, to reach files or the network, or to build things that do; nothing
 * depends on its being complete. Sources: the advisories of picklescan, fickling and ModelScan (GHSA-...), "The Art of
 * Hide and Seek" (arXiv 2508.19774), and the documentation of Python's standard library. */
#include <string.h>

#include "formats/pickle.h"
#include "trust/scan.h"

/* Modules with everything in them and below them. */
static const char *const dangerous_modules[] = {
    /* the system and its processes */
    "os",
    "posix",
    "nt",
    "posixpath",
    "ntpath",
    "subprocess",
    "_posixsubprocess",
    "sys",
    "commands",
    "popen2",
    "pty",
    "platform",
    "signal",
    "resource",
    "multiprocessing",
    "_multiprocessing",
    "concurrent",
    "threading",
    "_thread",
    "asyncio",
    "sched",
    "getpass",
    "_winapi",
    "winreg",
    "msvcrt",
    "_osx_support",
    "_aix_support",
    "uuid",
    "webbrowser",
    "antigravity",
    "pexpect",
    "ptyprocess",
    "psutil",
    "sh",
    "plumbum",
    "invoke",
    "fabric",
    "paramiko",
    /* code */
    "code",
    "codeop",
    "compileall",
    "py_compile",
    "runpy",
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_imp",
    "imp",
    "zipimport",
    "pkgutil",
    "site",
    "sitecustomize",
    "usercustomize",
    "types",
    "new",
    "inspect",
    "ast",
    "dis",
    "_interpreters",
    "_xxsubinterpreters",
    "pdb",
    "bdb",
    "cProfile",
    "profile",
    "_lsprof",
    "timeit",
    "trace",
    "doctest",
    "unittest",
    "test",
    "pydoc",
    "lib2to3",
    "idlelib",
    "_pyrepl",
    "rlcompleter",
    "cmd",
    "distutils",
    "setuptools",
    "pkg_resources",
    "pip",
    "ensurepip",
    "venv",
    "turtle",
    "tkinter",
    "_tkinter",
    "ctypes",
    "_ctypes",
    "cffi",
    "_cffi_backend",
    "gc",
    "_testcapi",
    "_testinternalcapi",
    "atexit",
    "linecache",
    "cgitb",
    "pyximport",
    "IPython",
    "nose",
    "pytest",
    "_pytest",

    /* gadgets: calls of calls */
    "functools",
    "_functools",
    "operator",
    "_operator",
    "itertools",
    /* other loaders of code */
    "pickle",
    "_pickle",
    "cPickle",
    "pickletools",
    "copyreg",
    "copy_reg",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "dbm",
    "yaml",
    "jsonpickle",
    "sqlite3",
    "_sqlite3",
    "torch.hub",
    "torch.jit",
    "torch.utils",
    "torch.ops",
    "torch._ops",
    "torch.classes",
    "torch.package",
    "torch.fx",
    "torch.multiprocessing",
    "torch.distributed",
    "torch.serialization",
    "torch._inductor",
    "torch._dynamo",
    "torch._jit_internal",
    "torch.testing",
    "torch.library",
    "torch._library",
    "numpy.testing",
    "numpy.f2py",
    "numpy.distutils",
    "numpy.lib",
    "numpy.ctypeslib",
    "tensorflow.io",
    "tensorflow.python",
    "keras.src.saving",
    "keras.saving",
    "keras.utils",
    "pandas.io",
    "mlflow",
    /* files */
    "io",
    "_io",
    "tempfile",
    "shutil",
    "fileinput",
    "glob",
    "mmap",
    "zipfile",
    "tarfile",
    "gzip",
    "bz2",
    "lzma",
    "logging",
    "configparser",
    "netrc",
    "mailbox",
    "mailcap",
    "pipes",
    "codecs",
    "_codecs",
    "encodings",
    /* the network */
    "socket",
    "_socket",
    "ssl",
    "_ssl",
    "selectors",
    "socketserver",
    "SocketServer",
    "http",
    "httplib",
    "urllib",
    "urllib2",
    "urllib3",
    "requests",
    "aiohttp",
    "httpx",
    "ftplib",
    "smtplib",
    "smtpd",
    "poplib",
    "imaplib",
    "nntplib",
    "telnetlib",
    "xmlrpc",
    "xmlrpclib",
    "wsgiref",
    "cgi",
    "websocket",
    "websockets",
    "zmq",
    "grpc",
};

/* Built-in functions and everything reached through them ("eval.__call__"). */
static const char *const dangerous_builtins[] = {
    "eval",       "exec",    "execfile", "compile",         "open",         "file",
    "__import__", "getattr", "setattr",  "delattr",         "apply",        "globals",
    "locals",     "vars",    "dir",      "input",           "raw_input",    "breakpoint",
    "exit",       "quit",    "help",     "reload",          "map",          "filter",
    "reduce",     "type",    "super",    "classmethod",     "staticmethod", "property",
    "memoryview", "iter",    "next",     "__build_class__", "__loader__",   "__spec__",
    "callable",   "intern",  "sum",      "sorted",          "print",        "format",
    "hasattr",
};

/* Safe where they are not on the list of weights: what joblib puts around arrays. scan_pickle.c reads them. */
static const char *const safe_names[][2] = {
    { "joblib.numpy_pickle", "NumpyArrayWrapper" },
};

static bool in_module(const char *module, const char *parent) {
    size_t n = strlen(parent);
    return strncmp(module, parent, n) == 0 && (module[n] == 0 || module[n] == '.');
}

static bool is_builtin(const char *module) {
    return strcmp(module, "builtins") == 0 || strcmp(module, "__builtin__") == 0 || strcmp(module, "__builtins__") == 0;
}

tola_verdict scan_judge_import(const char *module, const char *name, bool torchscript) {
    if (pickle_lists_global(module, name, torchscript ? PICKLE_TORCHSCRIPT : 0)) return TOLA_SAFE;
    for (size_t i = 0; i < sizeof safe_names / sizeof *safe_names; i++)
        if (strcmp(module, safe_names[i][0]) == 0 && strcmp(name, safe_names[i][1]) == 0) return TOLA_SAFE;
    if (is_builtin(module)) {
        for (size_t i = 0; i < sizeof dangerous_builtins / sizeof *dangerous_builtins; i++)
            if (in_module(name, dangerous_builtins[i])) return TOLA_DANGEROUS;
        return strchr(name, '.') || strstr(name, "__") ? TOLA_DANGEROUS : TOLA_UNKNOWN;
    }
    if (strcmp(module, "torch.storage") == 0 && in_module(name, "_load_from_bytes")) return TOLA_DANGEROUS;
    if (strcmp(module, "uuid") == 0 && strcmp(name, "UUID") == 0) return TOLA_UNKNOWN; /* a value, not of weights */
    for (size_t i = 0; i < sizeof dangerous_modules / sizeof *dangerous_modules; i++)
        if (in_module(module, dangerous_modules[i])) return TOLA_DANGEROUS;
    /* "pathlib", "os.system": a module reached through another one; "f.__globals__": the usual ways on */
    size_t n = strlen(name);
    if (strstr(name, ".__") || (n > 4 && strncmp(name, "__", 2) == 0 && strcmp(name + n - 2, "__") == 0) ||
        strncmp(name, "os.", 3) == 0 || strncmp(name, "sys.", 4) == 0 || strstr(name, ".system") ||
        strstr(name, ".popen") || strstr(name, ".eval") || strstr(name, ".exec"))
        return TOLA_DANGEROUS;
    /* torch and numpy themselves: functions that read files or code */
    static const char *const loaders[] = { "load",      "save",       "loads",      "fromfile",  "memmap",
                                           "open",      "loadtxt",    "genfromtxt", "savetxt",   "compile",
                                           "hub",       "jit",        "ops",        "classes",   "eval",
                                           "fromregex", "DataSource", "frombuffer", "from_file", "run",
                                           "call" };
    if (strcmp(module, "torch") == 0 || strcmp(module, "numpy") == 0)
        for (size_t i = 0; i < sizeof loaders / sizeof *loaders; i++)
            if (in_module(name, loaders[i])) return TOLA_DANGEROUS;
    return TOLA_UNKNOWN;
}
