// $sample: documents by chance, without repetition. Each gets a random number; those with the
// smallest are kept, in that order.

import BSON

/// A compiled $sample.
struct SampleSpecification: StagePlan {
    let size: Int

    var needs: StageNeeds { .paths([]) }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        SampleStage(size, resources, next)
    }

    /// Compiles the argument of $sample.
    ///
    /// Throws 28745 for another type than an object, 28746 and 28747 for the size, 28748 for an
    /// unknown field, 28749 without a size.
    static func parse(_ value: ValueView) throws(DBError) -> SampleSpecification {
        guard let object = value.document else {
            throw .location(28745, "the $sample stage specification must be an object")
        }
        var size: Int64?
        var elements = object.makeIterator()
        while let element = elements.next() {
            guard element.name.equals("size") else {
                throw .location(
                    28748, "unrecognized option to $sample: \(element.nameString)")
            }
            guard let number = Number(ValueRef(element.value)) else {
                throw .location(28746, "size argument to $sample must be a number")
            }
            size = number.clampedInt64
        }
        guard let size else { throw .location(28749, "$sample stage must specify a size") }
        guard size > 0 else {
            throw .location(28747, "size argument to $sample must be a positive integer")
        }
        return SampleSpecification(size: Int(size))
    }
}

extension Number {
    /// The nearest int64: doubles cut, decimals rounded to even; NaN is 0.
    fileprivate var clampedInt64: Int64 {
        switch self {
        case .int32(let value): return Int64(value)
        case .int64(let value): return value
        case .double(let value):
            if value.isNaN { return 0 }
            return Int64(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
        case .decimal(let value):
            if value.isNaN { return 0 }
            return value.rounded(.toNearestOrEven).exactInt64
                ?? (value.compare(Decimal128(Int32(0))) < 0 ? .min : .max)
        }
    }
}

/// $sample at work.
final class SampleStage: StageExecution {
    private let sorter: DocumentSorter
    private var key: [UInt8] = []
    private var random = SystemRandomNumberGenerator()

    init(_ size: Int, _ resources: ExecutionResources, _ next: StageExecution) {
        sorter = DocumentSorter("$sample", limit: size, resources)
        super.init(next)
    }

    override var memoryBytes: Int { sorter.byteCount }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let number = random.next()
        key.removeAll(keepingCapacity: true)
        for shift in stride(from: 56, through: 0, by: -8) {
            key.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
        }
        try sorter.insert(document, key: key, arrayPosition: arrayPosition)
        return true
    }

    override func endInput() throws(DBError) { try sorter.endInput() }

    override func drainOne() throws(DBError) -> Bool {
        try sorter.next { _, document, position throws(DBError) in
            _ = try passOn(document, arrayPosition: position)
        }
    }
}
