// Statistics of float tensors: the greatest magnitude, and how many values each magnitude has.
#include <stdlib.h>
#include "abi.hpp"

// Magnitudes are compared and counted as the bits of a float32 without its sign: the order is the
// same, and what is not finite is greater than all else.
static const int32_t MAGNITUDE = 0x7fffffff;
enum { SHIFT = 12, CHUNK = 1024, TABLES = 4, FEW = 1 << 15 };

static inline int32_t bin_of(int32_t bits, int32_t base, int32_t last) {
    const int32_t bin = ((bits & MAGNITUDE) >> SHIFT) - base;
    return bin < 0 ? 0 : bin > last ? last : bin;
}

static void count_few(const int32_t *bits, int64_t size, int32_t base, int32_t bins, int64_t *counts) {
    for (int64_t i = 0; i < size; i++) counts[bin_of(bits[i], base, bins - 1)]++;
}

extern "C" {

int32_t magnitude_highest(const int32_t *bits, int64_t size) {
    int32_t most = 0;
    for (int64_t i = 0; i < size; i++) {
        const int32_t magnitude = bits[i] & MAGNITUDE;
        most = magnitude > most ? magnitude : most;
    }
    return most;
}

void magnitude_count(const int32_t *bits, int64_t size, int32_t base, int32_t bins, int64_t *counts) {
    // Neighbours often have the same bin, zero most of all, and an increment would wait for the one
    // before: every fourth value has a table of its own.
    uint32_t *tables = size < FEW ? nullptr : static_cast<uint32_t *>(calloc(size_t(TABLES) * bins, 4));
    if (!tables) {
        count_few(bits, size, base, bins, counts);
        return;
    }
    int32_t bin[CHUNK];
    int64_t start = 0;
    for (; start + CHUNK <= size; start += CHUNK) {
        for (int i = 0; i < CHUNK; i++) bin[i] = bin_of(bits[start + i], base, bins - 1);
        for (int i = 0; i < CHUNK; i += TABLES)
            for (int k = 0; k < TABLES; k++) tables[int64_t(k) * bins + bin[i + k]]++;
    }
    for (int k = 0; k < TABLES; k++)
        for (int32_t i = 0; i < bins; i++) counts[i] += tables[int64_t(k) * bins + i];
    free(tables);
    count_few(bits + start, size - start, base, bins, counts);
}

}  // extern "C"
