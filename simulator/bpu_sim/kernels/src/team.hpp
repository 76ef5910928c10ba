// Threads of this process that help whoever runs frames.
#pragma once
#include <atomic>
#include <stdint.h>

namespace kernels {

// Work cut into operations one after another, each into parts in any order.
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
    std::atomic<uint64_t> next_{0};  // operation << 32 | next part
    std::atomic<uint32_t> done_{0};  // parts of the operation that are done
    std::atomic<int> helping_{0}, helpers_{0};
};

}  // namespace kernels
