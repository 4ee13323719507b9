import TestSupport
import Testing

@testable import BSON

@Suite struct FieldNameTests {
    @Test("Prepared names find what the plain walk finds", arguments: 0..<4 as Range<UInt64>)
    func againstPlainWalk(_ seed: UInt64) {
        var generator = DocumentGenerator(seed: seed + 1)
        for _ in 0..<500 {
            let document = generator.document(fieldsMax: 12, depthMax: 1)
            // Names of the document, and names that are near them.
            var texts: [String] = []
            for key in document.keys.prefix(5) where !texts.contains(key) { texts.append(key) }
            for near in [generator.name(), (texts.last ?? "") + "a", "12345678"]
            where !texts.contains(near) {
                texts.append(near)
            }
            var pool: [UInt8] = []
            var names: [FieldName] = []
            for text in texts {
                let offset = pool.count
                pool += Array(text.utf8)
                names.append(FieldName(at: offset, count: text.utf8.count, in: pool))
            }
            let view = document.view
            let slots = view.locate(names.span, in: pool.span.bytes)
            for (slot, text) in texts.enumerated() {
                let expected = document[text].map { OwnedValue($0) }
                let single = owned(view.value(names[slot], in: pool.span.bytes))
                let located = owned(view.value(slots, slot))
                #expect(single == expected, "\(text)")
                #expect(located == expected, "\(text)")
            }
        }
    }

    private func owned(_ value: ValueView?) -> OwnedValue? {
        guard let value else { return nil }
        return OwnedValue(copying: value)
    }

    @Test("Bytes that make no sense end the walk", arguments: 0..<4 as Range<UInt64>)
    func damage(_ seed: UInt64) {
        var generator = DocumentGenerator(seed: seed + 50)
        let pool = Array("zz".utf8)
        let names = [FieldName(at: 0, count: 2, in: pool)]
        for _ in 0..<2000 {
            var bytes = generator.document().bytes
            for _ in 0..<1 + generator.random.below(4) {
                bytes[generator.random.below(bytes.count)] = UInt8(generator.random.below(256))
            }
            let cut = DocumentView(
                bytes.span.bytes.extracting(0..<generator.random.below(bytes.count + 1)))
            let isFound = cut.value(names[0], in: pool.span.bytes) != nil
            let slots = cut.locate(names.span, in: pool.span.bytes)
            #expect((cut.value(slots, 0) != nil) == isFound)
        }
    }
}
