// Parts are taken from counters by whoever comes: a thread that the system has put aside holds up
// nobody. Only the caller moves on to the next operation, so a helper that comes late finds a counter
// of another operation and takes nothing. Helpers spin a while between parts, then sleep.
#include "team.hpp"
#include <pthread.h>
#include <sched.h>
#include <time.h>

namespace kernels {
namespace {

enum { SLOTS = 64, MOST_HELPERS = 63, SPINS = 2000 };
const int64_t IDLE_NS = 50000;

struct Team {
    std::atomic<Job *> jobs[SLOTS];
    std::atomic<int> active{0};   // callers at work
    std::atomic<int> looking{0};  // helpers that hold a pointer they have not entered yet
    std::atomic<int> sleeping{0};
    std::atomic<uint32_t> calls{0};
    int helpers = 0, cores = 1;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
};
Team team;

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
}

int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * int64_t(1000000000) + t.tv_nsec;
}

bool help_somebody() {
    bool helped = false;
    for (auto &slot : team.jobs) {
        if (!slot.load(std::memory_order_relaxed)) continue;
        team.looking.fetch_add(1);  // what it points to stays until this is 0 again
        Job *job = slot.load();
        if (job && job->help()) helped = true;
        team.looking.fetch_sub(1);
    }
    return helped;
}

void *helper(void *) {
    for (;;) {
        const uint32_t seen = team.calls.load();
        int64_t start = now_ns();
        for (int spin = 0; team.active.load(std::memory_order_relaxed) < team.cores; spin++) {
            if (help_somebody()) start = now_ns();
            else if (spin % 64 == 63 && now_ns() - start > IDLE_NS) break;
            relax();
        }
        pthread_mutex_lock(&team.lock);
        team.sleeping.fetch_add(1);
        while (team.calls.load() == seen) pthread_cond_wait(&team.wake, &team.lock);
        team.sleeping.fetch_sub(1);
        pthread_mutex_unlock(&team.lock);
    }
    return nullptr;
}

void forget_helpers() {  // in a child of fork no thread but the caller is left
    team.helpers = 0;
    team.sleeping = 0, team.looking = 0, team.active = 0;
    for (auto &slot : team.jobs) slot = nullptr;
    pthread_mutex_init(&team.lock, nullptr);
    pthread_cond_init(&team.wake, nullptr);
}

void need_helpers(int count) {
    if (count <= team.helpers) return;
    pthread_mutex_lock(&team.lock);
    static bool prepared = false;
    if (!prepared) {
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof set, &set) == 0) team.cores = CPU_COUNT(&set);
        pthread_atfork(nullptr, nullptr, forget_helpers);
        prepared = true;
    }
    for (; team.helpers < count && team.helpers < MOST_HELPERS; team.helpers++) {
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        const int failed = pthread_create(&thread, &attributes, helper, nullptr);
        pthread_attr_destroy(&attributes);
        if (failed) break;  // the caller does it alone
    }
    pthread_mutex_unlock(&team.lock);
}

std::atomic<Job *> *offer(Job *job) {
    for (auto &slot : team.jobs) {
        Job *none = nullptr;
        if (!slot.load(std::memory_order_relaxed) && slot.compare_exchange_strong(none, job)) return &slot;
    }
    return nullptr;
}

}  // namespace

void Job::run(int helpers) {
    team.active.fetch_add(1);
    if (helpers <= 0) {
        for (int i = 0; i < work_.operations; i++)
            for (int k = 0, n = work_.parts(work_.self, i); k < n; k++) work_.execute(work_.self, i, k);
    } else {
        need_helpers(helpers);
        done_.store(0);
        taken_.store(0);
        helpers_.store(helpers);
        std::atomic<Job *> *slot = offer(this);
        team.calls.fetch_add(1);
        if (slot && team.sleeping.load() > 0 && team.active.load() < team.cores) {
            pthread_mutex_lock(&team.lock);
            pthread_cond_broadcast(&team.wake);
            pthread_mutex_unlock(&team.lock);
        }
        take_parts(true);
        helpers_.store(0);
        if (slot) slot->store(nullptr);
    }
    team.active.fetch_sub(1);
}

bool Job::help() {
    const bool room = helping_.fetch_add(1) < helpers_.load();
    if (room) take_parts(false);
    helping_.fetch_sub(1);
    return room;
}

void Job::take_parts(bool caller) {
    int own = 0;  // parts done here that nobody knows of yet
    for (int spin = 0;;) {
        uint64_t taken = taken_.load(std::memory_order_acquire);
        const int operation = int(taken >> 2 * PART_BITS), last = int(taken >> PART_BITS & MOST_PARTS);
        const int first = int(taken & MOST_PARTS);
        if (operation >= work_.operations) return;
        const int parts = work_.parts(work_.self, operation);
        if (first + last < parts && (caller || parts > 1)) {  // one part is not worth the way
            const uint64_t more = caller ? 1 : uint64_t(1) << PART_BITS;
            if (!taken_.compare_exchange_weak(taken, taken + more, std::memory_order_acq_rel)) continue;
            work_.execute(work_.self, operation, caller ? first : parts - 1 - last);
            own++;
            spin = 0;
        } else if (caller && done_.load(std::memory_order_acquire) + own == parts) {
            if (own != parts) done_.store(0, std::memory_order_relaxed);
            taken_.store(uint64_t(operation + 1) << 2 * PART_BITS, std::memory_order_release);
            spin = own = 0;
        } else if (!caller && own) {
            done_.fetch_add(own, std::memory_order_acq_rel);
            own = 0;
        } else if (++spin < SPINS) relax();
        else if (caller) sched_yield();
        else return;
    }
}

void Job::retire() {
    while (team.looking.load() > 0 || helping_.load() > 0) sched_yield();
}

}  // namespace kernels
