/* A line editor for UTF-8, a few screens of which are enough for a chat.
 *
 * Understands what every terminal since the VT100 sends and draws with four sequences: up, right, clear below, return.
 * Lines are broken here, never by the terminal, so that the place of the cursor is known. Bracketed paste keeps line
 * ends in pasted text from sending it. */
#include "line.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "frame.h"

#define MAX_TEXT (16u << 20) /* of one message; a paste beyond it is cut off with a bell */
#define MAX_HISTORY 1000
#define TAB_CELLS 4

struct line_editor {
    char *text;
    size_t length, cap, cursor;
    char **history;
    size_t history_count, history_at; /* history_count: the message being typed */
    char *typed;                      /* that message, while an older one is shown */
    const char *prompt;
    size_t drawn_row; /* where the cursor is, counted from the prompt's line */
    bool pasting, pasted_return; /* its last byte was a carriage return: a line feed after it is the same end */
    struct termios before;
    unsigned char input[4096];
    size_t input_at, input_count;
    /* what is sent to the terminal at once, so that it does not flicker */
    char *out;
    size_t out_length, out_cap;
};

/* ---- drawing ---- */

static void put(line_editor *e, const char *text, size_t length) {
    if (e->out_length + length > e->out_cap) {
        e->out_cap = (e->out_length + length) * 2;
        e->out = frame_realloc(e->out, e->out_cap);
    }
    memcpy(e->out + e->out_length, text, length);
    e->out_length += length;
}

static void puts_(line_editor *e, const char *text) { put(e, text, strlen(text)); }

static void put_move(line_editor *e, size_t n, char direction) {
    char text[32];
    if (n == 0) return;
    put(e, text, (size_t)snprintf(text, sizeof text, "\033[%zu%c", n, direction));
}

static void flush(line_editor *e) {
    size_t done = 0;
    while (done < e->out_length) {
        ssize_t n = write(STDOUT_FILENO, e->out + done, e->out_length - done);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t)n;
    }
    e->out_length = 0;
}

static size_t columns(void) {
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 8 ? w.ws_col : 80;
}

/* Bytes of the character at `at`; broken bytes stand alone. */
static size_t char_length(const line_editor *e, size_t at) {
    unsigned char c = (unsigned char)e->text[at];
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1, i = 1;
    while (i < n && at + i < e->length && ((unsigned char)e->text[at + i] & 0xc0) == 0x80) i++;
    return i;
}

typedef struct place {
    size_t row, column;
} place;

/* Draws text[0 .. end) behind the prompt and says where that ends. With `silent` it only says. */
static place draw_to(line_editor *e, size_t end, bool silent) {
    size_t width = columns(), indent = frame_width(e->prompt, strlen(e->prompt));
    place p = { 0, indent };
    if (!silent) puts_(e, e->prompt);
    for (size_t i = 0, n; i < end; i += n) {
        const char *c = e->text + i;
        n = char_length(e, i);
        bool newline = *c == '\n', tab = *c == '\t';
        size_t cells = newline ? 0 : tab ? TAB_CELLS : frame_width(c, n);
        if (newline || p.column + cells > width) {
            p = (place){ p.row + 1, newline ? indent : 0 };
            if (!silent) puts_(e, "\r\n");
            if (!silent && newline) put(e, "                                ", indent < 32 ? indent : 32);
        }
        if (!silent && tab)
            put(e, "    ", TAB_CELLS);
        else if (!silent && !newline)
            put(e, c, n);
        p.column += cells;
    }
    if (p.column >= width) { /* the terminal would wait with the break until something follows */
        p = (place){ p.row + 1, 0 };
        if (!silent) puts_(e, "\r\n");
    }
    return p;
}

static void draw(line_editor *e) {
    put_move(e, e->drawn_row, 'A');
    puts_(e, "\r\033[J");
    place end = draw_to(e, e->length, false), at = draw_to(e, e->cursor, true);
    put_move(e, end.row - at.row, 'A');
    puts_(e, "\r");
    put_move(e, at.column, 'C');
    e->drawn_row = at.row;
    flush(e);
}

/* Leaves the message on the screen and goes to the line below it. */
static void leave(line_editor *e) {
    e->cursor = e->length;
    draw(e);
    puts_(e, "\r\n");
    flush(e);
    e->drawn_row = 0;
}

static void bell(line_editor *e) {
    puts_(e, "\a");
    flush(e);
}

/* ---- changing the text ---- */

static void insert(line_editor *e, const char *text, size_t length) {
    if (e->length + length > MAX_TEXT) {
        bell(e);
        return;
    }
    if (e->length + length + 1 > e->cap) {
        e->cap = (e->length + length + 1) * 2;
        e->text = frame_realloc(e->text, e->cap);
    }
    memmove(e->text + e->cursor + length, e->text + e->cursor, e->length - e->cursor);
    memcpy(e->text + e->cursor, text, length);
    e->length += length;
    e->cursor += length;
}

static void erase(line_editor *e, size_t from, size_t to) {
    if (from == to) return; /* nothing was typed yet, perhaps */
    memmove(e->text + from, e->text + to, e->length - to);
    e->length -= to - from;
    e->cursor = from;
}

static void set_text(line_editor *e, const char *text) {
    e->length = e->cursor = 0;
    insert(e, text, strlen(text));
}

static size_t before(const line_editor *e, size_t at) {
    if (at == 0) return 0;
    for (at--; at > 0 && ((unsigned char)e->text[at] & 0xc0) == 0x80;) at--;
    return at;
}

static size_t after(const line_editor *e, size_t at) { return at < e->length ? at + char_length(e, at) : at; }

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t'; }

static size_t word_left(const line_editor *e) {
    size_t at = e->cursor;
    while (at && is_space(e->text[at - 1])) at--;
    while (at && !is_space(e->text[at - 1])) at--;
    return at;
}

static size_t word_right(const line_editor *e) {
    size_t at = e->cursor;
    while (at < e->length && is_space(e->text[at])) at++;
    while (at < e->length && !is_space(e->text[at])) at++;
    return at;
}

static size_t line_begin(const line_editor *e) {
    size_t at = e->cursor;
    while (at && e->text[at - 1] != '\n') at--;
    return at;
}

static size_t line_end(const line_editor *e) {
    size_t at = e->cursor;
    while (at < e->length && e->text[at] != '\n') at++;
    return at;
}

/* ---- messages of before ---- */

static char *copy_text(const char *text, size_t length) {
    char *copy = frame_alloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

static void show_history(line_editor *e, size_t at) {
    if (at > e->history_count) return;
    if (e->history_at == e->history_count) {
        free(e->typed);
        e->typed = copy_text(e->length ? e->text : "", e->length);
    }
    e->history_at = at;
    set_text(e, at < e->history_count ? e->history[at] : e->typed);
}

/* Up and down move in a message of several lines first. */
static void go_up(line_editor *e) {
    size_t begin = line_begin(e), column = e->cursor - begin;
    if (begin == 0) {
        if (e->history_at) show_history(e, e->history_at - 1);
        return;
    }
    e->cursor = begin - 1;
    size_t above = line_begin(e);
    if (above + column < e->cursor) e->cursor = above + column;
    while (e->cursor > above && ((unsigned char)e->text[e->cursor] & 0xc0) == 0x80) e->cursor--;
}

static void go_down(line_editor *e) {
    size_t end = line_end(e), column = e->cursor - line_begin(e);
    if (end == e->length) {
        if (e->history_at < e->history_count) show_history(e, e->history_at + 1);
        return;
    }
    e->cursor = end + 1;
    size_t below = line_end(e), to = e->cursor + column;
    e->cursor = to < below ? to : below;
    while (e->cursor < e->length && ((unsigned char)e->text[e->cursor] & 0xc0) == 0x80) e->cursor--;
}

void line_remember(line_editor *e, const char *text) {
    if (e->history_count && strcmp(e->history[e->history_count - 1], text) == 0) return;
    if (e->history_count == MAX_HISTORY) {
        free(e->history[0]);
        memmove(e->history, e->history + 1, (MAX_HISTORY - 1) * sizeof *e->history);
        e->history_count--;
    }
    e->history = frame_realloc(e->history, (e->history_count + 1) * sizeof *e->history);
    e->history[e->history_count++] = copy_text(text, strlen(text));
}

/* ---- keys ---- */

enum {
    KEY_NONE = -1, KEY_GONE = -2, KEY_FIRST = 256,
    KEY_UP = KEY_FIRST, KEY_DOWN, KEY_RIGHT, KEY_LEFT, KEY_HOME, KEY_END, KEY_DELETE, KEY_WORD_RIGHT, KEY_WORD_LEFT,
    KEY_NEWLINE, KEY_ERASE_WORD, KEY_PASTE_BEGIN, KEY_PASTE_END, KEY_REDRAW
};

/* A byte of input; KEY_NONE where none comes within `wait` milliseconds (-1: ever), KEY_REDRAW after a signal. */
static int next_byte(line_editor *e, int wait) {
    if (e->input_at < e->input_count) return e->input[e->input_at++];
    if (cli_interrupted()) return KEY_GONE;
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    int ready = poll(&p, 1, wait);
    if (ready < 0) return errno != EINTR || cli_interrupted() ? KEY_GONE : KEY_REDRAW;
    if (ready == 0) return KEY_NONE;
    ssize_t n = read(STDIN_FILENO, e->input, sizeof e->input);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return KEY_REDRAW;
    if (n <= 0) return KEY_GONE;
    e->input_at = 1;
    e->input_count = (size_t)n;
    return e->input[0];
}

/* What follows ESC [ or ESC O, up to its last byte. */
static int sequence_key(line_editor *e, int lead) {
    char text[16];
    size_t n = 0;
    for (;;) {
        int c = next_byte(e, 50);
        if (c < 0 || c > 255) return KEY_NONE;
        if (n < sizeof text - 1) text[n++] = (char)c;
        if (c >= 0x40 && c <= 0x7e) break;
    }
    text[n] = 0;
    static const struct {
        const char *text;
        int key;
    } keys[] = {
        { "A", KEY_UP },           { "B", KEY_DOWN },         { "C", KEY_RIGHT },       { "D", KEY_LEFT },
        { "H", KEY_HOME },         { "F", KEY_END },          { "1~", KEY_HOME },       { "7~", KEY_HOME },
        { "4~", KEY_END },         { "8~", KEY_END },         { "3~", KEY_DELETE },     { "1;5C", KEY_WORD_RIGHT },
        { "1;3C", KEY_WORD_RIGHT }, { "1;5D", KEY_WORD_LEFT }, { "1;3D", KEY_WORD_LEFT }, { "200~", KEY_PASTE_BEGIN },
        { "201~", KEY_PASTE_END }, { "13;2u", KEY_NEWLINE },  { "13;5u", KEY_NEWLINE },
    };
    (void)lead;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i].text, text) == 0) return keys[i].key;
    return KEY_NONE;
}

static int escape_key(line_editor *e) {
    int c = next_byte(e, 50);
    while (c == 27) c = next_byte(e, 50); /* some terminals send it for Alt, too */
    switch (c) {
    case '[':
    case 'O': return sequence_key(e, c);
    case '\r':
    case '\n': return KEY_NEWLINE;
    case 'b': return KEY_WORD_LEFT;
    case 'f': return KEY_WORD_RIGHT;
    case 127:
    case 8: return KEY_ERASE_WORD;
    default: return KEY_NONE;
    }
}

static int next_key(line_editor *e) {
    int c = next_byte(e, -1);
    return c == 27 ? escape_key(e) : c;
}

/* Pasted bytes are text, whatever keys they look like. */
static void take_pasted(line_editor *e, int key) {
    bool same = key == '\n' && e->pasted_return;
    e->pasted_return = key == '\r';
    if (same) return;
    char c = key == '\r' ? '\n' : (char)key;
    bool text = key >= 0 && key < 256 && (key >= 32 || c == '\n' || c == '\t') && key != 127;
    if (text) insert(e, &c, 1);
}

static bool ctrl(int key, char letter) { return key == (letter & 0x1f); }

/* Moves and changes; false for keys that do neither. */
static bool edit(line_editor *e, int key) {
    if (key == KEY_LEFT || ctrl(key, 'B')) e->cursor = before(e, e->cursor);
    else if (key == KEY_RIGHT || ctrl(key, 'F')) e->cursor = after(e, e->cursor);
    else if (key == KEY_UP || ctrl(key, 'P')) go_up(e);
    else if (key == KEY_DOWN || ctrl(key, 'N')) go_down(e);
    else if (key == KEY_HOME || ctrl(key, 'A')) e->cursor = line_begin(e);
    else if (key == KEY_END || ctrl(key, 'E')) e->cursor = line_end(e);
    else if (key == KEY_WORD_LEFT) e->cursor = word_left(e);
    else if (key == KEY_WORD_RIGHT) e->cursor = word_right(e);
    else if (key == 127 || ctrl(key, 'H')) erase(e, before(e, e->cursor), e->cursor);
    else if (key == KEY_DELETE || ctrl(key, 'D')) erase(e, e->cursor, after(e, e->cursor));
    else if (key == KEY_ERASE_WORD || ctrl(key, 'W')) erase(e, word_left(e), e->cursor);
    else if (ctrl(key, 'U')) erase(e, line_begin(e), e->cursor);
    else if (ctrl(key, 'K')) erase(e, e->cursor, line_end(e));
    else if (key == KEY_NEWLINE || key == '\n') insert(e, "\n", 1);
    else if (key == '\t' || (key >= 32 && key < 256)) insert(e, &(char){ (char)key }, 1);
    else return false;
    return true;
}

/* Does Enter send? A backslash before it asks for another line. */
static bool sends(line_editor *e) {
    if (e->cursor == 0 || e->text[e->cursor - 1] != '\\') return true;
    erase(e, e->cursor - 1, e->cursor);
    insert(e, "\n", 1);
    return false;
}

static line_result interrupted(line_editor *e) {
    line_result result = e->length ? LINE_CLEARED : LINE_INTERRUPTED;
    e->pasting = false;
    e->cursor = e->length;
    draw(e);
    puts_(e, "^C\r\n");
    flush(e);
    return result;
}

/* True when the message is done with, *result then says how. */
static bool take_key(line_editor *e, int key, line_result *result) {
    if (key == KEY_PASTE_BEGIN || key == KEY_PASTE_END) {
        e->pasting = key == KEY_PASTE_BEGIN;
        e->pasted_return = false;
    } else if (key == KEY_GONE || (ctrl(key, 'D') && e->length == 0 && !e->pasting)) {
        leave(e);
        *result = LINE_END;
        return true;
    } else if (e->pasting && !(ctrl(key, 'C') && e->input_count == 1)) { /* typed, and not in a paste that never ends */
        take_pasted(e, key);
    } else if (ctrl(key, 'C')) {
        *result = interrupted(e);
        return true;
    } else if (key == '\r') {
        if (!sends(e)) return false;
        leave(e);
        *result = LINE_DONE;
        return true;
    } else if (ctrl(key, 'L')) {
        puts_(e, "\033[H\033[2J");
        e->drawn_row = 0;
    } else if (key != KEY_NONE && key != KEY_REDRAW && !edit(e, key)) {
        bell(e);
    }
    return false;
}

/* ---- the terminal ---- */

static bool enter_raw(line_editor *e) {
    if (tcgetattr(STDIN_FILENO, &e->before) != 0) return false;
    struct termios raw = e->before;
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IXON | ISTRIP | BRKINT);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

line_editor *line_open(void) {
    line_editor *e = frame_alloc(sizeof *e);
    memset(e, 0, sizeof *e);
    return e;
}

void line_close(line_editor *e) {
    if (!e) return;
    for (size_t i = 0; i < e->history_count; i++) free(e->history[i]);
    free(e->history);
    free(e->typed);
    free(e->text);
    free(e->out);
    free(e);
}

line_result line_read(line_editor *e, const char *prompt, char **text) {
    line_result result = LINE_END;
    e->prompt = prompt;
    e->length = e->cursor = e->drawn_row = 0;
    e->history_at = e->history_count;
    e->pasting = false;
    if (!enter_raw(e)) return LINE_END;
    puts_(e, "\033[?2004h");
    draw(e);
    for (;;) {
        if (take_key(e, next_key(e), &result)) break;
        if (e->input_at == e->input_count) draw(e); /* not for each byte of a paste */
    }
    puts_(e, "\033[?2004l");
    flush(e);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &e->before);
    if (result == LINE_DONE) *text = copy_text(e->length ? e->text : "", e->length);
    return result;
}
