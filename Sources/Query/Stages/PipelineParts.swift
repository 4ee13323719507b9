// Running the beginning of a pipeline over parts of its input side by side.
//
// Stages that look at one document at a time, and then a $group or $count, may have a twin for each
// part of the input, on a thread of its own. What the twins hold in the end is put together in the
// order of the parts and is, to the last bit and in the same order, what one execution would hold
// that had seen the parts one after another.

package import BSON

extension Pipeline {
    /// How many stages behind the first `count` may run over parts of the input; nil where none
    /// hold their results back in a way that can be put together.
    func partStageCount(after count: Int) -> Int? {
        if isCollectionless { return nil }
        for (index, stage) in stages.enumerated().dropFirst(count) {
            switch stage {
            case .match, .project, .unwind, .replaceRoot: continue
            case .group(let box):
                return box.specification.takesParts ? index + 1 - count : nil
            case .count: return index + 1 - count
            case .other(let box): guard box.plan.isPerDocument else { return nil }
            case .sort, .skip, .limit: return nil
            }
        }
        return nil
    }
}

extension PipelineExecution {
    /// Whether documents may go to twins: see `twin`.
    package var takesParts: Bool { partStageCount != nil }

    /// An execution of the first stages, for documents behind those that this one takes. Each stage
    /// of it holds at most `memoryBytesMax` and throws where that isn't enough. `foreign` reads
    /// other collections for it. Nil where there can be none.
    package func twin(
        memoryBytesMax: Int, foreign: (any ForeignReader)?
    ) -> PipelineExecution? {
        guard let partStageCount else { return nil }
        return PipelineExecution(
            twinOf: self, stageCount: partStageCount, memoryBytesMax: memoryBytesMax, foreign)
    }

    /// The end of a twin's part: what its stages still hold moves on to the last of them.
    package func finishPart() throws(DBError) {
        try finishPart(stages.dropLast())
    }

    private func finishPart(_ stages: ArraySlice<StageExecution>) throws(DBError) {
        for stage in stages {
            try stage.endInput()
            while try stage.drainOne() { try interrupts.spend(16) }
        }
    }

    /// Takes in what a twin holds whose part is at its end; to be called in the order of the parts.
    /// False, and nothing was taken in, where the whole, seen by this execution alone, might have
    /// given something else.
    package func append(_ twin: PipelineExecution) throws(DBError) -> Bool {
        guard let partStageCount, twin.stages.count == partStageCount else { return false }
        // Documents of earlier parts must not wait in front of what later ones gave.
        try finishPart(stages.prefix(partStageCount - 1))
        return try stages[partStageCount - 1].append(twin.stages[partStageCount - 1])
    }
}
