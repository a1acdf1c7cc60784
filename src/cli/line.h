/* Editing a message on a terminal: one line, or several, with those of before at hand. */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum line_result {
    LINE_DONE,        /* a message */
    LINE_END,         /* Ctrl-D with nothing typed, a signal came, or the terminal is gone */
    LINE_INTERRUPTED, /* Ctrl-C with nothing typed */
    LINE_CLEARED      /* Ctrl-C with something typed, which is gone */
} line_result;

typedef struct line_editor line_editor;

/* Of the terminal that is stdin and stdout. */
line_editor *line_open(void);
void line_close(line_editor *e); /* NULL is fine */
/* Shows `prompt` and lets a message be typed. *text is freed with free, and given only with LINE_DONE. Enter ends it;
 * Alt-Enter, Ctrl-J, a backslash before Enter, and line ends of pasted text begin a new line in it. */
line_result line_read(line_editor *e, const char *prompt, char **text);
/* Adds a message to those that the arrow up brings back. */
void line_remember(line_editor *e, const char *text);

#endif
