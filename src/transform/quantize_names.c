/* Names of types and formats: which word means what for which output. */
#include "transform/quantize.h"
#include "base/err.h"
#include "base/text.h"
#include "codecs/codec.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Types of layouts that keep a matrix as several tensors; which and how says scheme_for_type. */
static const char *const layouts[] = { "int8", "int7",    "int6",  "int5",  "int4",  "int3",  "int2", "int1",
                                       "fp8",  "f8_e4m3", "mxfp8", "mxfp6", "mxfp4", "nvfp4", "nf4",  "fp4" };
#define N_LAYOUTS (sizeof layouts / sizeof *layouts)

/* What else the field calls them. */
static const struct {
    const char *word, *name;
} synonyms[] = {
    { "fp8_e4m3", "f8_e4m3" }, { "float8_e4m3fn", "f8_e4m3" }, { "w8a16", "int8" }, { "w4a16", "int4" },
    { "mxfp8_e4m3", "mxfp8" }, { "mxfp6_e2m3", "mxfp6" },      { "i8", "int8" },    { "i4", "int4" },
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
    { "bnb", "safetensors", "bitsandbytes" },
    { "bitsandbytes", "safetensors", "bitsandbytes" },
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
    char known[160] = "";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const scheme *s = formats[i].scheme ? find_scheme(formats[i].scheme) : NULL;
        *out = (quantize_format){ formats[i].name, formats[i].container, s };
        if (strcmp(formats[i].name, name) == 0) return TOLA_OK;
        size_t length = strlen(known);
        if (strcmp(formats[i].name, "bitsandbytes") == 0) continue; /* bnb's long name */
        snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", formats[i].name);
    }
    return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "no format '%s' is written here (known: %s)", name, known);
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
        if (!is_block(tola_dtype_parse(layouts[k])) && i-- == 0) return layouts[k];
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

static const char *find_layout(const char *name) {
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (strcasecmp(name, synonyms[i].word) == 0) name = synonyms[i].name;
    for (size_t i = 0; i < N_LAYOUTS; i++)
        if (strcasecmp(name, layouts[i]) == 0) return layouts[i];
    return NULL;
}

/* --per, --group, --asymmetric, --double-quant: what they say over the type's own. Whether that can be is the scheme's
 * to say. */
static tola_status take_grain(const tola_quantize_options *o, const char *name, scheme_params *p, tola_error *err) {
    static const struct {
        const char *word;
        scheme_grain grain;
    } grains[] = { { "tensor", SCHEME_PER_TENSOR }, { "channel", SCHEME_PER_CHANNEL }, { "group", SCHEME_PER_GROUP } };
    if (o->asymmetric && p->code != SCHEME_INT)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s has no zero points (--asymmetric)", name);
    if (o->double_quant && p->code != SCHEME_NF4 && p->code != SCHEME_FP4)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "the scales of %s are not quantized (--double-quant)", name);
    bool own = p->code == SCHEME_NF4 || p->code == SCHEME_FP4 || p->scale == TOLA_DTYPE_F8_E8M0 ||
               p->scale == TOLA_DTYPE_F8_E4M3 || p->grain == SCHEME_PER_BLOCK;
    if (o->per && own)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s says itself what shares a scale (--per)", name);
    if (o->group && p->grain == SCHEME_PER_BLOCK)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "%s says itself what shares a scale (--group)", name);
    if (o->asymmetric) p->symmetric = false;
    if (o->double_quant) p->double_quant = true;
    if (o->group) {
        p->group = o->group;
        p->grain = SCHEME_PER_GROUP;
    }
    if (!o->per) return TOLA_OK;
    size_t i = 0;
    while (i < 3 && strcmp(o->per, grains[i].word) != 0) i++;
    if (i == 3)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "scales are per tensor, channel or group, not per '%s'",
                       o->per);
    if (o->group && grains[i].grain != SCHEME_PER_GROUP)
        return err_set(err, TOLA_E_ARG, TOLA_NO_OFFSET, "groups of %u and one scale per %s contradict each other",
                       o->group, o->per);
    p->grain = (uint8_t)grains[i].grain;
    if (p->grain != SCHEME_PER_GROUP) p->group = 0;
    return TOLA_OK;
}

static tola_status layout_find(const char *name, const tola_quantize_options *o, const quantize_format *f,
                               quantize_type *out, tola_error *err) {
    *out = (quantize_type){ .name = name };
    const scheme *usual = scheme_for_type(name, &out->params);
    out->scheme = f->scheme ? f->scheme : usual;
    if (!usual || !out->scheme->encode)
        return err_set(err, TOLA_E_UNSUPPORTED, TOLA_NO_OFFSET, "%s is not written%s%s yet", name,
                       f->scheme ? " as " : "", f->scheme ? f->name : "");
    if (out->scheme != usual) out->params.version = 0; /* of its own layout */
    return take_grain(o, name, &out->params, err);
}

tola_status quantize_type_find(const char *name, const tola_quantize_options *options, const quantize_format *to,
                               quantize_type *out, tola_error *err) {
    bool gguf = strcmp(to->container, "gguf") == 0;
    const mixture *m = mixture_find(name);
    const char *layout = find_layout(name);
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
