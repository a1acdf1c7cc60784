/* Nothing yet of this kind: every configuration is one of the common kind. */
#include "policy/shape_build.h"
bool shape_mixed_layer(shape_build *b, const decoder *d, uint32_t layer) {
    (void)b, (void)d, (void)layer;
    return false;
}
