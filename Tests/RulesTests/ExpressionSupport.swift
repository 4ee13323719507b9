import BSON
import Rules
import Testing

/// What an expression comes to, as text: a value, or `error: MESSAGE`.
func evaluated(
    _ expression: String, method: RuleMethod = .create, resource: Document? = nil,
    data: Document = Document(), auth: Document? = ["uid": "alice", "token": ["role": "admin"]],
    functions: String = "", documents: any RuleDocuments = NoRuleDocuments()
) throws -> String {
    // The condition is no bool, mostly, so the step is looked at.
    let text = """
        rules_version = '2';
        service cloud.firestore { match /databases/{database}/documents { \(functions)
          match /things/{id} { allow read, write: if \(expression); } } }
        """
    let parsed = parsed(text)
    let rules = try #require(
        parsed.rules, "\(parsed.problems.map { $0.text(in: parsed.files) })")
    let request = RuleRequest(
        method, ["things", "one"], auth: auth, timeMillis: 1_686_832_245_678,
        resource: resource, newResource: data)
    let (decision, trace) = rules.trace(request, documents)
    #expect(decision.isAllowed == rules.decide(request, documents).isAllowed)
    switch trace.steps[0].outcome {
    case .value(let value): return value.text(most: 200)
    case .failure(let failure): return "error: \(failure.message)"
    }
}
