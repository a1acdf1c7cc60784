/* Nothing yet of this kind: every configuration is one of the common kind. */
#include "policy/shape_build.h"
bool shape_image(shape_build *b) {
    (void)b;
    return false;
}
