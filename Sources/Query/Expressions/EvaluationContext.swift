// What one evaluation needs besides the compiled expression; reused from document to document, so
// that evaluating allocates nothing once the buffers have grown.

package import BSON

/// Scratch memory and variables of evaluations. One for each execution; not shared.
package struct EvaluationContext: ~Copyable {
    /// Intermediate values.
    var arena = Arena()
    /// Arguments of the operators being evaluated; a stack.
    var stack: [ValueRef] = []
    /// Names beside `stack` while objects are built; a stack.
    var names: [ValueRef] = []
    /// Values of `$let`, `$map` … by the slot that the parser gave them.
    var variables: [ValueRef] = []
    /// The document being evaluated: `$$ROOT`.
    var root = ValueRef.missing

    /// Whether division by zero is reported as MongoDB's compiled plans do, which run $group.
    var usesCompiledCodes = false

    /// The order of strings of the expression being evaluated.
    var collation: Collation?

    /// Time zones that were named.
    var zones = TimeZoneCache()

    /// Regular expressions that were searched for.
    var searches = RegexSearchCache()

    /// Counts what loops do, so that they can be ended.
    var interrupts: InterruptMeter

    /// Most memory that the intermediate values of one document may take.
    static let arenaBytesMax = 256 * 1024 * 1024

    /// An empty context.
    package init(_ interrupt: Interrupt? = nil) {
        interrupts = InterruptMeter(interrupt)
        stack.reserveCapacity(64)
    }

    /// A context for what is evaluated once, while a command is read, where nobody could end it:
    /// it ends by itself.
    static func forConstants() -> EvaluationContext {
        EvaluationContext(
            Interrupt(
                deadline: .now + constantTimeMax,
                expiryMessage:
                    "a constant of the command takes too long to compute; compute it in a stage"))
    }

    /// The longest that a command's constants may take.
    private static let constantTimeMax = Duration.milliseconds(200)

    /// Starts on a document: forgets all values of the one before.
    package mutating func begin(_ document: DocumentView) {
        arena.reset()
        // An evaluation that threw leaves values behind; others leave the stacks empty.
        if !stack.isEmpty { stack.removeAll(keepingCapacity: true) }
        if !names.isEmpty { names.removeAll(keepingCapacity: true) }
        root = ValueRef(document)
    }

    /// Gives every slot below `count` a value, so that `variables[slot]` is in bounds.
    mutating func reserveVariables(_ count: Int) {
        while variables.count < count { variables.append(.missing) }
    }

    /// Arguments above this size are work that counts.
    static let largeBytes: Int32 = 4_096

    /// Counts the work that an operator has with a large argument, before it has it: operators
    /// look at each byte of their arguments a few times at most.
    @inline(never)
    mutating func count(large value: ValueRef) throws(DBError) {
        try interrupts.spend(Int(value.length) &>> 3)
        try checkBounds()
    }

    /// Counts a round of a loop; refuses evaluations whose intermediate values outgrow their
    /// bound, and those that were ended. `growth`: bytes that are about to be added.
    mutating func checkBounds(growth: Int = 0) throws(DBError) {
        try interrupts.spend(16)
        let bytes = arena.byteCount + stack.count * MemoryLayout<ValueRef>.stride + growth
        if bytes > Self.arenaBytesMax {
            throw DBError(
                .exceededMemoryLimit,
                "An expression's intermediate values for one document exceed "
                    + "\(Self.arenaBytesMax / 1_048_576) MiB")
        }
    }

    // MARK: New values

    /// A bool.
    @inline(__always)
    mutating func make(_ truth: Bool) -> ValueRef {
        let memory = arena.allocate(1)
        memory[0] = truth ? 1 : 0
        return reference(.bool, memory)
    }

    /// An int32.
    @inline(__always)
    mutating func make(_ number: Int32) -> ValueRef {
        let memory = arena.allocate(4)
        memory.storeBytes(of: number.littleEndian, as: Int32.self)
        return reference(.int32, memory)
    }

    /// An int64.
    @inline(__always)
    mutating func make(_ number: Int64, _ type: BSONType = .int64) -> ValueRef {
        let memory = arena.allocate(8)
        memory.storeBytes(of: number.littleEndian, as: Int64.self)
        return reference(type, memory)
    }

    /// A double.
    @inline(__always)
    mutating func make(_ number: Double) -> ValueRef {
        let memory = arena.allocate(8)
        memory.storeBytes(of: number.bitPattern.littleEndian, as: UInt64.self)
        return reference(.double, memory)
    }

    /// A decimal128.
    mutating func make(_ number: Decimal128) -> ValueRef {
        let memory = arena.allocate(16)
        memory.storeBytes(of: number.low.littleEndian, as: UInt64.self)
        memory.storeBytes(of: number.high.littleEndian, toByteOffset: 8, as: UInt64.self)
        return reference(.decimal128, memory)
    }

    /// A number of whichever type it has.
    mutating func make(_ number: Number) -> ValueRef {
        switch number {
        case .int32(let value): make(value)
        case .int64(let value): make(value)
        case .double(let value): make(value)
        case .decimal(let value): make(value)
        }
    }

    /// A string.
    mutating func make(_ string: String) -> ValueRef {
        var string = string
        return string.withUTF8 { utf8 in
            var builder = StringBuilder(&self, byteCount: utf8.count)
            builder.append(UnsafeRawBufferPointer(utf8))
            return builder.value
        }
    }

    /// A string that is part of another's UTF-8.
    mutating func makeString(_ utf8: RawSpan) -> ValueRef {
        var builder = StringBuilder(&self, byteCount: utf8.byteCount)
        builder.append(utf8)
        return builder.value
    }

    /// Any owned value, copied into the arena.
    mutating func make(_ value: OwnedValue) -> ValueRef {
        let memory = arena.allocate(value.payload.count)
        memory.copyBytes(from: value.payload)
        return reference(value.type, memory)
    }

    /// A value whose payload is a copy of `bytes`.
    mutating func make(_ type: BSONType, copying bytes: RawSpan) -> ValueRef {
        let memory = arena.allocate(bytes.byteCount)
        bytes.withUnsafeBytes { memory.copyMemory(from: $0) }
        return reference(type, memory)
    }

    /// The array of the values on the stack from `start` on, which it takes off. Missing values
    /// become null.
    mutating func makeArray(fromStack start: Int) -> ValueRef {
        var size = 5
        for index in start..<stack.count {
            size += 2 + decimalDigits(index - start) + Int(stack[index].length)
        }
        let memory = arena.allocate(size)
        var writer = PayloadWriter(memory)
        writer.append(UInt32(truncatingIfNeeded: size))
        for index in start..<stack.count {
            let value = stack[index]
            writer.append(value.isMissing ? BSONType.null.rawValue : value.kind)
            writer.append(decimal: index - start)
            writer.append(UInt8(0))
            writer.append(value.bytes)
        }
        writer.append(UInt8(0))
        stack.removeSubrange(start...)
        return reference(.array, memory)
    }

    /// The document of the values on the stack from `start` on, named by the strings in `names`
    /// from `namesStart` on (payload: UTF-8 alone), which it takes off. Missing values are left out.
    mutating func makeDocument(fromStack start: Int, names namesStart: Int) -> ValueRef {
        var size = 5
        for index in start..<stack.count where !stack[index].isMissing {
            size += 2 + Int(names[namesStart + index - start].length) + Int(stack[index].length)
        }
        let memory = arena.allocate(size)
        var writer = PayloadWriter(memory)
        writer.append(UInt32(truncatingIfNeeded: size))
        for index in start..<stack.count where !stack[index].isMissing {
            let value = stack[index]
            writer.append(value.kind)
            writer.append(names[namesStart + index - start].bytes)
            writer.append(UInt8(0))
            writer.append(value.bytes)
        }
        writer.append(UInt8(0))
        stack.removeSubrange(start...)
        names.removeSubrange(namesStart...)
        return reference(.document, memory)
    }

    @inline(__always)
    private func reference(_ type: BSONType, _ memory: UnsafeMutableRawBufferPointer) -> ValueRef {
        guard let base = memory.baseAddress else { return .null }
        return ValueRef(type, UnsafeRawPointer(base), memory.count)
    }

    /// Sorts the values on the stack from `start` on; equal ones keep their order. Counts the work.
    mutating func sortStack(
        from start: Int, _ order: (ValueRef, ValueRef) -> Int
    ) throws(DBError) {
        var meter = interrupts
        do {
            // The library's sort is stable.
            try stack[start...].sort { left, right in
                try meter.spend(4)
                return order(left, right) < 0
            }
        } catch {
            throw error as? DBError ?? DBError(.internalError, "\(error)")
        }
        interrupts = meter
    }

    private func decimalDigits(_ number: Int) -> Int {
        var digits = 1
        var rest = number / 10
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        return digits
    }
}

/// Fills memory of known size from front to back.
struct PayloadWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private var position = 0

    init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    mutating func append(_ byte: UInt8) {
        memory[position] = byte
        position += 1
    }

    mutating func append(_ number: UInt32) {
        memory.storeBytes(of: number.littleEndian, toByteOffset: position, as: UInt32.self)
        position += 4
    }

    mutating func append(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { append($0) }
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: memory[position...]).copyMemory(from: bytes)
        position += bytes.count
    }

    mutating func append(decimal number: Int) {
        guard number >= 10 else { return append(UInt8(truncatingIfNeeded: 48 + number)) }
        append(decimal: number / 10)
        append(UInt8(truncatingIfNeeded: 48 + number % 10))
    }
}

/// Fills a string's payload whose size in UTF-8 is known beforehand.
struct StringBuilder {
    private var writer: PayloadWriter
    private let memory: UnsafeMutableRawBufferPointer

    /// Room for `byteCount` bytes of UTF-8.
    init(_ context: inout EvaluationContext, byteCount: Int) {
        memory = context.arena.allocate(byteCount + 5)
        writer = PayloadWriter(memory)
        writer.append(UInt32(truncatingIfNeeded: byteCount + 1))
        memory[byteCount + 4] = 0
    }

    mutating func append(_ utf8: RawSpan) { writer.append(utf8) }
    mutating func append(_ utf8: UnsafeRawBufferPointer) { writer.append(utf8) }
    mutating func append(_ byte: UInt8) { writer.append(byte) }

    /// The string; all announced bytes must have been appended.
    var value: ValueRef {
        guard let base = memory.baseAddress else { return .null }
        return ValueRef(.string, UnsafeRawPointer(base), memory.count)
    }
}
