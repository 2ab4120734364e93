// Tiles for x86 CPUs with AVX2 and fused multiply-adds.
#include "tiles.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define HSCL_LEVEL avx2
#define HSCL_BYTES 32
#define HSCL_ROWS 4
#define HSCL_VECTORS 3
#define HSCL_PRODUCT_ROWS 6
#define HSCL_PRODUCT_VECTORS 2
#include "tiles.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
namespace hscl {
template <>
const Kernels<float> *avx2_kernels<float>() { return nullptr; }
template <>
const Kernels<double> *avx2_kernels<double>() { return nullptr; }
}  // namespace hscl
#endif
