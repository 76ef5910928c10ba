// Frames of a plan: an arena each, and the C interface.
#include <new>  // for placement
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "pack.hpp"
#include "team.hpp"

using namespace kernels;

// Of an array of the caller.
struct Pitches {
    int64_t row, pixel;
    Pitches(const OpSpec &spec, const TensorSpec &t) : row(spec.steps[0]), pixel(spec.steps[1]) {
        if (!pixel) pixel = int64_t(t.channels) * t.item;
        if (!row) row = t.width * pixel;
    }
};

struct Frame {
    Frame(const Plan *of, int count);
    Job job;
    const Plan *plan;
    int frames;
    uint8_t *arenas = nullptr;
    void *own = nullptr;  // memory that goes with it
    size_t mapped = 0;
    int64_t pitch;  // bytes from one frame's arena to the next
    const void *const *inputs = nullptr;
    void *const *outputs = nullptr;
    double *fastest = nullptr;
    bool shared = false;

    int parts(int i) const {
        const int64_t parts = int64_t(plan->ops[i].parts) * frames;
        return shared && parts <= MOST_PARTS ? int(parts) : frames;
    }
    void execute(int i, int part) {  // frames inside parts: weights are read once for all
        const Op &op = plan->ops[i];
        const int frame = part % frames, count = parts(i) / frames;
        uint8_t *arena = arenas + frame * pitch;
        if (op.spec.kind == INPUT) take(op, arena, frame, part / frames, count);
        else if (op.spec.kind == OUTPUT) give(op, arena, frame, part / frames, count);
        else plan->set->run[op.spec.kind](op, arena, part / frames, count);
    }

    void take(const Op &op, uint8_t *arena, int frame, int part, int count) const {
        const TensorSpec &y = op.y;
        const Pitches given(op.spec, y);
        const uint8_t *from = static_cast<const uint8_t *>(inputs[op.spec.slot]) + frame * given.row * y.height;
        const int flip = flip_of(y);
        const int colours = y.channels == 3 && y.pitch == 4 && given.pixel == 3 ? y.width - 1 : 0;
        for (int i = share(y.height, part, count); i < share(y.height, part + 1, count); i++) {
            const uint8_t *a = from + i * given.row;
            uint8_t *b = pixel(y, arena, i);
            own_lines(b, y.width * int64_t(y.pitch));
            for (int j = 0; j < colours; j++, a += 3, b += 4) {  // with the first byte of the next one
                uint32_t four;
                memcpy(&four, a, 4);
                four ^= 0x01010101u * flip;
                memcpy(b, &four, 4);
            }
            for (int j = colours; j < y.width; j++, a += given.pixel, b += y.pitch)
                for (int c = 0; c < y.channels; c++) b[c] = uint8_t(a[c] ^ flip);
        }
    }
    void give(const Op &op, uint8_t *arena, int frame, int part, int count) const {
        const TensorSpec &x = op.x;
        const Pitches wanted(op.spec, x);
        uint8_t *to = static_cast<uint8_t *>(outputs[op.spec.slot]) + frame * wanted.row * x.height;
        const int flip = flip_of(x), channels = x.channels;
        for (int i = share(x.height, part, count); i < share(x.height, part + 1, count); i++)
            for (int j = 0; j < x.width; j++) {
                const uint8_t *a = pixel(x, arena, i, j);
                uint8_t *b = to + i * wanted.row + j * wanted.pixel;
                if (x.item == 4) memcpy(b, a, size_t(4) * channels);
                else for (int c = 0; c < channels; c++) b[c] = uint8_t(a[c] ^ flip);
            }
    }
};

static int parts_of_frame(const void *self, int i) { return static_cast<const Frame *>(self)->parts(i); }
static void execute_in_frame(void *self, int i, int part) { static_cast<Frame *>(self)->execute(i, part); }
static int64_t arena_pitch(const Plan *plan) { return (plan->arena_bytes + 2 * VECTOR_BYTES + 4095) / 4096 * 4096; }
Frame::Frame(const Plan *of, int count)
    : job({of->op_count, parts_of_frame, execute_in_frame, this}), plan(of), frames(count), pitch(arena_pitch(of)) {}

template <class T, class... A> static T *make(A... arguments) {  // operator new is in libstdc++
    void *p = aligned_alloc(CACHE_LINE, (sizeof(T) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    return p ? new (p) T(arguments...) : nullptr;
}
template <class T> static void drop(T *p) {
    p->~T();
    free(p);
}

static double cpu_ns() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

extern "C" {

void kernels_layout(int32_t out[4]) {
    out[0] = ABI, out[1] = sizeof(TensorSpec), out[2] = sizeof(OpSpec), out[3] = KINDS;
}

Plan *plan_new(const char *set, const TensorSpec *tensors, int count, const OpSpec *ops, int op_count, int64_t arena_bytes) {
    Plan *plan = make<Plan>();
    if (!plan) return nullptr;
    plan->set = find_set(set);
    plan->arena_bytes = arena_bytes;
    plan->op_count = op_count;
    plan->ops = plan->set ? plan->pool.array<Op>(op_count) : nullptr;
    bool good = plan->ops != nullptr;
    const auto tensor = [&](int i) { return i >= 0 && i < count ? tensors[i] : TensorSpec(); };
    for (int i = 0; good && i < op_count; i++) {
        Op &op = plan->ops[i];
        op.spec = ops[i];
        op.x = tensor(ops[i].x), op.y = tensor(ops[i].y), op.z = tensor(ops[i].z);
        good = ops[i].kind >= 0 && ops[i].kind < KINDS && pack(*plan, op);
        op.spec.weights = op.spec.tables = nullptr, op.spec.bias = nullptr, op.spec.positions = nullptr;
        op.spec.right = op.spec.multiplier = op.spec.out = op.spec.factors = op.spec.more_factors = nullptr;
    }
    if (good) return plan;
    drop(plan);
    return nullptr;
}
void plan_free(Plan *plan) {
    if (plan) drop(plan);
}
int64_t plan_bytes(const Plan *plan) { return int64_t(plan->pool.bytes()); }

int64_t frame_bytes(const Plan *plan, int frames) {
    return arena_pitch(plan) * frames + 2 * VECTOR_BYTES;  // one before the arenas, one to align them
}
Frame *frame_new(const Plan *plan, int frames, void *memory) {
    Frame *f = frames <= MOST_PARTS ? make<Frame>(plan, frames) : nullptr;
    if (!f) return nullptr;
    if (!memory) memory = f->own = map_pages(size_t(frame_bytes(plan, frames)), &f->mapped);
    f->fastest = static_cast<double *>(calloc(size_t(plan->op_count) + 1, sizeof(double)));
    if (!memory || !f->fastest) {
        unmap_pages(f->own, f->mapped);
        free(f->fastest);
        drop(f);
        return nullptr;
    }
    const uintptr_t start = reinterpret_cast<uintptr_t>(memory) + VECTOR_BYTES;
    f->arenas = reinterpret_cast<uint8_t *>((start + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES);
    return f;
}
void frame_free(Frame *f) {
    if (!f) return;
    f->job.retire();
    unmap_pages(f->own, f->mapped);
    free(f->fastest);
    drop(f);
}
void frame_run(Frame *f, const void *const *inputs, void *const *outputs, int threads) {
    f->inputs = inputs, f->outputs = outputs, f->shared = threads > 1;
    f->job.run(threads - 1);
}
void frame_profile(Frame *f, double *ns) {  // the inputs and outputs of the last call are used again
    for (int i = 0; i < f->plan->op_count; i++) {
        f->shared = false;
        const double start = cpu_ns();
        for (int k = 0; k < f->frames; k++) f->execute(i, k);
        const double took = cpu_ns() - start;
        if (f->fastest[i] == 0 || took < f->fastest[i]) f->fastest[i] = took;
        ns[i] = f->fastest[i];
    }
}

}  // extern "C"
