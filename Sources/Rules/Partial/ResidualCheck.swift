// What is left of a rule, run over a document's bytes: the evaluator's answer for the expressions
// that most rules are made of, without its values.
//
// Nodes lie in one array, operands before what needs them. An answer is true, false or a failure;
// `&&` and `||` absorb failures as the evaluator does.

package import BSON

/// A condition on documents, compiled.
package struct ResidualCheck: Sendable {
    /// The answer of a node.
    enum Answer {
        case no
        case yes
        case failure

        init(_ holds: Bool) { self = holds ? .yes : .no }
    }

    /// A text that values are compared with; an ObjectId equals its digits.
    struct Text: Sendable {
        let utf8: [UInt8]
        let objectID: ObjectID?

        init(_ text: String) {
            utf8 = Array(text.utf8)
            let id = ObjectID(hex: text.utf8Span.span.bytes)
            objectID = id?.hexString == text ? id : nil
        }
    }

    enum Node: Sendable {
        case constant(Answer)
        case not(Int32)
        case both(Int32, Int32)
        case either(Int32, Int32)
        case conditional(Int32, Int32, Int32)
        /// The field is there; fails where it isn't.
        case present(FieldNames)
        /// The field is a bool and true.
        case truth(FieldNames)
        case equalsText(FieldNames, Text)
        /// A null, bool, number or timestamp.
        case equals(FieldNames, RuleValue)
        /// A number or timestamp.
        case ordered(FieldNames, BinaryOperator, RuleValue)
        /// The field's value is one of these texts.
        case isAmong(FieldNames, [Text])
        /// The field's list holds the text, or its map has such a key.
        case holds(FieldNames, Text)
        /// A segment of the path is this text.
        case segment(Int, [UInt8])
    }

    /// The names that lead to a field.
    struct FieldNames: Sendable {
        let names: [[UInt8]]

        init(_ names: [String]) { self.names = names.map { Array($0.utf8) } }
    }

    var nodes: [Node] = []
    var root: Int32 = 0
    /// How many names the collection's path has.
    let collectionNames: Int

    init(collectionNames: Int) {
        self.collectionNames = collectionNames
    }

    mutating func add(_ node: Node) -> Int32 {
        nodes.append(node)
        return Int32(clamping: nodes.count - 1)
    }

    /// What it asks, as text: equal checks have equal texts.
    package var text: String {
        var text = "\(collectionNames) \(root) "
        dump(nodes, to: &text)
        return text
    }

    /// Whether the rules allow this document. Allocates nothing but for documents whose `_id` a
    /// rule asks about.
    package func allows(_ document: DocumentView) -> Bool {
        guard collectionNames > 1 else { return answer(root, document) == .yes }
        guard let id = document.value("_id"),
            DocumentSegments.segments(of: id, count: collectionNames) != nil
        else { return false }
        return answer(root, document) == .yes
    }

    private func answer(_ index: Int32, _ document: DocumentView) -> Answer {
        switch nodes[Int(index)] {
        case .constant(let answer): return answer
        case .not(let operand):
            switch answer(operand, document) {
            case .yes: return .no
            case .no: return .yes
            case .failure: return .failure
            }
        case .both(let left, let right): return join(left, right, absorbing: .no, document)
        case .either(let left, let right): return join(left, right, absorbing: .yes, document)
        case .conditional(let condition, let yes, let no):
            switch answer(condition, document) {
            case .yes: return answer(yes, document)
            case .no: return answer(no, document)
            case .failure: return .failure
            }
        case .present(let path): return path.value(in: document) == nil ? .failure : .yes
        case .truth(let path):
            guard let value = path.value(in: document), let truth = value.bool else {
                return .failure
            }
            return Answer(truth)
        case .equalsText(let path, let text):
            guard let value = path.value(in: document) else { return .failure }
            return Answer(text.equals(value))
        case .equals(let path, let constant):
            guard let value = path.value(in: document) else { return .failure }
            return Answer(RuleValue(scalar: value)?.equals(constant) ?? false)
        case .ordered(let path, let operation, let constant):
            guard let value = path.value(in: document),
                let order = RuleValue(scalar: value)?.order(constant)
            else { return .failure }
            switch (operation, order) {
            case (.less, .less), (.lessOrEqual, .less), (.lessOrEqual, .equal),
                (.greater, .greater), (.greaterOrEqual, .greater), (.greaterOrEqual, .equal):
                return .yes
            default: return .no
            }
        case .isAmong(let path, let texts):
            guard let value = path.value(in: document) else { return .failure }
            for text in texts where text.equals(value) { return .yes }
            return .no
        case .holds(let path, let text): return holds(path, text, document)
        case .segment(let index, let text):
            guard let id = document.value("_id"),
                let segments = DocumentSegments.segments(of: id, count: collectionNames),
                segments.indices.contains(index)
            else { return .failure }
            return Answer(segments[index].utf8.elementsEqual(text))
        }
    }

    private func join(
        _ left: Int32, _ right: Int32, absorbing: Answer, _ document: DocumentView
    ) -> Answer {
        let first = answer(left, document)
        if first == absorbing { return absorbing }
        let second = answer(right, document)
        if second == absorbing { return absorbing }
        return first == .failure ? .failure : second
    }

    private func holds(
        _ path: FieldNames, _ text: Text, _ document: DocumentView
    ) -> Answer {
        guard !path.names.isEmpty else {
            // The `_id` is no field to rules.
            if text.utf8.elementsEqual("_id".utf8) { return .no }
            return Answer(document.value(text.utf8.span.bytes) != nil)
        }
        guard let value = path.value(in: document) else { return .failure }
        switch value.type {
        case .array:
            guard let array = value.array else { return .failure }
            var elements = array.makeIterator()
            while let element = elements.next() {
                if text.equals(element.value) { return .yes }
            }
            return .no
        case .document:
            let map = DocumentView(value.bytes)
            if StoredDocument.isPoint(map) { return .failure }
            return Answer(map.value(text.utf8.span.bytes) != nil)
        default: return .failure
        }
    }
}

extension ResidualCheck.FieldNames {
    /// The value that the names lead to through maps; nil where reading it fails.
    @_lifetime(copy document)
    func value(in document: DocumentView) -> ValueView? {
        var level = document
        for (position, name) in names.enumerated() {
            if position == 0, name.elementsEqual("_id".utf8) { return nil }
            guard let value = level.value(name.span.bytes) else { return nil }
            if position == names.count - 1 { return value }
            guard value.type == .document else { return nil }
            level = DocumentView(value.bytes)
            if StoredDocument.isPoint(level) { return nil }
        }
        return nil
    }
}

extension ResidualCheck.Text {
    /// Whether a value is this text to rules.
    func equals(_ value: ValueView) -> Bool {
        if value.type == .objectID { return objectID != nil && value.objectID == objectID }
        guard value.type == .string || value.type == .symbol, let text = value.utf8 else {
            return false
        }
        return text.equals(utf8.span.bytes)
    }
}

/// Ids of documents as segments of paths: a string as it is, an ObjectId as its digits, an integer
/// as decimal; others, which Firestore hasn't, as `__bson__` and the shell's notation. In a
/// collection `a.b` the `_id` is `"id/id"`, one for each name.
package enum DocumentSegments {
    /// What stands before ids of types that paths can't say.
    static let foreignPrefix = "__bson__"

    /// An id of a document for each of the collection's `count` names; nil where the `_id` has no
    /// path. O(bytes).
    package static func segments(of id: ValueView, count: Int) -> [String]? {
        let text: String
        switch id.type {
        case .string:
            guard let utf8 = id.utf8 else { return nil }
            text = String(utf8: utf8)
        case .objectID where count == 1: text = id.objectID?.hexString ?? ""
        case .int32 where count == 1: text = String(id.int32 ?? 0)
        case .int64 where count == 1: text = String(id.int64 ?? 0)
        case _ where count == 1: text = foreignPrefix + ShellNotation.string(id)
        default: return nil
        }
        guard count > 1 else { return [text] }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == count, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        return parts
    }
}

extension RuleValue {
    /// A value that has no parts and is no text, as rules see it; nil for others.
    init?(scalar view: ValueView) {
        switch view.type {
        case .string, .symbol, .objectID, .array, .document, .binary: return nil
        default: self = StoredDocument.scalar(view)
        }
    }
}
