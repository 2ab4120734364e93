// InfoNCE and the HSCL objective with their gradients; the formulas are those of reference.py and row_terms.py.
//
// Rows are put in the order of their ids, those of the normal-to-abnormal term first, and cut into blocks. Pieces of
// work are tiles (I, J), I <= J, of the symmetric matrix e = exp(s / tau), each computed once for both of its sides.
// What tiles add to a block they add in the order of the queue, so results do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "pool.h"
#include "tiles.h"

namespace {

using hscl::Kernels;
using hscl::Rows;
using hscl::Tile;

constexpr double EPS = 1e-12;  // u = z / max(||z||, EPS)
constexpr int OK = 0, UNKNOWN_ROLE = 1, OUT_OF_MEMORY = 2;
constexpr int64_t ROWS_AT_ONCE = 256;  // of the work that is linear in N

}  // namespace

extern "C" {

// Arguments of both directions; cpu_native.py has the same fields. Arrays are contiguous, T is float or double.
struct HsclBatch {
    int64_t instructions, threads, tile;  // 0 plain, 1 AVX2, 2 AVX-512; rows of a tile, whole panels
    int64_t rows, features, prototype_count;
    double scale;  // of unit rows: sqrt(log2(e) / tau)
    double lambda_prototype, lambda_abnormal, weight_threshold;
    const void *embeddings;       // T [N, D]; forward only
    const void *prototypes;       // T [K, D]; null: InfoNCE
    const int64_t *ids, *roles;   // [N]; roles null: InfoNCE
    const double *uniforms;       // [2, N] or null
    void *losses;                 // T [N], InfoNCE
    void *weights;                // T [N]
    void *units, *lengths;        // T [N, D], T [N]: saved for the backward, as all that follows
    int64_t *index;               // [N]
    void *row_state;              // T [6, N]: alpha, beta, p, r, c, slope
    void *kept;                   // T: exponentials of all tiles, or null
    const void *row_gradients;    // T [N], InfoNCE
    void *terms[4];               // T, the total and its terms; in the backward their gradients, or null
    void *by_embeddings, *by_prototypes;  // T [N, D], T [K, D]: results of the backward
};
}

namespace {

// Memory that is not cleared, aligned to a cache line.
template <class T>
class Buffer {
public:
    explicit Buffer(int64_t size) : size_(size) {
        data_ = static_cast<T *>(std::aligned_alloc(64, (std::max<int64_t>(size, 1) * sizeof(T) + 63) / 64 * 64));
        if (!data_) throw std::bad_alloc();
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() { std::free(data_); }
    T *data() { return data_; }
    T &operator[](int64_t k) { return data_[k]; }
    void clear() { std::fill(data_, data_ + size_, T(0)); }

private:
    T *data_;
    int64_t size_;
};

template <class T>
const Kernels<T> &kernels(int64_t instructions) {
    const Kernels<T> *found = instructions >= 2   ? hscl::avx512_kernels<T>()
                              : instructions == 1 ? hscl::avx2_kernels<T>()
                                                  : nullptr;
    return found ? *found : *hscl::plain_kernels<T>();
}

int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

// Calls part(start, stop) for the rows in pieces.
template <class Part>
void over_rows(int threads, int64_t rows, Part part) {
    hscl::run_pieces(threads, (rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, [&](int64_t piece, int) {
        part(piece * ROWS_AT_ONCE, std::min(rows, (piece + 1) * ROWS_AT_ONCE));
    });
}

// The unit vector times scale, and max(length, EPS), NaN for a vector that is not finite.
template <class T>
T normalise(const Kernels<T> &k, const T *z, int64_t features, double scale, T *u) {
    constexpr bool single = sizeof(T) == 4;
    // Squares of longer vectors could overflow, those of shorter ones vanish.
    constexpr double longest = single ? 0x1p48 : 0x1p500, shortest = single ? 0x1p-40 : 0x1p-400;
    double shortened = 1;
    T length = std::sqrt(k.dot(z, z, features));
    if (!(length < longest && length > shortest)) {
        double largest = 0;
        for (int64_t d = 0; d < features; ++d) {
            if (!(std::fabs(z[d]) <= std::numeric_limits<T>::max())) {
                std::fill(u, u + features, std::numeric_limits<T>::quiet_NaN());
                return std::numeric_limits<T>::quiet_NaN();
            }
            largest = std::max<double>(largest, std::fabs(z[d]));
        }
        shortened = largest > 0 ? std::exp2(std::min(-std::ilogb(largest), 1000)) : 1;
        double squares = 0;
        for (int64_t d = 0; d < features; ++d) squares += (z[d] * shortened) * (z[d] * shortened);
        double exact = std::max(std::sqrt(squares), EPS * shortened);
        double factor = scale / exact;
        for (int64_t d = 0; d < features; ++d) u[d] = T(z[d] * shortened * factor);
        return T(std::min<double>(exact / shortened, std::numeric_limits<T>::max()));
    }
    length = std::max(length, T(EPS));
    k.multiply(z, T(scale / length), features, u);
    return length;
}

// The order of the rows in the sweep, and in it where the positives of each row begin and end, and whether one of them
// takes part in L_NA.
struct Order {
    std::vector<int32_t> rows, first, last;
    std::vector<char> takes_part;
};

template <class Takes>
Order order_by_id(const int64_t *ids, int64_t count, Takes takes_part) {
    std::vector<int32_t> by_id(count);
    auto [low, high] = std::minmax_element(ids, ids + count);
    const uint64_t lowest = uint64_t(*low), range = uint64_t(*high) - lowest;
    if (range < uint64_t(4 * count + 1024)) {
        std::vector<int32_t> place(range + 2, 0);
        for (int64_t i = 0; i < count; ++i) ++place[uint64_t(ids[i]) - lowest + 1];
        for (uint64_t k = 0; k <= range; ++k) place[k + 1] += place[k];
        for (int64_t i = 0; i < count; ++i) by_id[place[uint64_t(ids[i]) - lowest]++] = int32_t(i);
    } else {
        for (int64_t i = 0; i < count; ++i) by_id[i] = int32_t(i);
        std::stable_sort(by_id.begin(), by_id.end(), [&](int32_t a, int32_t b) { return ids[a] < ids[b]; });
    }
    Order order{
        std::vector<int32_t>(count), std::vector<int32_t>(count), std::vector<int32_t>(count),
        std::vector<char>(count)};
    int64_t filled = 0;
    for (bool part : {true, false})
        for (int64_t start = 0, stop; start < count; start = stop) {
            bool takes = false;
            for (stop = start; stop < count && ids[by_id[stop]] == ids[by_id[start]]; ++stop)
                takes = takes || takes_part(by_id[stop]);
            if (takes != part) continue;
            const int64_t first = filled, last = filled + stop - start;
            for (int64_t k = start; k < stop; ++k, ++filled) {
                order.rows[filled] = by_id[k];
                order.first[filled] = int32_t(first);
                order.last[filled] = int32_t(last);
                order.takes_part[filled] = takes;
            }
        }
    return order;
}

struct Piece {
    Tile tile;
    int row_block, column_block, row_ticket, column_ticket;
    int64_t place;  // of its exponentials among those of all tiles
    bool mirrored() const { return row_block != column_block; }
};

// The pieces of the sweep: along the diagonal, then along the one beside it, and so on, so that pieces which run at
// the same time rarely add to the same block.
template <class T>
struct Queue {
    std::vector<Piece> pieces;
    int64_t tile, blocks;
    std::unique_ptr<hscl::Turns[]> turns;

    Queue(const Rows<T> &rows, const Order &order, int64_t panel, int64_t wanted) {
        tile = round_up(std::min(wanted, rows.padded), panel);
        blocks = (rows.padded + tile - 1) / tile;
        turns.reset(new hscl::Turns[blocks]);
        auto start = [&](int64_t block) { return std::min(block * tile, rows.padded); };
        std::vector<char> contrasts(blocks, 0);
        for (int64_t i = 0; i < rows.count; ++i)
            if (order.takes_part[i]) contrasts[i / tile] = 1;
        std::vector<int> tickets(blocks, 0);
        int64_t place = 0;
        for (int64_t beside = 0; beside < blocks; ++beside)
            for (int64_t a = 0, b = beside; b < blocks; ++a, ++b) {
                Tile t{start(a), start(a + 1), start(b), start(b + 1), false, contrasts[a] && contrasts[b]};
                t.careful = a == b || t.j_end > rows.count || order.last[t.i_end - 1] > t.j;
                Piece piece{t, int(a), int(b), tickets[a]++, 0, place};
                if (beside) piece.column_ticket = tickets[b]++;
                pieces.push_back(piece);
                place += (t.i_end - t.i) * (t.j_end - t.j);
            }
    }
};

// The arrays of Rows, filled in the order of the sweep.
template <class T>
struct Sides {
    Rows<T> rows{};
    int64_t width;  // features, padded
    Buffer<T> columns, by_feature, facts;

    Sides(const HsclBatch &batch, const Kernels<T> &k, const Order &order, bool logits)
        : width(round_up(batch.features, k.feature_panel)),
          columns(logits ? round_up(batch.rows, k.panel) * batch.features : 0),
          by_feature(round_up(batch.rows, k.panel) * width),
          facts(8 * round_up(batch.rows, k.panel)) {
        const int64_t padded = round_up(batch.rows, k.panel);
        rows.count = batch.rows, rows.padded = padded, rows.features = batch.features;
        rows.columns = logits ? columns.data() : nullptr, rows.by_feature = by_feature.data();
        facts.clear();
        const T **field[] = {&rows.first, &rows.last, &rows.positives, &rows.negatives,
                             &rows.alpha, &rows.beta, &rows.p,         &rows.r};
        for (int f = 0; f < 8; ++f) *field[f] = facts.data() + f * padded;
        const T *state = static_cast<const T *>(batch.row_state);
        T *to = facts.data();
        for (int64_t i = 0; i < batch.rows; ++i) {
            const int64_t row = order.rows[i];
            to[i] = T(order.first[i]), to[padded + i] = T(order.last[i]);
            to[2 * padded + i] = state[4 * batch.rows + row];
            to[3 * padded + i] = batch.roles && batch.roles[row] == -1;
        }
    }

    // Copies the unit rows of one panel to where the tiles read them.
    void pack(const HsclBatch &batch, const Kernels<T> &k, const Order &order, int64_t start, const T *nothing) {
        const T *units = static_cast<const T *>(batch.units);
        const T *row[64];
        for (int64_t r = 0; r < k.panel; ++r)
            row[r] = start + r < batch.rows ? units + order.rows[start + r] * batch.features : nothing;
        if (rows.columns) k.pack(row, batch.features, columns.data() + start * batch.features);
        for (int64_t f = 0; f < width; f += k.feature_panel)
            for (int64_t r = 0; r < k.panel; ++r) {
                T *to = by_feature.data() + f * rows.padded + (start + r) * k.feature_panel;
                const int64_t some = std::min(k.feature_panel, batch.features - f);
                std::copy(row[r] + f, row[r] + f + some, to);
                std::fill(to + some, to + k.feature_panel, T(0));
            }
    }
};

template <class T>
void pack_all(Sides<T> &sides, const HsclBatch &batch, const Kernels<T> &k, const Order &order) {
    const std::vector<T> nothing(batch.features, T(0));
    const int64_t panels = sides.rows.padded / k.panel, at_once = 8;
    hscl::run_pieces(int(batch.threads), (panels + at_once - 1) / at_once, [&](int64_t piece, int) {
        for (int64_t p = piece * at_once; p < std::min(panels, (piece + 1) * at_once); ++p)
            sides.pack(batch, k, order, p * k.panel, nothing.data());
    });
}

// How often each row comes up in `draws` draws with replacement, by inversion.
template <class T>
std::vector<T> draw_counts(const std::vector<T> &probabilities, int64_t draws, const double *uniforms) {
    const int64_t count = int64_t(probabilities.size());
    std::vector<double> cumulative(count);
    std::vector<T> counts(count, T(0));
    double total = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < count; ++i) {
        cumulative[i] = total += double(probabilities[i]);
        if (probabilities[i] > 0) last = i;
    }
    for (int64_t k = 0; k < std::min(draws, count); ++k) {
        auto found = std::upper_bound(cumulative.begin(), cumulative.end(), uniforms[k] * total);
        counts[std::min<int64_t>(found - cumulative.begin(), last)] += 1;
    }
    return counts;
}

// The nearest prototype of each row, its weight, and what L_SP and L_NA need of both.
template <class T>
struct Prototypes {
    std::vector<T> similarity, anchors;
    T sample_to_prototype = 0;

    Prototypes(const HsclBatch &batch, const Kernels<T> &k) : similarity(batch.rows), anchors(batch.rows) {
        nearest(batch, k);
        weigh(batch);
    }

private:
    void nearest(const HsclBatch &batch, const Kernels<T> &k) {
        const int64_t features = batch.features, count = batch.prototype_count;
        std::vector<T> directions(count * features);
        for (int64_t p = 0; p < count; ++p)
            normalise(k, static_cast<const T *>(batch.prototypes) + p * features, features, 1.0, &directions[p * features]);
        const T *units = static_cast<const T *>(batch.units);
        over_rows(int(batch.threads), batch.rows, [&](int64_t start, int64_t stop) {
            for (int64_t i = start; i < stop; ++i) {
                T best = -std::numeric_limits<T>::infinity();
                for (int64_t p = 0; p < count; ++p) {
                    const T found = k.dot(units + i * features, &directions[p * features], features);
                    if (found > best || std::isnan(found)) best = found, batch.index[i] = p;
                    if (std::isnan(found)) break;
                }
                similarity[i] = T(best / batch.scale);
            }
        });
    }

    void weigh(const HsclBatch &batch) {
        const int64_t count = batch.rows;
        T *weights = static_cast<T *>(batch.weights), *state = static_cast<T *>(batch.row_state);
        T *positives = state + 4 * count, *slopes = state + 5 * count;
        const T threshold = T(batch.weight_threshold);
        double mass = 0, kept = 0, normal = 0, abnormal = 0, abnormals = 0;
        int64_t eligible = 0;
        for (int64_t i = 0; i < count; ++i) {
            const T m = similarity[i], trusted = batch.lambda_prototype > 0 ? m : T(1);
            const T soft = std::min(std::max((trusted + 1) / 2, T(0)), T(1)) + 0 * trusted;
            const T w = weights[i] = batch.roles[i] == 1 ? T(1) : batch.roles[i] == 0 ? soft : T(0);
            mass += w;
            normal += double(w * (1 - m)) * (w * (1 - m));
            if (w > threshold) kept += w, ++eligible;
            if (batch.roles[i] == -1) {
                abnormals += 1;
                if (m > 0) abnormal += double(m) * m;
            }
        }
        const double some_mass = mass > 0 ? mass : 1, some_abnormals = std::max(abnormals, 1.0);
        sample_to_prototype = T(normal / some_mass + abnormal / some_abnormals);
        for (int64_t i = 0; i < count; ++i) {
            const T w = weights[i], m = similarity[i];
            anchors[i] = w > threshold ? T(w / (kept > 0 ? kept : 1)) : T(0);
            positives[i] = T(eligible) * anchors[i];
            slopes[i] = T(-2 * double(w) * w * (1 - m) / some_mass);
            if (batch.roles[i] == -1 && m > 0) slopes[i] += T(2 * m / some_abnormals);
        }
        if (!batch.uniforms) return;
        const std::vector<T> probabilities = anchors;
        anchors = draw_counts(probabilities, eligible, batch.uniforms);
        for (T &anchor : anchors) anchor /= T(std::max<int64_t>(eligible, 1));
        const std::vector<T> drawn = draw_counts(probabilities, eligible, batch.uniforms + count);
        std::copy(drawn.begin(), drawn.end(), positives);
    }
};

bool roles_are_known(const HsclBatch &batch) {
    for (int64_t i = 0; batch.roles && i < batch.rows; ++i)
        if (batch.roles[i] < -1 || batch.roles[i] > 2) return false;
    return true;
}

template <class T>
bool any_nan(const T *values, int64_t count) {
    return std::any_of(values, values + count, [](T value) { return std::isnan(value); });
}

template <class T>
void fill_nan(void *values, int64_t count) {
    std::fill_n(static_cast<T *>(values), count, std::numeric_limits<T>::quiet_NaN());
}

// Rows that take part in L_NA, as anchors, positives or negatives, go first.
Order order_of(const HsclBatch &batch) {
    return order_by_id(
        batch.ids, batch.rows, [&](int64_t row) { return batch.roles && batch.roles[row] != 2; });
}

template <class T>
int forward(const HsclBatch &batch) {
    if (!roles_are_known(batch)) return UNKNOWN_ROLE;
    const Kernels<T> &k = kernels<T>(batch.instructions);
    const int threads = int(batch.threads);
    const int64_t count = batch.rows, features = batch.features;
    const bool whole = batch.roles != nullptr;
    T *state = static_cast<T *>(batch.row_state), *losses = static_cast<T *>(batch.losses);
    T *units = static_cast<T *>(batch.units), *lengths = static_cast<T *>(batch.lengths);
    over_rows(threads, count, [&](int64_t start, int64_t stop) {
        const T *z = static_cast<const T *>(batch.embeddings);
        for (int64_t i = start; i < stop; ++i)
            lengths[i] = normalise(k, z + i * features, features, batch.scale, units + i * features);
    });
    std::fill_n(state, 6 * count, T(0));
    std::unique_ptr<Prototypes<T>> prototypes;
    if (whole) prototypes.reset(new Prototypes<T>(batch, k));
    if (any_nan(whole ? prototypes->similarity.data() : lengths, count)) {
        if (!whole) fill_nan<T>(losses, count);
        for (int term = 0; whole && term < 4; ++term) fill_nan<T>(batch.terms[term], 1);
        fill_nan<T>(state, 6 * count);
        return OK;
    }

    const Order order = order_of(batch);
    Sides<T> sides(batch, k, order, true);
    pack_all(sides, batch, k, order);
    Queue<T> queue(sides.rows, order, k.panel, batch.tile);
    const int64_t padded = sides.rows.padded, tile = queue.tile;
    Buffer<T> sums(hscl::SUMS * padded);
    sums.clear();
    const int64_t scratch_size = hscl::SUMS * tile * (k.lanes + 2);
    Buffer<T> scratch(threads * scratch_size);
    hscl::run_pieces(threads, int64_t(queue.pieces.size()), [&](int64_t number, int thread) {
        const Piece &piece = queue.pieces[number];
        const Tile &t = piece.tile;
        T *row_sums = scratch.data() + thread * scratch_size, *column_sums = row_sums + hscl::SUMS * tile;
        T *kept = static_cast<T *>(batch.kept);
        k.forward(
            sides.rows, t, kept ? kept + piece.place : nullptr, row_sums, column_sums,
            column_sums + hscl::SUMS * tile);
        auto add = [&](int block, int ticket, const T *from, int64_t start, int64_t size) {
            queue.turns[block].wait(ticket);
            for (int s = 0; s < hscl::SUMS; ++s)
                for (int64_t i = 0; i < size; ++i) sums[s * padded + start + i] += from[s * size + i];
            queue.turns[block].next();
        };
        add(piece.row_block, piece.row_ticket, row_sums, t.i, t.i_end - t.i);
        if (piece.mirrored()) add(piece.column_block, piece.column_ticket, column_sums, t.j, t.j_end - t.j);
    });

    double sample_to_sample = 0, normal_to_abnormal = 0;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t row = order.rows[i];
        const T every = sums[hscl::ALL * padded + i], same = sums[hscl::SAME * padded + i];
        T loss = 0;
        if (same > 0) {
            loss = T(std::log(double(every) / double(same)));
            state[row] = 1 / every, state[count + row] = 1 / same;
        }
        sample_to_sample += loss;
        if (!whole) {
            losses[row] = loss;
            continue;
        }
        const double normal = sums[hscl::NORMAL * padded + i], abnormal = sums[hscl::ABNORMAL * padded + i];
        const double anchor = prototypes->anchors[row];
        if (anchor > 0 && normal > 0 && abnormal > 0) {
            normal_to_abnormal += anchor * std::log1p(abnormal / normal);
            const double p = anchor / (normal + abnormal);
            state[2 * count + row] = T(p), state[3 * count + row] = T(p * abnormal / normal);
        }
    }
    if (!whole) return OK;
    const T ss = T(sample_to_sample / double(count)), sp = prototypes->sample_to_prototype, na = T(normal_to_abnormal);
    const T terms[] = {T(ss + batch.lambda_prototype * sp + batch.lambda_abnormal * na), ss, sp, na};
    for (int term = 0; term < 4; ++term) *static_cast<T *>(batch.terms[term]) = terms[term];
    return OK;
}

// dL/dz of a row from dL/du, written over it: times (I - u u^T) / ||z||, or 1 / EPS for shorter rows.
template <class T>
void through_norm(const Kernels<T> &k, T *gradient, const T *unit, double scale, T length, int64_t features) {
    const T along = length > T(EPS) ? T(k.dot(gradient, unit, features) / (scale * scale)) : T(0);
    k.project(gradient, unit, along, length, features);
}

// dL/dV from dL/dm_i: each row's gradient goes to its nearest prototype.
template <class T>
void prototype_gradients(const HsclBatch &batch, const Kernels<T> &k, const std::vector<T> &slopes) {
    const int64_t features = batch.features, count = batch.prototype_count;
    std::vector<double> sums(count * features, 0.0);
    std::vector<T> some(count * features, T(0));  // of a few rows, so that rounding errors do not grow with N
    const int64_t at_once = std::max(ROWS_AT_ONCE, count);
    for (int64_t start = 0; start < batch.rows; start += at_once) {
        for (int64_t i = start; i < std::min(batch.rows, start + at_once); ++i)
            if (slopes[i] != 0)
                k.add(
                    &some[batch.index[i] * features], static_cast<const T *>(batch.units) + i * features,
                    T(slopes[i] / batch.scale), features);
        for (int64_t d = 0; d < count * features; ++d) sums[d] += some[d], some[d] = 0;
    }
    std::vector<T> direction(features);
    for (int64_t p = 0; p < count; ++p) {
        T *to = static_cast<T *>(batch.by_prototypes) + p * features;
        const T *from = static_cast<const T *>(batch.prototypes) + p * features;
        const T length = normalise(k, from, features, 1.0, direction.data());
        for (int64_t d = 0; d < features; ++d) to[d] = T(sums[p * features + d]);
        through_norm(k, to, direction.data(), 1.0, length, features);
    }
}

template <class T>
int backward(const HsclBatch &batch) {
    const Kernels<T> &k = kernels<T>(batch.instructions);
    const int threads = int(batch.threads);
    const int64_t count = batch.rows, features = batch.features;
    const bool whole = batch.roles != nullptr;
    const T *state = static_cast<const T *>(batch.row_state), *lengths = static_cast<const T *>(batch.lengths);
    T *by_embeddings = static_cast<T *>(batch.by_embeddings);
    if (any_nan(whole ? state + 5 * count : lengths, count)) {
        fill_nan<T>(by_embeddings, count * features);
        if (whole) fill_nan<T>(batch.by_prototypes, batch.prototype_count * features);
        return OK;
    }
    auto given = [&](int term) { return batch.terms[term] ? *static_cast<const T *>(batch.terms[term]) : T(0); };
    const T sample = (given(0) + given(1)) / T(count);
    const T prototype = T(batch.lambda_prototype * given(0) + given(2));
    const T abnormal = T(batch.lambda_abnormal * given(0) + given(3));

    const Order order = order_of(batch);
    Sides<T> sides(batch, k, order, batch.kept == nullptr);
    const int64_t padded = sides.rows.padded, width = sides.width;
    T *coefficients = sides.facts.data() + 4 * padded;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t row = order.rows[i];
        const T gradient = whole ? sample : static_cast<const T *>(batch.row_gradients)[row];
        coefficients[i] = state[row] * gradient;
        coefficients[padded + i] = state[count + row] * gradient;
        coefficients[2 * padded + i] = state[2 * count + row] * abnormal;
        coefficients[3 * padded + i] = state[3 * count + row] * abnormal;
    }
    pack_all(sides, batch, k, order);
    Queue<T> queue(sides.rows, order, k.panel, batch.tile);
    Buffer<T> gradients(padded * width), tiles(threads * queue.tile * queue.tile);
    gradients.clear();
    hscl::run_pieces(threads, int64_t(queue.pieces.size()), [&](int64_t number, int thread) {
        const Piece &piece = queue.pieces[number];
        const Tile &t = piece.tile;
        const T *kept = static_cast<const T *>(batch.kept);
        T *g = tiles.data() + thread * queue.tile * queue.tile;
        k.backward(sides.rows, t, kept ? kept + piece.place : nullptr, g);
        queue.turns[piece.row_block].wait(piece.row_ticket);
        k.add_to_rows(sides.rows, t, g, gradients.data() + t.i * width, width);
        queue.turns[piece.row_block].next();
        if (!piece.mirrored()) return;
        queue.turns[piece.column_block].wait(piece.column_ticket);
        k.add_to_columns(sides.rows, t, g, gradients.data() + t.j * width, width);
        queue.turns[piece.column_block].next();
    });

    std::vector<T> slopes(whole ? count : 0), directions(whole ? batch.prototype_count * features : 0);
    for (int64_t i = 0; i < int64_t(slopes.size()); ++i) slopes[i] = prototype * state[5 * count + i];
    for (int64_t p = 0; p < int64_t(directions.size()) / features; ++p)
        normalise(k, static_cast<const T *>(batch.prototypes) + p * features, features, 1.0, &directions[p * features]);
    const T *units = static_cast<const T *>(batch.units);
    const T by_unit = T(batch.scale * std::log(2.0));  // 1 / (tau scale)
    over_rows(threads, count, [&](int64_t start, int64_t stop) {
        for (int64_t i = start; i < stop; ++i) {
            const int64_t row = order.rows[i];
            T *to = by_embeddings + row * features;
            const T *from = gradients.data() + i * width;
            k.multiply(from, by_unit, features, to);
            if (whole) k.add(to, &directions[batch.index[row] * features], slopes[row], features);
            through_norm(k, to, units + row * features, batch.scale, lengths[row], features);
        }
    });
    if (whole) prototype_gradients(batch, k, slopes);
    return OK;
}

template <class Call>
int guarded(Call call) {
    try {
        return call();
    } catch (const std::bad_alloc &) {
        return OUT_OF_MEMORY;
    }
}

}  // namespace

#define HSCL_PUBLIC __attribute__((visibility("default")))

extern "C" {
HSCL_PUBLIC const char *hscl_sources() { return HSCL_SOURCES; }  // what this library was built from, by setup.py
// Rows of a panel, of which tiles have a whole number.
HSCL_PUBLIC int64_t hscl_panel_float(int64_t instructions) { return kernels<float>(instructions).panel; }
HSCL_PUBLIC int64_t hscl_panel_double(int64_t instructions) { return kernels<double>(instructions).panel; }
HSCL_PUBLIC int hscl_forward_float(const HsclBatch *batch) {
    return guarded([&] { return forward<float>(*batch); });
}
HSCL_PUBLIC int hscl_forward_double(const HsclBatch *batch) {
    return guarded([&] { return forward<double>(*batch); });
}
HSCL_PUBLIC int hscl_backward_float(const HsclBatch *batch) {
    return guarded([&] { return backward<float>(*batch); });
}
HSCL_PUBLIC int hscl_backward_double(const HsclBatch *batch) {
    return guarded([&] { return backward<double>(*batch); });
}
}
