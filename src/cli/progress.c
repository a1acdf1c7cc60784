/* Progress of long work on stderr, and what Ctrl-C does.
 *
 * On a terminal one line is redrawn; elsewhere (--progress always) a line is written now and then. Nothing is shown
 * in the first half second, so that short jobs stay silent. */
#include "frame.h"
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- interrupts ---- */

static atomic_int caught;

static void on_signal(int number) { atomic_store(&caught, number); }

/* For each signal that ends a process, unless it is ignored already, as under nohup. */
static void set_handlers(const struct sigaction *action) {
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
        sigaction(numbers[i], action, NULL);
    }
}

void cli_catch_interrupts(void) {
    /* SA_RESETHAND: the second signal finds the default action, which ends the process. */
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_RESTART };
    sigemptyset(&action.sa_mask);
    set_handlers(&action);
}

void cli_release_interrupts(void) {
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigemptyset(&action.sa_mask);
    set_handlers(&action);
    atomic_store(&caught, 0);
}

bool cli_interrupted(void) { return atomic_load(&caught) != 0; }

int frame_interrupt_signal(void) { return atomic_load(&caught); }

/* ---- the line ---- */

static struct {
    char phase[64];
    double started, drawn; /* seconds; 0 = not yet */
    double rate;           /* bytes a second, smoothed */
    double rate_at;
    uint64_t rate_done;
    bool visible;
} state;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool wanted(bool *terminal) {
    *terminal = isatty(STDERR_FILENO);
    if (strcmp(cli.progress, "always") == 0) return true;
    return strcmp(cli.progress, "auto") == 0 && *terminal && !cli.quiet;
}

static int columns(void) {
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40 ? w.ws_col : 80;
}

static void measure(uint64_t done, double t) {
    double elapsed = t - state.rate_at;
    if (elapsed <= 0 || done < state.rate_done) return;
    double current = (double)(done - state.rate_done) / elapsed;
    state.rate = state.rate > 0 ? state.rate * 0.8 + current * 0.2 : current;
    state.rate_at = t;
    state.rate_done = done;
}

static void format_time(char *buf, size_t n, double seconds) {
    if (seconds > 359999) seconds = 359999; /* 99:59:59 */
    unsigned s = (unsigned)seconds;
    if (s >= 3600)
        snprintf(buf, n, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, n, "%u:%02u", s / 60, s % 60);
}

static void draw(const tola_progress *p, bool terminal) {
    char done[32], total[32], rate[32], left[32] = "", numbers[160], bar[64] = "";
    text_bytes(done, sizeof done, p->done);
    text_bytes(total, sizeof total, p->total);
    text_bytes(rate, sizeof rate, (uint64_t)state.rate);
    if (p->total && state.rate > 0 && p->done <= p->total) {
        char duration[24];
        format_time(duration, sizeof duration, (double)(p->total - p->done) / state.rate);
        snprintf(left, sizeof left, ", %s left", duration);
    }
    if (p->total)
        snprintf(numbers, sizeof numbers, "%3.0f %%  %s of %s, %s/s%s",
                 p->done < p->total ? 100.0 * (double)p->done / (double)p->total : 100.0, done, total, rate, left);
    else
        snprintf(numbers, sizeof numbers, "%s, %s/s", done, rate);
    if (!terminal) {
        fprintf(stderr, "%s %s\n", state.phase, numbers);
        return;
    }
    int room = columns() - 1 - (int)strlen(state.phase) - (int)strlen(numbers) - 5;
    if (p->total && room >= 10) {
        int width = room < 40 ? room : 40;
        double part = p->done < p->total ? (double)p->done / (double)p->total : 1;
        int filled = (int)(part * width);
        bar[0] = '[';
        for (int i = 0; i < width; i++) bar[1 + i] = i < filled ? '=' : ' ';
        bar[1 + width] = ']';
        bar[2 + width] = ' ';
        bar[3 + width] = 0;
    }
    fprintf(stderr, "\r%s %s%s\033[K", state.phase, bar, numbers);
    fflush(stderr);
    state.visible = true;
}

bool cli_progress(void *user, const tola_progress *progress) {
    (void)user;
    bool terminal;
    if (cli_interrupted()) return false;
    if (!wanted(&terminal)) return true;
    double t = now();
    const char *phase = progress->phase ? progress->phase : "working";
    if (state.started == 0 || strcmp(phase, state.phase) != 0) {
        frame_progress_clear();
        snprintf(state.phase, sizeof state.phase, "%s", phase);
        state.started = state.rate_at = state.drawn = t;
        state.rate = 0;
        state.rate_done = progress->done;
        return true;
    }
    double interval = terminal ? 0.1 : 2.0;
    if (t - state.started < 0.5 || t - state.drawn < interval) return true;
    measure(progress->done, t);
    draw(progress, terminal);
    state.drawn = t;
    return true;
}

void cli_status(const char *format, ...) {
    bool terminal;
    if (!wanted(&terminal) || !terminal) return;
    va_list args;
    va_start(args, format);
    char *text = frame_format(format, args);
    va_end(args);
    char *quoted = frame_quote(text, strlen(text), false);
    frame_out_flush();
    fprintf(stderr, "\r%.*s\033[K", columns() - 1, quoted);
    fflush(stderr);
    state.visible = true;
    free(quoted);
    free(text);
}

void frame_progress_clear(void) {
    if (!state.visible) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    state.visible = false;
}

void cli_progress_end(void) {
    frame_progress_clear();
    state.started = 0;
}
