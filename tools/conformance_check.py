"""The part of the conformance run that belongs to every test run: conformance_check.py ROOST

Runs some of PyMongo's files, and a part of each folder of the recorded answers where they lie
beside the checkout (the same part in each run). Fails when a test fails that Tests/
conformance-known.txt doesn't name with its reason, or a case that Tests/answers-known.txt doesn't.
"""

import sys

import answers_scope
import conformance

FILES = """
    test_bulk test_cursor test_database test_run_command test_collection test_collation
    test_collection_management test_examples test_custom_types test_gridfs test_gridfs_bucket
    test_versioned_api_integration test_comment test_read_write_concern_spec
""".split()
ANSWERS_SHARE, ANSWERS_COUNT_MIN = 0.1, 20
KNOWN = conformance.ROOT / "Tests" / "conformance-known.txt"


def known_failures():
    """Lines `file::test  reason`; a `#` begins a comment."""
    lines = (line.split("#")[0].strip() for line in KNOWN.read_text().splitlines())
    return {line.split()[0] for line in lines if line}


def main():
    roost, known, bad = sys.argv[1], known_failures(), 0
    for name, passed, failed, skipped, failures in conformance.run_pymongo("roost", roost, FILES):
        new = sorted(f"{name}::{t}" for tests in failures.values() for t in tests)
        new = [test for test in new if test not in known]
        bad += len(new)
        print(f"{name}: {passed} passed, {failed} failed, {skipped} skipped"
              + "".join(f"\n  NEW FAILURE {test}" for test in new), flush=True)
    if conformance.ANSWERS.exists():
        pairs = answers_scope.known_reasons(conformance.ANSWERS_KNOWN)
        for folder, right, wrong in conformance.run_answers(
                "roost", roost, share=ANSWERS_SHARE, count_min=ANSWERS_COUNT_MIN):
            new = [name for name in wrong if not answers_scope.reason_of(name, pairs)]
            bad += len(new)
            print(f"{folder}: {right} of {right + len(wrong)} answers"
                  + "".join(f"\n  NEW FAILURE {name}: {wrong[name][:200]}" for name in new),
                  flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
