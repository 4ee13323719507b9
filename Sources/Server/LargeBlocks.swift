import CPlatform

/// Gives the memory of large replies and large queries back to the system when they are done. For
/// the process' start.
///
/// glibc maps large blocks apart, but takes each one that is freed as a reason to carve later ones
/// of that size from its heaps, which shrink at their ends alone: 50 clients that took no replies
/// left 600 MB behind. A fixed bound ends that; a block above it costs two system calls.
package func returnLargeBlocks() {
    _ = roost_map_blocks_from(1 << 20)
}
