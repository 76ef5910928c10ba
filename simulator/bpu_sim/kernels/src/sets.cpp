// Which instruction sets were built, and which this machine has.
#include <string.h>
#include "plan.hpp"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace kernels {

#if defined(__x86_64__)
#ifdef KERNELS_AVXVNNI
static const InstructionSet *const BUILT[] = {&set_vnni, &set_avxvnni, &set_avx2};
#else  // the compiler is too old for it
static const InstructionSet *const BUILT[] = {&set_vnni, &set_avx2};
#endif
// The processor has it and the system saves its registers. Asked by hand: what compilers offer for it
// (`__builtin_cpu_supports`) answers no in libraries that zig builds.
static bool machine_has(const char *set) {
#ifdef KERNELS_EMULATED  // a test's build: what the machine lacks is computed by other means
    if (strcmp(set, "avx2")) return true;
#endif
    unsigned a, b, c, d, more = 0, saved = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return false;  // OSXSAVE
    asm volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (a >= 1) __get_cpuid_count(7, 1, &more, &a, &a, &d);
    const bool ymm = (saved & 6) == 6, zmm = (saved & 0xe6) == 0xe6, avx2 = ymm && (b >> 5 & 1);
    if (!strcmp(set, "vnni")) {
        const unsigned f_dq = 3u << 16, bw_vl = 3u << 30;
        return zmm && (b & f_dq) == f_dq && (b & bw_vl) == bw_vl && (c >> 11 & 1);
    }
    return avx2 && (strcmp(set, "avxvnni") || (more >> 4 & 1));
}
bool machine_has_vbmi() {
#ifdef KERNELS_EMULATED
    return false;
#endif
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c >> 1 & 1);
}
#elif defined(__aarch64__)
static const InstructionSet *const BUILT[] = {&set_dot, &set_neon};
static bool machine_has(const char *set) { return strcmp(set, "dot") || (getauxval(AT_HWCAP) & HWCAP_ASIMDDP); }
#endif

const InstructionSet *find_set(const char *name) {
    for (const InstructionSet *set : BUILT)
        if (!strcmp(set->name, name) && machine_has(name)) return set;
    return nullptr;
}

}  // namespace kernels

extern "C" {
const char *kernels_built() {
#if defined(__x86_64__) && defined(KERNELS_AVXVNNI)
    return "vnni avxvnni avx2";
#elif defined(__x86_64__)
    return "vnni avx2";
#else
    return "dot neon";
#endif
}
int kernels_runs(const char *set) { return kernels::find_set(set) != nullptr; }
int kernels_widens(const char *set) {
    for (const kernels::InstructionSet *s : kernels::BUILT)
        if (!strcmp(s->name, set)) return s->widens;
    return 0;
}
}
