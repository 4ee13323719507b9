// Moves stages to where they cost least, where that changes no result.
//
//     $sort, $match             ->  $match, $sort
//     $project/$set, $match     ->  $match, $project/$set, where the filter reads only fields that
//                                   pass through whole
//     $project/$set, $limit     ->  $limit, $project/$set
//     $project, $group          ->  $group, where the projection only drops what isn't read anyway
//
// So filters come to the front, where an index may serve them, and limits beside the sort whose
// memory they bound.

import BSON

enum StageOrder {
    /// The same pipeline, better ordered. O(stages²).
    static func improved(_ stages: [PipelineStage]) -> [PipelineStage] {
        var result: [PipelineStage] = []
        for stage in stages {
            switch stage {
            case .match(let filter): insert(filter, into: &result)
            case .skip, .limit: insert(stage, into: &result)
            case .group, .count:
                dropProjections(before: stage, &result)
                result.append(stage)
            default: result.append(stage)
            }
        }
        return result
    }

    /// Puts a filter in front of the stages at the end that it may pass, into the filter there.
    private static func insert(_ filter: Filter, into stages: inout [PipelineStage]) {
        var position = stages.count
        while position > 0, passes(filter, stages[position - 1]) { position -= 1 }
        if position > 0, position < stages.count, case .match(let before) = stages[position - 1] {
            stages[position - 1] = .match(
                Filter(.all([before.root, filter.root]), collation: filter.collation))
        } else {
            stages.insert(.match(filter), at: position)
        }
    }

    private static func passes(_ filter: Filter, _ stage: PipelineStage) -> Bool {
        switch stage {
        // A sort that keeps only some is one with a limit behind it.
        case .sort(_, let limit): limit == nil
        case .project(let projection):
            filter.requiredPaths.map { $0.allSatisfy(projection.keepsWhole) } ?? false
        default: false
        }
    }

    /// Puts a $skip or $limit in front of stages that give one document for each.
    private static func insert(_ stage: PipelineStage, into stages: inout [PipelineStage]) {
        var position = stages.count
        while position > 0, case .project = stages[position - 1] { position -= 1 }
        stages.insert(stage, at: position)
    }

    /// Removes projections at the end of `stages` that only drop fields which `stage` doesn't read.
    private static func dropProjections(
        before stage: PipelineStage, _ stages: inout [PipelineStage]
    ) {
        let read: [FieldPath]? =
            switch stage {
            case .group(let box): box.specification.requiredPaths
            case .count: []
            default: nil
            }
        guard let read else { return }
        while case .project(let projection)? = stages.last, !projection.computesFields,
            read.allSatisfy(projection.keepsWhole)
        {
            stages.removeLast()
        }
    }
}

extension Projection {
    /// Whether rules make values: those may fail, or be asked for.
    var computesFields: Bool {
        fields.contains { field in
            if case .compute = field.rule { true } else { false }
        }
    }

    /// Whether the top-level field that a path begins with comes out as it went in.
    func keepsWhole(_ path: FieldPath) -> Bool {
        guard !isPositional, let name = path.segments.first?.name else { return false }
        let top = nodes[0]
        let rule = fields[top.first..<top.first + top.count].first { field in
            names.bytes.extracting(field.nameOffset..<field.nameOffset + field.nameCount)
                .equals(name.span.bytes)
        }?.rule
        switch (mode, rule) {
        case (.inclusion, .include?), (.exclusion, nil), (.addition, nil): return true
        default: return false
        }
    }
}
