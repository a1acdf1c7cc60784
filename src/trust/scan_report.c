/* Findings and imports of a job, and their way through a pipe. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "trust/scan.h"

void scan_job_init(scan_job *job, arena *a) { *job = (scan_job){ .a = a, .format = "data" }; }

void scan_job_free(scan_job *job) {
    mem_free(job->findings);
    mem_free(job->imports);
    mem_free(job->import_table);
}

void scan_stop(scan_job *job, tola_status status, const tola_error *err) {
    if (job->status != TOLA_OK) return;
    job->status = status;
    if (err) job->error = *err;
}

static void no_memory(scan_job *job) {
    tola_error err = TOLA_ERROR_INIT;
    scan_stop(job, err_nomem(&err, "scanning"), &err);
}

static const char *keep(scan_job *job, const char *text) {
    size_t n = strlen(text);
    if (n > SCAN_MAX_TEXT) n = SCAN_MAX_TEXT;
    while (n && n == SCAN_MAX_TEXT && ((uint8_t)text[n] & 0xc0) == 0x80) n--; /* whole characters */
    const char *kept = arena_strndup(job->a, text, n);
    if (!kept) no_memory(job);
    return kept;
}

void scan_find(scan_job *job, const scan_part *part, tola_verdict verdict, const char *kind, uint64_t offset,
               const char *format, ...) {
    char text[1500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (verdict > job->verdict) job->verdict = verdict;
    for (size_t i = job->finding_count; i-- > 0 && i + 8 > job->finding_count;) { /* the same twice in a row */
        const tola_scan_finding *f = &job->findings[i];
        if (strcmp(f->what, text) == 0 && strcmp(f->member, part->member) == 0 && f->offset == offset) return;
    }
    if (job->finding_count >= SCAN_MAX_FINDINGS) {
        job->findings_lost++;
        return;
    }
    const char *what = keep(job, text);
    if (!what) return;
    if (!mem_grow(&job->findings, &job->finding_cap, job->finding_count + 1, sizeof *job->findings)) {
        no_memory(job);
        return;
    }
    job->findings[job->finding_count++] = (tola_scan_finding){ verdict, kind, what, part->member, offset };
}

/* ---- imports: one entry for a name and a member ---- */

static size_t import_slot(const scan_job *job, const char *member, const char *module, const char *name) {
    uint64_t words[3] = { hash_string(member, strlen(member)), hash_string(module, strlen(module)),
                          hash_string(name, strlen(name)) };
    return (size_t)hash_string((const char *)words, sizeof words) & (job->import_table_cap - 1);
}

static bool grow_table(scan_job *job) {
    size_t cap = job->import_table_cap ? job->import_table_cap * 2 : 64;
    uint32_t *table = mem_calloc(cap, sizeof *table);
    if (!table) return false;
    mem_free(job->import_table);
    job->import_table = table;
    job->import_table_cap = cap;
    for (size_t i = 0; i < job->import_count; i++) {
        scan_import *g = &job->imports[i];
        size_t slot = import_slot(job, g->member, g->module, g->name);
        g->next = table[slot];
        table[slot] = (uint32_t)i + 1;
    }
    return true;
}

void scan_add_import(scan_job *job, const scan_part *part, const char *module, const char *name, uint64_t offset,
                     uint64_t count, bool called, tola_verdict verdict) {
    if (verdict > job->verdict) job->verdict = verdict;
    if (job->import_count >= job->import_table_cap && !grow_table(job)) {
        no_memory(job);
        return;
    }
    size_t slot = import_slot(job, part->member, module, name);
    for (uint32_t i = job->import_table[slot]; i; i = job->imports[i - 1].next) {
        scan_import *g = &job->imports[i - 1];
        if (strcmp(g->module, module) != 0 || strcmp(g->name, name) != 0 || strcmp(g->member, part->member) != 0)
            continue;
        g->count += count;
        g->called |= called;
        return;
    }
    if (job->import_count >= SCAN_MAX_IMPORTS) {
        job->imports_lost++;
        return;
    }
    scan_import g = { keep(job, module), keep(job, name), part->member,           offset, count,
                      verdict,           called,          job->import_table[slot] };
    if (!g.module || !g.name) return;
    if (!mem_grow(&job->imports, &job->import_cap, job->import_count + 1, sizeof *job->imports)) {
        no_memory(job);
        return;
    }
    job->imports[job->import_count++] = g;
    job->import_table[slot] = (uint32_t)job->import_count;
}

/* "outer!inner", or the member's name alone where the part is the file itself. */
const char *scan_member_path(scan_job *job, const scan_part *part, const char *name) {
    char quoted[1024];
    text_quote(quoted, sizeof quoted, name, strlen(name));
    if (!part->member[0]) return keep(job, quoted);
    size_t bytes = strlen(part->member) + strlen(quoted) + 2;
    char *path = arena_alloc(job->a, bytes);
    if (!path) {
        no_memory(job);
        return NULL;
    }
    snprintf(path, bytes, "%s!%s", part->member, quoted);
    return path;
}

/* ---- into a report ---- */

static int compare_findings(const void *a, const void *b) {
    const tola_scan_finding *x = a, *y = b;
    if (x->verdict != y->verdict) return y->verdict < x->verdict ? -1 : 1;
    int order = strcmp(x->member, y->member);
    if (order) return order;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return strcmp(x->what, y->what);
}

static tola_status nomem(tola_error *err) { return err_nomem(err, "writing a scan's report"); }

tola_status scan_finish(const scan_job *job, tola_scan_file *out, tola_error *err) {
    size_t bad = 0, n = 0;
    for (size_t i = 0; i < job->import_count; i++) bad += job->imports[i].verdict != TOLA_SAFE;
    size_t total = job->finding_count + bad + 2;
    tola_scan_finding *findings = arena_alloc_array(job->a, total, sizeof *findings);
    tola_scan_import *imports = arena_alloc_array(job->a, job->import_count + 1, sizeof *imports);
    if (!findings || !imports) return nomem(err);
    for (size_t i = 0; i < job->import_count; i++) {
        const scan_import *g = &job->imports[i];
        imports[i] = (tola_scan_import){ g->verdict, g->module, g->name, g->member, g->offset, g->count, g->called };
        if (g->verdict == TOLA_SAFE) continue;
        char module[300], name[300], what[700];
        snprintf(what, sizeof what, "%s %s.%s", g->called ? "calls" : "imports",
                 text_quote(module, sizeof module, g->module, strlen(g->module)),
                 text_quote(name, sizeof name, g->name, strlen(g->name)));
        const char *kept = arena_strndup(job->a, what, strlen(what));
        if (!kept) return nomem(err);
        findings[n++] = (tola_scan_finding){ g->verdict, "import", kept, g->member, g->offset };
    }
    if (job->finding_count) memcpy(findings + n, job->findings, job->finding_count * sizeof *findings);
    n += job->finding_count;
    qsort(findings, n, sizeof *findings, compare_findings);
    if (job->findings_lost || job->imports_lost) {
        char text[100];
        snprintf(text, sizeof text, "%llu more findings are not listed",
                 (unsigned long long)(job->findings_lost + job->imports_lost));
        const char *kept = arena_strndup(job->a, text, strlen(text));
        if (!kept) return nomem(err);
        findings[n++] = (tola_scan_finding){ TOLA_UNKNOWN, "limit", kept, "", TOLA_NO_OFFSET };
    }
    out->format = job->format;
    out->verdict = job->verdict;
    out->findings = findings;
    out->finding_count = n;
    out->imports = imports;
    out->import_count = job->import_count;
    return TOLA_OK;
}

/* ---- records: a kind, a verdict, numbers and texts; the last one says that all was written ---- */

enum { RECORD_FINDING = 'F', RECORD_IMPORT = 'I', RECORD_FORMAT = 'T', RECORD_ERROR = 'X', RECORD_END = 'E' };

static void put_text(buf *b, const char *text) {
    size_t n = strlen(text);
    buf_u32le(b, (uint32_t)n);
    buf_append(b, text, n);
}

tola_status scan_encode(const scan_job *job, buf *out, tola_error *err) {
    tola_scan_file file = { 0 };
    if (job->status != TOLA_OK) {
        buf_u8(out, RECORD_ERROR);
        buf_u32le(out, (uint32_t)job->status);
        put_text(out, job->error.message);
    } else {
        TRY(scan_finish(job, &file, err));
        buf_u8(out, RECORD_FORMAT);
        put_text(out, file.format);
        for (size_t i = 0; i < file.finding_count; i++) {
            buf_u8(out, RECORD_FINDING);
            buf_u8(out, (uint8_t)file.findings[i].verdict);
            buf_u64le(out, file.findings[i].offset);
            put_text(out, file.findings[i].kind);
            put_text(out, file.findings[i].what);
            put_text(out, file.findings[i].member);
        }
        for (size_t i = 0; i < file.import_count; i++) {
            const tola_scan_import *g = &file.imports[i];
            buf_u8(out, RECORD_IMPORT);
            buf_u8(out, (uint8_t)g->verdict);
            buf_u64le(out, g->offset);
            buf_u64le(out, g->count);
            buf_u8(out, g->called);
            put_text(out, g->module);
            put_text(out, g->name);
            put_text(out, g->member);
        }
    }
    buf_u8(out, RECORD_END);
    buf_u8(out, (uint8_t)job->verdict);
    buf_u32le(out, job->wants);
    return out->failed ? nomem(err) : TOLA_OK;
}

typedef struct decoder {
    const uint8_t *p, *end;
    arena *a;
    bool bad;
} decoder;

static uint64_t get_number(decoder *d, unsigned bytes) {
    uint64_t v = 0;
    if ((size_t)(d->end - d->p) < bytes) {
        d->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) v |= (uint64_t)*d->p++ << (8 * i);
    return v;
}

static const char *get_text(decoder *d) {
    uint64_t n = get_number(d, 4);
    if (d->bad || n > 4 * SCAN_MAX_TEXT || n > (size_t)(d->end - d->p) || memchr(d->p, 0, (size_t)n) ||
        !utf8_valid((const char *)d->p, (size_t)n)) {
        d->bad = true;
        return "";
    }
    const char *text = arena_strndup(d->a, (const char *)d->p, (size_t)n);
    d->p += n;
    if (!text) d->bad = true;
    return text ? text : "";
}

static tola_verdict get_verdict(decoder *d) {
    uint64_t v = get_number(d, 1);
    if (v > TOLA_DANGEROUS) d->bad = true;
    return v > TOLA_DANGEROUS ? TOLA_DANGEROUS : (tola_verdict)v;
}

tola_status scan_decode(const uint8_t *data, size_t bytes, arena *a, tola_scan_file *out, unsigned *wants,
                        tola_error *err) {
    decoder d = { data, data + bytes, a, false };
    size_t max_findings = SCAN_MAX_FINDINGS + SCAN_MAX_IMPORTS + 1;
    tola_scan_finding *findings = NULL, f;
    tola_scan_import *imports = NULL, g;
    size_t finding_cap = 0, import_cap = 0, finding_count = 0, import_count = 0;
    tola_verdict worst = TOLA_SAFE, said = TOLA_SAFE;
    tola_status status = TOLA_OK;
    bool ended = false;
    const char *format = "data", *message;
    uint64_t code;
    while (!d.bad && !ended && status == TOLA_OK && d.p < d.end) {
        switch (*d.p++) {
        case RECORD_FORMAT: format = get_text(&d); break;
        case RECORD_FINDING:
            f.verdict = get_verdict(&d);
            f.offset = get_number(&d, 8);
            f.kind = get_text(&d);
            f.what = get_text(&d);
            f.member = get_text(&d);
            if (f.verdict > worst) worst = f.verdict;
            if (finding_count >= max_findings || !mem_grow(&findings, &finding_cap, finding_count + 1, sizeof f))
                d.bad = true;
            else
                findings[finding_count++] = f;
            break;
        case RECORD_IMPORT:
            g.verdict = get_verdict(&d);
            g.offset = get_number(&d, 8);
            g.count = get_number(&d, 8);
            g.called = get_number(&d, 1) != 0;
            g.module = get_text(&d);
            g.name = get_text(&d);
            g.member = get_text(&d);
            if (g.verdict > worst) worst = g.verdict;
            if (import_count >= SCAN_MAX_IMPORTS || !mem_grow(&imports, &import_cap, import_count + 1, sizeof g))
                d.bad = true;
            else
                imports[import_count++] = g;
            break;
        case RECORD_ERROR:
            code = get_number(&d, 4);
            message = get_text(&d);
            if (code == TOLA_OK || code > TOLA_E_UNSAFE) d.bad = true;
            if (!d.bad) status = err_set(err, (tola_status)code, TOLA_NO_OFFSET, "%s", message);
            break;
        case RECORD_END:
            said = get_verdict(&d);
            *wants = (unsigned)get_number(&d, 4);
            ended = d.p == d.end;
            if (!ended) d.bad = true;
            break;
        default: d.bad = true;
        }
    }
    if (status == TOLA_OK && (d.bad || !ended))
        status = err_set(err, TOLA_E_FORMAT, TOLA_NO_OFFSET, "the report of the child is damaged");
    if (status == TOLA_OK) {
        tola_scan_finding *kept = arena_alloc_array(a, finding_count + 1, sizeof *kept);
        tola_scan_import *names = arena_alloc_array(a, import_count + 1, sizeof *names);
        if (!kept || !names) {
            status = nomem(err);
        } else {
            if (finding_count) memcpy(kept, findings, finding_count * sizeof *kept);
            if (import_count) memcpy(names, imports, import_count * sizeof *names);
            out->format = format;
            out->verdict = said > worst ? said : worst;
            out->findings = kept;
            out->finding_count = finding_count;
            out->imports = names;
            out->import_count = import_count;
        }
    }
    mem_free(findings);
    mem_free(imports);
    return status;
}
