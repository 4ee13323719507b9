// The functions of $setWindowFields over one partition.
//
// Windows move forwards, so an accumulator takes in what is new while the lower end stays, and
// begins anew when that moves; where the upper end stays and order does not matter, the partition is
// walked backwards. Whole partitions and running totals are linear; others cost their windows.

import BSON

/// Computes functions over a partition.
struct WindowComputation: ~Copyable {
    private var context: EvaluationContext
    private var scratch = DocumentWriter()

    init(_ interrupt: Interrupt?) {
        context = EvaluationContext(interrupt)
    }

    /// The results of a function, by document.
    mutating func results(
        of function: WindowFunction, over partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        switch function {
        case .accumulate(let accumulator, let bounds):
            let values = try partition.values(of: accumulator.argument, &context)
            let column = Self.column(accumulator, bounds)
            return try accumulate(
                values, bounds, column, isOrdered: accumulator.kind.isOrdered, partition)
        case .covariance(let isSample, let expression, let bounds):
            let pairs = try partition.values(of: expression, &context)
            return try accumulate(
                pairs, bounds, CovarianceColumn(isSample: isSample), isOrdered: false, partition)
        case .scale(let scaling, let bounds): return try scale(scaling, bounds, partition)
        case .documentNumber: return numbers(partition) { $0 + 1 }
        case .rank(let isDense): return rank(partition, isDense: isDense)
        case .shift(let expression, let by, let fallback):
            return try shift(expression, by, fallback, partition)
        case .derivative(let expression, let unit, let bounds):
            return try derivative(expression, unit, bounds, partition)
        case .integral(let expression, let unit, let bounds):
            return try integral(expression, unit, bounds, partition)
        case .expMovingAverage(let expression, let alpha):
            return try movingAverage(expression, alpha, partition)
        case .lastObserved(let expression): return try lastObserved(expression, partition)
        case .linearFill(let expression): return try linearFill(expression, partition)
        }
    }

    // MARK: Accumulators

    private static func column(
        _ accumulator: Accumulator, _ bounds: WindowBounds
    ) -> AccumulatorColumn {
        let isSample = accumulator.kind == .sampleDeviation
        guard isSample || accumulator.kind == .populationDeviation, !bounds.isLowerUnbounded else {
            return AccumulatorColumn.make(accumulator)
        }
        return MovingDeviationColumn(isSample: isSample)
    }

    private mutating func accumulate(
        _ values: ValueColumn, _ bounds: WindowBounds, _ column: AccumulatorColumn,
        isOrdered: Bool, _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let ends = try WindowEnds(bounds, partition, &context)
        var results = ValueColumn(missing: partition.count)
        var current: Range<Int>?
        let isBackward = !isOrdered && !bounds.isLowerUnbounded && bounds.isUpperUnbounded
        for step in 0..<partition.count {
            let index = isBackward ? partition.count - 1 - step : step
            let wanted = ends.range(index)
            if wanted != current {
                try move(column, from: current, to: wanted, isOrdered, values, partition)
                current = wanted
                scratch.removeAll()
                let start = scratch.openDocument()
                column.write("", 0, &scratch)
                scratch.close(start)
            }
            try context.checkBounds()
            let bytes = scratch.bytes
            if let value = DocumentView(bytes.span.bytes).first?.value {
                results.set(index, ValueRef(value))
            }
        }
        return results
    }

    /// Brings an accumulator from one window to another.
    private mutating func move(
        _ column: AccumulatorColumn, from current: Range<Int>?, to wanted: Range<Int>,
        _ isOrdered: Bool, _ values: ValueColumn, _ partition: WindowPartition
    ) throws(DBError) {
        var missing = wanted
        if let current, current.lowerBound == wanted.lowerBound,
            current.upperBound <= wanted.upperBound
        {
            missing = current.upperBound..<wanted.upperBound
        } else if !isOrdered, let current, current.upperBound == wanted.upperBound,
            wanted.lowerBound <= current.lowerBound
        {
            missing = wanted.lowerBound..<current.lowerBound
        } else {
            column.removeAll()
            try column.addGroup(.null)
        }
        for index in missing {
            let value = values.reference(index)
            try column.add(value, to: 0, of: partition.documents[index])
            try context.checkBounds()
        }
    }

    // MARK: Places

    private func numbers(_ partition: WindowPartition, _ number: (Int) -> Int) -> ValueColumn {
        var results = ValueColumn()
        for index in 0..<partition.count {
            let value = OwnedValue(Number.integer(Int64(number(index)), narrow: true).value)
            results.append(ValueRef(value.view))
        }
        return results
    }

    private func rank(_ partition: WindowPartition, isDense: Bool) -> ValueColumn {
        var rank = 0
        return numbers(partition) { index in
            if !partition.isTied(index) { rank = isDense ? rank + 1 : index + 1 }
            return rank
        }
    }

    private mutating func shift(
        _ expression: Expression, _ by: Int, _ fallback: OwnedValue, _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let values = try partition.values(of: expression, &context)
        var results = ValueColumn()
        for index in 0..<partition.count {
            let source = index + by
            if source >= 0, source < partition.count {
                results.append(values.reference(source))
            } else {
                results.append(ValueRef(fallback.view))
            }
        }
        return results
    }

    private mutating func lastObserved(
        _ expression: Expression, _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let values = try partition.values(of: expression, &context)
        var results = ValueColumn()
        var last: Int?
        for index in 0..<partition.count {
            if let value = values.view(index), !value.isNullish { last = index }
            results.append(last.map { values.reference($0) } ?? .null)
        }
        return results
    }

    private mutating func scale(
        _ scaling: WindowScaling, _ bounds: WindowBounds, _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let values = try partition.values(of: scaling.least.argument, &context)
        let least = try accumulate(
            values, bounds, Self.column(scaling.least, bounds), isOrdered: false, partition)
        let greatest = try accumulate(
            values, bounds, Self.column(scaling.greatest, bounds), isOrdered: false, partition)
        var results = ValueColumn()
        for index in 0..<partition.count {
            guard let number = try Self.number(values.view(index), "$minMaxScaler"),
                let low = try Self.number(least.view(index), "$minMaxScaler"),
                let high = try Self.number(greatest.view(index), "$minMaxScaler")
            else {
                results.append(.null)
                continue
            }
            results.append(
                .double(scaling.place(number.double, between: low.double, high.double)))
        }
        return results
    }

    // MARK: Rates and curves

    private mutating func derivative(
        _ expression: Expression, _ unit: DateStep?, _ bounds: WindowBounds,
        _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let places = try partition.sortNumbers(
            unit: unit, (5_624_901, 5_624_900, 5_624_902), "$derivative", &context)
        let values = try partition.values(of: expression, &context)
        let ends = try WindowEnds(bounds, partition, &context)
        var results = ValueColumn()
        for index in 0..<partition.count {
            let range = ends.range(index)
            let last = range.upperBound - 1
            guard range.lowerBound < last, places[last] != places[range.lowerBound],
                let low = try Self.number(values.view(range.lowerBound), "$derivative"),
                let high = try Self.number(values.view(last), "$derivative")
            else {
                results.append(.null)
                continue
            }
            let distance = places[last] - places[range.lowerBound]
            results.append(.double((high.double - low.double) / distance))
        }
        return results
    }

    private mutating func integral(
        _ expression: Expression, _ unit: DateStep?, _ bounds: WindowBounds,
        _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let places = try partition.sortNumbers(
            unit: unit, (5_423_902, 5_423_901, 5_423_900), "$integral", &context)
        let values = try partition.values(of: expression, &context)
        let ends = try WindowEnds(bounds, partition, &context)
        // areas[i]: the trapezoid between documents i and i + 1.
        var areas: [Double] = []
        for index in 0..<max(0, partition.count - 1) {
            let low = try Self.number(values.view(index), "$integral")?.double ?? 0
            let high = try Self.number(values.view(index + 1), "$integral")?.double ?? 0
            areas.append((low + high) / 2 * (places[index + 1] - places[index]))
        }
        var results = ValueColumn()
        var current = 0..<0
        var total = 0.0
        for index in 0..<partition.count {
            let range = ends.range(index)
            guard !range.isEmpty else {
                results.append(.null)
                continue
            }
            let wanted = range.lowerBound..<range.upperBound - 1
            if wanted.lowerBound != current.lowerBound || wanted.upperBound < current.upperBound {
                total = 0
                current = wanted.lowerBound..<wanted.lowerBound
            }
            for area in current.upperBound..<wanted.upperBound { total += areas[area] }
            try context.interrupts.spend(1 + wanted.count)
            current = wanted
            results.append(.double(total))
        }
        return results
    }

    private mutating func movingAverage(
        _ expression: Expression, _ alpha: Number, _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let values = try partition.values(of: expression, &context)
        var results = ValueColumn()
        var average: Number?
        for index in 0..<partition.count {
            guard let number = try Self.number(values.view(index), "$expMovingAvg") else {
                results.append(.null)
                continue
            }
            if let before = average {
                average = Self.blend(number, before, alpha)
            } else {
                average = number
            }
            if let average { results.append(average) }
        }
        return results
    }

    private static func blend(_ new: Number, _ old: Number, _ alpha: Number) -> Number {
        guard new.isDecimal || old.isDecimal || alpha.isDecimal else {
            return .double(alpha.double * new.double + (1 - alpha.double) * old.double)
        }
        let rest = Decimal128(Int32(1)).subtract(alpha.decimal)
        return .decimal(
            alpha.decimal.multiply(new.decimal).add(rest.multiply(old.decimal)))
    }

    private mutating func linearFill(
        _ expression: Expression, _ partition: WindowPartition
    ) throws(DBError) -> ValueColumn {
        let places = try partition.sortNumbers(
            unit: .millisecond, (605_001, 605_001, 605_001), "$linearFill", &context,
            acceptsNumbers: true)
        let values = try partition.values(of: expression, &context)
        var results = ValueColumn(missing: partition.count)
        var known: Int?
        for index in 0..<partition.count {
            if partition.isTied(index) {
                throw .location(
                    605_001, "There can be no repeated values in the sort field of $linearFill")
            }
            guard let value = values.view(index), !value.isNullish else {
                results.set(index, .null)
                continue
            }
            guard let high = try Self.number(value, "$linearFill") else { continue }
            results.set(index, ValueRef(value))
            if let known, known < index - 1,
                let low = try Self.number(values.view(known), "$linearFill")
            {
                let slope = (high.double - low.double) / (places[index] - places[known])
                for between in known + 1..<index {
                    results.set(
                        between, .double(low.double + slope * (places[between] - places[known])))
                }
            }
            known = index
        }
        return results
    }

    /// The number in a value; nil for null and missing. Throws 14 for other types.
    private static func number(
        _ value: ValueView?, _ name: String
    ) throws(DBError) -> Number? {
        guard let value, !value.isNullish else { return nil }
        guard let number = Number(ValueRef(value)) else {
            throw DBError(
                .typeMismatch, "\(name) needs numbers, found \(value.type.alias)")
        }
        return number
    }
}

extension ValueColumn {
    /// A column of values to be set.
    init(missing count: Int) {
        self.init()
        for _ in 0..<count { append(.missing) }
    }

    fileprivate mutating func append(_ number: Number) {
        let value = OwnedValue(number.value)
        append(ValueRef(value.view))
    }

    fileprivate mutating func set(_ index: Int, _ number: Number) {
        let value = OwnedValue(number.value)
        set(index, ValueRef(value.view))
    }
}

extension AccumulatorKind {
    /// Whether the result depends on the order of the values.
    var isOrdered: Bool {
        switch self {
        case .sum, .average, .min, .max, .count, .populationDeviation, .sampleDeviation, .minN,
            .maxN, .median, .percentile:
            false
        default: true
        }
    }
}

extension WindowBounds {
    /// Whether the upper end is the end of the partition.
    var isUpperUnbounded: Bool {
        switch kind {
        case .documents(_, let upper): upper == .unbounded
        case .range(_, .unbounded, _): true
        case .range: false
        }
    }
}
