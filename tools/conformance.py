"""Runs PyMongo's own test suite, and the recorded answers of MongoDB where they lie beside the
checkout, against a server, and prints a table of each.

    tools/conformance [--peer roost|secantusdb] [--suite pymongo|answers] [--write] [NAME ...]

NAME limits the run: test files (test_cursor) or answer folders (core/cursors); without any, all of
core/ but core/sessions is answered. --write puts the
tables of Roost into Tests/conformance.md. --server FILE is the binary to test.
"""

import argparse
import base64
import collections
import contextlib
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

import bson

import answers_scope

ROOT = pathlib.Path(__file__).resolve().parent.parent
ANSWERS = ROOT.parent / "shared" / "answers"
REPORT = ROOT / "Tests" / "conformance.md"

# The files that apply to a server of Roost's kind, each with a filter of its tests where some can't
# run anywhere here. Left out are files that PyMongo marks for other set-ups (accounts, TLS, search
# indexes, load balancers, data lakes, encryption) and those about SRV records, which need names that
# only MongoDB's own DNS has.
FILES = dict.fromkeys(
    """
    test_crud_unified test_collection test_cursor test_bulk test_database test_run_command
    test_collation test_collection_management test_examples test_custom_types
    test_command_monitoring test_monitoring test_logger test_command_logging
    test_gridfs test_gridfs_spec test_gridfs_bucket test_grid_file
    test_client test_client_bulk_write test_client_context test_csot test_unified_format
    test_comment test_pooling test_threads test_streaming_protocol test_heartbeat_monitoring
    test_discovery_and_monitoring test_sdam_monitoring_spec test_topology test_monitor
    test_server_selection test_server_selection_in_window test_server_selection_rtt
    test_server_selection_logging test_connection_monitoring test_connection_logging
    test_connections_survive_primary_stepdown_spec test_client_backpressure test_max_staleness
    test_read_preferences test_replica_set_reconfig test_mongos_load_balancing
    test_transactions_unified test_transactions test_session test_sessions_unified
    test_causal_consistency test_change_stream
    test_retryable_writes test_retryable_writes_unified test_retryable_reads
    test_retryable_reads_unified test_operation_id_retry
    test_read_write_concern_spec test_read_concern test_write_concern
    test_versioned_api_integration test_versioned_api
    test_create_entities test_crud_v1 test_handshake_unified test_hello_latched test_fork
    test_bson test_bson_corpus test_bson_binary_vector test_json_util test_json_util_integration
    test_raw_bson test_raw_bson_shared test_binary test_decimal128 test_dbref test_code
    test_objectid test_timestamp test_son test_message test_network_layer test_operations
    test_results test_common test_compression_support test_daemon test_errors
    test_event_loggers test_periodic_executor test_pymongo test_saslprep test_server
    test_server_description test_ssl test_uri_parser test_default_exports
    """.split(), "")
FILES["test_uri_spec"] = "not SRV"
ANSWERS_KNOWN = ROOT / "Tests" / "answers-known.txt"


def free_port(wanted=0):
    """The wanted port where it is free, else any that is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(peer, binary, replica_set):
    """Starts a server in a temporary folder; yields its port: MongoDB's own where that is free,
    since some of PyMongo's tests know no other."""
    port, folder = free_port(27017), tempfile.mkdtemp(prefix="conformance-")
    if peer == "roost":
        command = [binary, "serve", folder, "--listen", f"127.0.0.1:{port}", "--test-commands"]
        if replica_set:
            command += ["--replica-set", "rs0", "--advertise", f"127.0.0.1:{port}"]
    else:
        venv = ROOT / ".build" / "secantusdb"
        if not (venv / "bin" / "secantusd-py").exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([venv / "bin" / "pip", "install", "-q", "secantusdb==0.7.0b3"], check=True)
        command = [venv / "bin" / "secantusd-py", "--port", str(port), "--enable-test-commands",
                   "--storage-path", ":memory:"]
    log = open(ROOT / ".build" / f"conformance-{peer}.log", "w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            if process.poll() is not None:
                sys.exit(f"{peer} did not start; see {log.name}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def reason(text):
    """A failure's first line without what differs from run to run."""
    line = next((l for l in text.splitlines() if l.strip()), "")
    return re.sub(r"0x[0-9a-f]+|\b\d{4,}\b|ObjectId\('\w+'\)", "…", line)[:160]


def run_pymongo(peer, binary, names):
    """Yields (file, passed, failed, skipped, {reason: [tests]})."""
    source = subprocess.run([ROOT / "tools" / "fetch-pymongo"], check=True, capture_output=True,
                            text=True).stdout.strip()
    for name in names:
        with server(peer, binary, replica_set=True) as (port, process):
            report = ROOT / ".build" / f"conformance-{peer}-{name}.xml"
            report.unlink(missing_ok=True)
            command = [sys.executable, "-m", "pytest", "-q", "--timeout=60", "-p",
                       "no:cacheprovider", "-p", "pytest_outside_container",
                       f"--junitxml={report}", f"test/{name}.py"]
            if FILES.get(name):
                command += ["-k", FILES[name]]
            environment = os.environ | {"DB_IP": "127.0.0.1", "DB_PORT": str(port),
                                        "PYTHONPATH": str(ROOT / "tools")}
            with open(ROOT / ".build" / f"conformance-{peer}-{name}.log", "w") as log:
                try:
                    subprocess.run(command, cwd=source, env=environment, stdout=log, stderr=log,
                                   timeout=900)
                except subprocess.TimeoutExpired:
                    print(f"{name}: broken off after 15 minutes", file=sys.stderr)
            died = process.poll() is not None
        counts, failures = collections.Counter(), collections.defaultdict(list)
        for case in xml.parse(report).iter("testcase") if report.exists() else ():
            problem = case.find("failure") if case.find("failure") is not None else case.find("error")
            if problem is not None:
                counts["failed"] += 1
                failures[reason(problem.get("message") or problem.text or "")].append(case.get("name"))
            else:
                counts["skipped" if case.find("skipped") is not None else "passed"] += 1
        if died:
            failures["the server ended during this file"].append(name)
            counts["failed"] += 1
        yield name, counts["passed"], counts["failed"], counts["skipped"], failures


def open_sessions(port, ids):
    """Makes the server know these sessions (base64 of their ids)."""
    with socket.create_connection(("127.0.0.1", port), 5) as server:
        for number, text in enumerate(sorted(ids), 1):
            body = bson.encode({"ping": 1, "$db": "admin",
                                "lsid": {"id": bson.Binary(base64.b64decode(text), 4)}})
            server.sendall(struct.pack("<iiiiib", 21 + len(body), number, 0, 2013, 0, 0) + body)
            server.recv(4096)


def run_answers(peer, binary, names=(), share=1.0, count_min=0):
    """Yields (folder, right, {case that is wrong: the difference}) for the folders that `names`
    begin, or for all; with a share below 1 only that part of each, the same in each run."""
    for folder, listed in answers_scope.cases(ANSWERS, names).items():
        if share < 1:
            listed = answers_scope.sample(listed, share, count_min)
        with tempfile.TemporaryDirectory(prefix="answers-") as chosen:
            pathlib.Path(chosen, "chosen.jsonl").write_text("".join(line for _, line in listed))
            failures = ROOT / ".build" / f"answers-{peer}-{folder.replace('/', '_')}.tsv"
            failures.unlink(missing_ok=True)
            with server(peer, binary, replica_set=False) as (port, _):
                open_sessions(port, answers_scope.quoted_sessions(listed))
                subprocess.run([sys.executable, ANSWERS / "run", f"127.0.0.1:{port}", "--cases",
                                chosen, "--failures", failures, "--quiet"],
                               stdout=subprocess.DEVNULL)
        wrong = dict(line.split("\t", 1) for line in failures.read_text().splitlines() if "\t" in line)
        yield folder, len(listed) - len(wrong), wrong


def table_of_pymongo(rows):
    lines = ["| file | passed | failed | skipped |", "| --- | ---: | ---: | ---: |"]
    details = []
    for name, passed, failed, skipped, failures in rows:
        lines.append(f"| {name} | {passed} | {failed} | {skipped} |")
        print(f"{name:34} {passed:5} passed {failed:4} failed {skipped:4} skipped", flush=True)
        for text, tests in sorted(failures.items(), key=lambda f: -len(f[1])):
            details.append(f"- {name}: {', '.join(sorted(tests)[:8])}"
                           + (f" and {len(tests) - 8} more" if len(tests) > 8 else "") + f": `{text}`")
    return lines + ["", "What fails, by reason:", ""] + (details or ["- nothing"])


def table_of_answers(rows):
    lines = ["| folder | cases | right | share |", "| --- | ---: | ---: | ---: |"]
    pairs, details, rights, totals = answers_scope.known_reasons(ANSWERS_KNOWN), [], 0, 0
    for folder, right, wrong in rows:
        total = right + len(wrong)
        rights, totals = rights + right, totals + total
        lines.append(f"| {folder} | {total} | {right} | {right / max(total, 1):.1%} |")
        print(f"{folder:44} {right:5} of {total:5} {right / max(total, 1):7.1%}", flush=True)
        reasons = collections.defaultdict(list)
        for name, difference in wrong.items():
            reason = answers_scope.reason_of(name, pairs)
            reasons[reason or f"unexplained: `{difference[:120]}`"].append(name[len(folder) + 1:])
        for reason, named in sorted(reasons.items()):
            print(f"    {len(named)} wrong: {reason}", flush=True)
            details.append(f"- {folder}: {len(named)} wrong, {reason}: {', '.join(sorted(named))}")
    lines.append(f"| all | {totals} | {rights} | {rights / max(totals, 1):.2%} |")
    print(f"{'all':44} {rights:5} of {totals:5} {rights / max(totals, 1):7.2%}", flush=True)
    return lines + ["", "What is wrong, by its reason:", ""] + (details or ["- nothing"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", choices=["roost", "secantusdb"], default="roost")
    parser.add_argument("--suite", choices=["pymongo", "answers"])
    parser.add_argument("--server", default=str(ROOT / ".build" / "release" / "roost"))
    parser.add_argument("--write", action="store_true", help="put the tables into Tests/conformance.md")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.peer == "roost" and not os.access(options.server, os.X_OK):
        sys.exit(f"{options.server} is missing: tools/build")
    sections = [f"# Conformance\n\nWritten by `tools/conformance --write`; each failure is named."]
    if options.suite != "answers":
        names = [n for n in options.names if n.startswith("test_")] or list(FILES)
        if not options.names or any(n.startswith("test_") for n in options.names):
            rows = run_pymongo(options.peer, options.server, names)
            sections.append("## PyMongo's own suite\n\n" + "\n".join(table_of_pymongo(rows)))
    if options.suite != "pymongo" and ANSWERS.exists():
        folders = [n for n in options.names if not n.startswith("test_")]
        if not options.names or any(not n.startswith("test_") for n in options.names):
            rows = run_answers(options.peer, options.server, folders)
            sections.append("## Recorded answers of MongoDB 8.2.4\n\n" + "\n".join(table_of_answers(rows)))
    if options.write:
        REPORT.write_text("\n\n".join(sections) + "\n")
        print(f"written to {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
