// Which instruction sets were built, and which this machine has.
#include <string.h>
#include "plan.hpp"
#if defined(__aarch64__)
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
static bool machine_has(const char *set) {
#ifdef KERNELS_EMULATED  // a test's build: what the machine lacks is computed by other means
    if (!strcmp(set, "vnni")) return true;
#endif
    __builtin_cpu_init();
    if (!strcmp(set, "vnni"))
        return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!strcmp(set, "avxvnni")) {
        unsigned a = 7, b, c = 1, d;
        asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return __builtin_cpu_supports("avx2") && (a >> 4 & 1);
    }
    return __builtin_cpu_supports("avx2");
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
