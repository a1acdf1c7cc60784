/* Selection by the bytes of keys from the highest down, sorting from the lowest up. */
#include "generate/sample_select.h"

#include <stdbool.h>

void select_largest(uint64_t *keys, size_t count, size_t k) {
    if (k >= count) return;
    /* keys[0, done) are in; keys[done, end) may be; those behind are out. */
    size_t done = 0, end = count;
    for (int shift = 56; shift >= 0 && done < k && end > k; shift -= 8) {
        size_t histogram[256] = { 0 };
        for (size_t i = done; i < end; i++) histogram[keys[i] >> shift & 255]++;
        size_t above = done;
        int pivot = 255;
        while (above + histogram[pivot] < k) above += histogram[pivot--];
        /* Three parts: larger digits, the pivot's, smaller ones. */
        size_t low = done, at = done, high = end;
        while (at < high) {
            int digit = (int)(keys[at] >> shift & 255);
            uint64_t key = keys[at];
            if (digit > pivot) {
                keys[at++] = keys[low];
                keys[low++] = key;
            } else if (digit < pivot) {
                keys[at] = keys[--high];
                keys[high] = key;
            } else {
                at++;
            }
        }
        done = low;
        end = high;
    }
}

void select_sort(uint64_t *keys, size_t count, uint64_t *scratch) {
    if (count <= 32) {
        for (size_t i = 1; i < count; i++) {
            uint64_t key = keys[i];
            size_t j = i;
            for (; j > 0 && keys[j - 1] < key; j--) keys[j] = keys[j - 1];
            keys[j] = key;
        }
        return;
    }
    uint64_t *from = keys, *to = scratch;
    for (int shift = 0; shift < 64; shift += 8) {
        size_t start[256] = { 0 }, sum = 0;
        for (size_t i = 0; i < count; i++) start[from[i] >> shift & 255]++;
        if (start[from[0] >> shift & 255] == count) continue; /* the byte is the same in all */
        for (int d = 255; d >= 0; d--) {
            size_t n = start[d];
            start[d] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++) to[start[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys) memcpy(keys, from, count * sizeof *keys);
}
