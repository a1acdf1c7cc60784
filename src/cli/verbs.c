/* The verbs, in the order of the help. Each is defined in cmd_<verb>.c. */
#include "cli.h"

extern const cli_verb cmd_inspect, cmd_stats, cmd_diff;
extern const cli_verb cmd_run;
extern const cli_verb cmd_convert, cmd_quantize, cmd_merge;
extern const cli_verb cmd_train, cmd_finetune, cmd_distill;
extern const cli_verb cmd_scan;
extern const cli_verb cmd_sign, cmd_verify;
extern const cli_verb cmd_fit;
extern const cli_verb cmd_log;
extern const cli_verb cmd_comply;
extern const cli_verb cmd_encrypt, cmd_decrypt, cmd_rekey, cmd_keygen;
extern const cli_verb cmd_card, cmd_bom, cmd_release;
extern const cli_verb cmd_tokenize, cmd_embed, cmd_eval, cmd_bench;

const cli_verb *const cli_verbs[] = {
    &cmd_inspect,
    &cmd_stats,
    &cmd_diff,
    &cmd_convert,
    &cmd_quantize,
    &cmd_merge,
    &cmd_tokenize,
    &cmd_run,
    &cmd_train,
    &cmd_finetune,
    &cmd_distill,
    &cmd_embed,
    &cmd_eval,
    &cmd_bench,
    &cmd_scan,
    &cmd_sign,
    &cmd_verify,
    &cmd_encrypt,
    &cmd_decrypt,
    &cmd_rekey,
    &cmd_keygen,
    &cmd_fit,
    &cmd_log,
    &cmd_comply,
    &cmd_card,
    &cmd_bom,
    &cmd_release,
    NULL,
};
