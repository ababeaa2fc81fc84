//! What this process's allocator does with freed memory.
//!
//! Tasks are short, each has a thread of its own, and each needs tens of megabytes for rows on their way. By default glibc gives
//! them back to the system as a task ends, to be zeroed and mapped again page by page for the next one, which is a quarter of
//! what a join of 5 million rows with 5 million takes. Allocators that give memory back at times of their own take longer still.
#![allow(unsafe_code)]

/// What stays with the process, of each core.
const KEPT_BYTES: i32 = 256 << 20;
/// Larger blocks go back at once.
const LARGE_BYTES: i32 = 1 << 30;

/// Keeps freed memory for the tasks to come: the first thing that an executor's process does, since threads that have
/// allocated before keep to their own ways. No effect but where glibc is the allocator.
pub fn keep_freed_memory(cores: u32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it changes numbers by which the allocator decides, and refuses those that make no sense.
    unsafe {
        // Tasks at once need no more of them, and the next one finds what the last one left.
        libc::mallopt(libc::M_ARENA_MAX, i32::try_from(cores).unwrap_or(i32::MAX));
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}
