// Look-ups of AVX-512 VBMI, which has shuffles of 128 bytes. Most processors with VNNI have it.
#include <immintrin.h>
#include "lookup.hpp"

namespace kernels {
namespace {

struct Vbmi {
    using t = __m512i;
    static constexpr int L = 16;
    INLINE t load(const void *p) { return _mm512_loadu_si512(p); }
    INLINE void store_some(void *p, t v, int n) { _mm512_mask_storeu_epi8(p, n >= 64 ? ~0ull : (1ull << n) - 1, v); }
    struct Table {
        t part[4];
        explicit Table(const uint8_t *bytes) {
            for (int i = 0; i < 4; i++) part[i] = load(bytes + 64 * i);
        }
        t at(t x) const {
            const t low = _mm512_permutex2var_epi8(part[0], x, part[1]), high = _mm512_permutex2var_epi8(part[2], x, part[3]);
            return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
        }
    };
};

}  // namespace

void run_lut_vbmi(const Op &op, uint8_t *arena, int part, int parts) { run_lut<Vbmi>(op, arena, part, parts); }

}  // namespace kernels
