// What requests do, and the words of allow statements for it.

/// The methods of requests.
package enum RuleMethod: String, Sendable, CaseIterable {
    case get
    case list
    case create
    case update
    case delete
}

/// A set of methods.
package struct RuleMethods: OptionSet, Sendable, Hashable {
    /// A bit for each method.
    package let rawValue: UInt8

    /// From its bits.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// One document is read.
    package static let get = RuleMethods(rawValue: 1)
    /// A query.
    package static let list = RuleMethods(rawValue: 2)
    /// A document is made.
    package static let create = RuleMethods(rawValue: 4)
    /// A document is changed or replaced.
    package static let update = RuleMethods(rawValue: 8)
    /// A document is taken away.
    package static let delete = RuleMethods(rawValue: 16)
    /// `get` and `list`.
    package static let read: RuleMethods = [.get, .list]
    /// `create`, `update` and `delete`.
    package static let write: RuleMethods = [.create, .update, .delete]

    /// The set of one method.
    package init(_ method: RuleMethod) {
        self =
            switch method {
            case .get: .get
            case .list: .list
            case .create: .create
            case .update: .update
            case .delete: .delete
            }
    }

    /// The set that a word of an `allow` means; nil for other words.
    init?(word: String) {
        switch word {
        case "read": self = .read
        case "write": self = .write
        default:
            guard let method = RuleMethod(rawValue: word) else { return nil }
            self.init(method)
        }
    }

    /// `read, create`: the fewest words that mean the set.
    package var text: String {
        var rest = self
        var words: [String] = []
        for (word, set) in [("read", RuleMethods.read), ("write", .write)]
        where rest.isSuperset(of: set) {
            words.append(word)
            rest.subtract(set)
        }
        for method in RuleMethod.allCases where rest.contains(RuleMethods(method)) {
            words.append(method.rawValue)
        }
        return words.joined(separator: ", ")
    }
}
