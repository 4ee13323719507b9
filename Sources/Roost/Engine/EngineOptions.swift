// How a folder is opened.

/// Options of a database folder.
public struct EngineOptions: Sendable {
    /// When a write is acknowledged.
    public enum Durability: String, Sendable, CaseIterable {
        /// After it is on disk: survives a power cut.
        case full
        /// After it is handed to the disk: a power cut may lose the last commit, never more, and
        /// never corrupts.
        case relaxed
    }

    /// When a write is acknowledged.
    public var durability: Durability = .full
    /// The most bytes that the folder may hold; nil for what the disk has.
    public var quotaBytes: UInt64?
    /// How long changes are kept, for change streams that resume.
    public var changeLog = LogLimits()
    /// Threads for reads that take long.
    public var readerThreads: Int = 2

    /// Whether the file is checked page by page before it is used, whatever its size; without it
    /// only small files are, and those that an earlier fault was met in.
    public var checksAllPages = false

    /// The defaults: full durability, no quota.
    public init() {}
}
