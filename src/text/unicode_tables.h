/* Shapes of the generated tables (unicode_tables.c); unicode.h is the way to them. */
#ifndef TEXT_UNICODE_TABLES_H
#define TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct unicode_range {
    uint32_t first, last;
} unicode_range;

typedef struct unicode_script {
    const char *name;
    uint16_t at, count;
} unicode_script;

typedef struct unicode_case_run {
    uint32_t first, last;
    int32_t add;
    uint32_t stride;
} unicode_case_run;

typedef struct unicode_decomposition {
    uint32_t c;
    uint16_t canonical, compatible;
    uint8_t canonical_length, compatible_length;
} unicode_decomposition;

typedef struct unicode_class {
    uint32_t first, last;
    uint8_t value;
} unicode_class;

typedef struct unicode_pair {
    uint32_t first, second, joined;
} unicode_pair;

extern const uint32_t unicode_categories[];
extern const char unicode_category_names[][3];
extern const unicode_range unicode_script_ranges[], unicode_punctuation[], unicode_numeric[], unicode_dropped[],
    unicode_nonspacing[], unicode_marks[], unicode_folds[], unicode_extending[], unicode_prepending[],
    unicode_alone[];
extern const unicode_script unicode_scripts[];
extern const unicode_case_run unicode_lower[];
extern const uint32_t unicode_pool[];
extern const unicode_decomposition unicode_decompositions[];
extern const unicode_class unicode_classes[];
extern const unicode_pair unicode_pairs[];
extern const size_t unicode_categories_count, unicode_punctuation_count, unicode_numeric_count, unicode_dropped_count,
    unicode_nonspacing_count, unicode_marks_count, unicode_folds_count, unicode_scripts_count, unicode_lower_count,
    unicode_decompositions_count, unicode_classes_count, unicode_pairs_count, unicode_extending_count, unicode_prepending_count,
    unicode_alone_count;

#endif
