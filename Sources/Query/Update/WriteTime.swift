// The instant of a write, read once for a command.

package import BSON

/// What `$currentDate`, new ObjectIds and zero timestamps take as now.
package struct WriteTime: Sendable {
    /// Milliseconds since 1970.
    package let millis: Int64
    /// The write's timestamp: seconds and an ordinal.
    package let timestamp: Timestamp

    /// Both readings of one clock.
    package init(millis: Int64, timestamp: Timestamp) {
        self.millis = millis
        self.timestamp = timestamp
    }
}
