// Tiles for any CPU: the compiler's own target, which has vectors of at least 16 bytes (SSE2, NEON).
#include "tiles.h"

#define HSCL_LEVEL plain
#define HSCL_BYTES 16
#define HSCL_ROWS 4
#define HSCL_VECTORS 2
#define HSCL_PRODUCT_ROWS 4
#define HSCL_PRODUCT_VECTORS 2
#include "tiles.inc"
