// $unwind: a document for each element of an array.

import BSON

/// The compiled argument of $unwind.
struct UnwindSpecification: Sendable {
    let path: FieldPath
    /// Where the element's position goes.
    let indexPath: FieldPath?
    /// Whether documents without elements are kept.
    let preservesEmpty: Bool

    /// Compiles the argument: a path with `$`, or an object.
    static func parse(_ value: ValueView) throws(DBError) -> UnwindSpecification {
        if value.type == .string {
            return try UnwindSpecification(path: parsePath(value), indexPath: nil, keeps: false)
        }
        guard let object = value.document else {
            throw .location(
                15981,
                "expected either a string or an object as specification for $unwind stage, "
                    + "got \(value.type.alias)")
        }
        var path: FieldPath?
        var indexPath: FieldPath?
        var keeps = false
        var elements = object.makeIterator()
        while let element = elements.next() {
            switch element.nameString {
            case "path": path = try parsePath(element.value)
            case "includeArrayIndex": indexPath = try parseIndexPath(element.value)
            case "preserveNullAndEmptyArrays":
                guard let flag = element.value.bool else {
                    throw .location(
                        28809,
                        "expected a boolean for the preserveNullAndEmptyArrays option to "
                            + "$unwind stage, got \(element.value.type.alias)")
                }
                keeps = flag
            case let name:
                throw .location(28811, "unrecognized option to $unwind stage: \(name)")
            }
        }
        guard let path else { throw .location(28812, "no path specified to $unwind stage") }
        return UnwindSpecification(path: path, indexPath: indexPath, keeps: keeps)
    }

    private init(path: FieldPath, indexPath: FieldPath?, keeps: Bool) {
        self.path = path
        self.indexPath = indexPath
        preservesEmpty = keeps
    }

    private static func parsePath(_ value: ValueView) throws(DBError) -> FieldPath {
        guard let text = value.string else {
            throw .location(
                28808, "expected a string as the path for $unwind stage, got \(value.type.alias)")
        }
        guard !text.isEmpty else { throw .location(28812, "no path specified to $unwind stage") }
        guard text.hasPrefix("$") else {
            throw .location(
                28818,
                "path option to $unwind stage should be prefixed with a '$': "
                    + text)
        }
        if text.utf8.contains(0) {
            throw .location(16419, "field path must not contain embedded null characters")
        }
        return try ProjectionParser.path(String(text.dropFirst()))
    }

    private static func parseIndexPath(_ value: ValueView) throws(DBError) -> FieldPath {
        guard let text = value.string, !text.isEmpty else {
            throw .location(
                28810,
                "expected a non-empty string for the includeArrayIndex  option to $unwind "
                    + "stage, got \(value.type.alias)")
        }
        guard !text.hasPrefix("$") else {
            throw .location(
                28822,
                "includeArrayIndex option to $unwind stage should not be prefixed with a "
                    + "'$': \(text)")
        }
        return try ProjectionParser.path(text)
    }
}

/// $unwind.
final class UnwindStage: StageExecution {
    private let specification: UnwindSpecification
    private var writer = DocumentWriter()
    private var indexed = DocumentWriter()
    private var interrupts: InterruptMeter

    init(_ specification: UnwindSpecification, _ interrupt: Interrupt?, _ next: StageExecution) {
        self.specification = specification
        interrupts = InterruptMeter(interrupt)
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let value = Self.value(at: specification.path, in: document)
        guard value.isType(.array) else {
            if value.isNullish, !specification.preservesEmpty { return true }
            return try emit(document, index: nil)
        }
        var elements = value.nested.makeIterator()
        var index: Int64 = 0
        while let element = elements.next() {
            writer.removeAll()
            writer.write(document, setting: specification.path, to: ValueRef(element.value))
            let bytes = writer.bytes
            try interrupts.spend(16 &+ bytes.count &>> 6)
            guard try emit(DocumentView(bytes.span.bytes), index: index) else { return false }
            index += 1
        }
        guard index == 0, specification.preservesEmpty else { return true }
        writer.removeAll()
        writer.write(document, setting: specification.path, to: .missing)
        let bytes = writer.bytes
        return try emit(DocumentView(bytes.span.bytes), index: nil)
    }

    private func emit(_ document: DocumentView, index: Int64?) throws(DBError) -> Bool {
        guard let path = specification.indexPath else {
            return try passOn(document, arrayPosition: nil)
        }
        let position = OwnedValue(index.map { .int64($0) } ?? .null)
        indexed.removeAll()
        indexed.write(document, setting: path, to: ValueRef(position.view))
        let bytes = indexed.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }

    /// The value at a path through objects alone.
    private static func value(at path: FieldPath, in document: DocumentView) -> ValueRef {
        var value = ValueRef(document)
        for segment in path.segments {
            guard value.isType(.document) else { return .missing }
            value = value.field(segment.name)
        }
        return value
    }
}

extension DocumentWriter {
    /// Writes `document` with the value at `path` set, in place where it exists and last where it
    /// does not; missing removes it. Objects on the way are made; other values there replaced.
    mutating func write(_ document: DocumentView, setting path: FieldPath, to value: ValueRef) {
        write(document, setting: path.segments[...], to: value)
    }

    private mutating func write(
        _ document: DocumentView, setting path: ArraySlice<FieldPath.Segment>, to value: ValueRef
    ) {
        guard let segment = path.first else { return }
        let name = segment.name.span.bytes
        let start = openDocument()
        let bytes = document.bytes
        var elements = document.makeIterator()
        var elementStart = elements.position
        while let element = elements.next() {
            guard element.name.equals(name) else {
                elementStart = elements.position
                continue
            }
            appendRaw(copying: bytes.extracting(4..<elementStart))
            if path.count > 1, let below = element.value.document {
                appendHeader(.document, name)
                write(below, setting: path.dropFirst(), to: value)
            } else {
                set(path, to: value)
            }
            appendRaw(copying: bytes.extracting(elements.position..<bytes.byteCount - 1))
            return close(start)
        }
        appendFields(of: document)
        set(path, to: value)
        close(start)
    }

    /// Writes the field `path.first` with whatever is needed below it.
    private mutating func set(_ path: ArraySlice<FieldPath.Segment>, to value: ValueRef) {
        guard let segment = path.first, !value.isMissing else { return }
        if path.count == 1 {
            append(segment.name.span.bytes, value.view)
        } else {
            appendHeader(.document, segment.name.span.bytes)
            let start = openDocument()
            set(path.dropFirst(), to: value)
            close(start)
        }
    }
}
