/* Python pickles, read as data: a virtual machine for the opcodes of all protocols (0 to 5) that follows the stack and
 * the memo exactly as CPython does and builds plain values. It never imports and never calls anything.
 *
 * What a callable would have done is either known here (collections.OrderedDict() is an empty dictionary) or kept as
 * an opaque object of callee, arguments and state. The names that a pickle may use are a list (pickle_globals.c);
 * anything else, called or merely referred to, is TOLA_E_UNSAFE. Specification: CPython's Lib/pickletools.py. */
#ifndef FORMATS_PICKLE_H
#define FORMATS_PICKLE_H

#include "base/mem.h"
#include "base/reader.h"

typedef enum pickle_kind {
    PICKLE_NONE = 0,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIGINT, /* beyond 64 bits signed: little-endian two's complement in `text` */
    PICKLE_FLOAT,
    PICKLE_STR,    /* UTF-8 (lone surrogates may occur); `old` = a Python 2 byte string */
    PICKLE_BYTES,
    PICKLE_LIST,
    PICKLE_TUPLE,
    PICKLE_SET,
    PICKLE_DICT,
    PICKLE_GLOBAL,
    PICKLE_OBJECT, /* a call that was not made */
    PICKLE_PERSISTENT /* `object.args` is the id */
} pickle_kind;

/* What a name stands for, as far as the machine or torch_state cares. */
typedef enum pickle_role {
    ROLE_UNKNOWN = 0,   /* not on the list */
    ROLE_OPAQUE,        /* may be called: data of a kind nobody needs to look into (a date, a path, a scalar) */
    ROLE_NAME,          /* may be referred to, not called: a dtype, a layout, a quantization scheme */
    ROLE_TORCH_DTYPE,   /* torch.float32, ...; `dtype` */
    ROLE_STORAGE,       /* torch.FloatStorage, ...; `dtype`; not called */
    ROLE_DICT,          /* dict, OrderedDict, Counter, defaultdict: calls give dictionaries */
    ROLE_LIST,
    ROLE_TUPLE,         /* torch.Size too */
    ROLE_SET,
    ROLE_BYTES,         /* bytearray, bytes */
    ROLE_ENCODE,        /* _codecs.encode(text, "latin1"): how protocol 2 writes bytes */
    ROLE_RECONSTRUCT,   /* copyreg._reconstructor(class, object, None) */
    ROLE_IDENTITY,      /* torch.jit._pickle.build_intlist(list): its first argument */
    ROLE_TENSOR,        /* torch._utils._rebuild_tensor */
    ROLE_TENSOR_V2,
    ROLE_TENSOR_V3,
    ROLE_PARAMETER,     /* torch._utils._rebuild_parameter[_with_state], torch.nn.parameter.Parameter */
    ROLE_QTENSOR,
    ROLE_SPARSE,
    ROLE_META_TENSOR,
    ROLE_WRAPPER,       /* torch._utils._rebuild_wrapper_subclass */
    ROLE_DEVICE_TENSOR, /* _rebuild_device_tensor_from_cpu_tensor, _rebuild_xla_tensor: the first argument */
    ROLE_FROM_TYPE,     /* torch._tensor._rebuild_from_type_v2(function, type, arguments, state) */
    ROLE_TENSOR_CLASS,  /* torch.Tensor, torch.FloatTensor, ...: very old pickles build one */
    ROLE_LAYOUT,        /* torch.serialization._get_layout("torch.sparse_coo") */
    ROLE_NDARRAY,       /* numpy.core.multiarray._reconstruct: an array, filled in by its state */
    ROLE_NDARRAY_CLASS,
    ROLE_NUMPY_DTYPE,
    ROLE_NUMPY_SCALAR,
    ROLE_FROM_BUFFER,   /* numpy.core.numeric._frombuffer(bytes, dtype, shape, order) */
    ROLE_MODULE_CLASS   /* a class of a TorchScript archive's own code, "__torch__...." */
} pickle_role;

typedef struct pickle_global {
    const char *module, *name;
    pickle_role role;
    uint16_t dtype;  /* tola_dtype */
    bool quantized;  /* torch.QInt8Storage, torch.quint8 */
} pickle_global;

typedef struct pickle_value pickle_value;
struct pickle_value {
    uint8_t kind; /* pickle_kind */
    bool old;     /* STR: written by Python 2 as bytes */
    bool shared;  /* STR, BYTES: `at` is where the very bytes stand in the file */
    uint64_t at;  /* offset of the opcode (of the bytes, for STR and BYTES) from the pickle's start */
    union {
        bool boolean;
        int64_t i64;
        double f64;
        struct {
            const char *data;
            size_t length;
        } text;
        struct {
            pickle_value **items; /* DICT: key, value, key, value, ... */
            size_t count, cap;
            pickle_value *attributes; /* what BUILD added to a dictionary's __dict__; NULL mostly */
        } list;
        const pickle_global *global;
        struct {
            pickle_value *callee; /* a GLOBAL; NULL for PERSISTENT */
            pickle_value *args;   /* usually a TUPLE */
            pickle_value *state;  /* of BUILD; NULL where there was none */
            pickle_value *entries; /* a DICT or LIST of what SETITEMS or APPENDS put in; NULL. PERSISTENT: the next */
        } object;
    } as;
};

/* TorchScript archives name classes of their own code; those are data there and unknown anywhere else. */
#define PICKLE_TORCHSCRIPT 1u

#define PICKLE_MAX_LINE 65536u       /* of a text opcode; protocol 0 writes numbers and names so */
#define PICKLE_MAX_DEPTH 200         /* nesting of values where they are walked; state dictionaries stay below 20 */
/* Memory of values, strings apart: a file of 100 k tensors takes about 8 bytes a byte, a list of numbers up to 21. */
#define PICKLE_VALUES_PER_BYTE 32u
#define PICKLE_VALUES_FREE (64u << 20)

/* Runs the pickle at r->pos up to and including its STOP. Values live in `a`. Offsets in errors are absolute in the
 * source; those in messages count from the pickle's start. */
tola_status pickle_load(reader *r, unsigned flags, arena *a, pickle_value **out, tola_error *err);
/* The same; `*persistent` becomes the first of all PERSISTENT values, in file order, linked by object.entries. */
tola_status pickle_load_linked(reader *r, unsigned flags, arena *a, pickle_value **out, pickle_value **persistent,
                               tola_error *err);

/* The entry of the list, or one made in `a` with ROLE_UNKNOWN. NULL when out of memory. */
const pickle_global *pickle_find_global(const char *module, const char *name, unsigned flags, arena *a);

/* Is the name on the list, or one of a TorchScript archive's own where `flags` allow those? */
bool pickle_lists_global(const char *module, const char *name, unsigned flags);

/* ---- looking at values ---- */
bool pickle_is_text(const pickle_value *v, const char *text);
bool pickle_u64(const pickle_value *v, uint64_t *out); /* an int that is not negative, or a bool */
const pickle_value *pickle_get(const pickle_value *dict, const char *key); /* the last of equal keys; NULL */
const pickle_value *pickle_item(const pickle_value *sequence, size_t i); /* of a LIST or TUPLE; NULL beyond the end */
size_t pickle_count(const pickle_value *sequence); /* of a LIST, TUPLE, SET; pairs of a DICT; 0 for others */
pickle_role pickle_role_of(const pickle_value *v); /* of a GLOBAL, or of an OBJECT's callee; ROLE_UNKNOWN for others */
/* "module.name" for messages. */
const char *pickle_name(char *dst, size_t cap, const pickle_global *g);

#endif
