/* tola fit --plot: a bar for each type, memory by part stacked, and a line where each device's memory ends. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canvas.h"
#include "fit.h"

#define WIDTH 900.0
#define LEFT 150.0
#define RIGHT 110.0
#define TOP 100.0
#define ROW 26.0
#define BAR 18.0
#define BOTTOM 48.0
#define LINES 8 /* of devices; more are not told apart */
#define LEVELS 3

typedef struct plot {
    canvas *c;
    const tola_fit *fit;
    double scale, height;
} plot;

static double x_of(const plot *p, double bytes) {
    double x = bytes / p->scale;
    return LEFT + (x > 1 ? 1 : x) * (WIDTH - LEFT - RIGHT);
}

/* Steps of 1, 2 or 5 times a power of ten, some six of them. */
static double step_of(double range) {
    double step = pow(10, floor(log10(range / 6)));
    if (range / step > 30) return step * 5;
    if (range / step > 12) return step * 2;
    return step;
}

static void axis(const plot *p) {
    char label[32];
    double step = step_of(p->scale);
    for (double at = 0; at <= p->scale * 1.0001; at += step) {
        canvas_rect(p->c, x_of(p, at), TOP - 6, 1, p->height - TOP - BOTTOM + 6, 0xe4e4e4);
        snprintf(label, sizeof label, "%g", at / 1e9);
        canvas_text(p->c, x_of(p, at), p->height - BOTTOM + 16, 11, CANVAS_MIDDLE, 0x444444, label);
    }
    canvas_text(p->c, LEFT + (WIDTH - LEFT - RIGHT) / 2, p->height - 10, 12, CANVAS_MIDDLE, 0x222222, "GB (1e9 bytes)");
}

static void bar(const plot *p, size_t i) {
    const tola_fit_type *t = &p->fit->types[i];
    const double y = TOP + (double)i * ROW;
    char text[64];
    double from = 0;
    if (t->bits > 0)
        snprintf(text, sizeof text, "%.24s, %.4g bits", t->name, t->bits);
    else
        snprintf(text, sizeof text, "%.24s", t->name);
    canvas_text(p->c, LEFT - 8, y + 13, 11, CANVAS_RIGHT, t->chosen ? 0x000000 : 0x555555, text);
    for (int k = 0; k < FIT_PARTS; k++) {
        double bytes = (double)fit_part_bytes(&t->bytes, k), x = x_of(p, from), end = x_of(p, from + bytes);
        if (end > x) canvas_rect(p->c, x, y, end - x, BAR, fit_parts[k].colour);
        from += bytes;
    }
    if (from > p->scale * 1.0001) canvas_text(p->c, x_of(p, from) + 4, y + 13, 11, CANVAS_LEFT, 0x555555, ">");
    text_bytes(text, sizeof text, t->bytes.total);
    canvas_text(p->c, WIDTH - 12, y + 13, 11, CANVAS_RIGHT, t->chosen ? 0x000000 : 0x555555, text);
}

typedef struct label {
    double x, half; /* half of its width, guessed */
    char text[96];
} label;

static int by_place(const void *a, const void *b) {
    const double x = ((const label *)a)->x, y = ((const label *)b)->x;
    return (x > y) - (x < y);
}

/* Labels that would meet go to different levels. */
static void device_lines(const plot *p) {
    label labels[LINES];
    double ends[LEVELS] = { 0 };
    size_t n = 0;
    char bytes[32];
    for (size_t i = 0; i < p->fit->device_count && n < LINES; i++) {
        const tola_fit_device *d = &p->fit->devices[i];
        const double end = (double)d->usable * d->asked;
        label *l = &labels[n];
        if (end > p->scale * 1.0001) continue;
        text_bytes(bytes, sizeof bytes, d->usable * d->asked);
        if (d->asked > 1)
            snprintf(l->text, sizeof l->text, "%u x %.40s %s", d->asked, d->name, bytes);
        else
            snprintf(l->text, sizeof l->text, "%.40s %s", d->name, bytes);
        l->x = x_of(p, end);
        l->half = 3.2 * (double)strlen(l->text);
        n++;
    }
    qsort(labels, n, sizeof *labels, by_place);
    for (size_t i = 0; i < n; i++) {
        const label *l = &labels[i];
        int level = 0;
        while (level < LEVELS - 1 && ends[level] > l->x - l->half) level++;
        ends[level] = l->x + l->half;
        const double top = TOP - 8 - 12 * level;
        canvas_rect(p->c, l->x - 1, top, 2, p->height - BOTTOM - top, 0x222222);
        canvas_text(p->c, l->x, top - 3, 11, CANVAS_MIDDLE, 0x222222, l->text);
    }
}

static void legend(const plot *p) {
    double x = 12;
    for (int k = 0; k < FIT_PARTS; k++) {
        bool used = false;
        for (size_t i = 0; i < p->fit->type_count; i++) used = used || fit_part_bytes(&p->fit->types[i].bytes, k) > 0;
        if (!used) continue;
        canvas_rect(p->c, x, 34, 10, 10, fit_parts[k].colour);
        canvas_text(p->c, x + 15, 43, 11, CANVAS_LEFT, 0x333333, fit_parts[k].name);
        x += 30 + 7 * (double)strlen(fit_parts[k].name);
    }
}

int fit_plot(const tola_fit *f, const char *path) {
    plot p = { .fit = f, .scale = fit_scale(f), .height = TOP + (double)f->type_count * ROW + BOTTOM };
    char line[256], count[32];
    p.c = canvas_open(path, WIDTH, p.height);
    if (!p.c) return CLI_ERROR;
    canvas_rect(p.c, 0, 0, WIDTH, p.height, 0xffffff);
    int n = snprintf(line, sizeof line, "%.100s: %s parameters%s%.20s", fit_shown(f),
                     text_count(count, sizeof count, f->parameters), f->train ? ", training: " : "",
                     f->train ? f->train : "");
    if (f->language) n += snprintf(line + n, sizeof line - (size_t)n, ", context %llu", (unsigned long long)f->context);
    snprintf(line + n, sizeof line - (size_t)n, ", batch %llu", (unsigned long long)f->batch);
    canvas_text(p.c, 12, 22, 14, CANVAS_LEFT, 0x000000, line);
    axis(&p);
    for (size_t i = 0; i < f->type_count; i++) bar(&p, i);
    device_lines(&p);
    legend(&p);
    return canvas_close(p.c);
}
