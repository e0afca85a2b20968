"""The Windows Task Scheduler task of the recorder (Task Scheduler schema 1.2)."""

import subprocess
from xml.etree import ElementTree as ET

from netusage.service.job import DESCRIPTION, Job, Scope

TASK = "netusage"
_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_LOCAL_SYSTEM = "S-1-5-18"
_MOST_RESTARTS = 255  # the schema's limit


def task_xml(job: Job, *, user: str, declared: bool = True) -> str:
    r"""The text of the task: at startup (or logon), restarted on failure, without a time limit.

    Args:
        job: what to run.
        user: "DOMAIN\name" of the user whose task it is; "" when unknown; unused for a task of the system.
        declared: with the XML declaration that `schtasks /XML` wants of a file in UTF-16.
    """
    system = job.scope is Scope.SYSTEM
    task = ET.Element("Task", {"version": "1.2", "xmlns": _NAMESPACE})
    _add(task, "RegistrationInfo", {"Description": DESCRIPTION})
    triggers = ET.SubElement(task, "Triggers")
    # without a name, the user who registers the task
    named = {"UserId": user} if user else {}
    _add(
        triggers, "BootTrigger" if system else "LogonTrigger", {"Enabled": "true"} | ({} if system else named)
    )
    principals = ET.SubElement(task, "Principals")
    who = (
        {"UserId": _LOCAL_SYSTEM, "RunLevel": "HighestAvailable"}
        if system
        else named | {"LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege"}
    )
    _add(principals, "Principal", who).set("id", "Author")
    settings = _add(
        task,
        "Settings",
        {
            "MultipleInstancesPolicy": "IgnoreNew",
            "DisallowStartIfOnBatteries": "false",
            "StopIfGoingOnBatteries": "false",
            "AllowHardTerminate": "true",
            "StartWhenAvailable": "true",
            "RunOnlyIfNetworkAvailable": "false",
            "AllowStartOnDemand": "true",
            "Enabled": "true",
            "RunOnlyIfIdle": "false",
            "ExecutionTimeLimit": "PT0S",  # none; the default would end it after three days
            "Priority": "6",
        },
    )
    _add(settings, "RestartOnFailure", {"Interval": "PT1M", "Count": str(_MOST_RESTARTS)})
    actions = ET.SubElement(task, "Actions", {"Context": "Author"})
    program, *arguments = job.argv
    _add(actions, "Exec", {"Command": program, "Arguments": subprocess.list2cmdline(arguments)})
    ET.indent(task)
    body = ET.tostring(task, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-16"?>\n{body}\n' if declared else f"{body}\n"


def _add(parent: ET.Element, name: str, texts: dict[str, str]) -> ET.Element:
    child = ET.SubElement(parent, name)
    for tag, text in texts.items():
        ET.SubElement(child, tag).text = text
    return child
