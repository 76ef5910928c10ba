#include "memory.hpp"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace kernels {

static const size_t LARGE_PAGE = size_t(2) << 20, PAGE = 4096;

#ifdef __SANITIZE_ADDRESS__  // it watches the ends of what `malloc` gives: each piece is one of its own
void *map_pages(size_t bytes, size_t *mapped) {
    void *p = nullptr;
    *mapped = bytes;
    return posix_memalign(&p, 64, bytes) ? nullptr : memset(p, 0, bytes);
}

void unmap_pages(void *p, size_t) { free(p); }

static size_t chunk_bytes(size_t whole, size_t) { return whole; }
static size_t whole_bytes(size_t bytes) { return bytes + VECTOR_BYTES; }
#else
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

static size_t chunk_bytes(size_t wanted, size_t taken) {
    if (wanted >= LARGE_PAGE) return wanted;
    wanted += taken ? 2 * taken : LARGE_PAGE >> 5;  // small plans take little, large ones soon large pages
    return wanted < LARGE_PAGE ? wanted : LARGE_PAGE;
}
static size_t whole_bytes(size_t bytes) { return (bytes + VECTOR_BYTES + 63) / 64 * 64; }
#endif

void *Pool::take(size_t bytes) {
    const size_t whole = whole_bytes(bytes);
    if (whole > left_) {
        size_t mapped;
        uint8_t *start = static_cast<uint8_t *>(map_pages(chunk_bytes(whole + 64, taken_), &mapped));
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
