// get, exists, getAfter, existsAfter: each document is looked up once, and the request's own is
// known.

internal import BSON

/// A document that was looked up.
struct RuleLookup {
    let path: [String]
    let isAfter: Bool
    let document: Document?
}

extension RuleEvaluator {
    /// What `get` and `getAfter` give.
    mutating func get(_ argument: RuleValue, after: Bool) throws(RuleFailure) -> RuleValue {
        let path = try lookupPath(argument, after ? "getAfter" : "get")
        guard let document = try document(at: path, after: after) else {
            throw failure(
                .other("There is no document \(path.text); ask exists() before get()."))
        }
        return .resource(
            RuleResource(data: StoredDocument(document, hidesID: true), path: path))
    }

    /// What `exists` and `existsAfter` say.
    mutating func exists(_ argument: RuleValue, after: Bool) throws(RuleFailure) -> RuleValue {
        let path = try lookupPath(argument, after ? "existsAfter" : "exists")
        return .bool(try document(at: path, after: after) != nil)
    }

    private func lookupPath(
        _ argument: RuleValue, _ name: String
    ) throws(RuleFailure) -> RulePath {
        if case .null = argument { throw failure(.nullValue) }
        guard case .path(let path) = argument else {
            throw failure(
                .unsupported("\(name)(\(argument.typeName))", expected: "\(name)(path)"))
        }
        guard let (_, segments) = path.document, segments.count.isMultiple(of: 2),
            segments.allSatisfy({ !$0.isEmpty })
        else {
            throw failure(
                .other(
                    "\(path.text) is no path of a document: "
                        + "/databases/$(database)/documents/COLLECTION/ID."))
        }
        return path
    }

    private mutating func document(
        at path: RulePath, after: Bool
    ) throws(RuleFailure) -> Document? {
        guard let (database, segments) = path.document else { return nil }
        if database == request.database, segments.elementsEqual(request.segments) {
            guard after else { return request.resource }
            switch request.method {
            case .get, .list: return request.resource
            case .create, .update, .delete: return request.newResource
            }
        }
        if let known = lookups.first(where: { $0.isAfter == after && $0.path == path.segments }) {
            return known.document
        }
        let isOfMany = request.isOfMany || request.method == .list
        let most = isOfMany ? rules.limits.lookupsOfManyMax : rules.limits.lookupsMax
        // The same document before and after counts once.
        let paths = Set(lookups.map(\.path))
        guard paths.count < most || paths.contains(path.segments) else {
            throw failure(
                .limit("The rules look up more than \(most) documents for one request."))
        }
        do throws(DBError) {
            let document = try documents.document(at: segments, in: database, after: after)
            lookups.append(
                RuleLookup(path: path.segments, isAfter: after, document: document))
            return document
        } catch {
            throw failure(.store(error.message))
        }
    }
}
