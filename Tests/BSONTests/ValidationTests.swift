import BSON
import Testing
import TestSupport

@Suite struct ValidationTests {
    /// Documents that together hold every type.
    static let samples: [Document] = {
        var generator = DocumentGenerator(seed: 7)
        var samples = EdgeValues.all.map { value in Document { $0.append("a", value) } }
        samples = samples.filter { $0.bytes.count < 80 }
        samples += (0..<20).map { _ in generator.document() }.filter { $0.bytes.count < 400 }
        return samples
    }()

    /// Reads everything a view can give, as deep as the bytes go.
    static func walk(_ document: DocumentView, depth: Int = 0) -> Int {
        var sum = 0
        guard depth < 220 else { return 0 }
        var elements = document.makeIterator()
        while let element = elements.next() {
            let value = element.value
            sum += element.name.byteCount + value.bytes.byteCount
            sum += Int(value.int32 ?? 0) & 1
            sum += value.int64 == 1 ? 1 : 0
            sum += value.double == 1 ? 1 : 0
            sum += value.dateMillis == 1 ? 1 : 0
            sum += value.isTruthy ? 1 : 0
            sum += value.timestamp == Timestamp(rawValue: 1) ? 1 : 0
            sum += value.objectID == ObjectID(head: 0, tail: 1) ? 1 : 0
            sum += value.decimal128?.isZero == true ? 1 : 0
            if let text = value.utf8 { sum += text.byteCount }
            if let binary = value.binary { sum += binary.content.byteCount }
            if let regex = value.regex { sum += regex.pattern.byteCount + regex.options.byteCount }
            if let parts = value.codeWithScope {
                sum += parts.code.byteCount + walk(parts.scope, depth: depth + 1)
            }
            if let nested = value.nested { sum += walk(nested, depth: depth + 1) }
        }
        return sum
    }

    private static func check(_ bytes: [UInt8]) {
        let isValid = (try? validate(document: bytes.span.bytes)) != nil
        let view = DocumentView(bytes.span.bytes)
        _ = walk(view)
        var encoder = KeyEncoder()
        encoder.append(ValueView(type: .document, bytes: bytes.span.bytes))
        _ = ExtendedJSON.string(of: view, canonical: true)
        if isValid, view.compare(view) != 0 { Issue.record("\(bytes)") }
    }

    @Test func truncatedDocumentsAreRefused() {
        for sample in Self.samples {
            for count in 0..<sample.bytes.count {
                let prefix = Array(sample.bytes[..<count])
                let error = #expect(throws: DBError.self) {
                    try validate(document: prefix.span.bytes)
                }
                if error?.code != .invalidBSON { Issue.record("\(prefix)") }
                if count >= 5 { Self.check(prefix) }
            }
        }
    }

    @Test func changedBytesNeverCrash() {
        for sample in Self.samples where sample.bytes.count < 100 {
            for index in sample.bytes.indices {
                for byte: UInt8 in [0, 1, 2, 3, 4, 5, 8, 0x0B, 0x0C, 0x0F, 0x13, 0x7F, 0x80, 0xFF] {
                    var bytes = sample.bytes
                    bytes[index] = byte
                    Self.check(bytes)
                    bytes[index] = sample.bytes[index] ^ byte
                    Self.check(bytes)
                }
            }
        }
    }

    private static func nested(levels: Int, type: UInt8 = 3) -> [UInt8] {
        var bytes: [UInt8] = []
        for level in 0...levels {
            let length = UInt32(5 + (levels - level) * 8)
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * UInt32($0))) }
            if level < levels { bytes += [type, 0x61, 0] }
        }
        return bytes + Array(repeating: 0, count: levels + 1)
    }

    @Test(arguments: [3, 4] as [UInt8])
    func depthIsBounded(type: UInt8) throws {
        for levels in [0, 1, 199, 200] {
            try validate(document: Self.nested(levels: levels, type: type).span.bytes)
        }
        for levels in [201, 300, 10_000, 1_000_000] {
            let error = #expect(throws: DBError.self) {
                try validate(document: Self.nested(levels: levels, type: type).span.bytes)
            }
            #expect(error?.code == .overflow)
        }
    }

    /// Views, comparison and keys bound their own recursion, should such bytes ever get through.
    @Test func deepBytesDoNotExhaustTheStack() {
        let bytes = Self.nested(levels: 1_000_000)
        let value = OwnedValue(type: .document, payload: bytes)
        var encoder = KeyEncoder()
        encoder.append(value.view)
        var hasher = Hasher()
        value.view.hash(into: &hasher)
        var other = bytes
        other[other.count / 2 + 3] ^= 1
        let order = value.view.compare(OwnedValue(type: .document, payload: other).view)
        #expect(order != 0 || bytes == other)
    }

    @Test func messageSaysWhere() {
        let bytes = (["a": ["b": ["c": true]]] as Document).bytes
        var broken = bytes
        broken[broken.count - 4] = 7
        let error = #expect(throws: DBError.self) { try validate(document: broken.span.bytes) }
        #expect(error?.message.contains("in field 'a.b.c'") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("at byte \(broken.count - 4)") == true)
    }

    /// Unicode 16, table 3-7, at its edges.
    @Test(
        arguments: [
            ([0x00], true), ([0x7F], true), ([0x80], false), ([0xC1, 0xBF], false),
            ([0xC2, 0x80], true), ([0xDF, 0xBF], true), ([0xDF], false), ([0xDF, 0xC0], false),
            ([0xE0, 0x9F, 0xBF], false), ([0xE0, 0xA0, 0x80], true), ([0xED, 0x9F, 0xBF], true),
            ([0xED, 0xA0, 0x80], false), ([0xEF, 0xBF, 0xBF], true), ([0xEF, 0xBF], false),
            ([0xEF, 0xBF, 0x41], false), ([0xF0, 0x8F, 0xBF, 0xBF], false),
            ([0xF0, 0x90, 0x80, 0x80], true), ([0xF4, 0x8F, 0xBF, 0xBF], true),
            ([0xF4, 0x90, 0x80, 0x80], false), ([0xF5, 0x80, 0x80, 0x80], false), ([0xFF], false),
        ] as [([UInt8], Bool)])
    func utf8(sequence: [UInt8], isValid: Bool) {
        // At every place relative to the eight-byte words.
        for before in 0..<18 {
            for after in 0..<10 {
                let bytes =
                    Array(repeating: 0x61, count: before) + sequence
                    + Array(repeating: UInt8(0x62), count: after)
                if bytes.span.bytes.isValidUTF8 != isValid {
                    Issue.record("\(sequence) after \(before) before \(after)")
                }
            }
        }
    }

    /// A document with so many levels below it, which `wrap` adds one by one from the innermost.
    private static func nested(_ levels: Int, _ wrap: ([UInt8], Int) -> [UInt8]) -> [UInt8] {
        (0..<levels).reduce([5, 0, 0, 0, 0]) { wrap($0, $1) }
    }

    private static func sized(_ content: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: Int32(content.count + 4).littleEndian) { Array($0) } + content
    }

    @Test(arguments: [0, 1, 199, 200, 201, 202, 208])
    func whatMayBeStoredIsWhatIsValid(levels: Int) {
        let shapes: [(String, ([UInt8], Int) -> [UInt8])] = [
            ("documents", { inner, _ in Self.sized([3, 0x61, 0] + inner + [0]) }),
            ("arrays", { inner, _ in Self.sized([4, 0x30, 0] + inner + [0]) }),
            ("without names", { inner, _ in Self.sized([3, 0] + inner + [0]) }),
            (
                "scopes of code",
                { inner, _ in Self.sized([15, 0] + Self.sized([1, 0, 0, 0, 0] + inner) + [0]) }
            ),
            (
                "beside others",
                { inner, level in
                    Self.sized(
                        [8, 0x62, 0, 1, 3, 0x63, 0, 5, 0, 0, 0, 0]
                            + [level % 2 == 0 ? 3 : 4, 0x61, 0] + inner + [0])
                }
            ),
        ]
        for (name, wrap) in shapes {
            let bytes = Self.nested(levels, wrap)
            var isValid = true
            do { try validate(document: bytes.span.bytes) } catch { isValid = false }
            #expect(isValid == (levels <= Limits.nestingDepthMax), "\(name)")
            #expect(DocumentView(bytes.span.bytes).isNestedTooDeep == !isValid, "\(name)")
        }
    }
}
