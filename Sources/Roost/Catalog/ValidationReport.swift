// Why a document fails a validator: the `details` of error 121, in MongoDB's shape.
//
// Made only for a document that is refused, so it may be slow: each operator of the condition is
// compiled by itself and asked again. Schema keywords are explained in SchemaReport.

import BSON
import Query

enum ValidationReport {
    /// What of the condition the document doesn't meet.
    static func explain(_ condition: DocumentView, failedBy document: DocumentView) -> Document {
        var clauses = Clauses()
        clauses.add(condition)
        var failures: [(index: Int, details: Document)] = []
        for (index, clause) in clauses.list.enumerated()
        where !holds(clause.condition, document) {
            failures.append((index, explain(clause, document)))
        }
        if clauses.list.count == 1, let only = failures.first { return only.details }
        return Document { writer in
            writer.append("operatorName", "$and")
            append("clausesNotSatisfied", failures, &writer)
        }
    }

    /// One operator of a condition.
    struct Clause {
        /// The path; empty for operators that have none.
        let path: String
        let operatorName: String
        /// The operator's operand.
        let operand: OwnedValue
        /// The clause as a condition of its own.
        let condition: Document
    }

    /// The operators of a condition, as they stand in it.
    private struct Clauses {
        var list: [Clause] = []

        mutating func add(_ condition: DocumentView) {
            var elements = condition.makeIterator()
            while let element = elements.next() {
                let name = element.nameString
                if let operators = element.value.document, !name.hasPrefix("$"),
                    operators.first?.name.starts(with: RawSpan("$")) == true
                {
                    addOperators(operators, of: name)
                } else {
                    list.append(
                        Clause(
                            path: name.hasPrefix("$") ? "" : name,
                            operatorName: name.hasPrefix("$") ? name : "$eq",
                            operand: OwnedValue(copying: element.value),
                            condition: Document { $0.append(element) }))
                }
            }
        }

        private mutating func addOperators(_ operators: DocumentView, of path: String) {
            var options: OwnedValue?
            if let value = operators.value("$options") { options = OwnedValue(copying: value) }
            var elements = operators.makeIterator()
            while let element = elements.next() {
                let name = element.nameString
                if name == "$options" { continue }
                let alone = Document { writer in
                    let start = writer.openDocument(path)
                    writer.append(element)
                    if name == "$regex", let options { writer.append("$options", options) }
                    writer.close(start)
                }
                list.append(
                    Clause(
                        path: path, operatorName: name, operand: OwnedValue(copying: element.value),
                        condition: alone))
            }
        }
    }

    /// Whether a document meets a condition; one that can't be evaluated counts as not met.
    static func holds(_ condition: Document, _ document: DocumentView) -> Bool {
        let scope = ExpressionScope(nowMillis: LogicalClock.wallMillis)
        var scratch = MatchScratch()
        do throws(DBError) {
            let filter = try Filter.parse(condition.view, scope.filterOptions(.validator))
            return try filter.matches(document, &scratch)
        } catch {
            return false
        }
    }

    private static func append(
        _ name: String, _ failures: [(index: Int, details: Document)],
        _ writer: inout DocumentWriter
    ) {
        let list = writer.openArray(name)
        for (position, failure) in failures.enumerated() {
            writer.appendHeader(.document, index: position)
            let item = writer.openDocument()
            writer.append("index", Int32(clamping: failure.index))
            writer.append("details", failure.details)
            writer.close(item)
        }
        writer.close(list)
    }

    // MARK: One clause

    private static func explain(_ clause: Clause, _ document: DocumentView) -> Document {
        switch clause.operatorName {
        case "$jsonSchema":
            guard let schema = clause.operand.view.document else { return Document() }
            return SchemaReport.explain(schema, failedBy: document)
        case "$and", "$or", "$nor": return explainBranches(clause, document)
        case "$expr":
            return Document { writer in
                writer.append("operatorName", "$expr")
                writer.append("specifiedAs", clause.condition)
                writer.append("reason", "expression did not match")
                writer.append("expressionResult", false)
            }
        default: return explainComparison(clause, document)
        }
    }

    private static func explainBranches(_ clause: Clause, _ document: DocumentView) -> Document {
        var failures: [(index: Int, details: Document)] = []
        let isNor = clause.operatorName == "$nor"
        if let branches = clause.operand.view.array {
            var elements = branches.makeIterator()
            var index = 0
            while let element = elements.next() {
                if let branch = element.value.document,
                    holds(Document(copying: branch), document) == isNor
                {
                    let details =
                        isNor
                        ? Document { $0.append("specifiedAs", branch) }
                        : explain(branch, failedBy: document)
                    failures.append((index, details))
                }
                index += 1
            }
        }
        return Document { writer in
            writer.append("operatorName", clause.operatorName)
            append(isNor ? "clausesSatisfied" : "clausesNotSatisfied", failures, &writer)
        }
    }

    private static func explainComparison(_ clause: Clause, _ document: DocumentView) -> Document {
        let value = document.value(atDottedPath: clause.path)
        let isMissing = value == nil
        return Document { writer in
            writer.append("operatorName", clause.operatorName)
            writer.append("specifiedAs", clause.condition)
            writer.append("reason", reason(clause, isMissing: isMissing))
            if let value {
                writer.append("consideredValue", value)
                if clause.operatorName == "$type" {
                    writer.append("consideredType", value.type.alias)
                }
            }
        }
    }

    private static func reason(_ clause: Clause, isMissing: Bool) -> String {
        switch clause.operatorName {
        case "$exists": return isMissing ? "path does not exist" : "path does exist"
        case "$ne": return "comparison succeeded"
        case "$nin": return "matching value found in array"
        case "$not": return "the condition under $not held"
        default: break
        }
        if isMissing { return "field was missing" }
        switch clause.operatorName {
        case "$in": return "no matching value found in array"
        case "$type": return "type did not match"
        case "$regex": return "regular expression did not match"
        case "$mod": return "$mod did not evaluate to expected remainder"
        case "$size": return "array length was not equal to given size"
        case "$all": return "array did not contain all specified values"
        case "$elemMatch": return "array did not satisfy the child predicate"
        case "$bitsAllSet", "$bitsAnySet", "$bitsAllClear", "$bitsAnyClear":
            return "bitwise operator failed to match"
        default: return "comparison failed"
        }
    }
}

extension DocumentView {
    /// The value of a field whose name is not known before.
    @_lifetime(copy self)
    func value(named name: some StringProtocol) -> ValueView? {
        let bytes = Array(name.utf8)
        return value(bytes.span.bytes)
    }

    /// The value at a dotted path through documents alone.
    @_lifetime(copy self)
    fileprivate func value(atDottedPath path: String) -> ValueView? {
        var names = path.split(separator: ".", omittingEmptySubsequences: false)[...]
        var document = self
        while let name = names.popFirst() {
            guard let value = document.value(named: name) else { return nil }
            if names.isEmpty { return value }
            guard let inner = value.document else { return nil }
            document = inner
        }
        return nil
    }
}
