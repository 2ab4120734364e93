// Tiles for x86 CPUs with AVX-512.
#include "tiles.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define HSCL_LEVEL avx512
#define HSCL_BYTES 64
#define HSCL_ROWS 8
#define HSCL_VECTORS 3
#define HSCL_PRODUCT_ROWS 12
#define HSCL_PRODUCT_VECTORS 2
#include "tiles.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
namespace hscl {
template <>
const Kernels<float> *avx512_kernels<float>() { return nullptr; }
template <>
const Kernels<double> *avx512_kernels<double>() { return nullptr; }
}  // namespace hscl
#endif
