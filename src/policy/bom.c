#include "policy/bom.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/hash.h"

const char *bom_url(const char *text) {
    if (!text || (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0) || strlen(text) > 2000)
        return NULL;
    const char *rest = strstr(text, "://") + 3;
    for (const char *p = rest; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/?#=%+@:&;,", *p)) return NULL;
    for (const char *p = rest; (p = strchr(p, '%')); p++)
        if (strspn(p + 1, "0123456789abcdefABCDEF") < 2) return NULL;
    const char *mark = strchr(rest, '#');
    return *rest && *rest != '/' && !(mark && strchr(mark + 1, '#')) ? text : NULL;
}

const char *bom_spdx_licence(const char *id) {
    static const char *const known[] = { "Apache-2.0",
                                         "MIT",
                                         "MIT-0",
                                         "BSD-2-Clause",
                                         "BSD-3-Clause",
                                         "BSD-3-Clause-Clear",
                                         "ISC",
                                         "Zlib",
                                         "BSL-1.0",
                                         "Unlicense",
                                         "WTFPL",
                                         "CC0-1.0",
                                         "CC-BY-2.0",
                                         "CC-BY-2.5",
                                         "CC-BY-3.0",
                                         "CC-BY-4.0",
                                         "CC-BY-SA-3.0",
                                         "CC-BY-SA-4.0",
                                         "CC-BY-NC-2.0",
                                         "CC-BY-NC-3.0",
                                         "CC-BY-NC-4.0",
                                         "CC-BY-ND-4.0",
                                         "CC-BY-NC-ND-3.0",
                                         "CC-BY-NC-ND-4.0",
                                         "CC-BY-NC-SA-2.0",
                                         "CC-BY-NC-SA-3.0",
                                         "CC-BY-NC-SA-4.0",
                                         "CDLA-Permissive-1.0",
                                         "CDLA-Permissive-2.0",
                                         "CDLA-Sharing-1.0",
                                         "MPL-2.0",
                                         "EPL-1.0",
                                         "EPL-2.0",
                                         "EUPL-1.1",
                                         "EUPL-1.2",
                                         "GPL-2.0-only",
                                         "GPL-2.0-or-later",
                                         "GPL-3.0-only",
                                         "GPL-3.0-or-later",
                                         "LGPL-2.1-only",
                                         "LGPL-2.1-or-later",
                                         "LGPL-3.0-only",
                                         "LGPL-3.0-or-later",
                                         "AGPL-3.0-only",
                                         "AGPL-3.0-or-later",
                                         "AFL-3.0",
                                         "Artistic-2.0",
                                         "ECL-2.0",
                                         "MS-PL",
                                         "NCSA",
                                         "OFL-1.1",
                                         "OSL-3.0",
                                         "PostgreSQL",
                                         "PDDL-1.0",
                                         "ODbL-1.0",
                                         "ODC-By-1.0",
                                         "LPPL-1.3c",
                                         "etalab-2.0",
                                         "C-UDA-1.0",
                                         "AML" };
    /* The Hub's words for licences that SPDX calls otherwise; its gpl-3.0 does not say whether later ones go, too. */
    static const char *const others[][2] = { { "odbl", "ODbL-1.0" },     { "odc-by", "ODC-By-1.0" },
                                             { "pddl", "PDDL-1.0" },     { "gpl-2.0", "GPL-2.0" },
                                             { "gpl-3.0", "GPL-3.0" },   { "lgpl-2.1", "LGPL-2.1" },
                                             { "lgpl-3.0", "LGPL-3.0" }, { "agpl-3.0", "AGPL-3.0" },
                                             { "c-uda", "C-UDA-1.0" } };
    for (size_t i = 0; id && i < sizeof known / sizeof *known; i++)
        if (strcasecmp(id, known[i]) == 0) return known[i];
    for (size_t i = 0; id && i < sizeof others / sizeof *others; i++)
        if (strcasecmp(id, others[i][0]) == 0) return others[i][1];
    return NULL;
}

void bom_begin(const form *x, int64_t seconds, bom *out) {
    memset(out, 0, sizeof *out);
    out->x = *x;
    out->name = form_name(x).text;
    out->version = form_fact(x, "model.version");
    if (!out->version && x->r->digest[0]) out->version = record_text(x->a, "sha256:%.16s", x->r->digest);
    if (out->version && strlen(out->version) > 1000) { /* CycloneDX takes 1024 characters */
        size_t n = 1000;
        while (n && ((unsigned char)out->version[n] & 0xc0) == 0x80) n--;
        out->version = record_text(x->a, "%.*s", (int)n, out->version);
    }
    const char *licence = form_licence(x).text, *spdx = bom_spdx_licence(licence);
    out->licence = spdx ? spdx : licence;
    out->licence_is_spdx = spdx != NULL;
    out->task = form_fact(x, "model.task");
    if (!out->task) out->task = record_card(x->r, "pipeline_tag");
    out->family = x->r->summary.architecture;
    out->architecture = x->r->summary.model_class;
    time_t when = (time_t)seconds;
    struct tm utc;
    if (seconds < 0 || !gmtime_r(&when, &utc) || utc.tm_year > 8099)
        memset(&utc, 0, sizeof utc), utc.tm_mday = 1, utc.tm_year = 70;
    strftime(out->time, sizeof out->time, "%Y-%m-%dT%H:%M:%SZ", &utc);
    strcpy(out->uuid, "00000000-0000-8000-8000-000000000000");
}

size_t bom_unknown(const bom *b, const char **labels, size_t *fields) {
    static const struct {
        const char *label, *fact;
    } asked[] = { { "supplier", "provider.legal_name" },        { "version", "model.version" },
                  { "description", "model.description" },       { "release date", "model.release_date" },
                  { "download address", "model.download_url" }, { "intended use", "use.intended" },
                  { "limitations", "use.limitations" },         { "training method", "training.method" } };
    const form *x = &b->x;
    double mwh;
    doc_source source;
    size_t n = 0, all = sizeof asked / sizeof *asked;
    for (size_t i = 0; i < all; i++)
        if (!form_fact(x, asked[i].fact)) labels[n++] = asked[i].label;
    const struct {
        const char *label;
        bool known;
    } own[] = { { "licence", b->licence != NULL },
                { "task", b->task != NULL },
                { "architecture", b->family || b->architecture },
                { "parameters", x->r->summary.parameters != 0 },
                { "digests", x->r->digest[0] != 0 },
                { "training data", x->f && facts_count(x->f, "data") > 0 },
                { "evaluation", x->r->metric_count || (x->f && facts_count(x->f, "evaluation") > 0) },
                { "energy", form_energy(x, &mwh, &source) } };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!own[i].known) labels[n++] = own[i].label;
    *fields = all + sizeof own / sizeof *own;
    return n;
}

tola_status bom_write(bom *b, bom_writer write, buf *out, tola_error *err) {
    uint8_t d[SHA256_BYTES];
    buf first;
    buf_init(&first, 0);
    tola_status status = write(b, &first, err);
    if (status == TOLA_OK) status = sha256(first.data, first.length, d, err);
    buf_free(&first);
    if (status != TOLA_OK) return status;
    d[6] = (uint8_t)(0x80 | (d[6] & 0x0f)); /* RFC 9562, version 8: made of what the maker chose */
    d[8] = (uint8_t)(0x80 | (d[8] & 0x3f));
    snprintf(b->uuid, sizeof b->uuid, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0],
             d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
    return write(b, out, err);
}
