/* The faces of `tola stats`. */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include "cli.h"

typedef struct stats_settings {
    const char *plot;
    bool stored;
} stats_settings;

typedef struct stats_view {
    const tola_checkpoint *checkpoint;
    const char *path;
    const tola_stats *stats;
} stats_view;

void stats_print(const stats_view *view);
void stats_print_one(const stats_view *view); /* stats->count is 1 */
void stats_write_json(const stats_view *view);
/* Draws all tensors into an .svg or .png; an exit code. */
int stats_plot(const stats_view *view, const char *path);

#define STATS_ZERO_BIN 128
/* Bin i of tola_tensor_stats.histogram reaches from stats_edge(i) to stats_edge(i + 1). */
double stats_edge(int i);
/* The first and one past the last bin that is not empty; false where all are. */
bool stats_range(const tola_tensor_stats *s, int *first, int *end);

#endif
