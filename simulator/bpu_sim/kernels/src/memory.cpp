#include "memory.hpp"
#include <sys/mman.h>

namespace kernels {

static const size_t LARGE_PAGE = size_t(2) << 20, PAGE = 4096;

void *map_pages(size_t bytes, size_t *mapped) {
    *mapped = (bytes + PAGE - 1) / PAGE * PAGE;
    void *p = mmap(nullptr, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    if (*mapped >= LARGE_PAGE) madvise(p, *mapped, MADV_HUGEPAGE);
    return p;
}

void unmap_pages(void *p, size_t mapped) {
    if (p) munmap(p, mapped);
}

void *Pool::take(size_t bytes) {
    const size_t whole = (bytes + VECTOR_BYTES + 63) / 64 * 64;
    if (whole > left_) {
        size_t mapped, wanted = whole + sizeof(Chunk) + 64;
        if (wanted < LARGE_PAGE) {  // small plans take little, large ones soon large pages
            const size_t more = taken_ ? 2 * taken_ : LARGE_PAGE >> 5;
            wanted = wanted + more < LARGE_PAGE ? wanted + more : LARGE_PAGE;
        }
        uint8_t *start = static_cast<uint8_t *>(map_pages(wanted, &mapped));
        if (!start) return nullptr;
        Chunk *chunk = reinterpret_cast<Chunk *>(start);
        *chunk = {last_, start, mapped};
        last_ = chunk;
        free_ = start + 64;
        left_ = mapped - 64;
    }
    uint8_t *p = free_;
    free_ += whole, left_ -= whole, taken_ += whole;
    return p;
}

Pool::~Pool() {
    while (last_) {
        const Chunk chunk = *last_;
        unmap_pages(chunk.start, chunk.bytes);
        last_ = chunk.before;
    }
}

}  // namespace kernels
