//! What a value costs the heap: allocations while it is made, bytes that it holds.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Of one value.
pub(crate) struct Cost {
    /// Allocations while it was made; one that grows counts again.
    pub(crate) allocations: usize,
    /// Bytes that it holds, the value itself not counted.
    pub(crate) held: usize,
}

/// Makes a value and drops it.
pub(crate) fn cost<T>(make: impl FnOnce() -> T) -> Cost {
    let region = Region::new(HEAP);
    let value = make();
    let stats = region.change();
    drop(value);
    Cost {
        allocations: stats.allocations + stats.reallocations,
        // What a reallocation adds is among the bytes of allocations and deallocations.
        held: stats.bytes_allocated - stats.bytes_deallocated,
    }
}
