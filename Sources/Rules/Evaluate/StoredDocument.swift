// Documents and arrays inside a document's bytes, read field by field.

package import BSON

/// A document or an array within shared bytes; copying it copies no byte.
package struct StoredDocument: Sendable {
    private let bytes: [UInt8]
    private let start: Int
    private let end: Int
    /// Whether `_id` is left out: Firestore's documents have their id in the path alone.
    private let hidesID: Bool

    /// A whole document; `hidesID` leaves out its `_id`.
    package init(_ document: Document, hidesID: Bool) {
        bytes = document.bytes
        start = 0
        end = document.bytes.count
        self.hidesID = hidesID
    }

    private init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        start = range.lowerBound
        end = range.upperBound
        hidesID = false
    }

    /// Runs `body` over the fields in stored order until it says no.
    func forEach(_ body: (String, RuleValue) -> Bool) {
        var elements = DocumentView(bytes.span.bytes.extracting(start..<end)).makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if hidesID, name == "_id" { continue }
            guard body(name, value(element.value, endingAt: start + elements.position)) else {
                return
            }
        }
    }

    /// The first field of that name; nil where there is none. O(n) in the bytes before it.
    func value(_ name: String) -> RuleValue? {
        if hidesID, name == "_id" { return nil }
        var elements = DocumentView(bytes.span.bytes.extracting(start..<end)).makeIterator()
        while let element = elements.next() {
            if element.name.equals(name.utf8Span.span.bytes) {
                return value(element.value, endingAt: start + elements.position)
            }
        }
        return nil
    }

    /// The number of fields, repeated ones counted again. O(n).
    var count: Int {
        var elements = DocumentView(bytes.span.bytes.extracting(start..<end)).makeIterator()
        var count = 0
        while let element = elements.next() {
            if hidesID, element.name.equals("_id".utf8Span.span.bytes) { continue }
            count += 1
        }
        return count
    }

    /// All fields, the first of repeated ones.
    var entries: [RuleMapEntry] {
        var entries: [RuleMapEntry] = []
        var known: Set<[UInt8]> = []
        forEach { name, value in
            if known.insert(Array(name.utf8)).inserted {
                entries.append(RuleMapEntry(key: name, value: value))
            }
            return true
        }
        return entries
    }

    /// The element of an array at an index below its count.
    func element(at index: Int) -> RuleValue? {
        var elements = DocumentView(bytes.span.bytes.extracting(start..<end)).makeIterator()
        var rest = index
        while let element = elements.next() {
            if rest == 0 { return value(element.value, endingAt: start + elements.position) }
            rest -= 1
        }
        return nil
    }

    /// A value as rules see it: an ObjectId is its hexadecimal digits, a decimal128 a float, a
    /// date a timestamp, a GeoJSON point a latlng.
    private func value(_ view: ValueView, endingAt end: Int) -> RuleValue {
        switch view.type {
        case .string, .symbol:
            guard let utf8 = view.utf8 else { return .null }
            return .string(String(utf8: utf8))
        case .objectID: return .string(view.objectID?.hexString ?? "")
        case .binary:
            guard let binary = view.binary else { return .null }
            return .bytes([UInt8](copying: binary.content))
        case .array:
            return .storedList(StoredDocument(bytes, end - view.bytes.byteCount..<end))
        case .document:
            if let point = Self.point(DocumentView(view.bytes)) { return .latlng(point) }
            return .storedMap(StoredDocument(bytes, end - view.bytes.byteCount..<end))
        default: return Self.scalar(view)
        }
    }

    /// A value without parts that is no text; what the language has no type for is null.
    static func scalar(_ view: ValueView) -> RuleValue {
        switch view.type {
        case .double: .float(view.double ?? 0)
        case .int32: .int(Int64(view.int32 ?? 0))
        case .int64: .int(view.int64 ?? 0)
        case .bool: .bool(view.bool ?? false)
        case .date: .timestamp(RuleTimestamp(millis: view.dateMillis ?? 0))
        case .timestamp:
            .timestamp(RuleTimestamp(millis: Int64(view.timestamp?.seconds ?? 0) * 1000))
        case .decimal128: .float(view.decimal128?.roundedDouble ?? .nan)
        default: .null
        }
    }

    /// Whether rules see a place in a document.
    static func isPoint(_ document: DocumentView) -> Bool { point(document) != nil }

    /// The place that `{type: 'Point', coordinates: [longitude, latitude]}` means; nil for other
    /// documents.
    private static func point(_ document: DocumentView) -> RuleLatLng? {
        var fields = document.makeIterator()
        guard let type = fields.next(), type.name.equals("type".utf8Span.span.bytes),
            type.value.hasText("Point"), let place = fields.next(),
            place.name.equals("coordinates".utf8Span.span.bytes), fields.next() == nil,
            let array = place.value.array
        else { return nil }
        var numbers: [Double] = []
        var elements = array.makeIterator()
        while let element = elements.next(), numbers.count < 3 {
            switch element.value.type {
            case .double: numbers.append(element.value.double ?? .nan)
            case .int32: numbers.append(Double(element.value.int32 ?? 0))
            case .int64: numbers.append(Double(element.value.int64 ?? 0))
            default: return nil
            }
        }
        guard numbers.count == 2 else { return nil }
        return RuleLatLng(latitude: numbers[1], longitude: numbers[0])
    }
}
