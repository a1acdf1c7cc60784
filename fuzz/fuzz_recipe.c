/* Recipes: whatever is in the file, an error says where, and what is taken is within its limits. */
#include <stdlib.h>
#include <string.h>

#include "learn/network.h"
#include "learn/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(bool good) {
    if (!good) abort();
}

static void check_network(const recipe *r) {
    const network_options o = { .image = { 3, 12, 9 }, .outputs = 10, .seed = r->seed };
    tola_error err = TOLA_ERROR_INIT;
    network *n;
    if (network_create(r->model.layers, &o, &n, &err) != TOLA_OK) {
        check(strncmp(err.message, "folder/fuzz.yaml: line ", 23) == 0);
        return;
    }
    check(network_elements(n) >= 10);
    network_free(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes > 1 << 14) return 0;
    yaml *y;
    recipe *r;
    tola_error err = TOLA_ERROR_INIT;
    if (yaml_parse("folder/fuzz.yaml", data, bytes, &y, &err) != TOLA_OK) return 0;
    if (recipe_read(y, &r, &err) != TOLA_OK) {
        check(strncmp(err.message, "folder/fuzz.yaml: line ", 23) == 0);
        return 0;
    }
    check(r->data.train.count >= 1 && r->data.format != RECIPE_BY_NAME && r->training.batch >= 1);
    check(r->training.steps != 0 || r->training.epochs > 0);
    check(r->optimizer.beta1 < 1 && r->optimizer.beta2 < 1 && r->optimizer.rate >= 0 && r->keep >= 1);
    for (size_t i = 0; i < r->data.train.count; i++)
        check(r->data.train.paths[i][0] == '/' || strncmp(r->data.train.paths[i], "folder/", 7) == 0);
    if (!r->model.architecture && !r->model.config && !r->model.weights) check_network(r);
    recipe_free(r);
    return 0;
}
