/* The verbs, in the order of the help. Each is defined in cmd_<verb>.c. */
#include "cli.h"

extern const cli_verb cmd_inspect;
extern const cli_verb cmd_convert;

const cli_verb *const cli_verbs[] = {
    &cmd_inspect,
    &cmd_convert,
    NULL,
};
