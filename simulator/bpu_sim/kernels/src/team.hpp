// Threads of this process that help whoever runs frames.
#pragma once
#include <atomic>
#include <stdint.h>
#include "plan.hpp"

namespace kernels {

enum { PART_BITS = 20, MOST_PARTS = (1 << PART_BITS) - 1 };  // of an operation

// Work cut into operations one after another, each into parts in any order. Parts that follow one
// another use neighbouring memory: the caller begins at the first, helpers at the last, so that a core
// finds in its cache most of what it made in the operation before.
struct Work {
    int operations;
    int (*parts)(const void *self, int operation);
    void (*execute)(void *self, int operation, int part);
    void *self;
};

class Job {
public:
    explicit Job(const Work &work) : work_(work) {}
    // Runs all of it; up to `helpers` other threads take parts. Returns when everything is done.
    void run(int helpers);
    // A helper takes parts as long as there are any, if there is room for one more.
    bool help();
    // Waits until no helper looks at it any more: it may go.
    void retire();

private:
    void take_parts(bool caller);
    const Work work_;
    // In cache lines of their own, as they are written at different times.
    alignas(CACHE_LINE) std::atomic<uint64_t> taken_{0};  // operation, parts from the end, from the start
    alignas(CACHE_LINE) std::atomic<int> done_{0};        // parts of the operation that helpers have done
    alignas(CACHE_LINE) std::atomic<int> helping_{0}, helpers_{0};
};

}  // namespace kernels
