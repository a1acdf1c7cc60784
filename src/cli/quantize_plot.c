/* tola quantize --report FILE.svg|.png: bits per weight across, signal to noise in dB up. A square for each tensor,
 * coloured by type, its area by its elements; and a curve through what each type gives on a sample of the same rows. */
#include "canvas.h"
#include "frame.h"
#include "quantize.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH 880.0
#define HEIGHT 560.0
#define LEFT 64.0
#define RIGHT 200.0 /* room of the legend */
#define TOP 56.0
#define BOTTOM 52.0

/* Colours that differ for most eyes (Okabe and Ito 2008), then darker ones of the same. */
static const unsigned colours[] = { 0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9,
                                    0x003f66, 0x7f3800, 0x00543d, 0x6f3f5a, 0x7f5800, 0x2d6c8a };

typedef struct frame_of {
    double low_bits, high_bits, low_db, high_db;
} frame_of;

static unsigned colour_of(const tola_quantize_result *r, const char *type) {
    size_t k = 0, place = 0;
    for (; k < r->type_count && strcmp(r->types[k].type, type) != 0; k++) place++;
    return colours[place % (sizeof colours / sizeof *colours)];
}

static bool drawable(const tola_quantize_error *e) { return isfinite(e->snr_db); }

static void include(frame_of *f, double bits, double db) {
    if (bits < f->low_bits) f->low_bits = bits;
    if (bits > f->high_bits) f->high_bits = bits;
    if (db < f->low_db) f->low_db = db;
    if (db > f->high_db) f->high_db = db;
}

static frame_of range_of(const tola_quantize_result *r) {
    frame_of f = { INFINITY, -INFINITY, INFINITY, -INFINITY };
    for (size_t i = 0; i < r->count; i++)
        if (r->tensors[i].measured && drawable(&r->tensors[i].error))
            include(&f, r->tensors[i].bits_per_weight, r->tensors[i].error.snr_db);
    for (size_t i = 0; i < r->candidate_count; i++)
        if (drawable(&r->candidates[i].error))
            include(&f, r->candidates[i].bits_per_weight, r->candidates[i].error.snr_db);
    if (f.low_bits > f.high_bits) f = (frame_of){ 0, 8, 0, 50 };
    f.low_bits = floor(f.low_bits);
    f.high_bits = ceil(f.high_bits + 0.1);
    f.low_db = floor(f.low_db / 5) * 5;
    f.high_db = ceil(f.high_db / 5 + 0.1) * 5;
    return f;
}

static double x_of(const frame_of *f, double bits) {
    return LEFT + (bits - f->low_bits) / (f->high_bits - f->low_bits) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const frame_of *f, double db) {
    return HEIGHT - BOTTOM - (db - f->low_db) / (f->high_db - f->low_db) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(canvas *c, const frame_of *f) {
    char label[32];
    double bit_step = f->high_bits - f->low_bits > 12 ? 2 : 1, db_step = f->high_db - f->low_db > 60 ? 10 : 5;
    for (double bits = f->low_bits; bits <= f->high_bits; bits += bit_step) {
        canvas_rect(c, x_of(f, bits), TOP, 1, HEIGHT - TOP - BOTTOM, 0xe4e4e4);
        snprintf(label, sizeof label, "%g", bits);
        canvas_text(c, x_of(f, bits), HEIGHT - BOTTOM + 16, 11, CANVAS_MIDDLE, 0x444444, label);
    }
    for (double db = f->low_db; db <= f->high_db; db += db_step) {
        canvas_rect(c, LEFT, y_of(f, db), WIDTH - LEFT - RIGHT, 1, 0xe4e4e4);
        snprintf(label, sizeof label, "%g", db);
        canvas_text(c, LEFT - 6, y_of(f, db) + 4, 11, CANVAS_RIGHT, 0x444444, label);
    }
    canvas_text(c, LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 14, 12, CANVAS_MIDDLE, 0x222222, "bits per weight");
    canvas_text(c, 12, TOP - 12, 12, CANVAS_LEFT, 0x222222, "signal to noise, dB (higher is better)");
}

/* The types that no other beats at their size, joined; all of them marked and named. */
static void draw_candidates(canvas *c, const frame_of *f, const tola_quantize_result *r) {
    double best = -INFINITY, line[4] = { 0 };
    for (size_t i = 0; i < r->candidate_count; i++) { /* by bits */
        const tola_quantize_candidate *k = &r->candidates[i];
        if (!drawable(&k->error) || k->error.snr_db <= best) continue;
        double x = x_of(f, k->bits_per_weight), y = y_of(f, k->error.snr_db);
        line[2] = x;
        line[3] = y;
        if (best > -INFINITY) canvas_line(c, line, 2, 1.2, 0xb0b0b0);
        best = k->error.snr_db;
        line[0] = x;
        line[1] = y;
    }
    for (size_t i = 0; i < r->candidate_count; i++) {
        const tola_quantize_candidate *k = &r->candidates[i];
        if (!drawable(&k->error)) continue;
        double x = x_of(f, k->bits_per_weight), y = y_of(f, k->error.snr_db);
        canvas_rect(c, x - 2.5, y - 2.5, 5, 5, 0x808080);
        canvas_text(c, x + (i % 2 ? 5 : -5), y + (i % 2 ? 11 : -5), 9, i % 2 ? CANVAS_LEFT : CANVAS_RIGHT, 0x606060,
                    k->type);
    }
}

static void draw_tensors(canvas *c, const frame_of *f, const tola_quantize_result *r) {
    uint64_t most = 1;
    for (size_t i = 0; i < r->count; i++)
        if (r->tensors[i].elements > most) most = r->tensors[i].elements;
    for (size_t i = 0; i < r->count; i++) {
        const tola_quantize_tensor *t = &r->tensors[i];
        if (!t->measured || !drawable(&t->error)) continue;
        double side = 3 + 6 * sqrt((double)t->elements / (double)most);
        canvas_rect(c, x_of(f, t->bits_per_weight) - side / 2, y_of(f, t->error.snr_db) - side / 2, side, side,
                    colour_of(r, t->type));
    }
}

static void draw_legend(canvas *c, const tola_quantize_result *r) {
    double x = WIDTH - RIGHT + 24, y = TOP + 8;
    char line[96], bytes[32];
    for (size_t i = 0; i < r->type_count && i < 20; i++, y += 18) {
        canvas_rect(c, x, y - 8, 9, 9, colour_of(r, r->types[i].type));
        snprintf(line, sizeof line, "%s: %llu, %s", r->types[i].type, (unsigned long long)r->types[i].tensors,
                 text_bytes(bytes, sizeof bytes, r->types[i].bytes));
        canvas_text(c, x + 15, y, 11, CANVAS_LEFT, 0x333333, line);
    }
    if (!r->candidate_count) return;
    canvas_rect(c, x + 2, y - 6, 5, 5, 0x808080);
    canvas_text(c, x + 15, y, 11, CANVAS_LEFT, 0x333333, "each type on sampled rows");
}

int quantize_plot(const quantize_view *v, const char *path) {
    const tola_quantize_result *r = v->result;
    frame_of f = range_of(r);
    canvas *c = canvas_open(path, WIDTH, HEIGHT);
    if (!c) return CLI_ERROR;
    char line[256], bytes[32];
    const char *slash = strrchr(v->out, '/');
    snprintf(line, sizeof line, "%.120s: %s, %.2f bits per weight, %.2f dB", slash && slash[1] ? slash + 1 : v->out,
             text_bytes(bytes, sizeof bytes, r->file_bytes), r->bits_per_weight, r->error.snr_db);
    canvas_text(c, 12, 22, 14, CANVAS_LEFT, 0x000000, line);
    draw_axes(c, &f);
    draw_candidates(c, &f, r);
    draw_tensors(c, &f, r);
    draw_legend(c, r);
    return canvas_close(c);
}

/* Is there a folder that takes the file, and no folder in its place? */
static bool can_write(const char *path) {
    struct stat st;
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    char *folder = frame_alloc(length + 2);
    snprintf(folder, length + 2, "%.*s.", (int)length, path);
    int error = access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    free(folder);
    if (!error && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) error = EISDIR;
    if (error) cli_fail("cannot write %s: %s", path, strerror(error));
    return !error;
}

bool quantize_can_report(const char *path) {
    const char *dot = strrchr(path, '.');
    if (!can_write(path)) return false;
    if (dot && (strcmp(dot, ".json") == 0 || strcmp(dot, ".md") == 0)) return frame_may_write(path);
    if (!dot || (strcmp(dot, ".svg") != 0 && strcmp(dot, ".png") != 0)) {
        cli_fail("--report: %s ends in none of .json, .md, .svg, .png", path);
        return false;
    }
    return canvas_can(path);
}
