/* Charts of curves over steps: as a picture, and in the terminal. */
#ifndef CLI_CURVES_H
#define CLI_CURVES_H

#include "cli.h"

typedef struct curve {
    const char *name;
    const double *x, *y; /* x ascends; what is not finite in y is left out */
    size_t count;
    bool noisy; /* many values that jump: drawn pale, with their running mean over them */
} curve;

/* Curves that share an axis. */
typedef struct curve_panel {
    const char *label; /* of the axis */
    const curve *curves;
    size_t count;
    bool logarithmic; /* where all values are above 0 */
} curve_panel;

#define CURVES_MOST 8 /* in all panels: so many colours there are */

/* Panels one below the other over the same steps, the first one the largest. `path` ends in .svg or .png and is
 * replaced. CLI_YES, or CLI_ERROR after a message. */
int curves_draw(const char *path, const char *title, const curve_panel *panels, size_t count);
/* One panel to stdout, `rows` lines high and as wide as the terminal, in braille where the locale is UTF-8. Nothing
 * where there is no curve of two points. */
void curves_print(const curve_panel *panel, unsigned rows);

/* The log of a run in `folder`: loss, validation, rate and what else was measured, drawn into loss.png there (loss.svg
 * where PNG cannot be made), and printed where `print`. Says nothing where the log holds fewer than two steps. CLI_YES,
 * or CLI_ERROR after a message. */
int curves_of_run(const char *folder, const char *title, bool print);

#endif
