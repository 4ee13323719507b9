// The bounds that every part of Roost shares. A bound that only one module knows stays there.

/// Named bounds on documents, messages and keys.
public enum Limits {
    /// Largest stored document, in bytes (MongoDB's maxBsonObjectSize).
    public static let documentBytesMax = 16 * 1024 * 1024
    /// Room that commands and replies may take above a full document, in bytes.
    public static let documentOverheadBytesMax = 16 * 1024
    /// Deepest nesting of documents and arrays.
    public static let nestingDepthMax = 200
    /// Largest wire message, in bytes (MongoDB's maxMessageSizeBytes).
    public static let messageBytesMax = 48_000_000
    /// Most statements in one write command (MongoDB's maxWriteBatchSize).
    public static let writeBatchMax = 100_000
}
