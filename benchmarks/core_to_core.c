/* How long a cache line takes from one core to another, in ns: least of some rounds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { TURNS = 200, ROUNDS = 1000 };
static _Alignas(64) atomic_int turn;

static void stay_on(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void *other(void *unused) {
    stay_on(1);
    for (int i = 0; i < ROUNDS * TURNS; i++) {
        for (long spin = 0; atomic_load(&turn) != 2 * i + 1; spin++)
            if (spin > 100000) sched_yield();
        atomic_store(&turn, 2 * i + 2);
    }
    return unused;
}

int main(void) {
    pthread_t thread;
    double best = 1e18;
    pthread_create(&thread, 0, other, 0);
    stay_on(0);
    for (int k = 0, i = 0; k < ROUNDS; k++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int stop = i + TURNS; i < stop; i++) {
            atomic_store(&turn, 2 * i + 1);
            for (long spin = 0; atomic_load(&turn) != 2 * i + 2; spin++)
                if (spin > 100000) sched_yield();
        }
        clock_gettime(CLOCK_MONOTONIC, &b);
        const double took = (b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec - a.tv_nsec;
        if (took < best) best = took;
    }
    pthread_join(thread, 0);
    printf("%.0f\n", best / TURNS / 2);
    return 0;
}
