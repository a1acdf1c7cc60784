#include "graph/op.h"

const graph_op_row op_dead = { .name = "nothing" };

const graph_op_row *const op_table[OP_COUNT] = {
    [OP_DEAD] = &op_dead,
    [OP_EMBED] = &op_embed,
    [OP_EMBED_POSITION] = &op_embed_position,
    [OP_EMBED_CONSTANT] = &op_embed_constant,
    [OP_PREPARE] = &op_prepare,
    [OP_LINEAR] = &op_linear,
    [OP_RMS_NORM] = &op_rms_norm,
    [OP_LAYER_NORM] = &op_layer_norm,
    [OP_APPLY] = &op_apply,
    [OP_GATED] = &op_gated,
    [OP_ADD] = &op_add,
    [OP_MULTIPLY] = &op_multiply,
    [OP_SCALE] = &op_scale,
    [OP_SOFTCAP] = &op_softcap,
    [OP_POSITION_SCALE] = &op_position_scale,
    [OP_COLUMNS] = &op_columns,
    [OP_JOIN] = &op_join,
    [OP_OUTPUT_ROWS] = &op_output_rows,
    [OP_TURNS] = &op_turns,
    [OP_ROTATE] = &op_rotate,
    [OP_KV_STORE] = &op_kv_store,
    [OP_ATTEND] = &op_attend,
    [OP_ROUTE] = &op_route,
    [OP_EXPERT_SORT] = &op_expert_sort,
    [OP_EXPERT_PREPARE] = &op_expert_prepare,
    [OP_EXPERT_LINEAR] = &op_expert_linear,
    [OP_EXPERT_SUM] = &op_expert_sum,
};
