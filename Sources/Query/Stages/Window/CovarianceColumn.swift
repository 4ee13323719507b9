// $covariancePop and $covarianceSamp: documents count where both values are numbers.

import BSON

/// The covariance of pairs; each value taken in is an array of two. The sum of products is kept by
/// the update (x - mean of x before) × (y - mean of y after), in decimals as soon as one is met.
final class CovarianceColumn: AccumulatorColumn {
    private struct State {
        var xs = NumberSum()
        var ys = NumberSum()
        var products = Number.double(0)
        var isFinite = true
    }

    private let isSample: Bool
    private var states: [State] = []

    init(isSample: Bool) {
        self.isSample = isSample
    }

    override func addGroup(_ key: ValueRef) throws(DBError) { states.append(State()) }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        guard value.isType(.array) else { return }
        var elements = value.nested.makeIterator()
        guard let first = elements.next(), let x = Number(ValueRef(first.value)),
            let second = elements.next(), let y = Number(ValueRef(second.value)),
            elements.next() == nil
        else { return }
        guard x.isFinite, y.isFinite else {
            states[group].isFinite = false
            return
        }
        var state = states[group]
        let meanX = state.xs.average
        state.xs.add(x)
        state.ys.add(y)
        if let meanX, let meanY = state.ys.average {
            let product = x.subtracting(meanX).multiplied(by: y.subtracting(meanY))
            state.products = state.products.adding(product)
        }
        states[group] = state
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let state = states[group]
        guard state.isFinite else { return writer.append(name, Double.nan) }
        let divisor = isSample ? state.xs.count - 1 : state.xs.count
        guard divisor > 0 else { return writer.appendNull(name) }
        switch state.products {
        case .decimal(let products):
            let count = Decimal128(fifteenDigits: Double(divisor))
            writer.append(name, Number.decimal(products.divide(count)))
        case let products: writer.append(name, products.double / Double(divisor))
        }
    }

    override func removeAll() { states.removeAll(keepingCapacity: true) }

    override var byteCount: Int { states.count * MemoryLayout<State>.stride }
}

extension Number {
    /// The sum, in decimals if one of the numbers is a decimal, else in doubles.
    fileprivate func adding(_ other: Number) -> Number {
        isDecimal || other.isDecimal
            ? .decimal(decimal.add(other.decimal)) : .double(double + other.double)
    }

    /// The difference, as `adding`.
    fileprivate func subtracting(_ other: Number) -> Number {
        isDecimal || other.isDecimal
            ? .decimal(decimal.subtract(other.decimal)) : .double(double - other.double)
    }

    /// The product, as `adding`.
    fileprivate func multiplied(by other: Number) -> Number {
        isDecimal || other.isDecimal
            ? .decimal(decimal.multiply(other.decimal)) : .double(double * other.double)
    }
}
