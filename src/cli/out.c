/* Everything that reaches stdout and stderr: one sink, plain when not a terminal, quiet when the reader has gone.
 *
 * Text that may come from a file never reaches a terminal raw: out_printf lets newlines and tabs through and makes all
 * other control characters visible; out_text and table cells make those visible too. */
#include "frame.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- memory ---- */

static _Noreturn void no_memory(void) {
    static const char message[] = "tola: out of memory\n";
    ssize_t ignored = write(2, message, sizeof message - 1);
    (void)ignored;
    _exit(CLI_ERROR);
}

void *frame_alloc(size_t bytes) { return frame_realloc(NULL, bytes); }

void *frame_realloc(void *block, size_t bytes) {
    void *p = realloc(block, bytes ? bytes : 1);
    if (!p) no_memory();
    return p;
}

char *frame_format(const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) no_memory();
    char *text = frame_alloc((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

/* ---- stdout ---- */

static struct {
    char data[1 << 16];
    size_t fill;
    int error;   /* errno of the first failed write */
    bool closed; /* after EPIPE or an error: the rest is dropped */
} sink;

static int columns_of_terminal(void) {
    const char *text = getenv("COLUMNS");
    if (text) {
        long n = strtol(text, NULL, 10);
        if (n >= 20 && n <= 1000) return (int)n;
    }
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20 && w.ws_col <= 1000) return w.ws_col;
    return 80;
}

void frame_out_init(void) {
    /* A descriptor that is closed would be handed out by the next open(), and messages would end up in a model. */
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
        int opened = open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR); /* writing to stdout stays an error */
        if (opened != fd) _exit(CLI_ERROR);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error with a message, not a death */
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    cli.colour = isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && *term && strcmp(term, "dumb") != 0;
    cli.columns = columns_of_terminal();
}

void frame_out_flush(void) {
    size_t done = 0;
    while (done < sink.fill && !sink.closed) {
        ssize_t n = write(STDOUT_FILENO, sink.data + done, sink.fill - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            if (errno != EPIPE) sink.error = errno;
            sink.closed = true;
        }
    }
    sink.fill = 0;
}

bool frame_out_gone(void) { return sink.closed; }

static void put(const char *text, size_t length) {
    while (length && !sink.closed) {
        size_t room = sizeof sink.data - sink.fill, n = length < room ? length : room;
        memcpy(sink.data + sink.fill, text, n);
        sink.fill += n;
        text += n;
        length -= n;
        if (sink.fill == sizeof sink.data) frame_out_flush();
    }
}

int out_close(int code) {
    frame_out_flush();
    if (!sink.error) return code;
    int error = sink.error;
    sink.error = 0;
    return cli_fail("writing to stdout: %s", strerror(error));
}

/* ---- quoting ---- */

/* Decodes one character of UTF-8; 0 bytes where it is invalid. */
static size_t decode(const unsigned char *s, size_t left, uint32_t *code) {
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > left) return 0;
    uint32_t c = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    *code = c;
    return n;
}

/* C0, DEL, C1, and what reorders or hides the text around it on a terminal. */
static bool is_harmful(uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

char *frame_quote(const char *text, size_t length, bool keep_lines) {
    const unsigned char *s = (const unsigned char *)text;
    char *out = frame_alloc(length * 4 + 1), *at = out; /* "\xNN" for one byte, "\uNNNN" for two or three */
    for (size_t i = 0, n; i < length; i += n) {
        uint32_t c = 0;
        n = decode(s + i, length - i, &c);
        if (n == 0 || (c < 0x80 && is_harmful(c) && !(keep_lines && (c == '\n' || c == '\t')))) {
            n = 1;
            at += sprintf(at, "\\x%02x", s[i]);
        } else if (c >= 0x80 && is_harmful(c)) {
            at += sprintf(at, "\\u%04x", (unsigned)c);
        } else {
            memcpy(at, s + i, n);
            at += n;
        }
    }
    *at = 0;
    return out;
}

size_t frame_width(const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    size_t width = 0;
    for (size_t i = 0, n; i < length; i += n) {
        uint32_t c = 0;
        n = decode(s + i, length - i, &c);
        if (n == 0) n = 1;
        if (c >= 0x300 && c <= 0x36f) continue; /* combining marks */
        bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf && c != 0x303f) ||
                    (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) ||
                    (c >= 0xff00 && c <= 0xff60) || (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) ||
                    (c >= 0x20000 && c <= 0x3fffd);
        width += wide ? 2 : 1;
    }
    return width;
}

/* ---- what verbs call ---- */

static void put_quoted(const char *text, bool keep_lines) {
    char *quoted = frame_quote(text, strlen(text), keep_lines);
    put(quoted, strlen(quoted));
    free(quoted);
}

void out_printf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = frame_format(format, args);
    va_end(args);
    put_quoted(text, true);
    free(text);
}

void out_text(const char *text) { put_quoted(text, false); }

static bool put_raw(const char *text, size_t length) {
    bool terminal = isatty(STDOUT_FILENO);
    char *quoted = terminal ? frame_quote(text, length, true) : NULL;
    put(terminal ? quoted : text, terminal ? strlen(quoted) : length);
    free(quoted);
    return terminal;
}

void out_raw(const char *text, size_t length) {
    if (put_raw(text, length)) put("\n", 1);
}

void out_stream(const char *text, size_t length) {
    frame_progress_clear();
    put_raw(text, length);
    frame_out_flush();
}

static void style_begin(out_style style) {
    static const char *const codes[] = { "", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[34m",
                                         "\033[35m", "\033[36m" };
    if (cli.colour && style != OUT_PLAIN) put(codes[style], strlen(codes[style]));
}

static void style_end(out_style style) {
    if (cli.colour && style != OUT_PLAIN) put("\033[0m", 4);
}

void out_styled(out_style style, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = frame_format(format, args);
    va_end(args);
    style_begin(style);
    put_quoted(text, true);
    style_end(style);
    free(text);
}

static bool json_to_stdout(void *user, const char *text, size_t length) {
    (void)user;
    put(text, length);
    return !sink.closed;
}

void out_json_begin(tola_json *json) { tola_json_init(json, json_to_stdout, NULL, 2); }

void out_json_end(tola_json *json) {
    bool done = tola_json_finish(json);
    put("\n", 1);
    /* A document that stopped for another reason than a closed stdout must not pass for a whole one. */
    if (!done && !sink.closed && !sink.error) sink.error = EOVERFLOW;
}

void out_json_string(tola_json *json, const char *key, const char *value) {
    tola_json_key(json, key);
    if (value)
        tola_json_string(json, value);
    else
        tola_json_null(json);
}

void out_json_u64(tola_json *json, const char *key, uint64_t value) {
    tola_json_key(json, key);
    tola_json_u64(json, value);
}

void out_json_count(tola_json *json, const char *key, uint64_t value) {
    tola_json_key(json, key);
    if (value)
        tola_json_u64(json, value);
    else
        tola_json_null(json);
}

void out_json_f64(tola_json *json, const char *key, double value) {
    tola_json_key(json, key);
    tola_json_f64(json, value);
}

void out_json_bool(tola_json *json, const char *key, bool value) {
    tola_json_key(json, key);
    tola_json_bool(json, value);
}

/* ---- messages ---- */

__attribute__((format(printf, 2, 0))) static void message(const char *prefix, const char *format, va_list args) {
    char *text = frame_format(format, args);
    char *quoted = frame_quote(text, strlen(text), false);
    frame_out_flush();
    frame_progress_clear();
    fprintf(stderr, "tola: %s%s\n", prefix, quoted);
    free(quoted);
    free(text);
}

int cli_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    message("", format, args);
    va_end(args);
    return CLI_ERROR;
}

int cli_fail_error(const tola_error *err) {
    if (err->status == TOLA_E_CANCELLED && cli_interrupted()) return cli_fail("interrupted");
    return cli_fail("%s", err->message[0] ? err->message : tola_status_name(err->status));
}

void cli_warn(const char *format, ...) {
    if (cli.quiet) return;
    va_list args;
    va_start(args, format);
    message("warning: ", format, args);
    va_end(args);
}

/* ---- tables ---- */

typedef struct cell {
    char *text;
    size_t width;
    out_style style;
} cell;

struct out_table {
    int columns;
    char *alignment;
    cell *cells; /* row after row; the headings are the first row where there are any */
    size_t count, cap;
    bool headings;
};

static void add_cell(out_table *t, out_style style, const char *text) {
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->cells = frame_realloc(t->cells, t->cap * sizeof *t->cells);
    }
    char *quoted = frame_quote(text, strlen(text), false);
    t->cells[t->count++] = (cell){ quoted, frame_width(quoted, strlen(quoted)), style };
}

out_table *out_table_new(int columns, const char *alignment, const char *const *headings) {
    out_table *t = frame_alloc(sizeof *t);
    *t = (out_table){ .columns = columns, .headings = headings != NULL };
    t->alignment = frame_alloc(strlen(alignment) + 1);
    strcpy(t->alignment, alignment);
    for (int i = 0; headings && i < columns; i++) add_cell(t, OUT_BOLD, headings[i]);
    return t;
}

void out_table_cell(out_table *t, out_style style, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = frame_format(format, args);
    va_end(args);
    add_cell(t, style, text);
    free(text);
}

static void put_spaces(size_t count) {
    while (count--) put(" ", 1);
}

void out_table_print(out_table *t) {
    size_t columns = (size_t)t->columns, letters = strlen(t->alignment);
    size_t *widths = frame_alloc(columns * sizeof *widths);
    memset(widths, 0, columns * sizeof *widths);
    for (size_t i = 0; i < t->count; i++)
        if (t->cells[i].width > widths[i % columns]) widths[i % columns] = t->cells[i].width;
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % columns, pad = widths[column] - t->cells[i].width;
        bool last = column + 1 == columns || i + 1 == t->count;
        bool right = column < letters && t->alignment[column] == 'r';
        if (right) put_spaces(pad);
        style_begin(t->cells[i].style);
        put(t->cells[i].text, strlen(t->cells[i].text));
        style_end(t->cells[i].style);
        if (last)
            put("\n", 1);
        else
            put_spaces((right ? 0 : pad) + 2);
        free(t->cells[i].text);
    }
    free(widths);
    free(t->cells);
    free(t->alignment);
    free(t);
}
