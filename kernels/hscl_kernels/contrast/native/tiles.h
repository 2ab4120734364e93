// What one tile of the matrix exp(s / tau) needs, and the functions that compute it for one set of instructions.
#pragma once
#include <cstdint>
#include <utility>

namespace hscl {

// The rows of a batch in the order in which the sweep walks them, padded to `padded` with rows of zeros.
// Positives of a row are neighbours: `first` <= column < `last`. Counts are held as T, exact up to 2**24 rows.
template <class T>
struct Rows {
    int64_t count, padded, features;
    const T *columns;    // [padded / panel][features][panel]: unit rows times sqrt(log2(e) / tau), rows as lanes
    const T *by_feature; // [feature panels][padded][feature panel]: the same, features as lanes
    const T *first, *last;
    const T *positives, *negatives;  // c; 1 for abnormal rows
    const T *alpha, *beta, *p, *r;   // coefficients of row_terms.py times the upstream gradients; backward only
};

// Rows [i, i_end) against columns [j, j_end). `careful`: a row meets itself, a positive or padding in it.
// `contrasts`: rows of both sides are part of the normal-to-abnormal term.
struct Tile {
    int64_t i, i_end, j, j_end;
    bool careful, contrasts;
};

enum Sum { ALL, SAME, NORMAL, ABNORMAL, SUMS };

template <class T>
struct Kernels {
    int64_t panel, feature_panel;
    int64_t lanes;
    // dot product of two vectors
    T (*dot)(const T *a, const T *b, int64_t count);
    // to += factor * from
    void (*add)(T *to, const T *from, T factor, int64_t count);
    // out = factor * in
    void (*multiply)(const T *in, T factor, int64_t count, T *out);
    // gradient = (gradient - along * unit) / length
    void (*project)(T *gradient, const T *unit, T along, T length, int64_t count);
    // `columns` of one panel from `panel` unit rows
    void (*pack)(const T *const *rows, int64_t features, T *columns);
    // Sums of a tile: `row_sums [SUMS][i_end - i]`, `column_sums [SUMS][j_end - j]`; `scratch` holds
    // SUMS * (i_end - i) * lanes numbers. The exponentials go to `kept`, unless it is null.
    void (*forward)(const Rows<T> &, const Tile &, T *kept, T *row_sums, T *column_sums, T *scratch);
    // G_ij of a tile, `[panels][i_end - i][panel]`, from exponentials that were kept or, with null, computed again.
    void (*backward)(const Rows<T> &, const Tile &, const T *kept, T *g);
    // gradients of the rows [i_end - i][width] += G U_J, and of the columns += G^T U_I
    void (*add_to_rows)(const Rows<T> &, const Tile &, const T *g, T *gradients, int64_t width);
    void (*add_to_columns)(const Rows<T> &, const Tile &, const T *g, T *gradients, int64_t width);
};

// Null where the compiler's target has no such instructions.
template <class T>
const Kernels<T> *plain_kernels();
template <class T>
const Kernels<T> *avx2_kernels();
template <class T>
const Kernels<T> *avx512_kernels();

}  // namespace hscl
