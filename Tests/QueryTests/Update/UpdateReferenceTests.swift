import BSON
import Query
import TestSupport
import Testing

/// Random documents and updates of a small alphabet, so that paths often meet.
private struct UpdateGenerator {
    var random: RandomSource

    mutating func document() -> Document {
        guard case .document(let document) = object(depth: 3) else { return [:] }
        return document
    }

    mutating func value(depth: Int) -> Value {
        switch random.below(depth > 0 ? 12 : 9) {
        case 0: .int32(Int32(random.below(5)))
        case 1: .double(Double(random.below(5)) / 2)
        case 2: .int64(random.oneIn(4) ? .max : Int64(random.below(5)))
        case 3: .int32(random.oneIn(2) ? .max : .min)
        case 4: .string(pick(["", "a", "b"]))
        case 5: .null
        case 6: .array([])
        case 7: .bool(true)
        case 8: .document([:])
        case 9: object(depth: depth - 1)
        default: .array((0..<random.below(4)).map { _ in value(depth: depth - 1) })
        }
    }

    private mutating func object(depth: Int) -> Value {
        var names = ["a", "b", "c", "0", "1"]
        return .document(
            Document { writer in
                for _ in 0..<random.below(5) {
                    writer.append(
                        names.remove(at: random.below(names.count)), value(depth: depth - 1))
                }
            })
    }

    private mutating func pick<T>(_ choices: [T]) -> T { choices[random.below(choices.count)] }

    mutating func path(dynamic: Bool) -> String {
        var segments = [pick(["a", "b", "c"])]
        while segments.count < 4, !random.oneIn(2) {
            segments.append(pick(["a", "b", "0", "1", "2", "5"] + (dynamic ? ["$[]", "$"] : [])))
        }
        return segments.joined(separator: ".")
    }

    mutating func step() -> ReferenceStep {
        let name = pick([
            "$set", "$set", "$unset", "$inc", "$mul", "$min", "$max", "$rename", "$push", "$push",
            "$addToSet", "$pop", "$pull", "$pullAll",
        ])
        var step = ReferenceStep(
            name: name, path: path(dynamic: name != "$rename"), operand: value(depth: 2))
        switch name {
        case "$inc", "$mul": step.operand = pick([1, -1, 3, 0.5, 2_000_000_000])
        case "$rename": step.operand = .string(path(dynamic: false))
        case "$pop": step.operand = pick([1, -1])
        case "$pull": step.operand = pick([1, "a", nil, [], [1]])
        case "$pullAll": step.operand = .array((0..<2).map { _ in value(depth: 1) })
        case "$push" where random.oneIn(2): step.operand = pushOperand()
        default: break
        }
        return step
    }

    private mutating func pushOperand() -> Value {
        let count = random.below(3)
        return .document(
            Document { writer in
                writer.append("$each", .array((0..<count).map { _ in value(depth: 1) }))
                if random.oneIn(2) { writer.append("$position", Int32(random.below(7) - 3)) }
                if random.oneIn(2) { writer.append("$sort", random.oneIn(2) ? Int32(1) : -1) }
                if random.oneIn(2) { writer.append("$slice", Int32(random.below(9) - 4)) }
            })
    }
}

@Suite struct UpdateReferenceTests {
    /// The steps as an update document.
    private func update(_ steps: [ReferenceStep]) -> Value {
        var names: [String] = []
        for step in steps where !names.contains(step.name) { names.append(step.name) }
        return .document(
            Document { writer in
                for name in names {
                    writer.append(
                        name,
                        Document { fields in
                            for step in steps where step.name == name {
                                fields.append(step.path, step.operand)
                            }
                        })
                }
            })
    }

    /// Whether two paths meet at one place: those the parser refuses, or the walk when it gets there.
    private func conflicts(_ steps: [ReferenceStep], position: Int) -> Bool {
        let paths = steps.flatMap { step -> [[String]] in
            let path = step.segments.map { $0 == "$" ? String(position) : $0 }
            guard step.name == "$rename", case .string(let target) = step.operand else {
                return [path]
            }
            return [path, target.split(separator: ".").map(String.init)]
        }
        return paths.indices.contains { left in
            paths.indices.contains { right in
                left < right
                    && zip(paths[left], paths[right]).allSatisfy {
                        $0 == $1 || $0 == "$[]" || $1 == "$[]"
                    }
            }
        }
    }

    @Test(arguments: 0..<64)
    func agreesWithReference(seed: UInt64) throws {
        var generator = UpdateGenerator(random: RandomSource(seed: seed))
        for _ in 0..<300 {
            let document = generator.document()
            let steps = (0...generator.random.below(4)).map { _ in generator.step() }
            let position = generator.random.below(3)
            let argument = update(steps)
            let parsed: Update
            do throws(DBError) {
                parsed = try parseUpdate(argument)
            } catch {
                #expect([40, 2].contains(error.code.rawValue), "\(argument): \(error)")
                continue
            }
            if conflicts(steps, position: position) { continue }
            let expected: Document
            do throws(ReferenceError) {
                expected = try ReferenceUpdate(steps: steps, position: position)
                    .apply(to: document)
            } catch {
                let code = codeOf { () throws(DBError) in
                    _ = try applyUpdate(parsed, to: document, position: position)
                }
                #expect(code != nil, "\(argument) on \(Value.document(document))")
                if steps.count == 1 { #expect(code == error.code, "\(argument)") }
                continue
            }
            let outcome = try applyUpdate(parsed, to: document, position: position)
            #expect(
                outcome == (expected == document ? .unchanged : .changed(expected)),
                "\(argument) on \(Value.document(document)): \(Value.document(expected))")
        }
    }

    /// Operators that say what shall be, not what shall happen: twice is once.
    @Test(arguments: 0..<32)
    func isIdempotent(seed: UInt64) throws {
        var generator = UpdateGenerator(random: RandomSource(seed: seed))
        let names = ["$set", "$addToSet", "$min", "$max", "$unset", "$pull", "$pullAll"]
        for _ in 0..<400 {
            let document = generator.document()
            let step = generator.step()
            guard names.contains(step.name) else { continue }
            guard let parsed = try? parseUpdate(update([step])),
                case .changed(let once)? = try? applyUpdate(
                    parsed, to: document, position: 0)
            else { continue }
            #expect(
                try applyUpdate(parsed, to: once, position: 0) == .unchanged,
                "\(step) on \(Value.document(document))")
        }
    }
}

/// The code that `body` throws.
func codeOf(_ body: () throws(DBError) -> Void) -> Int32? {
    do throws(DBError) {
        try body()
        return nil
    } catch {
        return error.code.rawValue
    }
}
