// $facet: several pipelines over one input, their results as the arrays of one document.

import BSON

/// A compiled $facet.
struct FacetSpecification: StagePlan {
    /// One pipeline and the field of its results.
    struct Facet: Sendable {
        let name: String
        let pipeline: Pipeline
    }

    let facets: [Facet]

    /// The results stand in arrays, in their order.
    var dependsOnOrder: Bool { true }
    var multiplies: Bool { facets.contains { $0.pipeline.multiplies } }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        FacetStage(self, resources, next)
    }

    /// Compiles the argument of $facet.
    ///
    /// Throws 40169 for another type than an object and for an empty one, 40170 and 40171 for what
    /// is no pipeline, 40600 for stages that may not stand inside, codes of field names.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope, _ place: PipelinePlace
    ) throws(DBError) -> FacetSpecification {
        guard let object = value.document, !object.isEmpty else {
            throw .location(
                40169, "the $facet specification must be a non-empty object")
        }
        let inner = try place.inside(.facet)
        var facets: [Facet] = []
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            try checkName(name)
            guard let stages = element.value.array else {
                throw .location(
                    40170,
                    "arguments to $facet must be arrays, \(name) is of type "
                        + element.value.type.alias)
            }
            var stage = stages.makeIterator()
            while let next = stage.next() {
                guard next.value.document != nil else {
                    throw .location(
                        40171,
                        "elements of arrays in $facet spec must be non-empty objects, "
                            + "\(name) holds one of type \(next.value.type.alias)")
                }
            }
            var parser = PipelineParser(scope, inner)
            facets.append(Facet(name: name, pipeline: try parser.parse(stages)))
        }
        return FacetSpecification(facets: facets)
    }

    /// A name that can be a field's.
    static func checkName(_ name: String) throws(DBError) {
        if name.isEmpty {
            throw .location(15998, "FieldPath field names may not be empty strings.")
        }
        if name.hasPrefix("$") {
            throw .location(16410, "FieldPath field names may not start with '$'.")
        }
        if name.contains(".") {
            throw .location(16412, "FieldPath field names may not contain '.'.")
        }
    }
}

/// $facet at work.
final class FacetStage: StageExecution {
    /// One pipeline at work and its results so far.
    private struct Branch {
        let execution: PipelineExecution
        var results = DocumentWriter()
        var count = 0
        var wantsMore = true
    }

    private let specification: FacetSpecification
    private let memoryBytesMax: Int
    private var branches: [Branch]
    private var isDone = false

    init(
        _ specification: FacetSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        memoryBytesMax = resources.memoryBytesMax
        branches = specification.facets.map {
            Branch(execution: PipelineExecution($0.pipeline, resources))
        }
        super.init(next)
    }

    override var memoryBytes: Int {
        branches.reduce(0) { $0 + $1.results.count + $1.execution.memoryBytes }
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        var wantsMore = false
        for index in branches.indices where branches[index].wantsMore {
            branches[index].wantsMore = try branches[index].execution.push(
                document, arrayPosition: arrayPosition)
            try collect(index)
            wantsMore = wantsMore || branches[index].wantsMore
        }
        return wantsMore
    }

    /// Takes the results that a branch has ready.
    private func collect(_ index: Int) throws(DBError) {
        let execution = branches[index].execution
        while true {
            let taken: Void? = try execution.withNext { document in
                let count = branches[index].count
                branches[index].results.append(
                    index: count, ValueView(type: .document, bytes: document.bytes))
                branches[index].count = count + 1
            }
            guard taken != nil else { return }
            execution.removeFirst()
            guard branches[index].results.count <= memoryBytesMax else {
                throw DBError(
                    .queryExceededMemoryLimitNoDiskUseAllowed,
                    "A branch of $facet exceeds \(memoryBytesMax) bytes. Reduce its results by "
                        + "$project or $limit.")
            }
        }
    }

    override func drainOne() throws(DBError) -> Bool {
        guard !isDone else { return false }
        isDone = true
        for index in branches.indices {
            try branches[index].execution.finish()
            try collect(index)
        }
        var writer = DocumentWriter()
        let start = writer.openDocument()
        for (branch, facet) in zip(branches, specification.facets) {
            let array = writer.openArray(facet.name)
            let elements = branch.results.bytes
            writer.appendRaw(copying: elements.span.bytes)
            writer.close(array)
        }
        writer.close(start)
        branches = []
        let bytes = writer.bytes
        _ = try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
        return true
    }
}
