/* The names that a pickle of weights may use, and what they stand for.
 *
 * It is torch's own list for weights_only=True (torch/_weights_only_unpickler.py, _get_allowed_globals) and, as opaque
 * data, the few kinds of values that training scripts leave beside the weights: numpy scalars and arrays, namespaces,
 * paths, dates. Not one of them is ever called. Anything that is not here is refused. */
#include <stdio.h>
#include <string.h>

#include <tola/tensor.h>

#include "base/text.h"
#include "formats/pickle.h"

#define PLAIN(module, name, role) { module, name, role, TOLA_DTYPE_NONE, false }
#define STORAGE(name, dtype) \
    { "torch", name "Storage", ROLE_STORAGE, dtype, false }, \
    { "torch.cuda", name "Storage", ROLE_STORAGE, dtype, false }
#define TENSOR(name) \
    { "torch", name "Tensor", ROLE_TENSOR_CLASS, 0, false }, \
    { "torch.cuda", name "Tensor", ROLE_TENSOR_CLASS, 0, false }, \
    { "torch.sparse", name "Tensor", ROLE_NAME, 0, false }, \
    { "torch.cuda.sparse", name "Tensor", ROLE_NAME, 0, false }
#define QSTORAGE(name, dtype) { "torch", name "Storage", ROLE_STORAGE, dtype, true }
#define DTYPE(name, dtype) { "torch", name, ROLE_TORCH_DTYPE, dtype, false }
#define QDTYPE(name, dtype) { "torch", name, ROLE_TORCH_DTYPE, dtype, true }

static const pickle_global globals[] = {
    PLAIN("collections", "OrderedDict", ROLE_DICT),
    PLAIN("collections", "Counter", ROLE_DICT),
    PLAIN("collections", "defaultdict", ROLE_DICT),
    PLAIN("collections", "deque", ROLE_LIST),
    PLAIN("builtins", "dict", ROLE_DICT),
    PLAIN("builtins", "list", ROLE_LIST),
    PLAIN("builtins", "tuple", ROLE_TUPLE),
    PLAIN("builtins", "set", ROLE_SET),
    PLAIN("builtins", "frozenset", ROLE_SET),
    PLAIN("builtins", "bytearray", ROLE_BYTES),
    PLAIN("builtins", "bytes", ROLE_BYTES),
    PLAIN("builtins", "complex", ROLE_OPAQUE),
    PLAIN("builtins", "slice", ROLE_OPAQUE),
    PLAIN("builtins", "range", ROLE_OPAQUE),
    PLAIN("builtins", "object", ROLE_NAME),
    PLAIN("builtins", "int", ROLE_NAME),
    PLAIN("builtins", "float", ROLE_NAME),
    PLAIN("builtins", "str", ROLE_NAME),
    PLAIN("builtins", "bool", ROLE_NAME),
    PLAIN("_codecs", "encode", ROLE_ENCODE),
    PLAIN("copyreg", "_reconstructor", ROLE_RECONSTRUCT),

    PLAIN("torch._utils", "_rebuild_tensor", ROLE_TENSOR),
    PLAIN("torch._utils", "_rebuild_tensor_v2", ROLE_TENSOR_V2),
    PLAIN("torch._utils", "_rebuild_tensor_v3", ROLE_TENSOR_V3),
    PLAIN("torch._utils", "_rebuild_parameter", ROLE_PARAMETER),
    PLAIN("torch._utils", "_rebuild_parameter_with_state", ROLE_PARAMETER),
    PLAIN("torch._utils", "_rebuild_qtensor", ROLE_QTENSOR),
    PLAIN("torch._utils", "_rebuild_sparse_tensor", ROLE_SPARSE),
    PLAIN("torch._utils", "_rebuild_sparse_csr_tensor", ROLE_SPARSE),
    PLAIN("torch._utils", "_rebuild_meta_tensor_no_storage", ROLE_META_TENSOR),
    PLAIN("torch._utils", "_rebuild_wrapper_subclass", ROLE_WRAPPER),
    PLAIN("torch._utils", "_rebuild_device_tensor_from_cpu_tensor", ROLE_DEVICE_TENSOR),
    PLAIN("torch._utils", "_rebuild_device_tensor_from_numpy", ROLE_DEVICE_TENSOR),
    PLAIN("torch._utils", "_rebuild_xla_tensor", ROLE_DEVICE_TENSOR),
    PLAIN("torch._tensor", "_rebuild_from_type_v2", ROLE_FROM_TYPE),
    PLAIN("torch.nn.parameter", "Parameter", ROLE_PARAMETER),
    PLAIN("torch.nn.parameter", "Buffer", ROLE_PARAMETER),
    PLAIN("torch", "Tensor", ROLE_TENSOR_CLASS),
    PLAIN("torch._tensor", "Tensor", ROLE_TENSOR_CLASS),
    PLAIN("torch", "Size", ROLE_TUPLE),
    PLAIN("torch", "device", ROLE_OPAQUE),
    PLAIN("torch.serialization", "_get_layout", ROLE_LAYOUT),
    PLAIN("torch", "per_tensor_affine", ROLE_NAME),
    PLAIN("torch", "per_tensor_symmetric", ROLE_NAME),
    PLAIN("torch", "per_channel_affine", ROLE_NAME),
    PLAIN("torch", "per_channel_symmetric", ROLE_NAME),
    PLAIN("torch", "per_channel_affine_float_qparams", ROLE_NAME),

    STORAGE("Double", TOLA_DTYPE_F64),
    STORAGE("Float", TOLA_DTYPE_F32),
    STORAGE("Half", TOLA_DTYPE_F16),
    STORAGE("BFloat16", TOLA_DTYPE_BF16),
    STORAGE("Long", TOLA_DTYPE_I64),
    STORAGE("Int", TOLA_DTYPE_I32),
    STORAGE("Short", TOLA_DTYPE_I16),
    STORAGE("Char", TOLA_DTYPE_I8),
    STORAGE("Byte", TOLA_DTYPE_U8),
    STORAGE("Bool", TOLA_DTYPE_BOOL),
    STORAGE("ComplexDouble", TOLA_DTYPE_C128),
    STORAGE("ComplexFloat", TOLA_DTYPE_C64),
    QSTORAGE("QInt8", TOLA_DTYPE_I8),
    QSTORAGE("QUInt8", TOLA_DTYPE_U8),
    QSTORAGE("QInt32", TOLA_DTYPE_I32),
    QSTORAGE("QUInt4x2", TOLA_DTYPE_U4),
    QSTORAGE("QUInt2x4", TOLA_DTYPE_U2),
    { "torch.storage", "UntypedStorage", ROLE_STORAGE, TOLA_DTYPE_U8, false },
    PLAIN("torch.storage", "TypedStorage", ROLE_NAME),
    { "torch", "UntypedStorage", ROLE_STORAGE, TOLA_DTYPE_U8, false },
    { "torch.storage", "_UntypedStorage", ROLE_STORAGE, TOLA_DTYPE_U8, false },

    TENSOR("Double"),
    TENSOR("Float"),
    TENSOR("Half"),
    TENSOR("BFloat16"),
    TENSOR("Long"),
    TENSOR("Int"),
    TENSOR("Short"),
    TENSOR("Char"),
    TENSOR("Byte"),
    TENSOR("Bool"),

    DTYPE("float64", TOLA_DTYPE_F64),
    DTYPE("float32", TOLA_DTYPE_F32),
    DTYPE("float16", TOLA_DTYPE_F16),
    DTYPE("bfloat16", TOLA_DTYPE_BF16),
    DTYPE("int64", TOLA_DTYPE_I64),
    DTYPE("int32", TOLA_DTYPE_I32),
    DTYPE("int16", TOLA_DTYPE_I16),
    DTYPE("int8", TOLA_DTYPE_I8),
    DTYPE("uint8", TOLA_DTYPE_U8),
    DTYPE("uint16", TOLA_DTYPE_U16),
    DTYPE("uint32", TOLA_DTYPE_U32),
    DTYPE("uint64", TOLA_DTYPE_U64),
    DTYPE("bool", TOLA_DTYPE_BOOL),
    DTYPE("complex128", TOLA_DTYPE_C128),
    DTYPE("complex64", TOLA_DTYPE_C64),
    DTYPE("complex32", TOLA_DTYPE_C32),
    DTYPE("float8_e4m3fn", TOLA_DTYPE_F8_E4M3),
    DTYPE("float8_e5m2", TOLA_DTYPE_F8_E5M2),
    DTYPE("float8_e4m3fnuz", TOLA_DTYPE_F8_E4M3FNUZ),
    DTYPE("float8_e5m2fnuz", TOLA_DTYPE_F8_E5M2FNUZ),
    DTYPE("float8_e8m0fnu", TOLA_DTYPE_F8_E8M0),
    DTYPE("float4_e2m1fn_x2", TOLA_DTYPE_F4),
    DTYPE("bits8", TOLA_DTYPE_U8),
    DTYPE("bits16", TOLA_DTYPE_U16),
    DTYPE("bits1x8", TOLA_DTYPE_U8),
    DTYPE("bits2x4", TOLA_DTYPE_U8),
    DTYPE("bits4x2", TOLA_DTYPE_U8),
    QDTYPE("qint8", TOLA_DTYPE_I8),
    QDTYPE("quint8", TOLA_DTYPE_U8),
    QDTYPE("qint32", TOLA_DTYPE_I32),
    QDTYPE("quint4x2", TOLA_DTYPE_U4),
    QDTYPE("quint2x4", TOLA_DTYPE_U2),
    DTYPE("bcomplex32", 0),
    DTYPE("int1", 0),
    DTYPE("int2", 0),
    DTYPE("int3", 0),
    DTYPE("int4", 0),
    DTYPE("int5", 0),
    DTYPE("int6", 0),
    DTYPE("int7", 0),
    DTYPE("uint1", 0),
    DTYPE("uint2", 0),
    DTYPE("uint3", 0),
    DTYPE("uint4", 0),
    DTYPE("uint5", 0),
    DTYPE("uint6", 0),
    DTYPE("uint7", 0),

    PLAIN("numpy.core.multiarray", "_reconstruct", ROLE_NDARRAY),
    PLAIN("numpy._core.multiarray", "_reconstruct", ROLE_NDARRAY),
    PLAIN("numpy", "ndarray", ROLE_NDARRAY_CLASS),
    PLAIN("numpy", "dtype", ROLE_NUMPY_DTYPE),
    PLAIN("numpy.core.multiarray", "scalar", ROLE_NUMPY_SCALAR),
    PLAIN("numpy._core.multiarray", "scalar", ROLE_NUMPY_SCALAR),
    PLAIN("numpy.core.numeric", "_frombuffer", ROLE_FROM_BUFFER),
    PLAIN("numpy._core.numeric", "_frombuffer", ROLE_FROM_BUFFER),

    PLAIN("argparse", "Namespace", ROLE_OPAQUE),
    PLAIN("types", "SimpleNamespace", ROLE_OPAQUE),
    PLAIN("pathlib", "PosixPath", ROLE_OPAQUE),
    PLAIN("pathlib", "WindowsPath", ROLE_OPAQUE),
    PLAIN("pathlib", "PurePosixPath", ROLE_OPAQUE),
    PLAIN("pathlib", "PureWindowsPath", ROLE_OPAQUE),
    PLAIN("pathlib._local", "PosixPath", ROLE_OPAQUE),
    PLAIN("pathlib._local", "WindowsPath", ROLE_OPAQUE),
    PLAIN("datetime", "datetime", ROLE_OPAQUE),
    PLAIN("datetime", "date", ROLE_OPAQUE),
    PLAIN("datetime", "time", ROLE_OPAQUE),
    PLAIN("datetime", "timedelta", ROLE_OPAQUE),
    PLAIN("datetime", "timezone", ROLE_OPAQUE),
};

/* What TorchScript's own pickler writes (torch/csrc/jit/serialization/pickler.cpp). */
static const pickle_global script_globals[] = {
    PLAIN("torch.jit._pickle", "build_intlist", ROLE_IDENTITY),
    PLAIN("torch.jit._pickle", "build_tensorlist", ROLE_IDENTITY),
    PLAIN("torch.jit._pickle", "build_doublelist", ROLE_IDENTITY),
    PLAIN("torch.jit._pickle", "build_boollist", ROLE_IDENTITY),
    PLAIN("torch.jit._pickle", "restore_type_tag", ROLE_IDENTITY),
    PLAIN("torch.jit._pickle", "build_tensor_from_id", ROLE_OPAQUE),
};

/* Python 2's names of modules, which protocols 0 to 2 keep (CPython's Lib/_compat_pickle.py), and a few aliases. */
static const char *const renamed_modules[][2] = {
    { "__builtin__", "builtins" }, { "copy_reg", "copyreg" }, { "torch.tensor", "torch._tensor" },
};

static const pickle_global *find_in(const pickle_global *list, size_t count, const char *module, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (list[i].name[0] == name[0] && strcmp(list[i].name, name) == 0 && strcmp(list[i].module, module) == 0)
            return &list[i];
    return NULL;
}

static const pickle_global *find_listed(const char *module, const char *name, unsigned flags) {
    for (size_t i = 0; i < sizeof renamed_modules / sizeof *renamed_modules; i++)
        if (strcmp(module, renamed_modules[i][0]) == 0) module = renamed_modules[i][1];
    const pickle_global *g = find_in(globals, sizeof globals / sizeof *globals, module, name);
    if (!g && (flags & PICKLE_TORCHSCRIPT))
        g = find_in(script_globals, sizeof script_globals / sizeof *script_globals, module, name);
    return g;
}

/* A class of a TorchScript archive's own code. */
static bool is_own_class(const char *module, unsigned flags) {
    return (flags & PICKLE_TORCHSCRIPT) && (strcmp(module, "__torch__") == 0 || strncmp(module, "__torch__.", 10) == 0);
}

const pickle_global *pickle_find_global(const char *module, const char *name, unsigned flags, arena *a) {
    const pickle_global *g = find_listed(module, name, flags);
    if (g) return g;
    pickle_global *made = arena_alloc(a, sizeof *made);
    if (!made) return NULL;
    *made = (pickle_global){ arena_strndup(a, module, strlen(module)), arena_strndup(a, name, strlen(name)),
                             is_own_class(module, flags) ? ROLE_MODULE_CLASS : ROLE_UNKNOWN, TOLA_DTYPE_NONE, false };
    return made->module && made->name ? made : NULL;
}

bool pickle_lists_global(const char *module, const char *name, unsigned flags) {
    return find_listed(module, name, flags) || is_own_class(module, flags);
}

const char *pickle_name(char *dst, size_t cap, const pickle_global *g) {
    char module[200], name[200];
    text_quote(module, sizeof module, g->module, strlen(g->module));
    text_quote(name, sizeof name, g->name, strlen(g->name));
    snprintf(dst, cap, "%s.%s", module, name);
    return dst;
}
