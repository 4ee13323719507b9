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
    /// What transactions may take.
    public var transactions = TransactionLimits()
    /// Threads for reads that take long.
    public var readerThreads: Int = 2
    /// How many of those threads may work on one scan of a collection; nil for as many as there are
    /// processors.
    public var scanThreads: Int?
    /// A collection smaller than two times this is scanned by one thread: a part should take longer
    /// (some 250 us) than to divide the collection and to wake a thread.
    package var scanPartBytes = 512 << 10

    /// Whether the file is checked page by page before it is used, whatever its size; without it
    /// only small files are, and those that an earlier fault was met in.
    public var checksAllPages = false

    /// Whether what the last process left unfinished is tidied up, and documents and changes expire;
    /// without it nothing is written but what is asked for.
    package var tidiesUp = true

    /// The wall clock that timestamps of commits follow, in seconds since 1970; it may step.
    package var wallSeconds: @Sendable () -> Int64 = LogicalClock.systemSeconds

    /// The defaults: full durability, no quota.
    public init() {}
}
