// Names and passwords as SCRAM compares them: SASLprep (RFC 4013), by ICU.

import CICU

/// Prepares strings for comparison.
package enum SASLprep {
    /// The prepared string; nil where it holds what may not be in a password (control characters,
    /// unassigned code points, mixed directions) or is longer than 64 KiB.
    package static func prepare(_ text: String) -> String? {
        // Most passwords are printable ASCII, which stays as it is.
        if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
        let given = Array(text.utf8).map { CChar(bitPattern: $0) }
        let count = Int32(clamping: given.count)
        let capacity = given.count * 18 + 16
        guard capacity <= 1 << 21 else { return nil }
        let prepared = [UInt8](unsafeUninitializedCapacity: capacity) { room, used in
            used = room.withMemoryRebound(to: CChar.self) { room in
                // SAFETY: both buffers are as large as their counts say and live for the call.
                Int(max(-1, cicu_saslprep(given, count, room.baseAddress, Int32(room.count)))) + 1
            }
            used = max(0, used - 1)
        }
        return prepared.isEmpty && !given.isEmpty
            ? nil : String(validating: prepared, as: UTF8.self)
    }
}
