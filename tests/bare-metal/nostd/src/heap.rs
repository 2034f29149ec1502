//! An allocator that has nothing to give: enough to link.

use core::alloc::{GlobalAlloc, Layout};

struct Nothing;

// SAFETY: a null pointer is the contract's way to say that there is no memory.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Nothing = Nothing;
