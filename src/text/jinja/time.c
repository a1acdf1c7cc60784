/* strftime_now: the caller's time, in English, whatever the locale. */
#include "text/jinja/engine.h"

typedef struct civil {
    int64_t year;
    int month, day, hour, minute, second, week_day, year_day; /* month 1.., week_day 0 = Sunday, year_day 0.. */
} civil;

/* Days since 1970-01-01 to a date of the Gregorian calendar, in eras of 400 years. */
static civil civil_of(int64_t seconds) {
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) rest += 86400, days--;
    civil t = { .hour = (int)(rest / 3600), .minute = (int)(rest / 60 % 60), .second = (int)(rest % 60) };
    t.week_day = (int)((days % 7 + 11) % 7);
    int64_t shifted = days + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); /* from 1 March */
    int64_t month = (5 * of_year + 2) / 153;
    t.day = (int)(of_year - (153 * month + 2) / 5 + 1);
    t.month = (int)(month < 10 ? month + 3 : month - 9);
    t.year = year_of_era + era * 400 + (t.month <= 2);
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    bool leap = (t.year % 4 == 0 && t.year % 100 != 0) || t.year % 400 == 0;
    t.year_day = before[t.month - 1] + t.day - 1 + (leap && t.month > 2);
    return t;
}

/* ISO 8601: the week that has most of its days in the year. */
static int iso_week(const civil *t, int64_t *year) {
    int monday = (t->week_day + 6) % 7;
    int week = (t->year_day - monday + 10) / 7;
    *year = t->year;
    int64_t last = t->year - 1;
    if (week < 1) {
        *year = last;
        bool leap = (last % 4 == 0 && last % 100 != 0) || last % 400 == 0;
        return (t->year_day + 365 + leap - monday + 10) / 7;
    }
    bool leap = (t->year % 4 == 0 && t->year % 100 != 0) || t->year % 400 == 0;
    if (week == 53 && t->year_day - monday + 3 >= 365 + leap) {
        *year = t->year + 1;
        return 1;
    }
    return week;
}

static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August",
                                      "September", "October", "November", "December" };

/* A number padded with zeros, spaces or nothing, as the flag says. */
static void add_number(jbuild *b, int64_t v, int width, char pad, char flag) {
    char text[32];
    if (flag == '-') width = 0;
    else if (flag == '_') pad = ' ';
    else if (flag == '0') pad = '0';
    snprintf(text, sizeof text, pad == '0' ? "%0*lld" : "%*lld", width, (long long)v);
    jbuild_text(b, text, 0);
}

static void add_words(jbuild *b, const civil *t, const char *format);

static bool add_field(jbuild *b, const civil *t, char c, char flag, int64_t now) {
    int hour = t->hour % 12 ? t->hour % 12 : 12, monday = (t->week_day + 6) % 7;
    int64_t iso_year;
    int week = iso_week(t, &iso_year);
    switch (c) {
    case 'a':
    case 'A':
    case 'b':
    case 'h':
    case 'B': {
        const char *word = c == 'a' || c == 'A' ? days[t->week_day] : months[t->month - 1];
        jbuild_bytes(b, word, c == 'A' || c == 'B' ? strlen(word) : 3, 0);
        return true;
    }
    case 'd': add_number(b, t->day, 2, '0', flag); return true;
    case 'e': add_number(b, t->day, 2, ' ', flag); return true;
    case 'm': add_number(b, t->month, 2, '0', flag); return true;
    case 'y': add_number(b, (t->year % 100 + 100) % 100, 2, '0', flag); return true;
    case 'Y': add_number(b, t->year, 1, '0', flag); return true;
    case 'C': add_number(b, t->year / 100, 2, '0', flag); return true;
    case 'G': add_number(b, iso_year, 1, '0', flag); return true;
    case 'g': add_number(b, iso_year % 100, 2, '0', flag); return true;
    case 'V': add_number(b, week, 2, '0', flag); return true;
    case 'U': add_number(b, (t->year_day + 7 - t->week_day) / 7, 2, '0', flag); return true;
    case 'W': add_number(b, (t->year_day + 7 - monday) / 7, 2, '0', flag); return true;
    case 'u': add_number(b, monday + 1, 1, '0', flag); return true;
    case 'w': add_number(b, t->week_day, 1, '0', flag); return true;
    case 'j': add_number(b, t->year_day + 1, 3, '0', flag); return true;
    case 'H': add_number(b, t->hour, 2, '0', flag); return true;
    case 'k': add_number(b, t->hour, 2, ' ', flag); return true;
    case 'I': add_number(b, hour, 2, '0', flag); return true;
    case 'l': add_number(b, hour, 2, ' ', flag); return true;
    case 'M': add_number(b, t->minute, 2, '0', flag); return true;
    case 'S': add_number(b, t->second, 2, '0', flag); return true;
    case 'f': jbuild_text(b, "000000", 0); return true;
    case 's': add_number(b, now, 1, '0', flag); return true;
    case 'p': jbuild_text(b, t->hour < 12 ? "AM" : "PM", 0); return true;
    case 'P': jbuild_text(b, t->hour < 12 ? "am" : "pm", 0); return true;
    case 'D':
    case 'x': add_words(b, t, "m/d/y"); return true;
    case 'F': add_words(b, t, "Y-m-d"); return true;
    case 'T':
    case 'X': add_words(b, t, "H:M:S"); return true;
    case 'R': add_words(b, t, "H:M"); return true;
    case 'r': add_words(b, t, "I:M:S p"); return true;
    case 'c': add_words(b, t, "a b e H:M:S Y"); return true;
    case 'n': jbuild_text(b, "\n", 0); return true;
    case 't': jbuild_text(b, "\t", 0); return true;
    case '%': jbuild_text(b, "%", 0); return true;
    case 'z':
    case 'Z': return true; /* the time has no zone */
    default: return false;
    }
}

static void add_words(jbuild *b, const civil *t, const char *format) {
    for (; *format; format++)
        if (strchr(" /:-", *format)) jbuild_bytes(b, format, 1, 0);
        else add_field(b, t, *format, 0, 0);
}

const jstr *jinja_strftime(jinja_run *e, const jstr *format) {
    civil t = civil_of(e->options->now);
    jbuild b;
    jbuild_init(&b, e);
    size_t from = 0;
    for (size_t at = 0; at < format->length; at++) {
        if (format->data[at] != '%') continue;
        jbuild_cut(&b, format, from, at);
        char flag = 0;
        if (++at < format->length && strchr("-_0", format->data[at])) flag = format->data[at++];
        if (at >= format->length || !add_field(&b, &t, format->data[at], flag, e->options->now))
            jinja_fail(e, TOLA_E_UNSUPPORTED, "strftime_now: unknown field in its format");
        from = at + 1;
    }
    jbuild_cut(&b, format, from, format->length);
    return jbuild_done(&b);
}
