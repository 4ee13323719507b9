// Fuzzing: every parser of outside input as a function of bytes.
//
// A target takes any bytes. Bad input must end in a DBError with a message; a trap, a hang or a
// broken property (decode(encode(x)) == x, results that are no BSON) is a fault, which `check`
// turns into a FuzzFault. The same targets run under libFuzzer (tools/fuzz), and in the test
// command over the kept seeds and some thousand mutations of them (Tests/FuzzTests).
//
// Targets whose input is a document have BSON as their bytes; DocumentMutator changes it without
// breaking it. The others are text or frames, which TextMutator changes.

import BSON

/// A property of a parser that didn't hold.
package struct FuzzFault: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// One parser as a function of bytes.
package struct FuzzTarget: Sendable, CustomStringConvertible {
    /// What the bytes are, for mutation and for showing them.
    package enum Form: Sendable {
        /// A BSON document; seeds are files of Extended JSON.
        case document
        /// UTF-8 text.
        case text
        /// Anything; seeds are files of hexadecimal digits.
        case bytes
    }

    package let name: String
    package let form: Form
    /// Inputs that lead into all corners.
    package let seeds: [[UInt8]]
    private let body: @Sendable ([UInt8]) throws -> Void

    package var description: String { name }

    package init(
        _ name: String, _ form: Form, seeds: [[UInt8]],
        _ body: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.form = form
        self.seeds = seeds
        self.body = body
    }

    /// A target over documents, with its seeds as Extended JSON.
    init(
        documents name: String, seeds: [String],
        _ body: @escaping @Sendable (DocumentView) throws -> Void
    ) {
        self.init(name, .document, seeds: seeds.compactMap(Self.bytes(json:))) { bytes in
            // Invalid BSON never gets behind the wire.
            do throws(DBError) {
                try validate(document: bytes.span.bytes)
            } catch {
                return
            }
            try body(DocumentView(bytes.span.bytes))
        }
    }

    /// A target over text.
    init(text name: String, seeds: [String], _ body: @escaping @Sendable (String) throws -> Void) {
        self.init(name, .text, seeds: seeds.map { Array($0.utf8) }) { bytes in
            try body(String(decoding: bytes, as: UTF8.self))
        }
    }

    /// Runs the parser over one input. A DBError is a fine answer.
    /// - Throws: `FuzzFault`.
    package func run(_ bytes: [UInt8]) throws {
        do {
            try body(bytes)
        } catch let error as DBError {
            guard error.message.isEmpty || error.code == .internalError else { return }
            throw FuzzFault("an error that says nothing of the input: \(error)")
        }
    }

    /// The input that a seed's file holds; nil where it holds none.
    package func input(ofFile text: String) -> [UInt8]? {
        switch form {
        case .document: Self.bytes(json: text)
        case .text: Array(text.utf8)
        case .bytes: Self.bytes(hex: text)
        }
    }

    /// A seed's file for an input; hexadecimal where the input isn't of the target's form.
    package func file(of input: [UInt8]) -> String? {
        switch form {
        case .document:
            guard (try? validate(document: input.span.bytes)) != nil else { return nil }
            return ExtendedJSON.string(of: DocumentView(input.span.bytes), canonical: true)
        case .text: return String(validating: input, as: UTF8.self)
        case .bytes:
            return input.map { byte in
                let digits = String(byte, radix: 16)
                return digits.count == 1 ? "0" + digits : digits
            }.joined()
        }
    }

    private static func bytes(json: String) -> [UInt8]? { try? ExtendedJSON.parse(json).bytes }

    private static func bytes(hex: String) -> [UInt8]? {
        let digits = hex.compactMap(\.hexDigitValue)
        guard digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] << 4 | digits[$0 + 1])
        }
    }

    /// All targets but those of the executable's own parsers.
    package static let all: [FuzzTarget] =
        bytesTargets + textTargets + rulesTargets + queryTargets + engineTargets

    /// The target of that name.
    package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Faults where a property doesn't hold.
func check(_ holds: Bool, _ property: @autoclosure () -> String) throws(FuzzFault) {
    if !holds { throw FuzzFault(property()) }
}

/// Faults where bytes that were made from sound input are no sound document.
func checkIsDocument(_ bytes: RawSpan, _ maker: String) throws(FuzzFault) {
    do throws(DBError) {
        // Results may be nested somewhat deeper than what is stored.
        try validate(document: bytes, depthMax: 2 * Limits.nestingDepthMax)
    } catch {
        throw FuzzFault("\(maker) made an invalid document: \(error.message)")
    }
}

/// -1, 0 or 1: how bytes compare.
func byteOrder(_ left: [UInt8], _ right: [UInt8]) -> Int {
    left.span.bytes.compareBytes(right.span.bytes).signum()
}
