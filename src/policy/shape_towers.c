/* Nothing yet of this kind: every configuration is one of the common kind. */
#include "policy/shape_build.h"
void shape_towers(shape_build *b) { (void)b; }
