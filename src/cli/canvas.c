/* The two back ends of a canvas. */
#include "canvas.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame.h"

#define CANVAS_SCALE 2     /* pixels of PNG for one of SVG */
#define CANVAS_MOST 30000  /* pixels a side; cairo's own limit is 32767 */

/* The few functions of cairo 1.x that are used (cairographics.org/manual), found at run time. */
typedef struct cairo_extents {
    double x_bearing, y_bearing, width, height, x_advance, y_advance;
} cairo_extents;

typedef struct cairo_api {
    void *(*image_surface_create)(int format, int width, int height);
    void *(*create)(void *surface);
    void (*destroy)(void *cr);
    void (*surface_destroy)(void *surface);
    int (*surface_status)(void *surface);
    void (*scale)(void *cr, double x, double y);
    void (*set_source_rgb)(void *cr, double r, double g, double b);
    void (*rectangle)(void *cr, double x, double y, double width, double height);
    void (*fill)(void *cr);
    void (*set_line_width)(void *cr, double width);
    void (*set_line_cap)(void *cr, int cap);
    void (*set_line_join)(void *cr, int join);
    void (*line_to)(void *cr, double x, double y);
    void (*stroke)(void *cr);
    void (*select_font_face)(void *cr, const char *family, int slant, int weight);
    void (*set_font_size)(void *cr, double size);
    void (*text_extents)(void *cr, const char *text, cairo_extents *out);
    void (*move_to)(void *cr, double x, double y);
    void (*show_text)(void *cr, const char *text);
    int (*write_to_png_stream)(void *surface, int (*write)(void *, const unsigned char *, unsigned), void *closure);
} cairo_api;

struct canvas {
    char *path;
    char *data; /* of the file */
    size_t length, cap;
    void *surface, *cr; /* PNG */
    cairo_api cairo;
};

static void put(canvas *c, const void *data, size_t length) {
    while (c->length + length > c->cap) {
        c->cap = c->cap ? c->cap * 2 : 1 << 16;
        c->data = frame_realloc(c->data, c->cap);
    }
    memcpy(c->data + c->length, data, length);
    c->length += length;
}

static void put_format(canvas *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_format(canvas *c, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = frame_format(format, args);
    va_end(args);
    put(c, text, strlen(text));
    free(text);
}

/* ---- cairo ---- */

static bool load_cairo(cairo_api *api) {
    static const char *const names[] = {
        "cairo_image_surface_create", "cairo_create", "cairo_destroy", "cairo_surface_destroy", "cairo_surface_status",
        "cairo_scale", "cairo_set_source_rgb", "cairo_rectangle", "cairo_fill", "cairo_set_line_width",
        "cairo_set_line_cap", "cairo_set_line_join", "cairo_line_to", "cairo_stroke", "cairo_select_font_face",
        "cairo_set_font_size", "cairo_text_extents", "cairo_move_to", "cairo_show_text",
        "cairo_surface_write_to_png_stream" };
    void *library = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    _Static_assert(sizeof(cairo_api) == sizeof names / sizeof *names * sizeof(void *), "one name for each function");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *function = dlsym(library, names[i]);
        if (!function) return false;
        memcpy((char *)api + i * sizeof function, &function, sizeof function);
    }
    return true;
}

static int open_png(canvas *c, double width, double height) {
    load_cairo(&c->cairo); /* canvas_can has tried it */
    int w = (int)(width * CANVAS_SCALE), h = (int)(height * CANVAS_SCALE);
    if (w > CANVAS_MOST || h > CANVAS_MOST) return cli_fail("%s: %d x %d pixels are too many for PNG", c->path, w, h);
    c->surface = c->cairo.image_surface_create(1 /* RGB24 */, w, h);
    if (c->cairo.surface_status(c->surface) != 0) return cli_fail("out of memory while drawing");
    c->cr = c->cairo.create(c->surface);
    c->cairo.scale(c->cr, CANVAS_SCALE, CANVAS_SCALE);
    c->cairo.select_font_face(c->cr, "sans-serif", 0, 0);
    return CLI_YES;
}

static int png_to_memory(void *closure, const unsigned char *data, unsigned length) {
    put(closure, data, length);
    return 0; /* CAIRO_STATUS_SUCCESS */
}

static void png_colour(canvas *c, unsigned colour) {
    c->cairo.set_source_rgb(c->cr, (colour >> 16) / 255.0, (colour >> 8 & 255) / 255.0, (colour & 255) / 255.0);
}

/* ---- drawing ---- */

static bool ends_with(const char *text, const char *ending) {
    size_t n = strlen(text), m = strlen(ending);
    return n > m && strcmp(text + n - m, ending) == 0;
}

static void free_canvas(canvas *c) {
    if (c->cr) c->cairo.destroy(c->cr);
    if (c->surface) c->cairo.surface_destroy(c->surface);
    free(c->path);
    free(c->data);
    free(c);
}

bool canvas_png(void) {
    cairo_api unused;
    return load_cairo(&unused);
}

static bool can_draw(const char *path) {
    cairo_api unused;
    bool png = ends_with(path, ".png");
    if (!png && !ends_with(path, ".svg")) {
        cli_fail("%s: a plot is written as .svg or .png", path);
        return false;
    }
    if (png && !load_cairo(&unused)) {
        cli_fail("PNG needs libcairo.so.2, which is not installed; a file that ends in .svg needs nothing");
        return false;
    }
    return true;
}

bool canvas_can(const char *path) { return can_draw(path) && frame_may_write(path); }

canvas *canvas_open(const char *path, double width, double height) {
    return frame_may_write(path) ? canvas_replace(path, width, height) : NULL;
}

canvas *canvas_replace(const char *path, double width, double height) {
    if (!can_draw(path)) return NULL;
    bool png = ends_with(path, ".png");
    canvas *c = frame_alloc(sizeof *c);
    memset(c, 0, sizeof *c);
    c->path = frame_alloc(strlen(path) + 1);
    strcpy(c->path, path);
    if (png && open_png(c, width, height) != CLI_YES) {
        free_canvas(c);
        return NULL;
    }
    if (!png)
        put_format(c,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" viewBox=\"0 0 %g %g\" "
                   "font-family=\"sans-serif\">\n",
                   width, height, width, height);
    canvas_rect(c, 0, 0, width, height, 0xffffff);
    return c;
}

void canvas_rect(canvas *c, double x, double y, double width, double height, unsigned colour) {
    if (c->cr) {
        png_colour(c, colour);
        c->cairo.rectangle(c->cr, x, y, width, height);
        c->cairo.fill(c->cr);
    } else {
        put_format(c, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"#%06x\"/>\n", x, y, width, height, colour);
    }
}

void canvas_line(canvas *c, const double *points, size_t count, double width, unsigned colour) {
    if (count < 2) return;
    if (c->cr) {
        png_colour(c, colour);
        c->cairo.set_line_width(c->cr, width);
        c->cairo.set_line_cap(c->cr, 1 /* round */);
        c->cairo.set_line_join(c->cr, 1 /* round */);
        c->cairo.move_to(c->cr, points[0], points[1]);
        for (size_t i = 1; i < count; i++) c->cairo.line_to(c->cr, points[2 * i], points[2 * i + 1]);
        c->cairo.stroke(c->cr);
        return;
    }
    put_format(c,
               "<polyline fill=\"none\" stroke=\"#%06x\" stroke-width=\"%g\" stroke-linecap=\"round\" "
               "stroke-linejoin=\"round\" points=\"",
               colour, width);
    for (size_t i = 0; i < count; i++) put_format(c, "%s%.1f,%.1f", i ? " " : "", points[2 * i], points[2 * i + 1]);
    put_format(c, "\"/>\n");
}

/* Text of XML: markup escaped; frame_quote has made control bytes and bad UTF-8 visible before. */
static void put_escaped(canvas *c, const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p == '<' || *p == '>' || *p == '&' || *p == '"')
            put_format(c, "&#%d;", *p);
        else
            put(c, p, 1);
    }
}

void canvas_text(canvas *c, double x, double y, double size, canvas_anchor anchor, unsigned colour, const char *text) {
    char *quoted = frame_quote(text, strlen(text), false);
    if (c->cr) {
        cairo_extents extents;
        png_colour(c, colour);
        c->cairo.set_font_size(c->cr, size);
        c->cairo.text_extents(c->cr, quoted, &extents);
        c->cairo.move_to(c->cr, x - extents.x_advance * (anchor == CANVAS_RIGHT ? 1 : anchor == CANVAS_MIDDLE ? 0.5 : 0), y);
        c->cairo.show_text(c->cr, quoted);
    } else {
        static const char *const anchors[] = { "start", "middle", "end" };
        put_format(c, "<text x=\"%g\" y=\"%g\" font-size=\"%g\" text-anchor=\"%s\" fill=\"#%06x\">", x, y, size,
                   anchors[anchor], colour);
        put_escaped(c, quoted);
        put(c, "</text>\n", 8);
    }
    free(quoted);
}

/* ---- the file ---- */

static bool write_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

bool frame_may_write(const char *path) {
    if (cli.force || access(path, F_OK) != 0) return true;
    cli_fail("%s exists already; --force overwrites it", path);
    return false;
}

/* Under a temporary name beside the target first, then renamed. */
int frame_write_file(const char *path, const char *data, size_t length) {
    size_t n = strlen(path);
    char *temporary = frame_alloc(n + 16);
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    snprintf(temporary, n + 16, "%.*s.%s.XXXXXX", (int)folder, path, path + folder);
    int fd = mkstemp(temporary), error = errno;
    bool done = fd >= 0;
    if (done) {
        mode_t mask = umask(0);
        umask(mask);
        done = write_all(fd, data, length) && fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0;
        error = errno;
        if (close(fd) != 0 && done) {
            done = false;
            error = errno;
        }
        if (done && rename(temporary, path) != 0) {
            done = false;
            error = errno;
        }
        if (!done) unlink(temporary);
    }
    free(temporary);
    return done ? CLI_YES : cli_fail("cannot write %s: %s", path, strerror(error));
}

int canvas_close(canvas *c) {
    int code = CLI_YES;
    if (c->cr) {
        if (c->cairo.write_to_png_stream(c->surface, png_to_memory, c) != 0) code = cli_fail("%s: cannot make a PNG", c->path);
    } else {
        put(c, "</svg>\n", 7);
    }
    if (code == CLI_YES) code = frame_write_file(c->path, c->data, c->length);
    free_canvas(c);
    return code;
}
