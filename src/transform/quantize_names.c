/* Names of types and formats: which word means what for which output. */
#include "transform/quantize.h"
#include "base/err.h"
#include "base/text.h"
#include "codecs/codec.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Types of layouts that keep a matrix as several tensors. */
typedef struct layout_type {
    const char *name;
    const char *scheme; /* that keeps it where --format names none */
    uint8_t code, bits;
    tola_dtype element;
    uint8_t grain;
    uint32_t group;
    tola_dtype scale; /* NONE: as the model computes */
} layout_type;

#define INT(n)                                                                                                         \
    { "int" #n, "compressed-tensors", SCHEME_INT, n, TOLA_DTYPE_NONE, SCHEME_PER_GROUP, 128, TOLA_DTYPE_NONE }
#define MX(name, bits, element)                                                                                        \
    { name, "compressed-tensors", SCHEME_FLOAT, bits, element, SCHEME_PER_GROUP, 32, TOLA_DTYPE_F8_E8M0 }

static const layout_type layouts[] = {
    { "int8", "compressed-tensors", SCHEME_INT, 8, TOLA_DTYPE_NONE, SCHEME_PER_CHANNEL, 0, TOLA_DTYPE_NONE },
    INT(7),
    INT(6),
    INT(5),
    INT(4),
    INT(3),
    INT(2),
    INT(1),
    { "nf4", "bnb", SCHEME_NF4, 4, TOLA_DTYPE_NONE, SCHEME_PER_GROUP, 64, TOLA_DTYPE_NONE },
    { "fp4", "bnb", SCHEME_FP4, 4, TOLA_DTYPE_NONE, SCHEME_PER_GROUP, 64, TOLA_DTYPE_NONE },
    { "f8_e4m3", "compressed-tensors", SCHEME_FLOAT, 8, TOLA_DTYPE_F8_E4M3, SCHEME_PER_CHANNEL, 0, TOLA_DTYPE_NONE },
    { "f8_e5m2", "compressed-tensors", SCHEME_FLOAT, 8, TOLA_DTYPE_F8_E5M2, SCHEME_PER_CHANNEL, 0, TOLA_DTYPE_NONE },
    MX("mxfp8", 8, TOLA_DTYPE_F8_E4M3),
    MX("mxfp8_e5m2", 8, TOLA_DTYPE_F8_E5M2),
    MX("mxfp6", 6, TOLA_DTYPE_F6_E2M3),
    MX("mxfp6_e3m2", 6, TOLA_DTYPE_F6_E3M2),
    MX("mxfp4", 4, TOLA_DTYPE_F4),
    { "nvfp4", "compressed-tensors", SCHEME_FLOAT, 4, TOLA_DTYPE_F4, SCHEME_PER_GROUP, 16, TOLA_DTYPE_F8_E4M3 },
};
#define N_LAYOUTS (sizeof layouts / sizeof *layouts)

/* What else the field calls them. */
static const struct {
    const char *word, *name;
} synonyms[] = {
    { "fp8", "f8_e4m3" },
    { "fp8_e4m3", "f8_e4m3" },
    { "float8_e4m3fn", "f8_e4m3" },
    { "fp8_e5m2", "f8_e5m2" },
    { "float8_e5m2", "f8_e5m2" },
    { "w8a16", "int8" },
    { "w4a16", "int4" },
    { "mxfp8_e4m3", "mxfp8" },
    { "mxfp6_e2m3", "mxfp6" },
    { "i8", "int8" },
    { "i4", "int4" },
    { "i2", "int2" },
};

static const tola_dtype floats[] = { TOLA_DTYPE_F16, TOLA_DTYPE_BF16, TOLA_DTYPE_F32 };

/* ---- formats ---- */

static const struct {
    const char *name, *container, *scheme;
} formats[] = {
    { "gguf", "gguf", NULL },
    { "safetensors", "safetensors", NULL },
    { "gptq", "safetensors", "gptq" },
    { "awq", "safetensors", "awq" },
    { "compressed-tensors", "safetensors", "compressed-tensors" },
    { "bnb", "safetensors", "bnb" },
    { "mlx", "safetensors", "mlx" },
    { "fp8", "safetensors", "fp8" },
    { "pytorch", "pytorch", NULL },
    { "npz", "npz", NULL },
};

static const scheme *find_scheme(const char *name) {
    for (const scheme *const *s = scheme_table; *s; s++)
        if (strcmp((*s)->name, name) == 0) return *s;
    return NULL;
}

tola_status quantize_format_find(const tola_quantize_options *options, const char *path, bool folder,
                                 quantize_format *out, tola_error *err) {
    const char *name = options->format;
    if (!name) {
        const writer_format *writer;
        tola_write_options write = TOLA_WRITE_OPTIONS_INIT;
        write.folder = folder;
        TRY(writer_find(path, &write, &writer, err));
        name = writer->name;
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(formats[i].name, name) != 0) continue;
        const scheme *s = formats[i].scheme ? find_scheme(formats[i].scheme) : NULL;
        if (formats[i].scheme && !(s && s->encode)) break;
        *out = (quantize_format){ formats[i].name, formats[i].container, s };
        return TOLA_OK;
    }
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                   "no format '%s' is written here (known: gguf, safetensors, gptq, awq, compressed-tensors, bnb, "
                   "pytorch, npz)",
                   name);
}

/* ---- types ---- */

static bool is_block(tola_dtype dtype) { return tola_dtype_get_kind(dtype) == TOLA_KIND_BLOCK; }

/* Mixtures; block types that are no mixture's name; layouts that are no block type's. */
const char *tola_quantize_type_name(size_t index) {
    size_t i = index;
    for (size_t k = 0; mixture_at(k); k++)
        if (i-- == 0) return mixture_name(mixture_at(k));
    for (tola_dtype d = (tola_dtype)1; d < TOLA_DTYPE_COUNT; d++) {
        if (is_block(d) && codec_encodes(d) && !mixture_find(tola_dtype_name(d)) && i-- == 0) return tola_dtype_name(d);
    }
    for (size_t k = 0; k < N_LAYOUTS; k++)
        if (!is_block(tola_dtype_parse(layouts[k].name)) && i-- == 0) return layouts[k].name;
    return NULL;
}

/* Letters to change, add or drop; case, '_' and '-' are nothing. */
static unsigned distance(const char *a, const char *b) {
    unsigned row[32], n = 0;
    char to[32];
    for (; *b && n + 1 < sizeof to; b++)
        if (*b != '_' && *b != '-') to[n++] = (char)(*b | 32);
    if (*b) return 99;
    for (unsigned j = 0; j <= n; j++) row[j] = j;
    unsigned i = 0;
    for (; *a; a++) {
        if (*a == '_' || *a == '-') continue;
        unsigned before = row[0];
        row[0] = ++i;
        for (unsigned j = 0; j < n; j++) {
            unsigned change = before + ((char)(*a | 32) != to[j]);
            unsigned least = row[j + 1] < row[j] ? row[j + 1] + 1 : row[j] + 1;
            before = row[j + 1];
            row[j + 1] = change < least ? change : least;
        }
    }
    return row[n];
}

static tola_status unknown(const char *name, tola_error *err) {
    const char *best = NULL;
    unsigned least = 3;
    for (size_t i = 0; tola_quantize_type_name(i); i++) {
        unsigned d = distance(name, tola_quantize_type_name(i));
        if (d < least) {
            least = d;
            best = tola_quantize_type_name(i);
        }
    }
    char quoted[80];
    text_quote(quoted, sizeof quoted, name, strlen(name));
    if (best) return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no type '%s'; did you mean %s?", quoted, best);
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET,
                   "no type '%s'; types are Q4_K_M and llama.cpp's other names, int8 .. int1, nf4, fp8, f16, ...",
                   quoted);
}

static const layout_type *find_layout(const char *name) {
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (strcasecmp(name, synonyms[i].word) == 0) name = synonyms[i].name;
    for (size_t i = 0; i < N_LAYOUTS; i++)
        if (strcasecmp(name, layouts[i].name) == 0) return &layouts[i];
    return NULL;
}

/* --per, --group, --asymmetric: what they say over the type's own. */
static tola_status take_grain(const tola_quantize_options *o, const layout_type *t, scheme_params *p, tola_error *err) {
    const char *per = o->per;
    bool fixed = t->scale != TOLA_DTYPE_NONE; /* mxfp and nvfp4 are what they are */
    if ((fixed && (per || o->group)) || (o->asymmetric && t->code != SCHEME_INT) ||
        (per && (t->code == SCHEME_NF4 || t->code == SCHEME_FP4)))
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s has no choice of %s", t->name,
                       o->asymmetric && t->code != SCHEME_INT ? "zero points" : "groups");
    if (per && strcmp(per, "tensor") == 0)
        p->grain = SCHEME_PER_TENSOR;
    else if (per && strcmp(per, "channel") == 0)
        p->grain = SCHEME_PER_CHANNEL;
    else if ((per && strcmp(per, "group") == 0) || o->group)
        p->grain = SCHEME_PER_GROUP;
    else if (per)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "scales are per tensor, channel or group, not per '%s'", per);
    if (o->group && p->grain != SCHEME_PER_GROUP)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "a group of %u and one scale per %s contradict each other",
                       o->group, per);
    p->group = p->grain != SCHEME_PER_GROUP ? 0 : o->group ? o->group : t->group ? t->group : 128;
    p->symmetric = !o->asymmetric;
    return TOLA_OK;
}

static tola_status layout_find(const layout_type *t, const tola_quantize_options *o, const quantize_format *f,
                               quantize_type *out, tola_error *err) {
    const scheme *s = f->scheme ? f->scheme : find_scheme(t->scheme);
    if (!s || !s->encode)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s is not written as %s", t->name,
                       f->scheme ? f->name : t->scheme);
    *out = (quantize_type){ .name = t->name, .scheme = s };
    out->params = (scheme_params){ .code = t->code,
                                   .bits = t->bits,
                                   .grain = t->grain,
                                   .double_quant = t->code == SCHEME_NF4 || t->code == SCHEME_FP4,
                                   .element = t->element,
                                   .scale = t->scale };
    return take_grain(o, t, &out->params, err);
}

tola_status quantize_type_find(const char *name, const tola_quantize_options *options, const quantize_format *to,
                               quantize_type *out, tola_error *err) {
    bool gguf = strcmp(to->container, "gguf") == 0;
    const mixture *m = mixture_find(name);
    const layout_type *layout = find_layout(name);
    tola_dtype dtype = tola_dtype_parse(name);
    bool is_float = false;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) is_float = is_float || dtype == floats[i];
    if (!m && !layout && dtype == TOLA_DTYPE_NONE) return unknown(name, err);
    if (gguf && m) {
        *out = (quantize_type){ .name = mixture_name(m), .mixture = m, .dtype = mixture_base(m) };
        if (options->pure) {
            out->mixture = NULL;
            out->name = tola_dtype_name(out->dtype);
        }
        return TOLA_OK;
    }
    if (gguf ? is_block(dtype) : is_float) {
        if (!codec_encodes(dtype))
            return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s can be read but not made",
                           tola_dtype_name(dtype));
        *out = (quantize_type){ .name = tola_dtype_name(dtype), .dtype = dtype };
        return TOLA_OK;
    }
    if (!gguf && layout && strcmp(to->container, "safetensors") == 0) return layout_find(layout, options, to, out, err);
    return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s cannot hold %s; %s would do", to->name, name,
                   gguf                   ? "safetensors"
                   : m || is_block(dtype) ? "a GGUF file"
                                          : "safetensors");
}
