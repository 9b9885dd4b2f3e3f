"""Stand-in for a PBS server, its scheduler and its nodes: runs jobs as real processes on this computer.

    python3 server.py STATE_DIR

STATE_DIR/settings.json holds queues, nodes and site rules (see standin.ts); STATE_DIR/log.jsonl is the judge's record of everything that
happened. Clients (client.py) send one JSON line over STATE_DIR/socket. Messages and exit statuses are those of test/fixtures/pbs.
"""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

STATE = os.path.abspath(sys.argv[1])
with open(os.path.join(STATE, "settings.json"), encoding="utf-8") as settings_file:
    SETTINGS = json.load(settings_file)
HOST = SETTINGS["server"]
SHORT = HOST.split(".")[0]
PROJECT = "_pbs_project_default"
NAME_OK = re.compile(r"^[A-Za-z0-9._+-]+$")
FINAL = "F"


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


def stamp(seconds):
    return time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(seconds))


def short_stamp(seconds):
    return time.strftime("%a %b %d at %H:%M", time.gmtime(seconds))


def walltime_seconds(text):
    if not re.match(r"^\d+(:\d+){0,2}$", text):
        raise Refused(
            166, "qsub: Illegal attribute or resource value Resource_List.walltime"
        )
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    return total


def walltime_text(seconds):
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"


class Job:
    def __init__(self, number, owner, name, queue, script, cwd, env):
        self.number = number
        self.id = f"{number}.{HOST}"
        self.owner = owner
        self.name = name
        self.queue = queue
        self.script = script
        self.cwd = cwd
        self.env = env
        self.state = "Q"
        self.substate = 10
        self.hold = "n"
        self.comment = None
        self.exit = None
        self.ctime = time.time()
        self.stime = None
        self.etime = self.ctime
        self.obittime = None
        self.ended = None
        self.run_count = 0
        self.process = None
        self.log = None
        self.deleting = None
        self.over_walltime = False
        self.terminated = None
        self.resources = {}
        self.account = ""
        self.join = "n"
        self.keep = "n"
        self.output = ""
        self.rerunable = "True"
        self.arguments = ""
        self.nodes = []
        self.starts_failed = 0

    def nodect(self):
        chunk = re.match(r"^(\d+)", self.resources.get("select", "1"))
        return int(chunk.group(1)) if chunk else 1

    def walltime(self):
        return walltime_seconds(self.resources.get("walltime", "00:10:00"))


class Server:
    def __init__(self):
        self.jobs = {}
        self.number = SETTINGS.get("first_id", 1)
        self.hung = False
        self.stopped_scheduling = False
        self.waiting = []
        self.log_file = open(  # noqa: SIM115 - open as long as the server
            os.path.join(STATE, "log.jsonl"), "a", encoding="utf-8", buffering=1
        )

    def log(self, event, **fields):
        self.log_file.write(
            json.dumps(dict(fields, event=event, at=time.time())) + "\n"
        )

    # -- qsub

    def qsub(self, request):
        options, rest = parse_qsub(request["args"])
        script = request["stdin"] if request["stdin"] is not None else ""
        directives = {}
        for line in script.splitlines():
            if line.startswith("#PBS "):
                found, _ = parse_qsub(split_words(line[5:]))
                for key, value in found.items():
                    directives.setdefault(key, [] if key == "l" else value)
                    if key == "l":
                        directives["l"] += value
            elif line.strip() and not line.startswith("#"):
                break
        merged = dict(directives)
        for key, value in options.items():
            if key == "l":
                merged["l"] = merged.get("l", []) + value
            else:
                merged[key] = value
        if "\r\n" in script:
            raise Refused(1, "qsub: script contains cr, lf")
        name = merged.get("N", os.path.basename(rest[0]) if rest else "STDIN")
        if not NAME_OK.match(name):
            raise Refused(
                2,
                "qsub: illegal -N value\nusage: qsub [-a date_time] [-A account_string]",
            )
        if len(name) > 230:
            raise Refused(2, "qsub: Job name is too long ")
        resources = {}
        for each in merged.get("l", []):
            for key, value in split_resources(each):
                resources[key] = value
        for key in resources:
            if key not in (
                "select",
                "place",
                "walltime",
                "filesystems",
                "ncpus",
                "nodect",
                "mem",
            ):
                raise Refused(187, f"qsub: Unknown resource Resource_List.{key}")
        if "select" in resources and not re.match(
            r"^\d+(:[\w=.-]+)*(\+\d+(:[\w=.-]+)*)*$", resources["select"]
        ):
            raise Refused(
                166, "qsub: Illegal attribute or resource value Resource_List.select"
            )
        self.site_rules(merged, resources)
        queue_name = merged.get("q", SETTINGS.get("default_queue", "debug"))
        queue = SETTINGS["queues"].get(queue_name)
        if queue is None:
            raise Refused(170, "qsub: Unknown queue")
        if queue.get("from_route_only"):
            raise Refused(174, "qsub: Access to queue is denied")
        if not queue.get("enabled", True):
            raise Refused(173, "qsub: Queue is not enabled")
        job = Job(
            self.number,
            request["user"],
            name,
            queue_name,
            script,
            request["cwd"],
            request["env"],
        )
        job.resources = dict(resources)
        job.resources.setdefault("walltime", "00:10:00")
        job.resources["walltime"] = walltime_text(job.walltime())
        job.resources.setdefault("select", "1:ncpus=1")
        job.resources.setdefault("place", "free")
        job.account = merged.get("A", "")
        job.join = merged.get("j", "n")
        job.keep = merged.get("k", "doe")
        job.rerunable = "False" if merged.get("r") == "n" else "True"
        job.output = merged.get(
            "o", os.path.join(request["cwd"], f"{name}.o{job.number}")
        )
        job.arguments = " ".join(request["args"])
        self.queue_limits(queue_name, queue, job)
        self.number += 1
        self.jobs[job.id] = job
        self.log("submit", id=job.id, name=name, queue=queue_name, user=job.owner)
        destinations = queue.get("route")
        if destinations is not None:
            fitting = [
                each for each in destinations if fits(SETTINGS["queues"][each], job)
            ]
            if fitting:
                job.queue = fitting[0]
            else:
                # Accepted, then dropped without a trace (golden query-route-rejected).
                del self.jobs[job.id]
                self.log("vanish", id=job.id)
        if "h" in merged:
            job.state, job.substate, job.hold = "H", 20, "u"
        return 0, job.id + "\n", ""

    def site_rules(self, merged, resources):
        rules = SETTINGS.get("rules", {})
        if rules.get("account") and not merged.get("A"):
            raise Refused(32, "qsub: Account_Name is required to be set.")
        if rules.get("accounts") and merged.get("A") not in rules["accounts"]:
            raise Refused(
                32,
                "qsub: No active allocation found for project {} and resource {}".format(
                    merged.get("A"), rules.get("resource", "aurora")
                ),
            )
        if rules.get("filesystems") and "filesystems" not in resources:
            raise Refused(32, "qsub: Resource: filesystems is required to be set.")
        if rules.get("keep_doe") and merged.get("k", "doe") != "doe":
            raise Refused(32, "qsub: Keep_Files: only -k doe is allowed.")

    def queue_limits(self, name, queue, job):
        if not fits(queue, job):
            raise Refused(188, "qsub: Job violates queue and/or server resource limits")
        limit = queue.get("max_queued")
        mine = [
            each
            for each in self.jobs.values()
            if each.owner == job.owner and each.queue == name and each.state != FINAL
        ]
        if limit is not None and len(mine) >= limit:
            raise Refused(38, "qsub: would exceed queue generic's per-user limit")
        of_project = queue.get("max_queued_project")
        theirs = [each for each in self.jobs.values() if each.account == job.account and each.queue == name and each.state != FINAL]
        if of_project is not None and len(theirs) >= of_project:
            raise Refused(38, f"qsub: Maximum number of jobs for project {job.account} already in queue {name}")

    # -- scheduler and nodes

    def tick(self):
        now = time.time()
        for job in list(self.jobs.values()):
            if job.process is not None:
                self.watch(job, now)
        history = SETTINGS.get("history_seconds", 1e9)
        for job in list(self.jobs.values()):
            if job.state == FINAL and (
                not SETTINGS.get("history", True) or now - job.ended > history
            ):
                del self.jobs[job.id]
                self.log("forget", id=job.id)
        if not self.stopped_scheduling:
            self.schedule(now)

    def schedule(self, now):
        busy = {
            node
            for job in self.jobs.values()
            if job.process is not None
            for node in job.nodes
        }
        up = [
            each for each in SETTINGS["nodes"] if each not in SETTINGS.get("down", [])
        ]
        for job in sorted(self.jobs.values(), key=lambda each: each.number):
            if job.state != "Q" or job.process is not None:
                continue
            queue = SETTINGS["queues"][job.queue]
            running = [
                each
                for each in self.jobs.values()
                if each.queue == job.queue
                and each.owner == job.owner
                and each.process is not None
            ]
            free = [node for node in up if node not in busy]
            if now - job.ctime < SETTINGS.get("start_delay", 0):
                continue
            if not queue.get("started", True):
                job.comment = "Not Running: Queue not started."
            elif job.nodect() > len(SETTINGS["nodes"]):
                job.comment = "Can Never Run: Not enough total nodes available"
            elif queue.get("max_run") is not None and len(running) >= queue["max_run"]:
                job.comment = f"Not Running: User has reached queue {job.queue} running job limit."
            elif len(free) < job.nodect():
                job.comment = "Not Running: Not enough free nodes available"
            else:
                job.nodes = free[: job.nodect()]
                busy.update(job.nodes)
                self.start(job, now)

    def start(self, job, now):
        folder = os.path.join(STATE, "jobs", str(job.number))
        os.makedirs(folder, exist_ok=True)
        output = (
            job.output.split(":", 1)[1]
            if re.match(r"^[\w.-]+:/", job.output)
            else job.output
        )
        if output.endswith("/") or os.path.isdir(output):
            output = os.path.join(output, job.id + ".OU")
        if not os.path.isdir(os.path.dirname(output)):
            job.starts_failed += 1
            job.run_count = job.starts_failed
            job.exit = -3
            job.stime = job.obittime = now
            if job.starts_failed > 20:
                job.state, job.substate, job.hold = "H", 20, "s"
                job.comment = "job held, too many failed attempts to run"
            job.nodes = []
            return
        script = os.path.join(folder, "script.SC")
        with open(script, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(job.script)
        os.chmod(script, 0o700)
        nodefile = os.path.join(folder, "nodes")
        with open(nodefile, "w", encoding="utf-8") as file:
            file.write("".join(node + "\n" for node in job.nodes))
        env = dict(SETTINGS.get("job_env", {}))
        env.update(
            HOME=job.env.get("HOME", "/"),
            USER=job.owner,
            LOGNAME=job.owner,
            SHELL="/bin/bash",
            PATH=SETTINGS.get("job_path", job.env.get("PATH", "/usr/bin:/bin")),
            PBS_JOBID=job.id,
            PBS_JOBNAME=job.name,
            PBS_NODEFILE=nodefile,
            PBS_QUEUE=job.queue,
            PBS_ENVIRONMENT="PBS_BATCH",
            PBS_O_WORKDIR=job.cwd,
            PBS_O_HOST=HOST,
            PBS_JOBDIR=job.env.get("HOME", "/"),
        )
        job.log = open(output, "ab")  # noqa: SIM115 - open as long as the job
        try:
            job.process = subprocess.Popen(
                [script],
                cwd=job.env.get("HOME", "/"),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=job.log,
                stderr=job.log,
                start_new_session=True,
            )
        except OSError:
            job.process = subprocess.Popen(
                ["/bin/sh", "-c", "exit 127"], start_new_session=True
            )
        job.state, job.substate, job.stime = "R", 42, now
        job.run_count += 1
        job.exit = None
        job.over_walltime = False
        job.terminated = None
        job.comment = "Job run at {} on {}".format(
            short_stamp(now), "+".join(f"({node}:ncpus=1)" for node in job.nodes)
        )
        self.log(
            "start",
            id=job.id,
            name=job.name,
            run_count=job.run_count,
            pid=job.process.pid,
        )

    def watch(self, job, now):
        code = job.process.poll()
        if code is not None:
            self.end(job, code, now)
            return
        if not job.over_walltime and now - job.stime > job.walltime():
            job.over_walltime = True
            self.terminate(job, now)
        if job.terminated is not None and now - job.terminated > SETTINGS.get(
            "kill_delay", 2
        ):
            signal_group(job, signal.SIGKILL)

    def terminate(self, job, now):
        job.terminated = now
        signal_group(job, signal.SIGTERM)

    def end(self, job, code, now):
        signal_group(job, signal.SIGKILL)
        job.process = None
        if job.log is not None:
            job.log.close()
        if job.deleting == "requeue":
            job.deleting, job.state, job.substate, job.exit, job.stime, job.nodes = (
                None,
                "Q",
                10,
                -11,
                None,
                [],
            )
            self.log("requeue", id=job.id)
            return
        job.state, job.ended, job.obittime = FINAL, now, now
        job.nodes_used = job.nodes
        if job.over_walltime:
            job.exit, job.substate = -29, 93
            job.comment += " and exceeded resource walltime"
        elif job.deleting is not None:
            job.exit, job.substate = (265 if job.deleting == "force" else 271), 91
            job.comment += f" and terminated by {job.owner}@{HOST}"
        else:
            job.exit = 128 - code if code < 0 else code
            job.substate = 92 if job.exit == 0 else 93
            job.comment += " and finished" if job.exit == 0 else " and failed"
        self.log(
            "end", id=job.id, name=job.name, exit=job.exit, run_count=job.run_count
        )

    # -- qdel, qselect, qstat

    def find(self, text, command):
        if not re.match(r"^\d+(\[\d*\])?(\.[\w.-]+)?$", text):
            raise Refused(1, f"{command}: illegally formed job identifier: {text}")
        head, _, tail = text.partition(".")
        if tail not in ("", SHORT, HOST):
            raise Refused(1, f"{command}: illegally formed job identifier: {text}")
        return f"{head}.{HOST}"

    def qdel(self, request):
        args = list(request["args"])
        force = False
        if args[:2] == ["-W", "force"]:
            force, args = True, args[2:]
        if not args:
            return (
                2,
                "",
                "usage:\n\tqdel [-W force|suppress_email=X] [-x] job_identifier...\n\tqdel --version\n",
            )
        code, errors = 0, ""
        for text in args:
            if text == "":
                # What an empty word does to a real qdel is not worth finding out: the judge sees it.
                self.log("qdel-empty")
                return 2, "", "qdel: empty id\n"
            try:
                full = self.find(text, "qdel")
                job = self.jobs.get(full)
                if job is None:
                    raise Refused(153, f"qdel: Unknown Job Id {full}")
                if job.state == FINAL:
                    raise Refused(35, f"qdel: Job has finished {full}")
                if job.owner != request["user"]:
                    raise Refused(159, f"qdel: Unauthorized Request  {full}")
                self.delete(job, "force" if force else "delete", request["user"])
            except Refused as error:
                code, errors = error.code, errors + error.message + "\n"
        return code, "", errors

    def delete(self, job, how, user):
        self.log("delete", id=job.id, name=job.name, state=job.state, user=user)
        if job.process is not None:
            if job.deleting is None:
                job.deleting = how
                self.terminate(job, time.time())
            return
        job.state, job.substate, job.ended = FINAL, 91, time.time()
        if job.comment is not None:
            job.comment += f" and terminated by {user}@{HOST}"

    def qselect(self, request):
        args = list(request["args"])
        history, name, user, states, queue = False, None, None, None, None
        account = None
        while args:
            option = args.pop(0)
            if option == "-x":
                history = True
            elif option == "-N":
                name = args.pop(0)
                if not NAME_OK.match(name):
                    raise Refused(
                        2,
                        "qselect: illegal -N value\nusage: qselect [-a [op]date_time]",
                    )
            elif option == "-u":
                user = args.pop(0)
            elif option == "-s":
                states = args.pop(0)
            elif option == "-q":
                queue = args.pop(0)
            elif option == "-A":
                account = args.pop(0)
            else:
                raise Refused(2, "usage: qselect [-a [op]date_time]")
        if history and not SETTINGS.get("history", True):
            return 0, "", "qselect: PBS is not configured to maintain job history\n"
        found = [
            job
            for job in sorted(self.jobs.values(), key=lambda each: each.number)
            if (history or job.state != FINAL)
            and (name is None or job.name == name)
            and (user is None or job.owner == user)
            and (states is None or job.state in states)
            and (queue is None or job.queue == queue)
            and (account is None or job.account == account)
        ]
        return 0, "".join(job.id + "\n" for job in found), ""

    def qstat(self, request):
        flags, form, ids = set(), "text", []
        args = list(request["args"])
        while args:
            word = args.pop(0)
            if word == "-F":
                form = args.pop(0)
            elif re.match(r"^-[A-Za-z]+$", word):
                flags.update(word[1:])
            else:
                ids.append(word)
        if SETTINGS.get("old_client") and flags & {"E", "w"}:
            return 2, "", "qstat: invalid option -- 'E'\nusage: \nqstat [-f] [-J] [-p] [-t] [-x]\n"
        if "B" in flags:
            return (
                0,
                render("Server", "Server", [(HOST, self.server_attributes())], form),
                "",
            )
        if "Q" in flags:
            names = ids or list(SETTINGS["queues"])
            for each in names:
                if each not in SETTINGS["queues"]:
                    return (
                        170,
                        envelope([], form, None),
                        f"qstat: Unknown queue {each}\n",
                    )
            return (
                0,
                render(
                    "Queue",
                    "Queue",
                    [(each, self.queue_attributes(each)) for each in names],
                    form,
                ),
                "",
            )
        if "E" in flags and not ids:
            return 1, "", "qstat: Express option can only be used with job ids\n"
        if ids == [""] or not ids:
            chosen = [
                job for job in self.jobs.values() if job.state != FINAL or "x" in flags
            ]
            return (
                0,
                render(
                    "Job Id",
                    "Jobs",
                    [(job.id, job_attributes(job)) for job in chosen],
                    form,
                ),
                "",
            )
        found, code, errors = [], 0, ""
        for text in ids:
            try:
                full = self.find(text, "qstat")
            except Refused as error:
                if "E" in flags:
                    return 1, "", error.message + "\n"
                code, errors = error.code, errors + error.message + "\n"
                continue
            job = self.jobs.get(full)
            if job is None and "x" in flags and not SETTINGS.get("history", True):
                errors += (
                    f"qstat: PBS is not configured to maintain job history {full}\n"
                )
            elif job is None:
                code, errors = 153, errors + f"qstat: Unknown Job Id {full}\n"
            elif job.state == FINAL and "x" not in flags:
                code = 35
                errors += f"qstat: {full} Job has finished, use -x or -H to obtain historical job information\n"
            else:
                found.append(job)
        if "E" in flags and found:
            code, errors = 0, ""
        if "E" in flags and not found and errors:
            errors = errors.splitlines()[0] + "\n"
        return (
            code,
            render(
                "Job Id", "Jobs", [(job.id, job_attributes(job)) for job in found], form
            ),
            errors,
        )

    def pbsnodes(self, request):
        form = "json" if "json" in request["args"] else "text"
        nodes = []
        for name in SETTINGS["nodes"]:
            jobs = [
                job
                for job in self.jobs.values()
                if job.process is not None and name in job.nodes
            ]
            state = (
                "down"
                if name in SETTINGS.get("down", [])
                else "job-busy"
                if jobs
                else "free"
            )
            attributes = [
                ("Mom", f"{name}.{HOST}"),
                ("ntype", "PBS"),
                ("state", state),
                ("pcpus", "2"),
            ]
            if jobs:
                attributes.append(("jobs", ", ".join(f"{job.id}/0" for job in jobs)))
            attributes += [
                ("resources_available.arch", "linux"),
                ("resources_available.host", name),
                ("resv_enable", "True"),
                ("sharing", "default_shared"),
            ]
            nodes.append((name, attributes))
        if form == "json":
            return 0, envelope(nodes, "json", "nodes"), ""
        return (
            0,
            "".join(
                "{}\n{}\n".format(
                    name, "".join("     {} = {}\n".format(*pair) for pair in pairs)
                )
                for name, pairs in nodes
            ),
            "",
        )

    def pbs_rstat(self, request):
        """Full form only, in the layout of OpenPBS src/cmds/pbs_rstat.c, which published answers of two sites follow."""
        if "-f" not in request["args"]:
            raise Refused(2, "the stand-in knows pbs_rstat -f only")
        text = ""
        for each in SETTINGS.get("reservations", []):
            hosts = SETTINGS["nodes"][: each.get("nodes", len(SETTINGS["nodes"]))]
            pairs = [
                ("Reserve_Name", each.get("name", "NULL")),
                ("Reserve_Owner", f"root@{HOST}"),
                ("reserve_state", each.get("state", "RESV_CONFIRMED")),
                ("reserve_substate", "2"),
                ("reserve_start", stamp(each["start"])),
                ("reserve_end", stamp(each["end"])),
                ("reserve_duration", str(int(each["end"] - each["start"]))),
                ("queue", each["id"]),
                ("Resource_List.nodect", str(len(hosts))),
                ("resv_nodes", "+".join(f"({host}:ncpus=2)" for host in hosts)),
                ("server", SHORT),
            ]
            text += f"Resv ID: {each['id']}.{HOST}\n" + "".join("{} = {}\n".format(*pair) for pair in pairs) + "\n"
        return 0, text, ""

    def server_attributes(self):
        return [
            ("server_state", "Active"),
            ("server_host", HOST),
            ("scheduling", "False" if self.stopped_scheduling else "True"),
            ("total_jobs", str(len(self.jobs))),
            ("default_queue", SETTINGS.get("default_queue", "debug")),
            (
                "job_history_enable",
                "True" if SETTINGS.get("history", True) else "False",
            ),
            ("job_history_duration", "336:00:00"),
            ("pbs_version", "23.06.06"),
        ]

    def queue_attributes(self, name):
        queue = SETTINGS["queues"][name]
        pairs = [
            ("queue_type", "Route" if queue.get("route") is not None else "Execution")
        ]
        pairs.append(
            (
                "total_jobs",
                str(sum(1 for job in self.jobs.values() if job.queue == name)),
            )
        )
        if queue.get("from_route_only"):
            pairs.append(("from_route_only", "True"))
        for key, attribute in (
            ("max_nodes", "resources_max.nodect"),
            ("max_walltime", "resources_max.walltime"),
            ("min_nodes", "resources_min.nodect"),
            ("min_walltime", "resources_min.walltime"),
        ):
            if key in queue:
                pairs.append((attribute, str(queue[key])))
        pairs += [
            ("enabled", str(queue.get("enabled", True))),
            ("started", str(queue.get("started", True))),
        ]
        for key in ("max_queued", "max_run"):
            if key in queue:
                pairs.append((key, f"[u:PBS_GENERIC={queue[key]}]"))
        return pairs

    # -- what a test or an operator does

    def admin(self, request):
        order = request["args"][0]
        values = json.loads(request["args"][1]) if len(request["args"]) > 1 else {}
        if order == "set":
            for key, value in values.items():
                target = SETTINGS
                *path, last = key.split("/")
                for part in path:
                    target = target[part]
                target[last] = value
        elif order == "hang":
            self.hung = True
        elif order == "scheduling":
            self.stopped_scheduling = not values["on"]
        elif order in ("requeue", "kill", "forget", "hold", "release", "move", "alter"):
            job = self.jobs[values["id"]]
            if order == "requeue":
                job.deleting = "requeue"
                signal_group(job, signal.SIGKILL)
            elif order == "kill":
                signal_group(job, signal.SIGKILL)
            elif order == "hold":
                job.state, job.substate, job.hold = "H", 20, values.get("type", "u")
                job.comment = values.get("comment", job.comment)
            elif order == "release":
                job.state, job.substate, job.hold = "Q", 10, "n"
            elif order == "move":
                job.queue = values["queue"]
            elif order == "alter":
                job.resources["walltime"] = values["walltime"]
            else:
                signal_group(job, signal.SIGKILL)
                del self.jobs[job.id]
            self.log(order, id=job.id)
        elif order == "jobs":
            return (
                0,
                json.dumps(
                    [
                        {
                            "id": job.id,
                            "name": job.name,
                            "state": job.state,
                            "exit": job.exit,
                        }
                        for job in self.jobs.values()
                    ]
                ),
                "",
            )
        else:
            raise Refused(2, f"admin: unknown order {order}")
        return 0, "", ""

    def answer(self, request):
        try:
            code, out, err = getattr(self, request["command"])(request)
        except Refused as error:
            code, out, err = error.code, "", error.message + "\n"
        return {"exit": code, "stdout": out, "stderr": err}


def fits(queue, job):
    seconds, nodes = job.walltime(), job.nodect()
    if "max_walltime" in queue and seconds > walltime_seconds(queue["max_walltime"]):
        return False
    if "min_walltime" in queue and seconds < walltime_seconds(queue["min_walltime"]):
        return False
    return queue.get("min_nodes", 0) <= nodes <= queue.get("max_nodes", 10**9)


def signal_group(job, number):
    if job.process is not None:
        try:
            os.killpg(job.process.pid, number)
        except ProcessLookupError:
            pass


def split_words(text):
    return [
        match.group(1) or match.group(2)
        for match in re.finditer(r'"([^"]*)"|(\S+)', text)
    ]


def split_resources(text):
    for part in text.split(","):
        key, _, value = part.partition("=")
        yield key.strip(), value


def parse_qsub(args):
    options, rest = {}, list(args)
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        word = rest.pop(0)
        letter = word[1]
        if letter in "fhVzIX":
            options[letter] = True
        elif letter in "aACceEJjklmMNopPqrRSuvW":
            value = word[2:] or (rest.pop(0) if rest else "")
            if letter == "l":
                options.setdefault("l", []).append(value)
            else:
                options[letter] = value
        else:
            raise Refused(
                2,
                f"qsub: invalid option -- '{letter}'\nusage: qsub [-a date_time] [-A account_string]",
            )
    return options, rest


def job_attributes(job):
    """In the order in which a real server prints them (golden query-E-text)."""
    pairs = [("Job_Name", job.name), ("Job_Owner", f"{job.owner}@{HOST}")]
    if job.state == FINAL and job.stime is not None:
        pairs += [
            ("resources_used.cpupercent", "0"),
            ("resources_used.cput", "00:00:00"),
            ("resources_used.mem", "0kb"),
            ("resources_used.ncpus", "1"),
            ("resources_used.vmem", "0kb"),
            (
                "resources_used.walltime",
                walltime_text(int((job.ended or 0) - job.stime)),
            ),
        ]
    pairs += [
        ("job_state", job.state),
        ("queue", job.queue),
        ("server", HOST),
        ("Account_Name", job.account),
        ("Checkpoint", "u"),
        ("ctime", stamp(job.ctime)),
        (
            "Error_Path",
            "{}:{}".format(
                HOST, os.path.join(job.cwd, f"{job.name}.e{job.number}")
            ),
        ),
    ]
    if job.stime is not None:
        nodes = job.nodes or ["none"]
        pairs += [
            ("exec_host", "+".join(f"{node}/0" for node in nodes)),
            ("exec_vnode", "+".join(f"({node}:ncpus=1)" for node in nodes)),
        ]
    pairs += [
        ("Hold_Types", job.hold),
        ("Join_Path", job.join),
        ("Keep_Files", job.keep),
        ("Mail_Points", "a"),
        ("mtime", stamp(job.ended or job.stime or job.ctime)),
        ("Output_Path", job.output if ":" in job.output else f"{HOST}:{job.output}"),
        ("Priority", "0"),
        ("qtime", stamp(job.ctime)),
        ("Rerunable", job.rerunable),
        ("Resource_List.filesystems", job.resources.get("filesystems", "home")),
        ("Resource_List.ncpus", str(job.nodect())),
        ("Resource_List.nodect", str(job.nodect())),
        ("Resource_List.place", job.resources["place"]),
        ("Resource_List.select", job.resources["select"]),
        ("Resource_List.walltime", job.resources["walltime"]),
    ]
    if job.stime is not None:
        pairs.append(("stime", stamp(job.stime)))
    if job.obittime is not None:
        pairs += [
            ("obittime", stamp(job.obittime)),
            ("jobdir", job.env.get("HOME", "/")),
        ]
    pairs += [
        ("substate", str(job.substate)),
        (
            "Variable_List",
            "PBS_O_HOME={},PBS_O_LOGNAME={},PBS_O_WORKDIR={},PBS_O_QUEUE={},PBS_O_HOST={}".format(
                job.env.get("HOME", "/"), job.owner, job.cwd, job.queue, HOST
            ),
        ),
    ]
    if job.comment is not None:
        pairs.append(("comment", job.comment))
    pairs.append(("etime", stamp(job.etime)))
    if job.run_count:
        pairs.append(("run_count", str(job.run_count)))
    if job.obittime is not None and job.exit != -3:
        pairs.append(("Stageout_status", "1"))
    if job.exit is not None:
        pairs.append(("Exit_status", str(job.exit)))
    pairs.append(("Submit_arguments", job.arguments))
    if job.state == FINAL:
        pairs.append(("history_timestamp", str(int(job.ended))))
    pairs += [("project", PROJECT), ("Submit_Host", HOST)]
    return pairs


def envelope(objects, form, section):
    if form != "json":
        return ""
    document = {
        "timestamp": int(time.time()),
        "pbs_version": "23.06.06",
        "pbs_server": HOST,
    }
    if section is not None and objects:
        nested = {}
        for name, pairs in objects:
            inner = {}
            for key, value in pairs:
                target = inner
                *path, last = (
                    key.split(".")
                    if key.startswith(("Resource_List.", "resources_"))
                    else [key]
                )
                for part in path:
                    target = target.setdefault(part, {})
                target[last] = (
                    int(value)
                    if re.match(r"^-?(0|[1-9]\d*)$", value)
                    and key not in ("Job_Name", "project", "Account_Name")
                    else value
                )
            nested[name] = inner
        document[section] = nested
    return json.dumps(document, indent="\t", separators=(",", ":\t")) + "\n"


def render(heading, section, objects, form):
    if form == "json":
        return envelope(objects, form, section)
    return "".join(
        "{}: {}\n{}\n".format(
            heading, name, "".join("    {} = {}\n".format(*pair) for pair in pairs)
        )
        for name, pairs in objects
    )


def main():
    path = os.path.join(STATE, "socket")
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(256)
    server = Server()
    parent = os.getppid()
    print("ready", flush=True)
    clients = {}
    control = os.path.join(STATE, "hung")
    while True:
        if os.getppid() != parent:
            for job in server.jobs.values():
                signal_group(job, signal.SIGKILL)
            return
        server.hung = os.path.exists(control)
        readable, _, _ = select.select(
            [listener] + list(clients), [], [], 0.05 if not server.hung else 0.2
        )
        server.tick()
        if server.hung:
            time.sleep(0.05)
            continue
        for each in readable:
            if each is listener:
                connection, _ = listener.accept()
                clients[connection] = b""
                continue
            try:
                chunk = each.recv(1 << 20)
            except OSError:
                chunk = b""
            clients[each] += chunk
            if b"\n" in clients[each]:
                request = json.loads(
                    clients.pop(each).decode("utf-8", "surrogateescape")
                )
                # A client that died while the server hung: with -f no job is made, without it one is (pbs.md, "Submitting once").
                if (
                    request["command"] == "qsub"
                    and is_gone(each)
                    and not SETTINGS.get("orphans_submit", False)
                ):
                    server.log("orphan", command="qsub")
                else:
                    reply = server.answer(request)
                    try:
                        each.sendall(
                            json.dumps(reply).encode("utf-8", "surrogateescape") + b"\n"
                        )
                    except OSError:
                        server.log("unheard", command=request["command"])
                each.close()
            elif not chunk:
                clients.pop(each)
                each.close()


def is_gone(connection):
    try:
        return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


main()
