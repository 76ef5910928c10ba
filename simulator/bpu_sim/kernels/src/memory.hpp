// Memory that is taken in pieces and given back at once.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace kernels {

enum { VECTOR_BYTES = 64 };  // the widest load or store; kernels may touch so many bytes past an end

class Pool {
public:
    Pool() = default;
    Pool(const Pool &) = delete;
    ~Pool();
    // `bytes` of zeros, aligned to 64, with a vector's room behind them; null: there is no memory.
    void *take(size_t bytes);
    template <class T> T *array(size_t count) { return static_cast<T *>(take(count * sizeof(T))); }
    size_t bytes() const { return taken_; }

private:
    struct Chunk { Chunk *before; void *start; size_t bytes; };
    Chunk *last_ = nullptr;
    uint8_t *free_ = nullptr;
    size_t left_ = 0, taken_ = 0;
};

void *map_pages(size_t bytes, size_t *mapped);  // zeros; large pages where they pay
void unmap_pages(void *, size_t mapped);

}  // namespace kernels
