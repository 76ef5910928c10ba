/* Products and sums a second of 8 bits, in registers only: what this core can do at most. */
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

#ifdef __AVX512VNNI__
#define OPERATIONS (12 * 128)
static void loop(long rounds) {
#define START(i) __m512i a##i = _mm512_set1_epi32(i);
    TWELVE(START)
    const __m512i x = _mm512_set1_epi32(3), w = _mm512_set1_epi32(5);
    while (rounds--) {
#define STEP(i) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(a##i) : "v"(x), "v"(w));
        TWELVE(STEP)
    }
}
#else
#define OPERATIONS (12 * 64)
static void loop(long rounds) {
#define START(i) __m256i a##i = _mm256_set1_epi32(i);
    TWELVE(START)
    const __m256i x = _mm256_set1_epi32(3), w = _mm256_set1_epi32(5), one = _mm256_set1_epi16(1);
    while (rounds--) {
#define STEP(i) {                                                             \
        __m256i p;                                                            \
        __asm__ volatile("vpmaddubsw %2, %1, %0" : "=x"(p) : "x"(x), "x"(w)); \
        __asm__ volatile("vpmaddwd %1, %0, %0" : "+x"(p) : "x"(one));         \
        __asm__ volatile("vpaddd %1, %0, %0" : "+x"(a##i) : "x"(p));          \
    }
        TWELVE(STEP)
    }
}
#endif

int main(void) {
    const long rounds = 2000000;
    double best = 1e9;
    for (int k = 0; k < 9; k++) {
        const double start = cpu_s();
        loop(rounds);
        const double took = cpu_s() - start;
        if (took < best) best = took;
    }
    printf("%.1f\n", rounds * (double)OPERATIONS / best * 1e-9);
    return 0;
}
