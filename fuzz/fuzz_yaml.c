/* YAML: the tree is as it promises to be, and every way of reading a node either gives a value or says where it is not
 * one. */
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static const char *const words[] = { "red", "green", NULL };

static void read_node(const yaml_node *n) {
    tola_error err = TOLA_ERROR_INIT;
    const char *text;
    bool b;
    uint64_t u = 0;
    int64_t i = 0;
    double d = 0;
    uint32_t choice = 0;
    char path[40], what[120];
    yaml_path(n, path, sizeof path);
    yaml_describe(n, what, sizeof what);
    check(strlen(path) < sizeof path && strlen(what) < sizeof what);
    if (yaml_string(n, &text, &err) == TOLA_OK) check(n->kind == YAML_STRING && text);
    if (yaml_bool(n, &b, &err) == TOLA_OK) check(n->kind == YAML_BOOL);
    if (yaml_u64(n, 3, 1000, &u, &err) == TOLA_OK) check(u >= 3 && u <= 1000);
    if (yaml_i64(n, -5, 5, &i, &err) == TOLA_OK) check(i >= -5 && i <= 5);
    if (yaml_f64(n, -1, 1, &d, &err) == TOLA_OK) check(d >= -1 && d <= 1);
    if (yaml_choice(n, words, &choice, &err) == TOLA_OK) check(choice < 2);
    (void)yaml_keys(n, words, &err);
}

/* Returns the nodes that `n` stands for. */
static uint64_t walk(const yaml_node *n, int depth, uint64_t *budget) {
    check(depth <= YAML_MAX_DEPTH);
    uint64_t total = 1;
    check(n->line >= 1 && n->column >= 1 && n->text);
    if (*budget > 0) {
        --*budget;
        read_node(n);
    }
    for (size_t i = 0; i < n->count; i++) {
        check((n->kind == YAML_MAP) == (n->items[i]->key != NULL));
        if (i < 64 && n->kind == YAML_MAP && n->items[i]->kind != YAML_NULL)
            check(yaml_get(n, n->items[i]->key) == n->items[i]);
        total += walk(n->items[i], depth + 1, budget);
    }
    check(total == n->total);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 14) return 0;
    yaml *y;
    tola_error err = TOLA_ERROR_INIT;
    tola_status status = yaml_parse("fuzz.yaml", data, bytes, &y, &err);
    if (status != TOLA_OK) {
        check(strncmp(err.message, "fuzz.yaml: ", 11) == 0 || status == TOLA_E_UNSUPPORTED);
        return 0;
    }
    uint64_t budget = 200;
    check(walk(yaml_root(y), 0, &budget) <= YAML_MAX_NODES);
    const yaml_node *a, *b;
    if (yaml_root(y)->total < 2000) check(!yaml_differ(yaml_root(y), yaml_root(y), &a, &b));
    yaml_free(y);
    return 0;
}
