// The bounds of the wire, beside those in BSON's Limits.

import BSON

/// Named bounds on what a connection may hold.
package enum WireLimits {
    /// Most document sequences in one message. MongoDB's commands have at most two (bulkWrite).
    package static let sequencesMax = 16
    /// Longest identifier of a document sequence, in bytes.
    package static let identifierBytesMax = 255
    /// Unprocessed bytes beyond the message being awaited above which a connection's reading
    /// pauses.
    package static let readAheadBytesMax = 1 << 20
    /// How much deeper than a stored document those of a sequence may nest, which carry them.
    package static let commandNestingExtra = 8
    /// Largest document of a command or reply, in bytes.
    package static let commandBytesMax = Limits.documentBytesMax + Limits.documentOverheadBytesMax
}
