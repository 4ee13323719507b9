"""Which recorded cases use only what this version of Roost implements.

A case is in scope when every command, `$operator`, stage and option that its steps name is in the
lists below. What is missing is named, so that failures can be grouped by it.
"""

import glob
import json
import os
import re

COMMANDS = set("""
ping hello buildInfo serverStatus hostInfo getParameter getLog connectionStatus whatsmyuri
listDatabases listCollections create drop dropDatabase renameCollection createIndexes listIndexes
dropIndexes insert find getMore killCursors update delete findAndModify findandmodify count
distinct aggregate bulkWrite explain collStats dbStats validate endSessions startSession
refreshSessions killSessions isMaster ismaster
""".split())

OPERATORS = set("""
$eq $ne $gt $gte $lt $lte $and $or $nor $not $exists $type $in $nin $regex $options $elemMatch $all
$size $mod $comment
$set $unset $inc $mul $min $max $rename $setOnInsert $push $each $slice $sort $position $pull
$pullAll $addToSet $pop $currentDate $bit
$match $project $skip $limit $group $count $unwind $addFields
$sum $avg $first $last $db $natural $ref $id
""".split())

# No operators of MongoDB's: refusing them by name is this version's work too. Also variables, field
# paths and old options that look like operators.
NO_OPERATORS = set("""
$unknown $invalid $badOp $badop $x $y $a $b $val $price $field $isolated $atomic
""".split())

# Values in Extended JSON, not operators.
VALUES = set("""
$numberInt $numberLong $numberDouble $numberDecimal $oid $date $binary $regularExpression
$timestamp $minKey $maxKey $code $scope $undefined $symbol $dbPointer
""".split())

OPTIONS = {"collation", "capped", "viewOn", "timeseries", "expireAfterSeconds", "validator",
           "clusteredIndex", "tailable", "awaitData", "readConcern", "txnNumber", "let",
           "wildcardProjection", "weights", "min", "max", "returnKey", "showRecordId",
           "writeConcern", "autocommit", "startTransaction", "encryptedFields", "expression"}
ALLOWED_OPTIONS = {"min", "max", "readConcern", "writeConcern", "let", "returnKey", "showRecordId"}
KINDS = {"text", "2d", "2dsphere", "hashed"}


def needs(value, missing, at_top=False):
    """Adds to `missing` what a command's part names beyond the lists."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if re.match(r"\$[A-Za-z]", name) and name not in OPERATORS | VALUES | NO_OPERATORS:
                missing.add(name)
            if at_top and name in OPTIONS - ALLOWED_OPTIONS:
                missing.add(name)
            if name == "$**" or name.endswith(".$**"):
                missing.add("wildcard index")
            needs(inner, missing)
    elif isinstance(value, list):
        for inner in value:
            needs(inner, missing)


def missing_of(case):
    missing = set()
    for step in case["steps"]:
        command = step["command"]
        name = next(iter(command))
        if name not in COMMANDS:
            missing.add(f"command {name}")
        needs(command, missing, at_top=True)
        for statement in command.get("updates", []) + command.get("deletes", []) \
                if isinstance(command.get("updates", []), list) and isinstance(command.get("deletes", []), list) else []:
            if isinstance(statement, dict):
                for option in ("collation", "c"):
                    if option in statement:
                        missing.add(option)
                if isinstance(statement.get("u"), list):
                    missing.add("update pipeline")
        if isinstance(command.get("update"), list):
            missing.add("update pipeline")
        for index in command.get("indexes", []) if isinstance(command.get("indexes"), list) else []:
            if isinstance(index, dict):
                missing |= OPTIONS & set(index) - ALLOWED_OPTIONS
                if isinstance(index.get("key"), dict):
                    missing |= {f"{v} index" for v in index["key"].values() if isinstance(v, str) and v in KINDS}
    return missing


def cases(answers, folder):
    """Yields (name, what is missing for it) for the cases of a folder that are aimed at."""
    with open(os.path.join(answers, "not-aimed.txt")) as patterns:
        unaimed = re.compile("|".join(p.strip() for p in patterns if p.strip()))
    for path in sorted(glob.glob(os.path.join(answers, "cases", "*.jsonl"))):
        with open(path) as lines:
            for line in lines:
                case = json.loads(line)
                if case["name"].startswith(folder) and not unaimed.search(case["name"]):
                    yield case["name"], missing_of(case)
