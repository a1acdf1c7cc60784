/* The parts of a grammar under construction. Owns their limits; failures stick, so that callers check once. */
#include "base/utf8.h"
#include "text/grammar_build.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARTS (1u << 22)
#define MAX_PART_DEPTH 250

void build_init(grammar_builder *b) {
    memset(b, 0, sizeof *b);
    arena_init(&b->memory, 64u << 20);
}

void build_free(grammar_builder *b) {
    arena_free(&b->memory);
    mem_free(b->parts);
    mem_free(b->children);
    mem_free(b->ranges);
    mem_free(b->rules);
    mem_free(b->tokens);
    mem_free(b->buckets);
    memset(b, 0, sizeof *b);
}

tola_status build_check(const grammar_builder *b, tola_error *err) {
    if (b->status != TOLA_OK && err) *err = b->error;
    return b->status;
}

void build_fail(grammar_builder *b, tola_status status, uint64_t offset, const char *format, ...) {
    if (b->status != TOLA_OK) return;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    b->status = err_set(&b->error, status, offset, "%s", message);
}

static void fail_memory(grammar_builder *b) {
    if (b->status == TOLA_OK) b->status = err_nomem(&b->error, "a grammar");
}

static part add(grammar_builder *b, part_node node) {
    if (b->status != TOLA_OK) return 0;
    if (node.depth > MAX_PART_DEPTH)
        build_fail(b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a grammar nested more than %d levels deep", MAX_PART_DEPTH);
    else if (b->part_count >= MAX_PARTS)
        build_fail(b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a grammar of more than %u parts", MAX_PARTS);
    else if (!mem_grow(&b->parts, &b->part_cap, b->part_count + 1, sizeof *b->parts))
        fail_memory(b);
    if (b->status != TOLA_OK) return 0;
    b->parts[b->part_count] = node;
    return (part)b->part_count++;
}

part build_empty(grammar_builder *b) { return add(b, (part_node){ .kind = PART_EMPTY }); }

static int compare_ranges(const void *x, const void *y) {
    const code_range *a = x, *b = y;
    return a->low < b->low ? -1 : a->low > b->low;
}

/* Appends [low, high] without surrogates, which no UTF-8 text has. */
static void add_range(grammar_builder *b, uint32_t low, uint32_t high) {
    if (low < 0xd800 && high >= 0xd800) {
        add_range(b, low, 0xd7ff);
        low = 0xd800;
    }
    if (low >= 0xd800 && low <= 0xdfff) low = 0xe000;
    if (low > high || b->status != TOLA_OK) return;
    if (!mem_grow(&b->ranges, &b->range_cap, b->range_count + 1, sizeof *b->ranges)) {
        fail_memory(b);
        return;
    }
    b->ranges[b->range_count++] = (code_range){ low, high };
}

part build_class(grammar_builder *b, code_range *ranges, size_t count, bool negated, uint64_t offset) {
    size_t first = b->range_count;
    if (count) qsort(ranges, count, sizeof *ranges, compare_ranges);
    uint32_t at = 0; /* the code points before it are dealt with */
    for (size_t i = 0; i < count;) {
        uint32_t low = ranges[i].low, high = ranges[i].high;
        for (i++; i < count && ranges[i].low <= high + 1; i++)
            if (ranges[i].high > high) high = ranges[i].high;
        if (!negated) add_range(b, low, high);
        else if (low > at) add_range(b, at, low - 1);
        at = high + 1;
    }
    if (negated && at <= 0x10ffff) add_range(b, at, 0x10ffff);
    if (b->status == TOLA_OK && b->range_count == first)
        build_fail(b, TOLA_E_FORMAT, offset, "a class of characters that has none");
    return add(b, (part_node){ .kind = PART_CLASS, .first = (uint32_t)first,
                               .count = (uint32_t)(b->range_count - first) });
}

static part add_list(grammar_builder *b, part_kind kind, const part *items, size_t count) {
    if (b->status != TOLA_OK) return 0;
    size_t first = b->child_count;
    if (count > MAX_PARTS || first > MAX_PARTS * (size_t)4) {
        build_fail(b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a grammar of more than %u parts", MAX_PARTS);
        return 0;
    }
    if (!mem_grow(&b->children, &b->child_cap, first + count, sizeof *b->children)) {
        fail_memory(b);
        return 0;
    }
    unsigned depth = 0;
    for (size_t i = 0; i < count; i++) {
        b->children[first + i] = items[i];
        if (b->parts[items[i]].depth > depth) depth = b->parts[items[i]].depth;
    }
    b->child_count += count;
    return add(b, (part_node){ .kind = (uint8_t)kind, .depth = (uint8_t)(depth + 1), .first = (uint32_t)first,
                               .count = (uint32_t)count });
}

part build_seq(grammar_builder *b, const part *items, size_t count) {
    if (count == 0) return build_empty(b);
    return count == 1 ? items[0] : add_list(b, PART_SEQ, items, count);
}

part build_alt(grammar_builder *b, const part *items, size_t count) {
    return count == 1 ? items[0] : add_list(b, PART_ALT, items, count);
}

part build_repeat(grammar_builder *b, part item, uint32_t low, uint32_t high) {
    if (b->status != TOLA_OK) return 0;
    if (high == 0 || b->parts[item].kind == PART_EMPTY) return build_empty(b);
    if (low == 1 && high == 1) return item;
    return add(b, (part_node){ .kind = PART_REPEAT, .depth = (uint8_t)(b->parts[item].depth + 1), .first = item,
                               .low = low, .high = high });
}

part build_rule_ref(grammar_builder *b, uint32_t rule) {
    return add(b, (part_node){ .kind = PART_RULE, .first = rule });
}

part build_literal(grammar_builder *b, const char *utf8, size_t length) {
    part *items = mem_alloc(length * sizeof *items);
    if (!items) {
        fail_memory(b);
        return 0;
    }
    size_t count = 0;
    for (size_t i = 0; i < length;) { /* valid UTF-8 */
        uint32_t code;
        i += utf8_next(utf8 + i, &code);
        items[count++] = build_class(b, &(code_range){ code, code }, 1, false, TOLA_NO_OFFSET);
    }
    part p = build_seq(b, items, count);
    mem_free(items);
    return p;
}

part build_token(grammar_builder *b, const char *name, size_t length, uint32_t id, bool negated) {
    if (b->status != TOLA_OK) return 0;
    token_ref ref = { NULL, id, negated };
    if (b->token_count >= GRAMMAR_MAX_TOKENS)
        build_fail(b, TOLA_E_LIMIT, TOLA_NO_OFFSET, "a grammar of more than %d references to tokens",
                   GRAMMAR_MAX_TOKENS);
    if (name && !(ref.name = arena_strndup(&b->memory, name, length))) fail_memory(b);
    if (!mem_grow(&b->tokens, &b->token_cap, b->token_count + 1, sizeof *b->tokens)) fail_memory(b);
    if (b->status != TOLA_OK) return 0;
    b->tokens[b->token_count] = ref;
    return add(b, (part_node){ .kind = PART_TOKEN, .first = (uint32_t)b->token_count++ });
}

/* ---- rules ---- */

static size_t name_hash(const char *name, size_t length) {
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

static bool grow_buckets(grammar_builder *b) {
    if (b->rule_count * 2 < b->bucket_count) return true;
    size_t count = b->bucket_count ? b->bucket_count * 2 : 64;
    uint32_t *buckets = mem_calloc(count, sizeof *buckets);
    if (!buckets) return false;
    for (size_t i = 0; i < b->rule_count; i++) {
        size_t at = name_hash(b->rules[i].name, strlen(b->rules[i].name)) & (count - 1);
        while (buckets[at]) at = (at + 1) & (count - 1);
        buckets[at] = (uint32_t)i + 1;
    }
    mem_free(b->buckets);
    b->buckets = buckets;
    b->bucket_count = count;
    return true;
}

uint32_t build_rule(grammar_builder *b, const char *name, size_t length, uint64_t offset) {
    if (b->status != TOLA_OK) return 0;
    if (!grow_buckets(b)) {
        fail_memory(b);
        return 0;
    }
    size_t at = name_hash(name, length) & (b->bucket_count - 1);
    for (; b->buckets[at]; at = (at + 1) & (b->bucket_count - 1)) {
        const char *other = b->rules[b->buckets[at] - 1].name;
        if (strlen(other) == length && memcmp(other, name, length) == 0) return b->buckets[at] - 1;
    }
    if (b->rule_count >= GRAMMAR_MAX_RULES) {
        build_fail(b, TOLA_E_LIMIT, offset, "a grammar of more than %u rules", GRAMMAR_MAX_RULES);
        return 0;
    }
    char *copy = arena_strndup(&b->memory, name, length);
    if (!copy || !mem_grow(&b->rules, &b->rule_cap, b->rule_count + 1, sizeof *b->rules)) {
        fail_memory(b);
        return 0;
    }
    b->rules[b->rule_count] = (grammar_rule){ copy, PART_NONE, offset };
    b->buckets[at] = (uint32_t)++b->rule_count;
    return (uint32_t)b->rule_count - 1;
}

void build_define(grammar_builder *b, uint32_t rule, part body, uint64_t offset) {
    if (b->status != TOLA_OK) return;
    if (b->rules[rule].body != PART_NONE) {
        build_fail(b, TOLA_E_FORMAT, offset, "grammar: rule '%s' is defined twice", b->rules[rule].name);
        return;
    }
    b->rules[rule].body = body;
    b->rules[rule].offset = offset;
}
