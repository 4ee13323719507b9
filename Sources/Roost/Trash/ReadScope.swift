// Whether a read sees documents that were deleted.

/// Which documents a read sees.
public enum ReadScope: Sendable {
    /// Those that are live: what every read sees that doesn't say otherwise.
    case live
    /// Live and deleted ones.
    case withDeleted
    /// Deleted ones alone.
    case onlyDeleted
}
