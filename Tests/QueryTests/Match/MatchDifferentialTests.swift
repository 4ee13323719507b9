import BSON
import Testing

@testable import Query

@Suite struct MatchDifferentialTests {
    @Test("The compiled matcher agrees with the plain one", arguments: 0..<8 as Range<UInt64>)
    func oracle(_ seed: UInt64) throws {
        var source = RandomQuery(seed: seed + 1)
        var scratch = MatchScratch()
        var matched = 0
        for _ in 0..<400 {
            let filter = source.filter()
            let compiled: Filter
            do { compiled = try Filter.parse(filter.view) } catch {
                Issue.record("\(text(.document(filter))): \(error)")
                continue
            }
            for _ in 0..<20 {
                let document = source.document()
                let isMatch = try compiled.matches(document.view, &scratch)
                let expected = OracleMatcher.matches(filter, document)
                if isMatch { matched += 1 }
                guard isMatch != expected else { continue }
                Issue.record(
                    "\(text(.document(filter))) on \(text(.document(document))): \(isMatch)")
                return
            }
        }
        #expect(matched > 100)
    }

    @Test("A filter and its $nor partition the documents", arguments: 0..<4 as Range<UInt64>)
    func partition(_ seed: UInt64) throws {
        var source = RandomQuery(seed: seed + 100)
        var scratch = MatchScratch()
        for _ in 0..<300 {
            let filter = source.filter()
            let opposite: Document = ["$nor": [.document(filter)]]
            let positive = try Filter.parse(filter.view)
            let negative = try Filter.parse(opposite.view)
            for _ in 0..<10 {
                let document = source.document()
                let isMatch = try positive.matches(document.view, &scratch)
                let isOpposite = try negative.matches(document.view, &scratch)
                #expect(isMatch != isOpposite, "\(text(.document(filter)))")
                #expect(scratch.arrayPosition == nil)
            }
        }
    }

    @Test(
        "$not turns a condition round, $in is $or of equalities", arguments: 0..<4 as Range<UInt64>)
    func rewrites(_ seed: UInt64) throws {
        var source = RandomQuery(seed: seed + 200)
        for _ in 0..<300 {
            let path = source.pick(RandomQuery.paths)
            let values = (0..<3).map { _ in source.value(depth: 1) }
            let membership = Document { $0.append(path, Value.document(["$in": .array(values)])) }
            let branches = values.map { value in
                Value.document(Document { $0.append(path, Value.document(["$eq": value])) })
            }
            let disjunction: Document = ["$or": .array(branches)]
            let negation = Document {
                $0.append(path, Value.document(["$not": ["$in": .array(values)]]))
            }
            for _ in 0..<10 {
                let document = source.document()
                let isMember = try matches(membership, document)
                #expect(try matches(disjunction, document) == isMember)
                #expect(try matches(negation, document) != isMember)
            }
        }
    }
}
