// Stages that a planner need not know: each is a StagePlan in a file of its own, which says how it
// runs and what it reads.

import BSON

/// What a stage reads of its input.
enum StageNeeds {
    /// Whole documents.
    case everything
    /// These paths; documents pass through unchanged, so what follows reads them too.
    case paths([FieldPath])
}

/// A compiled stage. Immutable, so executions on any thread share it.
protocol StagePlan: Sendable {
    /// The stage at work before `next`.
    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution

    /// Whether one small document may mean much work.
    var multiplies: Bool { get }

    /// What it reads of its input.
    var needs: StageNeeds { get }

    /// Other collections that it reads, with the stages run over them.
    var foreign: [SubPipeline] { get }

    /// Whether what it makes of a document, in order, depends on no other document.
    var isPerDocument: Bool { get }

    /// Whether documents may become others where the same ones come in another order.
    var dependsOnOrder: Bool { get }
}

extension StagePlan {
    var multiplies: Bool { false }
    var needs: StageNeeds { .everything }
    var foreign: [SubPipeline] { [] }
    var isPerDocument: Bool { false }
    var dependsOnOrder: Bool { false }
}

/// A compiled stage, opaque outside the module.
package struct StagePlanBox: Sendable {
    let plan: any StagePlan
}

/// What a running pipeline may use.
package struct ExecutionResources {
    /// Most memory that one blocking stage takes, in bytes; MongoDB's limit by default.
    package var memoryBytesMax = ExecutionResources.defaultMemoryBytesMax
    /// Most bytes of one result.
    package var resultBytesMax = Limits.documentBytesMax + Limits.documentOverheadBytesMax
    /// Ends the work from outside.
    package var interrupt: Interrupt?
    /// Reads other collections; nil where stages that need them can't run.
    package var foreign: (any ForeignReader)?
    /// The pipeline and the number of its stages up to this one, for stages that make no more than
    /// what those behind them read.
    var place: (pipeline: Pipeline, count: Int)?
    /// The folder for temporary files of sorts and groups that outgrow their memory; nil where
    /// they may not use the disk.
    package var spillFolder: String?

    /// MongoDB's limit for one blocking stage.
    package static let defaultMemoryBytesMax = 100 * 1024 * 1024

    /// The defaults: no other collections, no disk.
    package init() {}
}
