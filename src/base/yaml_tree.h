/* What yaml.c and yaml_read.c share. */
#ifndef BASE_YAML_TREE_H
#define BASE_YAML_TREE_H

#include "base/yaml.h"

struct yaml {
    arena arena;
    const char *name;
    yaml_node *root;
};

#endif
