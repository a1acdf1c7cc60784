/* Drawing rectangles, lines and text into an SVG or PNG file.
 *
 * SVG is written here. PNG goes through libcairo, which is loaded when a PNG is asked for and not before. The file
 * appears whole or not at all. */
#ifndef CLI_CANVAS_H
#define CLI_CANVAS_H

#include "cli.h"

typedef struct canvas canvas;
typedef enum canvas_anchor { CANVAS_LEFT, CANVAS_MIDDLE, CANVAS_RIGHT } canvas_anchor;

/* Could canvas_open work on this path? A message where it could not. */
bool canvas_can(const char *path);
/* The ending of `path` chooses: .svg or .png. NULL after a message. Sizes are in pixels of SVG; PNG has twice as
 * many. */
canvas *canvas_open(const char *path, double width, double height);
/* The same for a file that is the program's own, and is replaced where it is there already. */
canvas *canvas_replace(const char *path, double width, double height);
/* Can PNG be made: is there cairo? */
bool canvas_png(void);
/* Colours are 0xrrggbb. */
void canvas_rect(canvas *c, double x, double y, double width, double height, unsigned colour);
/* Through `count` points x, y, x, y, ... */
void canvas_line(canvas *c, const double *points, size_t count, double width, unsigned colour);
/* `y` is the base line. */
void canvas_text(canvas *c, double x, double y, double size, canvas_anchor anchor, unsigned colour, const char *text);
/* Writes the file; CLI_YES, or CLI_ERROR after a message. Frees c. */
int canvas_close(canvas *c);

#endif
