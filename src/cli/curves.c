/* Curves as a picture and as text. What they share: which values an axis covers and where its ticks are. */
#include "curves.h"

#include <dirent.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "canvas.h"
#include "cli_chart.h"
#include "frame.h"

#define WIDTH 900.0
#define LEFT 76.0
#define RIGHT 28.0
#define TOP 64.0
#define BOTTOM 48.0
#define FIRST 360.0 /* height of the first panel and of the others */
#define OTHERS 110.0
#define GAP 34.0

/* Colours that differ for most eyes (Okabe and Ito 2008), and pale ones of the same. */
static const unsigned strong[CURVES_MOST] = { 0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                              0xe69f00, 0x56b4e9, 0x444444, 0x7f5800 };
static const unsigned pale[CURVES_MOST] = { 0xb8d6ea, 0xf3cbb0, 0xb0dfd1, 0xeed5e3,
                                            0xf7dfae, 0xcce8f8, 0xc8c8c8, 0xd6c9ae };

/* ---- what an axis covers ---- */

typedef struct axis {
    double low, high; /* of log10 of the values where logarithmic */
    bool logarithmic;
} axis;

static bool usable(double y) { return isfinite(y) && fabs(y) < DBL_MAX / 4; }

static double at(const axis *a, double y) { return ((a->logarithmic ? log10(y) : y) - a->low) / (a->high - a->low); }

static axis axis_of(const curve_panel *p) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < p->count; i++)
        for (size_t k = 0; k < p->curves[i].count; k++) {
            double y = p->curves[i].y[k];
            if (!usable(y)) continue;
            low = fmin(low, y);
            high = fmax(high, y);
        }
    if (low > high) low = high = 0;
    axis a = { low, high, p->logarithmic && low > 0 && high > low };
    if (a.logarithmic) {
        a.low = log10(low);
        a.high = log10(high);
    }
    double room = (a.high - a.low) * 0.04;
    if (!(room > 0)) room = low != 0 ? fabs(low) * 0.1 : 1;
    bool from_zero = !a.logarithmic && low >= 0 && low < 0.1 * high;
    a.low = from_zero ? 0 : a.low - room;
    a.high += room;
    return a;
}

static axis steps_of(const curve_panel *panels, size_t count) {
    axis a = { INFINITY, -INFINITY, false };
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < panels[p].count; i++) {
            const curve *c = &panels[p].curves[i];
            if (!c->count) continue;
            a.low = fmin(a.low, c->x[0]);
            a.high = fmax(a.high, c->x[c->count - 1]);
        }
    if (!(a.high > a.low)) {
        a.low = a.low > a.high ? 0 : a.low;
        a.high = a.low + 1;
    }
    return a;
}

/* Values where lines go across: `most` of them at most, in steps of 1, 2 or 5 times a power of ten. */
#define TICKS 12
static size_t ticks_of(const axis *a, size_t most, double *ticks) {
    size_t n = 0;
    if (a->logarithmic && a->high - a->low > 0.7) {
        static const double within[] = { 1, 2, 5 };
        bool fine = a->high - a->low < 2.2;
        for (int e = (int)floor(a->low); e <= a->high && n < TICKS; e++)
            for (size_t k = 0; k < (fine ? 3 : 1) && n < TICKS; k++) {
                double value = within[k] * pow(10, e);
                if (log10(value) >= a->low && log10(value) <= a->high) ticks[n++] = value;
            }
        return n;
    }
    double low = a->logarithmic ? pow(10, a->low) : a->low, high = a->logarithmic ? pow(10, a->high) : a->high;
    double rough = (high - low) / (double)most, power = pow(10, floor(log10(rough))), share = rough / power;
    double step = power * (share <= 1.2 ? 1 : share <= 2.8 ? 2 : share <= 6 ? 5 : 10);
    for (double i = ceil(low / step); i * step <= high && n < TICKS; i++) ticks[n++] = i * step;
    return n;
}

/* Numbers as people write them: 0.00025, 1,500, 3e-7. */
static const char *tick_text(char *text, size_t n, double value) {
    if (fabs(value) >= 1000 && fabs(value) < 1e15 && value == rint(value) && value > 0)
        return text_grouped(text, n, (uint64_t)value);
    if (fabs(value) < 1e-4 && value != 0)
        snprintf(text, n, "%.3g", value);
    else
        snprintf(text, n, "%.6g", fabs(value) < 1e-12 ? 0 : value);
    return text;
}

/* ---- the picture ---- */

typedef struct place {
    canvas *c;
    double top, height;
    axis x, y;
} place;

static double px(const place *p, double x) { return LEFT + at(&p->x, x) * (WIDTH - LEFT - RIGHT); }
static double py(const place *p, double y) { return p->top + (1 - at(&p->y, y)) * p->height; }

static void draw_grid(const place *p, const char *label, bool last) {
    double ticks[TICKS];
    char text[40];
    size_t n = ticks_of(&p->y, p->height > 200 ? 7 : 3, ticks);
    for (size_t i = 0; i < n; i++) {
        canvas_rect(p->c, LEFT, py(p, ticks[i]) - 0.5, WIDTH - LEFT - RIGHT, 1, 0xebebeb);
        canvas_text(p->c, LEFT - 8, py(p, ticks[i]) + 4, 11, CANVAS_RIGHT, 0x555555,
                    tick_text(text, sizeof text, ticks[i]));
    }
    n = ticks_of(&p->x, 8, ticks);
    for (size_t i = 0; i < n; i++) {
        canvas_rect(p->c, px(p, ticks[i]) - 0.5, p->top, 1, p->height, 0xf3f3f3);
        if (last)
            canvas_text(p->c, px(p, ticks[i]), p->top + p->height + 18, 11, CANVAS_MIDDLE, 0x555555,
                        tick_text(text, sizeof text, ticks[i]));
    }
    canvas_rect(p->c, LEFT, p->top + p->height, WIDTH - LEFT - RIGHT, 1, 0x999999);
    canvas_text(p->c, LEFT, p->top - 8, 11, CANVAS_LEFT, 0x333333, label);
}

static void flush_line(const place *p, double *points, size_t *n, double width, unsigned colour) {
    canvas_line(p->c, points, *n, width, colour);
    *n = 0;
}

/* All values, but of those that share a pixel only the lowest and the highest. */
static void draw_values(const place *p, const curve *c, double width, unsigned colour) {
    double *points = frame_alloc((4 * (size_t)WIDTH + 16) * 2 * sizeof *points);
    size_t n = 0;
    for (size_t i = 0; i < c->count;) {
        double column = floor(px(p, c->x[i])), low = INFINITY, high = -INFINITY, first = NAN, last = NAN;
        size_t k = i;
        for (; k < c->count && (floor(px(p, c->x[k])) <= column || k == i); k++) {
            if (!usable(c->y[k])) continue;
            low = fmin(low, c->y[k]);
            high = fmax(high, c->y[k]);
            last = c->y[k];
            if (isnan(first)) first = c->y[k];
        }
        const double run[4] = { first, first > last ? high : low, first > last ? low : high, last };
        bool single = k == i + 1;
        double x = single ? px(p, c->x[i]) : column + 0.5;
        for (size_t j = 0; low <= high && j < (single ? 1 : 4); j++) {
            points[2 * n] = x;
            points[2 * n++ + 1] = py(p, run[j]);
        }
        if (low > high) flush_line(p, points, &n, width, colour); /* a gap where nothing is a number */
        i = k;
    }
    flush_line(p, points, &n, width, colour);
    free(points);
}

/* The running mean of a noisy curve over a fiftieth of it. */
static curve smoothed(const curve *c, double *y) {
    double keep = exp(-50.0 / (double)c->count), sum = 0, weight = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (usable(c->y[i])) {
            sum = sum * keep + c->y[i];
            weight = weight * keep + 1;
        }
        y[i] = weight > 0 ? sum / weight : NAN;
    }
    return (curve){ c->name, c->x, y, c->count, false };
}

static bool is_smoothed(const curve *c) { return c->noisy && c->count >= 100; }

static void draw_curve(const place *p, const curve *c, size_t colour) {
    if (is_smoothed(c)) {
        double *y = frame_alloc(c->count * sizeof *y);
        draw_values(p, c, 1, pale[colour]);
        curve mean = smoothed(c, y);
        draw_values(p, &mean, 2, strong[colour]);
        free(y);
        return;
    }
    draw_values(p, c, 2, strong[colour]);
    for (size_t i = 0; i < c->count && c->count <= 60; i++)
        if (usable(c->y[i])) canvas_rect(p->c, px(p, c->x[i]) - 2.5, py(p, c->y[i]) - 2.5, 5, 5, strong[colour]);
}

/* "train 1.234": the value that a curve ends with; without a name that is that of the axis already. */
static const char *legend_of(const curve *c, const char *label, char *text, size_t n) {
    double last = NAN, *y = NULL;
    char value[40];
    curve shown = *c;
    if (is_smoothed(c)) {
        y = frame_alloc(c->count * sizeof *y);
        shown = smoothed(c, y);
    }
    for (size_t i = 0; i < shown.count; i++)
        if (usable(shown.y[i])) last = shown.y[i];
    free(y);
    snprintf(value, sizeof value, "%.4g", last);
    bool named = strcmp(c->name, label) != 0;
    snprintf(text, n, "%.60s%s%s", named ? c->name : "", named ? " " : "", isnan(last) ? "" : value);
    return text;
}

static void draw_legend(canvas *c, double y, const curve_panel *p, size_t colour) {
    double x = WIDTH - RIGHT;
    for (size_t i = p->count; i-- > 0;) {
        char text[120];
        legend_of(&p->curves[i], p->label, text, sizeof text);
        canvas_text(c, x, y, 12, CANVAS_RIGHT, 0x333333, text);
        x -= (double)frame_width(text, strlen(text)) * 6.4 + 20;
        const double line[] = { x, y - 4, x + 14, y - 4 };
        canvas_line(c, line, 2, 2.5, strong[colour + i]);
        x -= 14;
    }
}

int curves_draw(const char *path, const char *title, const curve_panel *panels, size_t count) {
    double height = TOP + FIRST + (double)(count - 1) * (OTHERS + GAP) + BOTTOM, top = TOP;
    canvas *c = canvas_replace(path, WIDTH, height);
    if (!c) return CLI_ERROR;
    canvas_text(c, 20, 26, 15, CANVAS_LEFT, 0x000000, title);
    size_t colour = 0;
    for (size_t i = 0; i < count; i++) {
        place p = { c, top, i ? OTHERS : FIRST, steps_of(panels, count), axis_of(&panels[i]) };
        draw_grid(&p, panels[i].label, i + 1 == count);
        for (size_t k = 0; k < panels[i].count; k++) draw_curve(&p, &panels[i].curves[k], (colour + k) % CURVES_MOST);
        draw_legend(c, top - 8, &panels[i], colour);
        colour += panels[i].count;
        top += p.height + GAP;
    }
    canvas_text(c, LEFT + (WIDTH - LEFT - RIGHT) / 2, height - 10, 12, CANVAS_MIDDLE, 0x333333, "step");
    return canvas_close(c);
}

/* ---- the terminal ---- */

#define MARGIN 9 /* cells for the values of the axis */

typedef struct dots {
    unsigned columns, rows; /* cells */
    uint8_t *mask;          /* of each cell: its braille dots */
    uint8_t *colour;        /* 1 + curve that set one last */
} dots;

/* U+2800: dots 1-3 and 7 are the left column from top to bottom, 4-6 and 8 the right one. */
static void set_dot(dots *d, int x, int y, size_t colour) {
    static const uint8_t bits[4][2] = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };
    if (x < 0 || y < 0 || x >= (int)d->columns * 2 || y >= (int)d->rows * 4) return;
    size_t cell = (size_t)(y / 4) * d->columns + (size_t)x / 2;
    d->mask[cell] |= bits[y % 4][x % 2];
    d->colour[cell] = (uint8_t)(colour + 1);
}

static void dot_line(dots *d, int x0, int y0, int x1, int y1, size_t colour) {
    int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    for (int i = 0; i <= steps; i++) {
        double s = steps ? (double)i / steps : 0;
        set_dot(d, (int)lround(x0 + (x1 - x0) * s), (int)lround(y0 + (y1 - y0) * s), colour);
    }
}

static void dot_curve(dots *d, const curve *c, const axis *x, const axis *y, size_t colour) {
    int before_x = -1, before_y = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (!usable(c->y[i])) continue;
        int cx = (int)lround(at(x, c->x[i]) * (d->columns * 2 - 1));
        int cy = (int)lround((1 - at(y, c->y[i])) * (d->rows * 4 - 1));
        dot_line(d, before_x < 0 ? cx : before_x, before_x < 0 ? cy : before_y, cx, cy, colour);
        before_x = cx;
        before_y = cy;
    }
}

static void print_cell(const dots *d, size_t cell) {
    static const out_style styles[] = { OUT_BLUE, OUT_YELLOW, OUT_GREEN, OUT_MAGENTA, OUT_CYAN, OUT_RED };
    uint8_t mask = d->mask[cell];
    if (!mask) {
        out_printf(" ");
        return;
    }
    out_style style = styles[(d->colour[cell] - 1u) % (sizeof styles / sizeof *styles)];
    if (!chart_unicode()) {
        out_styled(style, "%c", "*o+x"[(d->colour[cell] - 1u) % 4]);
        return;
    }
    char text[4] = { (char)0xe2, (char)(0xa0 | mask >> 6), (char)(0x80 | (mask & 0x3f)), 0 };
    out_styled(style, "%s", text);
}

/* The value at the height of a row of cells. */
static double value_at(const axis *a, double share) {
    double v = a->low + share * (a->high - a->low);
    return a->logarithmic ? pow(10, v) : v;
}

static void print_dots(const dots *d, const axis *x, const axis *y) {
    char text[40], high[40];
    for (unsigned row = 0; row < d->rows; row++) {
        bool labelled = row % 4 == 0 || row + 1 == d->rows;
        snprintf(text, sizeof text, "%.3g", value_at(y, 1 - (row + 0.5) / d->rows));
        out_printf("%*s %s", MARGIN - 2, labelled ? text : "", chart_unicode() ? "\u2502" : "|");
        for (unsigned column = 0; column < d->columns; column++) print_cell(d, (size_t)row * d->columns + column);
        out_printf("\n");
    }
    tick_text(text, sizeof text, x->low);
    tick_text(high, sizeof high, x->high);
    out_printf("%*s%s%*s\n", MARGIN, "", text, (int)(d->columns - strlen(text)), high);
}

static void print_legend(const curve_panel *p) {
    static const out_style styles[] = { OUT_BLUE, OUT_YELLOW, OUT_GREEN, OUT_MAGENTA, OUT_CYAN, OUT_RED };
    out_printf("%*s%s:", MARGIN, "", p->label);
    for (size_t i = 0; i < p->count; i++) {
        char text[120];
        legend_of(&p->curves[i], p->label, text, sizeof text);
        out_printf("  ");
        if (chart_unicode())
            out_styled(styles[i % 6], "\u2501 %s", text);
        else
            out_styled(styles[i % 6], "%c %s", "*o+x"[i % 4], text);
    }
    out_printf("\n");
}

void curves_print(const curve_panel *p, unsigned rows) {
    bool any = false;
    for (size_t i = 0; i < p->count; i++) any = any || p->curves[i].count >= 2;
    if (!any) return;
    unsigned columns = cli.columns > 100 ? 100 - MARGIN : cli.columns > 30 ? (unsigned)cli.columns - MARGIN : 21;
    dots d = { columns, rows, frame_alloc((size_t)columns * rows), frame_alloc((size_t)columns * rows) };
    memset(d.mask, 0, (size_t)columns * rows);
    axis x = steps_of(p, 1), y = axis_of(p);
    for (size_t i = 0; i < p->count; i++) {
        const curve *c = &p->curves[i];
        double *mean = is_smoothed(c) ? frame_alloc(c->count * sizeof *mean) : NULL;
        curve shown = mean ? smoothed(c, mean) : *c;
        dot_curve(&d, &shown, &x, &y, i);
        free(mean);
    }
    print_legend(p);
    print_dots(&d, &x, &y);
    free(d.mask);
    free(d.colour);
}

/* ---- a run ---- */

static curve curve_of(const tola_learn_log *log, size_t i, const char *name) {
    tola_learn_series s;
    tola_learn_log_get(log, i, &s);
    return (curve){ name ? name : s.name, s.steps, s.values, s.count, strncmp(s.name, "validation.", 11) != 0 };
}

/* Curves of a panel; `names` are of the log, and what they are called in the legend; ends with NULL. */
static size_t find_curves(const tola_learn_log *log, const char *const (*names)[2], curve *out) {
    size_t n = 0;
    for (; (*names)[0]; names++)
        for (size_t i = 0; i < tola_learn_log_count(log); i++) {
            tola_learn_series s;
            tola_learn_log_get(log, i, &s);
            if (strcmp(s.name, (*names)[0]) == 0 && s.count) out[n++] = curve_of(log, i, (*names)[1]);
        }
    return n;
}

/* Falls it by so much that only a logarithm shows the end? */
static bool falls_far(const curve *curves, size_t count) {
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < curves[i].count; k++) {
            if (!usable(curves[i].y[k])) continue;
            low = fmin(low, curves[i].y[k]);
            high = fmax(high, curves[i].y[k]);
        }
    return low > 0 && high > 10 * low;
}

/* What a run that was killed while it drew has left: ".loss.png.XXXXXX". */
static void remove_unfinished(const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, ".loss.png.", 10) == 0 || strncmp(e->d_name, ".loss.svg.", 10) == 0)
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
}

static int draw_run(const char *folder, const char *title, const tola_learn_log *log, bool print) {
    static const char *const losses[][2] = { { "loss", "train" }, { "validation.loss", "validation" }, { NULL, NULL } };
    static const char *const others[][2][2] = {
        { { "validation.accuracy", "accuracy" }, { NULL, NULL } },
        { { "validation.anchor_perplexity", "perplexity of the anchor" }, { NULL, NULL } },
        { { "validation.anchor_kl", "KL to the base on the anchor" }, { NULL, NULL } },
        { { "lr", "learning rate" }, { NULL, NULL } },
    };
    enum { OTHER = sizeof others / sizeof *others };
    curve curves[2 + OTHER];
    curve_panel panels[1 + OTHER];
    size_t n = find_curves(log, losses, curves), count = 1;
    if (n == 0 || curves[0].count < 2) return CLI_YES;
    panels[0] = (curve_panel){ "loss", curves, n, falls_far(curves, n) };
    for (size_t i = 0; i < OTHER; i++) {
        if (!find_curves(log, others[i], curves + n)) continue;
        curves[n].noisy = false;
        panels[count++] = (curve_panel){ curves[n].name, curves + n, 1, false };
        n++;
    }
    remove_unfinished(folder);
    size_t length = strlen(folder);
    char *path = frame_alloc(length + 16);
    snprintf(path, length + 16, "%s%sloss.%s", folder, length && folder[length - 1] == '/' ? "" : "/",
             canvas_png() ? "png" : "svg");
    int code = curves_draw(path, title, panels, count);
    free(path);
    if (print && code == CLI_YES) curves_print(&panels[0], 12);
    return code;
}

int curves_of_run(const char *folder, const char *title, bool print) {
    tola_error err = TOLA_ERROR_INIT;
    tola_learn_log *log;
    if (tola_learn_log_open(folder, &log, &err) != TOLA_OK) return cli_fail_error(&err);
    int code = draw_run(folder, title, log, print);
    tola_learn_log_close(log);
    return code;
}
