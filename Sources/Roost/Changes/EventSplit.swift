// $changeStreamSplitLargeEvent: events above 16 MiB come in fragments, each with some of the
// event's fields.

import BSON

enum EventSplit {
    /// What a fragment holds beside its fields, at most: token, `splitEvent`, frame.
    private static let overheadBytes = 1_024

    /// The event's fields, spread over documents that are small enough. Each begins with a token
    /// that resumes behind it, and tells its number and how many there are.
    /// - Throws: `bsonObjectTooLarge` (10334) where a single field is too large.
    static func fragments(
        of event: DocumentView, _ token: (UInt16) -> ResumeToken
    ) throws(DBError) -> [Document] {
        let most = Limits.documentBytesMax - overheadBytes
        var groups: [[Range<Int>]] = [[]]
        var room = most
        var fields = event.makeIterator()
        var end = 4
        while let field = fields.next() {
            let start = end
            end = start + 1 + field.name.byteCount + 1 + field.value.bytes.byteCount
            if field.name.equals("_id") { continue }
            guard end - start <= most else {
                throw DBError(
                    .bsonObjectTooLarge,
                    "The field '\(field.nameString)' of an event has \(end - start) bytes; leave "
                        + "it out with $project",
                    details: .nonResumable)
            }
            if end - start > room {
                groups.append([])
                room = most
            }
            groups[groups.count - 1].append(start..<end)
            room -= end - start
        }
        return groups.enumerated().map { index, ranges in
            let isLast = index == groups.count - 1
            let part = isLast ? LogPosition.wholeEvent : UInt16(truncatingIfNeeded: index + 1)
            return Document { writer in
                token(part).write("_id", into: &writer)
                let split = writer.openDocument("splitEvent")
                writer.append("fragment", Int32(clamping: index + 1))
                writer.append("of", Int32(clamping: groups.count))
                writer.close(split)
                for range in ranges { writer.appendRaw(copying: event.bytes.extracting(range)) }
            }
        }
    }
}
