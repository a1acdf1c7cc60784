/* The verbs, in the order of the help. Each is defined in cmd_<verb>.c. */
#include "cli.h"

const cli_verb *const cli_verbs[] = {
    NULL,
};
